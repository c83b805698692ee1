//! The same snapshot under a new head: for the days on which nothing new is published.

use std::time::Duration;

use super::{
    Error, Publisher, StateDir, StoreHead, check_answers, one_writer_warning,
    open::blocking,
    plan::{self, NextHead, Planned},
    prepare_store, read_head, write_head,
};
use crate::{
    format::{head::Head, key},
    fs::Lock,
    progress::in_one_line,
    store::{self, DynWriteStore, ErrorKind, Swap},
    trust::Verified,
    types::{ChannelName, Hash, Timestamp},
};

/// What became of a refresh.
#[derive(Debug)]
pub struct Refreshed {
    /// The new head.
    pub head: Verified<Head>,
    /// The stores that show it.
    pub stores: Vec<String>,
    /// The stores that do not.
    pub failures: Vec<store::Error>,
    /// What else is to be known of it, in words.
    pub warnings: Vec<String>,
}

/// On which terms a head is signed again.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long the new head is valid, seconds.
    pub lifetime_secs: u64,
    /// How old the copy may be: what nobody renews for longer shall not look new.
    pub max_age: Duration,
}

/// Signs the snapshot that the newest head names again, with the next number and a new expiry, and moves every store to it whose own
/// head names that snapshot: of the others nobody knows that they have it. The first one that can be moved decides a race with another
/// publisher.
///
/// # Errors
/// [`Error::UnknownChannel`] when no store has a head of ours; [`Error::TooOldToRefresh`]; [`Error::Store`] when every store fails or another publisher was faster;
/// [`Error::State`] while this machine publishes the channel; as [`Publisher::open`].
pub async fn refresh(
    stores: &[DynWriteStore],
    channel: &ChannelName,
    state: &StateDir,
    now: Timestamp,
    terms: Terms,
) -> Result<Refreshed, Error> {
    let locked = channel.clone();
    // A publish of this channel would lose its race against a refresh, after hours of work.
    let lock = blocking(state, move |state| state.lock_channel(&locked)).await?;
    refresh_locked(&*lock, stores, channel, state, now, terms).await
}

/// The same for a run that holds the lock of the channel already.
///
/// # Errors
/// As [`refresh`].
pub async fn refresh_locked(
    _held: &dyn Lock,
    stores: &[DynWriteStore],
    channel: &ChannelName,
    state: &StateDir,
    now: Timestamp,
    terms: Terms,
) -> Result<Refreshed, Error> {
    let mut failures = Vec::new();
    let stores = answering(stores, &mut failures).await?;
    let publisher = Publisher::open(&stores, state, now).await?;
    let found = read_heads(&stores, &publisher, channel, &mut failures).await?;
    let seq = next_seq(&publisher, channel, &found).await?;
    let newest = newest(channel, &found)?;
    check_age(&newest, now, terms.max_age)?;
    let holding = holding(found, &newest.snapshot.manifest, &mut failures);
    let moved = holding.iter().map(|(_, found)| found.head.as_deref()).collect();
    let next = again(&newest, seq, publisher.chain().newest().version, now, terms.lifetime_secs, moved);
    let Planned { head, dropped } = plan::next_head(next)?;
    let head = publisher.sign(&head, now)?;
    let moved = advance(&holding, &head, &mut failures).await?;
    let warnings = dropped.iter().map(plan::dropped_warning).chain(after(&publisher, &holding, &moved, &head, now).await).collect();
    Ok(Refreshed { head, stores: moved, failures, warnings })
}

/// What is left to do once stores show a new head: remember it, and tell the caches. It is live already, so what fails is a warning.
pub(super) async fn after(
    publisher: &Publisher,
    holding: &[(&DynWriteStore, StoreHead)],
    moved: &[String],
    head: &Verified<Head>,
    now: Timestamp,
) -> Vec<String> {
    // The next run reads it from the stores.
    let forgotten = |error| format!("the new head is live, but this machine could not remember it: {}", in_one_line(&error));
    let mut warnings: Vec<String> = publisher.remember(head, now).await.err().map(forgotten).into_iter().collect();
    for (store, _) in holding.iter().filter(|(store, _)| moved.iter().any(|name| name == store.name())) {
        warnings.extend(one_writer_warning(store).await.ok().flatten());
        warnings.extend(announce(store).await);
    }
    warnings
}

/// Tells the caches before a store of its new head; a warning where they could not be told.
pub async fn announce(store: &DynWriteStore) -> Option<String> {
    let error = store.announce().await.err()?;
    Some(format!("the CDN before {} was not told what changed, and finds out within a minute: {}", error.store, error.one_line()))
}

pub(super) async fn answering(stores: &[DynWriteStore], failures: &mut Vec<store::Error>) -> Result<Vec<DynWriteStore>, Error> {
    let mut answering = Vec::new();
    for store in stores {
        match check_answers(store).await {
            Ok(()) => answering.push(DynWriteStore::clone(store)),
            Err(error) => failures.push(error),
        }
    }
    any_or_first(answering, failures)
}

pub(super) async fn read_heads<'a>(
    stores: &'a [DynWriteStore],
    publisher: &Publisher,
    channel: &ChannelName,
    failures: &mut Vec<store::Error>,
) -> Result<Vec<(&'a DynWriteStore, StoreHead)>, Error> {
    let mut found = Vec::new();
    for store in stores {
        let read = async {
            prepare_store(store, publisher.chain()).await?;
            read_head(store, publisher.chain(), channel).await
        };
        match read.await {
            Ok(head) => found.push((store, head)),
            Err(Error::Store(error)) => failures.push(error),
            Err(error) => return Err(error),
        }
    }
    any_or_first(found, failures)
}

fn check_age(head: &Head, now: Timestamp, max_age: Duration) -> Result<(), Error> {
    let age = Duration::try_from(now.duration_since(head.snapshot.taken_at)).unwrap_or_default();
    if age > max_age {
        return Err(Error::TooOldToRefresh {
            channel: head.channel.clone(),
            taken_at: head.snapshot.taken_at,
            age_hours: age.as_secs() / 3600,
            max_age,
        });
    }
    Ok(())
}

pub(super) fn newest(channel: &ChannelName, found: &[(&DynWriteStore, StoreHead)]) -> Result<Verified<Head>, Error> {
    let newest = found.iter().filter_map(|(_, found)| found.head.as_ref()).max_by_key(|head| head.seq);
    newest.cloned().ok_or_else(|| Error::UnknownChannel { channel: channel.clone(), nearest: Vec::new(), lines: Vec::new() })
}

pub(super) async fn next_seq(publisher: &Publisher, channel: &ChannelName, found: &[(&DynWriteStore, StoreHead)]) -> Result<u64, Error> {
    let seen = publisher.last_seen(channel).await?;
    let heads = found.iter().filter_map(|(_, found)| found.head.as_ref()).chain(seen.as_ref());
    Ok(plan::next_seq(heads.map(|head| &**head))?)
}

/// The stores that show the snapshot already.
pub(super) fn holding<'a>(
    found: Vec<(&'a DynWriteStore, StoreHead)>,
    snapshot: &Hash,
    failures: &mut Vec<store::Error>,
) -> Vec<(&'a DynWriteStore, StoreHead)> {
    let names_it = |found: &StoreHead| found.head.as_ref().is_some_and(|own| own.names(snapshot));
    let (holding, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, found)| names_it(found));
    failures.extend(others.into_iter().map(|(store, _)| lacking(store, snapshot)));
    holding
}

pub(super) async fn advance(
    found: &[(&DynWriteStore, StoreHead)],
    head: &Verified<Head>,
    failures: &mut Vec<store::Error>,
) -> Result<Vec<String>, Error> {
    let mut moved = Vec::new();
    for (store, found) in found {
        match write_head(store, found.tag.as_ref(), head).await {
            Ok(Swap::Done(_)) => moved.push(store.name().to_owned()),
            Ok(Swap::Lost) if moved.is_empty() => return Err(lost(store, &head.channel).into()),
            Ok(Swap::Lost) => failures.push(lost(store, &head.channel)),
            Err(Error::Store(error)) => failures.push(error),
            Err(error) => return Err(error),
        }
    }
    any_or_first(moved, failures)
}

/// What is left, or the first failure when nothing is.
fn any_or_first<T>(left: Vec<T>, failures: &mut Vec<store::Error>) -> Result<Vec<T>, Error> {
    if left.is_empty() && !failures.is_empty() { Err(failures.swap_remove(0).into()) } else { Ok(left) }
}

pub(super) fn again<'a>(
    newest: &'a Head,
    seq: u64,
    root_version: u32,
    now: Timestamp,
    lifetime_secs: u64,
    moved: Vec<Option<&'a Head>>,
) -> NextHead<'a> {
    NextHead {
        repo: newest.repo,
        root_version,
        channel: &newest.channel,
        seq,
        now,
        lifetime_secs,
        window_hours: newest.window_hours,
        keep_last: newest.older.len(),
        snapshot: newest.snapshot.clone(),
        previous: Some(newest),
        moved,
    }
}

fn lacking(store: &DynWriteStore, snapshot: &Hash) -> store::Error {
    let reason = format!("does not have the snapshot {}: publish to it", snapshot.short());
    store::Error::new(ErrorKind::NotFound, store.name(), "swap", key::manifest(snapshot).as_str(), reason)
}

fn lost(store: &DynWriteStore, channel: &ChannelName) -> store::Error {
    store::Error::new(ErrorKind::Conflict, store.name(), "swap", key::head(channel).as_str(), "another publisher was faster")
}

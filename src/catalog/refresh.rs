//! The same snapshot under a new head: for the days on which nothing new is published.

use super::{
    Error, Publisher, StateDir,
    plan::{self, NextHead},
    prepare_store, read_head, write_head,
};
use crate::{
    format::{head::Head, key},
    store::{self, DynWriteStore, ErrorKind, Swap},
    trust::Verified,
    types::{ChannelName, Timestamp},
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
}

/// Signs the snapshot that the newest head names again, with the next number and a new expiry, and moves every store to it, the first
/// one first.
///
/// # Errors
/// [`Error::UnknownChannel`] when no store has a head of ours; [`Error::Store`] when the first store fails or another publisher was faster
/// there; as [`Publisher::open`].
pub async fn refresh(
    stores: &[DynWriteStore],
    channel: &ChannelName,
    state: &StateDir,
    now: Timestamp,
    lifetime_secs: u64,
) -> Result<Refreshed, Error> {
    let publisher = Publisher::open(stores, state, now).await?;
    let mut found = Vec::new();
    for store in stores {
        prepare_store(store, publisher.chain()).await?;
        found.push(read_head(store, publisher.chain(), channel).await?);
    }
    let heads: Vec<&Verified<Head>> = found.iter().filter_map(|found| found.head.as_ref()).collect();
    let unknown = || Error::UnknownChannel { channel: channel.clone(), nearest: Vec::new(), lines: Vec::new() };
    let newest = heads.iter().max_by_key(|head| head.seq).ok_or_else(unknown)?;
    let seen = publisher.last_seen(channel).await?;
    let seq = plan::next_seq(heads.iter().copied().chain(seen.as_ref()).map(|head| &**head))?;
    let next = again(newest, seq, publisher.chain().newest().version, now, lifetime_secs);
    let head = publisher.sign(&plan::next_head(next)?, now)?;
    let (mut moved, mut failures) = (Vec::new(), Vec::new());
    for (store, found) in stores.iter().zip(&found) {
        match write_head(store, found.tag.as_ref(), &head).await {
            Ok(Swap::Done(_)) => moved.push(store.name().to_owned()),
            Ok(Swap::Lost) if moved.is_empty() => return Err(lost(store, channel).into()),
            Ok(Swap::Lost) => failures.push(lost(store, channel)),
            Err(Error::Store(error)) if !moved.is_empty() => failures.push(error),
            Err(error) => return Err(error),
        }
    }
    publisher.remember(&head, now).await?;
    Ok(Refreshed { head, stores: moved, failures })
}

fn again(newest: &Head, seq: u64, root_version: u32, now: Timestamp, lifetime_secs: u64) -> NextHead<'_> {
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
    }
}

fn lost(store: &DynWriteStore, channel: &ChannelName) -> store::Error {
    store::Error::new(ErrorKind::Conflict, store.name(), "swap", key::head(channel).as_str(), "another publisher was faster")
}

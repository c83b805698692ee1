//! Back to an older snapshot: for one that was published and must not be used.

use super::{
    Error, Publisher, StateDir, fetch_manifest,
    open::blocking,
    plan::{self, Planned},
    refresh::{advance, after, again, answering, holding, newest, next_seq, read_heads},
    select,
};
use crate::{
    format::head::{Head, Ipfs, Newest, SnapshotRef},
    store::{self, DynReadStore, DynWriteStore},
    trust::Verified,
    types::{ChannelName, Hash, Timestamp, When},
};

/// What became of a withdrawal.
#[derive(Debug)]
pub struct Withdrawn {
    /// The new head.
    pub head: Verified<Head>,
    /// The snapshots that the head before it named, and that cannot be chosen any more, newest first.
    pub snapshots: Vec<Hash>,
    /// The stores that show the new head.
    pub stores: Vec<String>,
    /// The stores that do not.
    pub failures: Vec<store::Error>,
    /// What else is to be known of it, in words.
    pub warnings: Vec<String>,
}

/// Signs a head that names an older snapshot as the newest: the one before, or the one that `back_to` says. Those that are newer are named no
/// more. Nothing is deleted: whoever restores one of them already finishes.
///
/// # Errors
/// [`Error::NothingOlder`] when there is no older one, or the newest is meant; [`Error::NoSuchSnapshot`]; else as [`super::refresh`].
pub async fn withdraw(
    stores: &[DynWriteStore],
    channel: &ChannelName,
    back_to: Option<&When>,
    state: &StateDir,
    now: Timestamp,
    lifetime_secs: u64,
) -> Result<Withdrawn, Error> {
    let locked = channel.clone();
    let _lock = blocking(state, move |state| state.lock_channel(&locked)).await?;
    let mut failures = Vec::new();
    let stores = answering(stores, &mut failures).await?;
    let publisher = Publisher::open(&stores, state, now).await?;
    let found = read_heads(&stores, &publisher, channel, &mut failures).await?;
    let seq = next_seq(&publisher, channel, &found).await?;
    let current = newest(channel, &found)?;
    let target = target(&current, back_to)?;
    let holding = holding(found, &target.manifest, &mut failures);
    let sources: Vec<DynReadStore> = holding.iter().map(|(store, _)| DynWriteStore::clone(store) as DynReadStore).collect();
    let manifest = fetch_manifest(&sources, &current, &target).await?;
    let snapshot = Newest::of(&target, &manifest, on_ipfs(&current, &target));
    let previous = plan::without_newest(&current, &snapshot).ok_or_else(|| nothing_older(&current))?;
    let moved = holding.iter().map(|(_, found)| found.head.as_deref()).collect();
    let next = again(&previous, seq, publisher.chain().newest().version, now, lifetime_secs, moved);
    let Planned { head, dropped } = plan::next_head(next)?;
    let head = publisher.sign(&head, now)?;
    let moved = advance(&holding, &head, &mut failures).await?;
    let mut warnings: Vec<String> = dropped.iter().map(plan::dropped_warning).collect();
    warnings.extend(after(&publisher, &holding, &moved, &head, now).await);
    let snapshots = current.snapshots().map(|snapshot| snapshot.manifest).filter(|id| !head.names(id)).collect();
    Ok(Withdrawn { head, snapshots, stores: moved, failures, warnings })
}

/// The older snapshot that is meant: without a word, the one before the newest.
fn target(head: &Head, back_to: Option<&When>) -> Result<SnapshotRef, Error> {
    let target = match back_to {
        Some(when) => select(head, when)?,
        None => head.older.first().map(|older| older.to_ref()).ok_or_else(|| nothing_older(head))?,
    };
    if target.manifest == head.snapshot.manifest { Err(nothing_older(head)) } else { Ok(target) }
}

fn nothing_older(head: &Head) -> Error {
    Error::NothingOlder { channel: head.channel.clone(), available: head.snapshots().skip(1).collect() }
}

fn on_ipfs(head: &Head, target: &SnapshotRef) -> Option<Ipfs> {
    head.older.iter().find(|older| older.manifest == target.manifest)?.ipfs.clone()
}

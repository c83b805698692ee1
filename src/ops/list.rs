//! `qsync list`: the channels of the sources, and the snapshots of each, from signed heads.

use serde::Serialize;
use thiserror::Error;

use crate::{
    catalog::{self, OpenChannel, StateDir},
    progress::{Event, Phase, Progress},
    store::DynReadStore,
    trust::Standing,
    types::{ChannelName, Hash, Timestamp},
};

/// One snapshot of a channel. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct ListedSnapshot {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Whether the head names it as the newest.
    pub latest: bool,
    /// Block height, if known.
    pub height: Option<u64>,
    /// When the copy was taken.
    pub taken_at: Timestamp,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Length of all frames, bytes; known of the newest only.
    pub frame_bytes: Option<u64>,
    /// Node software and its version, if known; of the newest only.
    pub client: Option<String>,
    /// Database engine, if known; of the newest only.
    pub engine: Option<String>,
    /// When it may go away: the head's expiry, or until when an older snapshot is kept.
    pub until: Timestamp,
    /// The sources whose head names it.
    pub sources: Vec<String>,
    /// The CID of its directory on IPFS, if it is there.
    pub ipfs: Option<String>,
}

/// Why nothing can be listed.
#[derive(Debug, Error)]
pub enum Error {
    /// No source names a channel.
    #[error("no source names a channel")]
    NoChannels {
        /// The sources.
        sources: Vec<String>,
    },
    /// Not one head may be used.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

/// Reads the index of every source and checks the signed head of every channel it names. A channel whose head is refused is a
/// warning, unless it is so for all.
///
/// # Errors
/// [`enum@Error`]
pub async fn list(
    sources: &[DynReadStore],
    state: &StateDir,
    pin: Option<Hash>,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<Vec<ListedSnapshot>, Error> {
    progress.event(Event::Phase { phase: Phase::Discover, total_bytes: None });
    let names = catalog::list_channels(sources, pin).await;
    if names.is_empty() {
        return Err(Error::NoChannels { sources: sources.iter().map(|source| source.name().to_owned()).collect() });
    }
    let (mut listed, mut refused) = (Vec::new(), Vec::new());
    for name in &names {
        match catalog::open_channel(sources, name, state, pin, now).await {
            Ok(channel) => listed.extend(snapshots(&channel)),
            Err(error) => refused.push((name, error)),
        }
    }
    if listed.is_empty()
        && let Some((_, error)) = refused.pop()
    {
        return Err(error.into());
    }
    for (name, error) in refused {
        progress.event(Event::Warning { text: format!("{name} is left out: {error}") });
    }
    Ok(listed)
}

fn snapshots(channel: &OpenChannel) -> Vec<ListedSnapshot> {
    let head = &channel.head;
    let current = |standing: &Standing| matches!(standing, Standing::Current);
    let at_head = channel.standings.iter().filter(|(_, standing)| current(standing)).map(|(source, _)| source.clone());
    let sources: Vec<String> = at_head.collect();
    let newest = ListedSnapshot {
        channel: head.channel.clone(),
        snapshot: head.snapshot.manifest,
        latest: true,
        height: head.snapshot.height,
        taken_at: head.snapshot.taken_at,
        bytes: head.snapshot.bytes,
        frame_bytes: Some(head.snapshot.frame_bytes),
        client: head.snapshot.client.clone(),
        engine: head.snapshot.engine.clone(),
        until: head.expires,
        sources: sources.clone(),
        ipfs: head.snapshot.ipfs.as_ref().map(|ipfs| ipfs.root.clone()),
    };
    let older = head.older.iter().map(|older| ListedSnapshot {
        channel: head.channel.clone(),
        snapshot: older.manifest,
        latest: false,
        height: older.height,
        taken_at: older.taken_at,
        bytes: older.bytes,
        frame_bytes: None,
        client: None,
        engine: None,
        until: older.until,
        sources: sources.clone(),
        ipfs: older.ipfs.as_ref().map(|ipfs| ipfs.root.clone()),
    });
    std::iter::once(newest).chain(older).collect()
}

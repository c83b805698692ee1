//! `qsync restore`: fetches a snapshot from all sources, verifies every byte, and puts it in place.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    fs::Fs,
    progress::{Progress, Stop},
    store::DynReadStore,
    types::{ChannelName, Hash, Timestamp, When},
};

/// What is restored, from where to where.
#[derive(Debug)]
pub struct Options {
    /// The channel.
    pub channel: ChannelName,
    /// The snapshot, if the user named one.
    pub when: Option<When>,
    /// Where it can be read.
    pub sources: Vec<DynReadStore>,
    /// Where the database goes.
    pub target: PathBuf,
    /// What to do with a database that is there.
    pub existing: Existing,
    /// What to do with a partial restore that is there.
    pub partial: Partial,
    /// Owner of the restored files, when not this user.
    pub owner: Option<Owner>,
    /// Say what would happen, and stop before the first write.
    pub dry_run: bool,
    /// Budget for frames and chunks in flight, bytes.
    pub memory_bytes: u64,
    /// Threads that hash, decode and write.
    pub threads: usize,
    /// How long to go on without any progress, seconds.
    pub max_wait_secs: u64,
    /// The pinned repository, when given for this run.
    pub pin: Option<Hash>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The time, given once.
    pub now: Timestamp,
    /// The file system of target and state directory.
    pub fs: Arc<dyn Fs>,
    /// Ends the run early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

/// What to do with a database that is in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse (15).
    Refuse,
    /// Swap it out when the new one is complete, then delete it.
    Replace,
    /// Swap it out when the new one is complete, and keep it beside it.
    ReplaceKeepingOld,
}

/// What to do with a partial restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// Go on with the snapshot it is pinned to.
    Continue,
    /// Go on with the newest snapshot, keeping every verified chunk.
    Latest,
    /// Delete it and start over.
    Discard,
}

/// A numeric owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What a run did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// Where it is now.
    pub target: PathBuf,
    /// What the run came to.
    pub outcome: Outcome,
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Bytes that came from sources, as sent.
    pub fetched_bytes: u64,
    /// Raw bytes that were there already and verified: an earlier run's, or local files'.
    pub reused_bytes: u64,
    /// Raw bytes written.
    pub written_bytes: u64,
    /// Bytes in holes.
    pub hole_bytes: u64,
    /// Chunks that were asked for again.
    pub retries: u64,
    /// What came from each source.
    pub sources: Vec<SourceSummary>,
    /// How long it took.
    pub seconds: f64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The database is in place.
    Restored,
    /// It was in place already.
    AlreadyRestored,
    /// Nothing was done.
    DryRun,
}

/// What came from one source.
#[derive(Clone, Debug, Serialize)]
pub struct SourceSummary {
    /// Its name.
    pub source: String,
    /// Objects it delivered.
    pub objects: u64,
    /// Bytes it delivered.
    pub bytes: u64,
    /// How often it failed.
    pub errors: u64,
    /// How often it delivered wrong bytes.
    pub strikes: u64,
    /// The last failure, in one line.
    pub last_error: Option<String>,
}

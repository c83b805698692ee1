//! `qsync publish`: one run makes one snapshot of a data directory and publishes it to every store.

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    fs::Fs,
    progress::{Progress, Stop},
    store::DynWriteStore,
    types::{ChannelName, ChunkSize, Hash, RelPath, Timestamp},
};

/// What is published, from where to where.
#[derive(Debug)]
pub struct Options {
    /// The channel.
    pub channel: ChannelName,
    /// The node's data directory.
    pub data_dir: PathBuf,
    /// The stores; the first decides races.
    pub stores: Vec<DynWriteStore>,
    /// Height of a block that the database contains.
    pub height: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
    /// Distance between cuts.
    pub chunk_size: ChunkSize,
    /// zstd level.
    pub level: i32,
    /// Files that the secret scan would refuse and the operator allows, exact paths.
    pub allow_secrets: Vec<RelPath>,
    /// Take the word of the operator where it cannot be seen whether a process has the database open.
    pub assume_stopped: bool,
    /// Say what would happen, and stop before the first write to a store.
    pub dry_run: bool,
    /// How long the new head is valid, seconds.
    pub head_lifetime_secs: u64,
    /// Snapshots that stay in the head beside the new one.
    pub keep_last: usize,
    /// Threads that hash and compress.
    pub threads: usize,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The time, given once.
    pub now: Timestamp,
    /// The file system of data and state directory.
    pub fs: Arc<dyn Fs>,
    /// Ends the run early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

/// What a run did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Sequence number of the new head; `None` for a dry run.
    pub seq: Option<u64>,
    /// Block height, if known.
    pub height: Option<u64>,
    /// Whether the data equals the previous snapshot, so that only a head was written.
    pub unchanged: bool,
    /// Whether nothing was written because it was a dry run.
    pub dry_run: bool,
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Bytes read from the data directory.
    pub read_bytes: u64,
    /// Bytes of chunks that the previous snapshot already had.
    pub reused_bytes: u64,
    /// Bytes in holes.
    pub hole_bytes: u64,
    /// Files published although the secret scan names them.
    pub allowed_secrets: Vec<RelPath>,
    /// What became of each store.
    pub stores: Vec<StoreSummary>,
    /// How long it took.
    pub seconds: f64,
}

/// What became of one store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreSummary {
    /// Its name.
    pub store: String,
    /// Objects written.
    pub objects: u64,
    /// Bytes written.
    pub uploaded_bytes: u64,
    /// Why it failed; `None` when the new head is live there.
    pub error: Option<String>,
}

//! Why a run did not publish.

use thiserror::Error;

use crate::{
    catalog, disk,
    format::frame::FrameError,
    format::manifest::ManifestError,
    node::gate::{
        Report,
        plan::{Condition, Verdict},
    },
    store,
    types::Timestamp,
};

/// Why a run did not publish to any store.
#[derive(Debug, Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// The stores' roots, heads or keys.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// No store was given.
    #[error("no store to publish to")]
    NoStores,
    /// More stores were given than a run can have.
    #[error("{found} stores are too many: a run has at most {max}")]
    TooManyStores {
        /// How many were given.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// The channel's head names a higher block than this database.
    #[error("the head of the channel is at height {head}, this database at {given}")]
    Lower {
        /// Height of the head.
        head: u64,
        /// Height of the database.
        given: u64,
    },
    /// The node is not fit to be published, or cannot be asked. Nothing touched it.
    #[error("the node {} is not fit to be published: {}", report.node, unmet(report))]
    Gate {
        /// Each condition with its value.
        report: Box<Report>,
        /// What became of the head.
        head: HeadKept,
    },
    /// zstd refused to compress a chunk, or to decode what it had compressed.
    #[error("cannot make a frame")]
    Encode(#[source] FrameError),
    /// A frame did not decode to the bytes it was made from: this machine computes wrongly.
    #[error("a chunk was compressed, decoded and is not the same: this machine's processor or memory is not sound")]
    Miscomputed,
    /// What was scanned does not make a valid manifest.
    #[error("the data directory does not make a valid manifest")]
    Manifest(#[source] ManifestError),
    /// Every store failed.
    #[error("every store failed: {}", lines.join("; "))]
    AllStoresFailed {
        /// One line per store.
        lines: Vec<String>,
        /// The first failure.
        #[source]
        first: Option<std::sync::Arc<store::Error>>,
    },
    /// Another publisher advanced the channel on the first store meanwhile.
    #[error("another publisher advanced {channel} on {store} during this run")]
    Lost {
        /// The channel.
        channel: crate::types::ChannelName,
        /// The store that decides.
        store: String,
    },
    /// Somebody asked the run to stop.
    #[error("stopped; nothing of this run is visible to readers")]
    Interrupted,
    /// A thread of the run panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

/// What became of the channel's head when nothing was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadKept {
    /// There is none yet.
    None,
    /// It was signed again.
    Refreshed {
        /// Its number.
        seq: u64,
        /// Until when it is valid.
        expires: Timestamp,
    },
    /// It was left alone, for this reason.
    Left(String),
}

/// The conditions that are not met, by name.
fn unmet(report: &Report) -> String {
    let unmet = |condition: &&Condition| condition.verdict != Verdict::Met;
    report.conditions.iter().filter(unmet).map(|condition| condition.name).collect::<Vec<_>>().join(", ")
}

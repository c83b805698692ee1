//! Why a channel, or all of them, could not be copied.

use thiserror::Error;

use crate::{
    catalog,
    format::chunk::ChunkError,
    progress::in_one_line,
    sources::{Exhausted, RowsError},
    store,
    types::{ChannelName, RelPath},
};

/// Why a channel, or all of them, could not be copied. The store shows what it showed before.
#[derive(Debug, Error)]
pub enum Error {
    /// No source names a channel.
    #[error("no source names a channel")]
    NoChannels,
    /// The sources' or the store's roots and heads, or a manifest.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The rows of a file could not be had.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A chunk or a list could not be had.
    #[error("the sources do not deliver {path}")]
    Object {
        /// The file it belongs to.
        path: RelPath,
        /// Why.
        #[source]
        source: Exhausted,
    },
    /// The store that is copied to failed.
    #[error("the mirror failed")]
    Store(#[from] store::Error),
    /// The store has other bytes under the name of an object.
    #[error("{store}: {object} is damaged: {what}")]
    Damaged {
        /// The store.
        store: String,
        /// The object's key.
        object: String,
        /// What is there.
        what: String,
    },
    /// The store holds frames, the sources hold chunks only as they are, and this version makes other frames of them than the snapshot names.
    #[error("{path}: no source has frames, and this qsync makes another frame of a chunk than the publisher's did")]
    Forms {
        /// The file.
        path: RelPath,
    },
    /// The signed rows of a chunk contradict each other: no source can heal it.
    #[error("a chunk of {path} is not what its row says in its other form")]
    Chunk {
        /// The file.
        path: RelPath,
        /// Why.
        #[source]
        source: ChunkError,
    },
    /// Somebody else changed the head meanwhile.
    #[error("somebody else changed the head of {channel} on {store} during this run")]
    Lost {
        /// The channel.
        channel: ChannelName,
        /// The store.
        store: String,
    },
    /// Somebody asked the run to stop.
    #[error("stopped; the store shows what it showed before")]
    Interrupted,
}

impl Error {
    /// The error with everything below it.
    pub(super) fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

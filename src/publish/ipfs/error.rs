//! Why a snapshot did not get to IPFS.

use thiserror::Error;

use crate::{
    disk,
    format::frame::FrameError,
    kubo,
    types::{Hash, RelPath},
};

/// Why a snapshot did not get to IPFS. The other stores have it all the same.
#[derive(Debug, Error)]
pub enum Error {
    /// The node.
    #[error(transparent)]
    Node(#[from] kubo::Error),
    /// The data directory.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// The head that names it.
    #[error(transparent)]
    Head(Box<crate::publish::Error>),
    /// The clone of the data directory is given up.
    #[error(transparent)]
    CloneLost(Box<crate::publish::Error>),
    /// The data is not what was published any more.
    #[error("chunk {chunk} of {path} is not what this run has published: the file changed")]
    Changed {
        /// The file.
        path: RelPath,
        /// The chunk in it.
        chunk: u64,
    },
    /// A frame of an earlier release of the encoder, which nobody here has.
    #[error("the frame of chunk {chunk} of {path} was made by another encoder, and no store of this run has it")]
    Frame {
        /// The file.
        path: RelPath,
        /// The chunk in it.
        chunk: u64,
    },
    /// A list that no store gives back.
    #[error("no store of this run gives back the list {hash}")]
    List {
        /// Its hash.
        hash: Hash,
    },
    /// The lists of the manifest do not fit it.
    #[error("the list {hash} does not fit its file")]
    OtherList {
        /// Its hash.
        hash: Hash,
    },
    /// zstd refused to compress a chunk.
    #[error("cannot make a frame")]
    Encode(#[source] FrameError),
    /// The node does not have all blocks, however often they are sent.
    #[error("the node loses blocks as fast as they are sent: {rounds} times it did not have all of them")]
    Incomplete {
        /// How often all that it lacked was sent.
        rounds: u32,
    },
    /// Somebody asked the run to stop.
    #[error("stopped; the next run goes on from here")]
    Interrupted,
    /// A thread of the run panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

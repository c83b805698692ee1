//! One row of a chunk list: what a chunk is and how it is stored (02-format 2.3).

use crate::types::Hash;

/// One chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// BLAKE3 of the chunk's bytes: its identity.
    pub raw: Hash,
    /// How its bytes are stored.
    pub stored: Stored,
}

/// How a chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// All bytes are zero; there is no object.
    Hole,
    /// One zstd frame.
    Frame {
        /// BLAKE3 of the frame.
        hash: Hash,
        /// Length of the frame, bytes.
        bytes: u32,
    },
}

//! Stub.
use std::ops::Range;

use crate::format::manifest::Manifest;

/// Which chunks of a manifest are on disk and verified: one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {}

impl Have {
    /// None of them.
    pub fn none(_manifest: &Manifest) -> Self {
        todo!()
    }

    /// Whether chunk `chunk` of file `file` is there; `false` for chunks that do not exist.
    pub fn contains(&self, _file: usize, _chunk: u64) -> bool {
        todo!()
    }

    /// Adds chunks of a file. Returns `false`, and adds nothing, when the manifest has no such chunks.
    pub fn insert(&mut self, _file: usize, _chunks: Range<u64>) -> bool {
        todo!()
    }

    /// Forgets all chunks of a file.
    pub fn forget(&mut self, _file: usize) {
        todo!()
    }

    /// Number of chunks that are there.
    pub fn count(&self) -> u64 {
        todo!()
    }

    /// Whether all chunks of a file are there.
    pub fn is_complete(&self, _file: usize) -> bool {
        todo!()
    }

    /// The chunks of a file that are there, as ranges in order.
    pub fn ranges(&self, _file: usize) -> Vec<Range<u64>> {
        todo!()
    }

    /// Length of the chunks that are there, bytes, holes included.
    pub fn bytes(&self, _manifest: &Manifest) -> u64 {
        todo!()
    }
}

//! Stub.
use std::path::Path;

use super::{Error, scan::ScannedFile};
use crate::{format::list::FileShape, fs::Fs, types::ChunkSize};

/// What a chunk of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Only zero bytes; the buffer holds nothing of use.
    Hole,
    /// The bytes in the buffer.
    Data,
}

/// Reads one file of a scanned directory, front to back, and notices when it changes meanwhile.
#[derive(Debug)]
pub struct FileReader {}

impl FileReader {
    /// Opens the file and checks that it is still the one that was scanned.
    pub fn open(_fs: &dyn Fs, _root: &Path, _file: &ScannedFile, _chunk_size: ChunkSize) -> Result<Self, Error> {
        todo!()
    }

    /// The file's length and cuts.
    pub fn shape(&self) -> FileShape {
        todo!()
    }

    /// Reads chunk `index` into `into`, whose capacity is reused. On [`Content::Data`] it holds exactly the chunk.
    pub fn read(&mut self, _index: u64, _into: &mut Vec<u8>) -> Result<Content, Error> {
        todo!()
    }

    /// Checks that the file did not change since it was scanned.
    pub fn finish(self) -> Result<(), Error> {
        todo!()
    }
}

//! Stub.
use std::path::Path;

use super::Error;
use crate::fs::Fs;

/// What is still missing on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes to be written, holes excluded.
    pub bytes: u64,
    /// Files and directories to be made.
    pub files: u64,
}

/// Refuses when the file system that holds `path` (or the next directory above that exists) has less room than is needed.
pub fn check(_fs: &dyn Fs, _path: &Path, _need: Need) -> Result<(), Error> {
    todo!()
}

//! Stub.
use std::path::{Path, PathBuf};

use super::Error;
use crate::{
    fs::{Fs, Stat},
    types::RelPath,
};

/// A data directory as it was found: every directory and file below it, each sorted by the bytes of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The directory, with every link on the way resolved.
    pub root: PathBuf,
    /// Every directory but the top one.
    pub dirs: Vec<RelPath>,
    /// Every file.
    pub files: Vec<ScannedFile>,
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFile {
    /// Where it lies.
    pub path: RelPath,
    /// What the file system says of it.
    pub stat: Stat,
}

/// Walks a data directory. It may be reached through symbolic links; below it there must be none.
pub fn scan(_fs: &dyn Fs, _data_dir: &Path) -> Result<Scan, Error> {
    todo!()
}

impl Scan {
    /// Walks the directory again and refuses when an entry came, went or changed since.
    pub fn check_unchanged(&self, _fs: &dyn Fs) -> Result<(), Error> {
        todo!()
    }
}

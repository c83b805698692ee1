//! Stub.
use std::path::{Path, PathBuf};

use super::{
    Error,
    staging::{Pin, Staging},
};
use crate::{format::manifest::Manifest, fs::Fs, types::Hash};

/// What this machine knows of a restored directory.
#[derive(Debug)]
pub struct Record {
    /// The snapshot and what proves it.
    pub pin: Pin,
    /// Where it was put.
    pub target: PathBuf,
}

impl Record {
    /// Keeps a record of a snapshot that is in place, durably, in the place of an older one.
    pub fn save(_fs: &dyn Fs, _state_dir: &Path, _target: &Path, _staging: &Staging, _manifest: &Manifest) -> Result<(), Error> {
        todo!()
    }

    /// The record of a target; `None` when there is none.
    pub fn load(_fs: &dyn Fs, _state_dir: &Path, _target: &Path) -> Result<Option<Self>, Error> {
        todo!()
    }

    /// Forgets a target.
    pub fn remove(_fs: &dyn Fs, _state_dir: &Path, _target: &Path) -> Result<(), Error> {
        todo!()
    }

    /// A list segment of the snapshot; `None` when it is missing or is not what its name says.
    pub fn list(&self, _fs: &dyn Fs, _id: &Hash) -> Result<Option<Vec<u8>>, Error> {
        todo!()
    }

    /// Whether the files at the target have the lengths, times and inodes they had when the record was saved.
    pub fn is_untouched(&self, _fs: &dyn Fs, _manifest: &Manifest) -> Result<bool, Error> {
        todo!()
    }
}

//! Stub.
use std::path::{Path, PathBuf};

use super::Error;
use crate::{format::manifest::Manifest, fs::Fs};

/// What to do with a database that is in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Refuse it.
    Refuse,
    /// It will be swapped out.
    Allow,
}

/// The target with every symbolic link on the way resolved; the last component, and only it, may be missing.
pub fn resolve(_fs: &dyn Fs, _target: &Path) -> Result<PathBuf, Error> {
    todo!()
}

/// Refuses a resolved target that is dangerous whatever is restored there: `/`, the home directory, a git repository, not a directory.
pub fn check_place(_fs: &dyn Fs, _target: &Path, _home: Option<&Path>) -> Result<(), Error> {
    todo!()
}

/// Refuses a resolved target that this snapshot must not be put into: it is occupied, in use, or holds a node's identity.
pub fn check_content(_fs: &dyn Fs, _target: &Path, _manifest: &Manifest, _occupied: Occupied) -> Result<(), Error> {
    todo!()
}

//! Stub.
use super::{Error, scan::Scan};
use crate::{fs::Fs, types::RelPath};

/// A file that looks like key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: RelPath,
    /// What gave it away, for people.
    pub rule: &'static str,
}

/// What a secret scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretScan {
    /// Files that nobody allowed.
    pub refused: Vec<Finding>,
    /// Files that the operator allowed by their exact path.
    pub allowed: Vec<Finding>,
}

/// Looks for key material by name everywhere, and by content in files that are not database files.
pub fn scan_secrets(_fs: &dyn Fs, _scan: &Scan, _allowed: &[RelPath]) -> Result<SecretScan, Error> {
    todo!()
}

/// Whether a file of this path is known to hold key material or a node's identity; says what it is.
pub fn secret_name(_path: &RelPath) -> Option<&'static str> {
    todo!()
}

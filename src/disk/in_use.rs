//! Stub.
use std::path::Path;

/// Whether a process has a directory's database open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// No process has.
    Free,
    /// A process has.
    InUse {
        /// The process, where it can be told.
        pid: Option<u32>,
        /// What it holds.
        what: String,
    },
    /// It cannot be told.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Looks for locks on known lock files below `dir`, and for processes other than this one with open or mapped files below it.
pub fn probe(_dir: &Path) -> Use {
    todo!()
}

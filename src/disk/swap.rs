//! Stub.
use super::{Error, staging::Staging};
use crate::{format::manifest::Manifest, types::Hash};

/// What becomes of the database that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// There must be none.
    Refuse,
    /// It is deleted last.
    Delete,
    /// It is kept beside the new one, as `NAME.qsync-old-<id>`.
    Keep,
}

/// A snapshot that is in place, durably; what was there before and the staging directory are still to be removed.
#[derive(Debug)]
pub struct Placed {}

/// Checks that staging holds exactly what the manifest lists, and puts it in place: commit record, renames, sync.
pub fn put_in_place(_staging: &Staging, _manifest: &Manifest, _id: &Hash, _old: Old) -> Result<Placed, Error> {
    todo!()
}

/// Completes a swap that an earlier run began; `None` when there is none.
pub fn finish_pending(_staging: &Staging) -> Result<Option<Placed>, Error> {
    todo!()
}

impl Placed {
    /// The snapshot.
    pub fn id(&self) -> &Hash {
        todo!()
    }

    /// Removes the old database, unless it is kept, and the staging directory. Call it after the state record was saved.
    pub fn clean_up(self, _staging: Staging) -> Result<(), Error> {
        todo!()
    }
}

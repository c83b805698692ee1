//! Stub.
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, have::Have, journal::Journal};
use crate::{
    format::manifest::{Manifest, StoredManifest},
    fs::Fs,
    types::{ChannelName, Hash},
};

/// The snapshot that a staging directory builds, with everything that proves it: a resume needs no network for it.
#[derive(Clone, Debug)]
pub struct Pin {
    /// The channel.
    pub channel: ChannelName,
    /// The chain of root envelopes, oldest first, as bytes.
    pub roots: Vec<Vec<u8>>,
    /// The head's envelope, as bytes.
    pub head: Vec<u8>,
    /// The manifest.
    pub manifest: StoredManifest,
}

/// What a snapshot owns below its target, as far as the place of the staging directory depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// The whole directory.
    Whole,
    /// Subtrees only.
    Subtrees,
}

/// A staging directory that this process holds: where a snapshot is built before it is put in place.
#[derive(Debug)]
pub struct Staging {}

impl Staging {
    /// Opens and locks the staging directory of `target` that an earlier run left; `None` when there is none.
    pub fn find(_fs: Arc<dyn Fs>, _target: &Path) -> Result<Option<Self>, Error> {
        todo!()
    }

    /// Opens the staging directory of `target`, or makes it where it belongs, and locks it.
    pub fn open(_fs: Arc<dyn Fs>, _target: &Path, _owned: Owned) -> Result<Self, Error> {
        todo!()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        todo!()
    }

    /// Where the snapshot's files are built.
    pub fn data(&self) -> PathBuf {
        todo!()
    }

    /// What it is pinned to.
    pub fn pin(&self) -> Result<Option<Pin>, Error> {
        todo!()
    }

    /// Pins it to a snapshot, durably. The journal of another snapshot does not count any more.
    pub fn set_pin(&self, _pin: &Pin) -> Result<(), Error> {
        todo!()
    }

    /// Keeps a list segment, so that a resume and an offline `verify` have it. Durable with the next batch.
    pub fn put_list(&self, _id: &Hash, _bytes: &[u8]) -> Result<(), Error> {
        todo!()
    }

    /// A list segment that was kept; `None` when it is missing or is not what its name says.
    pub fn list(&self, _id: &Hash) -> Result<Option<Vec<u8>>, Error> {
        todo!()
    }

    /// Makes all directories and files of the manifest with their lengths, durably, and opens the journal. Chunks of files that are
    /// missing or have another length are forgotten. `None`: there are files but no journal, so that [`super::verify::surviving`] has to say
    /// what is there, and [`Staging::start`] is next.
    pub fn resume(&self, _manifest: &Manifest, _id: &Hash) -> Result<Option<(Journal, Have)>, Error> {
        todo!()
    }

    /// As [`Staging::resume`], with what is known to be there.
    pub fn start(&self, _manifest: &Manifest, _id: &Hash, _have: Have) -> Result<Journal, Error> {
        todo!()
    }

    /// Refuses when somebody removed the directory meanwhile.
    pub fn check_alive(&self) -> Result<(), Error> {
        todo!()
    }

    /// Removes everything in it, and the directory itself.
    pub fn remove(self) -> Result<(), Error> {
        todo!()
    }
}

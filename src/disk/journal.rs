//! Stub.
use std::{ops::Range, path::Path, sync::Arc};

use super::{Error, have::Have};
use crate::{format::manifest::Manifest, fs::Fs, types::Hash};

/// An append-only record of the chunks that are verified and durable.
#[derive(Debug)]
pub struct Journal {}

impl Journal {
    /// Starts a journal, durably, with the chunks of `have`, whose data must be durable. Replaces any journal that is there.
    pub fn create(_fs: Arc<dyn Fs>, _path: &Path, _id: &Hash, _manifest: &Manifest, _have: &Have) -> Result<Self, Error> {
        todo!()
    }

    /// Opens the journal of the manifest `id`, dropping a torn tail, and says what it holds. Files below `data` that are missing or
    /// have another length void their records. `None` when there is no journal of that manifest.
    pub fn open(_fs: Arc<dyn Fs>, _path: &Path, _id: &Hash, _manifest: &Manifest, _data: &Path) -> Result<Option<(Self, Have)>, Error> {
        todo!()
    }

    /// Records chunks whose data is durable; durable itself on return.
    pub fn append(&mut self, _chunks: &[(usize, Range<u64>)]) -> Result<(), Error> {
        todo!()
    }
}

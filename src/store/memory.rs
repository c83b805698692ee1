//! A store in memory.
use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, Put, ReadStore, Swap, Tag, WriteStore};
use crate::types::ObjectKey;

/// A store in memory. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore;

impl MemoryStore {
    /// An empty store with this name.
    #[must_use]
    pub fn new(_name: &str) -> Self {
        todo!()
    }

    /// The keys of all objects, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<ObjectKey> {
        todo!()
    }

    /// Puts or overwrites an object, as a broken or lying store would.
    pub fn overwrite(&self, _key: &ObjectKey, _bytes: impl Into<Bytes>) {
        todo!()
    }

    /// Removes an object; whether there was one.
    pub fn remove(&self, _key: &ObjectKey) -> bool {
        todo!()
    }
}

#[async_trait]
impl ReadStore for MemoryStore {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}

#[async_trait]
impl WriteStore for MemoryStore {
    async fn put_new(&self, _key: &ObjectKey, _bytes: Bytes) -> Result<Put, Error> {
        todo!()
    }
    async fn sync(&self) -> Result<(), Error> {
        todo!()
    }
    async fn get_tagged(&self, _key: &ObjectKey, _max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        todo!()
    }
    async fn swap(&self, _key: &ObjectKey, _expected: Option<&Tag>, _bytes: Bytes) -> Result<Swap, Error> {
        todo!()
    }
}

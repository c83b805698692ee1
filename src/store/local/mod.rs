//! A store in a directory.
use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, Put, ReadStore, Swap, Tag, WriteStore};
use crate::{fs::Fs, types::ObjectKey};

/// A directory to read a store from.
#[derive(Debug)]
pub struct LocalReader;

impl LocalReader {
    /// Opens the store in the directory `root`. Blocks.
    ///
    /// # Errors
    /// [`super::ErrorKind::NotFound`] when there is no such directory, [`super::ErrorKind::BadAnswer`] when it is something else.
    pub fn open(_fs: Arc<dyn Fs>, _root: &Path) -> Result<Self, Error> {
        todo!()
    }
}

#[async_trait]
impl ReadStore for LocalReader {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}

/// What to do when the directory of a store is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Make it, and what is missing above it.
    Yes,
    /// Refuse.
    No,
}

/// A directory to read a store from and to write it to.
#[derive(Debug)]
pub struct LocalStore;

impl LocalStore {
    /// Opens the store in the directory `root`. Blocks.
    ///
    /// # Errors
    /// As [`LocalReader::open`]; [`super::ErrorKind::Denied`] where this user may not write.
    pub fn open(_fs: Arc<dyn Fs>, _root: &Path, _create: Create) -> Result<Self, Error> {
        todo!()
    }
}

#[async_trait]
impl ReadStore for LocalStore {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}

#[async_trait]
impl WriteStore for LocalStore {
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

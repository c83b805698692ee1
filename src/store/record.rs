//! Writes down every call, and injects faults.
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, ErrorKind, Put, ReadStore, Swap, Tag, WriteStore};
use crate::types::ObjectKey;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`ReadStore::get_into`] or [`ReadStore::get`].
    Get,
    /// [`WriteStore::put_new`].
    Put,
    /// [`WriteStore::sync`].
    Sync,
    /// [`WriteStore::get_tagged`].
    GetTagged,
    /// [`WriteStore::swap`].
    Swap,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many calls came before.
    pub index: usize,
    /// What was called.
    pub action: Action,
    /// The key; `None` for a sync.
    pub key: Option<ObjectKey>,
    /// Bytes given (put, swap) or received (get; 0 while the call is being made).
    pub bytes: u64,
}

/// What goes wrong with a call.
pub enum Fault {
    /// The call is not made and fails.
    Fail(ErrorKind),
    /// The call is made, and then fails: its answer is lost.
    LoseAnswer(ErrorKind),
    /// What a get has read is changed.
    Change(Box<dyn FnOnce(&mut Vec<u8>) + Send>),
    /// The call is made after a pause.
    Delay(Duration),
}

/// A store that writes down every call.
#[derive(Debug)]
pub struct RecordStore<S>(S);

impl<S> RecordStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }

    /// Asks `fault` before every call what goes wrong with it.
    #[must_use]
    pub fn with_faults(self, _fault: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) -> Self {
        todo!()
    }

    /// The calls so far, in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        todo!()
    }
}

#[async_trait]
impl<S: ReadStore> ReadStore for RecordStore<S> {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}

#[async_trait]
impl<S: WriteStore> WriteStore for RecordStore<S> {
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

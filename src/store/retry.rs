//! Asks again.
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, Put, ReadStore, Swap, Tag, WriteStore};
use crate::types::ObjectKey;

/// How often and how patiently a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most calls made in all.
    pub max_attempts: usize,
    /// The first pause; each later one is twice as long, less a random part.
    pub first_pause: Duration,
    /// The longest pause of our own; a longer one that the store asks for is honoured up to a minute.
    pub longest_pause: Duration,
}

/// A store that repeats calls which may succeed a little later.
#[derive(Debug)]
pub struct RetryStore<S>(S);

impl<S> RetryStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, _policy: RetryPolicy) -> Self {
        Self(inner)
    }
}

#[async_trait]
impl<S: ReadStore> ReadStore for RetryStore<S> {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}

#[async_trait]
impl<S: WriteStore> WriteStore for RetryStore<S> {
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

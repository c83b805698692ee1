//! A value whose signatures or hash were checked.

use std::ops::Deref;

use crate::types::Hash;

/// A value that is proved to be what the publisher signed. Only `trust` makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    bytes: Vec<u8>,
    hash: Hash,
}

impl<T> Verified<T> {
    /// `bytes` are what `value` was read from; `hash` is what names it.
    pub(super) fn new(value: T, bytes: Vec<u8>, hash: Hash) -> Self {
        Self { value, bytes, hash }
    }

    /// The exact bytes it was read from: the envelope of a root or head, the stored form of a manifest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE3 of the payload of a root or head, or of the stored form of a manifest.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The value alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

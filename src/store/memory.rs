//! A store in memory: for tests, and for whoever uses the library without a disk.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Charge, Error, ErrorKind, Put, ReadStore, Swap, Tag, WantedForms, WriteStore};
use crate::types::{Forms, ObjectKey};

/// A store in memory. Clones are the same store. Everything is visible at once.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    name: Arc<str>,
    objects: Arc<Mutex<BTreeMap<ObjectKey, Bytes>>>,
    forms: WantedForms,
    charge: Charge,
}

impl MemoryStore {
    /// An empty store with this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), objects: Arc::default(), forms: WantedForms::ByDefault(Forms::Zstd), charge: Charge::Free }
    }

    /// The same store, to hold chunks in these forms.
    #[must_use]
    pub fn with_forms(self, forms: Forms) -> Self {
        Self { forms: WantedForms::Exactly(forms), ..self }
    }

    /// The same store, but reading from it costs something.
    #[must_use]
    pub fn with_charge(self, charge: Charge) -> Self {
        Self { charge, ..self }
    }

    /// The keys of all objects, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.objects().keys().cloned().collect()
    }

    /// Puts or overwrites an object, as a broken or lying store would.
    pub fn overwrite(&self, key: &ObjectKey, bytes: impl Into<Bytes>) {
        self.objects().insert(key.clone(), bytes.into());
    }

    /// Removes an object; whether there was one.
    #[must_use = "a test that removes nothing tests nothing"]
    pub fn remove(&self, key: &ObjectKey) -> bool {
        self.objects().remove(key).is_some()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Bytes>> {
        self.objects.lock().expect("no holder of this lock panics")
    }

    fn find(&self, action: &'static str, key: &ObjectKey, max_bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.objects().get(key).cloned() {
            Some(bytes) if bytes.len() as u64 > max_bytes => {
                let reason = format!("{} bytes, at most {max_bytes} expected", bytes.len());
                Err(Error::new(ErrorKind::TooLarge, &self.name, action, key.as_str(), reason))
            }
            found => Ok(found),
        }
    }
}

#[async_trait]
impl ReadStore for MemoryStore {
    fn charge(&self) -> Charge {
        self.charge.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        match self.find("get", key, max_bytes)? {
            Some(bytes) => into.extend_from_slice(&bytes),
            None => return Err(Error::new(ErrorKind::NotFound, &self.name, "get", key.as_str(), "no such object")),
        }
        Ok(())
    }
}

#[async_trait]
impl WriteStore for MemoryStore {
    fn forms(&self) -> WantedForms {
        self.forms
    }

    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        let mut objects = self.objects();
        match objects.get(key) {
            None => {
                objects.insert(key.clone(), bytes);
                Ok(Put::Created)
            }
            Some(existing) if existing.len() == bytes.len() => Ok(Put::Existed),
            Some(existing) => Err(Error::conflict(&self.name, key, existing.len() as u64, bytes.len() as u64)),
        }
    }

    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        let found = self.find("get", key, max_bytes)?;
        Ok(found.map(|bytes| (bytes.to_vec(), Tag::of(&bytes))))
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        let mut objects = self.objects();
        if objects.get(key).map(|bytes| Tag::of(bytes)).as_ref() != expected {
            return Ok(Swap::Lost);
        }
        let tag = Tag::of(&bytes);
        objects.insert(key.clone(), bytes);
        Ok(Swap::Done(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn conforms() {
        let store = MemoryStore::new("memory");
        conformance::run_write(|| Arc::new(store.clone())).await;
    }
}

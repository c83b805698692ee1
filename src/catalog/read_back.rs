//! Reading back what a run put, before any head names it.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

use bytes::Bytes;

use crate::{
    store::{self, DynWriteStore, ErrorKind, Put, Swap},
    types::{Hash, ObjectKey},
};

/// The longest object that is looked at before it is replaced.
const MAX_BYTES: u64 = 64 << 20;

/// Objects of a store that are read back.
const SAMPLE_OBJECTS: usize = 32;

/// Some of the objects that a run put or relies on, drawn by lot: other ones in every run.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    lots: RandomState,
    drawn: BTreeMap<u64, ObjectKey>,
}

impl Sample {
    /// Takes an object in, if its lot is low enough. The same object always has the same lot in a sample.
    pub fn add(&mut self, object: &ObjectKey) {
        let lot = self.lots.hash_one(object.as_str());
        let is_full = self.drawn.len() >= SAMPLE_OBJECTS;
        if is_full && self.drawn.last_key_value().is_some_and(|(highest, _)| lot >= *highest) {
            return;
        }
        self.drawn.insert(lot, object.clone());
        if self.drawn.len() > SAMPLE_OBJECTS {
            self.drawn.pop_last();
        }
    }

    /// The objects of the sample.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectKey> {
        self.drawn.values()
    }
}

/// What became of an object that was put and proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// It was not there and is now.
    Created,
    /// It was there and is what its name says, or another put of this store has it in hand.
    Existed,
    /// Other bytes were under its name and are replaced.
    Replaced,
}

/// Puts an immutable object, and looks at what is there already instead of believing its length: other bytes are replaced, at once and durably.
/// A reader meanwhile gets either the wrong bytes, which it refuses, or the right ones. `bytes` must be what the name says.
///
/// # Errors
/// What the store says; [`ErrorKind::Conflict`] when somebody else replaces it at the same time.
pub async fn put_proved(store: &DynWriteStore, object: &ObjectKey, bytes: &Bytes) -> Result<Proved, store::Error> {
    match store.put_new(object, Bytes::clone(bytes)).await {
        Ok(Put::Created) => return Ok(Proved::Created),
        Err(error) if error.kind != ErrorKind::Conflict => return Err(error),
        Ok(Put::Existed) | Err(_) => {}
    }
    match store.get_tagged(object, MAX_BYTES).await? {
        Some((there, tag)) if there != *bytes => match store.swap(object, Some(&tag), Bytes::clone(bytes)).await? {
            Swap::Done(_) => Ok(Proved::Replaced),
            Swap::Lost => {
                let reason = "it was damaged, and somebody else replaced it at the same time";
                Err(store::Error::new(ErrorKind::Conflict, store.name(), "swap", object.as_str(), reason))
            }
        },
        // What is not visible yet is staged: it becomes visible with the next sync.
        Some(_) | None => Ok(Proved::Existed),
    }
}

/// Checks that a store gives an immutable object back as it was put: its name is the hash of its bytes.
///
/// # Errors
/// [`ErrorKind::Conflict`] when the bytes are others; what the store says when it gives none.
pub async fn check_object(store: &DynWriteStore, object: &ObjectKey, max_bytes: u64) -> Result<(), store::Error> {
    let found = Hash::of(&store.get(object, max_bytes).await?).to_string();
    if object.as_str().ends_with(&found) {
        return Ok(());
    }
    let reason = format!("does not give back what was put: its bytes hash to {found}");
    Err(store::Error::new(ErrorKind::Conflict, store.name(), "read back", object.as_str(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::{collections::BTreeSet, sync::Arc};

    use crate::store::{MemoryStore, ReadStore as _};

    fn sample_of_a_hundred() -> BTreeSet<ObjectKey> {
        let mut sample = Sample::default();
        for n in (0..100_u32).chain(0..100) {
            sample.add(&format!("chunks/{n:03}").parse().unwrap());
        }
        sample.objects().cloned().collect()
    }

    #[test]
    fn the_sample_is_bounded_and_another_one_each_time() {
        let samples: Vec<_> = (0..50).map(|_| sample_of_a_hundred()).collect();
        assert!(samples.iter().all(|sample| sample.len() == SAMPLE_OBJECTS));
        let drawn: BTreeSet<_> = samples.iter().flatten().collect();
        assert!(drawn.len() > 90, "{} of 100 objects are ever drawn", drawn.len());
    }

    #[tokio::test]
    async fn wrong_bytes_under_a_name_are_replaced_whatever_their_length() {
        let (object, right) = ("chunks/aa/x".parse().unwrap(), Bytes::from_static(b"right"));
        for (there, expected) in [
            (None, Proved::Created),
            (Some("right"), Proved::Existed),
            (Some("wrong"), Proved::Replaced),
            (Some("longer"), Proved::Replaced),
        ] {
            let memory = MemoryStore::new("memory");
            there.into_iter().for_each(|bytes| memory.overwrite(&object, bytes));
            let store: DynWriteStore = Arc::new(memory.clone());
            assert_eq!(put_proved(&store, &object, &right).await.unwrap(), expected);
            assert_eq!(memory.get(&object, 9).await.unwrap(), &right[..]);
        }
    }
}

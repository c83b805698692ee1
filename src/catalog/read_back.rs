//! Reading back what a run put, before any head names it.

use std::collections::BTreeSet;

use crate::{
    store::{self, DynWriteStore, ErrorKind},
    types::{Hash, ObjectKey},
};

/// Objects of a store that are read back.
const SAMPLE_OBJECTS: usize = 32;

/// Some of the objects that a run put: those with the lowest names, since hashes are as good as drawn by lot.
#[derive(Clone, Debug, Default)]
pub struct Sample(BTreeSet<ObjectKey>);

impl Sample {
    /// Takes an object in, if its name is low enough.
    pub fn add(&mut self, object: &ObjectKey) {
        if self.0.len() < SAMPLE_OBJECTS {
            self.0.insert(object.clone());
        } else if self.0.last().is_some_and(|last| object < last) {
            self.0.pop_last();
            self.0.insert(object.clone());
        }
    }

    /// The objects of the sample.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.iter()
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

    #[test]
    fn the_sample_is_of_the_lowest_names_and_bounded() {
        let mut sample = Sample::default();
        for n in (0..100_u32).rev() {
            sample.add(&format!("chunks/{n:03}").parse().unwrap());
        }
        let names: Vec<_> = sample.objects().map(ObjectKey::to_string).collect();
        assert_eq!(names, (0..32).map(|n| format!("chunks/{n:03}")).collect::<Vec<_>>());
    }
}

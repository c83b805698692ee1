//! `store.json`: what lies in a store. Unsigned, a hint: nothing that must be right depends on it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{json, key};
use crate::types::{Form, Forms, Hash};

const FORMAT: &str = "qsync-store/1";

/// What lies in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    format: String,
    /// The repository whose channels it holds.
    pub repo: Hash,
    /// How its chunks are stored.
    forms: Vec<Form>,
    /// How it replaces objects.
    pub cas: Cas,
}

/// How a store compares versions when it replaces an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cas {
    /// Entity tags in quotes, as the standard has it.
    Quoted,
    /// Entity tags without quotes.
    Bare,
    /// Not at all over the network: a store of one machine, which locks, or one that only one publisher may write to.
    None,
}

/// Bytes that are not a `store.json`.
#[derive(Debug, Error)]
pub enum Error {
    /// Not JSON, or not of this shape.
    #[error("not the JSON of a store.json")]
    Json(#[from] json::JsonError),
    /// Of a format that this program does not know.
    #[error("format {found:?}, this qsync reads {FORMAT:?}: a newer release is needed")]
    OtherFormat {
        /// The format that it names.
        found: String,
    },
}

impl StoreInfo {
    /// A store of this repository that holds chunks in these forms.
    #[must_use]
    pub fn new(repo: Hash, forms: Forms, cas: Cas) -> Self {
        Self { format: FORMAT.to_owned(), repo, forms: forms.iter().collect(), cas }
    }

    /// The forms that it holds.
    #[must_use]
    pub fn forms(&self) -> Forms {
        Forms::of(&self.forms)
    }

    /// Reads a `store.json`.
    ///
    /// # Errors
    /// When it is not one, or of a format that this program does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let info: Self = json::from_slice_strict(bytes, key::STORE_INFO_MAX_BYTES)?;
        if info.format == FORMAT { Ok(info) } else { Err(Error::OtherFormat { found: info.format.chars().take(100).collect() }) }
    }

    /// Writes a `store.json`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and enums are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_newer() {
        for forms in [Forms::Zstd, Forms::Raw, Forms::Both, Forms::Neither] {
            let value = StoreInfo::new(Hash::of(b"repo"), forms, Cas::Quoted);
            let read = StoreInfo::from_bytes(&value.to_bytes()).unwrap();
            assert_eq!((&read, read.forms()), (&value, forms));
        }
        let bytes = StoreInfo::new(Hash::of(b"repo"), Forms::Zstd, Cas::Quoted).to_bytes();
        let newer = String::from_utf8(bytes).unwrap().replace("/1\"", "/2\"");
        assert!(matches!(StoreInfo::from_bytes(newer.as_bytes()), Err(Error::OtherFormat { found }) if found.ends_with("/2")));
        assert!(matches!(StoreInfo::from_bytes(b"<html>"), Err(Error::Json(_))));
    }
}

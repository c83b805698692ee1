//! `index.json`: the channels of a store. Unsigned, a hint: each channel is checked through its signed head.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{json, key};
use crate::types::{ChannelName, Cid, Hash};

const FORMAT: &str = "qsync-index/1";

/// The channels of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    format: String,
    /// The repository they belong to.
    pub repo: Hash,
    /// Their names.
    pub channels: BTreeSet<ChannelName>,
    /// Where the newest snapshots of some of them are on IPFS.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ipfs: BTreeMap<ChannelName, OnIpfs>,
}

/// Where a snapshot is on IPFS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnIpfs {
    /// The CID of its directory.
    pub root: Cid,
    /// Addresses of a node that has it, as nodes write them.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Bytes that are not an `index.json`.
#[derive(Debug, Error)]
pub enum Error {
    /// Not JSON, or not of this shape.
    #[error("not the JSON of an index.json")]
    Json(#[from] json::JsonError),
    /// Of a format that this program does not know.
    #[error("format {found:?}, this qsync reads {FORMAT:?}: a newer release is needed")]
    OtherFormat {
        /// The format that it names.
        found: String,
    },
}

impl Index {
    /// An index without channels.
    #[must_use]
    pub fn new(repo: Hash) -> Self {
        Self { format: FORMAT.to_owned(), repo, channels: BTreeSet::new(), ipfs: BTreeMap::new() }
    }

    /// Reads an `index.json`.
    ///
    /// # Errors
    /// When it is not one, or of a format that this program does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let index: Self = json::from_slice_strict(bytes, key::INDEX_MAX_BYTES)?;
        if index.format == FORMAT { Ok(index) } else { Err(Error::OtherFormat { found: index.format.chars().take(100).collect() }) }
    }

    /// Writes an `index.json`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_newer() {
        let channel = || "a/b".parse::<ChannelName>().unwrap();
        let root = Cid::new(crate::types::Codec::DagPb, Hash::of(b"root"));
        let ipfs = BTreeMap::from([(channel(), OnIpfs { root, addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()] })]);
        let value = Index { channels: [channel()].into(), ipfs, ..Index::new(Hash::of(b"repo")) };
        let bytes = value.to_bytes();
        assert_eq!(Index::from_bytes(&bytes).unwrap(), value);
        let newer = String::from_utf8(bytes).unwrap().replace("/1\"", "/2\"");
        assert!(matches!(Index::from_bytes(newer.as_bytes()), Err(Error::OtherFormat { found }) if found.ends_with("/2")));
        assert!(matches!(Index::from_bytes(b"<html>"), Err(Error::Json(_))));
        // As it was before there was IPFS, and is without it.
        let plain = Index { channels: [channel()].into(), ..Index::new(Hash::of(b"repo")) };
        assert!(!String::from_utf8(plain.to_bytes()).unwrap().contains("ipfs"));
        assert_eq!(Index::from_bytes(&plain.to_bytes()).unwrap(), plain);
    }
}

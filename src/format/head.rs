//! The payload of a head: the newest snapshot of a channel, and those before it (docs/format.md, 2.5).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    key::{MANIFEST_JSON_MAX_BYTES, MANIFEST_MAX_BYTES},
    payload::{Error, Payload, require},
};
use crate::types::{ChannelName, Hash, Timestamp};

/// What a channel offers, as signed by its publish keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The repository: BLAKE3 of the payload of its root version 1.
    pub repo: Hash,
    /// The version of the root whose keys sign this head.
    pub root_version: u32,
    /// The channel.
    pub channel: ChannelName,
    /// Number of this head; only ever grows.
    pub seq: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// How long a snapshot stays fetchable after the last head that named it, hours.
    pub window_hours: u32,
    /// The newest snapshot.
    pub snapshot: Newest,
    /// Earlier snapshots that can still be fetched, newest first.
    pub older: Vec<Older>,
}

/// The newest snapshot of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// BLAKE3 of the stored manifest: the snapshot's id.
    pub manifest: Hash,
    /// Length of the stored manifest, bytes.
    pub manifest_bytes: u64,
    /// Length of the manifest's JSON, bytes.
    pub manifest_json_bytes: u64,
    /// The state contains this block, and may be newer.
    pub height: Option<u64>,
    /// Hash of the block at `height`, as the node prints it.
    pub block_hash: Option<String>,
    /// Hash of the genesis block, as the node prints it.
    pub genesis: Option<String>,
    /// When the copy of the database was taken.
    pub taken_at: Timestamp,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Length of all frames, bytes.
    pub frame_bytes: u64,
    /// Name of the database engine.
    pub engine: Option<String>,
    /// Name and version of the node software.
    pub client: Option<String>,
    /// Where it lies on IPFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<Ipfs>,
    /// The oldest qsync that can restore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_qsync: Option<Release>,
}

/// An earlier snapshot of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    /// BLAKE3 of the stored manifest: the snapshot's id.
    pub manifest: Hash,
    /// Length of the stored manifest, bytes.
    pub manifest_bytes: u64,
    /// Length of the manifest's JSON, bytes.
    pub manifest_json_bytes: u64,
    /// The state contains this block, and may be newer.
    pub height: Option<u64>,
    /// When the copy of the database was taken.
    pub taken_at: Timestamp,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// It can be fetched at least until then.
    pub until: Timestamp,
    /// Where it lies on IPFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<Ipfs>,
}

/// CIDs of a snapshot on IPFS; one that was not made is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipfs {
    /// The directory that holds everything.
    pub root: String,
    /// The archive in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The plain database directory in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

/// What a head says of any of its snapshots, newest or older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// BLAKE3 of the stored manifest: the snapshot's id.
    pub manifest: Hash,
    /// Length of the stored manifest, bytes.
    pub manifest_bytes: u64,
    /// Length of the manifest's JSON, bytes.
    pub manifest_json_bytes: u64,
    /// The state contains this block, and may be newer.
    pub height: Option<u64>,
    /// When the copy of the database was taken.
    pub taken_at: Timestamp,
    /// Length of all files, bytes.
    pub bytes: u64,
}

impl Newest {
    /// The part of it that older snapshots have too.
    #[must_use]
    pub fn to_ref(&self) -> SnapshotRef {
        SnapshotRef {
            manifest: self.manifest,
            manifest_bytes: self.manifest_bytes,
            manifest_json_bytes: self.manifest_json_bytes,
            height: self.height,
            taken_at: self.taken_at,
            bytes: self.bytes,
        }
    }
}

impl Older {
    /// The part of it that the newest snapshot has too.
    #[must_use]
    pub fn to_ref(&self) -> SnapshotRef {
        SnapshotRef {
            manifest: self.manifest,
            manifest_bytes: self.manifest_bytes,
            manifest_json_bytes: self.manifest_json_bytes,
            height: self.height,
            taken_at: self.taken_at,
            bytes: self.bytes,
        }
    }
}

impl Head {
    /// All snapshots it names, newest first.
    pub fn snapshots(&self) -> impl Iterator<Item = SnapshotRef> + '_ {
        std::iter::once(self.snapshot.to_ref()).chain(self.older.iter().map(Older::to_ref))
    }
}

impl Payload for Head {
    const TYPE: &'static str = "qsync-head";
    const MEDIA_TYPE: &'static str = "application/vnd.qsync.head.v1+json";

    fn check(&self) -> Result<(), Error> {
        require(self.root_version >= 1, "root_version", "0, at least 1 expected")?;
        require(self.seq >= 1, "seq", "0, at least 1 expected")?;
        require(self.expires > self.issued, "expires", format!("{} is not after issued, {}", self.expires, self.issued))?;
        self.snapshots().try_for_each(|snapshot| check_sizes(&snapshot))
    }
}

fn check_sizes(snapshot: &SnapshotRef) -> Result<(), Error> {
    let bounded = |field, found: u64, max: u64| require((1..=max).contains(&found), field, format!("{found}, 1 to {max} expected"));
    bounded("manifest_bytes", snapshot.manifest_bytes, MANIFEST_MAX_BYTES)?;
    bounded("manifest_json_bytes", snapshot.manifest_json_bytes, MANIFEST_JSON_MAX_BYTES)
}

/// The number of a qsync release, `MAJOR.MINOR.PATCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

/// Text that is not the number of a release.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a release number (MAJOR.MINOR.PATCH): {0:?}")]
pub struct InvalidRelease(pub String);

impl Release {
    /// The release that is running.
    #[must_use]
    pub fn running() -> Self {
        env!("CARGO_PKG_VERSION").parse().expect("the package's version has three numbers")
    }
}

impl FromStr for Release {
    type Err = InvalidRelease;

    fn from_str(text: &str) -> Result<Self, InvalidRelease> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(InvalidRelease(text.chars().take(50).collect())),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for Release {
    type Error = InvalidRelease;

    fn try_from(text: String) -> Result<Self, InvalidRelease> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.to_string()
    }
}

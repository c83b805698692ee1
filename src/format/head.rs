//! The payload of a head: the newest snapshot of a channel, and those before it (docs/format.md, 2.5).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    key::{MANIFEST_JSON_MAX_BYTES, MANIFEST_MAX_BYTES},
    manifest::{Client, Manifest},
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
    /// What a head says of the snapshot that has this manifest.
    #[must_use]
    pub fn of(snapshot: &SnapshotRef, manifest: &Manifest, ipfs: Option<Ipfs>) -> Self {
        let about = manifest.about();
        Self {
            manifest: snapshot.manifest,
            manifest_bytes: snapshot.manifest_bytes,
            manifest_json_bytes: snapshot.manifest_json_bytes,
            height: about.height,
            block_hash: about.block_hash.clone(),
            genesis: about.genesis.clone(),
            taken_at: about.taken_at,
            bytes: manifest.totals().bytes,
            frame_bytes: manifest.totals().frame_bytes,
            engine: about.engine.as_ref().map(|engine| engine.name.clone()),
            client: about.client.as_ref().map(Client::to_string),
            ipfs,
            min_qsync: None,
        }
    }

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

    /// Whether this snapshot, by its id, is among them.
    #[must_use]
    pub fn names(&self, id: &Hash) -> bool {
        self.snapshot.manifest == *id || self.older.iter().any(|older| older.manifest == *id)
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

#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    /// A head that keeps every rule.
    pub(crate) fn head(repo: Hash, seq: u64) -> Head {
        Head {
            repo,
            root_version: 1,
            channel: "kusama/rocksdb-pruned".parse().unwrap(),
            seq,
            issued: "2026-11-20T03:00:12Z".parse().unwrap(),
            expires: "2026-11-27T03:00:12Z".parse().unwrap(),
            window_hours: 72,
            snapshot: newest(b"manifest"),
            older: Vec::new(),
        }
    }

    /// A snapshot whose stored manifest are these bytes.
    pub(crate) fn newest(manifest: &[u8]) -> Newest {
        Newest {
            manifest: Hash::of(manifest),
            manifest_bytes: manifest.len() as u64,
            manifest_json_bytes: 100,
            height: Some(7),
            block_hash: None,
            genesis: None,
            taken_at: "2026-11-20T03:00:12Z".parse().unwrap(),
            bytes: 10,
            frame_bytes: 5,
            engine: None,
            client: None,
            ipfs: None,
            min_qsync: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        sample::head(Hash::of(b"repo"), 184)
    }

    fn with(change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
        let mut json = serde_json::from_slice(&head().to_bytes().unwrap()).unwrap();
        change(&mut json);
        serde_json::to_vec(&json).unwrap()
    }

    #[test]
    fn reads_what_it_writes_and_ignores_unknown_fields() {
        assert_eq!(Head::from_bytes(&head().to_bytes().unwrap()).unwrap(), head());
        let extended = with(|json| json["snapshot"]["new_field"] = serde_json::json!([1]));
        assert_eq!(Head::from_bytes(&extended).unwrap(), head());
    }

    #[test]
    fn names_its_type_and_version_first() {
        let text = String::from_utf8(head().to_bytes().unwrap()).unwrap();
        assert!(text.starts_with(r#"{"type":"qsync-head","v":1,"repo":""#), "{text}");
    }

    #[test]
    fn says_when_a_newer_release_is_needed() {
        let future = br#"{"type":"qsync-head","v":2,"anything":"else"}"#;
        assert!(matches!(Head::from_bytes(future), Err(Error::OtherVersion { found: 2, .. })));
        let other = with(|json| json["type"] = "qsync-root".into());
        assert!(matches!(Head::from_bytes(&other), Err(Error::OtherType { .. })));
    }

    #[test]
    fn refuses_values_out_of_bounds() {
        type Break = fn(&mut serde_json::Value);
        let breaks: [(&str, Break); 7] = [
            ("seq", |json| json["seq"] = 0.into()),
            ("root_version", |json| json["root_version"] = 0.into()),
            ("expires", |json| json["expires"] = json["issued"].clone()),
            ("manifest_bytes", |json| json["snapshot"]["manifest_bytes"] = 0.into()),
            ("manifest_bytes", |json| json["snapshot"]["manifest_bytes"] = ((256_u64 << 20) + 1).into()),
            ("manifest_json_bytes", |json| json["snapshot"]["manifest_json_bytes"] = ((1_u64 << 30) + 1).into()),
            ("manifest_bytes", |json| {
                let mut older = json["snapshot"].clone();
                older["until"] = json["expires"].clone();
                older["manifest_bytes"] = 0.into();
                json["older"] = vec![older].into();
            }),
        ];
        for (name, change) in breaks {
            assert!(matches!(Head::from_bytes(&with(change)), Err(Error::Rule { field, .. }) if field == name), "{name}");
        }
        for json in [with(|json| json["seq"] = (-1).into()), with(|json| json["channel"] = "../x".into())] {
            assert!(matches!(Head::from_bytes(&json), Err(Error::Json(_))));
        }
    }

    #[test]
    fn refuses_duplicate_keys_and_too_many_bytes() {
        let text = String::from_utf8(head().to_bytes().unwrap()).unwrap();
        let twice = text.replacen(r#""seq":184"#, r#""seq":184,"seq":185"#, 1);
        assert!(matches!(Head::from_bytes(twice.as_bytes()), Err(Error::Json(_))));
        let long = [text.as_bytes(), &vec![b' '; 64 << 10]].concat();
        assert!(matches!(Head::from_bytes(&long), Err(Error::TooLong { .. })));
    }

    #[test]
    fn releases_compare_by_number() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        assert!(release("0.10.0") > release("0.9.9"));
        for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "v1.2.3"] {
            assert!(bad.parse::<Release>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..900_usize, byte: u8) {
            let _ = Head::from_bytes(&bytes);
            let mut damaged = head().to_bytes().unwrap();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = Head::from_bytes(&damaged);
        }
    }
}

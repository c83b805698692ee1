//! The payload of a root: who may sign what (docs/trust.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::payload::{Error, Payload, require};
use crate::types::{ChannelName, Timestamp};

/// Most keys that a root may name.
pub const MAX_KEYS: usize = 64;
/// Longest name of a repository, bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Names the keys of a repository and what they may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The repository's name, for people.
    pub name: String,
    /// Number of this root: 1, then one more each time.
    pub version: u32,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// All keys, by their ids.
    pub keys: BTreeMap<String, KeyBytes>,
    /// Who signs roots.
    pub root: Role,
    /// Who signs heads.
    pub publish: Role,
    /// The channels that heads may be of.
    pub channels: Vec<ChannelGlob>,
}

/// Keys, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Ids of keys.
    pub keys: Vec<String>,
    /// How many distinct keys must sign.
    pub threshold: u32,
}

/// An Ed25519 public key (RFC 8032), as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyBytes(pub [u8; 32]);

/// Text that is not a public key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a public key (64 lower-case hex digits): {0:?}")]
pub struct InvalidKeyBytes(pub String);

/// Which channels are meant: a channel name in which `*` stands for any run of characters but `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelGlob(String);

/// Text that is no pattern of channels.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a pattern of channels (<chain>/<profile> with * for any characters): {0:?}")]
pub struct InvalidChannelGlob(pub String);

impl Root {
    /// Whether heads of this channel may be signed.
    #[must_use]
    pub fn allows(&self, channel: &ChannelName) -> bool {
        self.channels.iter().any(|glob| glob.matches(channel))
    }

    /// The public keys of a role.
    pub fn keys_of<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = KeyBytes> + 'a {
        role.keys.iter().filter_map(|id| self.keys.get(id).copied())
    }

    fn check_keys(&self) -> Result<(), Error> {
        require(self.keys.len() <= MAX_KEYS, "keys", format!("{} keys, at most {MAX_KEYS} expected", self.keys.len()))?;
        let distinct: BTreeSet<_> = self.keys.values().collect();
        // One holder under two ids would count twice towards k of n.
        require(distinct.len() == self.keys.len(), "keys", "one public key has two ids")
    }

    fn check_role(&self, field: &'static str, role: &Role) -> Result<(), Error> {
        let distinct: BTreeSet<_> = role.keys.iter().collect();
        require(distinct.len() == role.keys.len(), field, "a key is named twice")?;
        if let Some(id) = role.keys.iter().find(|id| !self.keys.contains_key(*id)) {
            return require(false, field, format!("key {id:?} is not among the root's keys"));
        }
        let fits = usize::try_from(role.threshold).is_ok_and(|k| (1..=distinct.len()).contains(&k));
        require(fits, field, format!("threshold {} of {} keys", role.threshold, distinct.len()))
    }
}

impl Payload for Root {
    const TYPE: &'static str = "qsync-root";
    const MEDIA_TYPE: &'static str = "application/vnd.qsync.root.v1+json";

    fn check(&self) -> Result<(), Error> {
        require(self.version >= 1, "version", "0, at least 1 expected")?;
        require(self.expires > self.issued, "expires", format!("{} is not after issued, {}", self.expires, self.issued))?;
        let printable = self.name.len() <= MAX_NAME_BYTES && !self.name.chars().any(char::is_control);
        require(printable, "name", format!("longer than {MAX_NAME_BYTES} bytes or with control characters"))?;
        self.check_keys()?;
        self.check_role("root", &self.root)?;
        self.check_role("publish", &self.publish)
    }
}

impl ChannelGlob {
    /// All channels.
    #[must_use]
    pub fn all() -> Self {
        Self("*/*".to_owned())
    }

    /// Whether the channel is one of those meant.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        self.0.split_once('/').is_some_and(|(chain, profile)| glob(chain, channel.chain()) && glob(profile, channel.profile()))
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters.
///
/// Linear in the product of their lengths, whatever the pattern: on a mismatch only the last star is tried again.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), retry) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            (Some(byte), _) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((after_star, from))) => {
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl FromStr for ChannelGlob {
    type Err = InvalidChannelGlob;

    fn from_str(text: &str) -> Result<Self, InvalidChannelGlob> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-*".contains(&b);
        let half = |half: &str| (1..=64).contains(&half.len()) && half.bytes().all(allowed);
        match text.split_once('/') {
            Some((chain, profile)) if half(chain) && half(profile) => Ok(Self(text.to_owned())),
            _ => Err(InvalidChannelGlob(text.chars().take(200).collect())),
        }
    }
}

impl fmt::Display for ChannelGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ChannelGlob {
    type Error = InvalidChannelGlob;

    fn try_from(text: String) -> Result<Self, InvalidChannelGlob> {
        text.parse()
    }
}

impl From<ChannelGlob> for String {
    fn from(glob: ChannelGlob) -> Self {
        glob.0
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBytes({})", hex::encode(self.0))
    }
}

impl TryFrom<String> for KeyBytes {
    type Error = InvalidKeyBytes;

    fn try_from(text: String) -> Result<Self, InvalidKeyBytes> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(InvalidKeyBytes(text.chars().take(80).collect())),
        }
    }
}

impl From<KeyBytes> for String {
    fn from(key: KeyBytes) -> Self {
        hex::encode(key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(keys: &[u8], threshold: u32) -> Role {
        Role { keys: keys.iter().map(ToString::to_string).collect(), threshold }
    }

    fn root(version: u32, root: Role, publish: Role, all: &[u8]) -> Root {
        Root {
            name: "test".to_owned(),
            version,
            issued: "2026-11-20T03:00:12Z".parse().unwrap(),
            expires: "2027-11-20T03:00:12Z".parse().unwrap(),
            keys: all.iter().map(|n| (n.to_string(), KeyBytes([*n; 32]))).collect(),
            root,
            publish,
            channels: vec![ChannelGlob::all()],
        }
    }

    fn simple_root(version: u32) -> Root {
        root(version, role(&[1], 1), role(&[2], 1), &[1, 2])
    }

    fn refused(root: &Root, field: &str) {
        assert!(matches!(root.check(), Err(Error::Rule { field: found, .. }) if found == field), "{field}");
    }

    #[test]
    fn reads_what_it_writes() {
        let root = simple_root(1);
        assert_eq!(Root::from_bytes(&root.to_bytes().unwrap()).unwrap(), root);
    }

    #[test]
    fn refuses_thresholds_that_nobody_or_anybody_meets() {
        refused(&root(1, role(&[1], 0), role(&[2], 1), &[1, 2]), "root");
        refused(&root(1, role(&[1], 2), role(&[2], 1), &[1, 2]), "root");
        refused(&root(1, role(&[1], 1), role(&[2], 2), &[1, 2]), "publish");
        refused(&root(1, role(&[], 1), role(&[2], 1), &[1, 2]), "root");
    }

    // HM-16
    #[test]
    fn refuses_one_key_under_two_ids_and_one_id_twice() {
        let mut twice = root(1, role(&[1], 1), role(&[2], 1), &[1, 2]);
        twice.keys.insert("alias".to_owned(), KeyBytes([1; 32]));
        refused(&twice, "keys");
        refused(&root(1, role(&[1, 1], 2), role(&[2], 1), &[1, 2]), "root");
    }

    #[test]
    fn refuses_unknown_keys_too_many_keys_and_version_0() {
        refused(&root(1, role(&[3], 1), role(&[2], 1), &[1, 2]), "root");
        refused(&root(0, role(&[1], 1), role(&[2], 1), &[1, 2]), "version");
        let many: Vec<u8> = (1..=65).collect();
        refused(&root(1, role(&[1], 1), role(&[2], 1), &many), "keys");
        refused(&Root { name: "a\u{1b}[2J".to_owned(), ..simple_root(1) }, "name");
        refused(&Root { expires: simple_root(1).issued, ..simple_root(1) }, "expires");
    }

    #[test]
    fn a_star_stands_for_anything_but_a_slash() {
        let table = [
            ("*/*", true),
            ("kusama/*", true),
            ("kusama/rocksdb-*", true),
            ("*a/*pruned", true),
            ("kusama/*-*d", true),
            ("kusama/rocksdb-pruned", true),
            ("kusama/rocksdb", false),
            ("polkadot/*", false),
            ("kusama*/x*", false),
            ("*/*-archive", false),
        ];
        for (pattern, expected) in table {
            let glob: ChannelGlob = pattern.parse().unwrap();
            assert_eq!(glob.matches(&"kusama/rocksdb-pruned".parse().unwrap()), expected, "{pattern}");
        }
        for bad in ["", "*", "a/b/c", "A/*", "a/", "/b", "a/?"] {
            assert!(bad.parse::<ChannelGlob>().is_err(), "{bad}");
        }
    }
}

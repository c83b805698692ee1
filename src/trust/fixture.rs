//! Keys, roots and heads for tests.

use std::collections::BTreeMap;

use super::{
    SecretKey,
    envelope::Envelope,
    offer::{Answer, Offer},
    sign_head, sign_root,
};
use crate::{
    format::{
        head::{Head, sample},
        root::{ChannelGlob, Role, Root},
    },
    types::{ChannelName, Hash, Timestamp},
};

/// The time in tests: a while after the release.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub(crate) fn hours(hours: i64) -> Timestamp {
    NOW + jiff::SignedDuration::from_hours(hours)
}

pub(crate) fn minutes(minutes: i64) -> Timestamp {
    NOW + jiff::SignedDuration::from_mins(minutes)
}

/// Key number `n`.
pub(crate) fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

pub(crate) fn channel() -> ChannelName {
    "kusama/rocksdb-pruned".parse().unwrap()
}

/// A role of these keys.
pub(crate) fn role(keys: &[u8], threshold: u32) -> Role {
    Role { keys: keys.iter().map(|n| secret(*n).id().to_string()).collect(), threshold }
}

/// A root that names keys by their numbers.
pub(crate) fn root(version: u32, root: Role, publish: Role, all: &[u8]) -> Root {
    let keys: BTreeMap<_, _> = all.iter().map(|n| (secret(*n).id().to_string(), secret(*n).public().bytes())).collect();
    Root {
        name: "test".to_owned(),
        version,
        issued: hours(-1000),
        expires: hours(1000),
        keys,
        root,
        publish,
        channels: vec![ChannelGlob::all()],
    }
}

/// A root with root key 1 and publish key 2.
pub(crate) fn simple_root(version: u32) -> Root {
    root(version, role(&[1], 1), role(&[2], 1), &[1, 2])
}

pub(crate) fn signed_root(root: &Root, keys: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = keys.iter().map(|n| secret(*n)).collect();
    sign_root(root, &keys.iter().collect::<Vec<_>>()).unwrap()
}

/// The repository that begins with this root envelope.
pub(crate) fn repo(envelope: &[u8]) -> Hash {
    Envelope::parse(envelope).unwrap().payload_hash()
}

/// Head `seq` of the channel in tests, issued an hour ago and valid for a week.
pub(crate) fn head(repo: Hash, seq: u64) -> Head {
    Head { issued: hours(-1), expires: hours(167), ..sample::head(repo, seq) }
}

pub(crate) fn signed_head(head: &Head, keys: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = keys.iter().map(|n| secret(*n)).collect();
    sign_head(head, &keys.iter().collect::<Vec<_>>()).unwrap()
}

pub(crate) fn offer(source: &str, bytes: &[u8]) -> Offer {
    Offer { source: source.to_owned(), answer: Answer::Object(bytes.to_vec()) }
}

pub(crate) fn no_offer(source: &str, answer: Answer) -> Offer {
    Offer { source: source.to_owned(), answer }
}

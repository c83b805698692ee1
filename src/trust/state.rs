//! What was seen of a repository before.

use std::collections::BTreeMap;

use crate::types::{ChannelName, Timestamp};

/// What this machine has seen of a repository; empty when it is pinned and nothing was seen yet.
///
/// It only ever grows: [`decide`](super::decide) takes one and gives the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoState {
    /// Envelopes of the roots, oldest first.
    pub roots: Vec<Vec<u8>>,
    /// Envelope of the last accepted head of each channel.
    pub heads: BTreeMap<ChannelName, Vec<u8>>,
    /// The latest `issued` of an accepted head: proof that it is not earlier than that.
    pub last_time: Option<Timestamp>,
}

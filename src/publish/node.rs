//! The kind of node that a data directory belongs to, and what is said of it in every snapshot.

use std::collections::BTreeMap;

use crate::profile::NodeProfile;

/// The node whose data are published.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is published of its directory, what never, and how it is known.
    pub profile: NodeProfile,
    /// What the manifest says of the channel: its network, mode, pruning …
    pub labels: BTreeMap<String, String>,
}

impl Default for Node {
    /// Any directory, of which nothing is known.
    fn default() -> Self {
        Self { profile: NodeProfile::generic(), labels: BTreeMap::new() }
    }
}

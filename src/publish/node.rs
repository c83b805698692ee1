//! The kind of node that a data directory belongs to, and what is said of it in every snapshot.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{node::gate::Gate, profile::NodeProfile};

/// The node whose data are published.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is published of its directory, what never, and how it is known.
    pub profile: NodeProfile,
    /// What the manifest says of the channel: its network, mode, pruning …
    pub labels: BTreeMap<String, String>,
    /// How the node is asked before anything touches it; `None` where it cannot be asked.
    pub gate: Option<NodeGate>,
}

/// How a node is asked, and what is done when it is not fit.
#[derive(Clone, Debug)]
pub struct NodeGate {
    /// The questions.
    pub gate: Arc<Gate>,
    /// How old the newest snapshot may be for its head to be signed again then.
    pub refresh_max_age: Duration,
}

impl Default for Node {
    /// Any directory, of which nothing is known.
    fn default() -> Self {
        Self { profile: NodeProfile::generic(), labels: BTreeMap::new(), gate: None }
    }
}

//! What is known of the state that a snapshot holds, beside its files.

use super::Options;
use crate::{
    format::manifest::{Block, Client},
    node::{gate::plan::Given, probe::Status},
};

/// What a manifest says of the chain. The operator's word stands before the node's, which agreed with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) height: Option<u64>,
    pub(super) block_hash: Option<String>,
    pub(super) genesis: Option<String>,
    pub(super) finalized: Option<Block>,
    pub(super) client: Option<Client>,
}

impl Facts {
    /// What the operator says, where no node is asked.
    pub(super) fn given(options: &Options) -> Self {
        Self { height: options.height, block_hash: options.block_hash.clone(), ..Self::default() }
    }

    /// What the node said last. `hash_at_given` is its hash of the block that the operator names by its height alone.
    pub(super) fn of(given: &Given, status: &Status, hash_at_given: Option<String>) -> Self {
        let head = status.head.as_ref();
        let (height, block_hash) = match given.height {
            Some(height) => (Some(height), given.block_hash.clone().or(hash_at_given)),
            None => (status.height(), head.and_then(|head| head.hash.clone())),
        };
        let finalized = status.finalized.as_ref().and_then(|block| Some(Block { height: block.height, hash: block.hash.clone()? }));
        let client = status.client.as_ref().map(|client| Client { name: client.name.clone(), version: client.version.clone() });
        Self { height, block_hash, genesis: status.genesis.clone(), finalized, client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::probe;

    fn status() -> Status {
        let block = |height, hash: Option<&str>| Some(probe::Block { height, hash: hash.map(str::to_owned), time: None });
        Status { head: block(9, Some("0x9")), finalized: block(7, Some("0x7")), genesis: Some("0x0".into()), ..Status::default() }
    }

    #[test]
    fn the_node_tells_its_newest_block() {
        let facts = Facts::of(&Given::default(), &status(), None);
        assert_eq!((facts.height, facts.block_hash.as_deref(), facts.genesis.as_deref()), (Some(9), Some("0x9"), Some("0x0")));
        assert_eq!(facts.finalized, Some(Block { height: 7, hash: "0x7".into() }));
    }

    #[test]
    fn the_operators_block_stands_before_it() {
        let given = Given { height: Some(8), block_hash: None };
        let facts = Facts::of(&given, &status(), Some("0x8".into()));
        assert_eq!((facts.height, facts.block_hash.as_deref()), (Some(8), Some("0x8")));
        let given = Given { height: Some(8), block_hash: Some("0X8".into()) };
        assert_eq!(Facts::of(&given, &status(), Some("0x8".into())).block_hash.as_deref(), Some("0X8"));
    }
}

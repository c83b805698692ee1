//! Node profiles: what a node's data directory looks like, which of it is published, which never, and how the node is asked.
//!
//! A profile is data: a TOML file in `builtin/`, or the user's own. Nothing here touches a file or a network.

mod error;
mod globs;
mod wire;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use error::ProfileError;
pub use globs::Globs;

use crate::types::RelPath;

/// Stands in a path for the chain's own name of its directory.
pub const CHAIN: &str = "{chain}";

/// What is known of one kind of node.
#[derive(Clone, Debug)]
pub struct NodeProfile {
    /// What `--node` takes.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// The node software, as `client` of a manifest names it; `None` for the generic profile.
    pub client: Option<String>,
    /// The database engine, where every database of this profile has the same.
    pub engine: Option<String>,
    /// What is published, relative to the data directory; `{chain}` stands for the chain's own name of its directory. Empty: everything.
    pub publish: Vec<String>,
    /// Those of them that not every node has.
    pub optional: Vec<String>,
    /// What must be there besides, or it is half a database.
    pub needs: Vec<Need>,
    /// What is never published, and never overwritten by a restore.
    pub never: Globs,
    /// Files that no engine changes once they are written: only these may be hard links in a clone.
    pub immutable: Globs,
    /// Database files: what is in them proves nothing, because any stranger can write into a chain.
    pub opaque: Globs,
    /// Files that the engine writes through a memory map, so that their times prove nothing.
    pub memory_mapped: Globs,
    /// A small file that holds the version of the database's format, where the engine's own files do not tell it.
    pub format_file: Option<RelPath>,
    /// The directory of an Ethereum node's ancient blocks, which begin with the hash of the genesis block.
    pub freezer: Option<RelPath>,
    /// The chains it knows, by their name in a channel.
    pub chains: BTreeMap<String, Chain>,
    /// By what a data directory is known.
    pub detect: Detect,
    /// How the node is asked; `None` where nothing can be asked.
    pub rpc: Option<Rpc>,
    /// How the node stops.
    pub stop: StopProof,
    /// Labels that a channel of this profile may have, each with its values; empty for any value.
    pub modes: BTreeMap<String, Vec<String>>,
}

/// A chain that a profile knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The node's own name of it: the `{chain}` of paths.
    pub id: Option<String>,
    /// Hash of its genesis block, or the id of the chain, as the node's RPC names it.
    pub genesis: Option<String>,
    /// Hash of its genesis block, where the node's RPC names the id of the chain.
    pub genesis_hash: Option<String>,
}

/// Something without which a copy is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// A glob that must match something.
    pub path: String,
    /// Why, as a clause: what it means when it is not there.
    pub why: String,
}

/// By what a data directory is known: globs relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detect {
    /// Each must match something.
    pub all: Vec<String>,
    /// None may match anything.
    pub none: Vec<String>,
    /// Engine that the files in the directory of the first match must be of, as they say themselves.
    pub engine: Option<String>,
    /// Another profile with the same directories, which is the one that is named when nothing tells them apart.
    pub same_as: Option<String>,
}

/// How a node is asked for its health and height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    /// Which questions it understands.
    pub family: Family,
    /// Where it answers unless told otherwise.
    pub url: String,
    /// Time between two blocks.
    pub block_time: Duration,
    /// How old its newest block may be.
    pub max_head_age: Duration,
    /// How many peers it should have.
    pub min_peers: u64,
}

/// Families of nodes, by the questions that they understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `system_health`, `chain_getFinalizedHead` …
    Substrate,
    /// `eth_syncing`, `eth_getBlockByNumber` …
    Ethereum,
    /// `database_api.get_dynamic_global_properties` …
    Bitshares,
    /// `getblockchaininfo` …
    Bitcoin,
    /// `/status`, `/net_info`.
    Tendermint,
}

/// How a node is stopped, and what proves that it stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopProof {
    /// Name of the signal that asks it to stop.
    pub signal: String,
    /// Files, relative to the data directory, that a clean stop writes where there is the directory for them: newer than the request to stop.
    pub newer: Vec<RelPath>,
}

impl NodeProfile {
    /// The name of the profile of any directory.
    pub const GENERIC: &str = "generic";

    /// Reads a profile.
    ///
    /// # Errors
    /// [`ProfileError`] when it is no TOML, has a key that means nothing, or a value that cannot be.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        wire::parse(text)
    }

    /// The profile of any directory: all of it, of which nothing is known.
    #[must_use]
    pub fn generic() -> Self {
        Self::builtin(Self::GENERIC).expect("the generic profile is built in")
    }

    /// The built-in profile of that name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (_, text) = BUILTIN.iter().find(|(builtin, _)| *builtin == name)?;
        Some(Self::parse(text).expect("a test parses every built-in profile"))
    }

    /// What is published, for a chain of that name: globs relative to the data directory, each with whether it may be missing. For a chain
    /// that the profile does not know, [`CHAIN`] stays where it is.
    pub fn parts(&self, chain: &str) -> impl Iterator<Item = (String, bool)> {
        let id = self.chains.get(chain).and_then(|chain| chain.id.clone()).unwrap_or_else(|| CHAIN.to_owned());
        self.publish.iter().map(move |part| (part.replace(CHAIN, &id), self.optional.contains(part)))
    }

    /// Whether a channel of this profile may have these labels. One that the profile does not know may say anything.
    ///
    /// # Errors
    /// The label that it may not have, and what it may be.
    pub fn check_labels(&self, labels: &BTreeMap<String, String>) -> Result<(), String> {
        for (key, value) in labels {
            match self.modes.get(key) {
                Some(values) if !values.is_empty() && !values.contains(value) => {
                    return Err(format!("the label {key} of a {} channel is one of {}, not {value}", self.name, values.join(", ")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Names of all built-in profiles, in the order of the alphabet.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }
}

/// The text of a built-in profile beside its name.
macro_rules! builtin {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("builtin/", $name, ".toml")))),+] };
}

const BUILTIN: &[(&str, &str)] = builtin![
    "bitcoind",
    "bitshares",
    "bor",
    "bsc",
    "cosmos-sdk",
    "erigon",
    "generic",
    "geth",
    "op-geth",
    "polkadot-paritydb",
    "polkadot-rocksdb",
    "reth",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_can_be_read_and_has_the_name_of_its_file() {
        assert!(NodeProfile::builtin_names().is_sorted());
        for name in NodeProfile::builtin_names() {
            assert_eq!(NodeProfile::builtin(name).unwrap().name, name);
        }
        assert!(NodeProfile::generic().publish.is_empty());
    }

    #[test]
    fn a_built_in_profile_names_only_what_is_there() {
        for profile in NodeProfile::builtin_names().map(|name| NodeProfile::builtin(name).unwrap()) {
            let same = profile.detect.same_as.iter().all(|other| NodeProfile::builtin(other).is_some_and(|o| o.detect.same_as.is_none()));
            assert!(same, "{}", profile.name);
            assert!(profile.publish.is_empty() || !profile.detect.all.is_empty(), "{} cannot be found", profile.name);
        }
    }

    #[test]
    fn the_name_of_a_chain_becomes_that_of_its_directory() {
        let polkadot = NodeProfile::builtin("polkadot-rocksdb").unwrap();
        assert_eq!(polkadot.parts("kusama").collect::<Vec<_>>(), [("chains/ksmcc3/db/full".to_owned(), false)]);
        assert_eq!(polkadot.parts("mine").collect::<Vec<_>>(), [("chains/{chain}/db/full".to_owned(), false)]);
        let geth = NodeProfile::builtin("geth").unwrap();
        assert_eq!(geth.parts("sepolia").map(|(_, optional)| optional).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_label_that_the_profile_knows_has_one_of_its_values() {
        let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let bitshares = NodeProfile::builtin("bitshares").unwrap();
        let refused = bitshares.check_labels(&labels("history", "most")).unwrap_err();
        assert_eq!(refused, "the label history of a bitshares channel is one of low, full, indexed, not most");
        bitshares.check_labels(&labels("history", "low")).unwrap();
        bitshares.check_labels(&labels("operator", "me")).unwrap();
        NodeProfile::builtin("geth").unwrap().check_labels(&labels("network", "anything")).unwrap();
    }
}

//! Why a restore ended without a database in place.

use std::path::PathBuf;

use thiserror::Error;

use super::successor::NoSuccessor;
use crate::{
    catalog, disk,
    format::{list::ListError, manifest::ManifestError},
    node::rpc::RpcError,
    sources::{Estimate, Exhausted, usd},
    types::{ChannelName, Hash, RelPath, When},
};

/// Why a restore ended without a database in place.
#[derive(Debug, Error)]
pub enum Error {
    /// The channel could not be opened, or its manifest could not be had.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The target or the staging directory.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// The sources deliver nothing.
    #[error("the sources ran dry")]
    Sources(#[source] Exhausted),
    /// No source was given.
    #[error("no source to restore from")]
    NoSources,
    /// A directory that cannot be meant as a seed.
    #[error("{} is refused as a seed: {why}", path.display())]
    Seed {
        /// The directory.
        path: PathBuf,
        /// Why, as a clause.
        why: &'static str,
    },
    /// Some chunks could not be had from any source; all others are kept.
    #[error("{count} chunks could not be had from any source: {}", named.join("; "))]
    Chunks {
        /// How many.
        count: u64,
        /// How many of them no source has at all.
        missing: u64,
        /// How many of them lie on a disk that cannot read them; what the sources have of all others is wrong.
        unreadable: u64,
        /// The first of them, one line each: chunk, file, source, reason.
        named: Vec<String>,
    },
    /// Parts of the snapshot are at no source: what the run makes of it depends on what else the channel offers.
    #[error("no source has all of snapshot {}", snapshot.short())]
    Incomplete {
        /// The snapshot.
        snapshot: Hash,
        /// The parts.
        source: Box<Error>,
    },
    /// Parts of the snapshot are at no source, and there is no other snapshot to go on with.
    #[error("snapshot {} is retired or broken: parts of it are at no source, and {why}", snapshot.short())]
    Gone {
        /// The snapshot.
        snapshot: Hash,
        /// Why there is no other.
        why: Box<NoSuccessor>,
        /// The parts.
        source: Box<Error>,
    },
    /// A signed list does not fit the signed manifest: the publisher's mistake, no source can heal it.
    #[error("the chunk list {id} of {path} is refused")]
    ListDefect {
        /// The file.
        path: RelPath,
        /// The list.
        id: Hash,
        /// Why.
        #[source]
        source: Box<ListError>,
    },
    /// The manifest that the partial restore is pinned to is damaged.
    #[error("the manifest of the partial restore is damaged")]
    PinDefect(#[source] Box<ManifestError>),
    /// The partial restore is of another channel.
    #[error("{} holds a partial restore of {pinned}, not of {asked}", path.display())]
    OtherChannel {
        /// The staging directory.
        path: PathBuf,
        /// What it is pinned to.
        pinned: ChannelName,
        /// What was asked for.
        asked: ChannelName,
    },
    /// The partial restore is of another snapshot.
    #[error("{} holds a partial restore of snapshot {} ({}), not of {asked}", path.display(), pinned.short(), height_text(*height))]
    OtherSnapshot {
        /// The staging directory.
        path: PathBuf,
        /// What it is pinned to.
        pinned: Hash,
        /// Its height.
        height: Option<u64>,
        /// What was asked for.
        asked: When,
    },
    /// The snapshot is of another mode than was asked for.
    #[error("the snapshot has {}, and {key}={expected} was asked for", label_text(key, found.as_deref()))]
    OtherMode {
        /// The label.
        key: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: Option<String>,
    },
    /// The snapshot is of another engine than was asked for, or than the database that it would replace.
    #[error("the snapshot is of {found}, and {} {expected}", engine_text(path.as_deref()))]
    OtherEngine {
        /// The target whose database is of another; `None` where the user said which it should be.
        path: Option<PathBuf>,
        /// The engine that it should be.
        expected: String,
        /// The engine that it is.
        found: String,
    },
    /// A node that the user trusts knows another block at a height of the snapshot.
    #[error("the snapshot is not of the chain that {node} knows: block {height} is {expected} in the snapshot, {found} there")]
    OtherBlock {
        /// The node, by its host.
        node: String,
        /// The height.
        height: u64,
        /// The hash in the snapshot.
        expected: String,
        /// The node's.
        found: String,
    },
    /// That node cannot be asked.
    #[error("the node that was to confirm the snapshot's block cannot be asked")]
    CheckRpc(#[source] Box<RpcError>),
    /// Only sources that cost money are there, and nobody agreed to pay.
    #[error("only sources that cost money are there: up to {}", usd(dearest(estimates)))]
    CostNotAccepted {
        /// What each could cost.
        estimates: Vec<Estimate>,
    },
    /// Somebody asked the run to stop.
    #[error("stopped; everything verified so far is kept")]
    Interrupted,
    /// A thread of the run panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

impl Error {
    /// What this error means for a snapshot that was being fetched.
    pub(super) fn or_incomplete(self, snapshot: &Hash) -> Self {
        let missing = matches!(self, Self::Chunks { missing: 1.., .. } | Self::Sources(Exhausted::Missing { .. }));
        if missing { Self::Incomplete { snapshot: *snapshot, source: Box::new(self) } } else { self }
    }
}

fn dearest(estimates: &[Estimate]) -> u64 {
    estimates.iter().map(|estimate| estimate.internet_micro_usd).max().unwrap_or(0)
}

fn label_text(key: &str, found: Option<&str>) -> String {
    found.map_or_else(|| format!("no label {key}"), |found| format!("{key}={found}"))
}

fn engine_text(path: Option<&std::path::Path>) -> String {
    path.map_or_else(|| "the node takes".to_owned(), |path| format!("the database in {} is of", path.display()))
}

fn height_text(height: Option<u64>) -> String {
    height.map_or_else(|| "height unknown".to_owned(), |height| format!("height {height}"))
}

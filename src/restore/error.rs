//! Why a restore ended without a database in place.

use std::path::PathBuf;

use thiserror::Error;

use crate::{
    catalog, disk,
    format::{list::ListError, manifest::ManifestError},
    sources::Exhausted,
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
        /// The first of them, one line each: chunk, file, source, reason.
        named: Vec<String>,
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
    /// Somebody asked the run to stop.
    #[error("stopped; everything verified so far is kept")]
    Interrupted,
    /// A thread of the run panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

fn height_text(height: Option<u64>) -> String {
    height.map_or_else(|| "height unknown".to_owned(), |height| format!("height {height}"))
}

//! The manifest: the files and chunks of one snapshot (docs/format.md, 2.4).
//!
//! A [`Manifest`] keeps every rule that can be checked without the lists it names; whoever reads it need not check again.
//! It takes about 200 bytes a file, however large the files are.

mod check;
mod error;
mod stored;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::ManifestError;

use super::row::Row;
use crate::types::{ChannelName, ChunkSize, Hash, RelPath, Timestamp};

/// What a manifest says of its snapshot as a whole. Everything but the channel, the time and the chunk size may be unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The channel it belongs to.
    pub channel: ChannelName,
    /// The state contains this block, and may be newer.
    pub height: Option<u64>,
    /// Hash of the block at `height`, as the node prints it.
    pub block_hash: Option<String>,
    /// Hash of the genesis block, as the node prints it.
    pub genesis: Option<String>,
    /// The last finalized block the node named.
    pub finalized: Option<Block>,
    /// Free text by name, for people.
    pub labels: BTreeMap<String, String>,
    /// The encoder of the frames, for example `zstd 1.5.7/1`.
    pub encoder: String,
    /// When the copy of the database was taken.
    pub taken_at: Timestamp,
    /// The node software.
    pub client: Option<Client>,
    /// The database engine.
    pub engine: Option<Engine>,
    /// Distance between the cuts of a file.
    pub chunk_size: ChunkSize,
    /// What the snapshot owns below the target; `None` is the whole directory (`[""]`).
    pub subtrees: Option<Vec<RelPath>>,
}

/// A block, by height and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its hash, as the node prints it.
    pub hash: String,
}

/// The node software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The database engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its name.
    pub name: String,
    /// The version of its files, where it has one.
    pub format: Option<String>,
}

/// Sums over all files of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes, holes included.
    pub bytes: u64,
    /// Number of chunks, holes included.
    pub chunks: u64,
    /// Length of all frames, bytes, counted once per row.
    pub frame_bytes: u64,
    /// Bytes that lie in holes.
    pub hole_bytes: u64,
}

/// The totals that files with lists leave open: only who has seen the lists knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSums {
    /// Length of the frames of all rows of all files.
    pub frame_bytes: u64,
    /// Bytes of all files that lie in holes.
    pub hole_bytes: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it lies.
    pub path: RelPath,
    /// Its length, bytes.
    pub bytes: u64,
    /// Plain BLAKE3 of the whole file.
    pub b3: Hash,
    /// Its chunks.
    pub layout: Layout,
}

/// Where the rows of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In the manifest: files of at most 4 chunks.
    Rows(Box<[Row]>),
    /// In list segments, by their hashes: larger files.
    Lists(Box<[Hash]>),
}

/// The most chunks of a manifest.
pub const MAX_CHUNKS: u64 = 100_000_000;
/// The most files and directories of a manifest.
pub const MAX_PATHS: u64 = 4_000_000;

/// A manifest whose parts fit together: made by [`Manifest::new`] or by parsing, both of which check every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    about: About,
    dirs: Vec<RelPath>,
    files: Vec<FileEntry>,
    totals: Totals,
}

/// A manifest as it is stored.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// BLAKE3 of `bytes`: the snapshot's id.
    pub id: Hash,
    /// The compressed JSON.
    pub bytes: Vec<u8>,
    /// Length of the JSON, bytes.
    pub json_bytes: u64,
}

impl Manifest {
    /// Puts a manifest together; `sums` go into the totals.
    ///
    /// # Errors
    /// [`ManifestError`] names the first rule that the parts break, and where.
    pub fn new(about: About, dirs: Vec<RelPath>, files: Vec<FileEntry>, sums: RowSums) -> Result<Self, ManifestError> {
        check::paths(&dirs, &files)?;
        check::subtrees(about.subtrees.as_deref(), &dirs, &files)?;
        let totals = check::files(&files, about.chunk_size, sums)?;
        Ok(Self { about, dirs, files, totals })
    }

    /// What it says of the snapshot as a whole.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Every directory but the top one, sorted by bytes.
    #[must_use]
    pub fn dirs(&self) -> &[RelPath] {
        &self.dirs
    }

    /// Every file, sorted by the bytes of its path.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The sums over all files.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The file at `path`, with its index.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(usize, &FileEntry)> {
        let index = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some((index, &self.files[index]))
    }
}

#[cfg(test)]
mod tests;

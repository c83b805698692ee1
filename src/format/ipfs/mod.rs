//! A snapshot on IPFS: its archive, its directory tree, and the directory around both (docs/format.md, 2.8).
//!
//! Made from the manifest and its rows alone, without a byte of data: chunks and lists are blocks already, under the names that they have
//! everywhere. What is missing are the nodes above them.

mod archive;
mod root;
mod tree;

pub use archive::ArchiveBuilder;
pub use root::{RootParts, root};
pub use tree::TreeBuilder;

use super::{
    row::{Row, Stored},
    unixfs::{Block, Dag},
};
use crate::types::{Cid, Codec, Form, Hash};

/// The longest block of content in files that are not chunks, bytes.
pub const LEAF_BYTES: usize = 1 << 20;

/// The names in the directory of a snapshot.
pub mod name {
    /// The envelope of the head that was live when it was made.
    pub const HEAD: &str = "head.json";
    /// The directory of the trust roots.
    pub const TRUST: &str = "trust";
    /// The manifest as it is stored.
    pub const MANIFEST: &str = "manifest";
    /// All segments of chunk lists, in order.
    pub const LISTS: &str = "lists";
    /// The tar view, of frames.
    pub const ARCHIVE: &str = "archive.tar.zst";
    /// The database directory as it is.
    pub const TREE: &str = "tree";
}

/// A block of a snapshot, or where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A block that is made of nothing but the manifest and its rows.
    Block(Block),
    /// A chunk in one of its forms.
    Chunk(ChunkPiece),
    /// A segment of a chunk list.
    List {
        /// Its hash.
        hash: Hash,
        /// Its length, bytes.
        bytes: u64,
    },
    /// So many zero bytes, the content of a hole.
    Zeros {
        /// Their hash.
        hash: Hash,
        /// How many.
        bytes: u64,
    },
}

/// A chunk in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPiece {
    /// The form.
    pub form: Form,
    /// The file, as its index in the manifest.
    pub file: usize,
    /// The chunk of the file.
    pub index: u64,
    /// Its row.
    pub row: Row,
    /// Its raw length, bytes.
    pub raw_bytes: u32,
}

impl ChunkPiece {
    /// Hash and length of the block; `None` for a hole, which has none.
    fn block(&self) -> Option<(Hash, u64)> {
        match (self.form, self.row.stored) {
            (_, Stored::Hole) => None,
            (Form::Raw, Stored::Frame { .. }) => Some((self.row.raw, u64::from(self.raw_bytes))),
            (Form::Zstd, Stored::Frame { hash, bytes }) => Some((hash, u64::from(bytes))),
        }
    }
}

impl Piece {
    /// The name of the block.
    #[must_use]
    pub fn cid(&self) -> Cid {
        match self {
            Self::Block(block) => block.cid,
            Self::Chunk(chunk) => Cid::new(Codec::Raw, chunk.block().map_or(chunk.row.raw, |(hash, _)| hash)),
            Self::List { hash, .. } | Self::Zeros { hash, .. } => Cid::new(Codec::Raw, *hash),
        }
    }

    /// Its length, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Block(block) => block.bytes.len() as u64,
            Self::Chunk(chunk) => chunk.block().map_or(0, |(_, bytes)| bytes),
            Self::List { bytes, .. } | Self::Zeros { bytes, .. } => *bytes,
        }
    }

    /// What its parents know of it. Only blocks of content.
    fn leaf(&self) -> Dag {
        Dag::leaf(self.cid().hash(), self.bytes())
    }
}

#[cfg(test)]
mod tests;

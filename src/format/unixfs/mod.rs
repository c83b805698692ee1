//! Files and directories as IPFS has them: blocks named by their hash, put together by nodes that name blocks (docs/format.md, 2.8).
//!
//! Every name is BLAKE3, every tree is balanced with at most 1,024 links, and large directories are tries, as Kubo makes them under its profile
//! `unixfs-v1-2025` with `--hash=blake3`. Nodes are given away as soon as they are complete: memory does not grow with what they hold.
//!
//! Sources: the UnixFS specification; IPIP-499, which fixes what importers were free to choose.

mod data;
mod directory;
mod file;
mod hamt;
mod node;

pub use directory::{Entry, directory};
pub use file::{FileBuilder, MAX_LINKS, empty_file};
pub use node::{InvalidNode, Part, read_directory, read_file};

use crate::types::{Cid, Codec, Hash};

/// A file or directory as its parents know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dag {
    /// The name of its topmost block.
    pub cid: Cid,
    /// Length of all its blocks, bytes, each counted as often as it is linked (`Tsize`).
    pub dag_bytes: u64,
    /// Length of the content, bytes; 0 for a directory.
    pub content_bytes: u64,
}

impl Dag {
    /// A block that is content itself.
    #[must_use]
    pub fn leaf(hash: Hash, bytes: u64) -> Self {
        Self { cid: Cid::new(Codec::Raw, hash), dag_bytes: bytes, content_bytes: bytes }
    }
}

/// A block with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub cid: Cid,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Block {
    /// A block of content.
    #[must_use]
    pub fn leaf(bytes: Vec<u8>) -> Self {
        Self { cid: Cid::new(Codec::Raw, Hash::of(&bytes)), bytes }
    }

    fn node(bytes: Vec<u8>) -> Self {
        Self { cid: Cid::new(Codec::DagPb, Hash::of(&bytes)), bytes }
    }

    /// What parents of a block of content know of it.
    #[must_use]
    pub fn as_leaf(&self) -> Dag {
        Dag::leaf(self.cid.hash(), self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests;

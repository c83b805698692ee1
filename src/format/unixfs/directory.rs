//! A directory: one block with all its names or, when that grows too long, a trie of blocks.

use super::{
    Block, Dag,
    data::{Data, Kind},
    hamt, node,
};

/// The longest block with all names of a directory, bytes (IPIP-499, profile unixfs-v1-2025).
const MAX_BYTES: usize = 256 << 10;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it names.
    pub dag: Dag,
}

/// Puts a directory together from its entries, in any order; gives away its blocks.
pub fn directory(mut entries: Vec<Entry>, emit: &mut impl FnMut(Block)) -> Dag {
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let links = entries.iter().map(|entry| (entry.name.clone(), entry.dag));
    let (block, dag_bytes) = node::make(links, &Data::of(Kind::Directory));
    if block.bytes.len() > MAX_BYTES {
        return hamt::shard(&entries, emit);
    }
    let dag = Dag { cid: block.cid, dag_bytes, content_bytes: 0 };
    emit(block);
    dag
}

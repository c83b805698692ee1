//! The directory of a snapshot: what a CID names.

use super::{LEAF_BYTES, name};
use crate::format::unixfs::{Block, Dag, Entry, FileBuilder, directory};

/// What the directory of a snapshot holds.
#[derive(Clone, Copy, Debug)]
pub struct RootParts<'a> {
    /// The envelope of the head.
    pub head: &'a [u8],
    /// The envelopes of the trust roots, from version 1 on.
    pub roots: &'a [Vec<u8>],
    /// The manifest as it is stored.
    pub manifest: &'a [u8],
    /// The file of all list segments.
    pub lists: Dag,
    /// The archive, if it was made.
    pub archive: Option<Dag>,
    /// The tree, if it was made.
    pub tree: Option<Dag>,
}

/// Puts the directory together; gives away all its blocks but those of lists, archive and tree.
pub fn root(parts: &RootParts<'_>, emit: &mut impl FnMut(Block)) -> Dag {
    let entry = |name: &str, dag| Entry { name: name.to_owned(), dag };
    let trust = (1..).zip(parts.roots).map(|(version, root): (u32, _)| entry(&format!("{version}.json"), file(root, emit))).collect();
    let trust = directory(trust, emit);
    let mut entries = vec![
        entry(name::HEAD, file(parts.head, emit)),
        entry(name::TRUST, trust),
        entry(name::MANIFEST, file(parts.manifest, emit)),
        entry(name::LISTS, parts.lists),
    ];
    entries.extend(parts.archive.map(|dag| entry(name::ARCHIVE, dag)));
    entries.extend(parts.tree.map(|dag| entry(name::TREE, dag)));
    directory(entries, emit)
}

fn file(bytes: &[u8], emit: &mut impl FnMut(Block)) -> Dag {
    let mut builder = FileBuilder::default();
    for leaf in bytes.chunks(LEAF_BYTES) {
        let block = Block::leaf(leaf.to_vec());
        builder.push(block.as_leaf(), emit);
        emit(block);
    }
    builder.finish(emit)
}

//! Nodes as bytes, and what readers need of them (the dag-pb specification).

use bytes::Bytes;
use ipld_dagpb::{PbLink, PbNode};
use prost::Message as _;
use thiserror::Error;

use super::{
    Block, Dag,
    data::{Data, Kind},
};
use crate::types::{Cid, Codec, InvalidCid};

/// A block that is not the node that is expected.
#[derive(Debug, Error)]
pub enum InvalidNode {
    /// Not a node at all.
    #[error("not a node of IPFS: {0}")]
    Malformed(String),
    /// A node of something else.
    #[error("{found}, not {expected}")]
    Other {
        /// What is expected.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A link to a block that no snapshot has.
    #[error("it links to a block that no snapshot has")]
    Link(#[from] InvalidCid),
    /// The lengths that it states do not fit each other.
    #[error("the lengths in a file's node do not add up: {0}")]
    Lengths(String),
}

/// A part of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The block or node that has it.
    pub cid: Cid,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Makes a node; links to files have an empty name, not none.
pub(super) fn make(links: impl IntoIterator<Item = (String, Dag)>, data: &Data) -> (Block, u64) {
    let mut below = 0;
    let link = |(name, dag): (String, Dag)| {
        below += dag.dag_bytes;
        PbLink { cid: dag.cid.any(), name: Some(name), size: Some(dag.dag_bytes) }
    };
    let node = PbNode { links: links.into_iter().map(link).collect(), data: Some(data.encode_to_vec().into()) };
    let block = Block::node(node.into_bytes());
    let dag_bytes = below + block.bytes.len() as u64;
    (block, dag_bytes)
}

fn read(bytes: &[u8]) -> Result<(Vec<PbLink>, Data), InvalidNode> {
    let node = PbNode::from_bytes(Bytes::copy_from_slice(bytes)).map_err(|error| InvalidNode::Malformed(error.to_string()))?;
    let data = node.data.ok_or_else(|| InvalidNode::Malformed("it does not say what it is".to_owned()))?;
    let data = Data::decode(data).map_err(|error| InvalidNode::Malformed(error.to_string()))?;
    Ok((node.links, data))
}

fn expect(kind: Kind, expected: &'static str, data: &Data) -> Result<(), InvalidNode> {
    if data.kind == i32::from(kind) {
        return Ok(());
    }
    let found = match Kind::try_from(data.kind) {
        Ok(Kind::Raw | Kind::File) => "a file".to_owned(),
        Ok(Kind::Directory) => "a directory".to_owned(),
        Ok(Kind::Shard) => "a large directory".to_owned(),
        Ok(Kind::Symlink) => "a symbolic link".to_owned(),
        Ok(Kind::Metadata) => "metadata".to_owned(),
        Err(_) => format!("a node of the unknown kind {}", data.kind),
    };
    Err(InvalidNode::Other { expected, found })
}

/// The entries of a directory that is one block, by name. Links to blocks that no snapshot has are left out.
///
/// # Errors
/// [`InvalidNode`]
pub fn read_directory(bytes: &[u8]) -> Result<Vec<(String, Cid)>, InvalidNode> {
    let (links, data) = read(bytes)?;
    expect(Kind::Directory, "a directory", &data)?;
    Ok(links.into_iter().filter_map(|link| Some((link.name.unwrap_or_default(), link.cid.try_into().ok()?))).collect())
}

/// The parts of a file, in order; those that are nodes have parts themselves.
///
/// # Errors
/// [`InvalidNode`]
pub fn read_file(bytes: &[u8]) -> Result<Vec<Part>, InvalidNode> {
    let (links, data) = read(bytes)?;
    expect(Kind::File, "a file", &data)?;
    if links.len() != data.part_bytes.len() {
        return Err(InvalidNode::Lengths(format!("{} links, {} lengths", links.len(), data.part_bytes.len())));
    }
    let total = data.part_bytes.iter().try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes));
    if total != Some(data.file_bytes.unwrap_or(0)) || data.data.is_some_and(|inline| !inline.is_empty()) {
        return Err(InvalidNode::Lengths(format!("{:?} stated, {total:?} below its links", data.file_bytes)));
    }
    let part = |(link, bytes): (PbLink, u64)| Ok(Part { cid: link.cid.try_into()?, bytes });
    links.into_iter().zip(data.part_bytes).map(part).collect()
}

impl Dag {
    /// Whether it is a block of content.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.cid.codec() == Codec::Raw
    }
}

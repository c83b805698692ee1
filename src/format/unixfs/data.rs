//! The message inside a node that says what the node is (the UnixFS specification, "Data").

use prost::Message;

/// What a node is. Modes and times are not part of it: qsync has none.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Data {
    /// [`Kind`].
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub(super) kind: i32,
    /// Content in the node itself; of a shard, which of its places are taken.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) data: Option<Vec<u8>>,
    /// Length of the whole content, bytes.
    #[prost(uint64, optional, tag = "3")]
    pub(super) file_bytes: Option<u64>,
    /// Length of the content below each link, bytes.
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    pub(super) part_bytes: Vec<u64>,
    /// Of a shard, the hash function of names.
    #[prost(uint64, optional, tag = "5")]
    pub(super) hash_type: Option<u64>,
    /// Of a shard, how many places it has.
    #[prost(uint64, optional, tag = "6")]
    pub(super) fanout: Option<u64>,
}

/// Kinds of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
pub(super) enum Kind {
    Raw = 0,
    Directory = 1,
    File = 2,
    Metadata = 3,
    Symlink = 4,
    Shard = 5,
}

impl Data {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }
}

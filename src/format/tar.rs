//! The tar view of a snapshot: headers made from the manifest alone (docs/format.md, 2.7).

use super::manifest::Manifest;
use crate::types::RelPath;

/// Length of a block; everything in a tar is a multiple of it.
pub const BLOCK_BYTES: u64 = 512;
/// Zero bytes that end the tar.
pub const END_BYTES: u64 = 2 * BLOCK_BYTES;

/// What a member of the tar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file of so many bytes.
    File {
        /// Its length.
        bytes: u64,
    },
}

/// What follows the header of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it is a directory.
    Dir,
    /// The data of the file at this index of the manifest, then `padding` zero bytes.
    File {
        /// Index into [`Manifest::files`].
        index: usize,
        /// Zero bytes after the data.
        padding: u64,
    },
}

/// One member of the tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its path.
    pub path: &'a RelPath,
    /// Everything before its data.
    pub header: Vec<u8>,
    /// Its data.
    pub content: Content,
}

/// Everything before the data of a member.
#[must_use]
pub fn header(_path: &RelPath, _kind: Kind) -> Vec<u8> {
    todo!()
}

/// Zero bytes between the end of a file of `file_bytes` and the next header.
#[must_use]
pub const fn padding(file_bytes: u64) -> u64 {
    (BLOCK_BYTES - file_bytes % BLOCK_BYTES) % BLOCK_BYTES
}

/// The members in order: directories, then files, each as the manifest sorts them. [`END_BYTES`] zeros follow the last.
pub fn members(manifest: &Manifest) -> impl Iterator<Item = Member<'_>> {
    manifest.dirs().iter().map(|_| todo!())
}

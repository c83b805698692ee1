//! Stub.
use std::{io, path::Path};

use super::{Error, have::Have};
use crate::{
    format::manifest::Manifest,
    fs::Fs,
    progress::{Progress, Stop},
    types::{Hash, RelPath},
};

/// Where list segments come from: the bytes of the segment of that name.
pub type Lists<'a> = dyn Fn(&Hash) -> io::Result<Vec<u8>> + Sync + 'a;

/// How a directory is verified.
#[derive(Debug)]
pub struct Options<'a> {
    /// Threads that read and hash.
    pub threads: usize,
    /// Whether the BLAKE3 of whole files is checked as well.
    pub whole_files: bool,
    /// Ends it early.
    pub stop: &'a Stop,
    /// Where events go.
    pub progress: &'a dyn Progress,
}

/// What a directory is, compared with a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that is wrong, by path.
    pub defects: Vec<Defect>,
    /// Bytes that were compared, holes included.
    pub bytes: u64,
    /// Chunks that are right.
    pub good_chunks: u64,
}

/// Something that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// A chunk has other bytes.
    Chunk {
        /// The file.
        path: RelPath,
        /// Index of the chunk.
        chunk: u64,
        /// Where it starts, bytes.
        offset: u64,
        /// BLAKE3 that the manifest lists.
        expected: Hash,
        /// BLAKE3 of what is there; `None` when it cannot be read.
        found: Option<Hash>,
    },
    /// A file has another length.
    Length {
        /// The file.
        path: RelPath,
        /// Length in the manifest, bytes.
        expected: u64,
        /// Length on disk, bytes.
        found: u64,
    },
    /// A file or directory is not there, or is something else.
    Missing {
        /// The entry.
        path: RelPath,
    },
    /// An entry below what the snapshot owns is not in the manifest. Not always a path that a snapshot may have.
    Unexpected {
        /// The entry, relative to the directory.
        path: String,
    },
    /// Every chunk is right but the file's BLAKE3 is another: the publisher's mistake.
    WholeFile {
        /// The file.
        path: RelPath,
        /// BLAKE3 that the manifest lists.
        expected: Hash,
        /// BLAKE3 of what is there.
        found: Hash,
    },
}

/// Reads a whole directory and compares it with a manifest.
pub fn verify(_fs: &dyn Fs, _dir: &Path, _manifest: &Manifest, _lists: &Lists<'_>, _options: &Options<'_>) -> Result<Report, Error> {
    todo!()
}

/// The chunks below `dir` that are right, for a partial restore whose journal is lost.
pub fn surviving(_fs: &dyn Fs, _dir: &Path, _manifest: &Manifest, _lists: &Lists<'_>, _options: &Options<'_>) -> Result<Have, Error> {
    todo!()
}

/// Lines for `b3sum -c`.
pub fn b3sums(manifest: &Manifest) -> impl Iterator<Item = String> {
    manifest.files().iter().map(|file| format!("{}  {}", file.b3, file.path))
}

//! Why a manifest is refused.

use std::io;

use thiserror::Error;

use crate::format::{json::JsonError, row::RowError};

/// A manifest that is refused: the rule it breaks, and where.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is of a format that this release does not know.
    #[error("the manifest has format {found:?}, this release reads {expected}: a newer qsync is needed")]
    NewerFormat {
        /// The format of this release.
        expected: &'static str,
        /// The format it names.
        found: String,
    },
    /// It is not JSON, or not of the shape of a manifest.
    #[error("the manifest is not valid JSON")]
    Json {
        /// What is wrong, and where.
        #[from]
        source: JsonError,
    },
    /// It is longer than a manifest may be.
    #[error("the manifest has {found_bytes} bytes {form} (at most {max_bytes})")]
    TooLong {
        /// `as stored` or `as JSON`.
        form: &'static str,
        /// The cap.
        max_bytes: u64,
        /// Its length.
        found_bytes: u64,
    },
    /// It does not decompress to what was signed.
    #[error("the manifest does not decompress to the signed {expected_bytes} bytes of JSON")]
    JsonLength {
        /// The signed length.
        expected_bytes: u64,
    },
    /// There are bytes after its zstd frame.
    #[error("the stored manifest goes on for {extra_bytes} bytes after its frame")]
    Trailing {
        /// How many.
        extra_bytes: u64,
    },
    /// It cannot be decompressed.
    #[error("the manifest cannot be decompressed")]
    Decompress {
        /// Why.
        source: io::Error,
    },
    /// It cannot be compressed.
    #[error("the manifest cannot be compressed")]
    Compress {
        /// Why.
        source: io::Error,
    },
    /// There are more of something than the format allows.
    #[error("the manifest has {found} {what} (at most {max})")]
    TooMany {
        /// `chunks` or `files and directories`.
        what: &'static str,
        /// The cap.
        max: u64,
        /// How many there are.
        found: u64,
    },
    /// A list of paths is not sorted by bytes.
    #[error("{path} comes after {before}: the paths are not sorted by bytes")]
    Unsorted {
        /// The first path that is out of order.
        path: String,
        /// The one before it.
        before: String,
    },
    /// Two paths are the same, or differ only in case.
    #[error("{path} and {other} are one name where case does not count")]
    SamePath {
        /// One of them.
        path: String,
        /// The other.
        other: String,
    },
    /// A name is one that a restore or the file system keeps for itself.
    #[error("path {path} is refused: its name is reserved")]
    Reserved {
        /// The path.
        path: String,
    },
    /// Something lies below a file.
    #[error("{path} lies below {file}, which is a file")]
    BelowFile {
        /// The path.
        path: String,
        /// The file above it.
        file: String,
    },
    /// A directory on the way to a path is not named.
    #[error("the directory {dir} of {path} is not named in dirs")]
    MissingDir {
        /// The path.
        path: String,
        /// The directory.
        dir: String,
    },
    /// The list of subtrees is empty, or one lies in another.
    #[error("the subtrees are refused: {what}")]
    Subtrees {
        /// Why.
        what: String,
    },
    /// A path lies in none of the subtrees.
    #[error("{path} lies in none of the subtrees that the snapshot owns")]
    OutsideSubtrees {
        /// The path.
        path: String,
    },
    /// A file has rows where it must have lists, or the other way round.
    #[error("{path} has {chunks} chunks and so must carry {expected}")]
    Layout {
        /// The file.
        path: String,
        /// Number of its chunks.
        chunks: u64,
        /// `rows` or `lists`.
        expected: &'static str,
    },
    /// The number of rows or lists does not fit the file's length.
    #[error("{path} has {found} {what} (expected {expected} for its length)")]
    Count {
        /// The file.
        path: String,
        /// `rows` or `lists`.
        what: &'static str,
        /// The number that its length asks for.
        expected: u64,
        /// The number there is.
        found: u64,
    },
    /// A row is refused.
    #[error("the row of chunk {index} of {path} is refused")]
    Row {
        /// The file.
        path: String,
        /// The chunk, from 0.
        index: u64,
        /// Why.
        #[source]
        source: RowError,
    },
    /// A total does not add up.
    #[error("total {what} is {found} (expected {min} to {max} from the files)")]
    Total {
        /// The total's name in the manifest.
        what: &'static str,
        /// The least that the files allow.
        min: u64,
        /// The most that the files allow.
        max: u64,
        /// What the total says.
        found: u64,
    },
}

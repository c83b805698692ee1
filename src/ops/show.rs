//! `qsync show`: one snapshot in full.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use thiserror::Error;

use crate::{
    catalog::OpenSnapshot,
    format::{
        head::Ipfs,
        list::{FileShape, SEGMENT_ROWS},
        manifest::FileEntry,
        row::{Row, Stored},
    },
    sources::{RowsError, Sources},
    types::{ChannelName, Hash, RelPath, Timestamp},
};

/// A snapshot. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// Hash of that block, if known.
    pub block_hash: Option<String>,
    /// Hash of the genesis block, if known.
    pub genesis: Option<String>,
    /// When the copy was taken.
    pub taken_at: Timestamp,
    /// Node software and its version, if known.
    pub client: Option<String>,
    /// Database engine, if known.
    pub engine: Option<String>,
    /// The version of its files, if known.
    pub engine_format: Option<String>,
    /// What its publisher says of it: network, mode, pruning …
    pub labels: BTreeMap<String, String>,
    /// Distance between the cuts of a file, bytes.
    pub chunk_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Length of all frames, bytes.
    pub frame_bytes: u64,
    /// Bytes in holes.
    pub hole_bytes: u64,
    /// Where it is on IPFS, as the head says: of an earlier snapshot only the directory of all.
    pub ipfs: Option<Ipfs>,
}

/// A file of it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownFile {
    /// Where it lies.
    pub path: RelPath,
    /// Its length, bytes.
    pub bytes: u64,
    /// Its BLAKE3.
    pub b3: Hash,
}

/// A chunk of a file of it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownChunk {
    /// The file.
    pub path: RelPath,
    /// Its index in the file.
    pub chunk: u64,
    /// Where it starts, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub raw: Hash,
    /// BLAKE3 of its frame; `None` for a hole, which has no object.
    pub frame: Option<Hash>,
    /// Length of its frame, bytes.
    pub frame_bytes: u64,
}

/// Why chunks cannot be shown.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows of a file could not be had.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// What the manifest says of the snapshot as a whole.
#[must_use]
pub fn show(snapshot: &OpenSnapshot) -> Shown {
    let (about, totals) = (snapshot.manifest.about(), snapshot.manifest.totals());
    Shown {
        channel: about.channel.clone(),
        snapshot: snapshot.id(),
        height: about.height,
        block_hash: about.block_hash.clone(),
        genesis: about.genesis.clone(),
        taken_at: about.taken_at,
        client: about.client.as_ref().map(ToString::to_string),
        engine: about.engine.as_ref().map(|engine| engine.name.clone()),
        engine_format: about.engine.as_ref().and_then(|engine| engine.format.clone()),
        labels: about.labels.clone(),
        chunk_bytes: u64::from(about.chunk_size.bytes()),
        files: totals.files,
        bytes: totals.bytes,
        chunks: totals.chunks,
        frame_bytes: totals.frame_bytes,
        hole_bytes: totals.hole_bytes,
        ipfs: ipfs(snapshot).cloned(),
    }
}

fn ipfs(snapshot: &OpenSnapshot) -> Option<&Ipfs> {
    let (head, id) = (&snapshot.channel.head, snapshot.id());
    if head.snapshot.manifest == id {
        return head.snapshot.ipfs.as_ref();
    }
    head.older.iter().find(|older| older.manifest == id)?.ipfs.as_ref()
}

/// Its files, in order.
pub fn files(snapshot: &OpenSnapshot) -> impl Iterator<Item = ShownFile> + '_ {
    snapshot.manifest.files().iter().map(|file| ShownFile { path: file.path.clone(), bytes: file.bytes, b3: file.b3 })
}

/// Gives every chunk to `shown`, in order, without holding more than one list segment.
///
/// # Errors
/// [`enum@Error`]
pub async fn chunks(snapshot: &OpenSnapshot, sources: &Arc<Sources>, mut shown: impl FnMut(&ShownChunk) + Send) -> Result<(), Error> {
    for file in snapshot.manifest.files() {
        let shape = FileShape::new(file.bytes, snapshot.manifest.about().chunk_size);
        for segment in 0..shape.segments() {
            let rows = sources.rows(file, shape, segment).await?;
            for (index, row) in (segment * SEGMENT_ROWS..).zip(rows) {
                shown(&chunk(file, shape, index, &row));
            }
        }
    }
    Ok(())
}

fn chunk(file: &FileEntry, shape: FileShape, index: u64, row: &Row) -> ShownChunk {
    let frame = match row.stored {
        Stored::Hole => None,
        Stored::Frame { hash, .. } => Some(hash),
    };
    ShownChunk {
        path: file.path.clone(),
        chunk: index,
        offset: shape.chunk_size.offset_of(index),
        bytes: u64::from(shape.raw_len(index)),
        raw: row.raw,
        frame,
        frame_bytes: u64::from(row.frame_bytes()),
    }
}

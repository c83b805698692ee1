//! Small snapshots for the tests of this module.

use std::{collections::BTreeMap, path::Path};

use crate::{
    format::{
        chunk::{VerifiedChunk, verify_raw},
        list::{self, FileShape},
        manifest::{About, FileEntry, Layout, Manifest, RowSums},
        row::{Row, Stored},
    },
    fs::{Fs, Open},
    types::{ChunkSize, Hash, RelPath, Timestamp},
};

pub(super) fn chunk_size() -> ChunkSize {
    ChunkSize::try_from(u64::from(ChunkSize::MIN_BYTES)).unwrap()
}

/// A manifest of these files, cut every 64 KiB.
pub(super) fn manifest_of(files: &[(&str, &[u8])]) -> Manifest {
    manifest_with(files, None)
}

pub(super) fn manifest_with(files: &[(&str, &[u8])], subtrees: Option<&[&str]>) -> Manifest {
    let mut dirs: Vec<RelPath> = Vec::new();
    let mut entries: Vec<FileEntry> = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &entries {
        let mut dir = file.path.parent();
        while let Some(path) = dir {
            dir = path.parent();
            dirs.push(path);
        }
    }
    dirs.sort();
    dirs.dedup();
    let rows = || files.iter().flat_map(|(_, bytes)| rows_of(bytes));
    let frame_bytes = rows().map(|row| u64::from(row.frame_bytes())).sum();
    let hole_bytes = files.iter().flat_map(|(_, b)| b.chunks(65_536)).filter(|c| c.iter().all(|b| *b == 0)).map(|c| c.len() as u64).sum();
    let subtrees = subtrees.map(|trees| trees.iter().map(|tree| tree.parse().unwrap()).collect());
    Manifest::new(about(subtrees), dirs, entries, RowSums { frame_bytes, hole_bytes }).unwrap()
}

fn about(subtrees: Option<Vec<RelPath>>) -> About {
    About {
        channel: "kusama/generic".parse().unwrap(),
        height: None,
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: BTreeMap::new(),
        encoder: "none".to_owned(),
        taken_at: Timestamp::UNIX_EPOCH,
        client: None,
        engine: None,
        chunk_size: chunk_size(),
        subtrees,
    }
}

pub(super) fn rows_of(bytes: &[u8]) -> Vec<Row> {
    bytes.chunks(65_536).map(row_of).collect()
}

fn row_of(chunk: &[u8]) -> Row {
    if chunk.iter().all(|b| *b == 0) {
        return Row::hole(chunk.len() as u32);
    }
    // Nothing here decodes frames, so any frame will do.
    Row { raw: Hash::of(chunk), stored: Stored::Frame { hash: Hash::of(b"frame"), bytes: 40.min(chunk.len() as u32) } }
}

fn entry(path: &str, bytes: &[u8]) -> FileEntry {
    let rows = rows_of(bytes);
    let layout = if FileShape::new(bytes.len() as u64, chunk_size()).has_lists() {
        Layout::Lists(list::segments(&rows).map(|segment| Hash::of(&segment)).collect())
    } else {
        Layout::Rows(rows.into())
    };
    FileEntry { path: path.parse().unwrap(), bytes: bytes.len() as u64, b3: Hash::of(bytes), layout }
}

/// The list segments of these files, by name.
pub(super) fn lists_of(files: &[(&str, &[u8])]) -> BTreeMap<Hash, Vec<u8>> {
    files.iter().flat_map(|(_, bytes)| list::segments(&rows_of(bytes)).map(|s| (Hash::of(&s), s)).collect::<Vec<_>>()).collect()
}

/// A chunk as it comes out of the pipeline.
pub(super) fn verified(bytes: &[u8]) -> VerifiedChunk<'_> {
    verify_raw(&row_of(bytes), bytes.len() as u32, bytes).unwrap()
}

/// Writes a file and the directories above it, durably.
pub(super) fn put(fs: &dyn Fs, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    fs.create_dir_all(path.parent().unwrap(), 0o755).unwrap();
    let file = fs.open(path, Open::CreateNew(0o644)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    fs.sync_fs(path).unwrap();
}

pub(super) fn bytes_of(fs: &dyn Fs, path: &str) -> Vec<u8> {
    fs.read(Path::new(path), 1 << 30).unwrap()
}

/// Bytes that are no zeros and differ from chunk to chunk.
pub(super) fn painted(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i / 65_536) as u8 ^ seed | 1).collect()
}

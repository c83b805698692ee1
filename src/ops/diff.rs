//! `qsync diff`: what an update from one snapshot of a channel to another would fetch.
//!
//! A chunk counts as had when the older snapshot has the same bytes at the same place of the same file. Chunk lists that both snapshots
//! share are not fetched, and of the others one segment of each side is held at a time: memory does not grow with the snapshots.

use std::{cmp::Ordering, iter::Peekable, slice::Iter, sync::Arc};

use serde::Serialize;
use thiserror::Error;

use crate::{
    catalog::{self, OpenSnapshot},
    format::{
        list::FileShape,
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
    },
    sources::{RowsError, Sources},
    store::DynReadStore,
    trust::Verified,
    types::{ChannelName, Hash, RelPath, When},
};

/// What an update would do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Make it.
    Added,
    /// Remove it.
    Removed,
    /// Give it other bytes or another length.
    Changed,
}

/// A file that differs. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedFile {
    /// Where it lies.
    pub path: RelPath,
    /// How it differs.
    pub change: Change,
    /// Its length before, bytes; `None` when it was not there.
    pub old_bytes: Option<u64>,
    /// Its length after, bytes; `None` when it is not there any more.
    pub new_bytes: Option<u64>,
    /// What of it would be fetched.
    #[serde(flatten)]
    pub fetch: Fetch,
}

/// What would be fetched. Holes are not: they have no object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fetch {
    /// Number of chunks.
    pub chunks: u64,
    /// Their length, bytes.
    pub bytes: u64,
    /// Their length as stored, bytes.
    pub frame_bytes: u64,
}

/// The difference as a whole. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot that is updated.
    pub old_snapshot: Hash,
    /// Its block height, if known.
    pub old_height: Option<u64>,
    /// Id of the snapshot that it is updated to.
    pub new_snapshot: Hash,
    /// Its block height, if known.
    pub new_height: Option<u64>,
    /// Files that would be made.
    pub added_files: u64,
    /// Files that would be removed.
    pub removed_files: u64,
    /// Files that would get other bytes or another length.
    pub changed_files: u64,
    /// Files that would stay as they are.
    pub unchanged_files: u64,
    /// What would be fetched.
    #[serde(flatten)]
    pub fetch: Fetch,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The other snapshot could not be opened.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The rows of a file could not be had.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// The manifest of another snapshot that the same head names, so that both sides rest on one signature.
///
/// # Errors
/// As [`catalog::select`] and [`catalog::fetch_manifest`].
pub async fn open_other(sources: &[DynReadStore], open: &OpenSnapshot, when: &When) -> Result<Verified<Manifest>, Error> {
    let chosen = catalog::select(&open.channel.head, when)?;
    Ok(catalog::fetch_manifest(sources, &open.channel.head, &chosen).await?)
}

/// Compares two snapshots of a channel and gives every file that differs to `changed`, in order.
///
/// Snapshots that are cut at different distances have no chunks in common: a file that differs counts whole.
///
/// # Errors
/// [`Error::Rows`]
pub async fn diff(
    old: &Verified<Manifest>,
    new: &Verified<Manifest>,
    sources: &Arc<Sources>,
    mut changed: impl FnMut(&ChangedFile) + Send,
) -> Result<Summary, Error> {
    let mut summary = empty(old, new);
    for pair in Pairs::new(old.files(), new.files()) {
        match compare(old, new, pair, sources).await? {
            None => summary.unchanged_files += 1,
            Some(file) => {
                summary.add(&file);
                changed(&file);
            }
        }
    }
    Ok(summary)
}

fn empty(old: &Verified<Manifest>, new: &Verified<Manifest>) -> Summary {
    Summary {
        channel: new.about().channel.clone(),
        old_snapshot: old.hash(),
        old_height: old.about().height,
        new_snapshot: new.hash(),
        new_height: new.about().height,
        added_files: 0,
        removed_files: 0,
        changed_files: 0,
        unchanged_files: 0,
        fetch: Fetch::default(),
    }
}

impl Summary {
    fn add(&mut self, file: &ChangedFile) {
        match file.change {
            Change::Added => self.added_files += 1,
            Change::Removed => self.removed_files += 1,
            Change::Changed => self.changed_files += 1,
        }
        self.fetch.chunks += file.fetch.chunks;
        self.fetch.bytes += file.fetch.bytes;
        self.fetch.frame_bytes += file.fetch.frame_bytes;
    }
}

/// A path and the files that the snapshots have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pair<'a> {
    Old(&'a FileEntry),
    New(&'a FileEntry),
    Both(&'a FileEntry, &'a FileEntry),
}

/// Walks two lists of files, each sorted by path, side by side.
struct Pairs<'a> {
    old: Peekable<Iter<'a, FileEntry>>,
    new: Peekable<Iter<'a, FileEntry>>,
}

impl<'a> Pairs<'a> {
    fn new(old: &'a [FileEntry], new: &'a [FileEntry]) -> Self {
        Self { old: old.iter().peekable(), new: new.iter().peekable() }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let first = match (self.old.peek(), self.new.peek()) {
            (Some(old), Some(new)) => old.path.as_str().cmp(new.path.as_str()),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match first {
            Ordering::Less => self.old.next().map(Pair::Old),
            Ordering::Greater => self.new.next().map(Pair::New),
            Ordering::Equal => Some(Pair::Both(self.old.next()?, self.new.next()?)),
        }
    }
}

/// What differs at a path; `None` when nothing does.
async fn compare(old: &Manifest, new: &Manifest, pair: Pair<'_>, sources: &Arc<Sources>) -> Result<Option<ChangedFile>, Error> {
    let (before, after) = match pair {
        Pair::Old(before) => return Ok(Some(removed(before))),
        Pair::New(after) => (None, after),
        Pair::Both(before, after) if is_same(old, before, new, after) => return Ok(None),
        Pair::Both(before, after) => (Some(before), after),
    };
    let comparable = before.filter(|_| old.about().chunk_size == new.about().chunk_size);
    let shape = FileShape::new(after.bytes, new.about().chunk_size);
    let (mut fetch, mut differs) = (Fetch::default(), before.is_none_or(|before| before.bytes != after.bytes || comparable.is_none()));
    for segment in (0..shape.segments()).filter(|segment| !comparable.is_some_and(|before| shares_list(before, after, *segment))) {
        let had = match comparable {
            Some(before) => rows(before, old, segment, sources).await?,
            None => Vec::new(),
        };
        let wanted = sources.rows(after, shape, segment).await?;
        differs |= fetch.add_missing(&had, &wanted, shape, segment);
    }
    let change = if before.is_some() { Change::Changed } else { Change::Added };
    let file = || ChangedFile {
        path: after.path.clone(),
        change,
        old_bytes: before.map(|before| before.bytes),
        new_bytes: Some(after.bytes),
        fetch,
    };
    Ok(differs.then(file))
}

fn removed(file: &FileEntry) -> ChangedFile {
    ChangedFile { path: file.path.clone(), change: Change::Removed, old_bytes: Some(file.bytes), new_bytes: None, fetch: Fetch::default() }
}

/// Whether two files are the same as far as the manifests alone can tell.
fn is_same(old: &Manifest, before: &FileEntry, new: &Manifest, after: &FileEntry) -> bool {
    let same_cuts = old.about().chunk_size == new.about().chunk_size;
    before.bytes == after.bytes && if same_cuts { before.layout == after.layout } else { before.b3 == after.b3 }
}

/// Whether a segment of both files is one and the same list.
fn shares_list(before: &FileEntry, after: &FileEntry, segment: u64) -> bool {
    match (&before.layout, &after.layout) {
        (Layout::Lists(before), Layout::Lists(after)) => before.get(segment as usize) == after.get(segment as usize),
        _ => false,
    }
}

/// The rows of a segment of a file; none where it has ended.
async fn rows(file: &FileEntry, manifest: &Manifest, segment: u64, sources: &Arc<Sources>) -> Result<Vec<Row>, RowsError> {
    let shape = FileShape::new(file.bytes, manifest.about().chunk_size);
    if segment < shape.segments() { sources.rows(file, shape, segment).await } else { Ok(Vec::new()) }
}

impl Fetch {
    /// Counts the rows of a segment whose bytes are not had at the same place; whether there are any, holes included.
    fn add_missing(&mut self, had: &[Row], wanted: &[Row], shape: FileShape, segment: u64) -> bool {
        let mut any = false;
        let first = segment * crate::format::list::SEGMENT_ROWS;
        for (place, row) in wanted.iter().enumerate().filter(|(place, row)| had.get(*place).is_none_or(|had| had.raw != row.raw)) {
            any = true;
            if !row.is_hole() {
                self.chunks += 1;
                self.bytes += u64::from(shape.raw_len(first + place as u64));
                self.frame_bytes += u64::from(row.frame_bytes());
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::row::Stored, types::ChunkSize};

    const C: u32 = ChunkSize::MIN_BYTES;

    fn file(path: &str, bytes: u64) -> FileEntry {
        FileEntry { path: path.parse().unwrap(), bytes, b3: Hash::of(b""), layout: Layout::Rows(Box::default()) }
    }

    fn row(content: u8) -> Row {
        Row { raw: Hash::of(&[content]), stored: Stored::Frame { hash: Hash::of(&[content, 1]), bytes: 100 + u32::from(content) } }
    }

    #[test]
    fn files_are_paired_by_their_paths_in_byte_order() {
        // "a-b" sorts between "a" and "a/…", which are no neighbours.
        let (old, new) = (["a", "a-b", "b"].map(|path| file(path, 1)), ["a-b", "a/c", "b", "c"].map(|path| file(path, 2)));
        let pairs: Vec<_> = Pairs::new(&old, &new).collect();
        let both = |at: usize, with: usize| Pair::Both(&old[at], &new[with]);
        assert_eq!(pairs, [Pair::Old(&old[0]), both(1, 0), Pair::New(&new[1]), both(2, 2), Pair::New(&new[3])]);
        assert_eq!(Pairs::new(&old, &[]).count() + Pairs::new(&[], &new).count(), 7);
    }

    #[test]
    fn only_chunks_with_other_bytes_at_their_place_are_fetched_and_holes_never() {
        let shape = FileShape::new(4 * u64::from(C) + 10, ChunkSize::try_from(u64::from(C)).unwrap());
        let had = [row(1), row(2), row(3), row(4)];
        // The same, recompressed; another; a hole; moved; beyond the end.
        let recompressed = Row { stored: Stored::Frame { hash: Hash::of(b"other"), bytes: 7 }, ..row(1) };
        let wanted = [recompressed, row(9), Row::hole(C), row(3), row(5)];
        let mut fetch = Fetch::default();
        assert!(fetch.add_missing(&had, &wanted, shape, 0));
        assert_eq!(fetch, Fetch { chunks: 3, bytes: 2 * u64::from(C) + 10, frame_bytes: 109 + 103 + 105 });
        let mut nothing = Fetch::default();
        assert!(!nothing.add_missing(&had, &had[..2], shape, 0));
        assert_eq!(nothing, Fetch::default());
        assert!(nothing.add_missing(&had, &[Row::hole(C)], shape, 0), "a hole where data was is a change");
        assert_eq!(nothing, Fetch::default());
    }

    #[test]
    fn a_list_is_shared_at_its_own_place_only() {
        let lists = |ids: &[&[u8]]| FileEntry { layout: Layout::Lists(ids.iter().map(|id| Hash::of(id)).collect()), ..file("x", 1) };
        let (old, new) = (lists(&[b"1", b"2"]), lists(&[b"1", b"3", b"2"]));
        assert_eq!([0, 1, 2].map(|segment| shares_list(&old, &new, segment)), [true, false, false]);
        assert!(!shares_list(&file("x", 1), &new, 0));
    }
}

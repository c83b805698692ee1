//! The rules between the parts of a manifest (docs/format.md, 2.4).

use std::cmp::Ordering;

use super::{FileEntry, Layout, MAX_CHUNKS, MAX_PATHS, ManifestError, RowSums, Totals};
use crate::{
    format::{row::Row, shape::FileShape},
    types::{ChunkSize, RelPath, reserved::is_reserved},
};

/// Every path once, sorted, each below directories that are named, none that differ only in case, and none of a reserved name.
pub(super) fn paths(dirs: &[RelPath], files: &[FileEntry]) -> Result<(), ManifestError> {
    at_most("files and directories", MAX_PATHS, dirs.len() as u64 + files.len() as u64)?;
    sorted(dirs.iter())?;
    sorted(files.iter().map(|file| &file.path))?;
    for path in all(dirs, files) {
        parent_is_named(path, dirs, files)?;
        is_free(path)?;
    }
    differ_in_more_than_case(dirs, files)
}

/// A parent is a directory of its own, so the last component is enough.
fn is_free(path: &RelPath) -> Result<(), ManifestError> {
    if is_reserved(path.name()) { Err(ManifestError::Reserved { path: path.to_string() }) } else { Ok(()) }
}

fn all<'a>(dirs: &'a [RelPath], files: &'a [FileEntry]) -> impl Iterator<Item = &'a RelPath> {
    dirs.iter().chain(files.iter().map(|file| &file.path))
}

fn sorted<'a>(mut paths: impl Iterator<Item = &'a RelPath>) -> Result<(), ManifestError> {
    let Some(mut before) = paths.next() else { return Ok(()) };
    for path in paths {
        match before.cmp(path) {
            Ordering::Less => before = path,
            Ordering::Equal => return Err(same_path(before.as_str(), path.as_str())),
            Ordering::Greater => return Err(ManifestError::Unsorted { path: path.to_string(), before: before.to_string() }),
        }
    }
    Ok(())
}

fn same_path(path: &str, other: &str) -> ManifestError {
    ManifestError::SamePath { path: path.to_owned(), other: other.to_owned() }
}

/// Both lists are sorted, and each directory is asked for its own parent: so this reaches the top.
fn parent_is_named(path: &RelPath, dirs: &[RelPath], files: &[FileEntry]) -> Result<(), ManifestError> {
    let Some((parent, _)) = path.as_str().rsplit_once('/') else { return Ok(()) };
    if dirs.binary_search_by(|dir| dir.as_str().cmp(parent)).is_ok() {
        return Ok(());
    }
    let (path, parent) = (path.to_string(), parent.to_owned());
    match files.binary_search_by(|file| file.path.as_str().cmp(&parent)) {
        Ok(_) => Err(ManifestError::BelowFile { path, file: parent }),
        Err(_) => Err(ManifestError::MissingDir { path, dir: parent }),
    }
}

/// A snapshot is portable: it also fits file systems where `A` and `a` are one name.
fn differ_in_more_than_case(dirs: &[RelPath], files: &[FileEntry]) -> Result<(), ManifestError> {
    let lower = |path: &str, other: &str| {
        let bytes = path.bytes().map(|b| b.to_ascii_lowercase());
        bytes.cmp(other.bytes().map(|b| b.to_ascii_lowercase()))
    };
    let mut paths: Vec<&str> = all(dirs, files).map(RelPath::as_str).collect();
    paths.sort_unstable_by(|path, other| lower(path, other));
    match paths.windows(2).find(|pair| pair[0].eq_ignore_ascii_case(pair[1])) {
        Some(pair) => Err(same_path(pair[0], pair[1])),
        None => Ok(()),
    }
}

/// Every file lies in a subtree; every directory does too, or leads to one.
pub(super) fn subtrees(subtrees: Option<&[RelPath]>, dirs: &[RelPath], files: &[FileEntry]) -> Result<(), ManifestError> {
    let Some(subtrees) = subtrees else { return Ok(()) };
    if let Some(path) = subtrees.iter().find(|path| path.components().any(is_reserved)) {
        return Err(ManifestError::Reserved { path: path.to_string() });
    }
    let mut owned: Vec<&str> = subtrees.iter().map(RelPath::as_str).collect();
    owned.sort_unstable();
    stand_apart(&owned)?;
    let stray_dir = dirs.iter().find(|dir| !is_within(dir.as_str(), &owned) && !leads_to(dir, &owned));
    let stray_file = files.iter().map(|file| &file.path).find(|path| !is_within(path.as_str(), &owned));
    match stray_dir.or(stray_file) {
        Some(path) => Err(ManifestError::OutsideSubtrees { path: path.to_string() }),
        None => Ok(()),
    }
}

fn stand_apart(owned: &[&str]) -> Result<(), ManifestError> {
    let refuse = |what| Err(ManifestError::Subtrees { what });
    if owned.is_empty() {
        return refuse("there is none".to_owned());
    }
    if let Some(pair) = owned.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(format!("{} is named twice", pair[0]));
    }
    match owned.iter().find(|path| path.rsplit_once('/').is_some_and(|(parent, _)| is_within(parent, owned))) {
        Some(path) => refuse(format!("{path} lies in another")),
        None => Ok(()),
    }
}

/// Whether `path` or a directory above it is one of `owned`.
fn is_within(path: &str, owned: &[&str]) -> bool {
    let mut above = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent));
    above.any(|path| owned.binary_search(&path).is_ok())
}

/// Whether one of `owned` lies below `dir`.
fn leads_to(dir: &RelPath, owned: &[&str]) -> bool {
    let below = format!("{dir}/");
    let first = owned.partition_point(|path| *path < below.as_str());
    owned.get(first).is_some_and(|path| path.starts_with(&below))
}

/// Every file carries the rows or lists that its length asks for. Gives the totals, in which `sums` are possible.
pub(super) fn files(files: &[FileEntry], chunk_size: ChunkSize, sums: RowSums) -> Result<Totals, ManifestError> {
    let mut known = Known::default();
    for file in files {
        let shape = FileShape::new(file.bytes, chunk_size);
        // Once the chunks are within their cap, no sum of lengths can overflow.
        known.chunks = known.chunks.saturating_add(shape.chunks());
        at_most("chunks", MAX_CHUNKS, known.chunks)?;
        known.bytes += file.bytes;
        layout(file, shape, &mut known)?;
    }
    known.totals(files.len() as u64, sums)
}

/// What the files and the rows in the manifest say.
#[derive(Default)]
struct Known {
    bytes: u64,
    chunks: u64,
    frame_bytes: u64,
    hole_bytes: u64,
    listed_bytes: u64,
    listed_chunks: u64,
}

impl Known {
    fn totals(&self, files: u64, RowSums { frame_bytes, hole_bytes }: RowSums) -> Result<Totals, ManifestError> {
        let listed_frames = self.listed_bytes + self.listed_bytes / 1024 + 64 * self.listed_chunks;
        between("frame_bytes", self.frame_bytes, self.frame_bytes + listed_frames, frame_bytes)?;
        between("hole_bytes", self.hole_bytes, self.hole_bytes + self.listed_bytes, hole_bytes)?;
        Ok(Totals { files, bytes: self.bytes, chunks: self.chunks, frame_bytes, hole_bytes })
    }
}

fn layout(file: &FileEntry, shape: FileShape, known: &mut Known) -> Result<(), ManifestError> {
    match (&file.layout, shape.has_lists()) {
        (Layout::Rows(rows), false) => inline(file, rows, shape, known),
        (Layout::Lists(lists), true) => {
            known.listed_bytes += shape.bytes;
            known.listed_chunks += shape.chunks();
            count(file, "lists", shape.segments(), lists.len())
        }
        (_, has_lists) => {
            let expected = if has_lists { "lists" } else { "rows" };
            Err(ManifestError::Layout { path: file.path.to_string(), chunks: shape.chunks(), expected })
        }
    }
}

fn inline(file: &FileEntry, rows: &[Row], shape: FileShape, known: &mut Known) -> Result<(), ManifestError> {
    count(file, "rows", shape.chunks(), rows.len())?;
    for (index, row) in (0..).zip(rows) {
        let raw_len = shape.raw_len(index);
        row.check(raw_len).map_err(|source| ManifestError::Row { path: file.path.to_string(), index, source })?;
        known.frame_bytes += u64::from(row.frame_bytes());
        known.hole_bytes += if row.is_hole() { u64::from(raw_len) } else { 0 };
    }
    Ok(())
}

fn count(file: &FileEntry, what: &'static str, expected: u64, found: usize) -> Result<(), ManifestError> {
    match found as u64 {
        found if found == expected => Ok(()),
        found => Err(ManifestError::Count { path: file.path.to_string(), what, expected, found }),
    }
}

/// The totals that are written are those of the files.
pub(super) fn declared(found: Totals, expected: Totals) -> Result<(), ManifestError> {
    between("files", expected.files, expected.files, found.files)?;
    between("bytes", expected.bytes, expected.bytes, found.bytes)?;
    between("chunks", expected.chunks, expected.chunks, found.chunks)
}

fn between(what: &'static str, min: u64, max: u64, found: u64) -> Result<(), ManifestError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ManifestError::Total { what, min, max, found }) }
}

fn at_most(what: &'static str, max: u64, found: u64) -> Result<(), ManifestError> {
    if found <= max { Ok(()) } else { Err(ManifestError::TooMany { what, max, found }) }
}

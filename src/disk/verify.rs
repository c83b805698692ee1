//! Proves that a directory is what a manifest says, or says exactly where it is not.

use std::{
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Error, have::Have, layout, plan, rehash};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Kind},
    progress::{Progress, Stop},
    types::{Hash, RelPath},
};

/// Where list segments come from: the bytes of the segment of that name. They are checked here.
pub type Lists<'a> = dyn Fn(&Hash) -> io::Result<Vec<u8>> + Sync + 'a;

/// How a directory is verified.
#[derive(Debug)]
pub struct Options<'a> {
    /// Threads that read and hash.
    pub threads: usize,
    /// Whether the BLAKE3 of whole files is checked as well. Reads everything twice, and hashes the holes.
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
    /// Length of the files that were compared, holes included.
    pub bytes: u64,
    /// Chunks that are right.
    pub good_chunks: u64,
}

/// Something that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// An entry below what the snapshot owns is not in the manifest.
    Unexpected {
        /// The entry, relative to the directory; not always a path that a snapshot may have.
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

impl Defect {
    /// The entry that is wrong, relative to the directory.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Chunk { path, .. } | Self::Length { path, .. } | Self::Missing { path } | Self::WholeFile { path, .. } => path.as_str(),
            Self::Unexpected { path } => path,
        }
    }

    fn order(&self) -> (&str, u64) {
        let chunk = match self {
            Self::Chunk { chunk, .. } => chunk + 1,
            Self::Length { .. } | Self::Missing { .. } | Self::Unexpected { .. } => 0,
            Self::WholeFile { .. } => u64::MAX,
        };
        (self.path(), chunk)
    }
}

/// Reads a whole directory and compares it with a manifest.
///
/// # Errors
/// [`Error::List`] when the rows of a file are not to be had, and when a directory cannot be read. A chunk that cannot be read is a defect.
pub fn verify(fs: &dyn Fs, dir: &Path, manifest: &Manifest, lists: &Lists<'_>, options: &Options<'_>) -> Result<Report, Error> {
    let (mut defects, present) = structure(fs, dir, manifest)?;
    let (bad, good) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    rehash::chunks(fs, dir, manifest, &present, lists, options, &|file, chunk, row, found| {
        if found == Some(row.raw) {
            good.fetch_add(1, Ordering::Relaxed);
        } else {
            let offset = manifest.about().chunk_size.offset_of(chunk);
            let path = manifest.files()[file].path.clone();
            push(&bad, Defect::Chunk { path, chunk, offset, expected: row.raw, found });
        }
    })?;
    defects.append(&mut bad.into_inner().unwrap_or_else(PoisonError::into_inner));
    if options.whole_files {
        defects.append(&mut wrong_whole_files(fs, dir, manifest, &present, &defects, options)?);
    }
    defects.sort_by(|a, b| a.order().cmp(&b.order()));
    let bytes = present.iter().map(|file| manifest.files()[*file].bytes).sum();
    Ok(Report { defects, bytes, good_chunks: good.into_inner() })
}

/// The chunks below `dir` that are right, for a partial restore whose journal is lost. Files of another length have none.
///
/// # Errors
/// As [`verify`].
pub fn surviving(fs: &dyn Fs, dir: &Path, manifest: &Manifest, lists: &Lists<'_>, options: &Options<'_>) -> Result<Have, Error> {
    let unfit = layout::unfit_files(fs, dir, manifest)?;
    let present: Vec<usize> = (0..manifest.files().len()).filter(|file| unfit.binary_search(file).is_err()).collect();
    let have = Mutex::new(Have::none(manifest));
    rehash::chunks(fs, dir, manifest, &present, lists, options, &|file, chunk, row, found| {
        if found == Some(row.raw) {
            have.lock().unwrap_or_else(PoisonError::into_inner).insert(file, chunk..chunk + 1);
        }
    })?;
    Ok(have.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Lines for `b3sum -c`.
pub fn b3sums(manifest: &Manifest) -> impl Iterator<Item = String> {
    manifest.files().iter().map(|file| format!("{}  {}", file.b3, file.path))
}

/// What names, kinds and lengths tell; and the files whose content can be looked at.
fn structure(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<(Vec<Defect>, Vec<usize>), Error> {
    let (mut defects, mut present) = (Vec::new(), Vec::new());
    for (index, file) in manifest.files().iter().enumerate() {
        match layout::stat_if_there(fs, &dir.join(&file.path))?.filter(|stat| stat.kind == Kind::File) {
            None => defects.push(Defect::Missing { path: file.path.clone() }),
            Some(stat) => {
                present.push(index);
                if stat.len != file.bytes {
                    defects.push(Defect::Length { path: file.path.clone(), expected: file.bytes, found: stat.len });
                }
            }
        }
    }
    for path in manifest.dirs() {
        if layout::stat_if_there(fs, &dir.join(path))?.is_none_or(|stat| stat.kind != Kind::Dir) {
            defects.push(Defect::Missing { path: path.clone() });
        }
    }
    let strangers = layout::strangers(fs, dir, manifest)?;
    let names = strangers.iter().map(|path| path.strip_prefix(dir).unwrap_or(path).to_string_lossy().into_owned());
    defects.extend(names.filter(|path| owns(manifest, path)).map(|path| Defect::Unexpected { path }));
    Ok((defects, present))
}

/// Whether the snapshot owns an entry: beside its subtrees, and in a mount point, others live.
fn owns(manifest: &Manifest, path: &str) -> bool {
    match &manifest.about().subtrees {
        None => !plan::is_foreign(path),
        Some(trees) => trees.iter().any(|tree| Path::new(path).starts_with(tree)),
    }
}

/// Files whose chunks are all right and whose BLAKE3 is not.
fn wrong_whole_files(
    fs: &dyn Fs,
    dir: &Path,
    manifest: &Manifest,
    present: &[usize],
    defects: &[Defect],
    options: &Options<'_>,
) -> Result<Vec<Defect>, Error> {
    let known: std::collections::HashSet<&str> = defects.iter().map(Defect::path).collect();
    let right: Vec<usize> = present.iter().copied().filter(|file| !known.contains(manifest.files()[*file].path.as_str())).collect();
    let wrong = Mutex::new(Vec::new());
    rehash::whole_files(fs, dir, manifest, &right, options, &|file, found| {
        let (path, expected) = (manifest.files()[file].path.clone(), manifest.files()[file].b3);
        if found != expected {
            push(&wrong, Defect::WholeFile { path, expected, found });
        }
    })?;
    Ok(wrong.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn push(list: &Mutex<Vec<Defect>>, defect: Defect) {
    list.lock().unwrap_or_else(PoisonError::into_inner).push(defect);
}

//! Proves that a directory is what a manifest says, or says exactly where it is not.

use std::{
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Error, have::Have, layout, rehash};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Kind, Open},
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
            push(&bad, wrong_chunk(manifest, file, chunk, row.raw, found));
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

/// Reads some files again, after a repair, and compares them with a manifest. They are there and have their lengths.
///
/// # Errors
/// As [`verify`].
pub fn recheck(
    fs: &dyn Fs,
    dir: &Path,
    manifest: &Manifest,
    files: &[usize],
    lists: &Lists<'_>,
    options: &Options<'_>,
) -> Result<Vec<Defect>, Error> {
    let bad = Mutex::new(Vec::new());
    rehash::chunks(fs, dir, manifest, files, lists, options, &|file, chunk, row, found| {
        if found != Some(row.raw) {
            push(&bad, wrong_chunk(manifest, file, chunk, row.raw, found));
        }
    })?;
    let mut bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(bad)
}

/// Takes the files of a manifest out of the page cache, so that what is read next comes from the disk. What the kernel keeps all the
/// same costs nothing but that certainty.
///
/// # Errors
/// When the file system cannot be synced: only what is on the disk leaves the cache.
pub fn drop_cache(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    fs.sync_fs(dir).map_err(Error::io("sync", dir))?;
    for file in manifest.files() {
        // One that cannot be opened is a defect that verifying tells of.
        if let Ok(opened) = layout::open_beneath(fs, dir, &file.path, Open::Read) {
            opened.advise_done(0..u64::MAX >> 1);
        }
    }
    Ok(())
}

fn wrong_chunk(manifest: &Manifest, file: usize, chunk: u64, expected: Hash, found: Option<Hash>) -> Defect {
    let (path, offset) = (manifest.files()[file].path.clone(), manifest.about().chunk_size.offset_of(chunk));
    Defect::Chunk { path, chunk, offset, expected, found }
}

/// The chunks below `dir` that are right, for a partial restore whose journal is lost. Files of another length have none, nor do those that
/// another directory shares.
///
/// # Errors
/// As [`verify`].
pub fn surviving(fs: &dyn Fs, dir: &Path, manifest: &Manifest, lists: &Lists<'_>, options: &Options<'_>) -> Result<Have, Error> {
    let unfit = layout::not_to_be_kept(fs, dir, manifest)?;
    let present: Vec<usize> = (0..manifest.files().len()).filter(|file| unfit.binary_search(file).is_err()).collect();
    right_chunks(fs, dir, manifest, &present, lists, options)
}

/// The chunks below `dir` that are right, in files of any length, for a directory that is to be changed in place.
///
/// # Errors
/// As [`verify`].
pub fn right(fs: &dyn Fs, dir: &Path, manifest: &Manifest, lists: &Lists<'_>, options: &Options<'_>) -> Result<Have, Error> {
    let mut present = Vec::new();
    for (index, file) in manifest.files().iter().enumerate() {
        if layout::stat_if_there(fs, &dir.join(&file.path))?.is_some_and(|stat| stat.kind == Kind::File) {
            present.push(index);
        }
    }
    right_chunks(fs, dir, manifest, &present, lists, options)
}

fn right_chunks(
    fs: &dyn Fs,
    dir: &Path,
    manifest: &Manifest,
    present: &[usize],
    lists: &Lists<'_>,
    options: &Options<'_>,
) -> Result<Have, Error> {
    let have = Mutex::new(Have::none(manifest));
    rehash::chunks(fs, dir, manifest, present, lists, options, &|file, chunk, row, found| {
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
    defects.extend(layout::owned_strangers(fs, dir, manifest)?.into_iter().map(|path| Defect::Unexpected { path }));
    Ok((defects, present))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::testing::{lists_of, manifest_of, painted, put},
        fs::MemoryFs,
        progress::{Event, Recorder},
    };

    fn files() -> Vec<(&'static str, Vec<u8>)> {
        let mut holed = painted(100_000, 1);
        holed.resize(600_000, 0);
        vec![("db/1", painted(700_000, 3)), ("db/holed", holed), ("empty", vec![])]
    }

    fn check(change: impl FnOnce(&MemoryFs), whole_files: bool) -> Report {
        let (fs, files) = (MemoryFs::new(), files());
        let files: Vec<_> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
        for (path, bytes) in &files {
            put(&fs, &format!("/d/{path}"), bytes);
        }
        change(&fs);
        let (lists, progress, stop) = (lists_of(&files), Recorder::default(), Stop::new());
        let list = move |id: &Hash| lists.get(id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        let options = Options { threads: 3, whole_files, stop: &stop, progress: &progress };
        let report = verify(&fs, Path::new("/d"), &manifest_of(&files), &list, &options).unwrap();
        let done = progress.events().iter().map(|e| if let Event::Done { bytes } = e { *bytes } else { 0 }).sum::<u64>();
        assert_eq!(done, report.bytes);
        report
    }

    // P12
    #[test]
    fn a_directory_that_is_right_has_no_defect() {
        assert_eq!(check(|_| {}, true), Report { defects: vec![], bytes: 1_300_000, good_chunks: 21 });
    }

    // ST-05
    #[test]
    fn one_changed_bit_is_found_with_its_file_and_offset() {
        let report = check(|fs| fs.flip_bit(Path::new("/d/db/1"), 200_000, 4).unwrap(), false);
        let [Defect::Chunk { path, chunk: 3, offset: 196_608, expected, found: Some(found) }] = &report.defects[..] else {
            panic!("{report:?}")
        };
        assert_eq!((path.as_str(), report.good_chunks), ("db/1", 20));
        assert_ne!(expected, found);
    }

    #[test]
    fn data_where_a_hole_should_be_and_a_hole_where_data_should_be_are_found() {
        let report = check(
            |fs| {
                fs.open(Path::new("/d/db/holed"), Open::ReadWrite).unwrap().write_at(b"x", 500_000).unwrap();
                let file = fs.open(Path::new("/d/db/1"), Open::ReadWrite).unwrap();
                file.set_len(0).and_then(|()| file.set_len(700_000)).unwrap();
            },
            false,
        );
        assert_eq!(report.defects.iter().filter(|d| d.path() == "db/1").count(), 11);
        assert!(matches!(report.defects.last().unwrap(), Defect::Chunk { chunk: 7, .. }));
    }

    // MF-16
    #[test]
    fn lengths_missing_and_unexpected_entries_are_named() {
        let report = check(
            |fs| {
                fs.open(Path::new("/d/db/1"), Open::ReadWrite).unwrap().set_len(690_000).unwrap();
                fs.remove_file(Path::new("/d/empty")).unwrap();
                put(fs, "/d/db/stranger", b"x");
            },
            false,
        );
        let last = Defect::Chunk {
            path: "db/1".parse().unwrap(),
            chunk: 10,
            offset: 655_360,
            expected: Hash::of(&painted(700_000, 3)[655_360..]),
            found: None,
        };
        let length = Defect::Length { path: "db/1".parse().unwrap(), expected: 700_000, found: 690_000 };
        let stranger = Defect::Unexpected { path: "db/stranger".into() };
        assert_eq!(report.defects, [length, last, stranger, Defect::Missing { path: "empty".parse().unwrap() }]);
    }

    // ST-12
    #[test]
    fn a_huge_hole_is_verified_without_reading_it() {
        let fs = MemoryFs::new();
        put(&fs, "/d/f", b"");
        fs.open(Path::new("/d/f"), Open::ReadWrite).unwrap().set_len(20 << 30).unwrap();
        let rows = vec![crate::format::row::Row::hole(65_536); 15_360];
        let segments: Vec<Vec<u8>> = (0..22)
            .map(|n| {
                let count = (20 * 16_384_usize - n * 15_360).min(15_360);
                crate::format::list::encode(&rows[..count])
            })
            .collect();
        let ids = segments.iter().map(|s| Hash::of(s)).collect();
        let small = manifest_of(&[("f", b"")]);
        let layout = crate::format::manifest::Layout::Lists(ids);
        let file = crate::format::manifest::FileEntry { bytes: 20 << 30, layout, ..small.files()[0].clone() };
        let sums = crate::format::manifest::RowSums { frame_bytes: 0, hole_bytes: 20 << 30 };
        let manifest = Manifest::new(small.about().clone(), vec![], vec![file], sums).unwrap();
        let list = |id: &Hash| segments.iter().find(|s| Hash::of(s) == *id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        let options = Options { threads: 2, whole_files: false, stop: &Stop::new(), progress: &crate::progress::NoProgress };
        let report = verify(&fs, Path::new("/d"), &manifest, &list, &options).unwrap();
        assert_eq!((report.defects.len(), report.good_chunks), (0, 20 * 16_384));
    }

    #[test]
    fn a_list_that_is_not_to_be_had_ends_it() {
        let fs = MemoryFs::new();
        let bytes = painted(700_000, 3);
        put(&fs, "/d/f", &bytes);
        let options = Options { threads: 2, whole_files: false, stop: &Stop::new(), progress: &crate::progress::NoProgress };
        let wrong = |_: &Hash| Ok(b"something else".to_vec());
        let result = verify(&fs, Path::new("/d"), &manifest_of(&[("f", &bytes)]), &wrong, &options);
        assert!(matches!(result, Err(Error::List { .. })));
    }

    // MF-13
    #[test]
    fn a_whole_file_hash_that_fits_no_chunks_is_the_publishers_mistake() {
        let fs = MemoryFs::new();
        put(&fs, "/d/f", b"bytes");
        let right = manifest_of(&[("f", b"bytes")]);
        let file = crate::format::manifest::FileEntry { b3: Hash::of(b"other"), ..right.files()[0].clone() };
        let sums = crate::format::manifest::RowSums { frame_bytes: right.totals().frame_bytes, hole_bytes: 0 };
        let manifest = Manifest::new(right.about().clone(), vec![], vec![file], sums).unwrap();
        let options = Options { threads: 1, whole_files: true, stop: &Stop::new(), progress: &crate::progress::NoProgress };
        let none = |_: &Hash| Err(io::ErrorKind::NotFound.into());
        let report = verify(&fs, Path::new("/d"), &manifest, &none, &options).unwrap();
        assert!(matches!(&report.defects[..], [Defect::WholeFile { .. }]));
        assert!(b3sums(&right).next().unwrap().ends_with("  f"));
    }
}

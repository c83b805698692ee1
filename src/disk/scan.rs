//! The walk of a data directory that is to be published: all of it, or the parts that a node profile names.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, plan, select::Selection};
use crate::{
    fs::{DirEntry, Fs, Kind, Stat},
    types::{InvalidRelPath, RelPath, reserved::is_reserved},
};

/// What is published of a data directory as it was found: every directory and file, each sorted by the bytes of its path.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The directory, with every link on the way resolved.
    pub root: PathBuf,
    /// Every directory but the top one, also those that only lead to a part.
    pub dirs: Vec<RelPath>,
    /// Every file.
    pub files: Vec<ScannedFile>,
    /// The parts that are published; `None` for all of it.
    pub subtrees: Option<Vec<RelPath>>,
    /// What was asked for.
    pub selection: Arc<Selection>,
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFile {
    /// Where it lies.
    pub path: RelPath,
    /// What the file system says of it.
    pub stat: Stat,
}

/// Walks what is selected of a data directory. That may be reached through symbolic links; in what is published there must be none.
///
/// # Errors
/// [`Error::SourceKind`], [`Error::SourceName`] or [`Error::SourceTwins`] for what a snapshot cannot hold, [`Error::SourcePart`] for a part that
/// is not there as a whole.
pub fn scan(fs: &dyn Fs, data_dir: &Path, selection: &Arc<Selection>) -> Result<Scan, Error> {
    let root = fs.canonicalize(data_dir).map_err(Error::io("open", data_dir))?;
    let subtrees = selection.subtrees(fs, &root)?;
    let mut scan = Scan { dirs: Vec::new(), files: Vec::new(), root, subtrees, selection: Arc::clone(selection) };
    let mut pending: Vec<Option<RelPath>> = match &scan.subtrees {
        None => vec![None],
        Some(subtrees) => subtrees.iter().cloned().map(Some).collect(),
    };
    scan.add_ways(fs)?;
    while let Some(dir) = pending.pop() {
        let path = scan.path_of(dir.as_ref());
        for entry in fs.read_dir(&path).map_err(Error::io("read", &path))? {
            if let Some(child) = scan.take(fs, dir.as_ref(), &entry)? {
                pending.push(Some(child));
            }
        }
    }
    scan.dirs.sort_unstable();
    scan.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    scan.refuse_twins()?;
    Ok(scan)
}

impl Scan {
    /// Length of all files, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stat.len).sum()
    }

    /// Walks the directory again and refuses when an entry came, went or changed since.
    ///
    /// # Errors
    /// [`Error::SourceChanged`], or as [`scan`].
    pub fn check_unchanged(&self, fs: &dyn Fs) -> Result<(), Error> {
        let now = scan(fs, &self.root, &self.selection)?;
        refuse_difference(self.dirs.iter(), now.dirs.iter())?;
        refuse_difference(self.files.iter().map(|f| &f.path), now.files.iter().map(|f| &f.path))?;
        let changed = self.files.iter().zip(&now.files).find(|(before, after)| !same_content(&before.stat, &after.stat));
        changed.map_or(Ok(()), |(file, _)| Err(Error::SourceChanged { path: file.path.clone(), what: "changed" }))
    }

    fn path_of(&self, dir: Option<&RelPath>) -> PathBuf {
        dir.map_or_else(|| self.root.clone(), |dir| self.root.join(dir))
    }

    /// Adds the parts, and the directories that lead to them: nothing else in those is looked at, but what says that a restore is not finished.
    fn add_ways(&mut self, fs: &dyn Fs) -> Result<(), Error> {
        let mut ways: BTreeSet<Option<RelPath>> = BTreeSet::new();
        for subtree in self.subtrees.iter().flatten() {
            ways.extend(std::iter::successors(subtree.parent().map(Some).or(Some(None)), |way| Some(way.as_ref()?.parent())));
            self.dirs.push(subtree.clone());
        }
        for way in ways {
            let path = self.path_of(way.as_ref());
            let entries = fs.read_dir(&path).map_err(Error::io("read", &path))?;
            if let Some(staging) = entries.iter().find(|entry| plan::is_staging(&entry.name.to_string_lossy())) {
                return Err(Error::SourceIncomplete { path: path.join(&staging.name) });
            }
            self.dirs.extend(way);
        }
        Ok(())
    }

    /// Adds one entry; gives back a directory that is to be walked.
    fn take(&mut self, fs: &dyn Fs, dir: Option<&RelPath>, entry: &DirEntry) -> Result<Option<RelPath>, Error> {
        let full = self.path_of(dir).join(&entry.name);
        if plan::is_staging(&entry.name.to_string_lossy()) {
            return Err(Error::SourceIncomplete { path: full });
        }
        // A name that is not UTF-8 gets a replacement character, which the grammar refuses.
        let name = entry.name.to_string_lossy();
        let text = dir.map_or_else(|| name.to_string(), |dir| format!("{dir}/{name}"));
        if self.selection.leaves_out(&text) {
            return Ok(None);
        }
        let what = match entry.kind {
            Kind::Symlink => Some("symbolic link"),
            Kind::Special => Some("fifo, socket or device"),
            Kind::File | Kind::Dir => None,
        };
        if let Some(what) = what {
            return Err(Error::SourceKind { path: full, what });
        }
        if dir.is_none() && entry.name == plan::LOST_AND_FOUND {
            // The file system's own, where the data directory is a mount point: a restore leaves its own alone as well.
            return Ok(None);
        }
        if is_reserved(&entry.name.to_string_lossy()) {
            let source = InvalidRelPath { path: entry.name.to_string_lossy().into_owned(), rule: "the name is reserved" };
            return Err(Error::SourceName { path: full, source });
        }
        let path: RelPath = text.parse().map_err(|source| Error::SourceName { path: full.clone(), source })?;
        if entry.kind == Kind::Dir {
            self.dirs.push(path.clone());
            return Ok(Some(path));
        }
        let stat = match fs.stat(&full) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::SourceChanged { path, what: "was removed" }),
            stat => stat.map_err(Error::io("look at", full))?,
        };
        self.files.push(ScannedFile { path, stat });
        Ok(None)
    }

    /// MF-02: a snapshot is portable to file systems that do not tell `A` from `a`.
    fn refuse_twins(&self) -> Result<(), Error> {
        let mut seen: HashMap<String, &RelPath> = HashMap::new();
        for path in self.dirs.iter().chain(self.files.iter().map(|file| &file.path)) {
            if let Some(first) = seen.insert(path.as_str().to_ascii_lowercase(), path) {
                return Err(Error::SourceTwins { first: first.clone(), second: path.clone() });
            }
        }
        Ok(())
    }
}

/// Whether nobody wrote to a file between two looks at it, as far as the file system knows. A map of it in memory may escape this. A file
/// that has other names, as in a clone of hard links, gets a new ctime whenever one of them goes: there the ctime says nothing.
pub(super) fn same_content(before: &Stat, after: &Stat) -> bool {
    let key = |s: &Stat| (s.kind, s.dev, s.ino, s.len, s.mtime_ns);
    key(before) == key(after) && (before.nlink > 1 || before.ctime_ns == after.ctime_ns)
}

fn refuse_difference<'a>(mut before: impl Iterator<Item = &'a RelPath>, mut after: impl Iterator<Item = &'a RelPath>) -> Result<(), Error> {
    loop {
        let (path, what) = match (before.next(), after.next()) {
            (None, None) => return Ok(()),
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) if old < new => (old, "was removed"),
            (_, Some(new)) => (new, "appeared"),
            (Some(old), None) => (old, "was removed"),
        };
        return Err(Error::SourceChanged { path: path.clone(), what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::testing::put,
        fs::{MemoryFs, Open},
    };

    fn data() -> MemoryFs {
        let fs = MemoryFs::new();
        put(&fs, "/data/b/2", b"x");
        put(&fs, "/data/a-b", b"x");
        put(&fs, "/data/a/1", b"xy");
        fs.create_dir(Path::new("/data/empty"), 0o755).unwrap();
        fs
    }

    fn scanned(fs: &MemoryFs) -> Result<Scan, Error> {
        scan(fs, Path::new("/data"), &Selection::everything())
    }

    #[test]
    fn finds_everything_in_the_order_of_path_bytes() {
        let scan = scanned(&data()).unwrap();
        assert_eq!(scan.dirs.iter().map(RelPath::as_str).collect::<Vec<_>>(), ["a", "b", "empty"]);
        assert_eq!(scan.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a-b", "a/1", "b/2"]);
        assert_eq!(scan.bytes(), 4);
    }

    #[test]
    fn refuses_links_strange_names_and_case_twins_by_name() {
        let fs = data();
        fs.symlink(Path::new("/data/a/link")).unwrap();
        assert!(matches!(scanned(&fs), Err(Error::SourceKind { path, .. }) if path == Path::new("/data/a/link")));
        let fs = data();
        put(&fs, "/data/a b", b"");
        assert!(matches!(scanned(&fs), Err(Error::SourceName { path, .. }) if path == Path::new("/data/a b")));
        let fs = data();
        put(&fs, "/data/A/2", b"");
        assert!(matches!(scanned(&fs), Err(Error::SourceTwins { .. })));
    }

    #[test]
    fn what_the_file_system_keeps_at_the_top_is_left_out_and_other_reserved_names_are_refused() {
        let fs = data();
        put(&fs, "/data/lost+found/1", b"");
        let scan = scanned(&fs).unwrap();
        assert_eq!((scan.dirs.len(), scan.files.len()), (3, 3));
        for reserved in ["/data/b/lost+found/1", "/data/db.qsync-old-0d197521d9a4/1"] {
            let fs = data();
            put(&fs, reserved, b"");
            assert!(matches!(scanned(&fs), Err(Error::SourceName { source, .. }) if source.rule == "the name is reserved"), "{reserved}");
        }
    }

    // PU-01
    #[test]
    fn another_name_of_a_file_may_go_and_a_write_through_it_may_not() {
        let fs = data();
        fs.hard_link(Path::new("/data/a/1"), Path::new("/elsewhere")).unwrap();
        let scan = scanned(&fs).unwrap();
        fs.open(Path::new("/elsewhere"), Open::ReadWrite).unwrap().write_all_at(b"z", 0).unwrap();
        assert!(matches!(scan.check_unchanged(&fs), Err(Error::SourceChanged { what: "changed", .. })));
        let scan = scanned(&fs).unwrap();
        fs.remove_file(Path::new("/elsewhere")).unwrap();
        scan.check_unchanged(&fs).unwrap();
    }

    // PU-01, PU-02
    #[test]
    fn notices_files_that_change_come_or_go() {
        let what = |change: &dyn Fn(&MemoryFs)| {
            let fs = data();
            let scan = scanned(&fs).unwrap();
            scan.check_unchanged(&fs).unwrap();
            change(&fs);
            match scan.check_unchanged(&fs) {
                Err(Error::SourceChanged { path, what }) => (path.to_string(), what),
                other => panic!("{other:?}"),
            }
        };
        let write = |fs: &MemoryFs| fs.open(Path::new("/data/a/1"), Open::ReadWrite).unwrap().write_all_at(b"z", 0).unwrap();
        assert_eq!(what(&write), ("a/1".into(), "changed"));
        assert_eq!(what(&|fs| fs.remove_file(Path::new("/data/a/1")).unwrap()), ("a/1".into(), "was removed"));
        assert_eq!(what(&|fs| put(fs, "/data/a/0", b"")), ("a/0".into(), "appeared"));
        assert_eq!(what(&|fs| put(fs, "/data/z", b"")), ("z".into(), "appeared"));
    }
}

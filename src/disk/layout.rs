//! Every directory and file of a snapshot, made with its final length before the first chunk is written.
//!
//! Files begin as one hole, so a chunk of zeros needs no write. Everything is durable before the first journal record: a record
//! never speaks of a file that a power cut can take away.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, have::Have, plan};
use crate::{
    format::manifest::{FileEntry, Manifest},
    fs::{DirEntry, File, Fs, Kind, Open, Stat},
    types::RelPath,
};

/// Mode of restored directories, less the umask: the format knows no other.
pub(super) const DIR_MODE: u32 = 0o750;
/// Mode of restored files, less the umask.
pub(super) const FILE_MODE: u32 = 0o640;

/// Makes what is missing below `data`, removes what the manifest does not list, and gives every file its length. A file of another
/// length is made anew, unless it has chunks that are to be kept; one that another directory shares, always. Durable on return.
pub(super) fn make(fs: &dyn Fs, data: &Path, manifest: &Manifest, have: &Have) -> Result<(), Error> {
    make_dir(fs, data)?;
    for stranger in strangers(fs, data, manifest)? {
        fs.remove_tree(&stranger).map_err(Error::io("remove", &stranger))?;
    }
    for dir in manifest.dirs() {
        make_dir(fs, &data.join(dir))?;
    }
    for index in not_to_be_kept(fs, data, manifest)? {
        let file = &manifest.files()[index];
        if have.ranges(index).is_empty() { make_file(fs, data, file)? } else { resize_file(fs, data, file)? }
    }
    // One sync of the file system instead of one per file and directory: 100,000 small files would take minutes. Also when
    // nothing was missing: a run that was killed may have made it all and synced nothing.
    fs.sync_fs(data).map_err(Error::io("sync", data))
}

/// Indexes of the files that are missing, are no files, or have another length than the manifest says.
fn unfit_files(fs: &dyn Fs, data: &Path, manifest: &Manifest) -> Result<Vec<usize>, Error> {
    files_without(fs, data, manifest, |_| true)
}

/// Indexes of the files that no run may go on with: those that are missing, are no files or have another length, and those that have a
/// second name. An earlier run linked these from the old database, and to write to them would be to write to it.
pub(super) fn not_to_be_kept(fs: &dyn Fs, data: &Path, manifest: &Manifest) -> Result<Vec<usize>, Error> {
    files_without(fs, data, manifest, |stat| !is_shared(stat))
}

fn files_without(fs: &dyn Fs, data: &Path, manifest: &Manifest, fit: impl Fn(&Stat) -> bool) -> Result<Vec<usize>, Error> {
    let mut unfit = Vec::new();
    for (index, file) in manifest.files().iter().enumerate() {
        let stat = stat_if_there(fs, &data.join(&file.path))?;
        if !stat.is_some_and(|s| s.kind == Kind::File && s.len == file.bytes && fit(&s)) {
            unfit.push(index);
        }
    }
    Ok(unfit)
}

/// Refuses when the entries below `data` are not exactly those of the manifest: nothing unsigned may be put in place.
pub(super) fn check_exact(fs: &dyn Fs, data: &Path, manifest: &Manifest) -> Result<(), Error> {
    check_listed(fs, data, manifest)?;
    match strangers(fs, data, manifest)?.into_iter().next() {
        Some(path) => Err(Error::NotAsListed { path, what: "not in the manifest" }),
        None => Ok(()),
    }
}

/// Refuses when a file or directory of the manifest is missing below `data` or is something else.
pub(super) fn check_listed(fs: &dyn Fs, data: &Path, manifest: &Manifest) -> Result<(), Error> {
    if let Some(index) = unfit_files(fs, data, manifest)?.first() {
        return Err(Error::NotAsListed { path: data.join(&manifest.files()[*index].path), what: "missing or of another length" });
    }
    for dir in manifest.dirs() {
        let path = data.join(dir);
        if stat_if_there(fs, &path)?.is_none_or(|s| s.kind != Kind::Dir) {
            return Err(Error::NotAsListed { path, what: "not a directory" });
        }
    }
    Ok(())
}

/// Entries below `data` that are not in the manifest; of a directory that is not, only the directory itself.
pub(super) fn strangers(fs: &dyn Fs, data: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, Error> {
    let dirs: BTreeSet<PathBuf> = manifest.dirs().iter().map(|dir| data.join(dir)).collect();
    let mut strangers = Vec::new();
    for dir in std::iter::once(data.to_owned()).chain(dirs.iter().cloned()) {
        for entry in entries_if_there(fs, &dir)? {
            let path = dir.join(&entry.name);
            let known = match entry.kind {
                Kind::Dir => dirs.contains(&path),
                Kind::File => is_listed_file(data, &path, manifest),
                Kind::Symlink | Kind::Special => false,
            };
            if !known {
                strangers.push(path);
            }
        }
    }
    Ok(strangers)
}

/// Entries that the snapshot owns and does not list, relative to `dir`: beside its subtrees, and in a mount point, others live.
pub(super) fn owned_strangers(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<Vec<String>, Error> {
    let paths = owned_stranger_paths(fs, dir, manifest)?;
    Ok(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

/// The same, as paths relative to `dir`.
pub(super) fn owned_stranger_paths(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, Error> {
    let strangers = strangers(fs, dir, manifest)?.into_iter();
    let paths = strangers.map(|path| path.strip_prefix(dir).map(Path::to_owned).unwrap_or(path));
    let mut owned: Vec<PathBuf> = paths.filter(|path| owns(manifest, &path.to_string_lossy())).collect();
    // A subtree of which the snapshot has nothing may lie in a directory of which it has nothing either.
    for tree in manifest.about().subtrees.iter().flatten() {
        let path = PathBuf::from(tree.as_str());
        let is_listed = manifest.dirs().binary_search(tree).is_ok();
        if !is_listed && !owned.contains(&path) && stat_if_there(fs, &dir.join(tree))?.is_some() {
            owned.push(path);
        }
    }
    Ok(owned)
}

fn owns(manifest: &Manifest, path: &str) -> bool {
    match &manifest.about().subtrees {
        None => !plan::is_foreign(path),
        Some(trees) => trees.iter().any(|tree| Path::new(path).starts_with(tree)),
    }
}

fn is_listed_file(data: &Path, path: &Path, manifest: &Manifest) -> bool {
    let rel = path.strip_prefix(data).ok().and_then(Path::to_str);
    rel.is_some_and(|rel| manifest.find(rel).is_some())
}

fn entries_if_there(fs: &dyn Fs, dir: &Path) -> Result<Vec<DirEntry>, Error> {
    match fs.read_dir(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        result => result.map_err(Error::io("read", dir)),
    }
}

/// What an entry is, `None` when it is not there.
pub(super) fn stat_if_there(fs: &dyn Fs, path: &Path) -> Result<Option<Stat>, Error> {
    match fs.stat(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io("look at", path)(e)),
    }
}

pub(super) fn make_dir(fs: &dyn Fs, path: &Path) -> Result<(), Error> {
    match stat_if_there(fs, path)? {
        Some(stat) if stat.kind == Kind::Dir => return Ok(()),
        Some(_) => fs.remove_file(path).map_err(Error::io("remove", path))?,
        None => {}
    }
    fs.create_dir(path, DIR_MODE).map_err(Error::io("make", path))
}

/// A new file of the right length, all hole. What was there may hold bytes of an unknown origin, so it goes.
pub(super) fn make_file(fs: &dyn Fs, data: &Path, file: &FileEntry) -> Result<(), Error> {
    let path = data.join(&file.path);
    fs.remove_tree(&path).map_err(Error::io("remove", &path))?;
    let opened = open_beneath(fs, data, &file.path, Open::CreateNew(FILE_MODE))?;
    opened.set_len(file.bytes).map_err(Error::io("set the length of", &path))
}

/// The same file with another length, as it is when a newer snapshot is built on the chunks of an older one.
pub(super) fn resize_file(fs: &dyn Fs, data: &Path, file: &FileEntry) -> Result<(), Error> {
    let opened = open_own(fs, data, &file.path)?;
    opened.set_len(file.bytes).map_err(Error::io("set the length of", data.join(&file.path)))
}

/// Opens a file of a staging directory to write to it; refuses one that another directory shares.
pub(super) fn open_own(fs: &dyn Fs, data: &Path, rel: &RelPath) -> Result<Arc<dyn File>, Error> {
    let (file, path) = (open_beneath(fs, data, rel, Open::ReadWrite)?, data.join(rel));
    if is_shared(&file.stat().map_err(Error::io("look at", &path))?) {
        return Err(Error::NotAsListed { path, what: "also a file of another directory" });
    }
    Ok(file)
}

/// Whether a file has a second name, so that whoever writes to it writes to another directory too.
pub(super) fn is_shared(file: &Stat) -> bool {
    file.nlink > 1
}

/// Opens a file of the snapshot without following any link below `data`.
pub(super) fn open_beneath(fs: &dyn Fs, data: &Path, rel: &RelPath, how: Open) -> Result<Arc<dyn File>, Error> {
    fs.open_beneath(data, rel, how).map_err(Error::io("open", data.join(rel)))
}

//! What a snapshot must never be put over. All of it is asked before the first byte is fetched.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, layout, mounts, plan, secrets::secret_name};
use crate::{
    format::{key, manifest::Manifest},
    fs::{Fs, Kind},
    types::RelPath,
};

/// What to do with a database that is in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Refuse it.
    Refuse,
    /// It will be swapped out.
    Allow,
}

/// Directories that belong to the system as a whole.
const SYSTEM_DIRS: [&str; 18] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr",
    "/var", "/var/lib",
];

/// The target with every symbolic link on the way resolved; the last component, and only it, may be missing.
///
/// # Errors
/// [`Error::TargetRefused`] for a dangling link and for a target whose directory does not exist.
pub fn resolve(fs: &dyn Fs, target: &Path) -> Result<PathBuf, Error> {
    if layout::stat_if_there(fs, target)?.is_some() {
        return match fs.canonicalize(target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(refused(target, "it is a symbolic link to nowhere")),
            resolved => resolved.map_err(Error::io("open", target)),
        };
    }
    let Some(name) = target.file_name() else { return Err(refused(target, "it does not exist and has no name")) };
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs.canonicalize(parent) {
        Ok(parent) => Ok(parent.join(name)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(refused(target, "the directory above it does not exist")),
        Err(e) => Err(Error::io("open", parent)(e)),
    }
}

/// Refuses a resolved target that is dangerous whatever is restored there.
///
/// # Errors
/// [`Error::TargetRefused`] for `/` and the system's directories, the home directory and what is above it, a git repository, a store, and what
/// is not a directory.
pub fn check_place(fs: &dyn Fs, target: &Path, home: Option<&Path>) -> Result<(), Error> {
    if target.parent().is_none() || SYSTEM_DIRS.iter().any(|dir| target == Path::new(dir)) {
        return Err(refused(target, "it belongs to the system"));
    }
    if home.is_some_and(|home| home.starts_with(target)) {
        return Err(refused(target, "it is or contains your home directory"));
    }
    match layout::stat_if_there(fs, target)? {
        Some(stat) if stat.kind != Kind::Dir => Err(refused(target, "it is not a directory")),
        Some(_) if layout::stat_if_there(fs, &target.join(".git"))?.is_some() => Err(refused(target, "it is a git repository")),
        Some(_) if is_store(fs, target)? => Err(refused(target, "it is a store")),
        _ => Ok(()),
    }
}

/// Whether a directory is one that snapshots are published to: [`crate::format::key::store_info`], or the first root.
fn is_store(fs: &dyn Fs, dir: &Path) -> Result<bool, Error> {
    for object in [key::store_info(), key::root(1)] {
        if layout::stat_if_there(fs, &dir.join(object.as_str()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a resolved target that this snapshot must not be put into. Only what the snapshot owns is looked at: the whole directory, or
/// its subtrees.
///
/// # Errors
/// [`Error::TargetNotEmpty`] when there is a database already, [`Error::TargetIdentity`] when a node's keys would be replaced,
/// [`Error::TargetRefused`] for a subtree that is a link or another file system: it could not be swapped.
pub fn check_content(fs: &dyn Fs, target: &Path, manifest: &Manifest, occupied: Occupied) -> Result<(), Error> {
    let Some(top) = layout::stat_if_there(fs, target)? else { return Ok(()) };
    let Some(trees) = &manifest.about().subtrees else {
        return check_entries(fs, target, target, occupied);
    };
    for tree in trees {
        let path = target.join(tree);
        match layout::stat_if_there(fs, &path)? {
            None if device_above(fs, &path)? != top.dev => return Err(refused(&path, "it would lie on another file system")),
            None => {}
            Some(stat) if stat.kind != Kind::Dir => return Err(refused(&path, "it is not a directory")),
            Some(stat) if stat.dev != top.dev => return Err(refused(&path, "it is another file system")),
            Some(_) => check_entries(fs, target, &path, occupied)?,
        }
    }
    Ok(())
}

/// Whether there is something in what this snapshot owns of a resolved target.
///
/// # Errors
/// As [`check_content`], but for a target that is not empty.
pub fn is_occupied(fs: &dyn Fs, target: &Path, manifest: &Manifest) -> Result<bool, Error> {
    match check_content(fs, target, manifest, Occupied::Refuse) {
        Err(Error::TargetNotEmpty { .. }) => Ok(true),
        checked => checked.map(|()| false),
    }
}

/// Refuses a snapshot that would write over a local file which is known to hold keys or a node's identity.
///
/// # Errors
/// [`Error::TargetIdentity`].
pub fn refuse_identity_files(fs: &dyn Fs, target: &Path, manifest: &Manifest) -> Result<(), Error> {
    for (path, rule) in identity_files(manifest) {
        if layout::stat_if_there(fs, &target.join(path))?.is_some() {
            return Err(Error::TargetIdentity { target: target.to_owned(), path: path.clone(), rule });
        }
    }
    Ok(())
}

/// Files of a snapshot that are known to hold keys or a node's identity: its publisher allowed them.
pub fn identity_files(manifest: &Manifest) -> impl Iterator<Item = (&RelPath, &'static str)> {
    manifest.files().iter().filter_map(|file| Some((&file.path, secret_name(&file.path)?)))
}

fn check_entries(fs: &dyn Fs, target: &Path, dir: &Path, occupied: Occupied) -> Result<(), Error> {
    let entries = fs.read_dir(dir).map_err(Error::io("read", dir))?;
    let mut names = entries.iter().map(|entry| entry.name.to_string_lossy());
    match names.find(|name| !plan::is_foreign(name)) {
        None => Ok(()),
        Some(found) if occupied == Occupied::Refuse => Err(Error::TargetNotEmpty { path: dir.to_owned(), found: found.into_owned() }),
        Some(_) => match mounts::first_below(dir).map_err(Error::io("read", "/proc/self/mountinfo"))? {
            Some(mount) => Err(refused(&mount, "it is another file system, and would be replaced")),
            None => refuse_identity(fs, target, dir),
        },
    }
}

/// Refuses a target that goes away as a whole and holds what never belongs to a snapshot: databases that were kept in it while it was a
/// mount point, another partial restore, what the file system found.
///
/// # Errors
/// [`Error::TargetRefused`].
pub(super) fn refuse_foreign(fs: &dyn Fs, target: &Path) -> Result<(), Error> {
    if layout::stat_if_there(fs, target)?.is_none() {
        return Ok(());
    }
    for entry in fs.read_dir(target).map_err(Error::io("read", target))? {
        let (path, name) = (target.join(&entry.name), entry.name.to_string_lossy().into_owned());
        let is_empty = || fs.read_dir(&path).is_ok_and(|entries| entries.is_empty());
        if plan::is_foreign(&name) && !(name == plan::LOST_AND_FOUND && is_empty()) {
            return Err(refused(&path, "no snapshot brings it back, and it would go away with the old database: move it elsewhere first"));
        }
    }
    Ok(())
}

/// The file system of the directory that an entry will get, every link on the way followed.
fn device_above(fs: &dyn Fs, path: &Path) -> Result<u64, Error> {
    let above = path.parent().unwrap_or(path);
    match fs.canonicalize(above).and_then(|dir| fs.stat(&dir)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && above != path => device_above(fs, above),
        stat => Ok(stat.map_err(Error::io("look at", above))?.dev),
    }
}

/// OP-03, MF-17: two nodes with one key are punished for it, and a lost key is lost.
fn refuse_identity(fs: &dyn Fs, target: &Path, dir: &Path) -> Result<(), Error> {
    for entry in fs.read_dir(dir).map_err(Error::io("read", dir))? {
        let path = dir.join(&entry.name);
        if entry.kind == Kind::Dir {
            if !entry.name.to_str().is_some_and(plan::is_foreign) {
                refuse_identity(fs, target, &path)?;
            }
            continue;
        }
        let rel = path.strip_prefix(target).ok().and_then(|rel| in_grammar(&rel.to_string_lossy()));
        if let Some((path, rule)) = rel.and_then(|rel| secret_name(&rel).map(|rule| (rel, rule))) {
            return Err(Error::TargetIdentity { target: target.to_owned(), path, rule });
        }
    }
    Ok(())
}

/// A path whose names no snapshot can have is looked at as if it had others there.
fn in_grammar(rel: &str) -> Option<RelPath> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    rel.chars().map(|c| if fits(c) { c } else { '_' }).collect::<String>().parse().ok()
}

fn refused(path: &Path, why: &str) -> Error {
    Error::TargetRefused { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::testing::{manifest_of, manifest_with, put},
        fs::{MemoryFs, RealFs},
    };

    fn content(fs: &MemoryFs, subtrees: Option<&[&str]>, occupied: Occupied) -> Result<(), Error> {
        let manifest = if subtrees.is_some() { manifest_with(&[("db/1", b"x")], subtrees) } else { manifest_of(&[("db/1", b"x")]) };
        check_content(fs, Path::new("/d/node"), &manifest, occupied)
    }

    // OP-03
    #[test]
    fn refuses_places_that_are_never_a_database() {
        let fs = MemoryFs::new();
        put(&fs, "/d/repository/.git/HEAD", b"");
        put(&fs, "/d/file", b"");
        put(&fs, "/d/store/store.json", b"");
        put(&fs, "/d/mirror/root/1.json", b"");
        let home = Some(Path::new("/home/me"));
        for place in ["/", "/etc", "/home", "/home/me", "/d/repository", "/d/file", "/d/store", "/d/mirror"] {
            assert!(matches!(check_place(&fs, Path::new(place), home), Err(Error::TargetRefused { .. })), "{place}");
        }
        for place in ["/d", "/d/new", "/home/me/node", "/home/other"] {
            check_place(&fs, Path::new(place), home).unwrap();
        }
    }

    // ST-09
    #[test]
    fn resolves_links_and_refuses_those_that_dangle() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        std::os::unix::fs::symlink(base.join("nowhere"), base.join("dangling")).unwrap();
        let resolve = |name: &str| resolve(&RealFs, &base.join(name));
        assert_eq!(resolve("link").unwrap(), base.join("real"));
        assert_eq!(resolve("link/new").unwrap(), base.join("real/new"));
        for bad in ["dangling", "not/there", "not/.."] {
            assert!(matches!(resolve(bad), Err(Error::TargetRefused { .. })), "{bad}");
        }
    }

    // OP-01
    #[test]
    fn a_directory_with_anything_in_it_is_not_empty() {
        let fs = MemoryFs::new();
        content(&fs, None, Occupied::Refuse).unwrap();
        fs.create_dir_all(Path::new("/d/node/.qsync-partial"), 0o700).unwrap();
        content(&fs, None, Occupied::Refuse).unwrap();
        put(&fs, "/d/node/other/1", b"");
        assert!(matches!(content(&fs, None, Occupied::Refuse), Err(Error::TargetNotEmpty { found, .. }) if found == "other"));
        content(&fs, None, Occupied::Allow).unwrap();
        content(&fs, Some(&["db"]), Occupied::Refuse).unwrap();
    }

    // ST-11
    #[test]
    fn a_subtree_behind_a_link_to_another_disk_is_refused_before_it_is_there() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm"));
        let Some(there) = there.ok().filter(|there| device(there.path()) != device(here.path())) else {
            eprintln!("there is one file system here: NOT tested");
            return;
        };
        let manifest = manifest_with(&[("geth/chaindata/1", b"x")], Some(&["geth/chaindata"]));
        let check = || check_content(&RealFs, here.path(), &manifest, Occupied::Allow);
        check().unwrap();
        std::os::unix::fs::symlink(there.path(), here.path().join("geth")).unwrap();
        assert!(matches!(check(), Err(Error::TargetRefused { .. })));
    }

    fn device(path: &Path) -> u64 {
        RealFs.stat(path).unwrap().dev
    }

    // MF-17, OP-03
    #[test]
    fn keys_are_never_replaced_and_may_lie_beside() {
        let fs = MemoryFs::new();
        put(&fs, "/d/node/keystore/1", b"");
        put(&fs, "/d/node/db/1", b"");
        assert!(matches!(content(&fs, None, Occupied::Allow), Err(Error::TargetIdentity { .. })));
        content(&fs, Some(&["db"]), Occupied::Allow).unwrap();
        put(&fs, "/d/node/db/nodekey", b"");
        let refused = content(&fs, Some(&["db"]), Occupied::Allow);
        assert!(matches!(refused, Err(Error::TargetIdentity { path, .. }) if path.as_str() == "db/nodekey"));
    }
}

//! Snapshots of a btrfs subvolume, by `btrfs`.

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use rustix::fs::statfs;

use super::{Error, call::Call};

const MAGIC: u32 = 0x9123_683E;
/// Inode of the top directory of every subvolume.
const TOP: u64 = 256;
const LIMIT: Duration = Duration::from_secs(60);

/// Refuses a directory that is no subvolume: only a whole one can be snapshot.
///
/// # Errors
/// [`Error::NoSubvolume`], [`Error::Io`].
pub fn check(dir: &Path) -> Result<(), Error> {
    let inode = std::fs::metadata(dir).map_err(Error::io("look at", dir))?.ino();
    let magic = statfs(dir).map_err(|e| Error::io("look at", dir)(e.into()))?.f_type as u32;
    if (magic, inode) == (MAGIC, TOP) { Ok(()) } else { Err(Error::NoSubvolume { path: dir.to_owned() }) }
}

/// Makes `to` a snapshot of `from` that nobody can write to.
///
/// # Errors
/// When `btrfs` fails.
pub fn snapshot(from: &Path, to: &Path) -> Result<(), Error> {
    btrfs(&["subvolume", "snapshot", "-r"], &[from, to])
}

/// Deletes a snapshot.
///
/// # Errors
/// When `btrfs` fails.
pub fn delete(snapshot: &Path) -> Result<(), Error> {
    btrfs(&["subvolume", "delete"], &[snapshot])
}

fn btrfs(words: &[&str], paths: &[&Path]) -> Result<(), Error> {
    let words = words.iter().map(|word| (*word).to_owned());
    let paths = paths.iter().map(|path| path.to_string_lossy().into_owned());
    let argv: Vec<_> = std::iter::once("btrfs".to_owned()).chain(words).chain(paths).collect();
    Call::ask(&argv, LIMIT).succeed().map(drop)
}

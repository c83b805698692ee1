//! A clone of a data directory: what is published while the node runs again.
//!
//! ```text
//! .NAME.qsync-clone/       beside the data directory, or in the directory that is configured
//!   owner.json             says whose it is; written before anything else, removed after everything else
//!   data/                  the files, by the paths that they have in the data directory
//! ```
//! A clone is not durable: what is left of one after a crash is removed, never published.

mod copy;
pub mod plan;
mod probe;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use copy::{Bounds, Cloned, copy};
pub use probe::probe;

use super::{
    Error, mounts,
    scan::{self, Scan},
    select::Selection,
};
use crate::{
    fs::{Fs, Kind},
    types::{ChannelName, reserved::CLONE_SUFFIX},
};

const OWNER_FILE: &str = "owner.json";
const CONTENT: &str = "data";
const FORMAT: &str = "qsync-clone/1";
const MAX_BYTES: u64 = 4096;
/// How often a directory in which a node makes and removes files is walked, until it stays as it is for so long.
const WALKS: usize = 5;

/// What a clone is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Files.
    Files,
    /// A snapshot of a btrfs subvolume.
    Subvolume,
}

/// Whose clone it is.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    format: String,
    channel: ChannelName,
    content: Content,
}

/// The files of a data directory that are published. A node that runs removes files meanwhile: then the walk is made again.
///
/// # Errors
/// As [`scan::scan`].
pub fn select(fs: &dyn Fs, data_dir: &Path, selection: &Arc<Selection>) -> Result<Scan, Error> {
    let mut walked = scan::scan(fs, data_dir, selection);
    for _ in 1..WALKS {
        if !matches!(walked, Err(Error::SourceChanged { .. })) {
            break;
        }
        walked = scan::scan(fs, data_dir, selection);
    }
    walked
}

/// Where the clone of a data directory goes: below `clone_dir`, else beside the data directory, else inside it where it is a mount point.
///
/// # Errors
/// [`Error::Io`].
pub fn place(fs: &dyn Fs, data_dir: &Path, clone_dir: Option<&Path>) -> Result<PathBuf, Error> {
    let data_dir = fs.canonicalize(data_dir).map_err(Error::io("open", data_dir))?;
    let name = data_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = format!(".{name}{CLONE_SUFFIX}");
    if let Some(dir) = clone_dir {
        return Ok(fs.canonicalize(dir).map_err(Error::io("open", dir))?.join(named));
    }
    let device = |dir: &Path| fs.stat(dir).map(|stat| stat.dev).map_err(Error::io("look at", dir));
    // A subvolume has a device of its own, and shares blocks with what lies beside it all the same.
    let is_mount_point = mounts::is_listed(&data_dir).map_err(Error::io("read", "/proc/self/mountinfo"))?;
    match data_dir.parent() {
        Some(parent) if !is_mount_point || device(parent)? == device(&data_dir)? => Ok(parent.join(named)),
        _ => Ok(data_dir.join(CLONE_SUFFIX)),
    }
}

/// Where the files of a clone lie.
#[must_use]
pub fn content(clone: &Path) -> PathBuf {
    clone.join(CONTENT)
}

/// Makes the folder of a clone, which says whose it is before it holds anything.
///
/// # Errors
/// [`Error::CloneForeign`] when something is there; [`Error::Io`].
pub fn create(fs: &dyn Fs, clone: &Path, channel: &ChannelName, content: Content) -> Result<(), Error> {
    match fs.create_dir(clone, 0o700) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::CloneForeign { path: clone.to_owned(), why: "it exists" });
        }
        made => made.map_err(Error::io("make", clone))?,
    }
    let owner = Owner { format: FORMAT.to_owned(), channel: channel.clone(), content };
    let json = serde_json::to_vec(&owner).expect("an owner has text keys only");
    fs.write_durable(&clone.join(OWNER_FILE), &json, 0o600).map_err(Error::io("write", clone.join(OWNER_FILE)))
}

/// Deletes a subvolume.
pub type DeleteSubvolume<'a> = &'a dyn Fn(&Path) -> Result<(), String>;

/// Removes a clone of this channel, and nothing else. No error when there is none.
///
/// # Errors
/// [`Error::CloneForeign`] when it is not ours; [`Error::Io`].
pub fn remove(fs: &dyn Fs, clone: &Path, channel: &ChannelName, delete: DeleteSubvolume<'_>) -> Result<(), Error> {
    match fs.stat(clone) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("look at", clone)(e)),
        Ok(stat) if stat.kind != Kind::Dir => return Err(foreign(clone, "it is no directory")),
        Ok(_) => {}
    }
    if !clone.file_name().is_some_and(|name| name.to_string_lossy().ends_with(CLONE_SUFFIX)) {
        return Err(foreign(clone, "its name is not that of a clone"));
    }
    if let Some(owner) = owner(fs, clone)? {
        if &owner.channel != channel {
            return Err(foreign(clone, "it is a clone of another channel"));
        }
        remove_content(fs, clone, owner.content, delete)?;
    }
    fs.remove_dir(clone).map_err(Error::io("remove", clone))
}

fn remove_content(fs: &dyn Fs, clone: &Path, kind: Content, delete: DeleteSubvolume<'_>) -> Result<(), Error> {
    let content = content(clone);
    if kind == Content::Subvolume && fs.stat(&content).is_ok() {
        delete(&content).map_err(|why| Error::io("delete the snapshot", &content)(io::Error::other(why)))?;
    }
    fs.remove_tree(&content).map_err(Error::io("remove", &content))?;
    fs.remove_tree(&clone.join(probe::NAME)).map_err(Error::io("remove", clone))?;
    // Last, so that what is left of an interrupted removal is ours.
    fs.remove_file(&clone.join(OWNER_FILE)).map_err(Error::io("remove", clone.join(OWNER_FILE)))
}

/// Whose clone it is; `None` when the folder is empty: then its removal, or its making, was interrupted.
fn owner(fs: &dyn Fs, clone: &Path) -> Result<Option<Owner>, Error> {
    let entries = fs.read_dir(clone).map_err(Error::io("read", clone))?;
    if entries.iter().all(|entry| entry.name.to_string_lossy().starts_with(&format!(".{OWNER_FILE}."))) {
        for entry in &entries {
            fs.remove_file(&clone.join(&entry.name)).map_err(Error::io("remove", clone.join(&entry.name)))?;
        }
        return Ok(None);
    }
    let json = fs.read(&clone.join(OWNER_FILE), MAX_BYTES).map_err(|_| foreign(clone, "it has no owner.json of qsync"))?;
    let owner: Owner = serde_json::from_slice(&json).map_err(|_| foreign(clone, "its owner.json is not of qsync"))?;
    if owner.format == FORMAT { Ok(Some(owner)) } else { Err(foreign(clone, "its owner.json is of another release")) }
}

fn foreign(clone: &Path, why: &'static str) -> Error {
    Error::CloneForeign { path: clone.to_owned(), why }
}

#[cfg(test)]
mod tests;

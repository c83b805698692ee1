//! The commit record: the renames that put a snapshot in place, written down and synced before the first of them.
//!
//! Once the first of them is made the swap will be completed, by this run or by the next; before that the record can be taken back. It names each new entry by its inode:
//! that alone tells, after a crash, whether an exchange has happened.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Error, swap::Old};
use crate::{
    fs::{Fs, Rename},
    types::Hash,
};

const FORMAT: &str = "qsync-commit/1";
pub(super) const FILE: &str = "commit";
/// What the record is called once the swap is made and remembered: only removing is left then.
pub(super) const DONE: &str = "done";
const MAX_BYTES: u64 = 64 << 20;

/// All renames of one swap.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Commit {
    format: String,
    /// The snapshot.
    pub(super) manifest: Hash,
    /// What becomes of what was there.
    pub(super) old: Old,
    /// In the order in which they are made.
    pub(super) moves: Vec<Move>,
}

/// One entry that gets a new owner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Move {
    /// The new entry; `None` when an old one only goes away.
    pub(super) new: Option<NewEntry>,
    /// Where it goes, relative to the target.
    pub(super) place: PathBuf,
}

/// What is put in place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NewEntry {
    /// Where it was built, relative to `data/`.
    pub(super) staged: PathBuf,
    /// Its inode.
    pub(super) inode: u64,
}

impl Commit {
    pub(super) fn new(manifest: Hash, old: Old, moves: Vec<Move>) -> Self {
        Self { format: FORMAT.to_owned(), manifest, old, moves }
    }

    /// Writes it durably.
    pub(super) fn save(&self, fs: &dyn Fs, staging: &Path) -> Result<(), Error> {
        let path = staging.join(FILE);
        let unreadable = |e: serde_json::Error| Error::Unreadable { path: path.clone(), why: e.to_string() };
        // Paths that are no UTF-8 cannot be written down, so they cannot be swapped.
        let text = serde_json::to_vec_pretty(self).map_err(unreadable)?;
        fs.write_durable(&path, &text, 0o600).map_err(Error::io("write", &path))
    }

    /// Notes durably that the swap is made and remembered: from now on the staging directory holds nothing that anybody needs.
    pub(super) fn close(fs: &dyn Fs, staging: &Path) -> Result<(), Error> {
        let (path, done) = (staging.join(FILE), staging.join(DONE));
        fs.rename(&path, &done, Rename::Replace).map_err(Error::io("rename", &path))?;
        fs.sync_dir(staging).map_err(Error::io("sync", staging))
    }

    /// Takes it back, durably: nothing of what it says has been done.
    pub(super) fn remove(fs: &dyn Fs, staging: &Path) -> Result<(), Error> {
        let path = staging.join(FILE);
        fs.remove_file(&path).map_err(Error::io("remove", &path))?;
        fs.sync_dir(staging).map_err(Error::io("sync", staging))
    }

    /// The one of an earlier run; `None` when there is none.
    pub(super) fn load(fs: &dyn Fs, staging: &Path) -> Result<Option<Self>, Error> {
        let path = staging.join(FILE);
        let text = match fs.read(&path, MAX_BYTES) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io("read", &path))?,
        };
        let commit: Self = serde_json::from_slice(&text).map_err(|e| Error::Unreadable { path: path.clone(), why: e.to_string() })?;
        if commit.format != FORMAT {
            return Err(Error::Unreadable { path, why: format!("its format is {:?}, not {FORMAT:?}", commit.format) });
        }
        if !commit.moves.iter().all(Move::stays_below) {
            return Err(Error::Unreadable { path, why: "it names a path that leads out of the directory".to_owned() });
        }
        Ok(Some(commit))
    }
}

impl Move {
    /// MF-18: whatever wrote it, nothing but entries of the target and of the staging directory is moved.
    fn stays_below(&self) -> bool {
        let below = |path: &Path| path.components().all(|component| matches!(component, Component::Normal(_)));
        below(&self.place) && self.new.as_ref().is_none_or(|new| below(&new.staged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::testing::put, fs::MemoryFs};

    // MF-18
    #[test]
    fn a_commit_record_that_leads_out_of_the_directory_is_not_followed() {
        let load = |staged: &str, place: &str| {
            let fs = MemoryFs::new();
            put(&fs, "/s/lock", b"");
            let new = Some(NewEntry { staged: staged.into(), inode: 1 });
            Commit::new(Hash::of(b""), Old::Delete, vec![Move { new, place: place.into() }]).save(&fs, Path::new("/s")).unwrap();
            Commit::load(&fs, Path::new("/s"))
        };
        for inside in ["", "db", "geth/chaindata"] {
            assert!(load(inside, inside).unwrap().is_some(), "{inside}");
        }
        for outside in ["/etc", "..", "../x", "db/../../x"] {
            assert!(matches!(load(outside, "db"), Err(Error::Unreadable { .. })), "{outside}");
            assert!(matches!(load("db", outside), Err(Error::Unreadable { .. })), "{outside}");
        }
    }
}

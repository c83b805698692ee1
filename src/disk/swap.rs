//! Puts a finished snapshot in place.
//!
//! Always the same: everything is checked and synced, the renames are written down (the commit record), made, and synced. Until the
//! commit record is durable the target is as it was; from then on it will be the new snapshot, whatever happens. The old database is
//! removed last, with the staging directory.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    commit::{Commit, Move, NewEntry},
    layout,
    plan::{self, Place, Step},
    staging::Staging,
};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Rename},
    types::Hash,
};

/// What becomes of the database that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Old {
    /// There must be none.
    Refuse,
    /// It is deleted last.
    Delete,
    /// It is kept beside the new one, as `NAME.qsync-old-<id>`.
    Keep,
}

/// A snapshot that is in place, durably. The staging directory, and in it what was there before, are still to be removed.
#[derive(Debug)]
#[must_use = "the staging directory is still there"]
pub struct Placed {
    id: Hash,
}

/// Checks that staging holds exactly what the manifest lists, and puts it in place.
///
/// # Errors
/// [`Error::NotAsListed`] and [`Error::TargetNotEmpty`] before anything is changed. Any other error may come after the commit record:
/// then [`finish_pending`] goes on from there.
pub fn put_in_place(staging: &Staging, manifest: &Manifest, id: &Hash, old: Old) -> Result<Placed, Error> {
    let fs = &**staging.fs();
    staging.check_alive()?;
    layout::check_exact(fs, &staging.data(), manifest)?;
    fs.sync_fs(staging.path()).map_err(Error::io("sync", staging.path()))?;
    let commit = Commit::new(*id, old, moves(staging, manifest)?);
    let swap = Swap { staging, commit: &commit };
    swap.check_target()?;
    commit.save(fs, staging.path())?;
    swap.run()
}

/// Whether a swap has begun that is to be completed.
///
/// # Errors
/// When the commit record cannot be read.
pub fn is_pending(staging: &Staging) -> Result<bool, Error> {
    Ok(Commit::load(&**staging.fs(), staging.path())?.is_some())
}

/// Whether every rename of a pending swap has been made: what was in the target is not there any more.
///
/// # Errors
/// When the commit record or an entry cannot be read.
pub fn is_made(staging: &Staging) -> Result<bool, Error> {
    let Some(commit) = Commit::load(&**staging.fs(), staging.path())? else { return Ok(false) };
    let swap = Swap { staging, commit: &commit };
    for step in &commit.moves {
        let there = layout::stat_if_there(swap.fs(), &swap.place_of(step))?;
        if there.map(|there| there.ino) != step.new.as_ref().map(|new| new.inode) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Completes a swap that an earlier run began; `None` when there is none.
///
/// # Errors
/// When a rename fails, or when somebody else moved the entries meanwhile.
pub fn finish_pending(staging: &Staging) -> Result<Option<Placed>, Error> {
    match Commit::load(&**staging.fs(), staging.path())? {
        Some(commit) => Swap { staging, commit: &commit }.run().map(Some),
        None => Ok(None),
    }
}

impl Placed {
    /// The snapshot.
    #[must_use]
    pub fn id(&self) -> &Hash {
        &self.id
    }

    /// Removes the old database, unless it is kept, and the staging directory. Call it after the state record was saved: a run that
    /// dies before finds the commit record and comes back here. One that dies in here leaves a directory that [`Staging::find`]
    /// removes: the renames are not looked at again, so a node may use the new database meanwhile.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clean_up(self, staging: &Staging) -> Result<(), Error> {
        Commit::close(&**staging.fs(), staging.path())?;
        staging.remove()
    }
}

fn moves(staging: &Staging, manifest: &Manifest) -> Result<Vec<Move>, Error> {
    let (fs, data) = (&**staging.fs(), staging.data());
    let subtrees = manifest.about().subtrees.as_deref();
    let staged = match subtrees {
        Some(subtrees) => existing_trees(fs, &data, subtrees)?,
        None => names_in(fs, &data)?,
    };
    let present = match staging.place() {
        Place::Inside => names_in(fs, staging.target())?,
        Place::Sibling => Vec::new(),
    };
    plan::steps(staging.place(), subtrees, &staged, &present).into_iter().map(|step| into_move(fs, &data, step)).collect()
}

fn into_move(fs: &dyn Fs, data: &Path, step: Step) -> Result<Move, Error> {
    let new = match step.staged {
        None => None,
        Some(staged) => {
            let path = joined(data, &staged);
            let inode = fs.stat(&path).map_err(Error::io("look at", &path))?.ino;
            Some(NewEntry { staged, inode })
        }
    };
    Ok(Move { new, place: step.place })
}

fn existing_trees(fs: &dyn Fs, data: &Path, trees: &[crate::types::RelPath]) -> Result<Vec<String>, Error> {
    let mut existing = Vec::new();
    for tree in trees {
        if layout::stat_if_there(fs, &data.join(tree))?.is_some() {
            existing.push(tree.to_string());
        }
    }
    Ok(existing)
}

fn names_in(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>, Error> {
    let entries = fs.read_dir(dir).map_err(Error::io("read", dir))?;
    let unnameable = |name: std::ffi::OsString| Error::TargetRefused {
        path: dir.join(name),
        why: "its name is not UTF-8, so it cannot be put aside safely".to_owned(),
    };
    entries.into_iter().map(|entry| entry.name.into_string().map_err(unnameable)).collect()
}

/// `base/rel`, without the trailing slash that joining an empty path leaves.
fn joined(base: &Path, rel: &Path) -> PathBuf {
    if rel.as_os_str().is_empty() { base.to_owned() } else { base.join(rel) }
}

/// One swap on its way. Every step looks at what is there first, so that all of it can be run again.
struct Swap<'a> {
    staging: &'a Staging,
    commit: &'a Commit,
}

impl Swap<'_> {
    fn run(&self) -> Result<Placed, Error> {
        for (index, step) in self.commit.moves.iter().enumerate() {
            self.make(index, step)?;
        }
        self.sync()?;
        if self.commit.old == Old::Keep {
            for (index, step) in self.commit.moves.iter().enumerate() {
                self.keep_exchanged(index, step)?;
            }
            self.sync()?;
        }
        Ok(Placed { id: self.commit.manifest })
    }

    fn fs(&self) -> &dyn Fs {
        &**self.staging.fs()
    }

    /// Nothing has been changed yet: refuses what would fail half-way.
    fn check_target(&self) -> Result<(), Error> {
        for (index, step) in self.commit.moves.iter().enumerate() {
            let place = self.place_of(step);
            if self.commit.old == Old::Refuse && !is_free(self.fs(), &place)? {
                return Err(not_empty(&place));
            }
            let aside = self.aside_of(index, step);
            if self.commit.old == Old::Keep && layout::stat_if_there(self.fs(), &aside)?.is_some() {
                return Err(Error::TargetRefused { path: aside, why: "an older database is kept there already".to_owned() });
            }
        }
        Ok(())
    }

    fn make(&self, index: usize, step: &Move) -> Result<(), Error> {
        let place = self.place_of(step);
        let there = layout::stat_if_there(self.fs(), &place)?;
        let Some(new) = &step.new else {
            return if there.is_some() { self.put_aside(index, step) } else { Ok(()) };
        };
        let staged = self.staged_of(new);
        match there {
            Some(there) if there.ino == new.inode => Ok(()),
            _ if !self.is_staged(new)? => Err(Error::NotAsListed { path: place, what: "not what the commit record says" }),
            None => self.bring_in(&staged, &place),
            Some(_) => self.replace(index, step, &staged, &place),
        }
    }

    fn is_staged(&self, new: &NewEntry) -> Result<bool, Error> {
        Ok(layout::stat_if_there(self.fs(), &self.staged_of(new))?.is_some_and(|stat| stat.ino == new.inode))
    }

    fn bring_in(&self, staged: &Path, place: &Path) -> Result<(), Error> {
        let parent = parent_of(place);
        self.fs().create_dir_all(parent, layout::DIR_MODE).map_err(Error::io("make", parent))?;
        self.fs().rename(staged, place, Rename::NoReplace).map_err(Error::io("put in place", place))
    }

    fn replace(&self, index: usize, step: &Move, staged: &Path, place: &Path) -> Result<(), Error> {
        if self.commit.old == Old::Refuse {
            // An empty directory may be there. Removing it fails when somebody has put something into it since: nothing is lost.
            self.fs().remove_dir(place).map_err(|_| not_empty(place))?;
            return self.bring_in(staged, place);
        }
        match self.fs().rename(staged, place, Rename::Exchange) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                self.put_aside(index, step)?;
                self.bring_in(staged, place)
            }
            result => result.map_err(Error::io("put in place", place)),
        }
    }

    /// Moves an old entry out of the way, durably: in between there is neither the old nor the new, and only the commit record
    /// says where both are.
    fn put_aside(&self, index: usize, step: &Move) -> Result<(), Error> {
        let (place, aside) = (self.place_of(step), self.aside_of(index, step));
        let parent = parent_of(&aside);
        self.fs().create_dir_all(parent, 0o700).map_err(Error::io("make", parent))?;
        self.fs().rename(&place, &aside, Rename::NoReplace).map_err(Error::io("put aside", &place))?;
        for dir in [parent, parent_of(&place)] {
            self.fs().sync_dir(dir).map_err(Error::io("sync", dir))?;
        }
        Ok(())
    }

    /// After an exchange the old entry lies where the new one was built.
    fn keep_exchanged(&self, index: usize, step: &Move) -> Result<(), Error> {
        let Some(new) = &step.new else { return Ok(()) };
        let (staged, aside) = (self.staged_of(new), self.aside_of(index, step));
        match layout::stat_if_there(self.fs(), &staged)? {
            Some(_) => self.fs().rename(&staged, &aside, Rename::NoReplace).map_err(Error::io("put aside", &aside)),
            None => Ok(()),
        }
    }

    /// Makes every rename durable.
    fn sync(&self) -> Result<(), Error> {
        let mut dirs = BTreeSet::from([self.staging.path().to_owned()]);
        for step in &self.commit.moves {
            dirs.extend(self.place_of(step).ancestors().skip(1).take(1 + step.place.components().count()).map(Path::to_owned));
            dirs.extend(step.new.iter().map(|new| parent_of(&self.staged_of(new)).to_owned()));
        }
        for dir in dirs {
            if layout::stat_if_there(self.fs(), &dir)?.is_some() {
                self.fs().sync_dir(&dir).map_err(Error::io("sync", &dir))?;
            }
        }
        Ok(())
    }

    fn place_of(&self, step: &Move) -> PathBuf {
        joined(self.staging.target(), &step.place)
    }

    fn staged_of(&self, new: &NewEntry) -> PathBuf {
        joined(&self.staging.data(), &new.staged)
    }

    /// Where the old entry goes, on the same file system.
    fn aside_of(&self, index: usize, step: &Move) -> PathBuf {
        match self.commit.old {
            Old::Refuse | Old::Delete => self.staging.path().join("old").join(index.to_string()),
            Old::Keep => {
                let mut aside = self.place_of(step).into_os_string();
                aside.push(format!("{}{}", plan::KEPT_SUFFIX, self.commit.manifest.short()));
                aside.into()
            }
        }
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().expect("what is swapped has a name, so it has a parent")
}

fn not_empty(place: &Path) -> Error {
    let found = place.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Error::TargetNotEmpty { path: place.to_owned(), found }
}

/// Whether nothing is there, or an empty directory.
fn is_free(fs: &dyn Fs, place: &Path) -> Result<bool, Error> {
    match layout::stat_if_there(fs, place)? {
        None => Ok(true),
        Some(stat) if stat.kind == crate::fs::Kind::Dir => Ok(fs.read_dir(place).map_err(Error::io("read", place))?.is_empty()),
        Some(_) => Ok(false),
    }
}

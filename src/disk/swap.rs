//! Puts a finished snapshot in place.
//!
//! Always the same: everything is checked and synced, the renames are written down (the commit record), made, and synced. Until the
//! first rename the target is as it was, and the commit record can be taken back; from then on it will be the new snapshot, whatever
//! happens. The old database is removed last, with the staging directory.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    commit::{Commit, Move, NewEntry},
    in_use, layout,
    plan::{self, Place, Step},
    record::Stats,
    staging::Staging,
    target::{self, Occupied},
};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Kind, Rename},
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
/// [`Error::NotAsListed`], and as [`check`] and [`target::check_content`], before anything is changed. Any other error may come after the
/// first rename: then [`finish_pending`] goes on from there.
pub fn put_in_place(staging: &Staging, manifest: &Manifest, id: &Hash, old: Old) -> Result<Placed, Error> {
    let fs = &**staging.fs();
    staging.check_alive()?;
    layout::check_exact(fs, &staging.data(), manifest)?;
    // Before anybody can start a node on the files: whatever it writes is then told from what was verified.
    Stats::of(fs, &staging.data(), manifest)?.keep(staging)?;
    fs.sync_fs(staging.path()).map_err(Error::io("sync", staging.path()))?;
    let commit = Commit::new(*id, old, moves(staging, manifest)?);
    let swap = Swap { staging, commit: &commit };
    check_content(staging, manifest, old)?;
    swap.check_target()?;
    commit.save(fs, staging.path()).and_then(|()| swap.run()).inspect_err(|_| drop(take_back(staging)))
}

/// Refuses what would make the swap fail at its end. Asked before anything is fetched, and again by [`put_in_place`].
///
/// # Errors
/// [`Error::TargetNotEmpty`], [`Error::TargetRefused`].
pub fn check(staging: &Staging, manifest: &Manifest, id: &Hash, old: Old) -> Result<(), Error> {
    let subtrees = manifest.about().subtrees.as_deref();
    let steps = plan::steps(staging.place(), subtrees, &plan::top_names(manifest), &present(staging)?);
    let moves = steps.into_iter().map(|step| Move { new: None, place: step.place }).collect();
    Swap { staging, commit: &Commit::new(*id, old, moves) }.check_target()
}

/// OP-03: days may have passed since this was asked for the first time, and a node may have been started meanwhile.
fn check_content(staging: &Staging, manifest: &Manifest, old: Old) -> Result<(), Error> {
    let (fs, target) = (&**staging.fs(), staging.target());
    let occupied = if old == Old::Refuse { Occupied::Refuse } else { Occupied::Allow };
    target::refuse_identity_files(fs, target, manifest)?;
    target::check_content(fs, target, manifest, occupied)?;
    staging.check_place()?;
    if old != Old::Refuse {
        in_use::check_target(target)?;
    }
    Ok(())
}

/// Takes the commit record back when nothing of what it says has been done. Nobody needs to complete such a swap: a run that goes on asks
/// everything again, and what the target holds by then is not touched unasked.
///
/// # Errors
/// When the commit record or an entry cannot be read, or the record not be removed.
pub fn take_back(staging: &Staging) -> Result<(), Error> {
    let fs = &**staging.fs();
    match Commit::load(fs, staging.path())? {
        Some(commit) if (Swap { staging, commit: &commit }).is_untouched()? => Commit::remove(fs, staging.path()),
        _ => Ok(()),
    }
}

/// Whether a swap has begun that is to be completed.
///
/// # Errors
/// When the commit record cannot be read.
pub fn is_pending(staging: &Staging) -> Result<bool, Error> {
    Ok(Commit::load(&**staging.fs(), staging.path())?.is_some())
}

/// Whether every rename of a pending swap has been made: what was in the target is not there any more, and what is may have changed since.
///
/// # Errors
/// When the commit record or an entry cannot be read.
pub fn is_made(staging: &Staging) -> Result<bool, Error> {
    let Some(commit) = Commit::load(&**staging.fs(), staging.path())? else { return Ok(false) };
    Swap { staging, commit: &commit }.is_made()
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

    /// Notes that the snapshot is in place and remembered. Call it after the state record was saved: a run that dies before finds the
    /// commit record and comes back here. From now on the staging directory, and the old database in it, are only to be removed, which
    /// [`Staging::find`] does as well: the renames are not looked at again, so a node may use the new database meanwhile.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(self, staging: &Staging) -> Result<(), Error> {
        Commit::close(&**staging.fs(), staging.path())
    }
}

fn moves(staging: &Staging, manifest: &Manifest) -> Result<Vec<Move>, Error> {
    let (fs, data) = (&**staging.fs(), staging.data());
    let subtrees = manifest.about().subtrees.as_deref();
    let staged = match subtrees {
        Some(subtrees) => existing_trees(fs, &data, subtrees)?,
        None => names_in(fs, &data)?,
    };
    plan::steps(staging.place(), subtrees, &staged, &present(staging)?).into_iter().map(|step| into_move(fs, &data, step)).collect()
}

fn present(staging: &Staging) -> Result<Vec<String>, Error> {
    match staging.place() {
        Place::Inside => names_in(&**staging.fs(), staging.target()),
        Place::Sibling => Ok(Vec::new()),
    }
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
        // One that is made is not looked at entry by entry: a node may have been started on it, and have replaced some.
        if !self.is_made()? {
            for (index, step) in self.commit.moves.iter().enumerate() {
                self.make(index, step)?;
            }
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
            match first_in(self.fs(), &place)? {
                Some(found) if self.commit.old == Old::Refuse => return Err(Error::TargetNotEmpty { path: place, found }),
                _ => check_movable(&place)?,
            }
            let aside = self.aside_of(index, step);
            if self.commit.old == Old::Keep && layout::stat_if_there(self.fs(), &aside)?.is_some() {
                return Err(Error::TargetRefused { path: aside, why: "an older database is kept there already".to_owned() });
            }
        }
        match self.staging.place() {
            Place::Sibling => target::refuse_foreign(self.fs(), self.staging.target()),
            Place::Inside => Ok(()),
        }
    }

    /// Whether no rename has been made.
    fn is_untouched(&self) -> Result<bool, Error> {
        for (index, step) in self.commit.moves.iter().enumerate() {
            let is_staged = step.new.as_ref().map_or(Ok(true), |new| self.is_staged(new))?;
            if !is_staged || self.is_aside(index, step)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all renames have been made.
    fn is_made(&self) -> Result<bool, Error> {
        for (index, step) in self.commit.moves.iter().enumerate() {
            let there = layout::stat_if_there(self.fs(), &self.place_of(step))?;
            let is_made = match &step.new {
                None => there.is_none() || self.is_aside(index, step)?,
                Some(new) => there.is_some_and(|there| there.ino == new.inode) || self.has_left(new)?,
            };
            if !is_made {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a new entry is no longer where it was built, although the directory is there in which all were: nobody but a swap takes
    /// one from it.
    fn has_left(&self, new: &NewEntry) -> Result<bool, Error> {
        let is_one_of_many = !new.staged.as_os_str().is_empty();
        Ok(is_one_of_many && layout::stat_if_there(self.fs(), &self.staging.data())?.is_some() && !self.is_staged(new)?)
    }

    fn is_aside(&self, index: usize, step: &Move) -> Result<bool, Error> {
        Ok(layout::stat_if_there(self.fs(), &self.aside_of(index, step))?.is_some())
    }

    fn make(&self, index: usize, step: &Move) -> Result<(), Error> {
        let place = self.place_of(step);
        let there = layout::stat_if_there(self.fs(), &place)?;
        let Some(new) = &step.new else {
            return if there.is_none() || self.is_aside(index, step)? { Ok(()) } else { self.put_aside(index, step) };
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

/// What is in the way there: the first entry of a directory, or what is there and is none.
fn first_in(fs: &dyn Fs, place: &Path) -> Result<Option<String>, Error> {
    let name = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    match layout::stat_if_there(fs, place)? {
        None => Ok(None),
        Some(stat) if stat.kind == Kind::Dir => {
            let entries = fs.read_dir(place).map_err(Error::io("read", place))?;
            Ok(entries.first().map(|entry| name(&entry.name)))
        }
        Some(_) => Ok(Some(place.file_name().map_or_else(String::new, name))),
    }
}

/// A directory gets another parent only from who may write to it. Asked of the system directly: a rename that would tell moves it.
fn check_movable(place: &Path) -> Result<(), Error> {
    match rustix::fs::access(place, rustix::fs::Access::WRITE_OK) {
        Err(e @ (rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS)) if place.is_dir() => {
            Err(Error::TargetRefused { path: place.to_owned(), why: format!("it cannot be moved out of the way: {e}") })
        }
        _ => Ok(()),
    }
}

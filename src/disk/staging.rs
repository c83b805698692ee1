//! The staging directory: where a snapshot is built, by one process at a time, until it is put in place.
//!
//! ```text
//! .NAME.qsync-partial/     0700, ours (or TARGET/.qsync-partial/)
//!   format                 the version of what lies here, and how it gets into the target
//!   lock                   flock, and the pid of its holder
//!   pin manifest-<b3>      the snapshot, with everything that proves it
//!   lists/<b3>             chunk lists that were fetched
//!   journal                which chunks are verified and durable
//!   data/                  the files; none when the target itself is changed
//!   removed/               what was in a target that is changed in place and is not in the snapshot
//!   commit old/            while it is put in place
//!   done                   when it is in place, and only this directory is left to be removed
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Error, commit,
    have::Have,
    journal::Journal,
    layout, lists,
    mode::{self, Mode, Phase, Purpose},
    mounts,
    plan::{self, Place},
};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Kind, Lock, Open},
    types::Hash,
};

pub use super::pin::Pin;

/// What a snapshot owns below its target, as far as the place of the staging directory depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// The whole directory.
    Whole,
    /// Subtrees only.
    Subtrees,
}

/// Which staging directories are taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Those that this version of qsync can read.
    Readable,
    /// All, to be removed.
    Any,
}

/// What an earlier run left for a target.
#[derive(Debug)]
pub struct Left {
    /// The staging directory.
    pub path: PathBuf,
    /// What it is pinned to.
    pub pin: Option<Pin>,
    /// How that gets into the target, and how far it is.
    pub mode: Mode,
}

/// A staging directory that this process holds: where a snapshot is built before it is put in place.
#[derive(Debug)]
pub struct Staging {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    target: PathBuf,
    place: Place,
    mode: Mutex<Mode>,
    lock_inode: (u64, u64),
    _lock: Box<dyn Lock>,
}

impl Staging {
    /// Opens and locks the staging directory that an earlier run left for the resolved `target`; `None` when there is none. One
    /// that an interrupted clean-up left is removed, as far as it can be: the database is in place, and needs nothing of it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process works in it, [`Error::StagingUnsafe`] when others may write to it,
    /// [`Error::Unreadable`] when another version of qsync made it.
    pub fn find(fs: Arc<dyn Fs>, target: &Path, version: Version) -> Result<Option<Self>, Error> {
        let Some((place, path)) = left_behind(&*fs, target)? else { return Ok(None) };
        let staging = Self::enter(fs, target, place, path, version, Mode::Swap)?;
        if is_done(&*staging.fs, &staging.path, staging.mode())? {
            drop(staging.remove());
            return Ok(None);
        }
        Ok(Some(staging))
    }

    /// What [`Staging::find`] could not remove of a staging directory that nobody needs.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn leftover(fs: &dyn Fs, target: &Path) -> Result<Option<PathBuf>, Error> {
        Ok(left_behind(fs, target)?.map(|(_, path)| path))
    }

    /// Looks at what an earlier run left for the resolved `target` without taking or writing anything; `None` when that is only to be
    /// removed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn peek(fs: &dyn Fs, target: &Path) -> Result<Option<Left>, Error> {
        let Some((_, path)) = left_behind(fs, target)? else { return Ok(None) };
        let mode = mode::read(fs, &path, Version::Any)?.unwrap_or(Mode::Swap);
        if is_done(fs, &path, mode)? {
            return Ok(None);
        }
        let pin = Pin::load(fs, &path)?;
        Ok(Some(Left { path, pin, mode }))
    }

    /// Opens the staging directory of the resolved `target`, or makes it where it belongs, and locks it.
    ///
    /// # Errors
    /// As [`Staging::find`], when what is left of an older one cannot be removed, and when it can be made nowhere.
    pub fn open(fs: Arc<dyn Fs>, target: &Path, owned: Owned) -> Result<Self, Error> {
        if let Some(found) = Self::find(Arc::clone(&fs), target, Version::Readable)? {
            return Ok(found);
        }
        remove_leftover(&fs, target)?;
        let beside = owned == Owned::Whole && !mounts::is_mount_point(&*fs, target)?;
        if beside && let Some(path) = plan::staging_path(target, Place::Sibling) {
            match fs.create_dir(&path, 0o700) {
                // Not ours to write to: a volume that is handed to this user has a parent that is not.
                Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {}
                result => {
                    result.map_err(Error::io("make", &path))?;
                    return Self::enter(fs, target, Place::Sibling, path, Version::Readable, Mode::Swap);
                }
            }
        }
        Self::make_inside(fs, target, Mode::Swap)
    }

    /// Makes a staging directory for changing the resolved `target` in place, and locks it. Nothing else in the target changes.
    ///
    /// # Errors
    /// When there is one already, and when it cannot be made.
    pub fn open_in_place(fs: Arc<dyn Fs>, target: &Path, purpose: Purpose) -> Result<Self, Error> {
        remove_leftover(&fs, target)?;
        Self::make_inside(fs, target, Mode::InPlace(purpose, Phase::Prepared))
    }

    fn make_inside(fs: Arc<dyn Fs>, target: &Path, mode: Mode) -> Result<Self, Error> {
        let path = target.join(plan::INSIDE_NAME);
        fs.create_dir_all(target, layout::DIR_MODE).map_err(Error::io("make", target))?;
        fs.create_dir(&path, 0o700).map_err(Error::io("make", &path))?;
        Self::enter(fs, target, Place::Inside, path, Version::Readable, mode)
    }

    /// `fresh` is the mode of a directory that has none yet.
    fn enter(fs: Arc<dyn Fs>, target: &Path, place: Place, path: PathBuf, version: Version, fresh: Mode) -> Result<Self, Error> {
        check_ours(&*fs, &path)?;
        let (lock, lock_inode) = take_lock(&*fs, &path)?;
        let mode = match mode::read(&*fs, &path, version)? {
            Some(mode) => mode,
            None => mode::write(&*fs, &path, fresh).map(|()| fresh)?,
        };
        let parent = path.parent().expect("a staging directory has a name");
        fs.sync_dir(parent).map_err(Error::io("sync", parent))?;
        Ok(Self { fs, path, target: target.to_owned(), place, mode: Mutex::new(mode), lock_inode, _lock: lock })
    }

    /// The file system it lies on.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that the snapshot is built for.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// How the snapshot gets into the target, and how far that is.
    #[must_use]
    pub fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes durably how far a change in place is.
    pub(super) fn set_mode(&self, mode: Mode) -> Result<(), Error> {
        mode::write(&*self.fs, &self.path, mode)?;
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        Ok(())
    }

    /// Where the snapshot's files are built: the target itself when it is changed in place.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        if self.mode().is_in_place() { self.target.clone() } else { self.path.join("data") }
    }

    /// What it is pinned to; `None` before the first [`Staging::set_pin`].
    ///
    /// # Errors
    /// [`Error::Unreadable`] when it is damaged.
    pub fn pin(&self) -> Result<Option<Pin>, Error> {
        Pin::load(&*self.fs, &self.path)
    }

    /// Pins it to a snapshot, durably. The journal of another snapshot does not count any more.
    ///
    /// # Errors
    /// When it cannot be written; the older pin then stays.
    pub fn set_pin(&self, pin: &Pin) -> Result<(), Error> {
        pin.save(&*self.fs, &self.path)
    }

    /// Keeps a list segment, so that a resume and an offline `verify` have it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_list(&self, id: &Hash, bytes: &[u8]) -> Result<(), Error> {
        lists::put(&*self.fs, &self.path, id, bytes)
    }

    /// A list segment that was kept; `None` when it is missing or is not what its name says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, id: &Hash) -> Result<Option<Vec<u8>>, Error> {
        lists::get(&*self.fs, &self.path, id)
    }

    /// Opens the journal of the pinned manifest, makes what is missing of its directories and files, durably, and says which chunks
    /// are there. `None`: there are files but no journal of that manifest, so [`verify::surviving`](super::verify::surviving) has to say
    /// what is there, and [`Staging::start`] is next; always so when the target is changed in place, with
    /// [`in_place::begin`](super::in_place::begin) next.
    ///
    /// # Errors
    /// When something cannot be read or made.
    pub fn resume(&self, manifest: &Manifest, id: &Hash) -> Result<Option<(Journal, Have)>, Error> {
        let (fs, data) = (&*self.fs, self.data());
        if self.mode().is_in_place() {
            // Somebody may have started a node on it meanwhile: what is right there is seen by looking.
            return Ok(None);
        }
        if let Some((journal, have)) = Journal::open(fs, &self.journal_path(), id, manifest, &data)? {
            layout::make(fs, &data, manifest, &have)?;
            return Ok(Some((journal, have)));
        }
        if layout::stat_if_there(fs, &data)?.is_some() {
            return Ok(None);
        }
        let none = Have::none(manifest);
        Ok(Some((self.start(manifest, id, &none)?, none)))
    }

    /// Which chunks the journal of the pinned manifest says are there; changes nothing. `None` where only looking at the files would tell.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn journaled(&self, manifest: &Manifest, id: &Hash) -> Result<Option<Have>, Error> {
        if self.mode().is_in_place() {
            return Ok(None);
        }
        Journal::peek(&*self.fs, &self.journal_path(), id, manifest, &self.data())
    }

    /// Starts the journal with the chunks that are known to be in the files, makes those durable first, and then makes what is missing.
    /// Entries that the manifest does not list are removed.
    ///
    /// # Errors
    /// When something cannot be made.
    ///
    /// # Panics
    /// When the target is to be changed in place: [`in_place::begin`](super::in_place::begin) does that.
    pub fn start(&self, manifest: &Manifest, id: &Hash, have: &Have) -> Result<Journal, Error> {
        assert!(!self.mode().is_in_place(), "what lies in a target is not removed like what lies in staging");
        let fs = &*self.fs;
        fs.sync_fs(&self.path).map_err(Error::io("sync", &self.path))?;
        let journal = Journal::create(fs, &self.journal_path(), id, have, manifest.files().len())?;
        layout::make(fs, &self.data(), manifest, have)?;
        Ok(journal)
    }

    /// Refuses when the target has become a mount point since the directory was made beside it: it lies on the wrong file system then.
    ///
    /// # Errors
    /// [`Error::TargetRefused`].
    pub fn check_place(&self) -> Result<(), Error> {
        if self.place == Place::Inside || !mounts::is_mount_point(&*self.fs, &self.target)? {
            return Ok(());
        }
        let why =
            format!("a file system is mounted there since {} was made: unmount it, or start over with --discard", self.path.display());
        Err(Error::TargetRefused { path: self.target.clone(), why })
    }

    /// Whether a snapshot that owns this much can be put in place from here: subtrees never lie beside their target.
    #[must_use]
    pub fn suits(&self, owned: Owned) -> bool {
        owned == Owned::Whole || self.place == Place::Inside
    }

    /// Refuses when somebody removed the directory meanwhile: what is written then goes nowhere.
    ///
    /// # Errors
    /// [`Error::StagingGone`].
    pub fn check_alive(&self) -> Result<(), Error> {
        match layout::stat_if_there(&*self.fs, &self.path.join("lock"))? {
            Some(stat) if (stat.dev, stat.ino) == self.lock_inode => Ok(()),
            _ => Err(Error::StagingGone { path: self.path.clone() }),
        }
    }

    /// Removes everything in it, and the directory itself. The next run starts from zero.
    ///
    /// # Errors
    /// [`Error::TargetIncomplete`] when it is what tells that the target is neither old nor new. When something cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        plan::check_removable(self.mode()).map_err(|purpose| Error::TargetIncomplete {
            path: self.target.clone(),
            purpose,
            channel: None,
        })?;
        // Bulk first, while what explains it is still there; then the explanation; last what guards both. Each step is durable
        // before the next, so that a crash never leaves a journal beside files it does not speak of.
        self.remove_entries(|name| name == "journal")?;
        self.remove_entries(|name| name == "data" || name == "old")?;
        self.remove_entries(|name| name == "pin")?;
        self.remove_entries(|name| !matches!(name, commit::FILE | commit::DONE | "lock" | "format"))?;
        self.remove_entries(|name| name != "lock")?;
        self.fs.remove_tree(&self.path).map_err(Error::io("remove", &self.path))?;
        let parent = self.path.parent().expect("a staging directory has a name");
        self.fs.sync_dir(parent).map_err(Error::io("sync", parent))
    }

    fn remove_entries(&self, which: impl Fn(&str) -> bool) -> Result<(), Error> {
        for entry in self.fs.read_dir(&self.path).map_err(Error::io("read", &self.path))? {
            if which(&entry.name.to_string_lossy()) {
                let path = self.path.join(&entry.name);
                self.fs.remove_tree(&path).map_err(Error::io("remove", &path))?;
            }
        }
        self.fs.sync_dir(&self.path).map_err(Error::io("sync", &self.path))
    }

    pub(super) fn journal_path(&self) -> PathBuf {
        self.path.join("journal")
    }
}

/// Whether the snapshot is in place and remembered, and only this directory is left to be removed.
fn is_done(fs: &dyn Fs, path: &Path, mode: Mode) -> Result<bool, Error> {
    Ok(matches!(mode, Mode::InPlace(_, Phase::Complete)) || layout::stat_if_there(fs, &path.join(commit::DONE))?.is_some())
}

/// Says what is in the way of a new staging directory, if an older one that nobody needs could not be removed.
fn remove_leftover(fs: &Arc<dyn Fs>, target: &Path) -> Result<(), Error> {
    match left_behind(&**fs, target)? {
        Some((place, path)) => {
            let left = Staging::enter(Arc::clone(fs), target, place, path, Version::Any, Mode::Swap)?;
            if is_done(&**fs, &left.path, left.mode())? { left.remove() } else { Ok(()) }
        }
        None => Ok(()),
    }
}

/// The staging directory that lies there for a target.
fn left_behind(fs: &dyn Fs, target: &Path) -> Result<Option<(Place, PathBuf)>, Error> {
    for place in [Place::Sibling, Place::Inside] {
        let Some(path) = plan::staging_path(target, place) else { continue };
        if layout::stat_if_there(fs, &path)?.is_some() {
            return Ok(Some((place, path)));
        }
    }
    Ok(None)
}

/// MF-05: nobody else may have put anything there, or be able to.
fn check_ours(fs: &dyn Fs, path: &Path) -> Result<(), Error> {
    let unsafe_because = |why| Err(Error::StagingUnsafe { path: path.to_owned(), why });
    let stat = fs.stat(path).map_err(Error::io("look at", path))?;
    match stat.kind {
        // Root could have put anything anywhere, so a directory of root's is as good as ours.
        Kind::Dir if stat.uid != 0 && stat.uid != rustix::process::geteuid().as_raw() => unsafe_because("it belongs to another user"),
        Kind::Dir if stat.mode & 0o077 != 0 => unsafe_because("other users may enter it"),
        Kind::Dir => Ok(()),
        Kind::File | Kind::Symlink | Kind::Special => unsafe_because("it is not a directory"),
    }
}

type Inode = (u64, u64);

fn take_lock(fs: &dyn Fs, staging: &Path) -> Result<(Box<dyn Lock>, Inode), Error> {
    let path = staging.join("lock");
    let file = fs.open(&path, Open::Create(0o600)).map_err(Error::io("make", &path))?;
    let held = fs.try_lock(&path).map_err(Error::io("lock", &path))?;
    let Some(lock) = held else {
        return Err(Error::Locked { path: staging.to_owned(), holder: holder_in(&*file) });
    };
    // Whoever held it before may have removed it between our opening and our locking: then we hold a lock on nothing.
    let opened = file.stat().map_err(Error::io("look at", &path))?;
    let named = layout::stat_if_there(fs, &path)?;
    if named.is_none_or(|named| (named.dev, named.ino) != (opened.dev, opened.ino)) {
        return Err(Error::Locked { path: staging.to_owned(), holder: None });
    }
    let pid = std::process::id().to_string();
    file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0)).map_err(Error::io("write", &path))?;
    Ok((lock, (opened.dev, opened.ino)))
}

/// The pid that the holder wrote, if it has come to that.
fn holder_in(file: &dyn crate::fs::File) -> Option<u32> {
    let mut text = [0; 16];
    let n = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..n]).ok()?.trim().parse().ok()
}

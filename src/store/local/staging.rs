//! Where a writer of a local store keeps what is not an object yet.
//!
//! `.qsync-staging/lock` is held for moments, by whoever decides a race. `.qsync-staging/<writer>/` is a writer's own folder, locked for
//! as long as the writer lives: one that can be locked belongs to the dead and is removed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::fs::{Fs, Kind, Lock, Open};

/// The writers' folder at the top of a store.
pub(super) const STAGING: &str = ".qsync-staging";

/// Mode of folders, less the umask: a web server of another user can read a store.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// How long to wait for somebody who decides a race; that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A writer's own folder. Removed when dropped, with whatever was not made an object.
#[derive(Debug)]
pub(super) struct Staging {
    fs: Arc<dyn Fs>,
    all: PathBuf,
    own: PathBuf,
    _alive: Box<dyn Lock>,
}

impl Staging {
    /// Makes a folder of one's own below `root`, and removes those of dead writers.
    pub(super) fn create(fs: &Arc<dyn Fs>, root: &Path) -> io::Result<Self> {
        let all = root.join(STAGING);
        fs.create_dir_all(&all, FOLDER_MODE)?;
        fs.open(&all.join("lock"), Open::Create(0o644))?;
        // Nobody may look between making the folder and locking it.
        let _turn = take_turn(&**fs, &all)?;
        remove_the_dead(&**fs, &all)?;
        let own = all.join(format!("{}-{}", std::process::id(), unique()?));
        fs.create_dir(&own, FOLDER_MODE)?;
        let alive = fs.try_lock(&own)?.ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Self { fs: Arc::clone(fs), all, own, _alive: alive })
    }

    /// A path in one's own folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// Waits until nobody else decides a race in this store, and keeps everybody else waiting.
    pub(super) fn take_turn(&self) -> io::Result<Box<dyn Lock>> {
        take_turn(&*self.fs, &self.all)
    }

    /// Whether another writer has a file of this name in its folder.
    pub(super) fn elsewhere(&self, name: &str) -> io::Result<bool> {
        for entry in self.fs.read_dir(&self.all)? {
            let folder = self.all.join(&entry.name);
            if entry.kind == Kind::Dir && folder != self.own && exists(&*self.fs, &folder.join(name))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The last resort, and only tidiness: the next writer removes what is left.
        if let Err(error) = self.fs.remove_tree(&self.own) {
            tracing::debug!(%error, folder = %self.own.display(), "cannot remove a staging folder");
        }
    }
}

pub(super) fn exists(fs: &dyn Fs, path: &Path) -> io::Result<bool> {
    match fs.stat(path) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(e),
    }
}

fn take_turn(fs: &dyn Fs, all: &Path) -> io::Result<Box<dyn Lock>> {
    let begin = Instant::now();
    loop {
        if let Some(turn) = fs.try_lock(&all.join("lock"))? {
            return Ok(turn);
        }
        if begin.elapsed() > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "another writer holds the lock of the store"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn remove_the_dead(fs: &dyn Fs, all: &Path) -> io::Result<()> {
    for entry in fs.read_dir(all)? {
        let folder = all.join(&entry.name);
        if entry.kind == Kind::Dir && matches!(fs.try_lock(&folder), Ok(Some(_))) {
            fs.remove_tree(&folder)?;
        }
    }
    Ok(())
}

fn unique() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex::encode(bytes))
}

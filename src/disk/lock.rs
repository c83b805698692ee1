//! A directory held against every other qsync: the lock is on the directory itself, so it is the same for every user, service and
//! cron line, and leaves no file behind.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, in_use};
use crate::fs::{Fs, Lock};

/// A data directory that this process holds, until dropped or dead.
#[derive(Debug)]
pub struct LockedDir {
    path: PathBuf,
    _lock: Box<dyn Lock>,
}

impl LockedDir {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// [`Error::SourceAbsent`]; [`Error::Locked`] names the holder, where the system tells.
    pub fn acquire(fs: &dyn Fs, dir: &Path) -> Result<Self, Error> {
        let path = match fs.canonicalize(dir) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Err(Error::SourceAbsent { path: dir.to_owned(), source }),
            path => path.map_err(Error::io("open", dir))?,
        };
        match fs.try_lock(&path).map_err(Error::io("lock", &path))? {
            Some(lock) => Ok(Self { path, _lock: lock }),
            None => {
                let holder = fs.stat(&path).ok().and_then(|stat| in_use::flock_holder(stat.ino));
                Err(Error::Locked { path, holder })
            }
        }
    }

    /// The directory, with every link on the way resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFs;

    // CR-02
    #[test]
    fn the_second_is_refused_and_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = LockedDir::acquire(&RealFs, dir.path()).unwrap();
        let second = LockedDir::acquire(&RealFs, dir.path());
        assert!(matches!(second, Err(Error::Locked { holder: Some(pid), .. }) if pid == std::process::id()));
        drop(first);
        LockedDir::acquire(&RealFs, dir.path()).unwrap();
    }
}

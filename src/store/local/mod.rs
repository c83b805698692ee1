//! A store in a directory: an object is a file, its key the path.
//!
//! Every file under an object's name is complete and durable: writers stage elsewhere and rename. So a directory can be read,
//! copied or served by a web server at any time, without asking a writer.

mod batch;
mod staging;
mod write;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use self::staging::STAGING;
use super::{Error, ErrorKind, ReadStore};
use crate::{
    fs::{Fs, Kind, Open},
    types::ObjectKey,
};

pub use write::{Create, LocalStore};

/// A directory to read a store from. Clones are the same store.
#[derive(Clone, Debug)]
pub struct LocalReader {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    name: Arc<str>,
}

impl LocalReader {
    /// Opens the store in the directory `root`. Blocks.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such directory, [`ErrorKind::Io`] when it is something else.
    pub fn open(fs: Arc<dyn Fs>, root: &Path) -> Result<Self, Error> {
        let reader = Self::at(fs, root);
        if reader.is_there(root)? { Ok(reader) } else { Err(reader.error(ErrorKind::NotFound, "open", "", "the directory does not exist")) }
    }

    fn at(fs: Arc<dyn Fs>, root: &Path) -> Self {
        Self { fs, root: root.to_owned(), name: root.display().to_string().into() }
    }

    /// Whether there is a directory at `path`; an error when there is something else.
    fn is_there(&self, path: &Path) -> Result<bool, Error> {
        // Through the directory, so that a link to a store is a store.
        match self.fs.stat(&path.join(".")) {
            Ok(stat) if stat.kind == Kind::Dir => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) if e.kind() != io::ErrorKind::NotADirectory => Err(self.io_error("open", "", e)),
            Ok(_) | Err(_) => Err(self.error(ErrorKind::Io, "open", "", format!("{} is not a directory", path.display()))),
        }
    }

    /// Where an object lies. The writers' own folder holds none.
    fn path(&self, key: &ObjectKey) -> Option<PathBuf> {
        let ours = key.as_str().split('/').next() == Some(STAGING);
        (!ours).then(|| self.root.join(key.as_str()))
    }

    fn read(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        let path = self.path(key).ok_or_else(|| self.absent(key))?;
        let failed = |error| if is_absent(&error) { self.absent(key) } else { self.io_error("get", key.as_str(), error) };
        let file = self.fs.open(&path, Open::Read).map_err(failed)?;
        let len = file.stat().map_err(failed)?.len;
        if len > max_bytes {
            let reason = format!("{len} bytes, at most {max_bytes} expected");
            return Err(self.error(ErrorKind::TooLarge, "get", key.as_str(), reason));
        }
        let len = usize::try_from(len).map_err(|_| self.error(ErrorKind::TooLarge, "get", key.as_str(), "longer than memory"))?;
        into.resize(len, 0);
        file.read_exact_at(into, 0).map_err(failed)
    }

    fn absent(&self, key: &ObjectKey) -> Error {
        self.error(ErrorKind::NotFound, "get", key.as_str(), "no such object")
    }

    fn error(&self, kind: ErrorKind, action: &'static str, key: &str, reason: impl Into<String>) -> Error {
        Error::new(kind, &self.name, action, key, reason)
    }

    fn io_error(&self, action: &'static str, key: &str, error: io::Error) -> Error {
        let (kind, reason) = classify(&error);
        self.error(kind, action, key, reason).caused_by(error)
    }
}

#[async_trait]
impl ReadStore for LocalReader {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let (reader, key, mut buffer) = (self.clone(), key.clone(), std::mem::take(into));
        let result;
        (result, *into) = blocking(move || {
            let result = reader.read(&key, max_bytes, &mut buffer);
            (result, buffer)
        })
        .await;
        result
    }
}

/// Runs disk work where it may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking tasks are not cancelled while their runtime runs us"),
        },
    }
}

/// What failed file operations mean to a caller, and why in words.
const MEANINGS: [(io::ErrorKind, ErrorKind, &str); 5] = [
    (io::ErrorKind::PermissionDenied, ErrorKind::Denied, "permission denied"),
    (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Denied, "the file system is read-only"),
    (io::ErrorKind::StorageFull, ErrorKind::NoSpace, "the disk is full"),
    (io::ErrorKind::QuotaExceeded, ErrorKind::NoSpace, "the disk quota is used up"),
    (io::ErrorKind::UnexpectedEof, ErrorKind::Interrupted, "the file became shorter while it was read"),
];

fn classify(error: &io::Error) -> (ErrorKind, &'static str) {
    let found = MEANINGS.iter().find(|(kind, ..)| *kind == error.kind());
    found.map_or((ErrorKind::Io, "the disk operation failed"), |(_, kind, reason)| (*kind, reason))
}

/// Whether a path names nothing: also when a part of it is a file, or all of it a directory.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

#[cfg(test)]
mod tests;

//! The state directory: what this machine trusts and has seen, and its keys.
//!
//! ```text
//! lock             held while anything here is read and written again
//! repos/<id>.a|b   what was seen of a repository, in two generations
//! keys/<id>.key    secret keys, for their owner only
//! locks/<channel>  held while a channel is published from this machine
//! ```
//! Everything here blocks: call it from blocking threads.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::{
    fs::{Fs, Lock, Open, resolve_existing},
    trust::{InvalidKeyFile, KeyId},
    types::{ChannelName, Hash},
};

const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// A state directory that can be written. Clones are the same directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    pub(super) fs: Arc<dyn Fs>,
    path: PathBuf,
}

/// A state directory that does not do.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error("state directory not writable: {}", path.display())]
    NotWritable {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing in it failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it was tried with.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Both generations of what was seen of a repository are damaged. Never taken for a first run.
    #[error("what was seen of b3:{repo} is damaged: {problem}")]
    Damaged {
        /// The repository.
        repo: Hash,
        /// Which files, and what is wrong with them.
        problem: String,
    },
    /// Another process uses the directory for longer than anybody should.
    #[error("another qsync holds {}", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// Another process publishes this channel.
    #[error("another qsync on this machine is publishing {channel}")]
    ChannelLocked {
        /// The channel.
        channel: ChannelName,
    },
    /// Others than the owner can read a secret key.
    #[error("key file {} can be read by others: its mode is {mode:03o}, expected 600", path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file cannot be used.
    #[error("key file {} cannot be used", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// Why.
        source: InvalidKeyFile,
    },
    /// Too few secret keys are here.
    #[error("{held} of {needed} publish keys are on this machine; those of the root are {}", list(ids))]
    NoKeys {
        /// How many are here.
        held: usize,
        /// How many must sign.
        needed: u32,
        /// All that would count.
        ids: Vec<KeyId>,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

impl StateError {
    /// The stable code (docs/scripting.md).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWritable { source, .. } | Self::Io { source, .. } if is_full(source) => "disk-full",
            Self::NotWritable { .. } => "state-not-writable",
            Self::Io { .. } | Self::Random(_) => "state-io",
            Self::Damaged { .. } => "state",
            Self::Locked { .. } | Self::ChannelLocked { .. } => "locked",
            Self::KeyExposed { .. } => "key-exposed",
            Self::KeyFile { .. } => "key-file",
            Self::NoKeys { .. } => "no-keys",
        }
    }

    /// What to do about it, in one line, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotWritable { source, .. } | Self::Io { source, .. } if is_full(source) => {
                Some("free space there and run the same command again".to_owned())
            }
            Self::NotWritable { .. } => Some("give another one: --state-dir DIR".to_owned()),
            Self::Damaged { repo, .. } => Some(format!(
                "qsync trust reset b3:{repo} forgets what was seen, and with it the protection from old data; then: qsync trust add b3:{repo}"
            )),
            Self::KeyExposed { path, .. } => {
                Some(format!("chmod 600 {}, and replace the key if somebody may have read it", path.display()))
            }
            Self::Locked { .. } | Self::ChannelLocked { .. } => Some("wait for it to end, then run the same command again".to_owned()),
            Self::NoKeys { .. } => Some("publish from the machine that has the keys, or say where they are: --state-dir DIR".to_owned()),
            Self::Io { .. } | Self::KeyFile { .. } | Self::Random(_) => None,
        }
    }
}

impl StateDir {
    /// Makes the directory, which may be a link to one, where it is missing, and checks that it can be written, by writing.
    ///
    /// # Errors
    /// [`StateError::NotWritable`].
    pub fn open(fs: Arc<dyn Fs>, path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = resolve_existing(&*fs, &path.into());
        let dir = Self { fs, path };
        dir.make_writable().map_err(|source| StateError::NotWritable { path: dir.path.clone(), source })?;
        Ok(dir)
    }

    /// The directory as it is, without a look at whether it can be written: for what must be done on a full disk as well.
    #[must_use]
    pub fn at(fs: Arc<dyn Fs>, path: &Path) -> Self {
        let path = resolve_existing(&*fs, path);
        Self { fs, path }
    }

    fn make_writable(&self) -> io::Result<()> {
        let exists = |path: &&Path| self.fs.stat(path).is_ok();
        let missing: Vec<&Path> = self.path.ancestors().take_while(|path| !exists(path)).collect();
        self.fs.create_dir_all(&self.path, 0o700)?;
        for folder in ["repos", "keys", "locks"] {
            self.fs.create_dir_all(&self.path.join(folder), 0o700)?;
        }
        self.make_durable(&missing)?;
        let probe = self.path.join(format!(".probe.{}", std::process::id()));
        self.fs.write_durable(&probe, b"writable", 0o600)?;
        self.fs.remove_file(&probe)
    }

    /// Makes the directories themselves durable: files in a directory that is lost are lost, however well they were synced.
    fn make_durable(&self, made: &[&Path]) -> io::Result<()> {
        self.fs.sync_dir(&self.path)?;
        for parent in made.iter().filter_map(|path| path.parent()) {
            self.fs.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        Ok(())
    }

    /// Where it is. Other modules keep what is theirs in folders of their own below.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock of a channel, so that one machine publishes it once at a time.
    ///
    /// # Errors
    /// [`StateError::ChannelLocked`] when another process has it.
    pub fn lock_channel(&self, channel: &ChannelName) -> Result<Box<dyn Lock>, StateError> {
        let path = self.path.join("locks").join(channel.file_stem());
        self.try_lock(&path)?.ok_or_else(|| StateError::ChannelLocked { channel: channel.clone() })
    }

    /// Takes the lock of the directory; waits for a while, since nobody holds it for long.
    pub(super) fn lock(&self) -> Result<Box<dyn Lock>, StateError> {
        let path = self.path.join("lock");
        let give_up = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = self.try_lock(&path)? {
                return Ok(lock);
            }
            if Instant::now() >= give_up {
                return Err(StateError::Locked { path });
            }
            std::thread::sleep(LOCK_POLL);
        }
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, StateError> {
        let made = match self.fs.open(path, Open::Create(0o600)) {
            // A disk that failed turns read-only: what is there can be held all the same, and a node be brought back.
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            made => made.map(drop),
        };
        made.and_then(|()| self.fs.try_lock(path)).map_err(|source| io_error("lock", path, source))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Io { action, path: path.to_owned(), source }
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ")
}

//! The data directory of a run: locked, at rest, and scanned.

use std::{path::PathBuf, sync::Arc};

use super::{
    Error, Options,
    freeze::{Frozen, KnownBy},
};
use crate::{
    catalog::{self, StateDir},
    disk::{
        engine::{self, Facts},
        in_use::{self, Unseen},
        lock::LockedDir,
        scan::{self, Scan, ScannedFile},
        secrets,
    },
    fs::{Lock, Stat},
    progress::{Event, Phase},
    types::RelPath,
};

/// A data directory and a channel that this run holds against every other.
#[derive(Debug)]
pub(super) struct Source {
    _dir: LockedDir,
    channel: Box<dyn Lock>,
}

/// What is in it.
#[derive(Debug)]
pub(super) struct ScannedSource {
    pub(super) scan: Arc<Scan>,
    /// The same files as the next run knows them again.
    pub(super) known: Arc<Scan>,
    /// What its files tell of engine and chain.
    pub(super) facts: Facts,
    /// Files that look like secrets and that the operator allowed.
    pub(super) allowed: Vec<RelPath>,
    _source: Arc<Source>,
}

impl Source {
    /// Takes both locks: the directory's, the same for every user and cron line, and the channel's on this machine.
    pub(super) async fn lock(options: &Arc<Options>, state: &StateDir) -> Result<Self, Error> {
        let (given, state) = (Arc::clone(options), state.clone());
        let locks = blocking(move || {
            let dir = LockedDir::acquire(&*given.fs, &given.data_dir)?;
            let channel = state.lock_channel(&given.channel).map_err(catalog::Error::State)?;
            Ok((dir, channel))
        });
        let (dir, channel) = locks.await?;
        Ok(Self { _dir: dir, channel })
    }

    /// The lock of the channel.
    pub(super) fn channel_lock(&self) -> &dyn Lock {
        &*self.channel
    }

    /// Refuses a database that a process has open: a copy of it would be of no moment.
    pub(super) async fn check_at_rest(&self, options: &Arc<Options>) -> Result<(), Error> {
        let given = Arc::clone(options);
        let unseen = if given.assume_stopped { Unseen::AssumeStopped } else { Unseen::Refuse };
        blocking(move || Ok(in_use::check_source(&given.data_dir, unseen)?)).await
    }

    /// Walks the directory; refuses links, special files, names outside the format, and key material.
    pub(super) async fn scan(self: Arc<Self>, options: &Arc<Options>, frozen: Frozen) -> Result<ScannedSource, Error> {
        options.progress.event(Event::Phase { phase: Phase::Scan, total_bytes: None });
        let given = Arc::clone(options);
        let (scan, known, facts, allowed) = blocking(move || {
            let selection = given.selection();
            let scan = scan::scan(&*given.fs, &frozen.dir, &selection)?;
            let facts = engine::facts(&*given.fs, &scan.root, &given.node.profile)?;
            facts.check_chain(&scan.root, &given.node.profile, given.channel.chain())?;
            let found = secrets::scan_secrets(&*given.fs, &scan, &given.allow_secrets)?;
            let known = known(&scan, &frozen.known_by, given.fs.canonicalize(&given.data_dir).unwrap_or_else(|_| given.data_dir.clone()));
            Ok((Arc::new(scan), known, facts, found.into_allowed()?))
        })
        .await?;
        let known = known.map_or_else(|| Arc::clone(&scan), Arc::new);
        Ok(ScannedSource { scan, known, facts, allowed, _source: self })
    }
}

/// What the next run compares its files with, file by file as in `scan`; `None` for the scan itself. Every clone has new inodes, devices and
/// ctimes, so of a clone the originals are kept, by the directory that they lie in.
fn known(scan: &Scan, by: &KnownBy, data_dir: PathBuf) -> Option<Scan> {
    let seen = |file: &ScannedFile| match by {
        KnownBy::Themselves => file.stat,
        KnownBy::Originals(originals) => {
            let original = originals.get(&file.path).copied();
            // A file without an original is never the one of an earlier run.
            original.map_or(Stat { ino: 0, mtime_ns: i128::MAX, ..file.stat }, |stat| Stat { ctime_ns: 0, ..stat })
        }
        KnownBy::Subvolume => Stat { dev: 0, ctime_ns: 0, ..file.stat },
    };
    if matches!(by, KnownBy::Themselves) && scan.root == data_dir {
        return None;
    }
    let files = scan.files.iter().map(|file| ScannedFile { path: file.path.clone(), stat: seen(file) }).collect();
    Some(Scan { root: data_dir, files, ..scan.clone() })
}

impl ScannedSource {
    /// Refuses when anything came, went or changed since the scan.
    pub(super) async fn check_unchanged(&self, options: &Arc<Options>) -> Result<(), Error> {
        let (given, scan) = (Arc::clone(options), Arc::clone(&self.scan));
        blocking(move || Ok(scan.check_unchanged(&*given.fs)?)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::WorkerDied)?
}

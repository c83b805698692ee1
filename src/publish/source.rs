//! The data directory of a run: locked, at rest, and scanned.

use std::sync::Arc;

use super::{Error, Options};
use crate::{
    catalog::{self, StateDir},
    disk::{
        engine::{self, Facts},
        in_use::{self, Unseen},
        lock::LockedDir,
        scan::{self, Scan},
        secrets,
        select::Selection,
    },
    fs::Lock,
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
    /// What its files tell of engine and chain.
    pub(super) facts: Facts,
    /// Files that look like secrets and that the operator allowed.
    pub(super) allowed: Vec<RelPath>,
    _source: Source,
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
    pub(super) async fn scan(self, options: &Arc<Options>) -> Result<ScannedSource, Error> {
        options.progress.event(Event::Phase { phase: Phase::Scan, total_bytes: None });
        let given = Arc::clone(options);
        let (scan, facts, allowed) = blocking(move || {
            let selection = Arc::new(Selection::of(&given.node.profile, given.channel.chain()));
            let scan = scan::scan(&*given.fs, &given.data_dir, &selection)?;
            let facts = engine::facts(&*given.fs, &scan.root, &given.node.profile)?;
            facts.check_chain(&scan.root, &given.node.profile, given.channel.chain())?;
            let found = secrets::scan_secrets(&*given.fs, &scan, &given.allow_secrets)?;
            Ok((scan, facts, found.into_allowed()?))
        })
        .await?;
        Ok(ScannedSource { scan: Arc::new(scan), facts, allowed, _source: self })
    }
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

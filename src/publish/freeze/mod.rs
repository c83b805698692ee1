//! Step 3 of a publish: files that do not change, and the node running again before anything is uploaded.
//!
//! A thread of its own stops the node, clones, starts it and sees it back, whatever becomes of the run meanwhile: nothing that drops the run
//! drops the thread. [`Freezer::finish`] waits for it, removes the clone, and says whether the node is back.

mod undo;
mod window;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{Error, Options, facts::Facts, source::Source};
use crate::{
    disk,
    fs::Stat,
    node::{
        self,
        freeze::{Method, plan},
        marker::Markers,
    },
    progress::Event,
    types::RelPath,
};

/// How often the free space is looked at while a clone lives.
const WATCH: Duration = Duration::from_millis(500);

/// What freezing did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct FreezeSummary {
    /// How.
    pub method: Method,
    /// From the request to stop until the node answered again, seconds; `None` where it did not run, did not come back, or a script froze it.
    pub downtime_seconds: Option<f64>,
    /// Bytes of the clone that were copied.
    pub copied_bytes: u64,
    /// Why the node is not back; `None` when all is well.
    pub error: Option<String>,
}

/// Where the files are that do not change.
#[derive(Debug)]
pub(super) struct Frozen {
    /// The directory to be scanned.
    pub(super) dir: PathBuf,
    /// How the next run knows the files again.
    pub(super) known_by: KnownBy,
    /// Height and hash of a block that they contain, where a script says so.
    pub(super) block: Option<(u64, Option<String>)>,
}

/// What a later run compares its files with.
#[derive(Debug)]
pub(super) enum KnownBy {
    /// What the file system says of the files themselves.
    Themselves,
    /// What it said of the originals while nothing wrote to them. Their ctimes change with every link.
    Originals(BTreeMap<RelPath, Stat>),
    /// What it says of them, but for the device: each snapshot of a subvolume has its own.
    Subvolume,
}

/// The node of a run.
#[derive(Debug)]
pub(super) struct Freezer {
    thread: Mutex<Option<JoinHandle<window::Ended>>>,
    /// Held as long as the thread goes on, which may be longer than the run.
    source: Mutex<Option<Arc<Source>>>,
    dropped: watch::Sender<Option<Dropped>>,
}

/// A clone that took the room that the node needs.
#[derive(Clone, Debug)]
struct Dropped {
    path: PathBuf,
    free_bytes: u64,
    reserve_bytes: u64,
}

impl Freezer {
    pub(super) fn new() -> Self {
        Self { thread: Mutex::default(), source: Mutex::default(), dropped: watch::Sender::new(None) }
    }

    /// Brings back a node that an earlier run left down, if there is one. The caller holds the channel.
    pub(super) async fn thaw_first(&self, options: &Arc<Options>) -> Result<(), Error> {
        let given = Arc::clone(options);
        let thawed = tokio::task::spawn_blocking(move || undo::thaw_first(&given)).await.map_err(|_| Error::WorkerDied)??;
        thawed.into_iter().for_each(|text| options.progress.event(Event::Warning { text }));
        Ok(())
    }

    /// Gets the files, by the method that is set.
    pub(super) async fn freeze(&self, options: &Arc<Options>, source: &Arc<Source>, facts: &mut Facts) -> Result<Frozen, Error> {
        let frozen = match (options.node.freeze.method, options.dry_run) {
            (Method::Stopped, _) => {
                source.check_at_rest(options).await?;
                Frozen { dir: options.data_dir.clone(), known_by: KnownBy::Themselves, block: None }
            }
            (method, true) => {
                let text = format!("a dry run does not freeze the node ({}): it reads the files as they are", method.name());
                options.progress.event(Event::Warning { text });
                self.check_only(options).await?;
                Frozen { dir: options.data_dir.clone(), known_by: KnownBy::Themselves, block: None }
            }
            (_, false) => self.open_window(options, source).await?,
        };
        if let (Some((height, hash)), None) = (&frozen.block, options.height) {
            (facts.height, facts.block_hash) = (Some(*height), hash.clone());
        }
        Ok(frozen)
    }

    async fn check_only(&self, options: &Arc<Options>) -> Result<(), Error> {
        let given = Arc::clone(options);
        tokio::task::spawn_blocking(move || window::check_only(&given)).await.map_err(|_| Error::WorkerDied)?
    }

    async fn open_window(&self, options: &Arc<Options>, source: &Arc<Source>) -> Result<Frozen, Error> {
        *lock(&self.source) = Some(Arc::clone(source));
        let (send, frozen) = oneshot::channel();
        let given = Arc::clone(options);
        *lock(&self.thread) = Some(tokio::task::spawn_blocking(move || window::run(&given, send)));
        let frozen = frozen.await.map_err(|_| Error::WorkerDied)??;
        // What a script made is the script's business.
        if !matches!(frozen.known_by, KnownBy::Themselves) {
            self.watch_space(options, &frozen);
        }
        Ok(frozen)
    }

    /// The node's disk comes first: a clone that takes its reserve ends the run.
    fn watch_space(&self, options: &Arc<Options>, frozen: &Frozen) {
        let (given, path, dropped) = (Arc::clone(options), frozen.dir.clone(), self.dropped.clone());
        tokio::spawn(async move {
            loop {
                // It fails when the clone is gone: that is the end of the watch.
                let Ok(space) = given.fs.space(&path) else { return };
                let reserve_bytes = plan::reserve_bytes(space.total_bytes, given.node.freeze.reserve_percent);
                if space.free_bytes < reserve_bytes {
                    dropped.send_replace(Some(Dropped { path, free_bytes: space.free_bytes, reserve_bytes }));
                    return;
                }
                tokio::time::sleep(WATCH).await;
            }
        });
    }

    /// Returns when the clone must go although the run has not ended.
    pub(super) async fn space_lost(&self) -> Error {
        let mut receiver = self.dropped.subscribe();
        let lost = receiver.wait_for(Option::is_some).await.map(|lost| (*lost).clone());
        match lost {
            Ok(Some(Dropped { path, free_bytes, reserve_bytes })) => Error::CloneDropped { path, free_bytes, reserve_bytes },
            // The sender lives as long as self.
            Ok(None) | Err(_) => Error::WorkerDied,
        }
    }

    /// Waits until the node is back, and removes the clone. Gives what was done, and why the node is not back.
    pub(super) async fn finish(&self, options: &Arc<Options>) -> (Option<FreezeSummary>, Option<node::Error>) {
        let thread = lock(&self.thread).take();
        let Some(thread) = thread else { return (None, None) };
        let given = Arc::clone(options);
        let ended = match thread.await {
            Ok(ended) => ended,
            // It panicked where it does not expect to.
            Err(_) => return (None, Some(node::Error::nobody_knows(&options.channel))),
        };
        let undone = tokio::task::spawn_blocking(move || undo::finish(&given, ended)).await;
        drop(lock(&self.source).take());
        let Ok((summary, down, warnings)) = undone else { return (None, Some(node::Error::nobody_knows(&options.channel))) };
        warnings.into_iter().for_each(|text| options.progress.event(Event::Warning { text }));
        (summary, down)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn markers(options: &Options) -> Markers {
    Markers::of(Arc::clone(&options.fs), &options.state_dir)
}

/// Removes the clone of this run, or of a dead one of its channel.
fn remove_clone(options: &Options, clone: &std::path::Path) -> Result<(), disk::Error> {
    disk::clone::remove(&*options.fs, clone, &options.channel, &|snapshot| {
        node::btrfs::delete(snapshot).map_err(|e| crate::progress::in_one_line(&e))
    })
}

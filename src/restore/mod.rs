//! `qsync restore`: fetches a snapshot from all sources, verifies every byte, and puts it in place.
//!
//! Nothing is written outside the staging directory before everything is verified and durable, and the database that is there
//! is not touched before that. A run that ends early, however it ends, is continued by the same command. A snapshot that the sources
//! drop meanwhile is left for the one that its channel offers then.

mod build;
mod canonical;
mod carry_over;
mod cost;
mod error;
mod expected;
mod finish;
mod found;
mod in_place;
mod lists;
mod local;
mod pipeline;
mod place;
pub mod plan;
mod repair;
mod route;
mod snapshot;
mod successor;
mod survey;
pub mod verify;

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde::Serialize;
use tokio::sync::OnceCell;

use build::Build;
use local::Local;
use pipeline::Moved;
use place::Place;
use snapshot::Snapshot;
use successor::RunTime;

use crate::{
    catalog::{self, OpenSnapshot, StateDir},
    disk,
    fs::Fs,
    node::probe::Probe,
    progress::{Progress, Stop},
    sources::{Estimate, ReadFrom, Report, Settings, Sources, forms},
    store::DynReadStore,
    types::{ChannelName, Hash, Timestamp, When},
};

pub use canonical::BlockCheck;
pub use error::Error;
pub use expected::Expected;
pub use successor::NoSuccessor;

/// Restores one snapshot into `options.target`. See `docs/architecture.md` for the order of durable steps.
///
/// # Errors
/// [`Error`]. What was verified is kept for the next run. The target is as it was, but for errors after the first rename, when the next run
/// completes the swap, and after the first change in place, when the target is marked as incomplete until the next run has finished it.
pub async fn run(options: Options) -> Result<Summary, Error> {
    let (started, time, engine) = (Instant::now(), RunTime::begin(options.now), OnceCell::new());
    let state = open_state(&options).await?;
    let attempt = async |options: &Arc<Options>| restore(options, &state, &engine, started).await;
    let successor = async |options: &Options, gone: &Hash| successor::successor(options, &state, gone, time).await;
    successor::outlive(options, attempt, successor).await
}

/// Restores one snapshot, or ends with [`Error::Incomplete`] when no source has all of it.
async fn restore(options: &Arc<Options>, state: &StateDir, engine: &OnceCell<Arc<Sources>>, started: Instant) -> Result<Summary, Error> {
    // 1. Where: refuse dangerous targets, find what an earlier run left, complete a swap that it began.
    let mut place = Place::find(options).await?;
    let target = place.target.clone();
    let told = |snapshot: &Snapshot, outcome| snapshot.summary(&target, outcome, Moved::default(), Vec::new(), started);
    if let Some(snapshot) = place.complete_swap(options, state).await? {
        if snapshot.is_what_is_asked(options) {
            return Ok(told(&snapshot, Outcome::Restored));
        }
        place = Place::find(options).await?;
    }
    if let Some(snapshot) = place.take_restored(options) {
        options.expected.check(snapshot.manifest.about())?;
        place.remove_unpinned().await?;
        return Ok(told(&snapshot, Outcome::AlreadyRestored));
    }
    let local = Arc::new(Local::find(options, &target).await?);
    // 2. Which snapshot: the pinned one of the partial restore, else the head of the channel and its manifest.
    let snapshot = until_stopped(options, snapshot::choose(options, state, &place)).await?;
    options.expected.check(snapshot.manifest.about())?;
    // Is it of the chain that a node knows which the user trusts?
    let block_check = until_stopped(options, canonical::check(options, snapshot.manifest.about())).await?;
    let told = |snapshot: &Snapshot, outcome| Summary { block_check, ..told(snapshot, outcome) };
    if place.holds(&snapshot.id()) {
        place.remove_unpinned().await?;
        return Ok(told(&snapshot, Outcome::AlreadyRestored));
    }
    // 3. Refuse before the first data byte: target not empty, in use or of another engine, no space.
    expected::check_target(options, &target, &snapshot).await?;
    place.check(options, &snapshot, &local).await?;
    let kept = place.kept(&snapshot).await?;
    let costs = until_stopped(options, cost::estimates(options, &snapshot, &local, kept.as_ref())).await?;
    if options.dry_run {
        let most_to_fetch_bytes = Some(local.most_to_fetch(&snapshot.manifest).await?);
        return Ok(Summary { most_to_fetch_bytes, costs, ..told(&snapshot, Outcome::DryRun) });
    }
    let settings = cost::agreed(options, &costs)?;
    let incomplete = |error: Error| error.or_incomplete(&snapshot.id());
    // 4. Pin: a later run continues this snapshot.
    let sources = until_stopped(options, async { Ok(engine.get_or_init(|| open_engine(options, settings)).await) }).await?;
    let build = until_stopped(options, Build::pin(options, place, &snapshot, sources)).await.map_err(incomplete)?;
    // 5. and 6. Plan, fetch, verify, write, journal.
    let (staging, moved, reports) = build.fetch_all(options, &snapshot, local).await.map_err(incomplete)?;
    // 7. Put it in place.
    let block_check = until_stopped(options, canonical::check_again(options, snapshot.manifest.about(), block_check)).await?;
    finish::put_in_place(options, staging, &snapshot).await?;
    Ok(Summary { block_check, ..snapshot.summary(&target, Outcome::Restored, moved, reports, started) })
}

/// Waits for work that can be dropped at any moment without leaving anything half done, unless somebody asks to stop.
async fn until_stopped<T>(options: &Options, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        () = options.stop.wait() => Err(Error::Interrupted),
    }
}

/// A state directory that cannot be written is refused before any download.
async fn open_state(options: &Options) -> Result<StateDir, Error> {
    let (fs, path) = (Arc::clone(&options.fs), options.state_dir.clone());
    let opened = tokio::task::spawn_blocking(move || StateDir::open(fs, path)).await;
    Ok(opened.map_err(|_| Error::WorkerDied)?.map_err(catalog::Error::State)?)
}

/// All sources as one, for every snapshot that this run works on: what a source did counts to its end.
async fn open_engine(options: &Options, settings: Settings) -> Arc<Sources> {
    Arc::new(Sources::new(forms::with_forms(&options.sources).await, settings, Arc::clone(&options.progress)))
}

/// Runs blocking work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, disk::Error> + Send + 'static) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Error::WorkerDied)??)
}

/// What is restored, from where to where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The channel.
    pub channel: ChannelName,
    /// The snapshot, if the user named one.
    pub when: Option<When>,
    /// What it must be.
    pub expected: Expected,
    /// The snapshot itself, where it was named by its CID: then nothing is asked of its channel.
    pub by_cid: Option<Arc<OpenSnapshot>>,
    /// Where it can be read.
    pub sources: Vec<DynReadStore>,
    /// Where the database goes.
    pub target: PathBuf,
    /// What to do with a database that is there.
    pub existing: Existing,
    /// What to do with a partial restore that is there.
    pub partial: Partial,
    /// Owner of the restored files, when not this user.
    pub owner: Option<Owner>,
    /// Directories whose bytes may be used, at the same path and offset.
    pub seeds: Vec<PathBuf>,
    /// Read local files instead of believing the records of their directories.
    pub rehash: bool,
    /// Say what would happen, and stop before the first write.
    pub dry_run: bool,
    /// Pay for what free sources do not deliver, up to the estimate and a tenth more.
    pub accept_cost: bool,
    /// Where this machine is, for what bytes cost.
    pub read_from: ReadFrom,
    /// Budget for frames and chunks in flight, bytes.
    pub memory_bytes: u64,
    /// Threads that hash, decode and write.
    pub threads: usize,
    /// How patient the engine is that fetches, how fast, and what it may cost.
    pub engine: Settings,
    /// The pinned repository, when given for this run.
    pub pin: Option<Hash>,
    /// A node that the user trusts, to confirm the snapshot's block.
    pub check_rpc: Option<Arc<Probe>>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The user's home directory, which is never a target.
    pub home: Option<PathBuf>,
    /// The time, given once.
    pub now: Timestamp,
    /// The file system of target and state directory.
    pub fs: Arc<dyn Fs>,
    /// Ends the run early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

/// What to do with a database that is in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse (15).
    Refuse,
    /// Swap it out when the new one is complete, then delete it.
    Replace,
    /// Swap it out when the new one is complete, and keep it beside it.
    ReplaceKeepingOld,
    /// Overwrite it chunk by chunk. Until that is complete there is neither the old nor the new.
    InPlace,
}

/// What to do with a partial restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// Go on with the snapshot it is pinned to.
    Continue,
    /// Go on with the newest snapshot, keeping every verified chunk.
    Latest,
    /// Delete it and start over.
    Discard,
}

/// A numeric owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What a run did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// What a node said of its block; `None` when none was asked.
    pub block_check: Option<BlockCheck>,
    /// Where it is now.
    pub target: PathBuf,
    /// What the run came to.
    pub outcome: Outcome,
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// The most that sources would have to send, bytes; of a dry run only.
    pub most_to_fetch_bytes: Option<u64>,
    /// What sources that cost money could cost at most, each alone; of a dry run only.
    pub costs: Vec<Estimate>,
    /// Bytes that came from sources, as sent.
    pub fetched_bytes: u64,
    /// Raw bytes that were there already and verified: an earlier run's, or local files'.
    pub reused_bytes: u64,
    /// Raw bytes that came from sources and were written.
    pub written_bytes: u64,
    /// Bytes in holes.
    pub hole_bytes: u64,
    /// Chunks that were asked for again.
    pub retries: u64,
    /// What came from each source.
    pub sources: Vec<Report>,
    /// How long it took.
    pub seconds: f64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The database is in place.
    Restored,
    /// It was in place already.
    AlreadyRestored,
    /// Nothing was done.
    DryRun,
}

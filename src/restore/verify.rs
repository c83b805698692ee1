//! `qsync verify`: proves a restored directory again, offline, from what this machine kept when it restored it, or against a snapshot
//! that it is told; and repairs it, when asked to, from any source.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde::Serialize;
use thiserror::Error;
use tokio::runtime::Handle;

use super::{
    Existing, Partial,
    repair::{self, Repaired},
    snapshot::{self, Snapshot},
};
use crate::{
    catalog,
    disk::{
        self,
        have::Have,
        mode::{Mode, Purpose},
        plan,
        record::Record,
        staging::{Left, Staging},
        target,
        verify::{self, Defect, Report},
    },
    format::{
        list::SEGMENT_ROWS,
        manifest::{FileEntry, Manifest, ManifestError},
    },
    fs::Fs,
    progress::{Event, Phase, Progress, Stop},
    sources::{self, Sources, forms},
    store::DynReadStore,
    types::{ChannelName, Hash, Timestamp, When},
};

/// What is verified, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// Whether the BLAKE3 of whole files is checked as well.
    pub whole_files: bool,
    /// Whether the files are taken out of the page cache first, so that the disk is read and not the memory.
    pub drop_cache: bool,
    /// Whether what is wrong is fetched and written.
    pub repair: bool,
    /// What may be fetched, and from where; `None` keeps it offline.
    pub remote: Option<Remote>,
    /// Threads that read and hash.
    pub threads: usize,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The file system of both.
    pub fs: Arc<dyn Fs>,
    /// Ends it early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

/// What may be fetched, and from where.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it can be read.
    pub sources: Vec<DynReadStore>,
    /// The snapshot that the directory should be; `None`: the one that this machine restored there.
    pub snapshot: Option<(ChannelName, Option<When>)>,
    /// The pinned repository, when given for this run.
    pub pin: Option<Hash>,
    /// Budget for frames and chunks in flight, bytes.
    pub memory_bytes: u64,
    /// How patient the engine is that fetches, how fast, and what it may cost.
    pub engine: sources::Settings,
    /// The user's home directory, which is never repaired.
    pub home: Option<PathBuf>,
    /// The time, given once.
    pub now: Timestamp,
}

/// What was found. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The directory.
    pub dir: PathBuf,
    /// The channel it was restored from.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// Number of files in the snapshot.
    pub files: u64,
    /// Bytes that were compared, holes included.
    pub bytes: u64,
    /// Chunks that are what was signed.
    pub good_chunks: u64,
    /// Number of defects that are left; 0 when the directory is what was signed.
    pub defects: u64,
    /// Number of defects that were repaired.
    pub repaired: u64,
    /// Chunks that were written to repair them.
    pub repaired_chunks: u64,
    /// Bytes that came from sources for that, as sent.
    pub fetched_bytes: u64,
    /// What came from each source for that.
    pub sources: Vec<sources::Report>,
    /// How long it took.
    pub seconds: f64,
}

/// What a verification came to.
#[derive(Clone, Debug)]
pub struct Checked {
    /// In numbers.
    pub summary: Summary,
    /// Everything that is wrong now, by path.
    pub defects: Vec<Defect>,
    /// Everything that was wrong and is not any more, by path.
    pub repaired: Vec<Defect>,
}

/// Why a directory could not be verified.
#[derive(Debug, Error)]
pub enum Error {
    /// This machine did not restore it, or forgot.
    #[error("nothing is known of {}: it was not restored on this machine with this state directory", dir.display())]
    NoRecord {
        /// The directory.
        dir: PathBuf,
    },
    /// What this machine kept is damaged.
    #[error("the manifest that was kept for {} is damaged", dir.display())]
    RecordDefect {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<ManifestError>,
    },
    /// A change in place was interrupted: the directory is no snapshot at all.
    #[error("{} is incomplete: it was being changed in place, and that was interrupted", dir.display())]
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// What was being done.
        purpose: Purpose,
        /// The channel that it was to be a snapshot of.
        channel: Option<ChannelName>,
    },
    /// A repair has nothing to fetch from.
    #[error("no source to repair from")]
    NoSources,
    /// Reading failed, or it was stopped.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// What has to be fetched cannot be had.
    #[error(transparent)]
    Restore(#[from] super::Error),
    /// A thread panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

/// Re-reads the whole directory and compares every chunk with the manifest it was restored from, or with that of the snapshot which the
/// options name; then, when asked to, repairs what is wrong.
///
/// # Errors
/// [`enum@Error`]; a directory with defects is not an error here.
pub async fn run(options: Options) -> Result<Checked, Error> {
    let (options, started) = (Arc::new(options), Instant::now());
    // 1. What should be there.
    let known = Arc::new(tokio::select! {
        known = Known::open(&options) => known?,
        () = options.stop.wait() => return Err(disk::Error::Stopped.into()),
    });
    // 2. What is there.
    let report = known.verify(&options).await?;
    let wrong = report.defects.iter().any(plan::is_repairable);
    // 3. What was found wrong is not believed any more, however this ends.
    known.disbelieve(&options, &report.defects).await?;
    // 4. Whatever differs, from a source.
    let repaired = if options.repair && wrong { Some(known.repair(&options, &report.defects).await?) } else { None };
    if let Some(repaired) = &repaired {
        known.disbelieve(&options, &repaired.still_wrong).await?;
    }
    Ok(known.verified(&options, report, repaired, started))
}

/// One line per file for `b3sum -c`, with the directory as the caller spelled it, from the manifest it was restored from. Hashes nothing.
///
/// # Errors
/// [`Error::NoRecord`], [`Error::RecordDefect`] or a state directory that cannot be read.
pub fn b3sums(options: &Options) -> Result<Vec<String>, Error> {
    let target = target::resolve(&*options.fs, &options.dir)?;
    let (_, snapshot) = recorded(options, &target)?;
    let line = |file: &FileEntry| format!("{}  {}", file.b3, options.dir.join(&file.path).display());
    Ok(snapshot.manifest.files().iter().map(line).collect())
}

/// What a directory should be, and where the lists of its chunks are.
struct Known {
    target: PathBuf,
    snapshot: Snapshot,
    record: Option<Record>,
    sources: Option<Arc<Sources>>,
}

impl Known {
    async fn open(options: &Arc<Options>) -> Result<Self, Error> {
        let given = Arc::clone(options);
        let (target, left) = blocking(move || {
            let target = target::resolve(&*given.fs, &given.dir)?;
            let left = Staging::peek(&*given.fs, &target)?;
            Ok((target, left))
        })
        .await?;
        let sources = match &options.remote {
            Some(remote) if !remote.sources.is_empty() => Some(Arc::new(remote.as_one(options).await)),
            _ => None,
        };
        let (record, snapshot) = match options.remote.as_ref().and_then(|remote| Some((remote, remote.snapshot.as_ref()?))) {
            Some((remote, (channel, when))) => (None, remote.find(options, &target, channel, when.as_ref()).await?),
            None => {
                let (given, target) = (Arc::clone(options), target.clone());
                let (record, snapshot) = blocking(move || recorded(&given, &target)).await?;
                (Some(record), snapshot)
            }
        };
        refuse_incomplete(options, left, &snapshot)?;
        Ok(Self { target, snapshot, record, sources })
    }

    /// A list segment: what was kept counts first.
    fn list(&self, options: &Options, runtime: &Handle, id: &Hash) -> io::Result<Vec<u8>> {
        let kept = self.record.as_ref().map_or(Ok(None), |record| record.list(&*options.fs, id)).map_err(io::Error::other)?;
        match (kept, &self.sources) {
            (Some(bytes), _) => Ok(bytes),
            (None, Some(sources)) => runtime.block_on(async {
                tokio::select! {
                    list = sources.list(*id, SEGMENT_ROWS) => list.map_err(io::Error::other),
                    () = options.stop.wait() => Err(io::ErrorKind::Interrupted.into()),
                }
            }),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn verify(self: &Arc<Self>, options: &Arc<Options>) -> Result<Report, Error> {
        let total_bytes = Some(self.snapshot.manifest.totals().bytes);
        options.progress.event(Event::Phase { phase: Phase::Verify, total_bytes });
        let (known, options, runtime) = (Arc::clone(self), Arc::clone(options), Handle::current());
        blocking(move || {
            let (fs, manifest) = (&*options.fs, &known.snapshot.manifest);
            if options.drop_cache {
                verify::drop_cache(fs, &known.target, manifest)?;
            }
            let how = verify::Options {
                threads: options.threads,
                whole_files: options.whole_files,
                stop: &options.stop,
                progress: &*options.progress,
            };
            let report = verify::verify(fs, &known.target, manifest, &|id| known.list(&options, &runtime, id), &how);
            // A list that was not waited for is no defect of anything.
            Ok(report.map_err(|error| if options.stop.requested() { disk::Error::Stopped } else { error })?)
        })
        .await
    }

    /// Takes back what the state directory says of files that turned out to be wrong: a disk that decays changes neither length nor time,
    /// and a restore would believe and keep them. A state directory that cannot be written makes no difference to what was found.
    async fn disbelieve(&self, options: &Arc<Options>, defects: &[Defect]) -> Result<(), Error> {
        let wrong = defects.iter().filter(|defect| plan::is_repairable(defect));
        let mut files: Vec<usize> = wrong.filter_map(|defect| Some(self.snapshot.manifest.find(defect.path())?.0)).collect();
        files.dedup();
        files.sort_unstable();
        files.dedup();
        if files.is_empty() {
            return Ok(());
        }
        let (given, target, snapshot) = (Arc::clone(options), self.target.clone(), self.snapshot.clone());
        blocking(move || {
            let taken_back = disbelieve(&given, &target, &snapshot, &files);
            if let Err(error) = taken_back {
                let text = format!("the record of {} still vouches for files that are wrong: {error}", target.display());
                given.progress.event(Event::Warning { text });
            }
            Ok(())
        })
        .await
    }

    async fn repair(&self, options: &Arc<Options>, defects: &[Defect]) -> Result<Repaired, Error> {
        let (Some(remote), Some(sources)) = (&options.remote, &self.sources) else { return Err(Error::NoSources) };
        let restore = Arc::new(remote.options(options, &self.target, self.snapshot.channel().clone(), None));
        let kept = |id: &Hash| {
            let kept = self.record.as_ref().map_or(Ok(None), |record| record.list(&*options.fs, id)).map_err(io::Error::other)?;
            kept.ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        Ok(repair::run(&restore, &self.target, &self.snapshot, Arc::clone(sources), &kept, defects).await?)
    }

    fn verified(&self, options: &Options, report: Report, repair: Option<Repaired>, started: Instant) -> Checked {
        let is_repaired = repair.is_some();
        let (mut repaired, mut defects): (Vec<_>, Vec<_>) =
            report.defects.into_iter().partition(|defect| is_repaired && plan::is_repairable(defect));
        let (mut chunks, mut sources) = (0, Vec::new());
        if let Some(repair) = repair {
            let still_wrong = plan::places(&repair.still_wrong);
            repaired.retain(|defect| !plan::is_still_wrong(defect, &still_wrong));
            defects.extend(repair.still_wrong);
            chunks = repair.chunks;
            sources = repair.sources;
        }
        let manifest = &self.snapshot.manifest;
        let wrong_chunks = defects.iter().filter(|defect| matches!(defect, Defect::Chunk { .. })).count() as u64;
        let summary = Summary {
            dir: options.dir.clone(),
            channel: self.snapshot.channel().clone(),
            snapshot: self.snapshot.id(),
            height: self.snapshot.height(),
            files: manifest.totals().files,
            bytes: report.bytes,
            good_chunks: if is_repaired { Have::all(manifest).count() - wrong_chunks } else { report.good_chunks },
            defects: defects.len() as u64,
            repaired: repaired.len() as u64,
            repaired_chunks: chunks,
            fetched_bytes: sources.iter().map(|source| source.bytes).sum(),
            sources,
            seconds: started.elapsed().as_secs_f64(),
        };
        Checked { summary, defects, repaired }
    }
}

impl Remote {
    async fn as_one(&self, options: &Options) -> Sources {
        Sources::new(forms::with_forms(&self.sources).await, self.engine.clone(), Arc::clone(&options.progress))
    }

    /// The snapshot that the user names, proved like that of a restore.
    async fn find(&self, options: &Options, target: &Path, channel: &ChannelName, when: Option<&When>) -> Result<Snapshot, Error> {
        let restore = self.options(options, target, channel.clone(), when.cloned());
        let (fs, state_dir) = (Arc::clone(&options.fs), options.state_dir.clone());
        let opened = tokio::task::spawn_blocking(move || catalog::StateDir::open(fs, &state_dir)).await.map_err(|_| Error::WorkerDied)?;
        let state = opened.map_err(|error| super::Error::Catalog(catalog::Error::State(error)))?;
        Ok(super::until_stopped(&restore, snapshot::discover(&restore, &state)).await?)
    }

    /// What a restore to the same place would be told.
    fn options(&self, options: &Options, target: &Path, channel: ChannelName, when: Option<When>) -> super::Options {
        super::Options {
            expected: super::Expected::default(),
            channel,
            when,
            by_cid: None,
            sources: self.sources.clone(),
            target: target.to_owned(),
            existing: Existing::InPlace,
            seeds: Vec::new(),
            rehash: false,
            partial: Partial::Continue,
            check_rpc: None,
            owner: None,
            dry_run: false,
            accept_cost: false,
            read_from: crate::sources::ReadFrom::Internet,
            memory_bytes: self.memory_bytes,
            threads: options.threads,
            engine: self.engine.clone(),
            pin: self.pin,
            state_dir: options.state_dir.clone(),
            home: self.home.clone(),
            now: self.now,
            fs: Arc::clone(&options.fs),
            stop: options.stop.clone(),
            progress: Arc::clone(&options.progress),
        }
    }
}

/// What this machine kept of a restored directory.
fn recorded(options: &Options, target: &Path) -> Result<(Record, Snapshot), Error> {
    let no_record = || Error::NoRecord { dir: options.dir.clone() };
    let record = Record::load(&*options.fs, &options.state_dir, target)?.ok_or_else(no_record)?;
    let stored = &record.pin.manifest;
    let defect = |source| Error::RecordDefect { dir: options.dir.clone(), source: Box::new(source) };
    let manifest = Manifest::parse_stored(&stored.bytes, stored.json_bytes).map_err(defect)?;
    let snapshot = Snapshot { manifest: Arc::new(manifest), pin: record.pin.clone() };
    Ok((record, snapshot))
}

/// Takes back what is recorded of these files, if a record of this very snapshot is kept.
fn disbelieve(options: &Options, target: &Path, snapshot: &Snapshot, files: &[usize]) -> Result<(), disk::Error> {
    match Record::load(&*options.fs, &options.state_dir, target)? {
        Some(record) if record.pin.manifest.id == snapshot.id() => record.disbelieve(&*options.fs, &snapshot.manifest, files),
        _ => Ok(()),
    }
}

/// A directory that was being changed is not verified; its own repair goes on.
fn refuse_incomplete(options: &Options, left: Option<Left>, snapshot: &Snapshot) -> Result<(), Error> {
    let Some(left) = left else { return Ok(()) };
    let Mode::InPlace(purpose, _) = left.mode else { return Ok(()) };
    let same = left.pin.as_ref().is_some_and(|pin| pin.manifest.id == snapshot.id());
    let goes_on = options.repair && plan::take_up_for_repair(left.mode, same).is_ok();
    if !left.mode.is_incomplete() || goes_on {
        return Ok(());
    }
    Err(Error::Incomplete { dir: options.dir.clone(), purpose, channel: left.pin.map(|pin| pin.channel) })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::WorkerDied)?
}

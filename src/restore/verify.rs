//! `qsync verify`: proves a restored directory again, offline, from what this machine kept when it restored it.

use std::{io, path::PathBuf, sync::Arc, time::Instant};

use serde::Serialize;
use thiserror::Error;

use crate::{
    disk::{
        self,
        record::Record,
        target,
        verify::{self, Defect, Report},
    },
    format::manifest::{Manifest, ManifestError},
    fs::Fs,
    progress::{Event, Phase, Progress, Stop},
    types::{ChannelName, Hash},
};

/// What is verified, and how.
#[derive(Debug)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// Whether the BLAKE3 of whole files is checked as well.
    pub whole_files: bool,
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
    /// Number of defects; 0 when the directory is what was signed.
    pub defects: u64,
    /// How long it took.
    pub seconds: f64,
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
    /// Reading failed, or it was stopped.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A thread panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

/// Re-reads the whole directory and compares every chunk with the manifest it was restored from. The defects are in the
/// second value, the whole list, sorted by path.
///
/// # Errors
/// [`enum@Error`]; a directory with defects is not an error here.
pub async fn run(options: Options) -> Result<(Summary, Vec<Defect>), Error> {
    let started = Instant::now();
    let work = move || {
        let known = Known::load(&*options.fs, &options.state_dir, &options.dir)?;
        options.progress.event(Event::Phase { phase: Phase::Verify, total_bytes: Some(known.manifest.totals().bytes) });
        let report = known.verify(&options)?;
        Ok((known.summary(options.dir, &report, started), report.defects))
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::WorkerDied)?
}

/// One line per file for `b3sum -c`, with the directory as the caller spelled it, from the manifest it was restored from. Hashes nothing.
///
/// # Errors
/// [`Error::NoRecord`], [`Error::RecordDefect`] or a state directory that cannot be read.
pub fn b3sums(options: &Options) -> Result<Vec<String>, Error> {
    let known = Known::load(&*options.fs, &options.state_dir, &options.dir)?;
    let line = |file: &crate::format::manifest::FileEntry| format!("{}  {}", file.b3, options.dir.join(&file.path).display());
    Ok(known.manifest.files().iter().map(line).collect())
}

/// What this machine kept of a restored directory.
struct Known {
    record: Record,
    manifest: Manifest,
}

impl Known {
    fn load(fs: &dyn Fs, state_dir: &std::path::Path, dir: &std::path::Path) -> Result<Self, Error> {
        let target = target::resolve(fs, dir)?;
        let record = Record::load(fs, state_dir, &target)?.ok_or_else(|| Error::NoRecord { dir: dir.to_owned() })?;
        let stored = &record.pin.manifest;
        let manifest = Manifest::parse_stored(&stored.bytes, stored.json_bytes);
        let manifest = manifest.map_err(|source| Error::RecordDefect { dir: dir.to_owned(), source: Box::new(source) })?;
        Ok(Self { record, manifest })
    }

    fn verify(&self, options: &Options) -> Result<Report, disk::Error> {
        let lists = |id: &Hash| {
            let kept = self.record.list(&*options.fs, id).map_err(io::Error::other)?;
            kept.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let how = verify::Options {
            threads: options.threads,
            whole_files: options.whole_files,
            stop: &options.stop,
            progress: &*options.progress,
        };
        verify::verify(&*options.fs, &self.record.target, &self.manifest, &lists, &how)
    }

    fn summary(&self, dir: PathBuf, report: &Report, started: Instant) -> Summary {
        Summary {
            dir,
            channel: self.record.pin.channel.clone(),
            snapshot: self.record.pin.manifest.id,
            height: self.manifest.about().height,
            files: self.manifest.totals().files,
            bytes: report.bytes,
            good_chunks: report.good_chunks,
            defects: report.defects.len() as u64,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

//! What local directories spare a restore: the database that it replaces, and seeds.
//!
//! A chunk is looked for at the same path and offset. Where this machine restored the directory itself and a file has kept its length, its
//! time and its inode since, the record tells what is in it: chunks that differ are not read, and a file of which all are the same is
//! taken as it is, by a second name or as a clone. Everything else is read, and proved like what comes from a source before it is written.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Error, Existing, Options, Owner, blocking,
    found::Found,
    pipeline::Context,
    plan::{self, LinkFacts},
};
use crate::{
    disk::{
        plan::{Place, staging_path},
        reuse::{Candidate, Origin},
    },
    format::{list::FileShape, manifest::FileEntry},
    fs::{Fs, Kind, Stat},
    progress::{Event, Progress},
};

/// The local directories of a run, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) fs: Arc<dyn Fs>,
    directories: Vec<Directory>,
    owner: Option<Owner>,
    progress: Arc<dyn Progress>,
}

#[derive(Clone, Debug)]
struct Directory {
    origin: Arc<Origin>,
    /// Whether it is deleted once the new database is in place.
    goes_away: bool,
}

impl Local {
    /// Finds the directories that the options name. Refuses seeds that cannot be meant.
    pub(super) async fn find(options: &Arc<Options>, target: &Path) -> Result<Self, Error> {
        let (given, target) = (Arc::clone(options), target.to_owned());
        let found = tokio::task::spawn_blocking(move || directories(&given, &target)).await;
        let (fs, progress) = (Arc::clone(&options.fs), Arc::clone(&options.progress));
        Ok(Self { fs, directories: found.map_err(|_| Error::WorkerDied)??, owner: options.owner, progress })
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// Whether the files of one of them may get a second name.
    pub(super) fn has_links(&self) -> bool {
        self.directories.iter().any(|directory| directory.goes_away)
    }

    /// Looks for a file of the snapshot. One that may be taken whole, by a second name, is in the staging directory then.
    pub(super) async fn look_for(self: &Arc<Self>, context: &Context, position: usize) -> Result<Found, Error> {
        let shape = FileShape::new(context.manifest.files()[position].bytes, context.manifest.about().chunk_size);
        if self.is_empty() {
            return Ok(Found::nothing(shape));
        }
        let (local, manifest, data) = (Arc::clone(self), Arc::clone(&context.manifest), context.lists.staging.data());
        let is_begun = !context.have.ranges(position).is_empty();
        let (candidates, is_whole) = blocking(move || {
            let file = &manifest.files()[position];
            let candidates = local.open(file);
            let linkable = candidates.iter().find(|(directory, candidate)| local.may_link(*directory, candidate, file, shape, is_begun));
            let is_whole = linkable.map_or(Ok(false), |(_, candidate)| candidate.link(&*local.fs, &data, file))?;
            Ok((candidates.into_iter().map(|(_, candidate)| candidate).collect(), is_whole))
        })
        .await?;
        Ok(Found::new(shape, candidates, is_whole))
    }

    /// Every file that lies where `file` belongs, with the number of its directory.
    pub(super) fn open(&self, file: &FileEntry) -> Vec<(usize, Candidate)> {
        let mut candidates = Vec::new();
        for (number, directory) in self.directories.iter().enumerate() {
            match directory.origin.open(&*self.fs, file) {
                Ok(found) => candidates.extend(found.map(|candidate| (number, candidate))),
                Err(error) => tell(&*self.progress, &directory.origin, &file.path.to_string(), &error),
            }
        }
        candidates
    }

    pub(super) fn may_link(&self, directory: usize, candidate: &Candidate, file: &FileEntry, shape: FileShape, is_begun: bool) -> bool {
        plan::may_link(&LinkFacts {
            path: &file.path,
            is_same: candidate.recorded().is_some_and(|recorded| recorded.shape == shape && *recorded.layout == file.layout),
            goes_away: self.directories[directory].goes_away,
            owner_fits: owner_fits(self.owner, candidate.stat()),
            is_begun,
        })
    }
}

/// The old database first: it is on the same disk.
fn directories(options: &Options, target: &Path) -> Result<Vec<Directory>, Error> {
    let mut directories = Vec::new();
    if options.existing == Existing::InPlace {
        // What is right in the target stays where it is; nothing else is taken, and no file of the target becomes a clone.
        return Ok(directories);
    }
    if options.existing != Existing::Refuse {
        let goes_away = options.existing == Existing::Replace;
        directories.push(Directory { origin: Arc::new(origin(options, target.to_owned())), goes_away });
    }
    for seed in &options.seeds {
        if let Some(dir) = resolve_seed(options, target, seed)? {
            directories.push(Directory { origin: Arc::new(origin(options, dir)), goes_away: false });
        }
    }
    Ok(directories)
}

fn origin(options: &Options, dir: PathBuf) -> Origin {
    if options.rehash { Origin::unknown(dir) } else { Origin::recorded(&*options.fs, &options.state_dir, dir) }
}

/// Where a seed is; `None`, with a warning, when this user may not look.
fn resolve_seed(options: &Options, target: &Path, seed: &Path) -> Result<Option<PathBuf>, Error> {
    let refused = |why| Err(Error::Seed { path: seed.to_owned(), why });
    let looked = options.fs.canonicalize(seed).and_then(|dir| Ok((options.fs.stat(&dir)?, dir)));
    let staging = staging_path(target, Place::Sibling);
    match looked {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => refused("it does not exist"),
        Err(e) => {
            let text = format!("the seed {} cannot be used: {e}", seed.display());
            options.progress.event(Event::Warning { text });
            Ok(None)
        }
        Ok((stat, _)) if stat.kind != Kind::Dir => refused("it is not a directory"),
        Ok((_, dir)) if dir.starts_with(target) => refused("it is the target, or lies in it: what --replace replaces is used anyway"),
        Ok((_, dir)) if staging.is_some_and(|staging| dir.starts_with(staging)) => refused("the partial restore lies there"),
        Ok((_, dir)) => Ok(Some(dir)),
    }
}

/// A file with two names has one owner: the one that the new database's files get, so that no `chown` changes the old one's. And nobody
/// else may be able to write to it.
fn owner_fits(wanted: Option<Owner>, stat: &Stat) -> bool {
    let fits = match wanted {
        Some(owner) => (owner.uid, owner.gid) == (stat.uid, stat.gid),
        None => stat.uid == rustix::process::geteuid().as_raw(),
    };
    fits && stat.mode & 0o022 == 0
}

/// Trouble with a directory is told once: what cannot be read costs its download, nothing else.
pub(super) fn tell(progress: &dyn Progress, origin: &Origin, path: &str, error: &dyn std::error::Error) {
    if origin.is_first_trouble() {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let text = format!("{path} in {} is not reused: {error}{cause}; what cannot be read there is fetched", origin.dir().display());
        progress.event(Event::Warning { text });
    }
}

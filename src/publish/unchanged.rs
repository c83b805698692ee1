//! Files that are not read, because nothing speaks against their being what is published already.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Error, Options,
    plan::{Engine, FilePlan, StoreSet, engine_of, plan_file},
    previous::Previous,
    stamps::{Stamps, stamp},
    targets::Targets,
};
use crate::{
    disk::scan::{Scan, ScannedFile},
    format::manifest::{FileEntry, RowSums},
    progress::Event,
    types::RelPath,
};

/// Files whose entries stay, by their position in the scan.
pub(super) type Unchanged = BTreeMap<usize, KeptFile>;

/// A file that is not read.
#[derive(Debug)]
pub(super) struct KeptFile {
    /// What the previous snapshots say of it.
    pub(super) entry: FileEntry,
    /// Sums over its rows.
    pub(super) sums: RowSums,
}

/// Finds the files that need not be read. A file whose lists cannot be read from the stores is read, which heals them.
///
/// # Errors
/// [`Error::WorkerDied`]; never for what the last run has left.
pub(super) async fn find(options: &Arc<Options>, targets: &Targets, previous: &Previous, scan: &Arc<Scan>) -> Result<Unchanged, Error> {
    let mut unchanged = Unchanged::new();
    let Some(stamps) = load(options, scan).await? else { return Ok(unchanged) };
    let (mapped, by_profile) = (mapped_folders(&scan.files), &options.node.profile.memory_mapped);
    for (position, file) in scan.files.iter().enumerate().filter(|(_, file)| file.stat.len > 0) {
        let engine = if mapped.contains(folder(&file.path)) || by_profile.matches(&file.path) { Engine::Mapped } else { Engine::Other };
        let Some((entry, held_by)) = published(options, previous, &stamps, file) else { continue };
        let plan = plan_file(&stamp(&file.stat), stamps.seen(&file.path).as_ref(), engine, held_by, targets.alive());
        tracing::debug!(path = %file.path, ?plan, "plan of a file");
        if plan == FilePlan::Keep
            && let Some(sums) = previous.sums(&stamps.snapshot, &entry, targets, &options.progress).await
        {
            unchanged.insert(position, KeptFile { entry, sums });
        }
    }
    Ok(unchanged)
}

async fn load(options: &Arc<Options>, scan: &Arc<Scan>) -> Result<Option<Stamps>, Error> {
    if options.rehash {
        return Ok(None);
    }
    let (given, scan) = (Arc::clone(options), Arc::clone(scan));
    let loaded = tokio::task::spawn_blocking(move || Stamps::load(&*given.fs, &given.state_dir, &given.channel, &scan.root)).await;
    Ok(loaded.map_err(|_| Error::WorkerDied)?.unwrap_or_else(|why| {
        let text = format!("what the last run saw cannot be used, and every file is read: {why}");
        options.progress.event(Event::Warning { text });
        None
    }))
}

/// What the recorded snapshot says of a file, and the stores whose own head names a snapshot that says the same.
fn published(options: &Options, previous: &Previous, stamps: &Stamps, file: &ScannedFile) -> Option<(FileEntry, StoreSet)> {
    let snapshot = previous.get(&stamps.snapshot)?;
    let (_, entry) = snapshot.manifest.find(file.path.as_str())?;
    (entry.bytes == file.stat.len).then(|| (entry.clone(), previous.stores_with_file(entry, options.chunk_size)))
}

/// The folders in which an engine writes through a memory map.
fn mapped_folders(files: &[ScannedFile]) -> BTreeSet<&str> {
    let is_mapped = |file: &&ScannedFile| engine_of(name(&file.path)) == Engine::Mapped;
    files.iter().filter(is_mapped).map(|file| folder(&file.path)).collect()
}

fn folder(path: &RelPath) -> &str {
    path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn name(path: &RelPath) -> &str {
    path.as_str().rsplit_once('/').map_or(path.as_str(), |(_, name)| name)
}

/// Remembers what this run saw and published. Failing to costs the next run time, and is a warning.
pub(super) async fn remember(options: &Arc<Options>, scan: &Arc<Scan>, snapshot: crate::types::Hash) {
    let (given, scan) = (Arc::clone(options), Arc::clone(scan));
    let saved = tokio::task::spawn_blocking(move || {
        Stamps::of(&given.channel, &scan, snapshot, given.now).save(&*given.fs, &given.state_dir, &scan.root)
    });
    if let Ok(Err(error)) = saved.await {
        let text = format!("this run could not remember the files it saw, and the next one reads all of them: {error}");
        options.progress.event(Event::Warning { text });
    }
}

//! `verify --repair`: fetches what is wrong in a directory, and only that, and writes it where it belongs.

use std::{path::Path, sync::Arc};

use super::{Error, Options, blocking, build::Build, in_place as begun, lists::Lists, local::Local, snapshot::Snapshot, until_stopped};
use crate::{
    disk::{
        self, in_place, in_use,
        mode::Purpose,
        plan,
        staging::{Staging, Version},
        target,
        verify::{self, Defect},
    },
    format::manifest::{Layout, Manifest},
    progress::{Event, Phase},
    sources::{Report, Sources},
    types::Hash,
};

/// What a repair did.
#[derive(Debug)]
pub(super) struct Repaired {
    /// What is still wrong in the files that were repaired, read again from the disk.
    pub(super) still_wrong: Vec<Defect>,
    /// Chunks that were written.
    pub(super) chunks: u64,
    /// What came from each source.
    pub(super) sources: Vec<Report>,
}

/// Repairs `target` to `snapshot`. While it works the directory is marked as incomplete; another run of the same command goes on.
pub(super) async fn run(
    options: &Arc<Options>,
    target: &Path,
    snapshot: &Snapshot,
    sources: Arc<Sources>,
    known_list: &(dyn Fn(&Hash) -> std::io::Result<Vec<u8>> + Sync),
    defects: &[Defect],
) -> Result<Repaired, Error> {
    let staging = Arc::new(open(options, target, snapshot, defects).await?);
    keep_lists(&staging, snapshot, known_list).await?;
    let lists = Lists { staging: Arc::clone(&staging), sources };
    until_stopped(options, async {
        for file in snapshot.manifest.files() {
            lists.keep_all(file).await?;
        }
        Ok(())
    })
    .await?;
    let have = plan::healthy(&snapshot.manifest, defects);
    let (held, one) = (Arc::clone(&staging), snapshot.clone());
    let (journal, have) = blocking(move || {
        held.set_pin(&one.pin)?;
        in_place::begin(&held, &one.manifest, &one.id(), have, &begun::kept_lists(&held), Purpose::Repair)
    })
    .await?;
    let chunks = disk::have::Have::all(&snapshot.manifest).count() - have.count();
    let build = Build { staging, journal, have, lists };
    let local = Arc::new(Local::find(options, target).await?);
    let (staging, _moved, reports) = build.fetch_all(options, snapshot, local).await?;
    let still_wrong = finish(options, staging, snapshot, defects).await?;
    Ok(Repaired { still_wrong, chunks, sources: reports })
}

/// Everything that can refuse a repair, before anything is changed; then the staging directory in which it is journaled.
async fn open(options: &Arc<Options>, target: &Path, snapshot: &Snapshot, defects: &[Defect]) -> Result<Staging, Error> {
    let (given, target, one) = (Arc::clone(options), target.to_owned(), snapshot.clone());
    let damaged: Vec<String> = defects.iter().map(|defect| defect.path().to_owned()).collect();
    blocking(move || {
        target::check_place(&*given.fs, &target, given.home.as_deref())?;
        refuse_keys(&given, &target, &one.manifest, &damaged)?;
        if let Some(text) = in_use::check_target(&target)? {
            given.progress.event(Event::Warning { text });
        }
        if let Some(left) = Staging::find(Arc::clone(&given.fs), &target, Version::Readable)? {
            let pin = left.pin()?;
            let same = pin.as_ref().is_some_and(|pin| pin.manifest.id == one.id());
            match plan::take_up_for_repair(left.mode(), same) {
                Ok(plan::TakeUp::Continue) => return Ok(left),
                Ok(_) => left.remove()?,
                Err(None) if pin.is_none() => left.remove()?,
                Err(None) => return Err(disk::Error::OtherWay { path: left.path().to_owned() }),
                Err(Some(purpose)) => {
                    return Err(disk::Error::TargetIncomplete { path: target, purpose, channel: pin.map(|pin| pin.channel) });
                }
            }
        }
        Staging::open_in_place(Arc::clone(&given.fs), &target, Purpose::Repair)
    })
    .await
}

/// MF-17: a key that is not the snapshot's is the node's own, made since, and not a defect to be repaired.
fn refuse_keys(options: &Options, target: &Path, manifest: &Manifest, damaged: &[String]) -> Result<(), disk::Error> {
    for (path, rule) in target::identity_files(manifest) {
        let is_there = options.fs.stat(&target.join(path)).is_ok();
        if is_there && damaged.iter().any(|damaged| damaged == path.as_str()) {
            return Err(disk::Error::TargetIdentity { target: target.to_owned(), path: path.clone(), rule });
        }
    }
    Ok(())
}

/// Gives the staging directory the lists that are known already; those that are not are fetched.
async fn keep_lists(
    staging: &Arc<Staging>,
    snapshot: &Snapshot,
    known: &(dyn Fn(&Hash) -> std::io::Result<Vec<u8>> + Sync),
) -> Result<(), Error> {
    for file in snapshot.manifest.files() {
        let Layout::Lists(ids) = &file.layout else { continue };
        for id in &**ids {
            let Ok(bytes) = known(id) else { continue };
            let (staging, id) = (Arc::clone(staging), *id);
            blocking(move || staging.put_list(&id, &bytes)).await?;
        }
    }
    Ok(())
}

/// Ends the repair, and reads what was repaired again, from the disk. What is still wrong there is no snapshot's: no later run believes it.
async fn finish(options: &Arc<Options>, staging: Arc<Staging>, snapshot: &Snapshot, defects: &[Defect]) -> Result<Vec<Defect>, Error> {
    options.progress.event(Event::Phase { phase: Phase::Finish, total_bytes: None });
    let repaired = defects.iter().filter(|defect| plan::is_repairable(defect));
    let mut files: Vec<usize> = repaired.filter_map(|defect| Some(snapshot.manifest.find(defect.path())?.0)).collect();
    files.sort_unstable();
    files.dedup();
    let (given, held, one) = (Arc::clone(options), Arc::clone(&staging), snapshot.clone());
    let still_wrong = blocking(move || {
        in_place::check_complete(&held, &one.manifest)?;
        verify::drop_cache(&*given.fs, held.target(), &one.manifest)?;
        let how = verify::Options { threads: given.threads, whole_files: false, stop: &given.stop, progress: &*given.progress };
        verify::recheck(&*given.fs, held.target(), &one.manifest, &files, &begun::kept_lists(&held), &how)
    })
    .await?;
    let doubtful = still_wrong.iter().filter_map(|defect| Some(snapshot.manifest.find(defect.path())?.0)).collect();
    begun::finish(options, staging, snapshot, doubtful).await?;
    Ok(still_wrong)
}

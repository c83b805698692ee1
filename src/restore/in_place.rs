//! A restore that overwrites the database that is there, and a repair: what differs is fetched, and written where it belongs.

use std::{io, path::Path, sync::Arc};

use super::{Error, Existing, Options, Partial, blocking, finish::hand_over, lists::Lists, place::Place, snapshot::Snapshot};
use crate::{
    disk::{
        self,
        have::Have,
        in_place, in_use,
        journal::Journal,
        mode::{Mode, Purpose},
        plan::{self, TakeUp},
        record::{Record, Stats},
        space,
        staging::{Pin, Staging},
        usage, verify,
    },
    format::manifest::Manifest,
    fs::Stat,
    progress::{Event, Phase},
    types::Hash,
};

/// What this run does with a staging directory that it found.
///
/// # Errors
/// [`disk::Error::TargetIncomplete`] when only finishing what was begun in place makes the target whole.
pub(super) fn take_up(options: &Options, target: &Path, mode: Mode, pin: Option<&Pin>) -> Result<TakeUp, disk::Error> {
    let (in_place, discard) = (options.existing == Existing::InPlace, options.partial == Partial::Discard);
    match plan::take_up(mode, in_place, discard) {
        TakeUp::Refuse(purpose) => {
            Err(disk::Error::TargetIncomplete { path: target.to_owned(), purpose, channel: pin.map(|pin| pin.channel.clone()) })
        }
        taken @ (TakeUp::Continue | TakeUp::Repin | TakeUp::Remove) => Ok(taken),
    }
}

/// Refuses before the first data byte what cannot be changed in place: it holds a node's identity, is in use, or is too small for sure.
pub(super) async fn check(options: &Arc<Options>, place: &Place, snapshot: &Snapshot) -> Result<(), Error> {
    let (given, target, manifest) = (Arc::clone(options), place.target.clone(), Arc::clone(&snapshot.manifest));
    let elsewhere = place.pin.as_ref().and(place.staging.as_ref()).filter(|staging| !staging.mode().is_in_place());
    if let Some(staging) = elsewhere {
        return Err(disk::Error::OtherWay { path: staging.path().to_owned() }.into());
    }
    blocking(move || {
        in_place::check(&*given.fs, &target, &manifest, Purpose::Restore)?;
        if let Some(text) = in_use::check_target(&target)? {
            given.progress.event(Event::Warning { text });
        }
        space::check(&*given.fs, &target, usage::need_at_least(&*given.fs, &target, &manifest)?)
    })
    .await
}

/// Pins the staging directory, compares the whole target with the snapshot, and begins to change it.
///
/// The comparison is made again by every run: between two of them a node may have been started on the target, so what an earlier run
/// wrote there proves nothing.
pub(super) async fn begin(options: &Arc<Options>, lists: &Lists, snapshot: &Snapshot) -> Result<(Journal, Have), Error> {
    let (staging, pin) = (Arc::clone(&lists.staging), snapshot.pin.clone());
    blocking(move || staging.set_pin(&pin)).await?;
    for file in snapshot.manifest.files() {
        lists.keep_all(file).await?;
    }
    options.progress.event(Event::Phase { phase: Phase::Verify, total_bytes: Some(snapshot.manifest.totals().bytes) });
    let (given, staging, one) = (Arc::clone(options), Arc::clone(&lists.staging), snapshot.clone());
    blocking(move || {
        let kept = kept_lists(&staging);
        let how = verify::Options { threads: given.threads, whole_files: false, stop: &given.stop, progress: &*given.progress };
        let mut have = verify::right(&*given.fs, staging.target(), &one.manifest, &kept, &how)?;
        // Such a file is made anew like one that would be written to: its other names keep what they had, and their owner.
        shared_with_others(&given, staging.target(), &one.manifest).into_iter().for_each(|file| have.forget(file));
        // The last moment at which nothing has happened.
        if given.stop.requested() {
            return Err(disk::Error::Stopped);
        }
        in_place::begin(&staging, &one.manifest, &one.id(), have, &kept, Purpose::Restore)
    })
    .await
}

/// The files that are to change hands and have other names, which must not.
fn shared_with_others(options: &Options, target: &Path, manifest: &Manifest) -> Vec<usize> {
    let Some(owner) = options.owner else { return Vec::new() };
    let changes_hands = |stat: Stat| stat.nlink > 1 && (stat.uid, stat.gid) != (owner.uid, owner.gid);
    let stats = manifest.files().iter().map(|file| options.fs.stat(&target.join(&file.path)));
    stats.enumerate().filter(|(_, stat)| stat.as_ref().is_ok_and(|stat| changes_hands(*stat))).map(|(file, _)| file).collect()
}

/// The list segments that the staging directory keeps.
pub(super) fn kept_lists(staging: &Staging) -> impl Fn(&Hash) -> io::Result<Vec<u8>> + Sync {
    |id| staging.list(id).map_err(io::Error::other)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Makes sure that the target is complete, remembers it, and removes the staging directory and what was put aside in it. Of the files in
/// `doubtful` nothing is remembered that a later run would believe.
pub(super) async fn finish(options: &Arc<Options>, staging: Arc<Staging>, snapshot: &Snapshot, doubtful: Vec<usize>) -> Result<(), Error> {
    let (given, one) = (Arc::clone(options), snapshot.clone());
    blocking(move || {
        // A node that was started meanwhile may have written anything anywhere.
        in_use::check_target(staging.target())?;
        if let Some(owner) = given.owner {
            hand_over(&given, &staging, &one.manifest, owner)?;
        }
        in_place::check_complete(&staging, &one.manifest)?;
        let mut stats = Stats::of(&*given.fs, staging.target(), &one.manifest)?;
        doubtful.into_iter().for_each(|file| stats.forget(file));
        stats.keep(&staging)?;
        // One that is started from here on changes what was looked at.
        in_use::check_target(staging.target())?;
        Record::save(&*given.fs, &given.state_dir, &staging, &one.manifest)?;
        in_place::clean_up(&staging)
    })
    .await
}

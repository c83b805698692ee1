//! Puts a complete snapshot into place, and remembers it.

use std::{path::Path, sync::Arc};

use super::{Error, Existing, Options, Owner, blocking, in_place, snapshot::Snapshot};
use crate::{
    disk::{
        self,
        record::Record,
        reuse,
        staging::Staging,
        swap::{self, Old, Placed},
    },
    format::manifest::Manifest,
    progress::{Event, Phase},
};

/// Swaps the staged snapshot into place. The state record is saved before the old database and the staging directory go, so that a
/// crash in between is told from a database that somebody else made.
pub(super) async fn put_in_place(options: &Arc<Options>, staging: Arc<Staging>, snapshot: &Snapshot) -> Result<(), Error> {
    options.progress.event(Event::Phase { phase: Phase::Finish, total_bytes: None });
    if staging.mode().is_in_place() {
        return in_place::finish(options, staging, snapshot, Vec::new()).await;
    }
    let (given, staged, one) = (Arc::clone(options), Arc::clone(&staging), snapshot.clone());
    let placed = blocking(move || {
        staged.check_alive()?;
        // The last moment at which nothing has happened.
        if given.stop.requested() {
            return Err(disk::Error::Stopped);
        }
        if let Some(owner) = given.owner {
            hand_over(&given, &staged, &one.manifest, owner)?;
        }
        swap::put_in_place(&staged, &one.manifest, &one.id(), old(given.existing))
    })
    .await?;
    record_and_clean_up(options, staging, snapshot, placed).await
}

/// What becomes of the database that is there.
pub(super) fn old(existing: Existing) -> Old {
    match existing {
        // In place, but there was nothing to be overwritten.
        Existing::Refuse | Existing::InPlace => Old::Refuse,
        Existing::Replace => Old::Delete,
        Existing::ReplaceKeepingOld => Old::Keep,
    }
}

/// Remembers what is in place now, and removes what was. What cannot be removed is told: the new database needs nothing of it.
pub(super) async fn record_and_clean_up(
    options: &Arc<Options>,
    staging: Arc<Staging>,
    snapshot: &Snapshot,
    placed: Placed,
) -> Result<(), Error> {
    let (given, snapshot) = (Arc::clone(options), snapshot.clone());
    blocking(move || {
        Record::save(&*given.fs, &given.state_dir, &staging, &snapshot.manifest)?;
        placed.close(&staging)?;
        if let Err(error) = staging.remove() {
            tell_leftover(&given, staging.path(), &error);
        }
        Ok(())
    })
    .await
}

/// Warns of a staging directory that nobody needs and that is still there.
pub(super) fn tell_leftover(options: &Options, path: &Path, why: &dyn std::fmt::Display) {
    let text = format!("{} is not needed any more and cannot be removed: {why}", path.display());
    options.progress.event(Event::Warning { text });
}

pub(super) fn hand_over(options: &Options, staging: &Staging, manifest: &Manifest, owner: Owner) -> Result<(), disk::Error> {
    let data = staging.data();
    let below = manifest.dirs().iter().chain(manifest.files().iter().map(|file| &file.path)).map(|path| data.join(path));
    below.chain([data.clone()]).try_for_each(|path| reuse::give_to(&*options.fs, &path, owner.uid, owner.gid))
}

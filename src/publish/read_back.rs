//! What was put is durable, and comes back as it was put, before any head names it.

use std::sync::Arc;

use super::{Error, snapshot::Chosen, targets::Targets};
use crate::{
    catalog::check_object,
    format::key,
    progress::{Event, Phase, Progress},
    store::{self, ErrorKind},
};

/// Makes every store durable and reads the manifest, a sample of what this run put there and one of what it relies on from each. A store that
/// does not give back what was put, now or by an earlier run, has failed.
///
/// # Errors
/// [`Error::AllStoresFailed`] when no store is left.
pub(super) async fn check(targets: &Targets, chosen: &Chosen, progress: &Arc<dyn Progress>) -> Result<(), Error> {
    progress.event(Event::Phase { phase: Phase::ReadBack, total_bytes: None });
    targets.sync().await?;
    for index in targets.alive().iter() {
        if let Err(error) = check_one(targets, index, chosen).await {
            targets.get(index).fail(error);
        }
    }
    targets.any_alive()
}

async fn check_one(targets: &Targets, index: usize, chosen: &Chosen) -> Result<(), store::Error> {
    let target = targets.get(index);
    check_object(&target.store, &key::manifest(&chosen.id()), chosen.manifest_bytes()).await?;
    for object in target.sample().objects() {
        check_object(&target.store, object, key::MANIFEST_MAX_BYTES).await?;
    }
    for object in targets.reused().objects().filter(|object| target.holds(object)) {
        check_object(&target.store, object, key::MANIFEST_MAX_BYTES).await.map_err(lost_since)?;
    }
    Ok(())
}

/// The failure for an object that was there when the store's head was made.
fn lost_since(error: store::Error) -> store::Error {
    let what = if error.kind == ErrorKind::NotFound { "it is gone" } else { "it is damaged" };
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::TooLarge) {
        return error;
    }
    let reason = format!("{what}, although the head of this store names it: publish once with --rehash, which puts it again");
    store::Error { kind: ErrorKind::Conflict, action: "read back", reason, ..error }
}

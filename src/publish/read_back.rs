//! What was put is durable, and comes back as it was put, before any head names it.

use std::sync::Arc;

use super::{Error, snapshot::Chosen, targets::Targets};
use crate::{
    format::key,
    progress::{Event, Phase, Progress},
    store::{self, ErrorKind},
    types::{Hash, ObjectKey},
};

/// Makes every store durable and reads a sample of what this run put there, and the manifest, from each. A store that does not give
/// back what was put has failed.
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
    let manifest = key::manifest(&chosen.id());
    check_object(target, &manifest, chosen.manifest_bytes()).await?;
    for object in target.sample() {
        check_object(target, &object, key::MANIFEST_MAX_BYTES).await?;
    }
    Ok(())
}

async fn check_object(target: &super::targets::Target, object: &ObjectKey, max_bytes: u64) -> Result<(), store::Error> {
    let bytes = target.store.get(object, max_bytes).await?;
    let found = Hash::of(&bytes).to_string();
    // An object's name is the hash of its bytes.
    if object.as_str().ends_with(&found) {
        return Ok(());
    }
    let reason = format!("does not give back what was put: its bytes hash to {found}");
    Err(store::Error::new(ErrorKind::Conflict, target.store.name(), "read back", object.as_str(), reason))
}

//! From a head to a snapshot's manifest and lists.

use super::error::{Error, ObjectTrouble};
use crate::{
    format::{
        head::{Head, Release, SnapshotRef},
        key,
        manifest::Manifest,
    },
    store::{self, DynReadStore, ErrorKind},
    trust::{Verified, verify_manifest},
    types::{Hash, ObjectKey, When},
};

/// The snapshot that is meant. Of several at one height it is the newest.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], which lists what there is, and [`Error::AmbiguousSnapshot`].
pub fn select(head: &Head, when: &When) -> Result<SnapshotRef, Error> {
    let mut found: Vec<SnapshotRef> = match when {
        When::Latest => vec![head.snapshot.to_ref()],
        When::Height(height) => head.snapshots().filter(|s| s.height == Some(*height)).take(1).collect(),
        When::Id(prefix) => head.snapshots().filter(|s| s.manifest.to_string().starts_with(prefix)).collect(),
    };
    found.dedup_by_key(|snapshot| snapshot.manifest);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::NoSuchSnapshot { channel: head.channel.clone(), when: when.clone(), available: head.snapshots().collect() }),
        _ => Err(Error::AmbiguousSnapshot { channel: head.channel.clone(), when: when.clone(), found }),
    }
}

/// Fetches the manifest of a snapshot that the head names, from the first source that has the right bytes.
///
/// # Errors
/// [`Error::Object`] when no source has them, [`Error::Manifest`] when the right bytes are not valid, [`Error::NeedsNewer`].
pub async fn fetch_manifest(sources: &[DynReadStore], head: &Verified<Head>, which: &SnapshotRef) -> Result<Verified<Manifest>, Error> {
    check_release(head, which)?;
    let bytes = fetch_named(sources, &key::manifest(&which.manifest), which.manifest, which.manifest_bytes).await?;
    let (head, which) = (head.clone(), which.clone());
    tokio::task::spawn_blocking(move || verify_manifest(&head, &which, bytes).map_err(Box::new)).await?.map_err(Error::Manifest)
}

fn check_release(head: &Head, which: &SnapshotRef) -> Result<(), Error> {
    let running = Release::running();
    match head.snapshot.min_qsync {
        Some(needed) if needed > running && head.snapshot.manifest == which.manifest => Err(Error::NeedsNewer { needed, running }),
        _ => Ok(()),
    }
}

/// Fetches an object whose name is the hash of its bytes, asking one source after the other.
async fn fetch_named(sources: &[DynReadStore], object: &ObjectKey, hash: Hash, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (mut lines, mut gravest) = (Vec::new(), ObjectTrouble::Missing);
    for source in sources {
        let (trouble, reason) = match judge(source.get(object, max_bytes).await, hash) {
            Ok(bytes) => return Ok(bytes),
            Err(trouble) => trouble,
        };
        lines.push(format!("{}: {reason}", source.name()));
        gravest = gravest.max(trouble);
    }
    Err(Error::Object { object: object.to_string(), trouble: gravest, lines })
}

fn judge(fetched: Result<Vec<u8>, store::Error>, hash: Hash) -> Result<Vec<u8>, (ObjectTrouble, String)> {
    match fetched {
        Ok(bytes) if Hash::of(&bytes) == hash => Ok(bytes),
        Ok(bytes) => Err((ObjectTrouble::Wrong, format!("wrong bytes: expected b3:{hash}, found b3:{}", Hash::of(&bytes)))),
        Err(error) => {
            let trouble = match error.kind {
                ErrorKind::NotFound => ObjectTrouble::Missing,
                ErrorKind::TooLarge | ErrorKind::BadAnswer => ObjectTrouble::Wrong,
                ErrorKind::Denied
                | ErrorKind::NoSuchStore
                | ErrorKind::Credentials(_)
                | ErrorKind::Interrupted
                | ErrorKind::TooSlow
                | ErrorKind::Unreachable
                | ErrorKind::Unavailable { .. }
                | ErrorKind::Conflict
                | ErrorKind::NoSpace
                | ErrorKind::Io => ObjectTrouble::Unreachable,
            };
            Err((trouble, error.reason))
        }
    }
}

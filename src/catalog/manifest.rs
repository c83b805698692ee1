//! From a head to a snapshot's manifest and lists.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::timeout;

use super::error::{Error, ObjectTrouble};
use crate::{
    format::{
        head::{Head, Release, SnapshotRef},
        key,
        manifest::Manifest,
    },
    store::{self, Charge, DynReadStore, ErrorKind},
    trust::{Verified, verify_manifest},
    types::{Hash, ObjectKey, When},
};

/// How long to wait for one source before the next is asked beside it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long sources that cost nothing may be silent before one is asked that does.
const PATIENCE_BEFORE_PAYING: Duration = Duration::from_secs(50);

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

/// Fetches an object whose name is the hash of its bytes, from one source after the other, those that cost nothing first. One that does not
/// answer well at once is not waited for: the next is asked beside it, but one that costs money beside one that does not only after a long
/// silence.
async fn fetch_named(sources: &[DynReadStore], object: &ObjectKey, hash: Hash, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (mut lines, mut gravest, mut asking) = (vec![None; sources.len()], ObjectTrouble::Missing, FuturesUnordered::new());
    let mut waiting = free_first(sources).into_iter().peekable();
    let mut is_worth_paying = false;
    loop {
        let may_join = |index: &usize| asking.is_empty() || is_worth_paying || sources[*index].charge() == Charge::Free;
        let next = waiting.next_if(may_join);
        if let Some(index) = next {
            asking.push(async move { (index, judge(sources[index].get(object, max_bytes).await, hash)) });
        }
        let patience = match waiting.peek().map(|index| sources[*index].charge()) {
            Some(Charge::Free) => PATIENCE,
            Some(Charge::RequesterPays { .. }) => PATIENCE_BEFORE_PAYING,
            None => Duration::MAX,
        };
        match timeout(patience, asking.next()).await {
            Ok(Some((_, Ok(bytes)))) => return Ok(bytes),
            Ok(Some((index, Err((trouble, reason))))) => {
                lines[index] = Some(format!("{}: {reason}", sources[index].name()));
                gravest = gravest.max(trouble);
            }
            Ok(None) => {
                return Err(Error::Object { object: object.to_string(), trouble: gravest, lines: lines.into_iter().flatten().collect() });
            }
            // No time-out of a web server is as long: it is a disk that hangs, which would be waited for for ever.
            Err(_) => is_worth_paying = patience == PATIENCE_BEFORE_PAYING,
        }
    }
}

/// The positions of the sources, in their order but for those that cost money, which come last.
fn free_first(sources: &[DynReadStore]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|index| sources[*index].charge() != Charge::Free);
    order
}

fn judge(fetched: Result<Vec<u8>, store::Error>, hash: Hash) -> Result<Vec<u8>, (ObjectTrouble, String)> {
    match fetched {
        Ok(bytes) if Hash::of(&bytes) == hash => Ok(bytes),
        Ok(bytes) => Err((ObjectTrouble::Wrong, format!("wrong bytes: expected b3:{hash}, found b3:{}", Hash::of(&bytes)))),
        Err(error) => Err((trouble(&error), error.reason)),
    }
}

/// What the failure of one source says of the object.
pub(super) fn trouble(error: &store::Error) -> ObjectTrouble {
    match error.kind {
        ErrorKind::NotFound => ObjectTrouble::Missing,
        ErrorKind::TooLarge | ErrorKind::BadAnswer | ErrorKind::WrongBytes => ObjectTrouble::Wrong,
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
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::store::{Fault, MemoryStore, RecordStore};

    fn holding(object: &ObjectKey, bytes: &'static [u8]) -> MemoryStore {
        let store = MemoryStore::new("good");
        store.overwrite(object, bytes);
        store
    }

    // HM-05, NW-05
    #[tokio::test(start_paused = true)]
    async fn a_source_that_does_not_answer_is_overtaken_by_the_next() {
        let (object, hash) = ("manifests/x".parse().unwrap(), Hash::of(b"manifest"));
        let hour = Duration::from_secs(3600);
        let silent = RecordStore::new(holding(&object, b"manifest")).with_faults(move |_| Some(Fault::Delay(hour)));
        let broken = RecordStore::new(MemoryStore::new("broken")).with_faults(|_| Some(Fault::Fail(ErrorKind::Unreachable)));
        let good = Arc::new(RecordStore::new(holding(&object, b"manifest")));
        let sources: [DynReadStore; 3] = [Arc::new(silent), Arc::new(broken), good];
        let begin = Instant::now();
        assert_eq!(fetch_named(&sources, &object, hash, 99).await.unwrap(), b"manifest");
        assert_eq!(begin.elapsed(), PATIENCE);
        // Whoever is alone is waited for.
        assert_eq!(fetch_named(&sources[..2], &object, hash, 99).await.unwrap(), b"manifest");
        let error = fetch_named(&sources[1..2], &object, hash, 99).await.unwrap_err();
        let Error::Object { lines, trouble: ObjectTrouble::Unreachable, .. } = error else { panic!("{error:?}") };
        assert!(lines[0].starts_with("broken: "), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_costs_money_is_asked_last_and_beside_a_free_one_only_when_that_is_silent_for_long() {
        let (object, hash) = ("manifests/x".parse().unwrap(), Hash::of(b"manifest"));
        let paid = holding(&object, b"manifest").with_charge(Charge::RequesterPays { region: "r".to_owned() });
        let paid = Arc::new(RecordStore::new(paid));
        let slow = RecordStore::new(holding(&object, b"manifest")).with_faults(|_| Some(Fault::Delay(Duration::from_secs(40))));
        let lacks: DynReadStore = Arc::new(MemoryStore::new("lacks"));
        let sources: [DynReadStore; 3] = [Arc::clone(&paid) as DynReadStore, Arc::clone(&lacks), Arc::new(slow)];
        fetch_named(&sources, &object, hash, 99).await.unwrap();
        assert!(paid.calls().is_empty());
        fetch_named(&[Arc::clone(&paid) as DynReadStore, lacks], &object, hash, 99).await.unwrap();
        assert_eq!(paid.calls().len(), 1);
        // A disk that hangs would be waited for for ever.
        let hanging = RecordStore::new(MemoryStore::new("disk")).with_faults(|_| Some(Fault::Delay(Duration::from_secs(1 << 30))));
        let begin = Instant::now();
        fetch_named(&[Arc::clone(&paid) as DynReadStore, Arc::new(hanging)], &object, hash, 99).await.unwrap();
        assert_eq!((paid.calls().len(), begin.elapsed()), (2, PATIENCE_BEFORE_PAYING));
    }
}

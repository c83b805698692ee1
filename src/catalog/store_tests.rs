//! A repository in stores that work, lag, lie and fail.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use super::*;
use crate::{
    catalog::plan::{NextHead, next_head, next_seq},
    format::{
        head::{Head, Newest, sample},
        key,
        manifest::{About, Manifest, RowSums},
        root::Root,
    },
    fs::MemoryFs,
    store::{Action, Call, DynReadStore, DynWriteStore, ErrorKind, Fault, MemoryStore, RecordStore, Swap},
    trust::{Envelope, KeyId, PublicKey, RELEASE_DATE, RepoState, Verified, sign_root},
    types::{ChannelName, ChunkSize, Hash, Timestamp, When},
};

fn now() -> Timestamp {
    RELEASE_DATE + SignedDuration::from_hours(100)
}

const TERMS: Terms = Terms { lifetime_secs: 86_400, max_age: Duration::from_secs(14 * 86_400) };

fn channel() -> ChannelName {
    "kusama/rocksdb-pruned".parse().unwrap()
}

fn state_dir() -> StateDir {
    StateDir::open(Arc::new(MemoryFs::new()), "/state").unwrap()
}

fn read(store: &MemoryStore) -> DynReadStore {
    Arc::new(store.clone())
}

fn write(store: &MemoryStore) -> DynWriteStore {
    Arc::new(store.clone())
}

/// A store with a fresh repository, and the publisher's state directory.
async fn repository() -> (MemoryStore, StateDir, Hash) {
    let (store, state) = (MemoryStore::new("memory"), state_dir());
    let Initialised::Created { repo, .. } = init(&write(&store), "test", &state, now()).await.unwrap() else { panic!("the store is new") };
    (store, state, repo)
}

/// Puts an empty snapshot of this height into a store and gives what the head says of it.
fn put_snapshot(store: &MemoryStore, height: u64) -> Newest {
    let about = About {
        channel: channel(),
        height: Some(height),
        block_hash: None,
        genesis: None,
        finalized: None,
        labels: std::collections::BTreeMap::new(),
        encoder: "test".to_owned(),
        taken_at: now(),
        client: None,
        engine: None,
        chunk_size: ChunkSize::DEFAULT,
        subtrees: None,
    };
    let manifest = Manifest::new(about, Vec::new(), Vec::new(), RowSums { frame_bytes: 0, hole_bytes: 0 }).unwrap();
    let stored = manifest.to_stored(1).unwrap();
    store.overwrite(&key::manifest(&stored.id), stored.bytes.clone());
    Newest {
        manifest: stored.id,
        manifest_json_bytes: stored.json_bytes,
        height: Some(height),
        taken_at: now(),
        bytes: 0,
        frame_bytes: 0,
        ..sample::newest(&stored.bytes)
    }
}

/// Publishes an empty snapshot of this height.
async fn publish(store: &MemoryStore, state: &StateDir, height: u64) -> Verified<Head> {
    let writable = write(store);
    let publisher = Publisher::open(std::slice::from_ref(&writable), state, now()).await.unwrap();
    prepare_store(&writable, publisher.chain()).await.unwrap();
    let current = read_head(&writable, publisher.chain(), &channel()).await.unwrap();
    let seen = publisher.last_seen(&channel()).await.unwrap();
    let next = NextHead {
        repo: publisher.chain().repo(),
        root_version: publisher.chain().newest().version,
        channel: &channel(),
        seq: next_seq(current.head.iter().chain(&seen).map(|head| &**head)).unwrap(),
        now: now(),
        lifetime_secs: 7 * 86_400,
        window_hours: 72,
        keep_last: 3,
        snapshot: put_snapshot(store, height),
        previous: current.head.as_deref(),
        moved: vec![current.head.as_deref()],
    };
    let head = publisher.sign(&next_head(next).unwrap().head, now()).unwrap();
    assert!(matches!(write_head(&writable, current.tag.as_ref(), &head).await.unwrap(), Swap::Done(_)));
    publisher.remember(&head, now()).await.unwrap();
    update_index(&writable, publisher.chain().repo(), &channel()).await.unwrap();
    head
}

async fn open(sources: &[DynReadStore], state: &StateDir, pin: Option<Hash>) -> Result<OpenChannel, Error> {
    open_channel(sources, &channel(), state, pin, now()).await
}

#[tokio::test]
async fn a_published_snapshot_is_found_again() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let head = publish(&store, &publisher, 2).await;
    let client = state_dir();
    let sources = [read(&store)];
    let opened = open(&sources, &client, Some(repo)).await.unwrap();
    assert_eq!((opened.head.seq, opened.head.bytes()), (2, head.bytes()));
    for (when, height) in [(When::Latest, 2), (When::Height(1), 1), (When::Id(opened.head.older[0].manifest.short()), 1)] {
        let which = select(&opened.head, &when).unwrap();
        let manifest = fetch_manifest(&sources, &opened.head, &which).await.unwrap();
        assert_eq!(manifest.about().height, Some(height), "{when}");
    }
    // From now on it is trusted, and no pin is needed.
    assert_eq!(client.repos().unwrap(), [repo]);
    assert_eq!(open(&sources, &client, None).await.unwrap().head.seq, 2);
    assert_eq!(list_channels(&sources, None).await.into_iter().collect::<Vec<_>>(), [channel()]);
}

// OP-07
#[tokio::test]
async fn an_unknown_repository_is_named_and_not_trusted() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let client = state_dir();
    let error = open(&[read(&store)], &client, None).await.unwrap_err();
    assert_eq!(error.code(), "unknown-repo");
    assert!(error.hint().unwrap().contains(&format!("--trust b3:{repo}")), "{error:?}");
    let error = open(&[read(&store)], &client, Some(Hash::of(b"another"))).await.unwrap_err();
    assert_eq!(error.code(), "pin-mismatch");
    assert!(client.repo(repo).unwrap().is_none());
}

// HM-15
#[tokio::test]
async fn a_rotation_is_followed_over_versions_that_lie_in_different_sources() {
    let (store, state, repo) = repository().await;
    publish(&store, &state, 1).await;
    let client = state_dir();
    open(&[read(&store)], &client, Some(repo)).await.unwrap();
    let first = Publisher::open(&[write(&store)], &state, now()).await.unwrap().chain().newest().clone();
    let root_key = state.key(&KeyId::of(&first.keys_of(&first.root).next().unwrap())).unwrap().unwrap();
    let signed = |version| sign_root(&Root { version, ..(*first).clone() }, &[&root_key]).unwrap();
    let mirror = MemoryStore::new("mirror");
    mirror.overwrite(&key::root(2), signed(2));
    store.overwrite(&key::root(3), signed(3));
    let opened = open(&[read(&mirror), read(&store)], &client, None).await.unwrap();
    assert_eq!(opened.chain.newest().version, 3);
    // It stays in force when nobody offers it any more.
    assert!(store.remove(&key::root(3)));
    assert_eq!(open(&[read(&store)], &client, None).await.unwrap().chain.newest().version, 3);
    // The publisher takes it in, and from then on signs under it.
    store.overwrite(&key::root(2), signed(2));
    store.overwrite(&key::root(3), signed(3));
    let head = publish(&store, &state, 2).await;
    assert_eq!(head.root_version, 3);
    assert_eq!(open(&[read(&store)], &client, None).await.unwrap().head.seq, 2);
}

// HM-06
#[tokio::test]
async fn remembers_over_runs_what_it_has_seen() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let old = store.get_head().await;
    publish(&store, &publisher, 2).await;
    let client = state_dir();
    open(&[read(&store)], &client, Some(repo)).await.unwrap();
    store.overwrite(&key::head(&channel()), old);
    let error = open(&[read(&store)], &client, None).await.unwrap_err();
    assert_eq!(error.code(), "rollback");
    assert_eq!(error.lines(), ["memory: rolled back: head 1 on offer, head 2 was seen before"]);
}

// HM-19
#[tokio::test]
async fn one_honest_source_is_enough_and_none_is_an_error_for_each() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let portal = MemoryStore::new("portal");
    for object in [key::root(1), key::root(2), key::head(&channel())] {
        portal.overwrite(&object, "<html>log in</html>");
    }
    let down: DynReadStore =
        Arc::new(RecordStore::new(MemoryStore::new("down")).with_faults(|_| Some(Fault::Fail(ErrorKind::Unreachable))));
    let opened = open(&[read(&portal), Arc::clone(&down), read(&store)], &state_dir(), Some(repo)).await.unwrap();
    assert_eq!(opened.notes().len(), 2);
    let client = state_dir();
    open(&[read(&store)], &client, Some(repo)).await.unwrap();
    let error = open(&[read(&portal), down, read(&MemoryStore::new("empty"))], &client, Some(repo)).await.unwrap_err();
    assert_eq!((error.code(), error.lines().len()), ("not-a-head", 3));
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_does_not_keep_the_names_of_the_others_back() {
    let (store, state, repo) = repository().await;
    publish(&store, &state, 1).await;
    let hour = std::time::Duration::from_secs(3600);
    let silent = RecordStore::new(store.clone()).with_faults(move |_| Some(Fault::Delay(hour)));
    let start = tokio::time::Instant::now();
    let names = list_channels(&[Arc::new(silent), read(&MemoryStore::new("empty")), read(&store)], Some(repo)).await;
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [channel()]);
    assert!(start.elapsed() < std::time::Duration::from_secs(6), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_misspelt_channel_comes_with_the_right_one() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let wrong = "kusama/rocksdb-prunde".parse().unwrap();
    let error = open_channel(&[read(&store)], &wrong, &state_dir(), Some(repo), now()).await.unwrap_err();
    assert_eq!((error.code(), error.hint().as_deref()), ("unknown-channel", Some("did you mean kusama/rocksdb-pruned?")));
}

// HM-18
#[tokio::test]
async fn a_manifest_with_wrong_bytes_is_fetched_elsewhere() {
    let (store, publisher, repo) = repository().await;
    publish(&store, &publisher, 1).await;
    let opened = open(&[read(&store)], &state_dir(), Some(repo)).await.unwrap();
    let which = select(&opened.head, &When::Latest).unwrap();
    let liar = MemoryStore::new("liar");
    liar.overwrite(&key::manifest(&which.manifest), vec![0; which.manifest_bytes as usize]);
    assert!(fetch_manifest(&[read(&liar), read(&store)], &opened.head, &which).await.is_ok());
    let error = fetch_manifest(&[read(&MemoryStore::new("empty")), read(&liar)], &opened.head, &which).await.unwrap_err();
    assert_eq!((error.code(), error.lines().len()), ("object-wrong", 2));
    let error = fetch_manifest(&[read(&MemoryStore::new("empty"))], &opened.head, &which).await.unwrap_err();
    assert_eq!(error.code(), "object-missing");
}

#[tokio::test]
async fn a_signed_manifest_that_contradicts_its_head_is_refused() {
    let (store, state, _) = repository().await;
    let publisher = Publisher::open(&[write(&store)], &state, now()).await.unwrap();
    let breaks: [fn(&mut Newest); 4] = [|s| s.height = Some(9), |s| s.bytes = 1, |s| s.frame_bytes = 1, |s| s.manifest_json_bytes += 1];
    for change in breaks {
        let mut snapshot = put_snapshot(&store, 1);
        change(&mut snapshot);
        let expires = now() + SignedDuration::from_hours(1);
        let head = Head { issued: now(), expires, snapshot, ..sample::head(publisher.chain().repo(), 1) };
        let head = publisher.sign(&head, now()).unwrap();
        let error = fetch_manifest(&[read(&store)], &head, &head.snapshot.to_ref()).await.unwrap_err();
        assert_eq!(error.code(), "manifest-invalid", "{error:?}");
    }
}

#[tokio::test]
async fn init_again_changes_nothing_and_a_strangers_store_is_refused() {
    let (store, state, repo) = repository().await;
    let snapshot = |store: &MemoryStore| store.keys();
    let before = snapshot(&store);
    assert_eq!(init(&write(&store), "again", &state, now()).await.unwrap(), Initialised::Already { repo });
    assert_eq!(snapshot(&store), before);
    let error = init(&write(&store), "mine", &state_dir(), now()).await.unwrap_err();
    assert_eq!(error.code(), "store-in-use");
    let (other, ..) = repository().await;
    let publisher = Publisher::open(&[write(&store)], &state, now()).await.unwrap();
    assert_eq!(prepare_store(&write(&other), publisher.chain()).await.unwrap_err().code(), "other-repo");
}

#[tokio::test]
async fn a_second_store_gets_the_roots_and_a_machine_without_keys_cannot_publish() {
    let (store, state, repo) = repository().await;
    let empty = MemoryStore::new("second");
    let publisher = Publisher::open(&[write(&empty)], &state, now()).await.unwrap();
    prepare_store(&write(&empty), publisher.chain()).await.unwrap();
    assert!(empty.keys().contains(&key::root(1)) && empty.keys().contains(&key::store_info()));
    let stranger = state_dir();
    assert_eq!(Publisher::open(&[write(&empty)], &stranger, now()).await.unwrap_err().code(), "no-repo");
    stranger.pin(repo).unwrap();
    assert_eq!(Publisher::open(&[write(&store)], &stranger, now()).await.unwrap_err().code(), "no-keys");
}

// GC-12
#[tokio::test]
async fn of_two_publishers_one_wins() {
    let (store, state, _) = repository().await;
    publish(&store, &state, 1).await;
    let writable = write(&store);
    let publisher = Publisher::open(std::slice::from_ref(&writable), &state, now()).await.unwrap();
    let current = read_head(&writable, publisher.chain(), &channel()).await.unwrap();
    publish(&store, &state, 2).await;
    let late = publisher.sign(&Head { seq: 2, ..(*current.head.unwrap()).clone() }, now()).unwrap();
    assert_eq!(write_head(&writable, current.tag.as_ref(), &late).await.unwrap(), Swap::Lost);
}

// GC-07
#[tokio::test]
async fn a_lost_answer_to_a_swap_that_happened_is_success() {
    let (store, state, _) = repository().await;
    let lose = |call: &Call| (call.action == Action::Swap).then_some(Fault::LoseAnswer(ErrorKind::Interrupted));
    let lossy: DynWriteStore = Arc::new(RecordStore::new(store.clone()).with_faults(lose));
    let publisher = Publisher::open(&[write(&store)], &state, now()).await.unwrap();
    let expires = now() + SignedDuration::from_hours(1);
    let head = Head { issued: now(), expires, ..sample::head(publisher.chain().repo(), 1) };
    let head = publisher.sign(&head, now()).unwrap();
    assert!(matches!(write_head(&lossy, None, &head).await.unwrap(), Swap::Done(_)));
}

trait GetHead {
    async fn get_head(&self) -> Vec<u8>;
}

impl GetHead for MemoryStore {
    async fn get_head(&self) -> Vec<u8> {
        read(self).get(&key::head(&channel()), key::HEAD_MAX_BYTES).await.unwrap()
    }
}

// docs/trust.md 6.1: stock tools agree.
#[tokio::test]
async fn openssl_verifies_a_head() {
    let (store, state, _) = repository().await;
    let head = publish(&store, &state, 1).await;
    let publisher = Publisher::open(&[write(&store)], &state, now()).await.unwrap();
    let root = publisher.chain().newest();
    let key = PublicKey::from_bytes(&root.keys_of(&root.publish).next().unwrap()).unwrap();
    let envelope = Envelope::parse(head.bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let verify = |pae: &[u8]| {
        for (name, bytes) in [("p.pub", key.to_pem().as_bytes()), ("pae", pae), ("sig", &envelope.signatures()[0].sig)] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let args = ["pkeyutl", "-verify", "-pubin", "-inkey", "p.pub", "-rawin", "-in", "pae", "-sigfile", "sig"];
        std::process::Command::new("openssl").args(args).current_dir(&dir).output().map(|output| output.status.success())
    };
    match verify(&envelope.pae()) {
        // A machine without openssl has nothing to compare with.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        verified => {
            assert!(verified.unwrap());
            assert!(!verify(&[&envelope.pae()[..], b" "].concat()).unwrap());
        }
    }
}

/// The same objects in another store.
async fn copied(store: &MemoryStore, name: &str) -> MemoryStore {
    let copy = MemoryStore::new(name);
    for object in store.keys() {
        copy.overwrite(&object, read(store).get(&object, 1 << 20).await.unwrap());
    }
    copy
}

async fn refresh_both(first: &MemoryStore, second: &MemoryStore, state: &StateDir) -> Refreshed {
    refresh(&[write(first), write(second)], &channel(), state, now(), TERMS).await.unwrap()
}

#[tokio::test]
async fn a_refresh_leaves_a_store_alone_that_lacks_the_snapshot() {
    let (store, state, _) = repository().await;
    publish(&store, &state, 1).await;
    let lagging = copied(&store, "lagging").await;
    publish(&store, &state, 2).await;
    let before = lagging.get_head().await;
    // Whichever is named first.
    for (seq, order) in [(3, [&store, &lagging]), (4, [&lagging, &store])] {
        let refreshed = refresh_both(order[0], order[1], &state).await;
        assert_eq!((refreshed.head.seq, refreshed.head.snapshot.height), (seq, Some(2)));
        assert_eq!((&refreshed.stores[..], refreshed.failures.len()), (&["memory".to_owned()][..], 1));
        let said = refreshed.failures[0].one_line();
        assert!(refreshed.failures[0].store == "lagging" && said.contains("does not have the snapshot"), "{said}");
        assert_eq!(lagging.get_head().await, before);
    }
}

#[tokio::test]
async fn a_refresh_shows_nothing_in_a_store_that_was_only_set_up_or_whose_head_is_none() {
    let (store, state, _) = repository().await;
    let empty = copied(&store, "empty").await;
    publish(&store, &state, 1).await;
    let broken = copied(&store, "broken").await;
    broken.overwrite(&key::head(&channel()), "<html>");
    for other in [&empty, &broken] {
        let refreshed = refresh_both(other, &store, &state).await;
        assert_eq!((&refreshed.stores[..], refreshed.failures.len()), (&["memory".to_owned()][..], 1));
    }
    assert!(!empty.keys().contains(&key::head(&channel())));
    assert_eq!(broken.get_head().await, b"<html>");
}

#[tokio::test]
async fn a_refresh_that_cannot_be_remembered_is_live_all_the_same() {
    let (store, state, repo) = repository().await;
    publish(&store, &state, 1).await;
    // Another process has seen a time that is far ahead, so this machine accepts no head of now.
    let other = state.clone();
    let race = move |call: &Call| {
        let ahead = |known: Option<RepoState>| (RepoState { last_time: Some(now() + SignedDuration::from_hours(9)), ..known.unwrap() }, ());
        if call.action == Action::Swap {
            other.update(repo, ahead).unwrap();
        }
        None
    };
    let store: DynWriteStore = Arc::new(RecordStore::new(store).with_faults(race));
    let refreshed = refresh(&[store], &channel(), &state, now(), TERMS).await.unwrap();
    assert_eq!((refreshed.head.seq, refreshed.stores.len(), refreshed.warnings.len()), (2, 1, 1));
}

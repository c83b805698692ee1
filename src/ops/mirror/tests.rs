//! Whole mirrors into stores that fail, lie, race and lose their power.

use std::{collections::BTreeMap, path::Path, sync::Mutex};

use super::*;
use crate::{
    catalog::{Initialised, Publisher, read_head},
    format::{head::Head, key, root::Root},
    fs::{Fs, MemoryFs, RealFs},
    progress::{NoProgress, Recorder},
    publish,
    sources::{Form, Settings},
    store::{Action, Call, Create, ErrorKind, Fault, LocalStore, MemoryStore, ReadStore as _, RecordStore, WriteStore as _},
    trust::{Verified, sign_root},
    types::{ChunkSize, Forms, ObjectKey},
};

const CHUNK: usize = 65_536;

/// A publisher with a data directory and a store.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) published: MemoryStore,
    repo: Hash,
    keys: [crate::trust::KeyId; 2],
}

pub(super) fn now() -> Timestamp {
    crate::trust::RELEASE_DATE + jiff::SignedDuration::from_hours(1)
}

pub(super) fn days(days: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_hours(24 * days)
}

pub(super) fn channel() -> ChannelName {
    "demo/generic".parse().unwrap()
}

pub(super) fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// One snapshot of two large files with lists, two small ones, and a hole.
pub(super) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("large"), bytes(1, 6 * CHUNK)).unwrap();
    std::fs::write(data.join("still"), bytes(5, 5 * CHUNK)).unwrap();
    std::fs::write(data.join("small"), bytes(2, 100)).unwrap();
    std::fs::write(data.join("other"), bytes(3, 2 * CHUNK)).unwrap();
    std::fs::write(data.join("hole"), vec![0; 2 * CHUNK]).unwrap();
    let published = MemoryStore::new("published");
    let state = StateDir::open(Arc::new(RealFs), folder.path().join("state")).unwrap();
    let made = catalog::init(&(Arc::new(published.clone()) as DynWriteStore), "test", &state, now()).await.unwrap();
    let Initialised::Created { repo, root_key, publish_key, .. } = made else { panic!("the store is new") };
    let world = World { folder, published, repo, keys: [root_key, publish_key] };
    world.publish().await;
    world
}

impl World {
    fn state(&self) -> StateDir {
        StateDir::open(Arc::new(RealFs), self.folder.path().join("state")).unwrap()
    }

    pub(super) async fn publish(&self) {
        self.publish_to(&self.published).await;
    }

    pub(super) async fn publish_to(&self, store: &MemoryStore) {
        let options = publish::Options {
            channel: channel(),
            data_dir: self.folder.path().join("data"),
            node: publish::Node::default(),
            stores: vec![Arc::new(store.clone())],
            unopened: Vec::new(),
            ipfs: None,
            ipfs_failed: None,
            height: None,
            block_hash: None,
            chunk_size: ChunkSize::try_from(CHUNK as u64).unwrap(),
            level: 1,
            allow_secrets: Vec::new(),
            assume_stopped: false,
            rehash: false,
            dry_run: false,
            head_lifetime_secs: 30 * 86_400,
            keep_last: 3,
            threads: 1,
            state_dir: self.folder.path().join("state"),
            now: now(),
            fs: Arc::new(RealFs),
            stop: Stop::new(),
            progress: Arc::new(NoProgress),
        };
        publish::run(options).await.unwrap();
    }

    /// Publishes a second snapshot, of which one chunk, one small file and one list are new.
    pub(super) async fn publish_again(&self) {
        let mut large = bytes(1, 6 * CHUNK);
        large[3 * CHUNK] ^= 1;
        std::fs::write(self.folder.path().join("data/large"), large).unwrap();
        std::fs::write(self.folder.path().join("data/new"), bytes(4, 100)).unwrap();
        self.publish().await;
    }

    pub(super) fn options(&self, source: impl crate::store::ReadStore, to: DynWriteStore) -> Options {
        let source: DynReadStore = Arc::new(source);
        let settings = Settings { first_pause: std::time::Duration::from_millis(1), ..Settings::default() };
        let chunks = Sources::new(vec![(Arc::clone(&source), Form::Framed)], settings, Arc::new(NoProgress));
        Options {
            channels: Vec::new(),
            sources: vec![source],
            chunks: Arc::new(chunks),
            to,
            repo: self.repo,
            state: StateDir::open(Arc::new(MemoryFs::new()), "/state").unwrap(),
            rehash: false,
            dry_run: false,
            now: now(),
            stop: Stop::new(),
            progress: Arc::new(NoProgress),
        }
    }

    /// Mirrors the channel, which must be the only one, to `to`.
    pub(super) async fn mirror(&self, to: impl crate::store::WriteStore) -> Result<ChannelSummary, Error> {
        only(self.options(self.published.clone(), Arc::new(to))).await
    }

    /// Everything in the publisher's store but the descriptions, which a mirror makes for itself.
    pub(super) async fn objects(&self) -> BTreeMap<ObjectKey, Vec<u8>> {
        let mut objects = BTreeMap::new();
        for object in self.published.keys().into_iter().filter(|object| object.as_str().contains('/')) {
            let bytes = self.published.get(&object, 1 << 30).await.unwrap();
            objects.insert(object, bytes);
        }
        objects
    }

    /// Signs a head that says something else under the same number.
    async fn rival(&self, change: impl FnOnce(&mut Head)) -> Verified<Head> {
        let store: DynWriteStore = Arc::new(self.published.clone());
        let publisher = Publisher::open(std::slice::from_ref(&store), &self.state(), now()).await.unwrap();
        let mut head = read_head(&store, publisher.chain(), &channel()).await.unwrap().head.unwrap().into_inner();
        change(&mut head);
        publisher.sign(&head, now()).unwrap()
    }
}

/// Runs with one channel and gives what became of it.
pub(super) async fn only(options: Options) -> Result<ChannelSummary, Error> {
    let Mirrored { mut summary, mut failures } = run(options).await?;
    assert_eq!(summary.channels.len(), 1);
    match failures.pop() {
        Some((_, error)) => Err(error),
        None => Ok(summary.channels.remove(0)),
    }
}

fn below(folder: &'static str) -> impl Fn(&Call) -> bool {
    move |call| call.key.as_ref().is_some_and(|key| key.as_str().starts_with(folder))
}

pub(super) async fn assert_holds(store: &MemoryStore, objects: &BTreeMap<ObjectKey, Vec<u8>>) {
    for (object, bytes) in objects {
        assert_eq!(&store.get(object, 1 << 30).await.unwrap(), bytes, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_and_read_back_before_the_head_and_the_index_comes_last() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let store = Arc::new(RecordStore::new(mirror.clone()));
    let done = world.mirror(Arc::clone(&store)).await.unwrap();
    assert_eq!((done.outcome, done.snapshots), (Outcome::Copied, 1));
    assert_holds(&mirror, &world.objects().await).await;
    let calls = store.calls();
    let put_below = |folder| move |call: &Call| call.action == Action::Put && below(folder)(call);
    let last = |is: &dyn Fn(&Call) -> bool| calls.iter().rposition(is).unwrap();
    let first = |is: &dyn Fn(&Call) -> bool| calls.iter().position(is).unwrap();
    assert!(last(&put_below("chunks/")) < first(&put_below("lists/")));
    assert!(last(&put_below("lists/")) < first(&put_below("manifests/")));
    let synced = last(&|call| call.action == Action::Sync);
    let head = first(&|call| call.action == Action::Swap && below("heads/")(call));
    assert!(last(&|call| call.action == Action::Put) < synced && synced < head);
    assert!(calls[synced..head].iter().any(|call| call.action == Action::Get && below("chunks/")(call)), "read back");
    assert!(head < last(&|call| call.action == Action::Swap && below("index.json")(call)));
}

// P8, ST-06
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_operation_shows_a_head_only_with_all_that_it_names() {
    let world = world().await;
    let before = world.objects().await;
    let fs = MemoryFs::new();
    let store = || LocalStore::open(Arc::new(fs.clone()), Path::new("/mirror"), Create::Yes).unwrap();
    world.mirror(store()).await.unwrap();
    world.publish_again().await;
    let after = world.objects().await;
    let head = key::head(&channel());
    assert_ne!(before[&head], after[&head]);
    // The first snapshot stays in the second head, so all of both is needed.
    assert!(before.keys().all(|object| after.contains_key(object)));
    let (seen, expected) = (Arc::new(Mutex::new([0, 0])), [before, after]);
    let counts = Arc::clone(&seen);
    fs.on_operation(move |_, fs| {
        for seed in 0..4 {
            let left = fs.power_cut(seed);
            let read = |object: &ObjectKey| left.read(&Path::new("/mirror").join(object.as_str()), 1 << 20).ok();
            let shown = read(&key::head(&channel())).expect("a head is shown at any time");
            let which = usize::from(shown == expected[1][&key::head(&channel())]);
            for (object, bytes) in &expected[which] {
                assert_eq!(read(object).as_ref(), Some(bytes), "{object}");
            }
            counts.lock().unwrap()[which] += 1;
        }
    });
    world.mirror(store()).await.unwrap();
    let [old, new] = *seen.lock().unwrap();
    assert!(old > 40 && new > 4, "{old} cuts before the head, {new} after it");
}

// GC-07
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_fails_at_any_call_shows_what_it_showed_and_the_next_run_completes_it() {
    let world = world().await;
    let counted = Arc::new(RecordStore::new(MemoryStore::new("mirror")));
    world.mirror(Arc::clone(&counted)).await.unwrap();
    let (objects, calls) = (world.objects().await, counted.calls());
    for (at, call) in calls.iter().enumerate() {
        let mirror = MemoryStore::new("mirror");
        let fail = move |call: &Call| (call.index >= at).then_some(Fault::Fail(ErrorKind::Io));
        let outcome = world.mirror(RecordStore::new(mirror.clone()).with_faults(fail)).await;
        let shows = mirror.keys().contains(&key::head(&channel()));
        assert_eq!(outcome.is_ok(), shows, "{call:?}: only the index may fail");
        if shows {
            assert_holds(&mirror, &objects).await;
        }
        world.mirror(mirror.clone()).await.unwrap();
        assert_holds(&mirror, &objects).await;
        assert!(mirror.keys().contains(&key::index()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_run_left_is_proved_and_not_fetched_again() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let stop_at = |call: &Call| (call.action == Action::Put && below("manifests/")(call)).then_some(Fault::Fail(ErrorKind::Io));
    world.mirror(RecordStore::new(mirror.clone()).with_faults(stop_at)).await.unwrap_err();
    let source = Arc::new(RecordStore::new(world.published.clone()));
    let to = Arc::new(RecordStore::new(mirror.clone()));
    only(world.options(Arc::clone(&source), Arc::clone(&to) as DynWriteStore)).await.unwrap();
    assert!(!source.calls().iter().any(below("chunks/")), "{:?}", source.calls());
    // They are put again all the same: their names may not have been durable.
    assert!(to.calls().iter().any(|call| call.action == Action::Put && below("chunks/")(call)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_snapshot_costs_only_what_is_new_in_it() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    world.publish_again().await;
    let source = Arc::new(RecordStore::new(world.published.clone()));
    let to = Arc::new(RecordStore::new(mirror.clone()));
    let done = only(world.options(Arc::clone(&source), Arc::clone(&to) as DynWriteStore)).await.unwrap();
    // Two chunks, a list, a manifest.
    assert_eq!((done.objects, done.snapshots), (4, 1));
    assert_eq!(source.calls().into_iter().filter(below("chunks/")).count(), 2);
    let asked = to.calls().into_iter().filter(|call| call.action == Action::Get && below("chunks/")(call));
    let lists: std::collections::BTreeSet<_> = source.calls().into_iter().filter(below("lists/")).map(|call| call.key).collect();
    assert_eq!(lists.len(), 1, "a list that both snapshots share is not even read");
    assert_eq!(asked.count(), 2 + 2, "nor is the mirror asked for what its own snapshot has: two looks, two read back");
    assert_holds(&mirror, &world.objects().await).await;

    let again = world.mirror(mirror.clone()).await.unwrap();
    assert_eq!((again.outcome, again.objects), (Outcome::Current, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_mirror_gets_the_older_snapshots_too() {
    let world = world().await;
    world.publish_again().await;
    let mirror = MemoryStore::new("mirror");
    let done = world.mirror(mirror.clone()).await.unwrap();
    assert_eq!(done.snapshots, 2);
    assert_holds(&mirror, &world.objects().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_the_same_and_writes_nothing() {
    let world = world().await;
    world.publish_again().await;
    let mirror = MemoryStore::new("mirror");
    let dry = Options { dry_run: true, ..world.options(world.published.clone(), Arc::new(mirror.clone())) };
    let would = only(dry).await.unwrap();
    assert!(mirror.keys().is_empty(), "{:?}", mirror.keys());
    let done = world.mirror(mirror).await.unwrap();
    assert_eq!((would.outcome, would.snapshots), (done.outcome, done.snapshots));
    // A chunk that both snapshots have at different places would be counted for each.
    assert_eq!((would.objects, would.bytes), (done.objects, done.bytes));
}

// HM-06
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_shows_a_newer_head_is_left_alone() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    let newer = world.rival(|head| head.seq += 1).await;
    mirror.overwrite(&key::head(&channel()), newer.bytes().to_vec());
    let said = Arc::new(Recorder::default());
    let options = Options { progress: Arc::clone(&said) as _, ..world.options(world.published.clone(), Arc::new(mirror.clone())) };
    assert_eq!(only(options).await.unwrap().outcome, Outcome::Ahead);
    assert_eq!(mirror.get(&key::head(&channel()), 1 << 20).await.unwrap(), newer.bytes());
    let warned = |event: &Event| matches!(event, Event::Warning { text } if text.contains("shows head 2, the sources offer 1"));
    assert!(said.events().iter().any(warned), "{:?}", said.events());
}

// HM-10
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_shows_another_head_of_that_number_is_refused() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    let rival = world.rival(|head| head.window_hours += 1).await;
    mirror.overwrite(&key::head(&channel()), rival.bytes().to_vec());
    let error = world.mirror(mirror.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "equivocation"), "{error:?}");
    assert_eq!(mirror.get(&key::head(&channel()), 1 << 20).await.unwrap(), rival.bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_none_is_replaced() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    mirror.overwrite(&key::head(&channel()), &b"<html>"[..]);
    assert_eq!(world.mirror(mirror.clone()).await.unwrap().outcome, Outcome::Copied);
    assert_holds(&mirror, &world.objects().await).await;
}

// AW-09
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_only_the_mirror_has_takes_a_key_away_from_the_sources() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    world.publish_again().await;
    let state = world.state();
    let chain = catalog::open_roots(&[Arc::new(mirror.clone()) as DynReadStore], &state, Some(world.repo)).await.unwrap();
    let key = state.key(&world.keys[0]).unwrap().unwrap();
    let mut root: Root = chain.newest().clone().into_inner();
    root.version = 2;
    // The publish key is replaced by the root key.
    root.publish.keys = root.root.keys.clone();
    root.keys.remove(&world.keys[1].to_string());
    mirror.overwrite(&key::root(2), sign_root(&root, &[&key]).unwrap());
    let shown = mirror.get(&key::head(&channel()), 1 << 20).await.unwrap();
    let error = world.mirror(mirror.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "untrusted"), "{error:?}");
    assert_eq!(mirror.get(&key::head(&channel()), 1 << 20).await.unwrap(), shown);
}

// HM-07
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_head_is_not_passed_on() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let late = Options { now: days(31), ..world.options(world.published.clone(), Arc::new(mirror.clone())) };
    let error = only(late).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "expired"), "{error:?}");
    assert!(!mirror.keys().contains(&key::head(&channel())));
}

// HM-01
#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_a_changed_bit_is_fetched_again_and_never_passed_on() {
    let world = world().await;
    for folder in ["chunks/", "lists/", "manifests/"] {
        let mirror = MemoryStore::new("mirror");
        let lie = move |call: &Call| below(folder)(call).then(|| Fault::Change(Box::new(|bytes: &mut Vec<u8>| bytes[9] ^= 1)));
        let liar = RecordStore::new(world.published.clone()).with_faults(lie);
        let error = only(world.options(liar, Arc::new(mirror.clone()))).await.unwrap_err();
        assert!(error.in_one_line().contains(folder), "{error:?}");
        assert!(!mirror.keys().iter().any(|object| object.as_str().starts_with(folder) || object.as_str().starts_with("heads/")));
    }
}

// PU-05
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_gives_back_something_else_never_shows_a_head() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let synced = Arc::new(Mutex::new(false));
    let lie = move |call: &Call| {
        let mut synced = synced.lock().unwrap();
        // The second sync: the first one is that of the roots.
        *synced |= call.action == Action::Put && below("manifests/")(call);
        let lies = *synced && call.action == Action::Get && below("chunks/")(call);
        lies.then(|| Fault::Change(Box::new(|bytes: &mut Vec<u8>| bytes[9] ^= 1)))
    };
    let error = world.mirror(RecordStore::new(mirror.clone()).with_faults(lie)).await.unwrap_err();
    assert!(matches!(&error, Error::Store(error) if error.kind == ErrorKind::Conflict), "{error:?}");
    assert!(!mirror.keys().contains(&key::head(&channel())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_that_is_gone_is_left_out_only_when_its_time_is_over() {
    let world = world().await;
    let before = world.objects().await;
    world.publish_again().await;
    let old = before.into_keys().find(|object| object.as_str().starts_with("manifests/")).unwrap();
    assert!(world.published.remove(&old));
    // The window is three days.
    for (now, copied) in [(days(2), None), (days(4), Some(1))] {
        let mirror = MemoryStore::new("mirror");
        let options = Options { now, ..world.options(world.published.clone(), Arc::new(mirror.clone())) };
        assert_eq!(only(options).await.ok().map(|done| done.snapshots), copied);
        assert_eq!(mirror.keys().contains(&key::head(&channel())), copied.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_the_head_meanwhile_wins() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let racer = mirror.clone();
    let race = move |call: &Call| {
        if call.action == Action::Swap && below("heads/")(call) {
            racer.overwrite(&key::head(&channel()), &b"of somebody else"[..]);
        }
        None
    };
    let error = world.mirror(RecordStore::new(mirror.clone()).with_faults(race)).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert_eq!(mirror.get(&key::head(&channel()), 100).await.unwrap(), b"of somebody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_repository_or_with_another_form_is_refused_untouched() {
    let world = world().await;
    let other = self::world().await.published;
    let keys = other.keys();
    let error = world.mirror(other.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "other-repo"), "{error:?}");
    assert_eq!(other.keys(), keys);

    let raw = MemoryStore::new("raw");
    let info = crate::format::store_info::StoreInfo::new(world.repo, Forms::Raw, crate::format::store_info::Cas::None);
    raw.swap(&key::store_info(), None, info.to_bytes().into()).await.unwrap();
    let error = world.mirror(raw.clone().with_forms(Forms::Zstd)).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "other-forms"), "{error:?}");
    assert_eq!(raw.keys(), [key::store_info()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_stop_ends_the_wait_for_a_silent_source() {
    let world = world().await;
    let hours = std::time::Duration::from_secs(9 * 3600);
    let silent = || RecordStore::new(world.published.clone()).with_faults(move |_| Some(Fault::Delay(hours)));
    let into: [DynWriteStore; 2] = [Arc::new(MemoryStore::new("mirror")), Arc::new(silent())];
    for (at, to) in into.into_iter().enumerate() {
        let options = if at == 0 { world.options(silent(), to) } else { world.options(world.published.clone(), to) };
        let stop = options.stop.clone();
        let running = tokio::spawn(run(options));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        stop.request();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), running).await;
        assert!(matches!(ended.unwrap().unwrap(), Err(Error::Interrupted)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_stop_ends_it_before_the_head() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let options = world.options(world.published.clone(), Arc::new(mirror.clone()));
    let stop = options.stop.clone();
    stop.request();
    assert!(matches!(run(options).await, Err(Error::Interrupted)));
    assert!(!mirror.keys().contains(&key::head(&channel())));
}

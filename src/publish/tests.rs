//! Whole runs against stores that fail, lie and race, and a data directory that fails.

use std::path::Path;

use super::*;
use crate::{
    catalog,
    fs::{MemoryFs, Open, RealFs},
    progress::{Event, NoProgress, Recorder},
    store::{Action, Call, ErrorKind, Fault, MemoryStore, ReadStore as _, RecordStore},
    types::ObjectKey,
};

/// A data directory of twelve chunks of 64 KiB, a state directory and a store that is set up.
struct Machine {
    folder: tempfile::TempDir,
    store: MemoryStore,
}

fn now() -> Timestamp {
    crate::trust::RELEASE_DATE + jiff::SignedDuration::from_hours(1)
}

async fn machine() -> Machine {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for file in 0..3_u8 {
        let content: Vec<u8> = (0..4 * 65_536_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ file).collect();
        std::fs::write(folder.path().join(format!("data/{file}")), content).unwrap();
    }
    let store = MemoryStore::new("first");
    let state = StateDir::open(Arc::new(RealFs), folder.path().join("state")).unwrap();
    let writable: DynWriteStore = Arc::new(store.clone());
    catalog::init(&writable, "test", &state, now()).await.unwrap();
    Machine { folder, store }
}

impl Machine {
    fn options(&self, stores: Vec<DynWriteStore>) -> Options {
        Options {
            channel: "demo/generic".parse().unwrap(),
            data_dir: self.folder.path().join("data"),
            node: Node::default(),
            stores,
            unopened: Vec::new(),
            ipfs: None,
            ipfs_failed: None,
            height: None,
            block_hash: None,
            chunk_size: ChunkSize::try_from(65_536).unwrap(),
            level: 1,
            allow_secrets: Vec::new(),
            assume_stopped: false,
            rehash: false,
            dry_run: false,
            head_lifetime_secs: 3600,
            keep_last: 3,
            threads: 2,
            state_dir: self.folder.path().join("state"),
            now: now(),
            fs: Arc::new(RealFs),
            stop: Stop::new(),
            progress: Arc::new(NoProgress),
        }
    }

    fn faulty(&self, fault: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) -> Arc<RecordStore<MemoryStore>> {
        Arc::new(RecordStore::new(self.store.clone()).with_faults(fault))
    }

    /// Gives the files a time so new that they are always read, or one so old that they are taken for unchanged.
    fn age_files(&self, to_be_read: bool) {
        for file in 0..3 {
            let file = std::fs::File::options().write(true).open(self.folder.path().join(format!("data/{file}"))).unwrap();
            let (now, hour) = (std::time::SystemTime::from(now()), std::time::Duration::from_secs(3600));
            file.set_modified(if to_be_read { now + hour } else { now - hour }).unwrap();
        }
    }

    /// The earlier snapshots that the head of the first store names.
    async fn older(&self) -> Vec<Hash> {
        named(&self.store).await.older.iter().map(|older| older.manifest).collect()
    }

    fn shows_a_head(&self) -> bool {
        self.store.keys().iter().any(|key| key.as_str().starts_with("heads/"))
    }
}

fn is_chunk(call: &Call) -> bool {
    call.key.as_ref().is_some_and(|key| key.as_str().starts_with("chunks/"))
}

fn is_head(call: &Call) -> bool {
    call.key.as_ref().is_some_and(|key| key.as_str().starts_with("heads/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_put_and_synced_before_the_head_and_the_index_comes_last() {
    let machine = machine().await;
    let store = machine.faulty(|_| None);
    run(machine.options(vec![Arc::clone(&store) as DynWriteStore])).await.unwrap();
    let calls = store.calls();
    let last = |is: &dyn Fn(&Call) -> bool| calls.iter().rposition(is).unwrap();
    let first = |is: &dyn Fn(&Call) -> bool| calls.iter().position(is).unwrap();
    let put_below = |folder: &'static str| {
        move |call: &Call| call.action == Action::Put && call.key.as_ref().is_some_and(|key| key.as_str().starts_with(folder))
    };
    let synced = last(&|call| call.action == Action::Sync);
    let head = first(&|call| call.action == Action::Swap && is_head(call));
    assert!(last(&put_below("chunks/")) < last(&put_below("manifests/")));
    assert!(last(&|call| call.action == Action::Put) < synced && synced < head);
    assert!(calls[synced..head].iter().any(|call| call.action == Action::Get && is_chunk(call)), "read back");
    assert!(head < last(&|call| call.action == Action::Swap && !is_head(call)));
}

// PU-05
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_gives_back_something_else_never_shows_a_head() {
    let machine = machine().await;
    let lie = |call: &Call| (call.action == Action::Get && is_chunk(call)).then(|| Fault::Change(Box::new(|bytes| bytes[9] ^= 1)));
    let error = run(machine.options(vec![machine.faulty(lie)])).await.unwrap_err();
    assert!(matches!(&error, Error::AllStoresFailed { first: Some(first), .. } if first.kind == ErrorKind::Conflict), "{error:?}");
    assert!(!machine.shows_a_head());
}

/// Loses, or damages, one chunk of the store.
fn harm_a_chunk(store: &MemoryStore, bytes: Option<Vec<u8>>) -> ObjectKey {
    let chunk = store.keys().into_iter().find(|key| key.as_str().starts_with("chunks/")).unwrap();
    match bytes {
        Some(bytes) => store.overwrite(&chunk, bytes),
        None => assert!(store.remove(&chunk)),
    }
    chunk
}

// PU-10
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_a_store_lost_or_holds_damaged_is_noticed_and_put_again_when_asked_for() {
    for (is_read, level) in [(true, 1), (false, 1), (true, 3)] {
        let machine = machine().await;
        machine.age_files(is_read);
        let second = MemoryStore::new("second");
        let stores = || -> Vec<DynWriteStore> { vec![Arc::new(machine.store.clone()), Arc::new(second.clone())] };
        run(machine.options(stores())).await.unwrap();
        for harm in [None, Some(vec![]), Some(vec![7; 9])] {
            let chunk = harm_a_chunk(&second, harm);
            let summary = run(machine.options(stores())).await.unwrap();
            assert_eq!((summary.skipped_bytes == 0, summary.stores[0].error.as_deref()), (is_read, None));
            let said = summary.stores[1].error.as_deref().unwrap();
            assert!(said.contains(chunk.as_str()) && said.contains("--rehash"), "{said}");
            let healing = Options { rehash: true, level, ..machine.options(stores()) };
            let summary = run(healing).await.unwrap();
            assert_eq!((&summary.stores[1].error, summary.stores[0].objects, summary.stores[1].objects), (&None, 0, 1), "{summary:?}");
            assert_eq!(summary.reused_bytes, summary.bytes);
            assert_eq!(Hash::of(&second.get(&chunk, 1 << 20).await.unwrap()).to_string(), chunk.as_str().rsplit('/').next().unwrap());
        }
    }
}

// PU-10
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_one_of_two_stores_lost_or_damaged_is_put_again_there() {
    for to_be_read in [true, false] {
        let machine = machine().await;
        let large: Vec<u8> = (0..5 * 65_536_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()).collect();
        std::fs::write(machine.folder.path().join("data/0"), large).unwrap();
        machine.age_files(to_be_read);
        let second = MemoryStore::new("second");
        let stores = || -> Vec<DynWriteStore> { vec![Arc::new(machine.store.clone()), Arc::new(second.clone())] };
        run(machine.options(stores())).await.unwrap();
        let list = second.keys().into_iter().find(|key| key.as_str().starts_with("lists/")).unwrap();
        let right = second.get(&list, 1 << 20).await.unwrap();
        // Of either store; lost, or with a bit that is another.
        for (store, changed) in [(&machine.store, false), (&second, false), (&second, true)] {
            assert!(store.remove(&list));
            if changed {
                store.overwrite(&list, right.iter().map(|byte| byte ^ 1).collect::<Vec<_>>());
            }
            let summary = run(machine.options(stores())).await.unwrap();
            assert!(summary.unchanged && summary.stores.iter().all(|store| store.error.is_none()), "{summary:?}");
            assert_eq!(summary.reused_bytes, summary.bytes);
            assert_eq!(store.get(&list, 1 << 20).await.unwrap(), right);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_first_store_fails_the_next_decides_the_race() {
    let machine = machine().await;
    let second = MemoryStore::new("second");
    run(machine.options(vec![Arc::new(machine.store.clone()), Arc::new(second.clone())])).await.unwrap();
    // The first store fails in the middle; meanwhile another publisher advances the second and the third.
    std::fs::write(machine.folder.path().join("data/new"), "new").unwrap();
    let broken = machine.faulty(|call| (call.action == Action::Put && is_chunk(call)).then_some(Fault::Fail(ErrorKind::Io)));
    let key = crate::format::key::head(&"demo/generic".parse().unwrap());
    let rival = second.clone();
    let raced = Arc::new(RecordStore::new(second.clone()).with_faults(move |call| {
        if call.action == Action::Sync {
            rival.overwrite(&key, &b"the head of somebody else"[..]);
        }
        None
    }));
    let third = MemoryStore::new("third");
    let error = run(machine.options(vec![broken, raced, Arc::new(third.clone())])).await.unwrap_err();
    assert!(matches!(&error, Error::Lost { store, .. } if store == "second"), "{error:?}");
    assert!(!third.keys().iter().any(|key| key.as_str().starts_with("heads/")), "the third store is not moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_names_earlier_snapshots_only_if_every_store_has_them() {
    let machine = machine().await;
    let (second, third) = (MemoryStore::new("second"), MemoryStore::new("third"));
    let stores = |number: usize| -> Vec<DynWriteStore> {
        [&machine.store, &second, &third].into_iter().take(number).map(|store| Arc::new(store.clone()) as DynWriteStore).collect()
    };
    let publish = async |name: &str, stores| {
        std::fs::write(machine.folder.path().join("data/new"), name).unwrap();
        let said = Arc::new(Recorder::default());
        let options = Options { progress: Arc::clone(&said) as _, ..machine.options(stores) };
        let summary = run(options).await.unwrap();
        assert!(summary.stores.iter().all(|store| store.error.is_none()), "{summary:?}");
        let warned =
            said.events().into_iter().filter(|event| matches!(event, Event::Warning { text } if text.contains("no longer be chosen")));
        (summary.snapshot, warned.count())
    };
    let (one, warned) = publish("1", stores(2)).await;
    assert_eq!((machine.older().await, warned), (vec![], 0));
    let (two, _) = publish("2", stores(1)).await;
    assert_eq!(machine.older().await, [one]);
    // The second store missed a run: what came in it is nowhere named.
    let (three, warned) = publish("3", stores(2)).await;
    assert_eq!((machine.older().await, warned), (vec![one], 1));
    let (four, warned) = publish("4", stores(2)).await;
    assert_eq!((machine.older().await, warned), (vec![three, one], 0));
    // A new store has none of them.
    let (_, warned) = publish("5", stores(3)).await;
    assert_eq!((machine.older().await, warned), (vec![], 3));
    let (_, warned) = publish("6", stores(1)).await;
    assert_eq!((machine.older().await.len(), warned), (1, 0));
    assert!(![two, four].contains(&machine.older().await[0]));
    for store in [&machine.store, &second, &third] {
        assert_has_what_it_names(store).await;
    }
}

async fn assert_has_what_it_names(store: &MemoryStore) {
    let head = named(store).await;
    for snapshot in head.snapshots() {
        assert!(store.keys().contains(&crate::format::key::manifest(&snapshot.manifest)), "{} names {snapshot:?}", store.name());
    }
}

async fn named(store: &MemoryStore) -> crate::format::head::Head {
    let envelope = store.get(&crate::format::key::head(&"demo/generic".parse().unwrap()), 1 << 20).await.unwrap();
    crate::trust::Envelope::parse(&envelope).unwrap().read().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_at_any_call_leaves_the_other_complete() {
    let machine = machine().await;
    let second = MemoryStore::new("second");
    let counted = Arc::new(RecordStore::new(second));
    run(machine.options(vec![Arc::new(machine.store.clone()), Arc::clone(&counted) as DynWriteStore])).await.unwrap();
    let calls = counted.calls().len();
    for (at, action) in (0..calls).map(|at| (at, counted.calls()[at].action)) {
        let machine = self::machine().await;
        let second = RecordStore::new(MemoryStore::new("second"));
        let failing = second.with_faults(move |call| (call.index >= at).then_some(Fault::Fail(ErrorKind::Io)));
        let summary = run(machine.options(vec![Arc::new(machine.store.clone()), Arc::new(failing)])).await;
        let summary = summary.unwrap_or_else(|error| panic!("{at} {action:?}: {error:?}"));
        assert_eq!((summary.seq, summary.stores[0].error.as_deref()), (Some(1), None), "{at} {action:?}");
        assert!(machine.shows_a_head());
    }
}

// ST-03
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_ends_the_run_before_the_rest_is_read() {
    let fs = MemoryFs::new();
    let machine = machine().await;
    fs.create_dir_all(Path::new("/data"), 0o755).unwrap();
    let content = |seed: u64, chunks: u64| -> Vec<u8> { (0..chunks * 8_192).flat_map(|i| (i + seed * 1_000_000).to_le_bytes()).collect() };
    fs.write_durable(Path::new("/data/0"), &content(0, 60), 0o644).unwrap();
    for file in 1..200 {
        fs.write_durable(Path::new(&format!("/data/{file}")), &content(file, 2), 0o644).unwrap();
    }
    let scan = crate::disk::scan::scan(&fs, Path::new("/data"), &crate::disk::select::Selection::everything()).unwrap();
    // Its last chunk is cut off when the first one is put: one thread fails, and the others have 199 files to go.
    let disk = fs.clone();
    let cut = move |call: &Call| {
        if is_chunk(call) {
            disk.open(Path::new("/data/0"), Open::ReadWrite).unwrap().set_len(59 * 65_536 + 1).unwrap();
        }
        None
    };
    let store = machine.faulty(cut);
    let options = Options { fs: Arc::new(fs), ..machine.options(vec![Arc::clone(&store) as DynWriteStore]) };
    let targets = Arc::new(Targets::new(&options.stores, &[], Writing::Real).unwrap());
    let error = pipeline::publish_chunks(&options, &targets, &Arc::default(), Default::default(), &scan).await.unwrap_err();
    assert!(matches!(error, Error::Disk(crate::disk::Error::SourceChanged { .. })), "{error:?}");
    let put = store.calls().iter().filter(|call| call.action == Action::Put).count();
    assert!(put < 120, "{put} chunks were put");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_threads_than_the_runtime_has_are_no_deadlock() {
    let machine = machine().await;
    let options = Options { threads: 10_000, ..machine.options(vec![Arc::new(machine.store.clone())]) };
    tokio::time::timeout(std::time::Duration::from_secs(60), run(options)).await.unwrap().unwrap();
}

// OP-06
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_backwards_publishes_nothing() {
    let machine = machine().await;
    let stores = || -> Vec<DynWriteStore> { vec![Arc::new(machine.store.clone())] };
    run(machine.options(stores())).await.unwrap();
    let before = machine.store.get(&crate::format::key::head(&"demo/generic".parse().unwrap()), 1 << 16).await.unwrap();
    let early = now() - jiff::SignedDuration::from_mins(11);
    let error = run(Options { now: early, ..machine.options(stores()) }).await.unwrap_err();
    assert!(matches!(&error, Error::Catalog(error) if error.code() == "clock"), "{error:?}");
    assert_eq!(machine.store.get(&crate::format::key::head(&"demo/generic".parse().unwrap()), 1 << 16).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_remember_what_it_saw_publishes_and_so_does_the_next() {
    let machine = machine().await;
    // A file where the folder should be: neither reading nor writing below it works.
    std::fs::write(machine.folder.path().join("state/publish"), "").unwrap();
    for seq in 1..3 {
        let summary = run(machine.options(vec![Arc::new(machine.store.clone())])).await.unwrap();
        assert_eq!((summary.seq, summary.skipped_bytes, summary.read_bytes), (Some(seq), 0, 12 * 65_536));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_of_a_run_that_shows_no_head_or_is_a_dry_run() {
    let machine = machine().await;
    let failing = machine.faulty(|call| (call.action == Action::Swap && is_head(call)).then_some(Fault::Fail(ErrorKind::Io)));
    run(machine.options(vec![failing])).await.unwrap_err();
    run(Options { dry_run: true, ..machine.options(vec![Arc::new(machine.store.clone())]) }).await.unwrap();
    assert!(!machine.folder.path().join("state/publish").exists());
    run(machine.options(vec![Arc::new(machine.store.clone())])).await.unwrap();
    assert!(machine.folder.path().join("state/publish").exists());
}

//! The contract on both file systems, and what a crash leaves at every operation.

use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::{
    fs::{Kind, MemoryFs, RealFs, Rename},
    store::{Put, Swap, WriteStore, conformance},
};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn in_memory() -> (MemoryFs, Arc<dyn Fs>) {
    let fs = MemoryFs::new();
    (fs.clone(), Arc::new(fs))
}

fn open(fs: &Arc<dyn Fs>) -> LocalStore {
    LocalStore::open(Arc::clone(fs), Path::new("/srv/store"), Create::Yes).unwrap()
}

async fn put(store: &LocalStore, name: &str, bytes: &[u8]) -> Result<Put, Error> {
    store.put_new(&key(name), Bytes::copy_from_slice(bytes)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_the_real_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let open = || LocalStore::open(Arc::new(RealFs), &dir.path().join("deep/store"), Create::Yes).unwrap();
    conformance::run_write(|| Arc::new(open())).await;
    let left = RealFs.read_dir(&dir.path().join("deep/store").join(STAGING)).unwrap();
    assert_eq!(left.len(), 1, "dropped stores leave only the lock: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_in_memory() {
    let (_, fs) = in_memory();
    conformance::run_write(|| Arc::new(open(&fs))).await;
    conformance::run_read(&LocalReader::open(Arc::clone(&fs), Path::new("/srv/store")).unwrap()).await;
}

#[test]
fn opens_directories_only() {
    let (memory, fs) = in_memory();
    memory.write_durable(Path::new("/file"), b"", 0o644).unwrap();
    let kind = |path: &str| LocalReader::open(Arc::clone(&fs), Path::new(path)).unwrap_err().kind;
    assert_eq!(kind("/file"), ErrorKind::Io);
    assert_eq!(kind("/absent"), ErrorKind::NotFound);
    let create = |path: &str, create| LocalStore::open(Arc::clone(&fs), Path::new(path), create).unwrap_err().kind;
    assert_eq!(create("/absent", Create::No), ErrorKind::NotFound);
    assert_eq!(create("/file", Create::Yes), ErrorKind::Io);
    assert_eq!(create("/file/below", Create::Yes), ErrorKind::Io);
}

#[test]
fn a_link_to_a_store_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    std::os::unix::fs::symlink("store", dir.path().join("link")).unwrap();
    assert!(LocalReader::open(Arc::new(RealFs), &dir.path().join("link")).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_store_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("disk/store");
    std::fs::create_dir_all(&real).unwrap();
    std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
    for (root, below) in [("link", real.clone()), ("link/new/deep", real.join("new/deep"))] {
        for create in [Create::Yes, Create::No] {
            let store = LocalStore::open(Arc::new(RealFs), &dir.path().join(root), create).unwrap();
            let object = format!("chunks/aa/{create:?}");
            put(&store, &object, b"one").await.unwrap();
            store.sync().await.unwrap();
            let swapped = store.swap(&key(&format!("heads/a/{create:?}")), None, Bytes::from_static(b"head")).await.unwrap();
            assert!(matches!(swapped, Swap::Done(_)));
            assert_eq!(std::fs::read(below.join(object)).unwrap(), b"one");
            assert!(store.name().ends_with(root), "{}", store.name());
        }
    }
}

#[tokio::test]
async fn nothing_is_visible_before_the_sync_and_everything_after() {
    let (memory, fs) = in_memory();
    let store = open(&fs);
    put(&store, "chunks/aa/one", b"one").await.unwrap();
    assert!(memory.stat(Path::new("/srv/store/chunks")).is_err());
    store.sync().await.unwrap();
    let stat = memory.stat(Path::new("/srv/store/chunks/aa/one")).unwrap();
    assert_eq!((stat.len, stat.mode), (3, 0o644));
    assert_eq!(memory.stat(Path::new("/srv/store/chunks")).unwrap().mode, 0o755);
}

// ST-06
#[tokio::test]
async fn a_power_cut_at_any_operation_shows_whole_objects_and_after_the_sync_all() {
    let (memory, fs) = in_memory();
    let objects: Vec<_> = (0..9).map(|n| (format!("chunks/{}/{n}", n % 7), vec![n as u8 + 1; 5000])).collect();
    let store = open(&fs);
    let expected = objects.clone();
    let cuts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&cuts);
    memory.on_operation(move |_, fs| {
        *counted.lock().unwrap() += 1;
        for seed in 0..8 {
            let after = fs.power_cut(seed);
            for (name, bytes) in &expected {
                if let Ok(seen) = after.read(&Path::new("/srv/store").join(name), 1 << 20) {
                    assert_eq!(&seen, bytes, "{name} is visible in part");
                }
            }
        }
    });
    for (name, bytes) in &objects[..3] {
        put(&store, name, bytes).await.unwrap();
    }
    store.sync().await.unwrap();
    for (name, bytes) in &objects {
        put(&store, name, bytes).await.unwrap();
    }
    store.sync().await.unwrap();
    assert!(*cuts.lock().unwrap() > 50);
    for seed in 0..64 {
        let after = memory.power_cut(seed);
        for (name, bytes) in &objects {
            assert_eq!(&after.read(&Path::new("/srv/store").join(name), 1 << 20).unwrap(), bytes, "{name} is durable");
        }
    }
}

#[tokio::test]
async fn an_object_that_somebody_else_made_is_durable_after_our_sync_too() {
    let (memory, fs) = in_memory();
    memory.create_dir_all(Path::new("/srv/store/chunks"), 0o755).unwrap();
    memory.sync_fs(Path::new("/")).unwrap();
    // As another writer leaves it between its rename and its sync of the folder.
    let file = memory.open(Path::new("/srv/store/new"), Open::CreateNew(0o644)).unwrap();
    file.write_all_at(b"theirs", 0).unwrap();
    file.sync_all().unwrap();
    memory.rename(Path::new("/srv/store/new"), Path::new("/srv/store/chunks/x"), Rename::NoReplace).unwrap();

    let store = open(&fs);
    assert_eq!(put(&store, "chunks/x", b"theirs").await.unwrap(), Put::Existed);
    store.sync().await.unwrap();
    assert!((0..32).all(|seed| memory.power_cut(seed).stat(Path::new("/srv/store/chunks/x")).is_ok()));
}

#[tokio::test]
async fn whoever_loses_a_race_still_has_the_object_when_the_winner_dies() {
    let (_, fs) = in_memory();
    let (winner, loser) = (open(&fs), open(&fs));
    assert_eq!(put(&winner, "chunks/x", b"same").await.unwrap(), Put::Created);
    assert_eq!(put(&loser, "chunks/x", b"same").await.unwrap(), Put::Existed);
    drop(winner);
    loser.sync().await.unwrap();
    assert_eq!(loser.get(&key("chunks/x"), 9).await.unwrap(), b"same");
}

#[tokio::test]
async fn a_race_between_two_lengths_is_a_conflict_for_the_slower_one() {
    let (_, fs) = in_memory();
    let (first, second) = (open(&fs), open(&fs));
    put(&first, "chunks/x", b"short").await.unwrap();
    let _ = put(&second, "chunks/x", b"much longer").await;
    first.sync().await.unwrap();
    assert_eq!(second.sync().await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(second.get(&key("chunks/x"), 99).await.unwrap(), b"short");
}

#[tokio::test]
async fn removes_what_dead_writers_left_and_nothing_of_the_living() {
    let (memory, fs) = in_memory();
    let living = open(&fs);
    put(&living, "chunks/x", b"x").await.unwrap();
    let dead = Path::new("/srv/store").join(STAGING).join("1-dead");
    memory.create_dir(&dead, 0o755).unwrap();
    memory.write_durable(&dead.join("object"), b"half", 0o644).unwrap();
    put(&open(&fs), "chunks/y", b"y").await.unwrap();
    assert!(memory.stat(&dead).is_err());
    living.sync().await.unwrap();
    assert_eq!(living.get(&key("chunks/x"), 9).await.unwrap(), b"x");
}

// ST-02, PU-03
#[tokio::test]
async fn a_full_disk_is_no_space_and_leaves_no_object() {
    let (memory, fs) = in_memory();
    let store = open(&fs);
    memory.limit_space(Some(8192));
    assert_eq!(put(&store, "chunks/x", &[1; 20_000]).await.unwrap_err().kind, ErrorKind::NoSpace);
    store.sync().await.unwrap();
    assert_eq!(store.get(&key("chunks/x"), 1 << 20).await.unwrap_err().kind, ErrorKind::NotFound);
    memory.limit_space(None);
    assert_eq!(put(&store, "chunks/x", &[1; 20_000]).await.unwrap(), Put::Created);
}

// ST-03
#[tokio::test]
async fn after_a_failed_sync_the_batch_must_be_put_again() {
    const EIO: i32 = 5;
    let (memory, fs) = in_memory();
    for failing in 0..6 {
        let store = open(&fs);
        let name = format!("chunks/eio/{failing}");
        put(&store, &name, b"x").await.unwrap();
        memory.fail_once_after(failing, EIO);
        let failed = store.sync().await;
        memory.heal();
        match failed {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Io);
                put(&store, &name, b"x").await.unwrap();
                store.sync().await.unwrap();
            }
        }
        assert!((0..32).all(|seed| memory.power_cut(seed).stat(&Path::new("/srv/store").join(&name)).is_ok()), "{failing}");
    }
}

// ST-09
#[tokio::test]
async fn a_read_only_file_system_denies() {
    const EROFS: i32 = 30;
    let (memory, fs) = in_memory();
    let store = open(&fs);
    memory.fail_after(0, EROFS);
    assert_eq!(put(&store, "chunks/x", b"x").await.unwrap_err().kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_swap_is_durable_at_once_and_whole_at_every_operation() {
    let (memory, fs) = in_memory();
    let store = open(&fs);
    let head = key("heads/c/p.json");
    let Swap::Done(tag) = store.swap(&head, None, Bytes::from_static(b"old")).await.unwrap() else { panic!("it was absent") };
    let path = Path::new("/srv/store/heads/c/p.json");
    memory.on_operation(move |_, fs| {
        for seed in 0..16 {
            let seen = fs.power_cut(seed).read(path, 9).unwrap();
            assert!(seen == b"old" || seen == b"new", "{seen:?}");
        }
    });
    store.swap(&head, Some(&tag), Bytes::from_static(b"new")).await.unwrap();
    assert!((0..64).all(|seed| memory.power_cut(seed).read(path, 9).unwrap() == b"new"));
}

#[tokio::test]
async fn the_staging_folder_holds_no_objects() {
    let (_, fs) = in_memory();
    let store = open(&fs);
    store.sync().await.unwrap();
    let lock = format!("{STAGING}/lock");
    assert_eq!(store.get(&key(&lock), 9).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(put(&store, &lock, b"x").await.unwrap_err().kind, ErrorKind::Denied);
}

/// The staged file of an object.
fn staged(memory: &MemoryFs, name: &str) -> PathBuf {
    let all = Path::new("/srv/store").join(STAGING);
    let own = memory.read_dir(&all).unwrap().into_iter().find(|entry| entry.kind == Kind::Dir).unwrap();
    all.join(own.name).join(crate::types::Hash::of(name.as_bytes()).to_string())
}

fn is_visible(memory: &MemoryFs, name: &str) -> bool {
    memory.stat(&Path::new("/srv/store").join(name)).is_ok()
}

// ST-03
#[tokio::test]
async fn what_the_disk_lost_in_the_background_fails_the_sync_and_is_never_shown() {
    let (memory, fs) = in_memory();
    let store = open(&fs);
    let names: Vec<String> = (0..9).map(|n| format!("chunks/{n}")).collect();
    for name in &names {
        put(&store, name, b"content").await.unwrap();
    }
    memory.lose_writes(&staged(&memory, &names[4])).unwrap();
    assert_eq!(store.sync().await.unwrap_err().kind, ErrorKind::Io);
    assert!(!names.iter().any(|name| is_visible(&memory, name)));
    for name in &names {
        assert_eq!(put(&store, name, b"content").await.unwrap(), Put::Created);
    }
    store.sync().await.unwrap();
    for seed in 0..16 {
        let after = memory.power_cut(seed);
        assert!(names.iter().all(|name| after.read(&Path::new("/srv/store").join(name), 99).is_ok_and(|bytes| bytes == b"content")));
    }
}

/// A writer whose thread `flush` waits before it syncs, until the sender is dropped or used. Says when it is there.
fn writer_that_waits() -> (MemoryFs, Arc<writer::Writer>, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let (memory, fs) = in_memory();
    memory.create_dir_all(Path::new("/srv/store"), 0o755).unwrap();
    let writer = Arc::new(writer::Writer::create(&fs, Path::new("/srv/store")).unwrap());
    let ((there, arrived), (go, may_go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let waiting = Mutex::new(Some((there, may_go)));
    memory.on_operation(move |_, _| {
        let first = (std::thread::current().name() == Some("flush")).then(|| waiting.lock().unwrap().take()).flatten();
        if let Some((there, may_go)) = first {
            there.send(()).unwrap();
            let _ = may_go.recv();
        }
    });
    (memory, writer, arrived, go)
}

fn flush_aside(writer: &Arc<writer::Writer>) -> std::thread::JoinHandle<Result<(), batch::Failed>> {
    let writer = Arc::clone(writer);
    std::thread::Builder::new().name("flush".to_owned()).spawn(move || writer.sync()).unwrap()
}

#[test]
fn puts_go_on_while_a_batch_is_made_durable() {
    let (memory, writer, arrived, go) = writer_that_waits();
    for n in 0..6 {
        writer.put(&key(&format!("chunks/{n}")), b"first").unwrap();
    }
    let flushing = flush_aside(&writer);
    arrived.recv().unwrap();
    assert_eq!(writer.put(&key("chunks/next"), b"next").unwrap(), batch::Found::Nothing);
    assert_eq!(writer.put(&key("chunks/3"), b"first").unwrap(), batch::Found::Object(5), "it is in the batch that is on its way");
    drop(go);
    flushing.join().unwrap().unwrap();
    assert!(is_visible(&memory, "chunks/5") && !is_visible(&memory, "chunks/next"));
    writer.sync().unwrap();
    assert!(is_visible(&memory, "chunks/next"));
}

// ST-03
#[test]
fn a_loss_counts_for_everything_that_was_staged_when_the_disk_told_of_it() {
    let (memory, writer, arrived, go) = writer_that_waits();
    for n in 0..6 {
        writer.put(&key(&format!("chunks/{n}")), b"first").unwrap();
    }
    let flushing = flush_aside(&writer);
    arrived.recv().unwrap();
    // The next batch loses a write; the disk tells the sync of the first one, and no other.
    writer.put(&key("chunks/next"), b"next").unwrap();
    memory.lose_writes(&staged(&memory, "chunks/next")).unwrap();
    drop(go);
    assert!(matches!(flushing.join().unwrap(), Err(batch::Failed::Unwritten(..))));
    assert!(matches!(writer.sync(), Err(batch::Failed::EarlierBatch)));
    assert!(!is_visible(&memory, "chunks/next") && !is_visible(&memory, "chunks/0"));
    writer.put(&key("chunks/next"), b"next").unwrap();
    writer.sync().unwrap();
    assert!((0..16).all(|seed| memory.power_cut(seed).read(Path::new("/srv/store/chunks/next"), 9).is_ok_and(|bytes| bytes == b"next")));
}

// ST-03
#[test]
fn an_object_that_is_being_written_when_the_disk_loses_something_is_lost_too() {
    let (memory, writer, ..) = writer_that_waits();
    let writing = writer.write_slowly(&key("chunks/slow"), b"slow", || {
        let lost = writer.lose_what_was_not_written(Err(batch::Failed::Unwritten(key("chunks/x"), io::ErrorKind::Other.into())));
        assert!(lost.is_err());
    });
    assert!(matches!(writing, Err(batch::Failed::EarlierBatch)));
    assert!(memory.stat(&staged(&memory, "chunks/slow")).is_err());
    assert_eq!(writer.put(&key("chunks/slow"), b"slow").unwrap(), batch::Found::Nothing);
}

#[test]
fn many_threads_that_put_the_same_objects_make_each_once() {
    let (memory, fs) = in_memory();
    memory.create_dir_all(Path::new("/srv/store"), 0o755).unwrap();
    let writer = writer::Writer::create(&fs, Path::new("/srv/store")).unwrap();
    let created = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..40 {
                    let found = writer.put(&key(&format!("chunks/{}/{n}", n % 5)), b"same").unwrap();
                    created.fetch_add(usize::from(found == batch::Found::Nothing), std::sync::atomic::Ordering::Relaxed);
                    if n % 10 == 9 {
                        writer.sync().unwrap();
                    }
                }
            });
        }
    });
    writer.sync().unwrap();
    assert_eq!(created.into_inner(), 40);
    assert!((0..40).all(|n| is_visible(&memory, &format!("chunks/{}/{n}", n % 5))));
}

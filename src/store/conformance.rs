//! The contract of stores as checks that anybody can run on a store of their own.
//!
//! Each check panics with what is broken.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;

use super::{DynWriteStore, ErrorKind, Put, ReadStore, Stat, Swap, Tag, WriteStore};
use crate::types::ObjectKey;

/// How many callers race for one object.
const RACERS: u8 = 16;
/// What one of them waits for that a server was too busy for.
const PAUSE: Duration = Duration::from_millis(200);

/// The objects that [`run_read`] expects to find.
#[must_use]
pub fn samples() -> BTreeMap<ObjectKey, Bytes> {
    let long: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let texts = [("store.json", Bytes::from_static(b"{}")), ("heads/kusama/rocksdb-pruned.json", Bytes::from_static(b"head"))];
    let chunks = [("chunks/00/00ff", Bytes::from(long)), ("chunks/a.b-c_d+e/x", Bytes::from_static(&[0]))];
    texts.into_iter().chain(chunks).map(|(name, bytes)| (key(name), bytes)).collect()
}

/// Checks everything a [`ReadStore`] promises on a store that holds the [`samples`].
pub async fn run_read(store: &dyn ReadStore) {
    run_read_of(store, &samples()).await;
}

/// The same on a store that cannot hold just any object, and holds these.
pub async fn run_read_of(store: &dyn ReadStore, samples: &BTreeMap<ObjectKey, Bytes>) {
    returns_whole_objects(store, samples).await;
    reuses_the_buffer(store, samples).await;
    says_that_an_object_is_absent(store).await;
    stops_at_the_size_cap(store, samples).await;
    serves_many_at_once(store, samples).await;
}

/// Checks everything a [`WriteStore`] promises. `open` opens the same store anew at every call; it is empty at first.
pub async fn run_write(open: impl Fn() -> DynWriteStore + Send + Sync) {
    creates_an_object_once(&*open()).await;
    refuses_an_object_of_another_length(&*open()).await;
    shows_after_sync_what_was_put(&*open(), &*open()).await;
    let one = open();
    lets_one_of_many_puts_create(&one, "race/one-value", |_| Arc::clone(&one)).await;
    let others: Vec<_> = (0..RACERS).map(|_| open()).collect();
    lets_one_of_many_puts_create(&open(), "race/many-values", |n| Arc::clone(&others[n])).await;
    swaps_only_the_expected_version(&*open()).await;
    lets_one_of_many_swaps_win(&open, "heads/race/absent.json", None).await;
    let first = open().swap(&key("heads/race/there.json"), None, Bytes::from_static(b"first")).await;
    let Ok(Swap::Done(tag)) = first else { panic!("a swap from absent is done, not {first:?}") };
    lets_one_of_many_swaps_win(&open, "heads/race/there.json", Some(tag)).await;
    reads_back_as_a_read_store(&open).await;
}

async fn returns_whole_objects(store: &dyn ReadStore, samples: &BTreeMap<ObjectKey, Bytes>) {
    for (key, bytes) in samples {
        let exactly = bytes.len() as u64;
        let found = store.get(key, exactly).await.expect("an object as long as the cap is returned");
        assert_eq!(found, *bytes, "{key}");
    }
}

async fn reuses_the_buffer(store: &dyn ReadStore, samples: &BTreeMap<ObjectKey, Bytes>) {
    let mut buffer: Vec<u8> = Vec::with_capacity(400_000);
    let address = buffer.as_ptr().addr();
    for (key, bytes) in samples {
        store.get_into(key, 400_000, &mut buffer).await.expect("the object is there");
        assert_eq!(buffer, *bytes, "{key}: the former content is dropped");
    }
    assert_eq!(buffer.as_ptr().addr(), address, "a buffer that is large enough is not replaced");
}

async fn says_that_an_object_is_absent(store: &dyn ReadStore) {
    // A part of an existing key, and one below an existing object, are no objects either.
    for absent in ["absent", "chunks/00/0100", "chunks/zz/0000", "chunks/00", "store.json/x"] {
        let error = store.get(&key(absent), 1 << 20).await.expect_err(absent);
        assert_eq!(error.kind, ErrorKind::NotFound, "{absent}: {error}");
    }
}

async fn stops_at_the_size_cap(store: &dyn ReadStore, samples: &BTreeMap<ObjectKey, Bytes>) {
    for (key, bytes) in samples {
        let mut buffer = Vec::new();
        let error = store.get_into(key, bytes.len() as u64 - 1, &mut buffer).await.expect_err("the object is too long");
        assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
        assert!(buffer.capacity() <= bytes.len().next_power_of_two().max(64), "{key}: no more is held than allowed");
    }
}

async fn serves_many_at_once(store: &dyn ReadStore, samples: &BTreeMap<ObjectKey, Bytes>) {
    let gets = samples.iter().cycle().take(64).map(|(key, bytes)| async move {
        assert_eq!(store.get(key, 1 << 20).await.expect("the object is there"), *bytes, "{key}");
    });
    join_all(gets).await;
}

async fn creates_an_object_once(store: &dyn WriteStore) {
    let key = key("chunks/01/once");
    assert_eq!(put(store, &key, b"once").await, Put::Created);
    assert_eq!(put(store, &key, b"once").await, Put::Existed, "before the sync");
    store.sync().await.expect("sync works");
    assert_eq!(put(store, &key, b"once").await, Put::Existed, "after the sync");
    store.sync().await.expect("sync works with nothing to do");
    let stat = store.stat(&key).await.expect("what is there can be asked for");
    assert!(matches!(stat, Stat::Unsaid | Stat::There { bytes: 4 }), "{stat:?}");
    let stat = store.stat(&self::key("chunks/01/never")).await.expect("what is absent can be asked for");
    assert!(matches!(stat, Stat::Unsaid | Stat::Absent), "{stat:?}");
}

async fn refuses_an_object_of_another_length(store: &dyn WriteStore) {
    let key = key("chunks/01/conflict");
    put(store, &key, b"first").await;
    for when in ["before the sync", "after the sync"] {
        let error = store.put_new(&key, Bytes::from_static(b"the second")).await.expect_err(when);
        assert_eq!(error.kind, ErrorKind::Conflict, "{when}: {error}");
        store.sync().await.expect("sync works");
    }
    assert_eq!(store.get(&key, 99).await.expect("it is there"), b"first");
}

async fn shows_after_sync_what_was_put(store: &dyn WriteStore, other: &dyn WriteStore) {
    let objects: Vec<_> = (0..20_u8).map(|n| (key(&format!("chunks/{n:02}/shown")), vec![n; 1000])).collect();
    for (key, bytes) in &objects {
        put(store, key, bytes).await;
        match other.get(key, 1 << 20).await {
            Ok(seen) => assert_eq!(&seen, bytes, "an object is never visible in part"),
            Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "{error}"),
        }
    }
    store.sync().await.expect("sync works");
    for (key, bytes) in &objects {
        assert_eq!(&other.get(key, 1 << 20).await.expect("visible after the sync"), bytes);
    }
}

async fn lets_one_of_many_puts_create(store: &DynWriteStore, name: &str, racer: impl Fn(usize) -> DynWriteStore + Send) {
    let key = key(name);
    let racers = (0..usize::from(RACERS)).map(|n| {
        let (store, key) = (racer(n), key.clone());
        tokio::spawn(async move {
            let put = put(&*store, &key, b"raced for").await;
            store.sync().await.expect("sync works for winners and losers");
            put
        })
    });
    let results = join_all(racers).await;
    let created = results.into_iter().filter(|result| matches!(result, Ok(Put::Created))).count();
    assert_eq!(created, 1, "{name}: exactly one of {RACERS} callers creates");
    assert_eq!(store.get(&key, 99).await.expect("it is there"), b"raced for");
}

async fn swaps_only_the_expected_version(store: &dyn WriteStore) {
    let key = key("heads/chain/profile.json");
    assert_eq!(store.get_tagged(&key, 99).await.expect("absent is no error"), None);
    let stranger = Tag("stranger".to_owned());
    assert_eq!(swap(store, &key, Some(&stranger), b"x").await, Swap::Lost, "nothing is there to be replaced");

    let first = done(swap(store, &key, None, b"one").await);
    let (bytes, tag) = store.get_tagged(&key, 99).await.expect("it can be read").expect("it is there");
    assert_eq!((bytes.as_slice(), &tag), (&b"one"[..], &first));
    assert_eq!(swap(store, &key, None, b"x").await, Swap::Lost, "it is not absent");
    assert_eq!(swap(store, &key, Some(&stranger), b"x").await, Swap::Lost, "it is not that version");

    let second = done(swap(store, &key, Some(&first), b"three").await);
    assert_ne!(first, second);
    assert_eq!(swap(store, &key, Some(&first), b"x").await, Swap::Lost, "it is not that version any more");
    assert_eq!(store.get(&key, 99).await.expect("it is there"), b"three");
    let error = store.get_tagged(&key, 4).await.expect_err("it is too long");
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

async fn lets_one_of_many_swaps_win(open: &(impl Fn() -> DynWriteStore + Send + Sync), name: &str, expected: Option<Tag>) {
    let racers = (0..RACERS).map(|n| {
        let (store, key, expected) = (open(), key(name), expected.clone());
        tokio::spawn(async move { (n, race(&*store, &key, expected.as_ref(), &[n; 5]).await) })
    });
    let results = join_all(racers).await.into_iter().map(|racer| racer.expect("no racer panics"));
    let winners: Vec<u8> = results.filter(|(_, swap)| matches!(swap, Swap::Done(_))).map(|(n, _)| n).collect();
    assert_eq!(winners.len(), 1, "{name}: exactly one of {RACERS} callers wins");
    let found = open().get(&key(name), 99).await.expect("it is there");
    assert_eq!(found, [winners[0]; 5], "{name}: what is there is the winner's");
}

async fn reads_back_as_a_read_store(open: &(impl Fn() -> DynWriteStore + Send + Sync)) {
    let store = open();
    for (key, bytes) in samples() {
        store.put_new(&key, bytes).await.expect("a sample can be put");
    }
    store.sync().await.expect("sync works");
    run_read(&open()).await;
}

async fn put(store: &dyn WriteStore, key: &ObjectKey, bytes: &[u8]) -> Put {
    store.put_new(key, Bytes::copy_from_slice(bytes)).await.expect("an object can be put")
}

async fn swap(store: &dyn WriteStore, key: &ObjectKey, expected: Option<&Tag>, bytes: &[u8]) -> Swap {
    store.swap(key, expected, Bytes::copy_from_slice(bytes)).await.expect("a swap is done or lost")
}

/// One of many at once, of which a server may be too busy for some: these ask again, and may have won before.
async fn race(store: &dyn WriteStore, key: &ObjectKey, expected: Option<&Tag>, bytes: &[u8]) -> Swap {
    let mut lost_an_answer = false;
    for _ in 0..RACERS {
        match store.swap(key, expected, Bytes::copy_from_slice(bytes)).await {
            Ok(Swap::Lost) if lost_an_answer => {
                let there = store.get_tagged(key, 99).await.expect("it can be read");
                return there.filter(|(found, _)| found == bytes).map_or(Swap::Lost, |(_, tag)| Swap::Done(tag));
            }
            Err(error) if matches!(error.kind, ErrorKind::Unavailable { .. }) => lost_an_answer = true,
            result => return result.expect("a swap is done or lost"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{key}: the server stays too busy");
}

fn done(swap: Swap) -> Tag {
    match swap {
        Swap::Done(tag) => tag,
        Swap::Lost => panic!("the swap has the right version and must be done"),
    }
}

fn key(text: &str) -> ObjectKey {
    text.parse().expect("a key of this file is a key")
}

//! Failover, strikes and patience, on stores that fail on purpose.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    format::row::Row,
    progress::Recorder,
    store::{Fault, MemoryStore, RecordStore},
    types::Hash,
};

fn hole_free_row(content: &[u8]) -> (Row, Vec<u8>) {
    let mut frame = Vec::new();
    crate::format::frame::Encoder::new(1).unwrap().encode(content, &mut frame).unwrap();
    let stored = Stored::Frame { hash: Hash::of(&frame), bytes: frame.len() as u32 };
    (Row { raw: Hash::of(content), stored }, frame)
}

fn memory(name: &str, objects: &[(&ObjectKey, &[u8])]) -> MemoryStore {
    let store = MemoryStore::new(name);
    for (key, bytes) in objects {
        store.overwrite(key, bytes.to_vec());
    }
    store
}

fn as_one(stores: Vec<DynReadStore>) -> (Arc<Sources>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let settings =
        Settings { first_pause: Duration::from_millis(10), longest_pause: Duration::from_secs(1), max_wait: Duration::from_secs(60) };
    let stores = stores.into_iter().map(|store| (store, Form::Framed)).collect();
    (Arc::new(Sources::new(stores, settings, Arc::clone(&recorder) as Arc<dyn Progress>)), recorder)
}

const CONTENT: &[u8] = b"the bytes of a chunk";

// HM-01
#[tokio::test(start_paused = true)]
async fn wrong_bytes_at_one_source_are_fetched_from_another() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let mut bad = frame.clone();
    bad[8] ^= 1;
    let (sources, _) = as_one(vec![Arc::new(memory("liar", &[(&key, &bad)])), Arc::new(memory("honest", &[(&key, &frame)]))]);
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    let reports = sources.reports();
    assert_eq!((reports[0].strikes, reports[1].strikes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_with_three_strikes_is_not_asked_again_unless_it_is_the_last() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let liar = Arc::new(RecordStore::new(memory("liar", &[(&key, b"wrong")])));
    let (sources, recorder) = as_one(vec![Arc::clone(&liar) as DynReadStore, Arc::new(memory("honest", &[(&key, &frame)]))]);
    for _ in 0..5 {
        sources.chunk(row, CONTENT.len() as u32).await.unwrap();
    }
    assert_eq!(liar.calls().len(), 3);
    assert!(recorder.events().iter().any(|event| matches!(event, Event::Warning { text } if text.contains("liar"))));

    let (alone, _) = as_one(vec![liar]);
    for _ in 0..5 {
        assert!(matches!(alone.chunk(row, CONTENT.len() as u32).await, Err(Exhausted::Wrong { .. })));
    }
    assert_eq!(alone.reports()[0].strikes, 10, "each chunk is asked for twice");
}

// NW-06, NW-08
#[tokio::test(start_paused = true)]
async fn an_object_that_no_source_has_is_missing_after_asking_each_twice() {
    let (row, _) = hole_free_row(CONTENT);
    let empty = Arc::new(RecordStore::new(memory("empty", &[])));
    let (sources, _) = as_one(vec![Arc::clone(&empty) as DynReadStore]);
    assert!(matches!(sources.chunk(row, CONTENT.len() as u32).await, Err(Exhausted::Missing { .. })));
    assert_eq!(empty.calls().len(), 2);
}

// NW-01, NW-05
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_for_a_while_is_waited_for() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let failures = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&failures);
    let flaky = RecordStore::new(memory("flaky", &[(&key, &frame)])).with_faults(move |_| {
        let so_far = counted.fetch_add(1, Ordering::Relaxed);
        (so_far < 7).then_some(Fault::Fail(ErrorKind::Interrupted))
    });
    let (sources, _) = as_one(vec![Arc::new(flaky)]);
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    assert_eq!(sources.reports()[0].errors, 7);
}

// NW-04
#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_a_pause_gets_it() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let busy = RecordStore::new(memory("busy", &[(&key, &frame)])).with_faults(move |_| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        first.then_some(Fault::Fail(ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(30)) }))
    });
    let (sources, _) = as_one(vec![Arc::new(busy)]);
    let started = Instant::now();
    sources.chunk(row, CONTENT.len() as u32).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(30));
}

// NW-10
#[tokio::test(start_paused = true)]
async fn silence_of_all_sources_ends_after_max_wait_and_names_each() {
    let (row, _) = hole_free_row(CONTENT);
    let dead = |name: &str| -> DynReadStore {
        Arc::new(RecordStore::new(memory(name, &[])).with_faults(|_| Some(Fault::Fail(ErrorKind::Unreachable))))
    };
    let (sources, _) = as_one(vec![dead("first"), dead("second")]);
    match sources.chunk(row, CONTENT.len() as u32).await {
        Err(Exhausted::Silent { waited, lines }) => {
            assert!(waited >= Duration::from_secs(60));
            assert!(lines[0].starts_with("first: ") && lines[1].starts_with("second: "), "{lines:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_just_failed_is_asked_last() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let dead = Arc::new(RecordStore::new(memory("dead", &[])).with_faults(|_| Some(Fault::Fail(ErrorKind::Unreachable))));
    let (sources, _) = as_one(vec![Arc::clone(&dead) as DynReadStore, Arc::new(memory("alive", &[(&key, &frame)]))]);
    for _ in 0..10 {
        sources.chunk(row, CONTENT.len() as u32).await.unwrap();
    }
    assert_eq!(dead.calls().len(), 1);
}

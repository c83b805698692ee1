//! Failover, strikes and patience, on stores that fail on purpose.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    format::{
        key,
        row::{Row, Stored},
        store_info::{Cas, StoreInfo},
    },
    progress::Recorder,
    store::{Charge, Fault, MemoryStore, RecordStore},
    types::{Forms, Hash, ObjectKey},
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
    let settings = Settings {
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_secs(1),
        max_wait: Duration::from_secs(60),
        ..Settings::default()
    };
    let stores = stores.into_iter().map(|store| (store, Form::Framed)).collect();
    (Arc::new(Sources::new(stores, settings, Arc::clone(&recorder) as Arc<dyn Progress>)), recorder)
}

/// How often a chunk was asked for; who lacks one is also asked, once, in which form it holds them.
fn chunks_asked(store: &RecordStore<MemoryStore>) -> usize {
    store.calls().iter().filter(|call| call.key.as_ref().is_some_and(|key| key::form_of(key).is_some())).count()
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

// NW-06
#[tokio::test(start_paused = true)]
async fn an_object_that_no_source_has_is_missing_when_each_has_said_so() {
    let (row, _) = hole_free_row(CONTENT);
    let (one, other) = (Arc::new(RecordStore::new(memory("one", &[]))), Arc::new(RecordStore::new(memory("other", &[]))));
    let (sources, _) = as_one(vec![Arc::clone(&one) as DynReadStore, Arc::clone(&other) as DynReadStore]);
    assert!(matches!(sources.chunk(row, CONTENT.len() as u32).await, Err(Exhausted::Missing { .. })));
    assert_eq!((chunks_asked(&one), chunks_asked(&other)), (1, 1));
}

/// A store behind a cache that remembers "absent" for 15 s.
#[derive(Debug)]
struct Cached(Arc<RecordStore<MemoryStore>>);

#[async_trait::async_trait]
impl store::ReadStore for Cached {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn remembers_absence(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), store::Error> {
        self.0.get_into(key, max_bytes, into).await
    }
}

fn denied_until(seconds: u64, begin: Instant) -> impl Fn(&store::Call) -> Option<Fault> + Send + Sync {
    move |_| (begin.elapsed() < Duration::from_secs(seconds)).then_some(Fault::Fail(ErrorKind::Denied))
}

// NW-07, NW-08
#[tokio::test(start_paused = true)]
async fn a_cache_that_remembers_an_old_absence_is_asked_again_when_it_has_forgotten() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let begin = Instant::now();
    let cached = Arc::new(RecordStore::new(memory("cached", &[(&key, &frame)])).with_faults(denied_until(10, begin)));
    let other = Arc::new(RecordStore::new(memory("other", &[])));
    let (sources, _) = as_one(vec![Arc::new(Cached(Arc::clone(&cached))), Arc::clone(&other) as DynReadStore]);
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    assert!((15..16).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!((chunks_asked(&cached), chunks_asked(&other)), (2, 1));
}

// NW-08
#[tokio::test(start_paused = true)]
async fn an_absence_that_lasts_is_believed_the_second_time() {
    let (row, _) = hole_free_row(CONTENT);
    let begin = Instant::now();
    let cached = Arc::new(RecordStore::new(memory("cached", &[])));
    let (sources, _) = as_one(vec![Arc::new(Cached(Arc::clone(&cached)))]);
    assert!(matches!(sources.chunk(row, CONTENT.len() as u32).await, Err(Exhausted::Missing { .. })));
    assert_eq!((chunks_asked(&cached), begin.elapsed().as_secs()), (2, 15));
}

// HM-05, NW-02
#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_costs_seconds_and_then_gets_one_request_at_a_time() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let hour = Duration::from_secs(3600);
    let silent = Arc::new(RecordStore::new(memory("silent", &[(&key, &frame)])).with_faults(move |_| Some(Fault::Delay(hour))));
    let honest = Arc::new(memory("honest", &[(&key, &frame)]));
    let (sources, _) = as_one(vec![Arc::clone(&silent) as DynReadStore, honest]);
    let begin = Instant::now();
    let chunks = (0..16).map(|_| sources.chunk(row, CONTENT.len() as u32));
    let found = futures::future::join_all(chunks).await;
    assert!(found.into_iter().all(|chunk| chunk.unwrap() == CONTENT));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    let asked = silent.calls().len();
    assert!(asked <= 9, "{asked} requests to a source that never answers");
    tokio::time::sleep(Duration::from_secs(3)).await;
    futures::future::join_all((0..16).map(|_| sources.chunk(row, CONTENT.len() as u32))).await;
    assert_eq!(silent.calls().len(), asked + 1, "its rest is over: one request shows that it is still silent");
    assert_eq!(sources.reports()[1].objects, 32);
}

// HM-05
#[tokio::test(start_paused = true)]
async fn where_most_sources_fall_silent_the_one_that_delivers_is_asked_as_the_second() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let hour = Duration::from_secs(3600);
    let silent = |name| -> DynReadStore { Arc::new(RecordStore::new(memory(name, &[])).with_faults(move |_| Some(Fault::Delay(hour)))) };
    let honest = Arc::new(memory("honest", &[(&key, &frame)]));
    let (sources, _) = as_one(vec![silent("one"), silent("two"), silent("three"), silent("four"), honest]);
    let begin = Instant::now();
    let found = futures::future::join_all((0..8).map(|_| sources.chunk(row, CONTENT.len() as u32))).await;
    assert!(found.into_iter().all(|chunk| chunk.unwrap() == CONTENT));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

// HM-05
#[tokio::test(start_paused = true)]
async fn the_second_source_may_fail_and_the_first_deliver_after_all() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let slow = memory("slow", &[(&key, &frame)]);
    let slow = RecordStore::new(slow).with_faults(|_| Some(Fault::Delay(Duration::from_secs(20))));
    let lacks = Arc::new(RecordStore::new(memory("lacks", &[])));
    let (sources, _) = as_one(vec![Arc::new(slow), Arc::clone(&lacks) as DynReadStore]);
    let begin = Instant::now();
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    assert_eq!((begin.elapsed().as_secs(), chunks_asked(&lacks)), (20, 1));
}

// HM-05: a line that is slow for all is not asked for everything twice
#[tokio::test(start_paused = true)]
async fn what_is_slow_everywhere_is_not_asked_for_twice() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let slow =
        |name| Arc::new(RecordStore::new(memory(name, &[(&key, &frame)])).with_faults(|_| Some(Fault::Delay(Duration::from_secs(9)))));
    let (one, other) = (slow("one"), slow("other"));
    let (sources, _) = as_one(vec![Arc::clone(&one) as DynReadStore, Arc::clone(&other) as DynReadStore]);
    for _ in 0..20 {
        sources.chunk(row, CONTENT.len() as u32).await.unwrap();
    }
    assert!(one.calls().len() + other.calls().len() <= 21, "{} and {}", one.calls().len(), other.calls().len());
}

/// Whether the call with this number fails: one in a hundred, always the same ones.
fn fails(seed: u64, call: usize) -> bool {
    let digest = Hash::of(&[seed.to_le_bytes(), (call as u64).to_le_bytes()].concat());
    u16::from_le_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]) < u16::MAX / 100
}

// NW-16
#[tokio::test(start_paused = true)]
async fn one_failure_in_a_hundred_costs_one_request_in_a_hundred() {
    const CHUNKS: usize = 100_000;
    const LANES: usize = 16;
    let keys: Vec<ObjectKey> = (0..1_000_u32).map(|n| key::chunk(&Hash::of(&n.to_le_bytes()))).collect();
    let objects: Vec<_> = keys.iter().map(|key| (key, &b"body"[..])).collect();
    let kinds = [ErrorKind::Interrupted, ErrorKind::Unreachable, ErrorKind::Unavailable { retry_after: None }];
    let flaky = |name, seed| {
        let fault = move |call: &store::Call| fails(seed, call.index).then(|| Fault::Fail(kinds[call.index % kinds.len()]));
        Arc::new(RecordStore::new(memory(name, &objects)).with_faults(fault))
    };
    let (one, other) = (flaky("one", 1), flaky("other", 2));
    let (sources, _) = as_one(vec![Arc::clone(&one) as DynReadStore, Arc::clone(&other) as DynReadStore]);
    let lane = async |lane: usize| {
        let mut body = Vec::new();
        for chunk in (lane..CHUNKS).step_by(LANES) {
            let want = Want::plain(keys[chunk % keys.len()].clone(), 4);
            sources.fetch(&want, &mut Attempts::default(), &mut body).await.unwrap();
            assert_eq!(body, b"body");
        }
    };
    futures::future::join_all((0..LANES).map(lane)).await;
    let requests = one.calls().len() + other.calls().len();
    assert!((CHUNKS + CHUNKS / 200..CHUNKS + CHUNKS / 20).contains(&requests), "{requests} requests for {CHUNKS} chunks");
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

// NW-04
#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_a_pause_keeps_nobody_from_another() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let minute = ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(60)) };
    let busy = RecordStore::new(memory("busy", &[])).with_faults(move |_| Some(Fault::Fail(minute)));
    let failures = Arc::new(AtomicU64::new(0));
    let well = RecordStore::new(memory("well", &[(&key, &frame)]))
        .with_faults(move |_| (failures.fetch_add(1, Ordering::Relaxed) == 0).then_some(Fault::Fail(ErrorKind::Interrupted)));
    let (sources, _) = as_one(vec![Arc::new(busy), Arc::new(well)]);
    let started = Instant::now();
    sources.chunk(row, CONTENT.len() as u32).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

// NW-06, HM-21
#[tokio::test(start_paused = true)]
async fn what_one_source_lacks_is_missing_although_another_never_answers_with_an_object() {
    let (row, _) = hole_free_row(CONTENT);
    let strange = RecordStore::new(memory("strange", &[])).with_faults(|_| Some(Fault::Fail(ErrorKind::BadAnswer)));
    let (sources, _) = as_one(vec![Arc::new(strange), Arc::new(memory("honest", &[]))]);
    let started = Instant::now();
    let ended = sources.chunk(row, CONTENT.len() as u32).await;
    assert!(matches!(ended, Err(Exhausted::Missing { .. })), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

// HM-05, AW-02
#[tokio::test(start_paused = true)]
async fn a_free_source_that_hangs_for_ever_does_not_keep_one_from_being_paid_that_may_be() {
    let (row, _) = hole_free_row(CONTENT);
    let paid = memory("paid", &[(&key::raw(&row.raw), CONTENT)]).with_charge(Charge::RequesterPays { region: String::new() });
    let stores: Vec<(DynReadStore, Form)> = vec![(hanging("disk"), Form::Framed), (Arc::new(paid), Form::Raw)];
    let settings = Settings { paid: Paid::LastResort, ..Settings::default() };
    let sources = Arc::new(Sources::new(stores, settings, Arc::new(Recorder::default())));
    let started = Instant::now();
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_taken_for_one_of_another_form_is_asked_again_what_it_holds() {
    let (row, _) = hole_free_row(CONTENT);
    let info = StoreInfo::new(Hash::of(b"repo"), Forms::Raw, Cas::None).to_bytes();
    let store = memory("raw", &[(&key::raw(&row.raw), CONTENT), (&key::store_info(), &info)]);
    let (sources, _) = as_one(vec![Arc::new(store)]);
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    let report = &sources.reports()[0];
    assert_eq!((report.objects, report.errors), (1, 0));
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

/// A store that never answers, as a disk that hangs.
fn hanging(name: &str) -> Arc<RecordStore<MemoryStore>> {
    let year = Duration::from_secs(365 * 24 * 3600);
    Arc::new(RecordStore::new(memory(name, &[])).with_faults(move |_| Some(Fault::Delay(year))))
}

// HM-05
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_for_ever_does_not_hold_up_one_that_fails_for_a_while() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let begin = Instant::now();
    // At the first look it rests or fails; it is well again after half a minute.
    let failing = RecordStore::new(memory("failing", &[(&key, &frame)])).with_faults(move |_| {
        (begin.elapsed() < Duration::from_secs(30)).then_some(Fault::Fail(ErrorKind::Unavailable { retry_after: None }))
    });
    let (sources, _) = as_one(vec![Arc::new(failing), hanging("hanging") as DynReadStore]);
    let found = futures::future::join_all((0..4).map(|_| sources.chunk(row, CONTENT.len() as u32))).await;
    assert!(found.into_iter().all(|chunk| chunk.unwrap() == CONTENT));
    assert!(begin.elapsed() < Duration::from_secs(55), "{:?}", begin.elapsed());
}

// HM-05
#[tokio::test(start_paused = true)]
async fn when_two_sources_hang_the_third_is_asked() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let (one, two) = (hanging("one"), hanging("two"));
    let begin = Instant::now();
    let slow = RecordStore::new(memory("slow", &[(&key, &frame)])).with_faults(|_| Some(Fault::Delay(Duration::from_secs(1))));
    let (sources, _) = as_one(vec![one as DynReadStore, two as DynReadStore, Arc::new(slow)]);
    assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
}

// HM-05, NW-10
#[tokio::test(start_paused = true)]
async fn an_only_source_that_hangs_is_silent_after_max_wait() {
    let (row, _) = hole_free_row(CONTENT);
    let begin = Instant::now();
    let (sources, _) = as_one(vec![hanging("hanging") as DynReadStore]);
    match sources.chunk(row, CONTENT.len() as u32).await {
        Err(Exhausted::Silent { lines, .. }) => assert_eq!(lines, ["hanging: no answer at all"]),
        other => panic!("{other:?}"),
    }
    assert!((60..90).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

// NW-10
#[tokio::test(start_paused = true)]
async fn what_is_done_on_this_machine_between_two_requests_is_no_silence_of_the_sources() {
    let (row, frame) = hole_free_row(CONTENT);
    let key = key::chunk(&Hash::of(&frame));
    let flaky = RecordStore::new(memory("flaky", &[(&key, &frame)]))
        .with_faults(|call| matches!(call.index, 0 | 2).then_some(Fault::Fail(ErrorKind::Interrupted)));
    let (sources, _) = as_one(vec![Arc::new(flaky)]);
    // Before the first request, and between two: a database is verified for hours.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(sources.chunk(row, CONTENT.len() as u32).await.unwrap(), CONTENT);
    }
}

// ST-03
#[tokio::test(start_paused = true)]
async fn what_a_disk_cannot_read_is_not_gone() {
    let (row, _) = hole_free_row(CONTENT);
    let bad_disk = RecordStore::new(memory("disk", &[])).with_faults(|_| Some(Fault::Fail(ErrorKind::Io)));
    let (sources, _) = as_one(vec![Arc::new(bad_disk), Arc::new(memory("lacks", &[]))]);
    match sources.chunk(row, CONTENT.len() as u32).await {
        Err(Exhausted::Unreadable { lines, .. }) => {
            assert!(lines[0].starts_with("disk: ") && lines[1].starts_with("lacks: has no"), "{lines:?}")
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

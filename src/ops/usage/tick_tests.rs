//! Whole ticks on a store in memory, with sources and sinks that do what the test says.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use async_trait::async_trait;

use super::{
    AwsError, AwsErrorKind, Call, Error, Event, Meter, Options, Source, SourceError, StoreName,
    aws::Fault,
    plan::{Hours, Reading},
    settle,
    sinks::{Board, Sink, SinkError, Sinks},
    state::{self, Counter, SinkName, State},
    tick,
};
use crate::{
    store::{DynWriteStore, MemoryStore},
    types::Timestamp,
};

const NOW: &str = "2026-11-22T08:00:00Z";

/// A counter that gains something whenever it is read.
#[derive(Debug, Default)]
struct Growing(AtomicU64);

#[async_trait]
impl Meter for Growing {
    async fn read(&self, _: Timestamp, _: Timestamp) -> Result<Reading, SourceError> {
        let last = self.0.fetch_add(700, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(Reading::Counter(Counter { last, since: None }))
    }
}

/// One hour, or a refusal.
#[derive(Debug)]
struct Fixed(Option<u64>);

#[async_trait]
impl Meter for Fixed {
    async fn read(&self, from: Timestamp, _: Timestamp) -> Result<Reading, SourceError> {
        let hours = |bytes| Reading::Hours(Hours { hours: vec![(from, bytes)], complete: true, server_time: None });
        self.0.map(hours).ok_or_else(|| denied(Call::GetMetricData).into())
    }
}

/// Takes so many events, and writes down which.
#[derive(Debug, Default)]
struct Listener {
    patience: AtomicUsize,
    heard: Mutex<Vec<String>>,
}

#[async_trait]
impl Sink for Listener {
    fn name(&self) -> SinkName {
        SinkName::Webhook
    }

    async fn tell(&self, event: &Event) -> Result<(), SinkError> {
        let has_some = self.patience.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        has_some.map_err(|_| SinkError::Aws(denied(Call::Publish)))?;
        self.heard.lock().unwrap().push(event.id.to_string());
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Shown(Mutex<Vec<(String, u64, u64)>>);

#[async_trait]
impl Board for Shown {
    async fn put(&self, values: &[(StoreName, u64, u64)]) -> Result<(), AwsError> {
        self.0.lock().unwrap().extend(values.iter().map(|(store, bytes, crossed)| (store.to_string(), *bytes, *crossed)));
        Ok(())
    }
}

fn denied(call: Call) -> AwsError {
    Fault::new(AwsErrorKind::Denied, "this user may not do that").of_call(call, "of a test")
}

fn source(name: &str, meter: impl Meter + 'static) -> Source {
    Source { store: name.parse().unwrap(), meter: Arc::new(meter) }
}

fn options(sources: Vec<Source>, sinks: Sinks) -> Options {
    let store: DynWriteStore = Arc::new(MemoryStore::new("memory"));
    Options { store, sources, tb_bytes: 1000.try_into().unwrap(), sinks, clock: Arc::new(|| NOW.parse().unwrap()) }
}

async fn known(options: &Options) -> State {
    state::load(&options.store).await.unwrap().0
}

fn shown(tick: &super::Tick) -> Vec<(super::EventId, SinkName)> {
    tick.delivered.done.iter().cloned().chain(tick.events().into_iter().map(|event| (event.id, SinkName::Output))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ticks_at_once_neither_lose_nor_double_an_event() {
    let options = Arc::new(options(vec![source("ipfs", Growing::default())], Sinks::default()));
    tick(&options).await.unwrap();
    let issued = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..10 {
        let at_once = (0..4).map(|_| {
            let (options, issued) = (Arc::clone(&options), Arc::clone(&issued));
            tokio::spawn(async move {
                let done = tick(&options).await.unwrap();
                let ids: Vec<_> = done.state.outbox.iter().map(|pending| pending.id.number).collect();
                issued.lock().unwrap().extend(ids);
                settle(&options, &shown(&done)).await.unwrap();
            })
        });
        for one in at_once.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
    let state = known(&options).await;
    let (store, month) = (&state.stores[&"ipfs".parse().unwrap()], "2026-11".parse().unwrap());
    // Each reading that won gained exactly what the counter had gained since the one that won before it.
    assert_eq!(store.months[&month].bytes, store.counter.unwrap().last);
    let mut issued = issued.lock().unwrap().clone();
    issued.sort_unstable();
    issued.dedup();
    assert_eq!(issued, (1..=store.months[&month].bytes / 1000).collect::<Vec<_>>());
    assert!(issued.len() >= 20 && state.outbox.is_empty(), "{} {}", issued.len(), state.outbox.len());
}

#[tokio::test]
async fn a_sink_that_is_down_is_told_everything_in_order_when_it_is_up_again() {
    let listener = Arc::new(Listener::default());
    listener.patience.store(2, Ordering::SeqCst);
    let sinks = Sinks { each: vec![Arc::clone(&listener) as Arc<dyn Sink>], board: None };
    let options = options(vec![source("cdn", Fixed(Some(4500)))], sinks);
    let first = tick(&options).await.unwrap();
    assert_eq!((first.events().len(), first.delivered.missed[0].events), (4, 2));
    settle(&options, &shown(&first)).await.unwrap();
    assert_eq!(known(&options).await.outbox.len(), 2, "what the webhook was not told waits");
    listener.patience.store(usize::MAX, Ordering::SeqCst);
    let second = tick(&options).await.unwrap();
    assert_eq!((second.events().len(), second.delivered.missed.len()), (0, 0), "the output was told before");
    settle(&options, &shown(&second)).await.unwrap();
    assert_eq!(*listener.heard.lock().unwrap(), ["cdn/2026-11/1", "cdn/2026-11/2", "cdn/2026-11/3", "cdn/2026-11/4"]);
    assert!(known(&options).await.outbox.is_empty());
    assert_eq!(tick(&options).await.unwrap().events(), []);
}

#[tokio::test]
async fn a_tick_that_is_cut_off_before_it_could_tell_is_made_up_for_by_the_next() {
    let options = options(vec![source("cdn", Fixed(Some(1500)))], Sinks::default());
    let cut_off = tick(&options).await.unwrap().events();
    let next = tick(&options).await.unwrap().events();
    assert_eq!((cut_off.len(), &cut_off), (1, &next), "the same event, to the letter");
}

#[tokio::test]
async fn the_board_shows_each_crossing_once_and_the_total_always() {
    let board = Arc::new(Shown::default());
    let sinks = Sinks { each: Vec::new(), board: Some(Arc::clone(&board) as Arc<dyn Board>) };
    let options = options(vec![source("cdn", Fixed(Some(2500)))], sinks);
    for _ in 0..2 {
        let done = tick(&options).await.unwrap();
        settle(&options, &shown(&done)).await.unwrap();
    }
    assert_eq!(*board.0.lock().unwrap(), [("cdn".into(), 2500, 2), ("cdn".into(), 2500, 0)]);
}

#[tokio::test]
async fn a_source_that_fails_keeps_no_other_from_being_counted() {
    let options = options(vec![source("raw", Fixed(None)), source("cdn", Fixed(Some(1000)))], Sinks::default());
    let done = tick(&options).await.unwrap();
    assert_eq!(done.events().len(), 1);
    let stores = done.stores();
    assert_eq!((stores[0].bytes, stores[1].bytes), (None, Some(1000)));
    assert_eq!(stores[0].error.as_deref(), Some("GetMetricData of a test: this user may not do that"));
}

#[tokio::test]
async fn a_state_of_a_newer_version_is_left_alone() {
    let options = options(vec![source("cdn", Fixed(Some(1000)))], Sinks::default());
    let newer = br#"{"format":"qsync-usage/2"}"#;
    options.store.swap(&state::key(), None, bytes::Bytes::from_static(newer)).await.unwrap();
    assert!(matches!(tick(&options).await.unwrap_err(), Error::StateNewer { .. }));
    assert_eq!(options.store.get(&state::key(), 1000).await.unwrap(), newer);
}

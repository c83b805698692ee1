//! One source and what it did in this run.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    store::{self, DynReadStore},
    types::ObjectKey,
};

/// Wrong bodies after which a source is dropped for the run.
pub(super) const STRIKES_TO_DROP: u64 = 3;
/// How long a source that failed is asked only when no other is left; doubled with each failure that follows without a delivery.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(120);

/// How a source stores chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As zstd frames.
    Framed,
    /// As they are.
    Raw,
}

/// What came from one source. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its name.
    pub source: String,
    /// Objects it delivered.
    pub objects: u64,
    /// Bytes it delivered, as sent.
    pub bytes: u64,
    /// How often it failed.
    pub errors: u64,
    /// How often it delivered wrong bytes.
    pub strikes: u64,
    /// The last failure, in one line.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(super) struct Source {
    store: DynReadStore,
    form: Form,
    in_flight: AtomicUsize,
    dropped: AtomicBool,
    tally: Mutex<Tally>,
}

#[derive(Debug)]
struct Tally {
    report: Report,
    rests_until: Option<Instant>,
    /// How long the next rest is.
    next_rest: Duration,
    last_delivery: Option<Instant>,
}

impl Tally {
    /// A source that fails again while it rests already rests no longer: those were questions from before.
    fn rest(&mut self) {
        let now = Instant::now();
        if self.rests_until.is_none_or(|until| until <= now) {
            self.rests_until = Some(now + self.next_rest);
            self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
        }
    }
}

impl Source {
    pub(super) fn new(store: DynReadStore, form: Form) -> Self {
        let report = Report { source: store.name().to_owned(), ..Report::default() };
        let tally = Mutex::new(Tally { report, rests_until: None, next_rest: REST_AFTER_FAILURE, last_delivery: None });
        Self { store, form, in_flight: AtomicUsize::new(0), dropped: AtomicBool::new(false), tally }
    }

    pub(super) fn name(&self) -> &str {
        self.store.name()
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn drop_for_run(&self) {
        self.dropped.store(true, Ordering::Relaxed);
    }

    pub(super) fn resting(&self) -> bool {
        self.with_tally(|tally| tally.rests_until.is_some_and(|until| Instant::now() < until))
    }

    /// Whether it has not delivered anything since it failed.
    pub(super) fn on_probation(&self) -> bool {
        self.with_tally(|tally| tally.next_rest > REST_AFTER_FAILURE)
    }

    /// How long ago it delivered something, if ever.
    pub(super) fn since_delivery(&self) -> Option<Duration> {
        self.with_tally(|tally| tally.last_delivery.map(|time| time.elapsed()))
    }

    /// For how long its "absent" may be an old answer.
    pub(super) fn remembers_absence(&self) -> Duration {
        self.store.remembers_absence()
    }

    /// Says that another source delivered what this one was asked for long before.
    pub(super) fn stalled(&self, reason: &str) {
        self.with_tally(|tally| {
            tally.report.errors += 1;
            tally.report.last_error = Some(reason.to_owned());
            tally.rest();
        });
    }

    pub(super) fn report(&self) -> Report {
        self.with_tally(|tally| tally.report.clone())
    }

    /// Reads an object and says how long that took.
    pub(super) async fn get(&self, key: &ObjectKey, max_bytes: u64, body: &mut Vec<u8>) -> Result<Duration, store::Error> {
        let _busy = Busy::new(&self.in_flight);
        let begin = Instant::now();
        let outcome = self.store.get_into(key, max_bytes, body).await;
        self.with_tally(|tally| match &outcome {
            Ok(()) => {
                tally.report.objects += 1;
                tally.report.bytes += body.len() as u64;
                (tally.rests_until, tally.next_rest) = (None, REST_AFTER_FAILURE);
                tally.last_delivery = Some(Instant::now());
            }
            Err(error) => {
                tally.report.errors += 1;
                tally.report.last_error = Some(error.one_line());
                if error.kind.worth_retrying() {
                    tally.rest();
                }
            }
        });
        outcome.map(|()| begin.elapsed())
    }

    /// Counts a wrong body and says how many there were.
    pub(super) fn strike(&self, reason: &str) -> u64 {
        self.with_tally(|tally| {
            tally.report.strikes += 1;
            tally.report.last_error = Some(reason.to_owned());
            tally.report.strikes
        })
    }

    fn with_tally<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        work(&mut self.tally.lock().expect("no holder of this lock panics"))
    }
}

/// Counts a call as in flight until it is dropped, so that a cancelled call is not counted for ever.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

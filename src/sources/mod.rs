//! Several sources as one: every object can come from any of them.
//!
//! [`Sources`] asks one source after the other, the least busy first, until one delivers. It knows nothing of
//! manifests: whoever asked checks the bytes and says [`Sources::reject`] when they are wrong. A source that keeps
//! failing rests for a while; one that keeps delivering wrong bytes is dropped for the run, but never the last one.

mod attempts;
pub mod forms;
mod hedge;
mod plan;
mod source;
mod verified;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use thiserror::Error;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    format::{
        key,
        row::{Row, Stored},
    },
    progress::{Event, Progress},
    store::{self, DynReadStore, ErrorKind},
    types::ObjectKey,
};

pub use attempts::Attempts;
use attempts::Worst;
use plan::Candidate;
pub use source::{Form, Report};
use source::{STRIKES_TO_DROP, Source};
pub use verified::RowsError;

/// How patient the engine is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The first pause after every source failed once; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long to go on while no source delivers anything at all.
    pub max_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(30), max_wait: Duration::from_secs(24 * 3600) }
    }
}

/// An object as asked for, in each form that a source may hold.
#[derive(Clone, Debug)]
pub struct Want {
    framed: Object,
    raw: Object,
}

/// One form of an object.
#[derive(Clone, Debug)]
struct Object {
    key: ObjectKey,
    /// The longest body that can be right.
    max_bytes: u64,
}

impl Want {
    /// An object that has one form everywhere: a list or a manifest.
    #[must_use]
    pub fn plain(key: ObjectKey, max_bytes: u64) -> Self {
        let object = Object { key, max_bytes };
        Self { raw: object.clone(), framed: object }
    }

    /// A chunk of `raw_bytes`; `None` when it is a hole, which is stored nowhere.
    #[must_use]
    pub fn chunk(row: &Row, raw_bytes: u32) -> Option<Self> {
        let Stored::Frame { hash, bytes } = row.stored else { return None };
        Some(Self {
            framed: Object { key: key::chunk(&hash), max_bytes: u64::from(bytes) },
            raw: Object { key: key::raw(&row.raw), max_bytes: u64::from(raw_bytes) },
        })
    }

    fn object(&self, form: Form) -> &Object {
        match form {
            Form::Framed => &self.framed,
            Form::Raw => &self.raw,
        }
    }
}

/// Where a body came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source.
    pub source: usize,
    /// The form it delivered.
    pub form: Form,
}

/// No source can deliver an object.
#[derive(Debug, Error)]
pub enum Exhausted {
    /// Every source says it has no such object.
    #[error("no source has {key}: {}", lines.join("; "))]
    Missing {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Sources deliver it, but what they deliver is wrong.
    #[error("every source delivers wrong bytes for {key}: {}", lines.join("; "))]
    Wrong {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Every source lacks it or holds it on a disk of this machine that cannot read it: it is not gone.
    #[error("{key} cannot be read: {}", lines.join("; "))]
    Unreadable {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Nothing was delivered for so long that waiting makes no sense.
    #[error("no source delivered anything for {}: {}", humantime::format_duration(*waited), lines.join("; "))]
    Silent {
        /// How long nothing came.
        waited: Duration,
        /// One line per source.
        lines: Vec<String>,
    },
}

/// Many readers as one.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
    settings: Settings,
    progress: Arc<dyn Progress>,
    deliveries: Mutex<Deliveries>,
    dropping: Mutex<()>,
    hedges: Semaphore,
}

/// What is known of the bodies that arrived, from whichever source.
#[derive(Debug, Default)]
struct Deliveries {
    last: Option<Instant>,
    /// How long one usually takes.
    usual: Option<Duration>,
}

impl Sources {
    /// Takes the stores with the form each holds, in the user's order.
    #[must_use]
    pub fn new(stores: Vec<(DynReadStore, Form)>, settings: Settings, progress: Arc<dyn Progress>) -> Self {
        let sources = stores.into_iter().map(|(store, form)| Source::new(store, form)).collect();
        let deliveries = Mutex::new(Deliveries::default());
        Self { sources, settings, progress, deliveries, dropping: Mutex::default(), hedges: Semaphore::new(hedge::HEDGES) }
    }

    /// Reads an object from whichever source delivers it first, into `body`, and says where it came from.
    /// Failures are counted in `attempts`, so that another call for the same object starts where this one ended.
    ///
    /// # Errors
    /// [`Exhausted`] when every source lacks it, cannot read it or delivered it wrongly twice, or when none delivered anything for `max_wait`.
    pub async fn fetch(&self, want: &Want, attempts: &mut Attempts, body: &mut Vec<u8>) -> Result<Origin, Exhausted> {
        let (mut pauses, begun) = (self.pauses(), Instant::now());
        loop {
            while let Some(index) = plan::choose(self.candidates(attempts)) {
                if let Some(origin) = self.try_one(index, want, attempts, begun, body).await {
                    return Ok(origin);
                }
            }
            self.check_hope(want, attempts, begun)?;
            match attempts.all_wait_until(self.askable(attempts)) {
                Some(time) => tokio::time::sleep_until(time).await,
                None => {
                    let pause = pauses.next().unwrap_or(self.settings.longest_pause);
                    tokio::time::sleep(attempts.at_least(pause)).await;
                }
            }
            attempts.begin_round();
        }
    }

    /// Says that what `origin` delivered for this object is wrong, and why: a strike.
    pub fn reject(&self, origin: Origin, attempts: &mut Attempts, reason: &str) {
        let source = &self.sources[origin.source];
        attempts.wrong(origin.source);
        let strikes = source.strike(reason);
        self.report_failure(source, reason);
        if strikes == STRIKES_TO_DROP {
            self.drop_unless_last(origin.source);
        }
    }

    /// What came from each source so far.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.sources.iter().map(Source::report).collect()
    }

    /// Whether a source holds chunks as they are, and not as frames.
    #[must_use]
    pub fn any_raw(&self) -> bool {
        self.sources.iter().any(|source| source.form() == Form::Raw)
    }

    /// How a source is named.
    #[must_use]
    pub fn name(&self, origin: Origin) -> &str {
        self.sources[origin.source].name()
    }

    fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.settings.first_pause)
            .with_max_delay(self.settings.longest_pause)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// The sources that may still deliver this object in this round.
    fn candidates(&self, attempts: &Attempts) -> impl Iterator<Item = Candidate> {
        let usable = |&(index, source): &(usize, &Source)| !source.dropped() && attempts.may_ask(index);
        let candidate = |(index, source): (usize, &Source)| Candidate {
            index,
            resting: source.resting(),
            on_probation: source.on_probation(),
            in_flight: source.in_flight(),
            since_delivery: source.since_delivery(),
        };
        self.sources.iter().enumerate().filter(usable).map(candidate)
    }

    /// The sources that may still deliver this object in some round.
    fn askable(&self, attempts: &Attempts) -> impl Iterator<Item = usize> {
        (0..self.sources.len()).filter(|&index| !self.sources[index].dropped() && !attempts.is_hopeless(index))
    }

    fn failed(&self, index: usize, error: &store::Error, attempts: &mut Attempts) {
        let source = &self.sources[index];
        match error.kind {
            ErrorKind::NotFound | ErrorKind::NoSuchStore | ErrorKind::Denied | ErrorKind::Credentials(_) => {
                attempts.missing(index, source.remembers_absence().min(self.settings.max_wait))
            }
            // The size comes from the signed manifest: a longer body cannot be right.
            ErrorKind::TooLarge => {
                attempts.wrong(index);
                if source.strike(&error.reason) == STRIKES_TO_DROP {
                    self.drop_unless_last(index);
                }
            }
            ErrorKind::Unavailable { retry_after } => attempts.wait_for(retry_after),
            ErrorKind::Io => attempts.unreadable(index),
            ErrorKind::Interrupted | ErrorKind::Unreachable | ErrorKind::BadAnswer | ErrorKind::Conflict | ErrorKind::NoSpace => {}
        }
        self.report_failure(source, &error.one_line());
    }

    fn report_failure(&self, source: &Source, reason: &str) {
        self.progress.event(Event::SourceFailed { source: source.name().to_owned(), reason: reason.to_owned() });
    }

    fn drop_unless_last(&self, index: usize) {
        // Two sources that are dropped at the same moment must not each count on the other.
        let _one_at_a_time = self.dropping.lock().expect("no holder of this lock panics");
        let others = self.sources.iter().enumerate().filter(|(i, source)| *i != index && !source.dropped()).count();
        if others > 0 {
            self.sources[index].drop_for_run();
            let text =
                format!("{} delivered wrong bytes {STRIKES_TO_DROP} times and is not asked again in this run", self.sources[index].name());
            self.progress.event(Event::Warning { text });
        }
    }

    /// Whether another round can succeed, for somebody who has waited since `begun`: what was done before that is not the sources' silence.
    fn check_hope(&self, want: &Want, attempts: &Attempts, begun: Instant) -> Result<(), Exhausted> {
        if self.askable(attempts).next().is_none() {
            let (key, lines) = (want.framed.key.to_string(), self.lines(attempts));
            return Err(match attempts.worst() {
                Worst::Wrong => Exhausted::Wrong { key, lines },
                Worst::Unreadable => Exhausted::Unreadable { key, lines },
                Worst::Absent => Exhausted::Missing { key, lines },
            });
        }
        // "Absent" is an answer: who gives it is not silent.
        let answered = attempts.all_wait_until(self.askable(attempts)).is_some();
        let waited = self.silent_for(begun);
        if waited >= self.settings.max_wait && !answered {
            return Err(Exhausted::Silent { waited: Duration::from_secs(waited.as_secs()), lines: self.lines(attempts) });
        }
        Ok(())
    }

    fn lines(&self, attempts: &Attempts) -> Vec<String> {
        self.sources.iter().enumerate().map(|(index, source)| format!("{}: {}", source.name(), attempts.describe(index, source))).collect()
    }
}

#[cfg(test)]
mod tests;

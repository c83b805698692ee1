//! Several sources as one: every object can come from any of them.
//!
//! [`Sources`] asks whichever source can be expected to deliver first, each with as many requests at a time as it can use, and goes on to the
//! next when one fails. It knows nothing of manifests: whoever asked checks the bytes and says [`Sources::reject`] when they are wrong. A source
//! that keeps failing rests for a while, one that is far slower than the others is parked; one that keeps delivering wrong bytes is dropped
//! for the run, but never the last one. What costs money is asked only as far as the settings allow.
//!
//! The decisions are pure: `control.rs` (how many requests), `plan.rs` and `desk.rs` (whom to ask, who waits), `meter.rs` (money), `pace.rs` (the
//! rate of all together).

mod attempts;
mod buffers;
mod control;
mod desk;
mod estimate;
mod exhausted;
pub mod forms;
mod hedge;
mod ipfs;
mod metadata;
mod meter;
mod pace;
mod plan;
mod prices;
mod report;
mod settings;
mod source;
mod standing;
mod turn;
mod verified;
mod want;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    progress::{Event, Progress},
    store::{self, DynReadStore, ErrorKind},
};

pub use attempts::Attempts;
use attempts::Worst;
use buffers::Buffers;
use desk::{Desk, MayAsk};
pub use estimate::{Estimate, Work, cap_of};
pub use exhausted::{Exhausted, usd};
pub use ipfs::IpfsSource;
pub use metadata::{A_CENT, Allowance};
pub use meter::{Paid, Price, Prices};
use pace::Pace;
pub use prices::{
    Cdn, CostRange, GB_BYTES, InvalidPrice, InvalidPriceClass, InvalidTiers, Plan, PriceClass, PriceTable, ReadFrom, RegionPrices,
    ServerPrice, TB_BYTES, Tiers, micro_usd,
};
pub use report::{Failures, Report};
pub use settings::Settings;
pub use source::Form;
use source::{STRIKES_TO_DROP, Source};
use turn::Front;
pub use verified::RowsError;
pub use want::Want;

/// How long free sources that deliver nothing are waited for when those that cost money may not be asked any more.
const LONGEST_WAIT_AT_THE_CAP: Duration = Duration::from_secs(60);

/// Where a body came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source.
    pub source: usize,
    /// The form it delivered.
    pub form: Form,
}

/// Many readers as one.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
    settings: Settings,
    progress: Arc<dyn Progress>,
    front: Arc<Front>,
    pace: Mutex<Pace>,
    deliveries: Mutex<Deliveries>,
    hedges: Semaphore,
    /// Whether nothing follows what is under way.
    ending: watch::Sender<bool>,
    buffers: Buffers,
}

/// What is known of the bodies that arrived, from whichever source.
#[derive(Debug, Default)]
struct Deliveries {
    last: Option<Instant>,
    /// How long one usually takes.
    usual: Option<Duration>,
    /// Whether a source is waited for that is slower than any other may be.
    is_patient: bool,
}

impl Sources {
    /// The most requests in flight: more bodies than that are never under way.
    pub const MOST_IN_FLIGHT: usize = control::CEILING;

    /// Takes the stores with the form each holds, in the user's order.
    #[must_use]
    pub fn new(stores: Vec<(DynReadStore, Form)>, settings: Settings, progress: Arc<dyn Progress>) -> Self {
        let prices = stores.iter().map(|(store, _)| settings.prices.of(&store.charge()));
        let mut desk = Desk::new(prices, settings.paid, settings.cap_micro_usd);
        // One limit holds for all that a run reads.
        desk.spend(stores.iter().map(|(store, _)| store.metadata_micro_usd()).sum());
        let front = Front::new(desk);
        Self {
            sources: stores.into_iter().map(|(store, form)| Source::new(store, form)).collect(),
            pace: Mutex::new(Pace::new(settings.limit_rate)),
            settings,
            progress,
            front,
            deliveries: Mutex::default(),
            hedges: Semaphore::new(desk::HEDGES),
            ending: watch::Sender::new(false),
            buffers: Buffers::default(),
        }
    }

    /// Reads an object from whichever source delivers it first, into `body`, and says where it came from.
    /// Failures are counted in `attempts`, so that another call for the same object starts where this one ended.
    ///
    /// # Errors
    /// [`Exhausted`] when every source lacks it, cannot read it or delivered it wrongly twice, when none delivered anything for `max_wait`, or
    /// when only sources are left that cost more than was agreed.
    pub async fn fetch(&self, want: &Want, attempts: &mut Attempts, body: &mut Vec<u8>) -> Result<Origin, Exhausted> {
        let (mut pauses, mut patience, mut begun) = (self.pauses(), self.pauses(), Instant::now());
        loop {
            loop {
                let room = self.keep_pace(want, &mut begun).await;
                let may_ask = self.may_ask(want, attempts);
                // Who is left of this round may be busy for longer than it takes those who failed to be well again.
                let is_late = !may_ask.is_empty() && attempts.was_asked(self.askable(want, attempts));
                let longest = if is_late { patience.next().unwrap_or(self.settings.longest_pause) } else { Duration::MAX };
                let Ok(slot) = tokio::time::timeout(longest, self.front.turn(may_ask)).await else {
                    self.check_hope(want, attempts, begun)?;
                    attempts.begin_round();
                    continue;
                };
                let Some(slot) = slot else { break };
                let delivered = self.try_one(slot, want, attempts, begun, body).await;
                drop(room);
                if let Some(origin) = delivered {
                    return Ok(origin);
                }
            }
            self.check_hope(want, attempts, begun)?;
            match attempts.all_wait_until(self.askable(want, attempts)) {
                Some(time) => tokio::time::sleep_until(time).await,
                None => {
                    let pause = pauses.next().unwrap_or(self.settings.longest_pause);
                    let is_alone = self.askable(want, attempts).nth(1).is_none();
                    tokio::time::sleep(if is_alone { attempts.at_least(pause) } else { pause }).await;
                }
            }
            attempts.begin_round();
        }
    }

    /// Says that what `origin` delivered for this object is wrong, and why: a strike.
    pub fn reject(&self, origin: Origin, attempts: &mut Attempts, reason: &str) {
        attempts.wrong(origin.source);
        self.strike(origin.source, reason);
        self.report_failure(origin.source, reason);
    }

    /// Says that objects are going to be asked for, and for how many bodies at a time there is memory.
    pub fn begin(&self, lanes: usize) {
        self.front.with_desk(|desk, _| desk.expect(lanes, false));
        self.ending.send_replace(false);
    }

    /// Says that nothing follows the objects that are asked for now: who is idle may help with what others are slow to deliver.
    pub fn nothing_follows(&self, lanes: usize) {
        self.front.with_desk(|desk, _| desk.expect(lanes, true));
        self.ending.send_replace(true);
    }

    /// Takes back a body that [`Sources::fetch`] filled, for its memory.
    pub fn give_back(&self, body: Vec<u8>) {
        self.buffers.give_back(body);
    }

    /// What came from each source so far.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        (0..self.sources.len()).map(|index| self.report(index)).collect()
    }

    /// Whether a source holds chunks in this form.
    #[must_use]
    pub fn any_has(&self, form: Form) -> bool {
        self.sources.iter().any(|source| source.form() == form)
    }

    /// How a source is named.
    #[must_use]
    pub fn name(&self, origin: Origin) -> &str {
        self.sources[origin.source].name()
    }

    fn report(&self, index: usize) -> Report {
        let mut report = self.sources[index].report();
        let (busy, cost) = self.front.with_desk(|desk, now| (desk.busy(now, index), desk.cost_micro_usd(index)));
        let rate = report.bytes as f64 / busy.as_secs_f64();
        report.bytes_per_second = rate.is_finite().then_some(rate as u64);
        report.cost_micro_usd = cost;
        report.metadata_micro_usd = cost.map(|_| self.sources[index].store().metadata_micro_usd());
        report
    }

    fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.settings.first_pause)
            .with_max_delay(self.settings.longest_pause)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Waits until the object may come without passing the limit of the rate. That is no silence of the sources.
    async fn keep_pace(&self, want: &Want, begun: &mut Instant) -> Room<'_> {
        let room = Room { pace: &self.pace, bytes: want.largest() };
        let pause = self.with_pace(|pace| pace.reserve(self.front.now(), room.bytes));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            *begun = Instant::now();
        }
        room
    }

    fn with_pace<T>(&self, work: impl FnOnce(&mut Pace) -> T) -> T {
        work(&mut self.pace.lock().expect("no holder of this lock panics"))
    }

    /// The sources that may still deliver this object in this round.
    fn may_ask(&self, want: &Want, attempts: &Attempts) -> MayAsk {
        let may_ask = self.sources.iter().enumerate().filter(|(index, _)| attempts.may_ask(*index));
        may_ask.map(|(index, source)| (index, want.object(source.form()).max_bytes)).collect()
    }

    /// The sources that may still deliver this object in some round.
    fn askable(&self, want: &Want, attempts: &Attempts) -> impl Iterator<Item = usize> {
        let hopeful = self.sources.iter().enumerate().filter(|(index, _)| !attempts.is_hopeless(*index));
        let open = hopeful.filter(|(index, source)| {
            let most_bytes = want.object(source.form()).max_bytes;
            self.front.with_desk(|desk, _| desk.is_open(*index, most_bytes))
        });
        open.map(|(index, _)| index)
    }

    fn failed(&self, index: usize, error: &store::Error, attempts: &mut Attempts) {
        let source = &self.sources[index];
        match error.kind {
            ErrorKind::NotFound | ErrorKind::Denied => attempts.missing(index, source.remembers_absence().min(self.settings.max_wait)),
            ErrorKind::NoSuchStore => attempts.missing(index, Duration::ZERO),
            ErrorKind::Credentials(fault) => attempts.refused(index, fault),
            // The size comes from the signed manifest: a longer body cannot be right.
            ErrorKind::TooLarge | ErrorKind::WrongBytes => {
                attempts.wrong(index);
                self.strike(index, &error.reason);
            }
            ErrorKind::BadAnswer => attempts.bad_answer(index),
            ErrorKind::Io => attempts.unreadable(index),
            ErrorKind::TooSlow => self.bear_slowness(index),
            ErrorKind::Unavailable { retry_after } => attempts.wait_for(retry_after),
            ErrorKind::Interrupted | ErrorKind::Unreachable | ErrorKind::Conflict | ErrorKind::NoSpace => {}
        }
        self.report_failure(index, &error.one_line());
    }

    /// Nobody else delivers, and with a single request at a time it is still too slow: better so than not at all.
    fn bear_slowness(&self, index: usize) {
        if self.front.with_desk(|desk, now| desk.is_alone(now, index)) {
            self.sources[index].store().be_patient();
            let is_first = !std::mem::replace(&mut self.with_deliveries().is_patient, true);
            if is_first {
                let text = format!("{} is very slow, and no other source delivers anything: it is waited for", self.sources[index].name());
                self.progress.event(Event::Warning { text });
            }
        }
    }

    fn report_failure(&self, index: usize, reason: &str) {
        self.progress.event(Event::SourceFailed { source: self.sources[index].name().to_owned(), reason: reason.to_owned() });
    }

    fn strike(&self, index: usize, reason: &str) {
        let source = &self.sources[index];
        if source.strike(reason) == STRIKES_TO_DROP && self.front.with_desk(|desk, _| desk.drop_unless_last(index)) {
            let text = format!("{} delivered wrong bytes {STRIKES_TO_DROP} times and is not asked again in this run", source.name());
            self.progress.event(Event::Warning { text });
        }
    }

    /// Whether another round can succeed, for somebody who has waited since `begun`: what was done before that is not the sources' silence.
    fn check_hope(&self, want: &Want, attempts: &Attempts, begun: Instant) -> Result<(), Exhausted> {
        self.check_means(want, attempts, begun)?;
        if self.askable(want, attempts).next().is_none() || attempts.only_bad_answers(self.askable(want, attempts)) {
            let (key, lines) = (want.key().to_string(), self.lines(want, attempts));
            return Err(match attempts.worst() {
                Worst::Wrong => Exhausted::Wrong { key, lines },
                Worst::Unreadable => Exhausted::Unreadable { key, lines },
                Worst::Refused(fault) => Exhausted::Refused { key, fault, lines },
                Worst::Absent => Exhausted::Missing { key, lines },
            });
        }
        // "Absent" is an answer: who gives it is not silent.
        let answered = attempts.all_wait_until(self.askable(want, attempts)).is_some();
        let waited = self.silent_for(begun);
        if waited >= self.settings.max_wait && !answered {
            return Err(Exhausted::Silent { waited: Duration::from_secs(waited.as_secs()), lines: self.lines(want, attempts) });
        }
        Ok(())
    }

    /// Whether money is what stands between this object and the sources that may have it. Those that are free are waited for if they may
    /// have it too; where the cap is reached and they deliver nothing, not for long: what happens then is for whoever set it to decide.
    fn check_means(&self, want: &Want, attempts: &Attempts, begun: Instant) -> Result<(), Exhausted> {
        let beyond_means = |(index, source): (usize, &Source)| {
            let most_bytes = want.object(source.form()).max_bytes;
            !attempts.is_hopeless(index) && self.front.with_desk(|desk, _| desk.costs_too_much(index, most_bytes))
        };
        let (is_refused, is_free_left) = (self.settings.paid == Paid::Refused, self.askable(want, attempts).next().is_some());
        let waits = is_free_left && (is_refused || self.silent_for(begun) < LONGEST_WAIT_AT_THE_CAP.min(self.settings.max_wait));
        if waits || !self.sources.iter().enumerate().any(beyond_means) {
            return Ok(());
        }
        let (key, lines) = (want.key().to_string(), self.lines(want, attempts));
        if is_refused {
            return Err(Exhausted::NoConsent { key, lines });
        }
        let (spent_micro_usd, cap_micro_usd) = self.front.with_desk(|desk, _| desk.spent_and_cap_micro_usd());
        Err(Exhausted::Cap { key, spent_micro_usd, cap_micro_usd, lines })
    }

    fn lines(&self, want: &Want, attempts: &Attempts) -> Vec<String> {
        let never_asked = |index| {
            let (is_dropped, is_refused) = self.front.with_desk(|desk, _| (desk.dropped(index), desk.is_refused(index)));
            match (is_dropped, is_refused) {
                (true, _) => "dropped after too many wrong bytes",
                (false, true) => "not asked, because it costs money",
                (false, false) => "not asked",
            }
        };
        let line = |(index, source): (usize, &Source)| {
            let told = attempts.describe(index, source, &want.object(source.form()).key).unwrap_or_else(|| never_asked(index).to_owned());
            format!("{}: {told}", source.name())
        };
        self.sources.iter().enumerate().map(line).collect()
    }
}

/// Room for one object below the limit of the rate. What was needed of it is counted when it arrives; the room itself is given back.
struct Room<'a> {
    pace: &'a Mutex<Pace>,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.pace.lock().expect("no holder of this lock panics").give_back(self.bytes);
    }
}

#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod tests;

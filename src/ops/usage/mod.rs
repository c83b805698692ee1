//! What was downloaded from each store: counted month by month, and told at each terabyte.

mod aws;
mod cloudwatch;
mod error;
mod event;
pub mod logs;
mod meter;
mod month;
mod numbers;
pub mod plan;
#[cfg(test)]
mod plan_tests;
pub mod projection;
pub mod sinks;
pub mod state;
#[cfg(test)]
mod tick_tests;

use std::{collections::BTreeSet, num::NonZeroU64, sync::Arc};

use serde::Serialize;

pub use aws::{Account, AwsError, AwsErrorKind, Call};
pub use cloudwatch::{CloudWatchBoard, CloudWatchMeter, Metered};
pub use error::{ClockError, Error, SourceError, one_line};
pub use event::{Event, EventId, InvalidEventId, InvalidStoreName, StoreName};
pub use meter::{KuboMeter, Meter, Read, Source};
pub use month::{InvalidMonth, Month};
pub use numbers::{Numbers, StoreNumbers};

use self::{
    plan::{Advanced, Reading, Remark},
    sinks::{Delivered, Missed, Sinks},
    state::{Pending, SinkName, State},
};
use crate::{
    store::{DynWriteStore, Swap},
    types::Timestamp,
};

/// The most stores that are counted: what is known of all of them is one small object.
pub const MOST_SOURCES: usize = 64;
/// How many bytes a terabyte is unless told otherwise: as AWS counts.
pub const TB_BYTES: NonZeroU64 = NonZeroU64::new(1 << 40).expect("that is not 0");
/// How often to begin anew when others change the state at the same time.
const ATTEMPTS: usize = 16;

/// What is counted, where it is kept, and who is told.
#[derive(Clone)]
pub struct Options {
    /// The store that has the state.
    pub store: DynWriteStore,
    /// What is counted.
    pub sources: Vec<Source>,
    /// How many bytes a terabyte is.
    pub tb_bytes: NonZeroU64,
    /// Who is told.
    pub sinks: Sinks,
    /// What time it is. It is asked for anew whenever a tick begins anew.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, sources, tb_bytes, sinks, clock: _ } = self;
        f.debug_struct("Options").field("store", store).field("sources", sources).field("tb_bytes", tb_bytes).field("sinks", sinks).finish()
    }
}

/// What came of a tick.
#[derive(Debug)]
pub struct Tick {
    /// What is known now.
    pub state: State,
    /// When it was.
    pub now: Timestamp,
    /// What each source said.
    pub read: Vec<Read>,
    /// What somebody should look at.
    pub remarks: Vec<Remark>,
    /// Who was told what.
    pub delivered: Delivered,
}

/// A store this month. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreUsage {
    /// Its name.
    pub store: StoreName,
    /// The month, UTC.
    pub month: Month,
    /// Bytes that were downloaded; `None` when its source has never known anything.
    pub bytes: Option<u64>,
    /// How many bytes a terabyte is.
    pub tb_bytes: u64,
    /// Whole terabytes of them.
    pub terabytes: u64,
    /// The end of the newest hour that its source knows of, or when its counter was read; `None` where there is none.
    pub data_until: Option<Timestamp>,
    /// Why its source could not be read.
    pub error: Option<String>,
}

/// Counts, gives each terabyte that was crossed its event, and tells it. Whoever calls shows the events itself, and then calls [`settle`].
///
/// # Errors
/// [`Error`]. A source that cannot be read, and a sink that cannot be told, are no errors of the tick.
pub async fn tick(options: &Options) -> Result<Tick, Error> {
    for _ in 0..ATTEMPTS {
        // 1. What is known. Sources are read after that: a counter that is older than what is known of it would look as if it had begun anew.
        let (known, tag) = state::load(&options.store).await?;
        let now = plan::no_earlier((options.clock)(), known.last_tick)?;
        // 2. What the sources say.
        let read = meter::read_all(&options.sources, &known, now).await;
        let readings: Vec<(StoreName, Reading)> =
            read.iter().filter_map(|read| Some((read.store.clone(), read.said.as_ref().ok()?.clone()))).collect();
        // 3. What follows.
        let Advanced { state, remarks } = plan::advance(known, &readings, now, options.tb_bytes)?;
        // 4. It counts once it is in the store; whoever was slower begins anew.
        if state::save(&options.store, &state, tag.as_ref()).await? == Swap::Lost {
            continue;
        }
        // 5. Everybody is told what they were not told before.
        let delivered = options.sinks.deliver(&state, now).await;
        return Ok(Tick { state, now, read, remarks, delivered });
    }
    Err(Error::Contended { store: options.store.name().to_owned() })
}

/// Remembers who was told what, so that it is not told again.
///
/// # Errors
/// [`Error`]; then it is told again.
pub async fn settle(options: &Options, told: &[(EventId, SinkName)]) -> Result<(), Error> {
    if told.is_empty() {
        return Ok(());
    }
    let wanted = options.sinks.names();
    for _ in 0..ATTEMPTS {
        let (mut state, tag) = state::load(&options.store).await?;
        plan::settle(&mut state, told, &wanted);
        if state::save(&options.store, &state, tag.as_ref()).await? != Swap::Lost {
            return Ok(());
        }
    }
    Err(Error::Contended { store: options.store.name().to_owned() })
}

/// Tells everybody of an event that is none, of a store named `test`: nothing is counted or kept. Gives who could not be told.
pub async fn test(options: &Options) -> (Event, Vec<Missed>) {
    let now = (options.clock)();
    let store: StoreName = "test".parse().expect("letters are a name");
    // Another number each time, or whoever heard of one test would not hear of the next.
    let number = u64::try_from(now.as_second()).unwrap_or(0).max(1);
    let id = EventId { store: store.clone(), month: Month::of(now), number };
    let pending = Pending { id, tb_bytes: options.tb_bytes, month_bytes: 0, noticed_at: now, sinks_done: BTreeSet::new() };
    let event = pending.event();
    let mut state = State::default();
    state.stores.insert(store, state::Store::default());
    state.outbox.push(pending);
    (event, options.sinks.deliver(&state, now).await.missed)
}

impl Tick {
    /// The events that the output was not told yet: those of this tick, and those of one that was cut off.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let untold = self.state.outbox.iter().filter(|pending| !pending.sinks_done.contains(&SinkName::Output));
        untold.map(Pending::event).collect()
    }

    /// Each store this month.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreUsage> {
        let month = Month::of(self.now);
        let of = |read: &Read| {
            let store = self.state.stores.get(&read.store);
            let tally = store.and_then(|store| store.months.get(&month));
            let counts = store.is_some_and(|store| store.data_until.is_some());
            StoreUsage {
                store: read.store.clone(),
                month,
                bytes: tally.filter(|_| counts).map(|tally| tally.bytes),
                tb_bytes: tally.map_or(0, |tally| tally.tb_bytes.get()),
                terabytes: tally.map_or(0, state::Tally::terabytes),
                data_until: store.and_then(|store| store.data_until),
                error: read.said.as_ref().err().map(|error| one_line(error)),
            }
        };
        self.read.iter().map(of).collect()
    }
}

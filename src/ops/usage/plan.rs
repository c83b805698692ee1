//! From what is known and what the sources say now, to what is known then, and which terabytes were crossed.
//!
//! Pure. It promises, whatever the sources say and whenever they are asked: no total of a month gets smaller; each terabyte of a month has
//! exactly one event, in order, none missing; no event that was not told to everybody is dropped.

use std::{collections::BTreeSet, num::NonZeroU64, time::Duration};

use jiff::SignedDuration;

use super::{
    error::ClockError,
    event::{EventId, StoreName},
    month::Month,
    state::{Counter, Pending, SinkName, State, Store, Tally},
};
use crate::types::Timestamp;

/// How long after its end a month may still get more: what CloudWatch is told late.
pub const LATE: SignedDuration = SignedDuration::from_hours(72);
/// How far back CloudWatch knows hours.
const KNOWN: SignedDuration = SignedDuration::from_hours(455 * 24);
/// How long a month is kept: as long as it takes to compare any month with the same one of the year before, and with the one before that.
const KEPT: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);
/// The most events that wait to be told to everybody. The rest have no name until there is room: the totals of the months know how many they
/// are, so none is lost, and the state stays small whatever a webhook does.
pub const MOST_PENDING: usize = 1000;
/// How much two clocks may differ that are both right.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// For how long a source that knew something may know nothing more before somebody is told.
const SILENCE: SignedDuration = SignedDuration::from_hours(24);
/// One hour of a source of hours.
pub const HOUR: Duration = Duration::from_secs(3600);
/// How much a program's own idea of when it began may move: it is made from a clock that is being set.
const SAME_START: SignedDuration = SignedDuration::from_secs(60);

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Bytes of each hour since the first month that is not closed, as far as they are known.
    Hours(Hours),
    /// A counter that never stops, but begins anew with its program.
    Counter(Counter),
}

/// Bytes of hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// When each hour began, and its bytes. Hours of which nothing is known are not there.
    pub hours: Vec<(Timestamp, u64)>,
    /// Whether this is all that is known, or only a part of that.
    pub complete: bool,
    /// What time it is, as the source has it.
    pub server_time: Option<Timestamp>,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// What is known now.
    pub state: State,
    /// What somebody should look at.
    pub remarks: Vec<Remark>,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The source has never known anything.
    NoData {
        /// Whose source.
        store: StoreName,
    },
    /// The source knew something, and nothing since.
    Silent {
        /// Whose source.
        store: StoreName,
        /// The end of the newest hour that it knows.
        until: Timestamp,
    },
    /// The source gave a part of what it knows.
    Partial {
        /// Whose source.
        store: StoreName,
    },
    /// A month is given up: its source knows it no longer.
    GivenUp {
        /// Whose month.
        store: StoreName,
        /// Which one.
        month: Month,
    },
    /// There is no room for more events: nobody takes those that wait.
    OutboxFull,
    /// A terabyte has another length from the next month on.
    OtherSize {
        /// In whose months.
        store: StoreName,
        /// What it is this month.
        tb_bytes: NonZeroU64,
    },
}

/// The time to go by: what the clock says, or when the state was last written where that is a little later, by the clock of another machine.
///
/// # Errors
/// When the state was written much later than the clock says.
pub fn no_earlier(now: Timestamp, last_tick: Option<Timestamp>) -> Result<Timestamp, ClockError> {
    match last_tick {
        Some(last) if last.duration_since(now) > SKEW => Err(ClockError::BehindState { now, last }),
        Some(last) => Ok(now.max(last)),
        None => Ok(now),
    }
}

/// The months of a store that are asked for: all since the first that is not closed.
#[must_use]
pub fn open_months(store: Option<&Store>, now: Timestamp) -> Vec<Month> {
    let current = Month::of(now);
    let months = store.map(|store| &store.months);
    let first_open = months.and_then(|months| months.iter().find(|(_, tally)| !tally.closed).map(|(month, _)| *month));
    let after_last = months.and_then(|months| months.keys().next_back().map(|month| month.next()));
    let first = first_open.or(after_last).unwrap_or(current);
    let all = std::iter::successors(Some(first), |month| (*month < current).then(|| month.next()));
    all.filter(|month| *month <= current && is_known(*month, now)).collect()
}

/// Whether CloudWatch still knows all hours of a month.
fn is_known(month: Month, now: Timestamp) -> bool {
    now.duration_since(month.start()) <= KNOWN
}

/// Adds what the sources say. Stores without a reading, because theirs could not be read, keep what is known of them.
///
/// # Errors
/// When the clock cannot be right.
pub fn advance(mut state: State, readings: &[(StoreName, Reading)], now: Timestamp, tb_bytes: NonZeroU64) -> Result<Advanced, ClockError> {
    let now = no_earlier(now, state.last_tick)?;
    readings.iter().try_for_each(|(_, reading)| judge_server(now, reading))?;
    let mut remarks = Vec::new();
    for (name, reading) in readings {
        let store = state.stores.entry(name.clone()).or_default();
        let open = open_months(Some(store), now);
        for month in &open {
            store.months.entry(*month).or_insert_with(|| Tally::new(tb_bytes));
        }
        add(store, reading, &open, now);
        remarks.extend(remarks_on(name, store, reading, now, tb_bytes));
    }
    let has_room = issue(&mut state, now);
    remarks.extend((!has_room).then_some(Remark::OutboxFull));
    close(&mut state, readings, now);
    remarks.extend(forget(&mut state, now));
    // It is what a watchdog goes by: a tick that could read nothing has counted nothing.
    if !readings.is_empty() {
        state.last_tick = Some(now);
    }
    Ok(Advanced { state, remarks })
}

fn judge_server(now: Timestamp, reading: &Reading) -> Result<(), ClockError> {
    match reading {
        Reading::Hours(Hours { server_time: Some(server), .. }) if server.duration_since(now).abs() > SKEW => {
            Err(ClockError::OffServer { now, server: *server })
        }
        Reading::Hours(_) | Reading::Counter(_) => Ok(()),
    }
}

fn add(store: &mut Store, reading: &Reading, open: &[Month], now: Timestamp) {
    match reading {
        Reading::Hours(hours) => add_hours(store, hours, open),
        Reading::Counter(counter) => add_counted(store, *counter, now),
    }
}

/// The sum of a month's hours counts where it is greater than what is known: a part of the hours never lowers a total, and hours that come
/// late are added whenever they come.
fn add_hours(store: &mut Store, hours: &Hours, open: &[Month]) {
    for month in open {
        let span = month.start()..month.end();
        let of_month = hours.hours.iter().filter(|(start, _)| span.contains(start));
        let seen = of_month.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        raise(store, *month, seen);
    }
    let newest = hours.hours.iter().filter_map(|(start, _)| start.checked_add(HOUR).ok()).max();
    store.data_until = store.data_until.max(newest);
}

/// What a counter gained since it was read last belongs to the month in which it is read. One that shows less than before, or whose program
/// began at another time, began at 0 in between. When it is read for the first time nobody knows what of it is of this month.
fn add_counted(store: &mut Store, counter: Counter, now: Timestamp) {
    let month = Month::of(now);
    let gained = match store.counter {
        None => 0,
        Some(before) if began_anew(before, counter) => counter.last,
        Some(before) => counter.last - before.last,
    };
    let since = store.counter.filter(|before| !began_anew(*before, counter)).and_then(|before| before.since);
    let bytes = store.months.get(&month).map_or(0, |tally| tally.bytes).saturating_add(gained);
    raise(store, month, bytes);
    store.counter = Some(Counter { since: counter.since.or(since), ..counter });
    store.data_until = store.data_until.max(Some(now));
}

fn began_anew(before: Counter, now: Counter) -> bool {
    let moved = before.since.zip(now.since).is_some_and(|(before, now)| now.duration_since(before).abs() > SAME_START);
    moved || now.last < before.last
}

fn raise(store: &mut Store, month: Month, bytes: u64) {
    let Some(tally) = store.months.get_mut(&month) else { return };
    let more = bytes.saturating_sub(tally.bytes);
    tally.bytes += more;
    store.total_bytes = store.total_bytes.saturating_add(more);
}

fn remarks_on(name: &StoreName, store: &Store, reading: &Reading, now: Timestamp, tb_bytes: NonZeroU64) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if let Reading::Hours(hours) = reading {
        let silent = |until: Timestamp| now.duration_since(until) > SILENCE;
        match store.data_until {
            _ if !hours.complete => remarks.push(Remark::Partial { store: name.clone() }),
            None => remarks.push(Remark::NoData { store: name.clone() }),
            Some(until) if silent(until) => remarks.push(Remark::Silent { store: name.clone(), until }),
            Some(_) => {}
        }
    }
    let current = store.months.get(&Month::of(now));
    let other = current.filter(|tally| tally.tb_bytes != tb_bytes);
    remarks.extend(other.map(|tally| Remark::OtherSize { store: name.clone(), tb_bytes: tally.tb_bytes }));
    remarks
}

/// Gives each terabyte that was crossed its event, the oldest month first, as long as there is room; whether there was.
fn issue(state: &mut State, now: Timestamp) -> bool {
    let outbox = &mut state.outbox;
    for (name, store) in &mut state.stores {
        for (month, tally) in &mut store.months {
            while tally.untold() > 0 {
                if outbox.len() >= MOST_PENDING {
                    return false;
                }
                tally.told_tb += 1;
                store.total_told = store.total_told.saturating_add(1);
                outbox.push(Pending {
                    id: EventId { store: name.clone(), month: *month, number: tally.told_tb },
                    tb_bytes: tally.tb_bytes,
                    month_bytes: tally.bytes,
                    noticed_at: now,
                    sinks_done: Default::default(),
                });
            }
        }
    }
    true
}

/// Closes months that ended long enough ago, if all that is known of them was heard after that, and each of their terabytes has its event.
fn close(state: &mut State, readings: &[(StoreName, Reading)], now: Timestamp) {
    let whole = |reading: &Reading| !matches!(reading, Reading::Hours(hours) if !hours.complete);
    for (name, _) in readings.iter().filter(|(_, reading)| whole(reading)) {
        let Some(store) = state.stores.get_mut(name) else { continue };
        for (month, tally) in &mut store.months {
            tally.closed |= now.duration_since(month.end()) >= LATE && is_known(*month, now) && tally.untold() == 0;
        }
    }
}

/// Drops months that are old enough, and closes those that nobody can add to any more. A terabyte without an event keeps its month.
fn forget(state: &mut State, now: Timestamp) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (name, store) in &mut state.stores {
        for (month, tally) in &mut store.months {
            if !tally.closed && tally.untold() == 0 && !is_known(*month, now) {
                tally.closed = true;
                remarks.push(Remark::GivenUp { store: name.clone(), month: *month });
            }
        }
        store.months.retain(|month, tally| !tally.closed || now.duration_since(month.end()) <= KEPT);
    }
    remarks
}

/// Remembers who was told what, and drops what all of `wanted` were told.
pub fn settle(state: &mut State, told: &[(EventId, SinkName)], wanted: &BTreeSet<SinkName>) {
    for pending in &mut state.outbox {
        pending.sinks_done.extend(told.iter().filter(|(id, _)| *id == pending.id).map(|(_, sink)| *sink));
    }
    state.outbox.retain(|pending| !wanted.is_subset(&pending.sinks_done));
}

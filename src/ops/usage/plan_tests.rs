//! The plan against tables, and against a year of hours in which everything goes wrong that can.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
};

use jiff::SignedDuration;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    error::ClockError,
    event::{EventId, StoreName},
    month::Month,
    plan::{Advanced, HOUR, Hours, MOST_PENDING, Reading, Remark, advance, no_earlier, open_months},
    state::{Counter, SinkName, State, Tally},
};
use crate::types::Timestamp;

const TB: NonZeroU64 = NonZeroU64::new(1000).unwrap();

fn name(text: &str) -> StoreName {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

/// All that is known of these hours.
fn hours(of: &[(&str, u64)]) -> Reading {
    Reading::Hours(Hours { hours: of.iter().map(|(start, bytes)| (at(start), *bytes)).collect(), complete: true, server_time: None })
}

fn counter(last: u64, since: Option<&str>) -> Reading {
    Reading::Counter(Counter { last, since: since.map(at) })
}

#[track_caller]
fn tick(state: State, reading: Reading, now: &str) -> Advanced {
    advance(state, &[(name("cdn"), reading)], at(now), TB).unwrap()
}

fn ids(state: &State) -> Vec<String> {
    state.outbox.iter().map(|pending| pending.id.to_string()).collect()
}

fn tally(state: &State, of: &str) -> Tally {
    state.stores[&name("cdn")].months[&month(of)]
}

#[test]
fn each_terabyte_has_one_event_in_order() {
    let first = tick(State::default(), hours(&[("2026-11-01T00:00:00Z", 2500)]), "2026-11-01T01:00:00Z");
    assert_eq!(ids(&first.state), ["cdn/2026-11/1", "cdn/2026-11/2"]);
    assert_eq!(first.state.outbox[0].month_bytes, 2500);
    let same = tick(first.state.clone(), hours(&[("2026-11-01T00:00:00Z", 2999)]), "2026-11-01T02:00:00Z");
    assert_eq!(ids(&same.state).len(), 2);
    let third = tick(first.state, hours(&[("2026-11-01T00:00:00Z", 3000)]), "2026-11-01T02:00:00Z");
    assert_eq!(ids(&third.state), ["cdn/2026-11/1", "cdn/2026-11/2", "cdn/2026-11/3"]);
    assert_eq!(third.state.stores[&name("cdn")].total_told, 3);
}

#[test]
fn a_part_of_an_answer_lowers_nothing_and_closes_nothing() {
    let known = tick(State::default(), hours(&[("2026-10-31T23:00:00Z", 2500)]), "2026-10-31T23:59:00Z").state;
    let part = Reading::Hours(Hours { hours: vec![(at("2026-10-31T23:00:00Z"), 1200)], complete: false, server_time: None });
    let after = tick(known.clone(), part, "2026-11-20T00:00:00Z");
    assert_eq!((tally(&after.state, "2026-10").bytes, tally(&after.state, "2026-10").closed), (2500, false));
    assert_eq!((ids(&after.state), after.remarks), (ids(&known), vec![Remark::Partial { store: name("cdn") }]));
    let whole = tick(after.state, hours(&[("2026-10-31T23:00:00Z", 3100), ("2026-11-19T12:00:00Z", 1)]), "2026-11-20T01:00:00Z");
    assert!(tally(&whole.state, "2026-10").closed && !tally(&whole.state, "2026-11").closed);
    assert_eq!(ids(&whole.state).last().unwrap(), "cdn/2026-10/3");
}

#[test]
fn a_month_closes_three_days_after_its_end_and_not_before() {
    let late = [("2026-10-31T23:00:00Z", 1000)];
    for (now, closed) in [("2026-11-03T23:59:59Z", false), ("2026-11-04T00:00:00Z", true)] {
        let known = tick(State::default(), hours(&[]), "2026-10-31T23:30:00Z").state;
        let after = tick(known, hours(&late), now).state;
        assert_eq!((tally(&after, "2026-10").closed, ids(&after)), (closed, vec!["cdn/2026-10/1".to_owned()]), "{now}");
        let more = tick(after, hours(&[("2026-10-31T23:00:00Z", 2000)]), "2026-11-04T01:00:00Z").state;
        assert_eq!(ids(&more).len(), if closed { 1 } else { 2 });
    }
}

#[test]
fn months_in_which_nobody_looked_are_asked_for_and_counted() {
    let known = tick(State::default(), hours(&[]), "2026-01-31T00:00:00Z").state;
    let now = at("2026-06-15T00:00:00Z");
    let open = open_months(known.stores.get(&name("cdn")), now);
    assert_eq!((open.len(), open[0], *open.last().unwrap()), (6, month("2026-01"), month("2026-06")));
    let found = hours(&[("2026-01-31T12:00:00Z", 1000), ("2026-03-03T03:00:00Z", 2000), ("2026-06-14T23:00:00Z", 1000)]);
    let after = tick(known, found, "2026-06-15T00:00:00Z");
    assert_eq!(ids(&after.state), ["cdn/2026-01/1", "cdn/2026-03/1", "cdn/2026-03/2", "cdn/2026-06/1"]);
    assert_eq!(open_months(after.state.stores.get(&name("cdn")), now), [month("2026-06")]);
}

#[test]
fn a_month_that_its_source_knows_no_longer_is_given_up_aloud_and_an_old_one_is_dropped() {
    let known = tick(State::default(), hours(&[("2024-01-05T00:00:00Z", 1500)]), "2024-01-06T00:00:00Z").state;
    let after = tick(known, hours(&[]), "2025-12-20T00:00:00Z");
    assert!(after.remarks.contains(&Remark::GivenUp { store: name("cdn"), month: month("2024-01") }), "{:?}", after.remarks);
    assert_eq!(tally(&after.state, "2024-01").bytes, 1500);
    let later = tick(after.state, hours(&[]), "2026-02-15T00:00:00Z").state;
    assert!(!later.stores[&name("cdn")].months.contains_key(&month("2024-01")));
    assert_eq!((later.stores[&name("cdn")].total_bytes, ids(&later)), (1500, vec!["cdn/2024-01/1".to_owned()]));
}

#[test]
fn a_counter_that_begins_anew_is_counted_from_nothing() {
    let start = tick(State::default(), counter(700, None), "2026-11-01T01:00:00Z").state;
    assert_eq!(tally(&start, "2026-11").bytes, 0, "nobody knows when those were sent");
    let more = tick(start, counter(1900, None), "2026-11-01T02:00:00Z").state;
    assert_eq!((tally(&more, "2026-11").bytes, ids(&more).len()), (1200, 1));
    let less = tick(more, counter(300, None), "2026-11-01T03:00:00Z").state;
    assert_eq!(tally(&less, "2026-11").bytes, 1500);
    // It began anew, and has sent more than before already: only the time of its beginning tells.
    let (old, new) = (Some("2026-11-01T00:00:00Z"), Some("2026-11-01T04:00:00Z"));
    let timed = tick(less, counter(400, old), "2026-11-01T04:00:00Z").state;
    let silent = tick(timed, counter(400, None), "2026-11-01T04:30:00Z").state;
    let anew = tick(silent, counter(900, new), "2026-11-01T05:00:00Z").state;
    assert_eq!(tally(&anew, "2026-11").bytes, 1500 + 100 + 900);
    let same = tick(anew, counter(950, Some("2026-11-01T04:00:01Z")), "2026-11-01T06:00:00Z").state;
    assert_eq!(tally(&same, "2026-11").bytes, 2550, "clocks that are set do not begin a program anew");
}

#[test]
fn a_source_that_never_knew_anything_and_one_that_fell_silent_are_told_apart_from_one_at_rest() {
    let none = tick(State::default(), hours(&[]), "2026-11-10T00:00:00Z");
    assert_eq!(none.remarks, [Remark::NoData { store: name("cdn") }]);
    let some = tick(none.state, hours(&[("2026-11-10T00:00:00Z", 0)]), "2026-11-10T01:00:00Z");
    assert_eq!(some.remarks, []);
    let rest = tick(some.state, hours(&[("2026-11-10T00:00:00Z", 0)]), "2026-11-11T01:00:00Z");
    assert_eq!(rest.remarks, []);
    let silent = tick(rest.state, hours(&[("2026-11-10T00:00:00Z", 0)]), "2026-11-11T01:00:01Z");
    assert_eq!(silent.remarks, [Remark::Silent { store: name("cdn"), until: at("2026-11-10T01:00:00Z") }]);
}

#[test]
fn a_tick_that_can_read_nothing_has_not_counted() {
    let known = tick(State::default(), hours(&[]), "2026-11-10T00:00:00Z").state;
    let nothing = advance(known.clone(), &[], at("2026-11-10T09:00:00Z"), TB).unwrap();
    assert_eq!(nothing.state.last_tick, known.last_tick);
    // And what is known of a counter is known until it was read.
    let read = Reading::Counter(Counter { last: 5, since: None });
    let counted = advance(known, &[(name("ipfs"), read)], at("2026-11-10T10:00:00Z"), TB).unwrap().state;
    assert_eq!(
        (counted.stores[&name("ipfs")].data_until, counted.last_tick),
        (Some(at("2026-11-10T10:00:00Z")), Some(at("2026-11-10T10:00:00Z")))
    );
}

#[test]
fn a_clock_that_cannot_be_right_counts_nothing() {
    let known = tick(State::default(), hours(&[]), "2026-11-10T00:00:00Z").state;
    let reading = [(name("cdn"), hours(&[("2026-11-09T00:00:00Z", 5000)]))];
    let (now, last) = (at("2026-11-09T23:54:59Z"), at("2026-11-10T00:00:00Z"));
    assert_eq!(advance(known.clone(), &reading, now, TB), Err(ClockError::BehindState { now, last }));
    let behind = advance(known.clone(), &reading, at("2026-11-09T23:55:00Z"), TB).unwrap();
    assert_eq!(behind.state.last_tick, Some(last), "two machines may differ a little");
    assert_eq!(no_earlier(at("2026-12-01T00:00:00Z"), Some(last)), Ok(at("2026-12-01T00:00:00Z")));
    for (server, right) in [("2026-11-10T00:55:00Z", true), ("2026-11-10T00:54:59Z", false), ("2026-11-10T01:05:01Z", false)] {
        let reading = Reading::Hours(Hours { complete: true, server_time: Some(at(server)), ..Hours::default() });
        let now = at("2026-11-10T01:00:00Z");
        let off = Err(ClockError::OffServer { now, server: at(server) });
        let judged = advance(known.clone(), &[(name("cdn"), reading)], now, TB).map(drop);
        assert_eq!(judged, if right { Ok(()) } else { off }, "{server}");
    }
}

#[test]
fn what_does_not_fit_into_the_outbox_waits_and_is_not_lost() {
    let many = MOST_PENDING as u64 * 2 + 7;
    let reading = || hours(&[("2026-10-31T00:00:00Z", many * TB.get())]);
    let mut state = tick(State::default(), reading(), "2026-10-31T01:00:00Z");
    let mut told = Vec::new();
    for hour in 0..4 {
        assert!(state.state.outbox.len() <= MOST_PENDING);
        assert_eq!(state.remarks.contains(&Remark::OutboxFull), hour < 2, "{hour}");
        assert_eq!(tally(&state.state, "2026-10").closed, hour > 1, "a month with terabytes that nobody heard of stays open");
        told.extend(state.state.outbox.drain(..).map(|pending| pending.id.number));
        state = tick(state.state, reading(), &format!("2026-11-05T0{hour}:00:00Z"));
    }
    assert_eq!(told, (1..=many).collect::<Vec<_>>());
}

#[test]
fn another_length_of_a_terabyte_counts_from_the_next_month_on() {
    let other = NonZeroU64::new(500).unwrap();
    let known = tick(State::default(), hours(&[("2026-10-31T00:00:00Z", 2000)]), "2026-10-31T01:00:00Z").state;
    let reading = [(name("cdn"), hours(&[("2026-10-31T00:00:00Z", 2000), ("2026-11-01T00:00:00Z", 1000)]))];
    let same = advance(known.clone(), &reading[..], at("2026-10-31T02:00:00Z"), other).unwrap();
    assert_eq!((same.remarks, ids(&same.state).len()), (vec![Remark::OtherSize { store: name("cdn"), tb_bytes: TB }], 2));
    let next = advance(known, &reading[..], at("2026-11-01T01:00:00Z"), other).unwrap();
    assert_eq!(ids(&next.state)[2..], ["cdn/2026-11/1", "cdn/2026-11/2"]);
    assert_eq!((tally(&next.state, "2026-10").tb_bytes, tally(&next.state, "2026-11").tb_bytes), (TB, other));
}

#[test]
fn a_total_beyond_all_numbers_is_no_panic() {
    let all = [("2026-11-01T00:00:00Z", u64::MAX), ("2026-11-01T01:00:00Z", u64::MAX)];
    let after = advance(State::default(), &[(name("cdn"), hours(&all))], at("2026-11-01T02:00:00Z"), NonZeroU64::MIN).unwrap();
    assert_eq!((tally(&after.state, "2026-11").bytes, after.state.outbox.len()), (u64::MAX, MOST_PENDING));
}

/// A year of a CDN, whose hours are known late, and of a node that is started again now and then.
struct World {
    rng: StdRng,
    start: Timestamp,
    hour: usize,
    /// Of each hour: its bytes, after how many hours half of them are known, and after how many all.
    cdn: Vec<(u64, usize, usize)>,
    counter: u64,
    since: Timestamp,
    /// What the counter gained since it was read, or since it began.
    unread: Option<u64>,
    node: BTreeMap<Month, u64>,
    /// The state in the store.
    state: State,
    issued: Vec<EventId>,
    heard: Vec<EventId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let start = at("2027-01-01T00:00:00Z");
        let hours = 365 * 24;
        let cdn = (0..hours).map(|_| {
            let bytes = if rng.random_ratio(1, 200) { rng.random_range(0..20_000) } else { rng.random_range(0..400) };
            let half = rng.random_range(1..30);
            (bytes, half, half + rng.random_range(0..30))
        });
        let cdn = cdn.collect();
        let (state, node) = (State::default(), BTreeMap::new());
        Self { rng, start, hour: 0, cdn, counter: 5000, since: start, unread: None, node, state, issued: Vec::new(), heard: Vec::new() }
    }

    fn now(&self) -> Timestamp {
        self.start + HOUR * u32::try_from(self.hour).unwrap() + SignedDuration::from_mins(7)
    }

    fn time_of(&self, hour: usize) -> Timestamp {
        self.start + HOUR * u32::try_from(hour).unwrap()
    }

    /// An hour goes by.
    fn pass(&mut self) {
        self.hour += 1;
        if self.rng.random_ratio(1, 150) {
            (self.counter, self.since) = (0, self.now());
            self.unread = self.unread.map(|_| 0);
        }
        let sent = self.rng.random_range(0..500);
        self.counter += sent;
        self.unread = self.unread.map(|unread| unread + sent);
    }

    /// What `CloudWatch` says: all that it knows, or a part of it.
    fn hours(&mut self, share: f64) -> Reading {
        let first = open_months(self.state.stores.get(&name("cdn")), self.now())[0].start();
        let known = |hour: usize, (bytes, half, whole): (u64, usize, usize)| match self.hour - hour {
            age if age >= whole => Some(bytes),
            age if age >= half => Some(bytes / 2),
            _ => None,
        };
        let first = usize::try_from(first.duration_since(self.start).as_hours()).unwrap_or(0);
        let all = self.cdn.iter().enumerate().take(self.hour + 1).skip(first);
        let all = all.filter_map(|(hour, of)| Some((self.time_of(hour), known(hour, *of)?)));
        let all: Vec<_> = all.collect();
        let hours = all.into_iter().filter(|_| share >= 1.0 || self.rng.random_bool(share)).collect();
        Reading::Hours(Hours { hours, complete: share >= 1.0, server_time: Some(self.now()) })
    }

    fn readings(&mut self, share: f64, with_node: bool) -> Vec<(StoreName, Reading)> {
        let node = Reading::Counter(Counter { last: self.counter, since: Some(self.since) });
        let node = with_node.then(|| (name("ipfs"), node));
        let cdn = (share > 0.0).then(|| (name("cdn"), self.hours(share)));
        cdn.into_iter().chain(node).collect()
    }

    /// One tick that wins its swap.
    fn tick(&mut self, share: f64, with_node: bool) {
        let readings = self.readings(share, with_node);
        let before: BTreeSet<EventId> = self.state.outbox.iter().map(|pending| pending.id.clone()).collect();
        let now = self.now();
        self.state = advance(self.state.clone(), &readings, now, TB).unwrap().state;
        self.issued.extend(self.state.outbox.iter().map(|pending| pending.id.clone()).filter(|id| !before.contains(id)));
        if with_node {
            let unread = self.unread.replace(0).unwrap_or(0);
            *self.node.entry(Month::of(now)).or_default() += unread;
        }
    }

    /// Two at once: the second reads the same state, loses its swap, and begins anew.
    fn two_ticks(&mut self) {
        let (before, readings) = (self.state.clone(), self.readings(1.0, true));
        self.tick(1.0, true);
        drop(advance(before, &readings, self.now(), TB).unwrap());
        self.tick(1.0, true);
    }

    /// Tells a receiver what waits; whether that is remembered.
    fn deliver(&mut self, is_up: bool, is_remembered: bool) {
        if is_up {
            self.heard.extend(self.state.outbox.iter().map(|pending| pending.id.clone()));
        }
        if is_up && is_remembered {
            let ids: Vec<_> = self.state.outbox.iter().map(|pending| (pending.id.clone(), SinkName::Webhook)).collect();
            super::plan::settle(&mut self.state, &ids, &BTreeSet::from([SinkName::Webhook]));
        }
    }

    fn live(&mut self) {
        let (mut asleep, mut deaf) = (0, 0);
        while self.hour + 1 < self.cdn.len() {
            self.pass();
            asleep = if self.rng.random_ratio(1, 1500) { self.rng.random_range(1..24 * 40) } else { asleep - 1 };
            deaf = if self.rng.random_ratio(1, 1000) { self.rng.random_range(1..24 * 10) } else { deaf - 1 };
            if asleep > 0 {
                continue;
            }
            match self.rng.random_range(0..100) {
                0..8 => continue,
                8..16 => self.two_ticks(),
                16..24 => {
                    let share = self.rng.random_range(0.0..1.0);
                    self.tick(share, true);
                }
                24..30 => self.tick(1.0, false),
                30..36 => self.tick(0.0, true),
                _ => self.tick(1.0, true),
            }
            let is_remembered = !self.rng.random_ratio(1, 20);
            self.deliver(deaf <= 0, is_remembered);
        }
        // The last hours become known, and the last month closes.
        for _ in 0..24 * 5 {
            self.pass();
        }
        self.tick(1.0, true);
        self.deliver(true, true);
    }
}

/// What must have been told, by the bytes of each month.
fn expected(store: &str, months: &BTreeMap<Month, u64>) -> Vec<EventId> {
    let id = |month: Month, number| EventId { store: name(store), month, number };
    months
        .iter()
        .flat_map(|(month, bytes)| (1..=*bytes / TB).map(move |number| (*month, number)))
        .map(|(month, number)| id(month, number))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn in_a_year_of_delays_outages_and_races_each_terabyte_is_told_once_and_in_order(seed: u64) {
        let mut world = World::new(seed);
        world.live();
        let mut cdn = BTreeMap::<Month, u64>::new();
        for (hour, (bytes, ..)) in world.cdn.iter().enumerate() {
            *cdn.entry(Month::of(world.time_of(hour))).or_default() += bytes;
        }
        for (store, months) in [("cdn", &cdn), ("ipfs", &world.node)] {
            let told: Vec<_> = world.issued.iter().filter(|id| id.store == name(store)).cloned().collect();
            let all = expected(store, months);
            // A month may get its last terabyte after the next one got its first: in order within each month.
            let mut by_month = told.clone();
            by_month.sort_by_key(|id| id.month);
            prop_assert_eq!(&by_month, &all, "{}", store);
            let heard: BTreeSet<_> = world.heard.iter().filter(|id| id.store == name(store)).cloned().collect();
            prop_assert_eq!(heard, all.into_iter().collect::<BTreeSet<_>>());
            let state = &world.state.stores[&name(store)];
            prop_assert!(months.iter().all(|(month, bytes)| state.months.get(month).map_or(0, |tally| tally.bytes) == *bytes));
            prop_assert_eq!(state.total_bytes, months.values().sum::<u64>());
        }
        prop_assert!(world.state.outbox.is_empty());
        let year = world.state.stores[&name("cdn")].months.iter().filter(|(month, _)| **month < Month::of(world.now()));
        prop_assert!(year.clone().count() == 12 && year.clone().all(|(_, tally)| tally.closed));
    }
}

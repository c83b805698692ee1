use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::{
    ops::usage::state::{Store, Tally},
    sources::TB_BYTES,
};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn so_far(month_text: &str, until: &str, bytes: u64) -> SoFar {
    SoFar { month: month(month_text), until: time(until), bytes, last_month_bytes: None }
}

#[test]
fn a_month_goes_on_as_it_went() {
    for (month, until, bytes, end) in [
        ("2026-11", "2026-11-16T00:00:00Z", 500, 1_000),
        ("2026-11", "2026-11-04T00:00:00Z", 10, 100),
        ("2026-11", "2026-12-01T00:00:00Z", 123, 123),
        ("2026-11", "2026-12-09T00:00:00Z", 123, 123),
        ("2026-12", "2026-12-31T23:00:00Z", 743, 744),
        ("2026-02", "2026-02-15T00:00:00Z", 14, 28),
        // A leap year.
        ("2028-02", "2028-02-15T00:00:00Z", 14, 29),
        ("2028-02", "2028-02-29T00:00:00Z", 28, 29),
        ("2026-11", "2026-11-16T00:00:00Z", 0, 0),
    ] {
        assert_eq!(so_far(month, until, bytes).month_end(), (Some(end), Basis::ThisMonth), "{month} {until}");
    }
}

#[test]
fn the_first_hours_say_nothing_unless_the_month_before_does() {
    let first = so_far("2026-11", "2026-11-01T01:00:00Z", 5);
    assert_eq!(first.month_end(), (None, Basis::TooEarly));
    assert_eq!(so_far("2026-11", "2026-11-02T00:00:00Z", 5).month_end(), (Some(150), Basis::ThisMonth), "a day is the least");
    // October had 31 bytes, one a day: with 5 in the first hour of November that makes 8 in three days, and 80 in all.
    let known = SoFar { last_month_bytes: Some(31), ..first };
    assert_eq!(known.month_end(), (Some(85), Basis::LastMonth));
    let begun = SoFar { until: time("2026-10-31T23:00:00Z"), bytes: 0, ..known };
    assert_eq!(begun.month_end(), (Some(30), Basis::LastMonth));
    // The month before counts for three days.
    let third = SoFar { until: time("2026-11-03T00:00:00Z"), bytes: 2, ..known };
    assert_eq!(third.month_end(), (Some(30), Basis::LastMonth));
    // March follows a short month.
    let march = SoFar { last_month_bytes: Some(28), ..so_far("2026-03", "2026-03-01T00:00:00Z", 0) };
    assert_eq!(march.month_end(), (Some(31), Basis::LastMonth));
}

#[test]
fn a_limit_is_passed_when_the_same_rate_reaches_it() {
    let half = so_far("2026-11", "2026-11-16T00:00:00Z", 500);
    assert_eq!(half.passes_at(750, 1_000), Some(time("2026-11-23T12:00:00Z")));
    assert_eq!((half.passes_at(500, 1_000), half.passes_at(499, 1_000)), (Some(half.until), None));
}

fn store(months: &[(&str, u64)], data_until: &str) -> Store {
    let tally = |bytes| Tally { bytes, told_tb: 0, tb_bytes: NonZeroU64::MIN, closed: false };
    let months = months.iter().map(|(name, bytes)| (month(name), tally(*bytes))).collect();
    Store { data_until: Some(time(data_until)), months, ..Store::default() }
}

fn state(stores: Vec<(&str, Store)>) -> State {
    let stores = stores.into_iter().map(|(name, store)| (name.parse().unwrap(), store)).collect();
    let mut state = State::default();
    (state.last_tick, state.stores) = (Some(time("2026-11-16T00:00:00Z")), stores);
    state
}

fn billing(names: Vec<(&str, Option<Tariff>, Option<u64>)>) -> BTreeMap<StoreName, Billing> {
    names.into_iter().map(|(name, tariff, quota_bytes)| (name.parse().unwrap(), Billing { tariff, quota_bytes })).collect()
}

fn plan(name: &str) -> Option<Tariff> {
    Some(Tariff::Plan(PriceTable::builtin().cdn.plan(name).unwrap().clone()))
}

fn at_half(state: &State, billing: &BTreeMap<StoreName, Billing>, quota_bytes: Option<u64>) -> Projection {
    project(state, billing, quota_bytes, time("2026-11-16T00:30:00Z"), PriceTable::builtin())
}

#[test]
fn what_is_agreed_to_is_compared_with_what_comes() {
    let state = state(vec![
        ("cdn", store(&[("2026-11", 10 * TB_BYTES)], "2026-11-16T00:00:00Z")),
        ("raw", store(&[("2026-11", 3 * TB_BYTES)], "2026-11-16T00:00:00Z")),
    ]);
    let billing = billing(vec![
        ("cdn", Some(Tariff::Delivered(PriceClass::Class100)), Some(15 * TB_BYTES)),
        ("raw", Some(Tariff::ReadersPay), Some(6 * TB_BYTES)),
    ]);
    let found = at_half(&state, &billing, Some(12 * TB_BYTES));
    let ends: Vec<_> = found.stores.iter().map(|store| store.month_end_bytes.unwrap() / TB_BYTES).collect();
    assert_eq!(ends, [20, 6], "twice as much as in half a month");
    // 20 TB of CloudFront, as docs/costs.md has it, and nothing of what the readers pay.
    assert_eq!(found.all.month_end_cost.unwrap().most_micro_usd.div_ceil(10_000), 166_693);
    let breaches: Vec<_> = found.breaches.iter().map(|breach| (breach.store.as_ref().map(StoreName::as_str), breach.passes_at)).collect();
    assert_eq!(
        breaches,
        [(Some("cdn"), Some(time("2026-11-23T12:00:00Z"))), (None, None)],
        "all together are past their quota; what is reached is not passed"
    );
}

#[test]
fn a_flat_rate_has_limits_of_its_own() {
    let at = |tb: u64, name| {
        let state = state(vec![("cdn", store(&[("2026-11", tb * TB_BYTES)], "2026-11-16T00:00:00Z"))]);
        at_half(&state, &billing(vec![("cdn", plan(name), None)]), None).breaches.iter().map(|breach| breach.limit).collect::<Vec<_>>()
    };
    assert_eq!([at(4, "pro"), at(5, "pro")], [vec![], vec![Limit::PlanRequests]]);
    assert_eq!(at(26, "pro"), [Limit::PlanBytes, Limit::PlanRequests]);
    assert_eq!([at(25, "business"), at(26, "business")], [vec![], vec![Limit::PlanBytes]]);
}

#[test]
fn a_store_of_which_nothing_is_known_or_whose_price_is_unknown_is_shown_as_that() {
    let empty = at_half(&State::default(), &billing(vec![("cdn", None, Some(0))]), Some(0));
    let cdn = &empty.stores[0];
    assert_eq!((cdn.bytes, cdn.data_until, cdn.basis, cdn.cost, cdn.month_end_bytes), (0, None, Basis::TooEarly, None, None));
    assert_eq!((empty.breaches, empty.all), (vec![], Sum { bytes: 0, month_end_bytes: None, month_end_cost: None }));
}

#[test]
fn the_month_before_counts_only_where_all_of_it_is_known() {
    let until = "2026-11-01T01:00:00Z";
    let end = |months: &[(&str, u64)]| {
        let state = state(vec![("cdn", store(months, until))]);
        project(&state, &billing(vec![("cdn", None, None)]), None, time(until), PriceTable::builtin()).stores[0].basis
    };
    assert_eq!(end(&[("2026-10", 31), ("2026-11", 5)]), Basis::TooEarly, "nobody knows when in October the counting began");
    assert_eq!(end(&[("2026-09", 1), ("2026-10", 31), ("2026-11", 5)]), Basis::LastMonth);
}

#[test]
fn a_store_of_which_nothing_is_known_hides_no_limit_that_the_others_pass() {
    let state = state(vec![("cdn", store(&[("2026-11", 6)], "2026-11-16T00:00:00Z"))]);
    let both = billing(vec![("cdn", None, None), ("idle", None, None)]);
    let found = at_half(&state, &both, Some(10));
    assert_eq!(found.all.month_end_bytes, None);
    let breach = &found.breaches[..];
    assert!(matches!(breach, [Breach { store: None, bytes: 6, month_end_bytes: Some(12), passes_at: Some(_), .. }]), "{breach:?}");
    assert_eq!(at_half(&state, &both, Some(12)).breaches, []);
}

#[test]
fn a_clock_before_the_month_that_is_known_shows_another_month_and_nothing_of_it() {
    let state = state(vec![("cdn", store(&[("2026-11", 500)], "2026-11-16T00:00:00Z"))]);
    let found = project(&state, &billing(vec![("cdn", None, None)]), None, time("2026-10-31T12:00:00Z"), PriceTable::builtin());
    assert_eq!((found.stores[0].month, found.stores[0].bytes), (month("2026-10"), 0));
}

fn any_so_far() -> impl Strategy<Value = SoFar> {
    let known = (2020_i16..2030, 1_i8..13, -100_000_i64..3_000_000, any::<u64>(), any::<Option<u64>>());
    known.prop_map(|(year, number, seconds, bytes, last_month_bytes)| {
        let month = month(&format!("{year:04}-{number:02}"));
        SoFar { month, until: month.start() + SignedDuration::from_secs(seconds), bytes, last_month_bytes }
    })
}

proptest! {
    #[test]
    fn the_end_is_never_less_than_what_there_is_and_more_now_is_never_less_then(known in any_so_far(), more in any::<u64>()) {
        let (end, basis) = known.month_end();
        prop_assert_eq!(end.is_none(), basis == Basis::TooEarly);
        prop_assert!(end.is_none_or(|end| end >= known.bytes));
        let (with_more, same_basis) = SoFar { bytes: known.bytes.saturating_add(more), ..known }.month_end();
        prop_assert!(with_more >= end && same_basis == basis);
        if known.until >= known.month.end() {
            prop_assert_eq!(end, Some(known.bytes));
        }
    }

    #[test]
    fn nothing_now_and_nothing_before_is_nothing_at_the_end(known in any_so_far()) {
        let nothing = SoFar { bytes: 0, last_month_bytes: known.last_month_bytes.map(|_| 0), ..known };
        prop_assert!(nothing.month_end().0.is_none_or(|end| end == 0));
    }

    #[test]
    fn the_month_before_fades_out_without_a_jump(month_number in 1_i8..13, gb in 0_u64..100_000, last in 0_u64..100_000) {
        let month = month(&format!("2028-{month_number:02}"));
        let at = |until: SignedDuration| {
            let known = SoFar { month, until: month.start() + until, bytes: gb << 30, last_month_bytes: Some(last << 30) };
            known.month_end().0.unwrap()
        };
        let (before, after) = (at(ENOUGH - SignedDuration::from_secs(1)), at(ENOUGH));
        // One second of the rates of both, over the rest of the month.
        prop_assert!(before.abs_diff(after) <= (before.max(after) + (last << 30)) / 10_000 + 100, "{} {}", before, after);
    }

    #[test]
    fn a_limit_that_is_passed_is_passed_within_what_is_left(known in any_so_far(), limit in any::<u64>()) {
        let Some(end) = known.month_end().0.filter(|end| *end > limit) else { return Ok(()) };
        match known.passes_at(limit, end) {
            Some(at) => prop_assert!(at >= known.month.start() && at >= known.until.min(known.month.end()) && at <= known.month.end()),
            None => prop_assert!(known.bytes > limit),
        }
    }
}

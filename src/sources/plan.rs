//! Whom to ask for an object, and when to ask a second source for it. Pure.

use std::{cmp::Ordering, time::Duration};

/// A request that takes this many times as long as usual may never end.
const TIMES_AS_LONG: u32 = 4;
/// How long any request may take before a second source is asked.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether another source can be asked by now, when none could.
pub(super) const LOOK_AGAIN: Duration = SHORTEST_WAIT;
/// How long a source that sends nothing is waited for where another may be paid: as for a web server.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(50);
/// The least that a body may bring in a second, bytes, before its source counts as silent: as for a web server.
pub(super) const LEAST_RATE: u64 = 16 << 10;
/// The same of a source that nobody else can replace, as far as silence can be told from slowness.
const LEAST_RATE_OF_THE_ONLY: u64 = 256;
/// How much of the usual duration one more delivery makes up: an eighth.
const WEIGHT: u32 = 8;

/// A source that takes this many times as long as another is far slower.
pub(super) const FAR_SLOWER: f64 = 4.0;
/// A source is left out when others deliver this many times sooner, although they are busy.
const TIMES_SOONER: u32 = 2;
/// At the end of a run, a request that takes this many times as long as elsewhere is made there too.
const TIMES_AS_LONG_AT_THE_END: u32 = 2;

/// How gladly a source is asked: the first that there is, and none behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It works, and costs nothing or is used like those that cost nothing.
    Works,
    /// It works and costs money, which is spent only when nothing that is free works.
    WorksForMoney,
    /// It delivers, but far more slowly than others.
    Parked,
    /// It failed a moment ago.
    Resting,
    /// It costs money, and is slow or failed.
    UnwellForMoney,
}

/// What is known of a source that may have an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) index: usize,
    pub(super) rank: Rank,
    /// Whether the next request shows whether it is well again.
    pub(super) is_probe: bool,
    /// Whether it answered many times, and never with what it was asked for.
    pub(super) is_fruitless: bool,
    /// Whether every request costs money.
    pub(super) is_paid: bool,
    /// Whether it can take one more request now.
    pub(super) has_room: bool,
    /// Requests that it has not answered yet.
    pub(super) in_flight: usize,
    /// Requests that it gets at a time.
    pub(super) window: usize,
    /// How long a body may be expected to take, if it ever delivered one.
    pub(super) expected: Option<Duration>,
    /// How long ago it delivered something, if ever.
    pub(super) since_delivery: Option<Duration>,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Ask this source now.
    Ask(usize),
    /// Wait until a source has room.
    Wait,
    /// Nobody is left to be asked.
    Nobody,
}

impl Candidate {
    /// Small for the source that should get the next request: one that must show what it can do, then in proportion to what each delivers.
    fn load(&self) -> f64 {
        let expected = self.expected.unwrap_or_default().as_secs_f64();
        expected * (self.in_flight + 1) as f64 / self.window.max(1) as f64
    }

    /// When it would deliver to the last of those who wait.
    fn drained(&self, waiting: usize) -> Option<Duration> {
        let rounds = 1.0 + waiting as f64 / self.window.max(1) as f64;
        self.expected.map(|expected| expected.mul_f64(rounds))
    }
}

/// The source to ask when so many other requests wait for room. Of the best rank that there is, the one with most to give; but nobody asks
/// a source that would take far longer than waiting for a better one.
pub(super) fn choose(candidates: impl Iterator<Item = Candidate> + Clone, waiting: usize) -> Choice {
    let Some(best) = candidates.clone().map(|one| one.rank).min() else { return Choice::Nobody };
    let peers = candidates.filter(|one| one.rank == best);
    // One request at a time shows whether it has something by now.
    let is_spared = peers.clone().any(|one| !one.is_fruitless);
    let may_take = |one: &Candidate| one.has_room && !(is_spared && one.is_fruitless && one.in_flight > 0);
    let Some(first) = peers.clone().filter(may_take).min_by(by_load) else { return Choice::Wait };
    let expected = first.expected.unwrap_or_default();
    let sooner = |other: Candidate| !other.has_room && other.drained(waiting).is_some_and(|drained| drained * TIMES_SOONER < expected);
    if !first.is_probe && best == Rank::Works && peers.clone().any(sooner) { Choice::Wait } else { Choice::Ask(first.index) }
}

fn by_load(one: &Candidate, other: &Candidate) -> Ordering {
    let by_probe = other.is_probe.cmp(&one.is_probe);
    let by_load = by_probe.then(one.is_fruitless.cmp(&other.is_fruitless)).then(one.load().total_cmp(&other.load()));
    by_load.then((one.in_flight, one.index).cmp(&(other.in_flight, other.index)))
}

/// The source to ask beside another one that does not answer: the one that delivered last, because others may have fallen silent too.
/// Nobody pays for such a request.
pub(super) fn choose_second(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    let works = |one: &Candidate| one.rank == Rank::Works && !one.is_probe && !one.is_paid;
    let latest_first = |one: &Candidate| (one.since_delivery.unwrap_or(Duration::MAX), one.in_flight, one.index);
    candidates.filter(works).min_by_key(latest_first).map(|one| one.index)
}

/// The source to ask beside others when none works for sure: one that failed and has rested since, one request at a time, or a slow one.
pub(super) fn choose_again(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    let may_work = candidates.filter(|one| one.rank <= Rank::Parked && !one.is_paid);
    may_work.min_by_key(|one| (one.rank, one.in_flight, one.index)).map(|one| one.index)
}

/// The source to ask beside another one for one of the last bodies of a run, which has been on its way for so long already.
pub(super) fn choose_at_the_end(candidates: impl Iterator<Item = Candidate>, under_way: Duration) -> Option<usize> {
    let idle = candidates.filter(|one| one.rank == Rank::Works && !one.is_probe && !one.is_paid && one.has_room);
    let expected = |one: &Candidate| one.expected.filter(|expected| under_way > *expected * TIMES_AS_LONG_AT_THE_END);
    idle.filter_map(|one| Some((expected(&one)?, one.index))).min().map(|(_, index)| index)
}

/// The middle of some values.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let (lower, upper) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(lower.midpoint(*upper))
}

/// How long a body of `bytes` can be on its way; longer where a source is waited for that is slower than any other may be.
pub(super) fn longest_body(bytes: u64, is_patient: bool) -> Duration {
    Duration::from_secs(bytes / if is_patient { LEAST_RATE_OF_THE_ONLY } else { LEAST_RATE })
}

/// How long to wait for one source before a second is asked for the same object, when a delivery usually takes `usual`. Many times
/// as long as usual, so that a line that is slow for all is not made slower by asking twice.
pub(super) fn hedge_after(usual: Option<Duration>) -> Duration {
    (usual.unwrap_or_default() * TIMES_AS_LONG).max(SHORTEST_WAIT)
}

/// How long a delivery usually takes, after one more.
pub(super) fn usual_duration(before: Option<Duration>, delivery: Duration) -> Duration {
    before.map_or(delivery, |before| (before * (WEIGHT - 1) + delivery) / WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn idle(index: usize) -> Candidate {
        Candidate {
            index,
            rank: Rank::Works,
            is_probe: false,
            is_fruitless: false,
            is_paid: false,
            has_room: true,
            in_flight: 0,
            window: 8,
            expected: None,
            since_delivery: None,
        }
    }

    fn taking(index: usize, expected: Duration) -> Candidate {
        Candidate { expected: Some(expected), ..idle(index) }
    }

    fn full(index: usize, expected: Duration) -> Candidate {
        Candidate { has_room: false, in_flight: 8, ..taking(index, expected) }
    }

    fn choice(candidates: &[Candidate]) -> Choice {
        choose(candidates.iter().copied(), 0)
    }

    #[test]
    fn who_never_has_anything_gets_one_request_at_a_time_when_the_others_are_busy() {
        let empty = Candidate { is_fruitless: true, ..idle(0) };
        let asked = Candidate { in_flight: 1, ..empty };
        assert_eq!(choice(&[empty, taking(1, SECOND)]), Choice::Ask(1));
        assert_eq!(choice(&[empty, full(1, SECOND)]), Choice::Ask(0));
        assert_eq!(choice(&[asked, full(1, SECOND)]), Choice::Wait);
        assert_eq!(choice(&[asked]), Choice::Ask(0), "nobody else is left");
    }

    #[test]
    fn those_that_failed_come_last_and_nobody_else_is_waited_for() {
        let resting = Candidate { rank: Rank::Resting, ..idle(0) };
        let parked = Candidate { rank: Rank::Parked, ..idle(1) };
        let busy = Candidate { in_flight: 7, ..taking(2, SECOND) };
        assert_eq!(choice(&[resting, parked, busy]), Choice::Ask(2));
        assert_eq!(choice(&[resting, parked]), Choice::Ask(1));
        assert_eq!(choice(&[resting]), Choice::Ask(0));
        assert_eq!(choice(&[resting, parked, full(2, SECOND)]), Choice::Wait);
        assert_eq!(choice(&[]), Choice::Nobody);
    }

    #[test]
    fn money_is_spent_only_where_nothing_free_works_even_if_that_is_busy() {
        let paid = Candidate { rank: Rank::WorksForMoney, is_paid: true, ..idle(0) };
        assert_eq!(choice(&[paid, full(1, SECOND)]), Choice::Wait);
        for rank in [Rank::Parked, Rank::Resting] {
            assert_eq!(choice(&[paid, Candidate { rank, ..idle(1) }]), Choice::Ask(0));
            assert_eq!(choice(&[Candidate { rank: Rank::UnwellForMoney, ..paid }, Candidate { rank, ..idle(1) }]), Choice::Ask(1));
        }
    }

    #[test]
    fn requests_are_shared_in_proportion_to_what_each_source_delivers() {
        let mut shares = [taking(0, SECOND / 10), taking(1, SECOND / 5), taking(2, SECOND * 2 / 5)];
        for _ in 0..14 {
            let Choice::Ask(index) = choose(shares.iter().copied(), 0) else { panic!("all have room") };
            shares[index].in_flight += 1;
        }
        assert_eq!(shares.map(|share| share.in_flight), [8, 4, 2]);
    }

    #[test]
    fn who_must_show_what_it_can_do_is_asked_first() {
        assert_eq!(choice(&[taking(0, SECOND / 100), idle(1)]), Choice::Ask(1));
        let probe = Candidate { is_probe: true, ..taking(1, 9 * SECOND) };
        assert_eq!(choice(&[idle(0), probe]), Choice::Ask(1));
        assert_eq!(choice(&[full(0, SECOND / 100), probe]), Choice::Ask(1));
    }

    #[test]
    fn a_source_that_would_take_far_longer_is_not_asked_unless_many_wait() {
        let (fast, slow) = (full(0, SECOND), taking(1, 9 * SECOND));
        assert_eq!(choice(&[fast, slow]), Choice::Wait);
        assert_eq!(choose([fast, slow].into_iter(), 16), Choice::Wait);
        assert_eq!(choose([fast, slow].into_iter(), 40), Choice::Ask(1));
        assert_eq!(choice(&[fast, taking(1, 2 * SECOND)]), Choice::Ask(1));
        assert_eq!(choice(&[full(0, 5 * SECOND), slow]), Choice::Ask(1), "the fast one says nothing any more");
    }

    #[test]
    fn nobody_who_failed_or_costs_money_is_asked_as_the_second() {
        let unfit = [
            Candidate { rank: Rank::Resting, ..idle(0) },
            Candidate { is_probe: true, ..idle(1) },
            Candidate { is_paid: true, ..idle(3) },
            Candidate { is_paid: true, rank: Rank::WorksForMoney, ..idle(4) },
        ];
        assert_eq!(choose_second(unfit.into_iter()), None);
        assert_eq!(choose_second(unfit.into_iter().chain([idle(2)])), Some(2));
        let slow = unfit.map(|one| Candidate { expected: Some(SECOND), ..one });
        assert_eq!(choose_at_the_end(slow.into_iter(), 9 * SECOND), None);
        assert_eq!(choose_again(slow[2..].iter().copied()), None);
    }

    #[test]
    fn the_second_is_the_one_that_delivered_last_however_busy() {
        let delivered = |index, seconds| Candidate { since_delivery: Some(seconds * SECOND), ..idle(index) };
        let busy = Candidate { in_flight: 5, ..delivered(2, 1) };
        assert_eq!(choose_second([idle(0), delivered(1, 9), busy].into_iter()), Some(2));
        assert_eq!(choose_second([idle(0), delivered(1, 9)].into_iter()), Some(1));
    }

    #[test]
    fn who_failed_is_asked_again_when_it_has_rested_and_once_at_a_time() {
        let probe = Candidate { is_probe: true, ..idle(0) };
        let parked = Candidate { rank: Rank::Parked, ..idle(1) };
        assert_eq!(choose_again([parked, probe].into_iter()), Some(0));
        assert_eq!(choose_again([parked].into_iter()), Some(1));
        assert_eq!(choose_again([Candidate { rank: Rank::Resting, ..probe }].into_iter()), None);
        assert_eq!((longest_body(1 << 20, false), longest_body(1 << 20, true)), (64 * SECOND, 4096 * SECOND));
    }

    #[test]
    fn at_the_end_who_is_idle_helps_with_what_takes_twice_as_long_as_it_would_itself() {
        let idle_ones = [taking(0, SECOND), taking(1, SECOND / 2), full(2, SECOND / 100), idle(3)];
        let helper = |under_way| choose_at_the_end(idle_ones.into_iter(), under_way);
        assert_eq!([1, 2, 9].map(|seconds| helper(seconds * SECOND)), [None, Some(1), Some(1)]);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([9.0, 1.0].into_iter()), Some(5.0));
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), Some(2.0));
    }

    // HM-05
    #[test]
    fn a_second_source_is_asked_after_many_times_the_usual_duration() {
        assert_eq!(hedge_after(None), 5 * SECOND);
        assert_eq!(hedge_after(Some(SECOND / 10)), 5 * SECOND);
        assert_eq!(hedge_after(Some(30 * SECOND)), 120 * SECOND);
    }

    #[test]
    fn what_is_usual_follows_the_deliveries_slowly() {
        assert_eq!(usual_duration(None, SECOND), SECOND);
        assert_eq!(usual_duration(Some(SECOND), 9 * SECOND), 2 * SECOND);
        let settled = (0..100).fold(usual_duration(None, 60 * SECOND), |usual, _| usual_duration(Some(usual), SECOND));
        assert!(settled < SECOND + SECOND / 100, "{settled:?}");
    }
}

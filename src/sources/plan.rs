//! Whom to ask for an object, and when to ask a second source for it. Pure.

use std::time::Duration;

/// A request that takes this many times as long as usual may never end.
const TIMES_AS_LONG: u32 = 4;
/// How long any request may take before a second source is asked.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether another source can be asked by now, when none could.
pub(super) const LOOK_AGAIN: Duration = SHORTEST_WAIT;
/// The least that a body may bring in a second, bytes, before its source counts as silent: as for a web server.
const LEAST_RATE: u64 = 16 << 10;
/// How much of the usual duration one more delivery makes up: an eighth.
const WEIGHT: u32 = 8;

/// What is known of a source that may have an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) index: usize,
    /// It failed a moment ago.
    pub(super) resting: bool,
    /// It has not delivered since it failed.
    pub(super) on_probation: bool,
    /// Requests that it has not answered yet.
    pub(super) in_flight: usize,
    /// How long ago it delivered something, if ever.
    pub(super) since_delivery: Option<Duration>,
}

impl Candidate {
    /// Whether it is asked only when nobody better is there. One request shows whether a source on probation is well again.
    fn is_last_resort(&self) -> bool {
        self.resting || (self.on_probation && self.in_flight > 0)
    }
}

/// The source to ask: the least busy of those that work.
pub(super) fn choose(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    candidates.min_by_key(|one| (one.is_last_resort(), one.in_flight, one.index)).map(|one| one.index)
}

/// The source to ask beside another one that does not answer: the one that delivered last, because others may have fallen silent too.
pub(super) fn choose_second(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    let works = |one: &Candidate| !one.resting && !one.on_probation;
    let latest_first = |one: &Candidate| (one.since_delivery.unwrap_or(Duration::MAX), one.in_flight, one.index);
    candidates.filter(works).min_by_key(latest_first).map(|one| one.index)
}

/// The source to ask beside others when none works for sure: one that failed and has rested since, one request at a time.
pub(super) fn choose_again(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    choose(candidates.filter(|one| !one.is_last_resort()))
}

/// How long a body of `bytes` can be on its way.
pub(super) fn longest_body(bytes: u64) -> Duration {
    Duration::from_secs(bytes / LEAST_RATE)
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
        Candidate { index, resting: false, on_probation: false, in_flight: 0, since_delivery: None }
    }

    fn choice(candidates: &[Candidate]) -> Option<usize> {
        choose(candidates.iter().copied())
    }

    #[test]
    fn the_least_busy_is_asked_and_those_that_failed_come_last() {
        let busy = Candidate { in_flight: 3, ..idle(0) };
        let resting = Candidate { resting: true, on_probation: true, ..idle(1) };
        assert_eq!(choice(&[busy, idle(1)]), Some(1));
        assert_eq!(choice(&[busy, resting]), Some(0));
        assert_eq!(choice(&[resting]), Some(1));
        assert_eq!(choice(&[]), None);
    }

    #[test]
    fn a_source_on_probation_gets_one_request_at_a_time() {
        let probation = Candidate { on_probation: true, ..idle(0) };
        let busy = Candidate { in_flight: 9, ..idle(1) };
        assert_eq!(choice(&[probation, busy]), Some(0));
        assert_eq!(choice(&[Candidate { in_flight: 1, ..probation }, busy]), Some(1));
        assert_eq!(choice(&[Candidate { in_flight: 1, ..probation }]), Some(0));
    }

    #[test]
    fn nobody_who_failed_is_asked_as_the_second() {
        let failed = [Candidate { resting: true, ..idle(0) }, Candidate { on_probation: true, ..idle(1) }];
        assert_eq!(choose_second(failed.into_iter()), None);
        assert_eq!(choose_second(failed.into_iter().chain([idle(2)])), Some(2));
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
        let probation = Candidate { on_probation: true, ..idle(0) };
        assert_eq!(choose_again([probation].into_iter()), Some(0));
        assert_eq!(choose_again([Candidate { resting: true, ..probation }].into_iter()), None);
        assert_eq!(choose_again([Candidate { in_flight: 1, ..probation }].into_iter()), None);
        assert_eq!(longest_body(1 << 20), 64 * SECOND);
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

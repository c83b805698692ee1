//! The rate that all sources together may not pass (`--limit-rate`). Pure.
//!
//! A request waits until all that was asked for before it would have arrived at that rate. A body then comes as fast as it can, so the line
//! is busy in bursts of one object; over any longer time the rate holds, and no connection falls below the least rate of a body.

use std::{num::NonZeroU64, time::Duration};

/// Says when the next bytes may be asked for.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: Option<NonZeroU64>,
    free_at: Duration,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, free_at: Duration::ZERO }
    }

    /// Takes room for `bytes`, and says how long to wait before they are asked for.
    pub(super) fn reserve(&mut self, now: Duration, bytes: u64) -> Duration {
        let begin = self.free_at.max(now);
        self.free_at = begin + self.time_for(bytes);
        begin - now
    }

    /// Gives room back that turned out not to be needed.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.free_at = self.free_at.saturating_sub(self.time_for(bytes));
    }

    /// Counts bytes that arrived without room for them.
    pub(super) fn arrived(&mut self, now: Duration, bytes: u64) {
        self.reserve(now, bytes);
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(bytes_per_second: u64) -> Pace {
        Pace::new(NonZeroU64::new(bytes_per_second))
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let mut pace = pace(0);
        for _ in 0..10 {
            assert_eq!(pace.reserve(Duration::ZERO, u64::MAX), Duration::ZERO);
        }
    }

    #[test]
    fn each_waits_for_those_before_it_and_a_pause_is_not_made_up_for() {
        let (mut pace, second) = (pace(1000), Duration::from_secs(1));
        assert_eq!([(); 3].map(|()| pace.reserve(Duration::ZERO, 500)), [Duration::ZERO, second / 2, second]);
        pace.give_back(500);
        assert_eq!(pace.reserve(Duration::ZERO, 500), second);
        assert_eq!([(); 2].map(|()| pace.reserve(60 * second, 1000)), [Duration::ZERO, second]);
    }

    proptest! {
        #[test]
        fn over_any_time_the_rate_is_passed_by_one_body_at_most(requests in prop::collection::vec((0_u64..3000, 1_u64..5000), 1..50)) {
            let (mut pace, mut now, mut asked) = (pace(1000), Duration::ZERO, Vec::new());
            for (pause_ms, bytes) in requests {
                now += Duration::from_millis(pause_ms);
                asked.push((now + pace.reserve(now, bytes), bytes));
            }
            for (first, (begin, _)) in asked.iter().enumerate() {
                for last in first..asked.len() {
                    let before_last: u64 = asked[first..last].iter().map(|(_, bytes)| bytes).sum();
                    let time = asked[last].0.saturating_sub(*begin).as_millis() as u64;
                    prop_assert!(before_last <= time + 1, "{before_last} bytes in {time} ms");
                }
            }
        }
    }
}

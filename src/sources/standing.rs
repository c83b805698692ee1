//! How one source does: its window, its rests, how long its bodies take, and whether it is too slow to be worth asking. Pure: times are
//! passed in, as the time since the engine was made.

use std::time::Duration;

use super::{
    control::{Trouble, Window},
    plan,
};

/// How long a source that failed is asked only when no other is left; doubled with each failure that follows without a delivery.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(120);
/// How long a source may be far slower than the others before it is parked.
const SLOW_BEFORE_PARKED: Duration = Duration::from_secs(30);
/// How long a parked source is left before it is tried again; doubled each time it is still slow.
const PARKED: Duration = Duration::from_secs(60);
/// The longest such time.
const LONGEST_PARKED: Duration = Duration::from_secs(600);
/// How long a source that fails even when it is asked one thing at a time is not asked at all; doubled with each failure that follows.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest that a source is left alone because it asks for it.
const LONGEST_LEFT_ALONE: Duration = Duration::from_secs(60);

/// Who answers so often, and never with what it was asked for, is asked after others.
const MOST_FRUITLESS: u32 = 8;
/// A source that had no request for so long was idle.
const IDLE: Duration = Duration::from_millis(100);

/// How a source does.
#[derive(Debug)]
pub(super) struct Standing {
    window: Window,
    in_flight: usize,
    dropped: bool,
    rests_until: Option<Duration>,
    /// How long the next rest is.
    next_rest: Duration,
    left_alone_until: Duration,
    /// How long the next pause is.
    next_pause: Duration,
    last_delivery: Option<Duration>,
    /// Answers since then that were no deliveries.
    fruitless: u32,
    /// The last sign of life while it has requests.
    quiet_since: Duration,
    /// How long a body usually takes.
    usual: Option<Duration>,
    /// How many requests it usually has when a body arrives.
    load: f64,
    slow_since: Option<Duration>,
    parked_until: Option<Duration>,
    next_parked: Duration,
    busy: Duration,
    busy_since: Duration,
}

/// Whether a source may be asked, and how gladly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It delivers, or was never asked.
    Works,
    /// It failed or was slow, and its time is over: one request shows whether it is well again.
    Probe,
    /// It delivers, but far more slowly than others.
    Parked,
    /// It failed a moment ago, or has not shown yet that it is well again.
    Resting,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self {
            window: Window::new(),
            in_flight: 0,
            dropped: false,
            rests_until: None,
            next_rest: REST_AFTER_FAILURE,
            left_alone_until: Duration::ZERO,
            next_pause: PAUSE,
            last_delivery: None,
            fruitless: 0,
            quiet_since: Duration::ZERO,
            usual: None,
            load: 0.0,
            slow_since: None,
            parked_until: None,
            next_parked: PARKED,
            busy: Duration::ZERO,
            busy_since: Duration::ZERO,
        }
    }

    pub(super) fn health(&self, now: Duration) -> Health {
        let is_proving = self.on_probation() || self.parked_until.is_some();
        let is_left_alone = now < self.left_alone_until;
        if is_left_alone || self.rests_until.is_some_and(|until| now < until) || (self.on_probation() && self.in_flight > 0) {
            Health::Resting
        } else if self.parked_until.is_some_and(|until| now < until || self.in_flight > 0) {
            Health::Parked
        } else if is_proving {
            Health::Probe
        } else {
            Health::Works
        }
    }

    /// Whether it can take one more request now.
    pub(super) fn has_room(&self, now: Duration) -> bool {
        self.in_flight < self.window.size() && now >= self.left_alone_until
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn window(&self) -> usize {
        self.window.size()
    }

    pub(super) fn dropped(&self) -> bool {
        self.dropped
    }

    pub(super) fn drop_for_run(&mut self) {
        self.dropped = true;
    }

    pub(super) fn last_delivery(&self) -> Option<Duration> {
        self.last_delivery
    }

    /// How long a body may be expected to take: as long as usual, or longer when nothing came for longer.
    pub(super) fn expected(&self, now: Duration) -> Option<Duration> {
        let quiet = if self.in_flight > 0 { now.saturating_sub(self.quiet_since) } else { Duration::ZERO };
        self.usual.map(|usual| usual.max(quiet))
    }

    /// Deliveries in a second, when it has been measured.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let expected = self.expected(now)?.as_secs_f64();
        Some(self.load.max(1.0) / expected.max(1e-6))
    }

    /// How long it had requests.
    pub(super) fn busy(&self, now: Duration) -> Duration {
        let running = if self.in_flight > 0 { now.saturating_sub(self.busy_since) } else { Duration::ZERO };
        self.busy + running
    }

    pub(super) fn begins(&mut self, now: Duration) {
        if self.in_flight == 0 {
            // Between one request and the next there is a moment even where one follows the other.
            if now.saturating_sub(self.quiet_since) > IDLE {
                self.window.begins(now);
            }
            (self.quiet_since, self.busy_since) = (now, now);
        }
        self.in_flight += 1;
    }

    pub(super) fn delivered(&mut self, now: Duration, asked: Duration, bytes: u64) {
        self.window.delivered(now, asked, bytes, self.in_flight);
        let took = now.saturating_sub(asked);
        self.usual = Some(if self.is_probe(asked) { took } else { plan::usual_duration(self.usual, took) });
        self.load = if self.last_delivery.is_none() { self.in_flight as f64 } else { self.load * 0.875 + self.in_flight as f64 / 8.0 };
        (self.rests_until, self.next_rest, self.next_pause) = (None, REST_AFTER_FAILURE, PAUSE);
        (self.last_delivery, self.fruitless) = (Some(now), 0);
        self.ends(now);
    }

    pub(super) fn failed(&mut self, now: Duration, asked: Duration, trouble: Trouble) {
        self.window.failed(now, asked, trouble, self.in_flight);
        self.rest(now);
        if self.window.fails_at_one() {
            self.leave_alone(now, self.next_pause);
            self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        }
        self.ends(now);
    }

    /// A disk of this machine could not read something: it may have run out of file handles.
    pub(super) fn unreadable(&mut self, now: Duration, asked: Duration) {
        self.window.failed(now, asked, Trouble::TooMuch, self.in_flight);
        self.ends(now);
    }

    /// Whether it failed although it was asked one thing at a time.
    pub(super) fn fails_alone(&self) -> bool {
        self.window.fails_at_one()
    }

    /// It answered, but has no such object, or sent something else.
    pub(super) fn lacked(&mut self, now: Duration) {
        self.fruitless = self.fruitless.saturating_add(1);
        self.ends(now);
    }

    /// Whether it does nothing but that.
    pub(super) fn is_fruitless(&self) -> bool {
        self.fruitless >= MOST_FRUITLESS
    }

    /// A request ended that says nothing of the source: nobody waits for it any more.
    pub(super) fn ended(&mut self, now: Duration) {
        self.ends(now);
    }

    /// It asks not to be asked for a while.
    pub(super) fn leave_alone(&mut self, now: Duration, pause: Duration) {
        self.left_alone_until = self.left_alone_until.max(now + pause.min(LONGEST_LEFT_ALONE));
    }

    /// A source that fails again while it rests already rests no longer: those were questions from before.
    pub(super) fn rest(&mut self, now: Duration) {
        if self.rests_until.is_none_or(|until| until <= now) {
            self.rests_until = Some(now + self.next_rest);
            self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
        }
    }

    /// Compares it with what the sources deliver that are neither fast nor slow.
    pub(super) fn compare(&mut self, now: Duration, median_rate: f64) {
        let Some(rate) = self.rate(now).filter(|_| self.parked_until.is_none()) else { return };
        // One that is given little to do delivers little.
        let is_slow = rate < median_rate / plan::FAR_SLOWER && self.load + 1.0 > self.window.size() as f64 * 0.75;
        if !is_slow {
            self.slow_since = None;
            return;
        }
        let since = *self.slow_since.get_or_insert(now);
        if now.saturating_sub(since) >= SLOW_BEFORE_PARKED {
            self.park(now);
        }
    }

    /// What the request shows that a parked source got when its time was over; `median` is how long a body of the others takes. Those that
    /// it had before show nothing.
    pub(super) fn judge_probe(&mut self, now: Duration, asked: Duration, median: Option<Duration>) {
        if !self.is_probe(asked) {
            return;
        }
        let is_slow = median.zip(self.usual).is_some_and(|(median, usual)| usual.as_secs_f64() > median.as_secs_f64() * plan::FAR_SLOWER);
        if is_slow {
            self.park(now);
        } else {
            (self.parked_until, self.slow_since, self.next_parked) = (None, None, PARKED);
        }
    }

    pub(super) fn usual(&self) -> Option<Duration> {
        self.usual
    }

    fn is_probe(&self, asked: Duration) -> bool {
        self.parked_until.is_some_and(|until| until <= asked)
    }

    fn park(&mut self, now: Duration) {
        self.parked_until = Some(now + self.next_parked);
        self.next_parked = (self.next_parked * 2).min(LONGEST_PARKED);
    }

    fn on_probation(&self) -> bool {
        self.next_rest > REST_AFTER_FAILURE
    }

    fn ends(&mut self, now: Duration) {
        self.quiet_since = now;
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.busy += now.saturating_sub(self.busy_since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn delivering(source: &mut Standing, now: Duration, took: Duration) {
        source.begins(now.saturating_sub(took));
        source.delivered(now, now.saturating_sub(took), 1 << 20);
    }

    #[test]
    fn a_source_that_never_has_what_it_is_asked_for_is_known_until_it_delivers() {
        let mut source = Standing::new();
        for second in 0..u64::from(MOST_FRUITLESS) {
            assert!(!source.is_fruitless());
            source.begins(at(second));
            source.lacked(at(second));
        }
        assert!(source.is_fruitless() && source.health(at(10)) == Health::Works);
        delivering(&mut source, at(11), at(0));
        assert!(!source.is_fruitless());
    }

    #[test]
    fn a_source_that_failed_rests_and_then_shows_with_one_request_that_it_is_well() {
        let mut source = Standing::new();
        assert_eq!(source.health(at(0)), Health::Works);
        source.begins(at(1));
        source.failed(at(1), at(1), Trouble::Broken);
        assert_eq!((source.health(at(1)), source.health(at(3))), (Health::Resting, Health::Probe));
        source.begins(at(3));
        assert_eq!(source.health(at(3)), Health::Resting);
        source.failed(at(3), at(3), Trouble::Broken);
        assert_eq!((source.health(at(6)), source.health(at(7))), (Health::Resting, Health::Probe), "it rests twice as long");
        delivering(&mut source, at(8), at(0));
        assert_eq!(source.health(at(8)), Health::Works);
    }

    // NW-04
    #[test]
    fn a_source_that_asks_to_be_left_alone_has_no_room_for_at_most_a_minute() {
        let mut source = Standing::new();
        source.leave_alone(at(10), at(20));
        assert_eq!([10, 29, 30].map(|now| source.has_room(at(now))), [false, false, true]);
        source.leave_alone(at(100), at(3600));
        assert_eq!([159, 160].map(|now| source.has_room(at(now))), [false, true]);
    }

    // NW-04
    #[test]
    fn a_source_that_fails_even_one_at_a_time_is_left_alone_for_longer_and_longer_until_it_delivers() {
        let (mut source, mut now) = (Standing::new(), at(0));
        let mut fail = |source: &mut Standing| {
            now += at(100);
            source.begins(now);
            source.failed(now, now, Trouble::TooMuch);
            [100, 300, 5_000].map(|ms| source.has_room(now + Duration::from_millis(ms)))
        };
        assert_eq!([(); 2].map(|()| fail(&mut source)), [[false, true, true], [false, false, true]]);
        for _ in 0..6 {
            fail(&mut source);
        }
        assert_eq!(fail(&mut source), [false; 3]);
        delivering(&mut source, at(9_999), at(1));
        assert_eq!(fail(&mut source), [false, true, true]);
    }

    #[test]
    fn a_source_that_says_nothing_is_expected_to_take_as_long_as_it_has_been_silent() {
        let mut source = Standing::new();
        assert_eq!(source.expected(at(5)), None);
        delivering(&mut source, at(1), at(1));
        assert_eq!(source.expected(at(100)), Some(at(1)), "nobody asked it");
        source.begins(at(100));
        assert_eq!((source.expected(at(100)), source.expected(at(107))), (Some(at(1)), Some(at(7))));
    }

    /// A source that is always full and takes a second for each body, until `end`.
    fn full(end: u64) -> Standing {
        let mut source = Standing::new();
        (0..9).for_each(|_| source.begins(at(0)));
        for now in 1..=end {
            source.delivered(at(now), at(now - 1), 1 << 20);
            source.begins(at(now));
            source.compare(at(now), 100.0);
        }
        source
    }

    #[test]
    fn a_source_far_slower_than_the_others_is_parked_after_half_a_minute() {
        assert_eq!((full(29).health(at(29)), full(40).health(at(40))), (Health::Works, Health::Parked));
        let mut alike = Standing::new();
        for now in 1..100 {
            delivering(&mut alike, at(now), at(1));
            alike.compare(at(now), 3.9);
        }
        assert_eq!(alike.health(at(100)), Health::Works);
    }

    #[test]
    fn a_parked_source_is_tried_once_a_minute_and_comes_back_when_it_is_fast_again() {
        let mut source = full(40);
        (0..9).for_each(|_| source.ended(at(41)));
        assert_eq!((source.health(at(80)), source.health(at(102))), (Health::Parked, Health::Probe));
        delivering(&mut source, at(104), at(2));
        source.judge_probe(at(104), at(80), Some(at(1) / 10));
        assert_eq!(source.health(at(104)), Health::Probe, "what it was asked for before it was parked shows nothing");
        source.judge_probe(at(104), at(102), Some(at(1) / 10));
        assert_eq!((source.health(at(220)), source.health(at(224))), (Health::Parked, Health::Probe), "it is parked twice as long");
        delivering(&mut source, at(225), at(1) / 10);
        source.judge_probe(at(225), at(224), Some(at(1) / 10));
        assert_eq!(source.health(at(225)), Health::Works);
    }

    #[test]
    fn a_source_that_is_given_little_to_do_is_not_parked() {
        let mut source = Standing::new();
        for now in 1..100 {
            delivering(&mut source, at(now), at(1));
            source.compare(at(now), 1_000.0);
        }
        assert_eq!(source.health(at(100)), Health::Works);
    }

    #[test]
    fn a_fast_source_that_gets_one_request_at_a_time_soon_gets_more() {
        let mut source = Standing::new();
        for _ in 0..4 {
            source.begins(at(1));
            source.failed(at(1), at(1), Trouble::TooMuch);
        }
        assert_eq!(source.window(), 1);
        for body in 0..100 {
            delivering(&mut source, at(2) + Duration::from_millis(10 * body), Duration::from_millis(9));
        }
        assert!(source.window() > 1);
    }

    #[test]
    fn the_time_with_requests_is_counted_once() {
        let mut source = Standing::new();
        source.begins(at(1));
        source.begins(at(2));
        source.ended(at(4));
        assert_eq!(source.busy(at(5)), at(4));
        source.ended(at(6));
        assert_eq!(source.busy(at(100)), at(5));
    }
}

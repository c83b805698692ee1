//! How many requests one source gets at a time: more while more bring more, fewer when it is too much. Pure: times are passed in.
//!
//! A round is as many deliveries as the window is wide, after as many again in which a change takes effect. Only rounds in which the
//! window was full say anything: a source that is given little to do delivers little.

use std::time::Duration;

use super::plan::LEAST_RATE;

/// The window of a source of which nothing is known yet.
pub(super) const START: usize = 8;
/// The most requests in flight, over all sources.
pub(super) const CEILING: usize = 64;
/// The shortest time in which a rate is measured.
const SHORTEST_ROUND: Duration = Duration::from_millis(100);
/// Rounds for which a window that is wide enough is left alone.
const HOLD_ROUNDS: u32 = 16;
/// More requests pay when they bring at least this part of what they would bring if nothing but their number counted.
const WORTHWHILE: f64 = 0.25;
/// A rate that falls below this part of what it was with fewer requests, or with as many, is the sign of too many.
const FALLING_AFTER_GROWTH: f64 = 0.8;
const FALLING: f64 = 0.5;
/// What each request must get, bytes a second, before there are more of them: well above the least that a body may bring.
const LEAST_SHARE: u64 = 2 * LEAST_RATE;
/// Bodies that take no longer are over before their rate is looked at.
const SHORT_BODY: Duration = Duration::from_secs(10);

/// What a failure says of the number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The source says that it is too much (429, 5xx), or bodies come too slowly.
    TooMuch,
    /// A connection failed or broke.
    Broken,
}

/// How many requests a source gets at a time.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// Nothing has ever been too much: it grows by halves.
    is_new: bool,
    round: Round,
    before: Option<Measured>,
    hold_rounds: u32,
    shrunk_at: Option<Duration>,
    /// The last that happened is a failure of a request that was alone.
    fails_at_one: bool,
}

#[derive(Debug, Default)]
struct Round {
    begun: Duration,
    /// Deliveries that are not counted: their requests were made before the window changed.
    settling: usize,
    deliveries: usize,
    full: usize,
    bytes: u64,
    longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    size: usize,
    bytes_per_second: f64,
}

/// What a round says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Grow,
    Stay,
    To(usize),
}

impl Window {
    pub(super) fn new() -> Self {
        Self { size: START, is_new: true, round: Round::default(), before: None, hold_rounds: 0, shrunk_at: None, fails_at_one: false }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a request failed although it was the only one, and nothing was delivered since.
    pub(super) fn fails_at_one(&self) -> bool {
        self.fails_at_one
    }

    /// A source without requests gets one: what was measured before the pause says nothing of the time after it.
    pub(super) fn begins(&mut self, now: Duration) {
        self.round = Round { begun: now, ..Round::default() };
    }

    /// A body arrived that was asked for at `asked`; `in_flight` counts it still.
    pub(super) fn delivered(&mut self, now: Duration, asked: Duration, bytes: u64, in_flight: usize) {
        self.fails_at_one = false;
        let round = &mut self.round;
        if round.settling > 0 {
            round.settling -= 1;
            round.begun = now;
            return;
        }
        round.deliveries += 1;
        round.full += usize::from(in_flight >= self.size);
        round.bytes += bytes;
        round.longest = round.longest.max(now.saturating_sub(asked));
        let lasted = now.saturating_sub(round.begun);
        if round.deliveries < self.size || lasted < SHORTEST_ROUND {
            return;
        }
        let is_full = round.full * 4 >= round.deliveries * 3;
        let measured = Measured { size: self.size, bytes_per_second: round.bytes as f64 / lasted.as_secs_f64() };
        let longest = round.longest;
        if is_full {
            self.conclude(measured, longest);
        }
        self.round = Round { begun: now, settling: if is_full { self.size } else { 0 }, ..Round::default() };
    }

    /// A request that was made at `asked` failed, when there were `in_flight` with it. Those made before the window shrank last failed of the
    /// same trouble.
    pub(super) fn failed(&mut self, now: Duration, asked: Duration, trouble: Trouble, in_flight: usize) {
        if self.shrunk_at.is_some_and(|shrunk| asked < shrunk) {
            return;
        }
        let (used, left) = match trouble {
            // What was too much is what there was, however much more was allowed.
            Trouble::TooMuch => (self.size.min(in_flight), self.size.min(in_flight) / 2),
            Trouble::Broken => (self.size, self.size * 3 / 4),
        };
        self.fails_at_one = used <= 1;
        self.size = left.max(1);
        (self.is_new, self.before, self.hold_rounds, self.shrunk_at) = (false, None, 0, Some(now));
        self.round = Round { begun: now, settling: self.size, ..Round::default() };
    }

    fn conclude(&mut self, measured: Measured, longest: Duration) {
        let step = self.step(measured);
        self.before = Some(measured);
        match step {
            Step::Grow => self.grow(measured.bytes_per_second, longest),
            Step::Stay => self.hold_rounds = self.hold_rounds.saturating_sub(1),
            Step::To(size) => (self.size, self.is_new, self.hold_rounds) = (size.max(1), false, HOLD_ROUNDS),
        }
    }

    fn step(&self, now: Measured) -> Step {
        let Some(before) = self.before else { return Step::Grow };
        let (wider, rate) = (now.size as f64 / before.size as f64, now.bytes_per_second / before.bytes_per_second.max(1.0));
        let as_expected = 1.0 + (wider - 1.0) * WORTHWHILE;
        match now.size.cmp(&before.size) {
            std::cmp::Ordering::Greater if rate >= as_expected => Step::Grow,
            std::cmp::Ordering::Greater if rate < FALLING_AFTER_GROWTH => Step::To(before.size * 3 / 4),
            std::cmp::Ordering::Greater => Step::To(before.size),
            std::cmp::Ordering::Less if rate < as_expected => Step::Grow,
            std::cmp::Ordering::Equal if rate < FALLING => Step::To(now.size * 3 / 4),
            std::cmp::Ordering::Equal if self.hold_rounds == 0 => Step::Grow,
            std::cmp::Ordering::Less | std::cmp::Ordering::Equal => Step::Stay,
        }
    }

    fn grow(&mut self, bytes_per_second: f64, longest: Duration) {
        let more = if self.is_new { self.size / 2 } else { self.size / 8 };
        let size = (self.size + more.max(1)).min(CEILING);
        if longest <= SHORT_BODY || bytes_per_second >= (size as u64 * LEAST_SHARE) as f64 {
            self.size = size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A source whose rate depends on the number of requests, driven with a window that is always full.
    struct Line<F> {
        window: Window,
        now: Duration,
        bytes_per_second: F,
    }

    impl<F: Fn(usize) -> f64> Line<F> {
        fn new(bytes_per_second: F) -> Self {
            Self { window: Window::new(), now: Duration::ZERO, bytes_per_second }
        }

        fn deliver(&mut self, bodies: usize) -> usize {
            for _ in 0..bodies {
                let size = self.window.size();
                let took = Duration::from_secs_f64(MIB as f64 / (self.bytes_per_second)(size));
                self.now += took;
                self.window.delivered(self.now, self.now.saturating_sub(took * size as u32), MIB, size);
            }
            self.window.size()
        }

        fn fail(&mut self, trouble: Trouble) -> usize {
            self.now += Duration::from_millis(1);
            self.window.failed(self.now, self.now, trouble, CEILING);
            self.window.size()
        }
    }

    #[test]
    fn a_window_grows_to_the_ceiling_while_every_request_brings_more() {
        let mut line = Line::new(|requests| requests as f64 * 20e6);
        assert_eq!(line.deliver(0), START);
        assert_eq!(line.deliver(1_000), CEILING);
        assert!(line.now < Duration::from_secs(2), "{:?}", line.now);
    }

    #[test]
    fn a_line_that_is_full_is_left_alone() {
        let mut line = Line::new(|_| 50e6);
        for _ in 0..500 {
            let size = line.deliver(1);
            assert!((6..=12).contains(&size), "{size}");
        }
    }

    #[test]
    fn a_window_stops_about_where_more_requests_bring_nothing_more() {
        let mut line = Line::new(|requests| requests.min(24) as f64 * 5e6);
        line.deliver(2_000);
        let sizes: Vec<usize> = (0..2_000).map(|_| line.deliver(1)).collect();
        assert!(sizes.iter().all(|size| (15..=40).contains(size)), "{:?}", sizes.iter().max());
    }

    #[test]
    fn a_rate_that_falls_with_more_requests_takes_them_back() {
        let mut line = Line::new(|requests| if requests <= 10 { requests as f64 * 10e6 } else { 10e6 });
        let sizes: Vec<usize> = (0..3_000).map(|_| line.deliver(1)).collect();
        let wide = sizes[300..].iter().filter(|size| **size > 13).count();
        assert!(wide < 100, "{wide} of {} deliveries with a window that is too wide", sizes.len());
    }

    // NW-04
    #[test]
    fn overload_halves_a_window_once_for_all_requests_that_were_made_before() {
        let mut window = Window::new();
        let at = Duration::from_millis;
        for (now, asked, size) in [(10, 0, 4), (11, 1, 4), (12, 9, 4), (20, 10, 2), (30, 25, 1), (40, 35, 1)] {
            window.failed(at(now), at(asked), Trouble::TooMuch, CEILING);
            assert_eq!(window.size(), size, "at {now} ms");
        }
        assert!(window.fails_at_one());
        window.delivered(at(50), at(40), 1, 1);
        assert!(!window.fails_at_one());
    }

    #[test]
    fn a_broken_connection_costs_a_quarter_and_success_brings_it_back() {
        let mut line = Line::new(|requests| requests as f64 * 5e6);
        assert_eq!([(); 4].map(|()| line.fail(Trouble::Broken)), [6, 4, 3, 2]);
        assert_eq!(line.fail(Trouble::TooMuch), 1);
        line.deliver(2_000);
        assert!(line.window.size() > START, "{}", line.window.size());
    }

    // HM-05
    #[test]
    fn a_window_never_grows_where_each_request_would_get_too_little() {
        let mut line = Line::new(|_| 100e3);
        assert_eq!(line.fail(Trouble::TooMuch), 4);
        assert!((0..1_000).all(|_| line.deliver(1) == 4));
        assert_eq!([(); 2].map(|()| line.fail(Trouble::TooMuch)), [2, 1]);
        assert!((0..1_000).all(|_| line.deliver(1) <= 3));
        let mut alone = Window::new();
        alone.failed(Duration::from_secs(30), Duration::ZERO, Trouble::TooMuch, 1);
        assert_eq!((alone.size(), alone.fails_at_one()), (1, true), "however many more were allowed");
    }

    #[test]
    fn small_bodies_are_slow_in_bytes_and_get_more_requests_nevertheless() {
        let (mut window, mut now) = (Window::new(), Duration::ZERO);
        for _ in 0..1_000 {
            let took = Duration::from_millis(40);
            now += took / window.size() as u32;
            window.delivered(now, now.saturating_sub(took), 300, window.size());
        }
        assert_eq!(window.size(), CEILING);
    }

    #[test]
    fn deliveries_of_a_source_with_little_to_do_say_nothing() {
        let mut window = Window::new();
        for second in 0..1_000 {
            window.delivered(Duration::from_secs(second), Duration::from_secs(second), MIB, 1);
        }
        assert_eq!(window.size(), START);
    }
}

//! The sums behind every display of progress.

use std::{collections::BTreeMap, time::Duration};

use crate::progress::{Event, Phase};

/// What one source did in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// Bytes as sent.
    pub(super) bytes: u64,
    /// Failures.
    pub(super) errors: u64,
}

/// Sums of events. Knows no clock: times since the start are passed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The phase that runs.
    pub(super) phase: Option<Phase>,
    /// Work in the phase, where it is known.
    pub(super) total_bytes: Option<u64>,
    /// Work done in the phase.
    pub(super) done_bytes: u64,
    /// What each source did.
    pub(super) sources: BTreeMap<String, Source>,
    phase_began: Duration,
}

impl Tally {
    /// Adds an event that came `at` after the start.
    pub(super) fn add(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Phase { phase, total_bytes } => {
                (self.phase, self.total_bytes, self.done_bytes, self.phase_began) = (Some(*phase), *total_bytes, 0, at);
            }
            Event::Done { bytes } => self.done_bytes += bytes,
            Event::Fetched { source, bytes } => self.source(source).bytes += bytes,
            Event::SourceFailed { source, .. } => self.source(source).errors += 1,
            Event::Warning { .. } | Event::Note { .. } => {}
        }
    }

    fn source(&mut self, name: &str) -> &mut Source {
        self.sources.entry(name.to_owned()).or_default()
    }

    /// The phase's name, or `start` before the first.
    pub(super) fn phase_name(&self) -> &'static str {
        self.phase.map_or("start", Phase::name)
    }

    /// Bytes of work a second since the phase began.
    pub(super) fn rate(&self, at: Duration) -> u64 {
        let seconds = at.saturating_sub(self.phase_began).as_secs_f64();
        if seconds < 0.1 { 0 } else { (self.done_bytes as f64 / seconds) as u64 }
    }

    /// How long the rest of the phase takes at the rate so far.
    pub(super) fn remaining(&self, at: Duration) -> Option<Duration> {
        let left = self.total_bytes?.saturating_sub(self.done_bytes);
        left.checked_div(self.rate(at)).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn rate_and_rest_are_those_of_the_phase() {
        let mut tally = Tally::default();
        tally.add(&Event::Phase { phase: Phase::Manifest, total_bytes: Some(10) }, secs(0));
        tally.add(&Event::Done { bytes: 10 }, secs(1));
        tally.add(&Event::Phase { phase: Phase::Transfer, total_bytes: Some(1000) }, secs(10));
        tally.add(&Event::Done { bytes: 200 }, secs(12));
        assert_eq!((tally.done_bytes, tally.rate(secs(12))), (200, 100));
        assert_eq!(tally.remaining(secs(12)), Some(secs(8)));
    }

    #[test]
    fn nothing_is_promised_before_there_is_a_rate() {
        let mut tally = Tally::default();
        tally.add(&Event::Phase { phase: Phase::Transfer, total_bytes: Some(1000) }, secs(3));
        assert_eq!((tally.rate(secs(3)), tally.remaining(secs(30))), (0, None));
    }

    #[test]
    fn sources_are_counted_apart() {
        let mut tally = Tally::default();
        tally.add(&Event::Fetched { source: "a".into(), bytes: 5 }, secs(1));
        tally.add(&Event::SourceFailed { source: "b".into(), reason: "gone".into() }, secs(1));
        assert_eq!(tally.sources["a"], Source { bytes: 5, errors: 0 });
        assert_eq!(tally.sources["b"].errors, 1);
    }
}

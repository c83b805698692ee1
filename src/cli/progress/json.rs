//! Progress as JSON Lines: at most two `progress` lines a second, and one at the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Receiver, tally::Tally, ticker::Ticker};
use crate::{
    cli::output::{self, Lines},
    progress::{Event, Progress},
};

const PERIOD: Duration = Duration::from_millis(500);

/// One line. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Phase {
        phase: &'a str,
        total_bytes: Option<u64>,
    },
    Progress {
        phase: &'a str,
        done_bytes: u64,
        total_bytes: Option<u64>,
        bytes_per_second: u64,
        seconds_left: Option<u64>,
        sources: BTreeMap<&'a str, Source>,
    },
    SourceFailed {
        source: &'a str,
        reason: &'a str,
    },
    Warning {
        text: &'a str,
    },
    Note {
        text: &'a str,
    },
}

/// A source in a `progress` line.
#[derive(Debug, Serialize)]
struct Source {
    bytes: u64,
    errors: u64,
}

/// Prints lines of JSON.
#[derive(Debug)]
pub(super) struct JsonLines {
    run: Arc<Run>,
    ticker: Ticker,
}

/// What the ticker shares with those who report.
#[derive(Debug)]
struct Run {
    began: Instant,
    tally: Mutex<Tally>,
    /// What was printed last; nothing once the run is over, for then no more is printed.
    shown: Mutex<Option<Tally>>,
    lines: Lines,
}

impl JsonLines {
    /// Starts the clock.
    pub(super) fn new(lines: Lines) -> Self {
        let run = Arc::new(Run { began: Instant::now(), tally: Mutex::default(), shown: Mutex::new(Some(Tally::default())), lines });
        let seen = Arc::clone(&run);
        Self { run, ticker: Ticker::every(PERIOD, move || seen.show()) }
    }
}

impl Run {
    /// Prints how far the run is, unless that was the last thing printed.
    fn show(&self) {
        let Ok(now) = self.tally.lock().map(|tally| tally.clone()) else { return };
        let Ok(mut shown) = self.shown.lock() else { return };
        if shown.as_ref().is_some_and(|shown| *shown != now) {
            output::json_line(self.lines, &progress(&now, self.began.elapsed()));
            *shown = Some(now);
        }
    }

    fn end(&self) {
        if let Ok(mut shown) = self.shown.lock() {
            *shown = None;
        }
    }
}

impl Progress for JsonLines {
    fn event(&self, event: Event) {
        let Ok(mut tally) = self.run.tally.lock() else { return };
        tally.add(&event, self.run.began.elapsed());
        drop(tally);
        if let Some(line) = line(&event) {
            output::json_line(self.run.lines, &line);
        }
    }
}

impl Receiver for JsonLines {
    /// Ends with where the run came to, also of a run too short for a tick.
    fn finish(&self) {
        self.ticker.stop();
        self.run.show();
        self.run.end();
    }
}

/// The line that an event is worth at once.
fn line(event: &Event) -> Option<Line<'_>> {
    match event {
        Event::Phase { phase, total_bytes } => Some(Line::Phase { phase: phase.name(), total_bytes: *total_bytes }),
        Event::SourceFailed { source, reason } => Some(Line::SourceFailed { source, reason }),
        Event::Warning { text } => Some(Line::Warning { text }),
        Event::Note { text } => Some(Line::Note { text }),
        Event::Done { .. } | Event::Fetched { .. } => None,
    }
}

/// The line that tells how far the run is.
fn progress(tally: &Tally, at: Duration) -> Line<'_> {
    Line::Progress {
        phase: tally.phase_name(),
        done_bytes: tally.done_bytes,
        total_bytes: tally.total_bytes,
        bytes_per_second: tally.rate(at),
        seconds_left: tally.remaining(at).map(|left| left.as_secs()),
        sources: tally.sources.iter().map(|(name, s)| (name.as_str(), Source { bytes: s.bytes, errors: s.errors })).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Phase;

    #[test]
    fn lines_carry_their_type_and_bytes_as_numbers() {
        let mut tally = Tally::default();
        tally.add(&Event::Phase { phase: Phase::Transfer, total_bytes: Some(400) }, Duration::ZERO);
        tally.add(&Event::Done { bytes: 100 }, Duration::from_secs(1));
        let line = serde_json::to_value(progress(&tally, Duration::from_secs(1))).unwrap();
        let expected = serde_json::json!({"type": "progress", "phase": "transfer", "done_bytes": 100, "total_bytes": 400,
            "bytes_per_second": 100, "seconds_left": 3, "sources": {}});
        assert_eq!(line, expected);
    }

    #[test]
    fn a_failed_source_is_a_line_of_its_own() {
        let event = Event::SourceFailed { source: "cdn".into(), reason: "reset".into() };
        let expected = serde_json::json!({"type": "source-failed", "source": "cdn", "reason": "reset"});
        assert_eq!(serde_json::to_value(line(&event)).unwrap(), expected);
    }
}

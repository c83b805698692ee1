//! Progress as JSON Lines, at most two `progress` lines a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Receiver, tally::Tally, ticker::Ticker};
use crate::{
    cli::output::{self, Format},
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
    began: Instant,
    tally: Arc<Mutex<Tally>>,
    ticker: Ticker,
    format: Format,
}

impl JsonLines {
    /// Starts the clock. Lines go where the summary goes if that is JSON too, else to standard error.
    pub(super) fn new(format: Format) -> Self {
        let (began, tally) = (Instant::now(), Arc::new(Mutex::new(Tally::default())));
        let (seen, mut shown) = (Arc::clone(&tally), Tally::default());
        let ticker = Ticker::every(PERIOD, move || {
            let Ok(now) = seen.lock().map(|tally| tally.clone()) else { return };
            if now != shown {
                print(format, &progress(&now, began.elapsed()));
                shown = now;
            }
        });
        Self { began, tally, ticker, format }
    }
}

impl Progress for JsonLines {
    fn event(&self, event: Event) {
        let Ok(mut tally) = self.tally.lock() else { return };
        tally.add(&event, self.began.elapsed());
        drop(tally);
        if let Some(line) = line(&event) {
            print(self.format, &line);
        }
    }
}

impl Receiver for JsonLines {
    fn finish(&self) {
        self.ticker.stop();
    }
}

fn print(format: Format, line: &Line<'_>) {
    match format {
        Format::Json => output::json_line(line),
        Format::Text => output::stderr(&String::from_utf8_lossy(&output::json_bytes(line))),
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

//! Progress as lines of text: one at each phase, one every 30 s, and one for whatever should be known.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytesize::ByteSize;

use super::{Receiver, tally::Tally, ticker::Ticker};
use crate::{
    cli::output,
    progress::{Event, Progress},
};

const PERIOD: Duration = Duration::from_secs(30);

/// Prints lines to standard error.
#[derive(Debug)]
pub(super) struct Plain {
    began: Instant,
    tally: Arc<Mutex<Tally>>,
    ticker: Ticker,
}

impl Plain {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        let (began, tally) = (Instant::now(), Arc::new(Mutex::new(Tally::default())));
        let seen = Arc::clone(&tally);
        let ticker = Ticker::every(PERIOD, move || {
            let line = seen.lock().map(|tally| status(&tally, began.elapsed()));
            output::stderr(&line.unwrap_or_default());
        });
        Self { began, tally, ticker }
    }
}

impl Progress for Plain {
    fn event(&self, event: Event) {
        let Ok(mut tally) = self.tally.lock() else { return };
        tally.add(&event, self.began.elapsed());
        drop(tally);
        if let Some(line) = line(&event) {
            output::stderr(&line);
        }
    }
}

impl Receiver for Plain {
    fn finish(&self) {
        self.ticker.stop();
    }
}

/// The line that an event is worth at once.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::Phase { phase, total_bytes: Some(bytes) } => Some(format!("{}: {}\n", phase.name(), ByteSize(*bytes))),
        Event::Phase { phase, total_bytes: None } => Some(format!("{}\n", phase.name())),
        Event::Warning { text } => Some(format!("warning: {text}\n")),
        Event::Note { text } => Some(format!("{text}\n")),
        Event::Done { .. } | Event::Fetched { .. } | Event::SourceFailed { .. } => None,
    }
}

/// The line that tells how far the run is.
fn status(tally: &Tally, at: Duration) -> String {
    let mut line = format!("{}: {}", tally.phase_name(), ByteSize(tally.done_bytes));
    if let Some(total) = tally.total_bytes {
        line += &format!(" of {}", ByteSize(total));
    }
    line += &format!(", {}/s", ByteSize(tally.rate(at)));
    if let Some(remaining) = tally.remaining(at) {
        line += &format!(", {} left", humantime::format_duration(remaining));
    }
    for (name, source) in &tally.sources {
        line += &format!("; {name}: {}, {} errors", ByteSize(source.bytes), source.errors);
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Phase;

    #[test]
    fn a_status_line_tells_phase_bytes_rate_rest_and_sources() {
        let mut tally = Tally::default();
        tally.add(&Event::Phase { phase: Phase::Transfer, total_bytes: Some(4 << 20) }, Duration::ZERO);
        tally.add(&Event::Done { bytes: 1 << 20 }, Duration::from_secs(1));
        tally.add(&Event::Fetched { source: "cdn".into(), bytes: 1 << 19 }, Duration::from_secs(1));
        let line = status(&tally, Duration::from_secs(1));
        assert_eq!(line, "transfer: 1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3s left; cdn: 512.0 KiB, 0 errors\n");
    }

    #[test]
    fn every_chunk_is_not_worth_a_line_but_every_warning_is() {
        assert_eq!(line(&Event::Done { bytes: 1 }), None);
        assert_eq!(line(&Event::Warning { text: "the disk is slow".into() }).as_deref(), Some("warning: the disk is slow\n"));
    }
}

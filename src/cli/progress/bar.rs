//! Progress as a bar on a terminal, with a line for each source below it.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Receiver, tally::Tally};
use crate::progress::{Event, Progress};

/// Draws to standard error, ten times a second at most.
#[derive(Debug)]
pub(super) struct Bar {
    began: Instant,
    screen: MultiProgress,
    main: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    lines: BTreeMap<String, ProgressBar>,
}

impl Bar {
    /// Draws an empty bar.
    pub(super) fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let main = screen.add(ProgressBar::no_length().with_style(style("{prefix:10} {spinner} {bytes}  {elapsed}")));
        main.enable_steady_tick(Duration::from_millis(200));
        Self { began: Instant::now(), screen, main, state: Mutex::default() }
    }

    fn begin_phase(&self, tally: &Tally) {
        self.main.reset();
        self.main.set_prefix(tally.phase_name());
        if let Some(total) = tally.total_bytes {
            self.main.set_length(total);
            self.main.set_style(style("{prefix:10} [{wide_bar}] {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left"));
        } else {
            self.main.unset_length();
            self.main.set_style(style("{prefix:10} {spinner} {binary_bytes}  {elapsed}"));
        }
    }

    fn show_source(&self, state: &mut State, name: &str) {
        let State { tally, lines } = state;
        let line = lines.entry(name.to_owned()).or_insert_with(|| {
            let line = ProgressBar::no_length().with_style(style("  {msg}"));
            self.screen.add(line)
        });
        if let Some(source) = tally.sources.get(name) {
            let rate = source.bytes as f64 / self.began.elapsed().as_secs_f64().max(0.1);
            line.set_message(format!("{name}: {}, {}/s, {} errors", ByteSize(source.bytes), ByteSize(rate as u64), source.errors));
        }
    }
}

impl Progress for Bar {
    fn event(&self, event: Event) {
        let Ok(mut state) = self.state.lock() else { return };
        state.tally.add(&event, self.began.elapsed());
        match &event {
            Event::Phase { .. } => self.begin_phase(&state.tally),
            Event::Done { bytes } => self.main.inc(*bytes),
            Event::Fetched { source, .. } | Event::SourceFailed { source, .. } => self.show_source(&mut state, source),
            // The screen may be gone: then there is nobody to tell.
            Event::Warning { text } => self.screen.println(format!("warning: {text}")).unwrap_or_default(),
            Event::Note { text } => self.screen.println(text).unwrap_or_default(),
        }
    }
}

impl Receiver for Bar {
    fn finish(&self) {
        self.main.disable_steady_tick();
        self.screen.clear().unwrap_or_default();
    }
}

/// A style of indicatif; a template it does not take, which the test below would show, is the default style.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Phase;

    #[test]
    fn follows_a_run_to_its_end() {
        let bar = Bar::new();
        bar.screen.set_draw_target(ProgressDrawTarget::hidden());
        bar.event(Event::Phase { phase: Phase::Transfer, total_bytes: Some(100) });
        bar.event(Event::Done { bytes: 60 });
        bar.event(Event::Fetched { source: "cdn".into(), bytes: 30 });
        bar.event(Event::SourceFailed { source: "cdn".into(), reason: "reset".into() });
        assert_eq!((bar.main.position(), bar.main.length(), bar.main.prefix().as_str()), (60, Some(100), "transfer"));
        let message = bar.state.lock().unwrap().lines["cdn"].message();
        assert!(message.starts_with("cdn: 30 B, ") && message.ends_with("1 errors"), "{message}");
        bar.event(Event::Phase { phase: Phase::Finish, total_bytes: None });
        assert_eq!((bar.main.position(), bar.main.length()), (0, None));
        bar.finish();
    }
}

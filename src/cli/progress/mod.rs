//! Receivers of progress: bars on a terminal, plain lines, JSON Lines, or warnings alone.

mod bar;
mod json;
mod plain;
mod silent;
mod tally;
mod ticker;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use clap::ValueEnum;

use super::output::{Format, Output};
use crate::progress::Progress;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A bar on a terminal, JSON Lines with --json, else plain lines
    #[default]
    Auto,
    /// A bar, redrawn in place
    Bar,
    /// A line at each phase and every 30 s
    Plain,
    /// JSON Lines, at most two a second: where --json prints, else on standard error
    Json,
    /// Warnings only
    None,
}

/// Receives events until the run is over.
pub(crate) trait Receiver: Progress {
    /// Takes what is drawn off the screen and ends timers, so that results can be printed.
    fn finish(&self);
}

/// Makes the receiver for a mode.
pub(crate) fn receiver(mode: Mode, output: Output, quiet: bool) -> Arc<dyn Receiver> {
    match resolve(mode, output.format(), quiet, io::stderr().is_terminal()) {
        Mode::Bar => Arc::new(bar::Bar::new()),
        Mode::Json => Arc::new(json::JsonLines::new(output.progress_lines())),
        Mode::None => Arc::new(silent::Silent),
        Mode::Plain | Mode::Auto => Arc::new(plain::Plain::new()),
    }
}

/// What `auto` comes to, and what is left of a mode where it cannot be had.
fn resolve(mode: Mode, format: Format, quiet: bool, terminal: bool) -> Mode {
    match (mode, format) {
        (Mode::Auto, _) if quiet => Mode::None,
        (Mode::Auto, Format::Json) => Mode::Json,
        (Mode::Auto, Format::Text) if terminal => Mode::Bar,
        (Mode::Auto, Format::Text) => Mode::Plain,
        // Bars only on a terminal, whoever asks.
        (Mode::Bar, _) if !terminal => Mode::Plain,
        (mode, _) => mode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_on_terminals_only() {
        for mode in [Mode::Auto, Mode::Bar] {
            assert_eq!(resolve(mode, Format::Text, false, false), Mode::Plain);
            assert_eq!(resolve(mode, Format::Text, false, true), Mode::Bar);
        }
    }

    #[test]
    fn json_and_quiet_choose_what_auto_means() {
        assert_eq!(resolve(Mode::Auto, Format::Json, false, true), Mode::Json);
        assert_eq!(resolve(Mode::Auto, Format::Json, true, true), Mode::None);
        assert_eq!(resolve(Mode::Plain, Format::Json, true, true), Mode::Plain);
    }
}

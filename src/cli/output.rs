//! Standard output and standard error, written to so that a reader who goes away ends nothing.
//!
//! `println!` panics when the other end of a pipe is closed. A restore that runs for hours must outlive
//! the `head` it was piped into.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::{exit::Failure, syslog};

/// What the user wants to see of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON Lines; the last one is the summary or the error.
    Json,
}

/// Where lines of JSON go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Standard output.
    Stdout,
    /// Standard error: standard output is taken, by an archive for example, or by text for people.
    Stderr,
}

/// Writes results: text to standard output, or lines of JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    lines: Lines,
}

/// The last line of `--json` when a command succeeds.
#[derive(Serialize)]
struct SummaryLine<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    command: &'static str,
    #[serde(flatten)]
    summary: &'a T,
}

impl Output {
    /// Writes in `format`.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, lines: Lines::Stdout }
    }

    /// The same for a command whose standard output is data: no line of JSON ever goes between the data.
    #[must_use]
    pub(crate) fn beside_data(self) -> Self {
        Self { lines: Lines::Stderr, ..self }
    }

    /// The form of results.
    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// Where lines that tell of progress go: where the summary goes if that is JSON too, else to standard error.
    pub(crate) fn progress_lines(self) -> Lines {
        match self.format {
            Format::Json => self.lines,
            Format::Text => Lines::Stderr,
        }
    }

    /// Shows what a command did: `text` to people, or the summary as the last JSON line.
    pub(crate) fn summary<T: Serialize>(self, command: &'static str, summary: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Text => say(&text(summary)),
            Format::Json => json_line(self.lines, &SummaryLine { kind: "summary", command, summary }),
        }
    }

    /// Shows one of many results: `text` to people, or a JSON line.
    pub(crate) fn item<T: Serialize>(self, kind: &'static str, item: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Text => say(&text(item)),
            Format::Json => json_line(self.lines, &ItemLine { kind, item }),
        }
    }

    /// Shows why a command failed; a stream that carries lines of JSON carries nothing else.
    pub(crate) fn failure(self, failure: &Failure) {
        if (self.format, self.lines) != (Format::Json, Lines::Stderr) {
            stderr(&failure.to_text());
        }
        if self.format == Format::Json {
            json_line(self.lines, &failure.to_json());
        }
    }
}

/// One of many results.
#[derive(Serialize)]
struct ItemLine<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    item: &'a T,
}

/// Writes one value as a line of JSON.
pub(crate) fn json_line<T: Serialize>(to: Lines, value: &T) {
    let line = serde_json::to_string(value).expect("what is shown has text keys and writes to memory") + "\n";
    match to {
        Lines::Stdout => stdout(line.as_bytes()),
        Lines::Stderr => stderr(&line),
    }
}

/// Whether something could not be written to standard output although somebody may be reading.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. A closed pipe is no error, for nobody reads any more; [`lost`] tells of any other.
pub(crate) fn stdout(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => LOST.store(true, Ordering::Relaxed),
        _ => {}
    }
}

/// Whether results were lost because standard output could not be written, a full disk for example.
pub(crate) fn lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Text for people: to standard output, or to the system's log where that was asked for.
fn say(text: &str) {
    if !syslog::say(text) {
        stdout(text.as_bytes());
    }
}

/// Writes to standard error, or to the system's log where that was asked for; when that fails there is nobody left to tell.
pub(crate) fn stderr(text: &str) {
    if syslog::say(text) {
        return;
    }
    let _nobody_to_tell = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether somebody sits at both ends: can read a question and answer it.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

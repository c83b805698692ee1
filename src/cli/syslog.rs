//! `--syslog`: what a command says to people goes to the system's log, and to nobody else unless there is none.

use std::sync::{Mutex, OnceLock, PoisonError};

use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

type Sink = Mutex<Logger<LoggerBackend, Formatter3164>>;

static SINK: OnceLock<Sink> = OnceLock::new();

/// Sends everything to the system's log from now on.
///
/// # Errors
/// Why there is none; then everything is said as before.
pub(super) fn start() -> Result<(), String> {
    let formatter = Formatter3164 { facility: Facility::LOG_DAEMON, hostname: None, process: "qsync".to_owned(), pid: std::process::id() };
    let logger = syslog::unix(formatter).map_err(|e| e.to_string())?;
    let _started_before = SINK.set(Mutex::new(logger));
    Ok(())
}

/// Says it there, each line by itself; `false` when that is not asked for, or fails.
pub(super) fn say(text: &str) -> bool {
    let Some(sink) = SINK.get() else { return false };
    let mut logger = sink.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .try_for_each(|line| match line {
            line if line.starts_with("error:") || line.starts_with("caused by:") => logger.err(line),
            line if line.starts_with("warning:") => logger.warning(line),
            line => logger.info(line),
        })
        .is_ok()
}

//! What a publish tells of itself beside its output: to the monitor of its schedule, and to the next who asks how it went.
//!
//! Nothing here fails a run: what cannot be told is a warning.

use std::{fs, path::Path, time::Instant};

use tokio::task::JoinHandle;

use super::{Code, context::Context, exit::Failure};
use crate::{
    ops::{
        metrics::Metrics,
        ping::{PingUrl, Signal, TRIES, ping},
        runs::{Published, Run},
    },
    progress::Event,
    publish::Summary,
    types::{ChannelName, Timestamp},
};

/// The most bytes of a file with an address.
const MAX_URL_BYTES: u64 = 4096;

/// A run that is under way.
#[derive(Debug)]
pub(crate) struct Reports {
    channel: ChannelName,
    started: Timestamp,
    clock: Instant,
    monitor: Option<PingUrl>,
    told_start: Option<JoinHandle<Result<(), String>>>,
}

impl Reports {
    /// A run begins; the monitor is told while it does.
    pub(crate) fn begin(channel: ChannelName, monitor: Option<PingUrl>, context: &Context) -> Self {
        let told_start = monitor.clone().map(|url| tokio::spawn(async move { ping(&url, Signal::Start, "", TRIES).await }));
        Self { channel, started: context.now, clock: Instant::now(), monitor, told_start }
    }

    /// It has ended.
    pub(crate) async fn end(self, summary: Option<&Summary>, ended: &Result<(), Failure>, context: &Context) {
        let exit = ended.as_ref().map_or_else(|failure| failure.exit() as u8, |()| 0);
        if let Err(text) = self.remember(summary, exit, context) {
            context.progress().event(Event::Warning { text });
        }
        write_metrics(context);
        let body = match (ended, summary) {
            (Err(failure), _) => failure.to_text(),
            (Ok(()), Some(summary)) => serde_json::to_string(summary).unwrap_or_default(),
            (Ok(()), None) => String::new(),
        };
        if let Err(text) = self.tell(Signal::Ended(exit), &body).await {
            context.progress().event(Event::Warning { text });
        }
    }

    fn remember(&self, summary: Option<&Summary>, exit: u8, context: &Context) -> Result<(), String> {
        let state = context.open_state().map_err(|failure| failure.messages.join(": "))?;
        let before = Run::load(&*context.fs, &state, &self.channel);
        let published = summary.and_then(published);
        let mut run = Run::after(before.as_ref(), self.channel.clone(), self.started, self.clock.elapsed().as_secs_f64(), exit, published);
        run.downtime_seconds = summary.and_then(|summary| summary.freeze.as_ref()?.downtime_seconds);
        run.save(&*context.fs, &state).map_err(|e| format!("how this run went could not be kept for qsync check and the metrics: {e}"))
    }

    async fn tell(self, signal: Signal, body: &str) -> Result<(), String> {
        let Some(url) = self.monitor else { return Ok(()) };
        // One message after the other, or the end could arrive before the start. A monitor that did not hear of that is tried once more.
        let heard = match self.told_start {
            Some(start) => start.await.is_ok_and(|told| told.is_ok()),
            None => true,
        };
        ping(&url, signal, body, if heard { TRIES } else { 1 }).await
    }
}

/// Writes the file of metrics, if one is configured. Nothing fails because of it.
pub(crate) fn write_metrics(context: &Context) {
    let Some(path) = context.metrics_file() else { return };
    let written = context.open_state().map_err(|failure| failure.messages.join(": ")).and_then(|state| {
        let mut metrics = Metrics::new();
        metrics.add_state(&*context.fs, &state).and_then(|()| metrics.write(&*context.fs, path)).map_err(|e| e.to_string())
    });
    if let Err(why) = written {
        context.progress().event(Event::Warning { text: format!("the metrics in {} could not be written: {why}", path.display()) });
    }
}

fn published(summary: &Summary) -> Option<Published> {
    Some(Published {
        id: summary.snapshot,
        height: summary.height,
        taken_at: summary.taken_at,
        bytes: summary.bytes,
        frame_bytes: summary.frame_bytes,
        head_expires: summary.head_expires?,
    })
}

/// The address of the monitor: the flag, else the file that the configuration names.
///
/// # Errors
/// When it is no address, or the file cannot be read.
pub(crate) fn monitor(flag: Option<PingUrl>, file: Option<&Path>) -> Result<Option<PingUrl>, Failure> {
    let (None, Some(file)) = (&flag, file) else { return Ok(flag) };
    let text = read_address("ping_file", file)?;
    text.parse().map(Some).map_err(|e| Failure::from_error(Code::Config, &e).context(format!("in ping_file {}", file.display())))
}

/// The text of a file with an address, which the configuration names with `key`: addresses that carry secrets stand in files of their own.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_address(key: &str, file: &Path) -> Result<String, Failure> {
    let unreadable = |e: std::io::Error| Failure::from_error(Code::Config, &e).context(format!("{key} {} cannot be read", file.display()));
    if fs::metadata(file).map_err(unreadable)?.len() > MAX_URL_BYTES {
        return Err(Failure::new(Code::Config, format!("{key} {} is larger than {MAX_URL_BYTES} bytes", file.display())));
    }
    fs::read_to_string(file).map_err(unreadable)
}

//! Ctrl-C and SIGTERM: the first asks the run to stop at its next safe point, the second ends it at once.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    ask,
    code::{Code, Exit},
    output,
};
use crate::progress::Stop;

/// Listens as long as the runtime lives.
#[derive(Clone, Debug)]
pub(crate) struct Signals(Arc<OnceLock<Code>>);

impl Signals {
    /// Starts to listen, and asks `stop` at the first signal.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn listen(stop: Stop) -> io::Result<Self> {
        let signals = Self(Arc::default());
        let received = Arc::clone(&signals.0);
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // A terminal that goes away ends nothing: once installed, tokio's handler stays for good and only swallows the signal.
        drop(signal(SignalKind::hangup())?);
        // A file that grows over a limit of the shell is an error of that write, not the end of the run.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        tokio::spawn(async move {
            let first = next(&mut interrupt, &mut terminate).await;
            received.get_or_init(|| first);
            if ask::is_waiting() {
                std::process::exit(i32::from(first.exit() as u8));
            }
            output::stderr("stopping at the next safe point; once more to stop at once\n");
            stop.request();
            let second = next(&mut interrupt, &mut terminate).await;
            std::process::exit(i32::from(second.exit() as u8));
        });
        Ok(signals)
    }

    /// Lets nothing but SIGKILL end this process.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn ignore() -> io::Result<Self> {
        // Once installed, tokio's handlers stay for good and only swallow their signals.
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit(), SignalKind::pipe()] {
            drop(signal(kind)?);
        }
        Ok(Self(Arc::default()))
    }

    /// The signal that came, as the code it ends the command with.
    pub(crate) fn received(&self) -> Option<Code> {
        self.0.get().copied()
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> Code {
    tokio::select! {
        _ = interrupt.recv() => Code::Interrupted,
        _ = terminate.recv() => Code::Terminated,
    }
}

/// The name of the signal behind a code.
pub(crate) fn name(code: Code) -> &'static str {
    if code.exit() == Exit::Interrupted { "SIGINT" } else { "SIGTERM" }
}

//! How far a run is: a port that layers below the command line report to.
//!
//! Work reports typed [`Event`]s to a [`Progress`]; what becomes of them (bars, lines, JSON, nothing) is the
//! receiver's business. Events are cheap and may come from any thread.

mod stop;

use std::{fmt::Debug, sync::Mutex};

pub use stop::Stop;

/// An error with everything below it, in one line: warnings have one.
#[must_use]
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// What a run is doing, in the order in which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking sources or stores for roots and heads.
    Discover,
    /// Fetching and checking the manifest.
    Manifest,
    /// Looking at the data directory.
    Scan,
    /// Finding out what is there already.
    Plan,
    /// Moving chunks.
    Transfer,
    /// Making everything durable and putting it into place.
    Finish,
    /// Reading back what was stored.
    ReadBack,
    /// Hashing a directory.
    Verify,
    /// Sending blocks to a node of IPFS.
    Ipfs,
}

impl Phase {
    /// The phase's name in `--json` and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Manifest => "manifest",
            Self::Scan => "scan",
            Self::Plan => "plan",
            Self::Transfer => "transfer",
            Self::Finish => "finish",
            Self::ReadBack => "read-back",
            Self::Verify => "verify",
            Self::Ipfs => "ipfs",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A phase begins; `total_bytes` of work lie in it where that is known.
    Phase {
        /// The phase.
        phase: Phase,
        /// How much there is to do, bytes.
        total_bytes: Option<u64>,
    },
    /// So many more raw bytes of the phase are done.
    Done {
        /// Raw bytes of chunks.
        bytes: u64,
    },
    /// A source delivered bytes (as sent, so compressed where frames are sent).
    Fetched {
        /// The source's name.
        source: String,
        /// Bytes as sent.
        bytes: u64,
    },
    /// A source failed once.
    SourceFailed {
        /// The source's name.
        source: String,
        /// Why, in one line.
        reason: String,
    },
    /// Something the user should know although the run goes on.
    Warning {
        /// One line, present tense.
        text: String,
    },
    /// Something worth a line in the log.
    Note {
        /// One line, present tense.
        text: String,
    },
}

/// Receives events.
pub trait Progress: Debug + Send + Sync {
    /// Takes one event. Must return quickly.
    fn event(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _event: Event) {}
}

/// Keeps every event, for tests.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }
}

impl Progress for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().expect("no holder of this lock panics").push(event);
    }
}

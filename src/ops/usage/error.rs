//! Why a tick cannot be made, or one of its sources not be read.

use thiserror::Error;

use super::aws::AwsError;
use crate::{format::json, kubo, store, types::Timestamp};

/// Why nothing was counted.
#[derive(Debug, Error)]
pub enum Error {
    /// The store of the state fails.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A newer version wrote the state.
    #[error("{store}: usage/state.json is of format {found:?}, this qsync knows {known:?}")]
    StateNewer {
        /// The store.
        store: String,
        /// What it says.
        found: String,
        /// What would be right.
        known: &'static str,
    },
    /// What lies there is no state.
    #[error("{store}: usage/state.json cannot be read")]
    StateUnreadable {
        /// The store.
        store: String,
        /// Why not, where that is known.
        #[source]
        source: Option<json::JsonError>,
    },
    /// There is too much to keep.
    #[error("{store}: usage/state.json would have {bytes} bytes, at most {} fit", super::state::MAX_BYTES)]
    StateTooLong {
        /// The store.
        store: String,
        /// How long it would be.
        bytes: usize,
    },
    /// Others change the state all the time.
    #[error("{store}: usage/state.json is changed by others all the time")]
    Contended {
        /// The store.
        store: String,
    },
    /// The clock of this machine cannot be right.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// Why a clock cannot be right. A month that is closed too early would lose what comes late, so nothing is counted then.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ClockError {
    /// It was later before.
    #[error("this machine's clock says {now}, but usage/state.json was brought up to date at {last}, later than that")]
    BehindState {
        /// What it says.
        now: Timestamp,
        /// When the state was last written, by whatever clock.
        last: Timestamp,
    },
    /// A server says something else.
    #[error("this machine's clock says {now}, but that of CloudWatch says {server}")]
    OffServer {
        /// What it says.
        now: Timestamp,
        /// What the server says.
        server: Timestamp,
    },
}

/// Why one source could not be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A call to AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A node of IPFS does not say.
    #[error(transparent)]
    Kubo(#[from] kubo::Error),
}

/// An error with everything below it, in one line.
#[must_use]
pub fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

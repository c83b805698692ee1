//! What runs a node and can stop and start it: systemd, a container engine, or commands of the operator.

mod command;
mod container;
mod systemd;

use std::{fs::File, time::Duration};

use serde::{Deserialize, Serialize};

use super::Error;

/// How long a question to a manager may take.
const ASK: Duration = Duration::from_secs(30);

/// What runs a node. Serialized as it stands in a marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Manager {
    /// A unit of systemd, asked by `systemctl`.
    Systemd {
        /// The unit.
        unit: String,
    },
    /// A container.
    Container {
        /// The engine's command line: `docker`, `podman` or a path.
        engine: String,
        /// Name of the container.
        name: String,
    },
    /// Commands. Each may be called twice: a stop of a stopped node and a start of a running one end well.
    Command {
        /// Stops the node, and ends with 0 when it has ended by itself.
        stop: Vec<String>,
        /// Starts it, and ends with 0 when that is done.
        start: Vec<String>,
        /// Ends with 0 while the node runs.
        status: Option<Vec<String>>,
    },
}

/// What a manager says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or is about to.
    Running,
    /// It was asked to stop, and has not ended.
    Stopping,
    /// It does not run.
    Stopped,
    /// The manager cannot tell.
    Unknown,
}

/// How the last stop of a node went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The manager says that the node ended by itself.
    Clean,
    /// It was killed, or failed; why, as a clause.
    Unclean(String),
}

impl Manager {
    /// What it says of the node.
    ///
    /// # Errors
    /// When it cannot be asked, or knows no such node.
    pub fn state(&self) -> Result<State, Error> {
        match self {
            Self::Systemd { unit } => Ok(systemd::show(unit)?.state()),
            Self::Container { engine, name } => Ok(container::inspect(engine, name)?.state()),
            Self::Command { status, .. } => command::state(status.as_deref()),
        }
    }

    /// How long after a request to stop it kills the node, and how that is changed; `None` where it never does, or where nobody knows.
    ///
    /// # Errors
    /// As [`Manager::state`].
    pub fn kills_after(&self) -> Result<Option<Duration>, Error> {
        match self {
            Self::Systemd { unit } => Ok(systemd::show(unit)?.kills_after),
            Self::Container { engine, name } => Ok(Some(container::inspect(engine, name)?.kills_after)),
            Self::Command { .. } => Ok(None),
        }
    }

    /// How the node gets more time to stop.
    #[must_use]
    pub fn remedy(&self, needed: Duration) -> String {
        let seconds = needed.as_secs();
        match self {
            Self::Systemd { unit } => {
                format!("systemctl edit {unit}, and add: [Service] TimeoutStopSec={seconds}; or lower freeze.stop_timeout")
            }
            Self::Container { engine, name } => format!(
                "make the container {name} again with {engine} run --stop-timeout {seconds} (compose: stop_grace_period: {seconds}s), or lower freeze.stop_timeout"
            ),
            Self::Command { .. } => "give the stop command more time, or lower freeze.stop_timeout".to_owned(),
        }
    }

    /// Asks the node to stop, and waits until it has ended. `held` is a file whose lock lives as long as that takes, also when this process
    /// dies meanwhile.
    ///
    /// # Errors
    /// When it has not ended within `limit`, or the manager refuses. Nothing is killed then: the node may still be stopping.
    pub fn stop(&self, limit: Duration, held: Option<File>) -> Result<Stop, Error> {
        match self {
            Self::Systemd { unit } => systemd::stop(unit, limit, held),
            Self::Container { engine, name } => container::stop(engine, name, limit, held),
            Self::Command { stop, .. } => command::stop(stop, limit, held),
        }
    }

    /// How the last stop went, where the node is stopped already.
    ///
    /// # Errors
    /// As [`Manager::state`].
    pub fn last_stop(&self) -> Result<Stop, Error> {
        match self {
            Self::Systemd { unit } => Ok(systemd::show(unit)?.last_stop()),
            Self::Container { engine, name } => Ok(container::inspect(engine, name)?.last_stop()),
            Self::Command { .. } => Ok(Stop::Clean),
        }
    }

    /// Starts the node; no error when it runs. `again` after a start that failed.
    ///
    /// # Errors
    /// When the manager refuses or takes longer than `limit`.
    pub fn start(&self, limit: Duration, again: bool) -> Result<(), Error> {
        match self {
            Self::Systemd { unit } => systemd::start(unit, limit, again),
            Self::Container { engine, name } => container::start(engine, name, limit),
            Self::Command { start, .. } => command::start(start, limit),
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Systemd { unit } => format!("systemd ({unit})"),
            Self::Container { engine, name } => format!("{engine} ({name})"),
            Self::Command { .. } => "the stop command".to_owned(),
        }
    }
}

/// A command line of words.
fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

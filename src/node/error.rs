//! What goes wrong with a node, as far as somebody can act on it.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::types::ChannelName;

/// A node that cannot be stopped, copied or started as it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// A program cannot be started.
    #[error("cannot run {what}")]
    Call {
        /// Program and arguments.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program took longer than it may.
    #[error("{what} has not ended after {}", humantime::format_duration(*limit))]
    Late {
        /// Program and arguments.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A program says that it failed.
    #[error("{what}: {how}")]
    Failed {
        /// Program and arguments.
        what: String,
        /// Its exit status, and its last line.
        how: String,
    },
    /// A program answers what nobody understands.
    #[error("{what} answers something unexpected: {why}")]
    Answer {
        /// Program and arguments.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// What runs the node would kill it before it had the time to stop.
    #[error(
        "{manager} kills the node {} after the request to stop, and freeze.stop_timeout is {}",
        humantime::format_duration(*found),
        humantime::format_duration(*needed)
    )]
    KillsEarly {
        /// What runs the node.
        manager: String,
        /// When it kills.
        found: Duration,
        /// How long a stop may take.
        needed: Duration,
        /// How to give the node more time.
        remedy: String,
    },
    /// It cannot be told whether the node runs, so nobody would know whether to start it again.
    #[error("cannot tell whether the node runs: {why}")]
    StateUnknown {
        /// Why not, as a clause.
        why: String,
    },
    /// The copy would take longer than the node may be down.
    #[error("the copy would keep the node down for about {estimated_seconds:.0} s, and freeze.max_downtime is {}", humantime::format_duration(*allowed))]
    DownTooLong {
        /// How long it would take.
        estimated_seconds: f64,
        /// How long it may take.
        allowed: Duration,
        /// Bytes that would be copied.
        copy_bytes: u64,
    },
    /// The node was asked to stop, and nothing proves that it did so by itself.
    #[error("the node did not stop cleanly: {why}")]
    NotClean {
        /// What speaks against it, as a clause.
        why: String,
    },
    /// The node is down and does not come back.
    #[error("the node of {channel} is stopped and could not be started again ({attempts} attempts): {why}")]
    Down {
        /// Its channel.
        channel: ChannelName,
        /// How often it was tried, by all runs together.
        attempts: u32,
        /// What speaks against it, as a clause.
        why: String,
    },
    /// A marker of a stopped node cannot be read. Never taken for none.
    #[error("{} says that a node may be stopped, and cannot be used: {why}", path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// Why, as a clause.
        why: String,
    },
    /// Reading or writing a marker failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process that would start the node if this one dies cannot be started.
    #[error("cannot start the watchdog that brings the node back if this run dies")]
    Watchdog(#[source] io::Error),
    /// A run that is still going on has the node.
    #[error("process {pid} has the node of {channel} frozen")]
    Busy {
        /// The channel.
        channel: ChannelName,
        /// The process.
        pid: u32,
    },
    /// The data directory is no subvolume.
    #[error("{} is no btrfs subvolume", path.display())]
    NoSubvolume {
        /// The data directory.
        path: PathBuf,
    },
    /// Somebody asked the run to stop.
    #[error("stopped before the copy was made")]
    Interrupted,
}

impl Error {
    /// The thread that was to bring a node back is gone. Whoever thaws next finds the marker.
    #[must_use]
    pub fn nobody_knows(channel: &ChannelName) -> Self {
        Self::Down { channel: channel.clone(), attempts: 0, why: "what was to bring it back has ended early".to_owned() }
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// What to do about it, in one line, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::KillsEarly { remedy, .. } => Some(remedy.clone()),
            Self::StateUnknown { .. } => {
                Some("set freeze.status to a command that exits with 0 while the node runs, or run as root".to_owned())
            }
            Self::DownTooLong { .. } => {
                Some("put the data directory on a file system with reflinks (xfs, btrfs), or raise freeze.max_downtime".to_owned())
            }
            Self::NotClean { .. } => Some("look into the node's log: a node that was killed loses blocks".to_owned()),
            Self::Down { channel, .. } => Some(format!("start the node by hand, then: qsync thaw {channel} (docs/agent.md)")),
            Self::Marker { path, .. } => Some(format!("see that the node runs, then remove {} (docs/agent.md)", path.display())),
            Self::Busy { .. } => Some("wait for it to end, then run the same command again".to_owned()),
            Self::NoSubvolume { .. } => Some("make it one, or use freeze.method = \"stop-clone\"".to_owned()),
            Self::Call { .. }
            | Self::Late { .. }
            | Self::Failed { .. }
            | Self::Answer { .. }
            | Self::Io { .. }
            | Self::Watchdog(_)
            | Self::Interrupted => None,
        }
    }
}

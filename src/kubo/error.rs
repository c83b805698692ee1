//! A command to a node that failed.

use thiserror::Error;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The node could not be reached or did not answer in time.
    Unreachable,
    /// What answers is not the RPC of a node: a gateway, a web page, something else.
    NotAnRpc,
    /// The node refuses this user.
    Denied,
    /// The node is older than anything that is known to work.
    TooOld {
        /// Its version.
        found: String,
    },
    /// The node's disk is full.
    NoSpace,
    /// The node takes no block of that length.
    TooBig,
    /// The node lacks a block.
    Missing,
    /// The node could not do it in the time that it was given.
    TimedOut,
    /// The connection broke, or nothing moved any more.
    Interrupted,
    /// The node says no for another reason.
    Refused,
}

impl ErrorKind {
    /// Whether the same command may succeed a little later.
    #[must_use]
    pub const fn worth_retrying(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Interrupted | Self::TimedOut)
    }
}

/// A command to a node that failed: what was asked of which node, and why it failed.
#[derive(Debug, Error)]
#[error("{node}: {action}: {reason}")]
pub struct Error {
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// The node's name.
    pub node: String,
    /// The command, as `ipfs` names it.
    pub action: &'static str,
    /// Why, in words, without the source's text.
    pub reason: String,
    /// What lies below, if anything.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The same before it is known which node was asked for what.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) reason: String,
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn of(self, node: &str, action: &'static str) -> Error {
        Error { kind: self.kind, node: node.to_owned(), action, reason: self.reason, source: self.source }
    }
}

//! A question to a node that got no answer of use.

use thiserror::Error;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcErrorKind {
    /// The node could not be reached or did not answer in time.
    Unreachable,
    /// The connection broke.
    Interrupted,
    /// The node refuses this user.
    Denied,
    /// What answers is not the RPC of a node: a web page, a redirect, something else.
    NotAnRpc,
    /// The node answered with an error object.
    Answered {
        /// Its code, if it has one.
        code: Option<i64>,
    },
    /// The answer is another than nodes of this family give.
    Shape,
}

/// A question to a node that got no answer of use.
#[derive(Debug, Error)]
#[error("{node}: {method}: {reason}")]
pub struct RpcError {
    /// What a caller can act on.
    pub kind: RpcErrorKind,
    /// The node, by its host.
    pub node: String,
    /// What was asked.
    pub method: String,
    /// Why, in words.
    pub reason: String,
    /// What lies below, if anything.
    #[source]
    pub source: Option<reqwest::Error>,
}

impl RpcError {
    /// Whether the same question may get an answer a little later.
    #[must_use]
    pub fn worth_retrying(&self) -> bool {
        matches!(self.kind, RpcErrorKind::Unreachable | RpcErrorKind::Interrupted)
    }
}

/// The same before it is known which node was asked what.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: RpcErrorKind,
    pub(super) reason: String,
    source: Option<reqwest::Error>,
}

impl Fault {
    pub(super) fn new(kind: RpcErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    /// The URL is left out: a token may stand in it, and the node is named already.
    pub(super) fn caused_by(self, source: reqwest::Error) -> Self {
        Self { source: Some(source.without_url()), ..self }
    }

    pub(super) fn of(self, node: &str, method: &str) -> RpcError {
        RpcError { kind: self.kind, node: node.to_owned(), method: method.to_owned(), reason: self.reason, source: self.source }
    }
}

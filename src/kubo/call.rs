//! One command to a node, and its answer.

use std::time::Duration;

use reqwest::RequestBuilder;

use super::{
    Error, ErrorKind, Kubo,
    answer::{self, Answer},
    error::Fault,
};

/// How long a command may take that has nothing to wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How much longer we wait than the node was told to: its own answer says more than our giving up.
const GRACE: Duration = Duration::from_secs(30);

/// A command with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    action: &'static str,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    patience: Duration,
}

impl Call {
    /// The command at `path`, named to people as `action`.
    pub(super) fn new(path: &'static str, action: &'static str) -> Self {
        Self { action, path, query: Vec::new(), patience: PATIENCE }
    }

    /// How it is named to people.
    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    /// With one more argument or option.
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With a time after which the node gives up; a little later so do we.
    pub(super) fn within(mut self, time: Duration) -> Self {
        self.patience = time + GRACE;
        self.with("timeout", format!("{}ms", time.as_millis()))
    }
}

impl Kubo {
    /// Gives a command and waits for its answer.
    pub(super) async fn call(&self, call: Call) -> Result<Answer, Error> {
        let action = call.action;
        self.answer_to(call).await.map_err(|fault| self.error(action, fault))
    }

    pub(super) fn error(&self, action: &'static str, fault: Fault) -> Error {
        fault.of(&self.name, action)
    }

    /// The request for a command, which has no body yet.
    pub(super) fn request(&self, call: &Call) -> RequestBuilder {
        let mut url = self.url.command(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        self.client.post(url)
    }

    async fn answer_to(&self, call: Call) -> Result<Answer, Fault> {
        let whole = async { answer::read(self.request(&call).send().await.map_err(no_answer)?.into()).await };
        tokio::time::timeout(call.patience, whole).await.unwrap_or_else(|_| Err(too_late(call.patience)))
    }
}

fn too_late(patience: Duration) -> Fault {
    Fault::new(ErrorKind::Unreachable, format!("no answer within {} s", patience.as_secs_f32()))
}

/// A request that got no answer. The URL is left out: the node is named already.
pub(super) fn no_answer(error: reqwest::Error) -> Fault {
    let fault = if error.is_connect() || error.is_timeout() {
        Fault::new(ErrorKind::Unreachable, "cannot connect to the node")
    } else {
        Fault::new(ErrorKind::Interrupted, "the node gives no valid answer")
    };
    fault.caused_by(error.without_url())
}

//! Questions to a node in JSON-RPC over HTTP.
//!
//! The node is believed in what it says of itself, but what answers may be something else: an answer has a greatest length and each question
//! a time, no redirect is followed, and whatever is no JSON-RPC is named as that. Errors and logs name the host only.

mod answer;
mod error;
mod url;

use std::{sync::Arc, time::Duration};

use reqwest::{Client, header, redirect::Policy};
use serde_json::{Value, json};

use error::Fault;
pub use error::{RpcError, RpcErrorKind};
pub use url::{InvalidRpcAuth, InvalidRpcUrl, RpcAuth, RpcUrl};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a question may take, all in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// The RPC of a node. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Rpc {
    client: Client,
    url: RpcUrl,
    name: Arc<str>,
    patience: Duration,
}

impl Rpc {
    /// The RPC at this address, which is not asked yet. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`), but not for
    /// this machine.
    ///
    /// # Errors
    /// When no TLS client can be made.
    pub fn open(url: RpcUrl) -> Result<Self, RpcError> {
        let name = url.to_string();
        let failed = |e| Fault::new(RpcErrorKind::Unreachable, "cannot make a TLS client").caused_by(e).of(&name, "open");
        Ok(Self { client: client(&url).map_err(failed)?, url, name: name.into(), patience: PATIENCE })
    }

    /// The same for whoever cannot wait as long as usual.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How the node is named to people: by its host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks, and gives the `result` of the answer. `named` is what the question is called in errors.
    ///
    /// # Errors
    /// [`RpcError`]; an error object of the node is [`RpcErrorKind::Answered`].
    pub async fn call(&self, named: &str, method: &str, params: &Value) -> Result<Value, RpcError> {
        tracing::debug!(node = %self.name, method = named, "asking");
        let whole = tokio::time::timeout(self.patience, self.answer_to(method, params)).await;
        whole.unwrap_or_else(|_| Err(self.too_late())).map_err(|fault| fault.of(&self.name, named))
    }

    async fn answer_to(&self, method: &str, params: &Value) -> Result<Value, Fault> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self.client.post(self.url.url()).header(header::CONTENT_TYPE, "application/json").body(body);
        answer::read(request.send().await.map_err(no_answer)?).await
    }

    fn too_late(&self) -> Fault {
        Fault::new(RpcErrorKind::Unreachable, format!("no answer within {} s", self.patience.as_secs_f32()))
    }

    /// An answer of another shape than expected.
    pub(super) fn strange(&self, named: &str, reason: impl Into<String>) -> RpcError {
        Fault::new(RpcErrorKind::Shape, reason).of(&self.name, named)
    }
}

fn client(url: &RpcUrl) -> Result<Client, reqwest::Error> {
    let mut headers = header::HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    headers.extend(url.authorization().map(|auth| (header::AUTHORIZATION, auth)));
    let builder = Client::builder()
        .http1_only()
        .user_agent(concat!("qsync/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(CONNECT)
        .redirect(Policy::none())
        .referer(false);
    if url.is_loopback() { builder.no_proxy().build() } else { builder.build() }
}

fn no_answer(error: reqwest::Error) -> Fault {
    let fault = if error.is_connect() || error.is_timeout() {
        Fault::new(RpcErrorKind::Unreachable, "cannot connect to the node")
    } else {
        Fault::new(RpcErrorKind::Interrupted, "the node gives no valid answer")
    };
    fault.caused_by(error)
}

//! What all stores behind web servers share: the client, which redirects it follows, what an answer means, and how a body is read.
//!
//! The server is not trusted: it decides neither how much memory an object takes, nor how long we wait, nor where else we connect.
//! HTTP/1.1 with kept connections, one request for one whole object, no compression.

mod body;
mod redirect;
mod resolve;
mod status;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::url::{Host, Url};
use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};

use super::{Error, ErrorKind, Timeouts};

/// A client for one server. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub(super) struct WebClient {
    client: Client,
    pub(super) timeouts: Timeouts,
    is_patient: AtomicBool,
}

/// Where a server may send its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    /// Anywhere that cannot harm.
    Elsewhere,
    /// Within the same host only.
    SameHost,
}

/// What went wrong with a request, before it is known which.
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) reason: String,
    source: Option<reqwest::Error>,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    /// The error of a call to `store`.
    pub(super) fn into_error(self, store: &str, action: &'static str, key: &str) -> Error {
        let error = Error::new(self.kind, store, action, key, self.reason);
        match self.source {
            // The URL may hold a password, and the key is named already.
            Some(source) => error.caused_by(source.without_url()),
            None => error,
        }
    }
}

impl WebClient {
    /// A client for the server of this host. Does not connect.
    ///
    /// # Errors
    /// When no TLS client can be made.
    pub(super) fn new(host: &Host, redirects: Redirects, timeouts: Timeouts) -> Result<Self, Fault> {
        let mut headers = header::HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let policy: Policy = redirect::policy(host.to_owned(), redirects);
        let client = Client::builder()
            .http1_only()
            .user_agent(concat!("qsync/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(timeouts.connect)
            .redirect(policy)
            .referer(false)
            .dns_resolver(Arc::new(resolve::Resolver::new(host.to_owned())))
            .build()
            .map_err(|error| Fault { kind: ErrorKind::Io, reason: "cannot make a TLS client".to_owned(), source: Some(error) })?;
        Ok(Self { client, timeouts, is_patient: AtomicBool::new(false) })
    }

    /// A request, still to be sent.
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// The same without a body in the answer.
    pub(super) fn head(&self, url: Url) -> RequestBuilder {
        self.client.head(url)
    }

    /// Sends a request and waits for the headers of its answer, whatever that is.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        self.send_within(request, self.timeouts.answer(0)).await
    }

    /// The same for whoever cannot wait as long as usual.
    pub(super) async fn send_within(&self, request: RequestBuilder, patience: Duration) -> Result<Response, Fault> {
        match tokio::time::timeout(patience, request.send()).await {
            Ok(answer) => answer.map_err(status::of_failed_request),
            Err(_) => Err(Fault::new(ErrorKind::Unreachable, format!("no answer within {} s", patience.as_secs_f32()))),
        }
    }

    /// Reads the whole body of an answer into `into`, which is empty, if it is one to an object: a plain 200, as it is.
    pub(super) async fn body(&self, response: Response, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        status::check(&response)?;
        let is_patient = self.is_patient.load(Ordering::Relaxed);
        let timeouts = if is_patient { self.timeouts.patient() } else { self.timeouts };
        body::read(response, &timeouts, max_bytes, into).await
    }

    /// From now on a body is given up only when nothing of it arrives any more.
    pub(super) fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }
}

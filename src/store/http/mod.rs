//! A store behind a web server, read only.
//!
//! The server is not trusted: it decides neither how much memory an object takes, nor how long we wait, nor where else we connect.
//! HTTP/1.1 with kept connections, one request for one whole object, no compression.

mod body;
mod redirect;
mod resolve;
mod status;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::url::Url;
use async_trait::async_trait;
use reqwest::{Client, Response, header};

use super::{Error, ErrorKind, ReadStore, Timeouts, url::without_secrets};
use crate::types::ObjectKey;

/// A cache in front of a web server keeps "there is no such object" for 10 s unless told otherwise.
const ABSENCE_REMEMBERED: Duration = Duration::from_secs(15);

/// A store behind a web server. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub struct HttpStore {
    client: Client,
    base: Url,
    name: String,
    timeouts: Timeouts,
    is_patient: AtomicBool,
}

/// What went wrong with a request, before it is known which.
struct Fault {
    kind: ErrorKind,
    reason: String,
    source: Option<reqwest::Error>,
}

impl Fault {
    fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }
}

impl HttpStore {
    /// A store whose keys are appended to the path of `base`. Does not connect.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when `base` is no http or https URL; [`ErrorKind::Io`] when no TLS client can be made.
    pub fn open(base: &Url, timeouts: Timeouts) -> Result<Self, Error> {
        let name = without_secrets(base);
        let failed = |kind, reason: &str| Error::new(kind, &name, "open", "", reason);
        let Some(host) = base.host().filter(|_| matches!(base.scheme(), "http" | "https")) else {
            return Err(failed(ErrorKind::BadAnswer, "not an http or https URL"));
        };
        let mut headers = header::HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let client = Client::builder()
            .http1_only()
            .user_agent(concat!("qsync/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(timeouts.connect)
            .redirect(redirect::policy(host.to_owned()))
            .referer(false)
            .dns_resolver(Arc::new(resolve::Resolver::new(host.to_owned())))
            .build()
            .map_err(|error| failed(ErrorKind::Io, "cannot make a TLS client").caused_by(error))?;
        Ok(Self { client, base: base.clone(), name, timeouts, is_patient: AtomicBool::new(false) })
    }

    fn url(&self, key: &ObjectKey) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{key}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn fetch(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        let response = self.ask(self.url(key)).await?;
        status::check(&response)?;
        body::read(response, &self.body_timeouts(), max_bytes, into).await
    }

    fn body_timeouts(&self) -> Timeouts {
        if self.is_patient.load(Ordering::Relaxed) { self.timeouts.patient() } else { self.timeouts }
    }

    async fn ask(&self, url: Url) -> Result<Response, Fault> {
        let patience = self.timeouts.answer(0);
        match tokio::time::timeout(patience, self.client.get(url).send()).await {
            Ok(answer) => answer.map_err(status::of_failed_request),
            Err(_) => Err(Fault::new(ErrorKind::Unreachable, format!("no answer within {} s", patience.as_secs_f32()))),
        }
    }
}

#[async_trait]
impl ReadStore for HttpStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn remembers_absence(&self) -> Duration {
        ABSENCE_REMEMBERED
    }

    fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// An empty answer is [`ErrorKind::BadAnswer`]: no object of the format is empty, and broken servers and proxies send them.
    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        self.fetch(key, max_bytes, into).await.map_err(|fault| {
            let error = Error::new(fault.kind, &self.name, "get", key.as_str(), fault.reason);
            match fault.source {
                // The URL may hold a password, and the key is named already.
                Some(source) => error.caused_by(source.without_url()),
                None => error,
            }
        })
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for HttpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStore").field("name", &self.name).field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;

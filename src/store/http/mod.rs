//! A store behind a web server, read only.

use std::{fmt, time::Duration};

use ::url::Url;
use async_trait::async_trait;

use super::{
    Error, ErrorKind, ReadStore, Timeouts,
    url::without_secrets,
    web::{Fault, Redirects, WebClient},
};
use crate::types::ObjectKey;

/// A cache in front of a web server keeps "there is no such object" for 10 s unless told otherwise.
const ABSENCE_REMEMBERED: Duration = Duration::from_secs(15);

/// A store behind a web server. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub struct HttpStore {
    web: WebClient,
    base: Url,
    name: String,
}

impl HttpStore {
    /// A store whose keys are appended to the path of `base`. Does not connect.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when `base` is no http or https URL; [`ErrorKind::Io`] when no TLS client can be made.
    pub fn open(base: &Url, timeouts: Timeouts) -> Result<Self, Error> {
        let name = without_secrets(base);
        let Some(host) = base.host().filter(|_| matches!(base.scheme(), "http" | "https")) else {
            return Err(Error::new(ErrorKind::BadAnswer, &name, "open", "", "not an http or https URL"));
        };
        let web = WebClient::new(&host.to_owned(), Redirects::Elsewhere, timeouts).map_err(|fault| fault.into_error(&name, "open", ""))?;
        Ok(Self { web, base: base.clone(), name })
    }

    fn url(&self, key: &ObjectKey) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{key}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn fetch(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        let response = self.web.send(self.web.get(self.url(key))).await?;
        self.web.body(response, max_bytes, into).await?;
        if into.is_empty() { Err(Fault::new(ErrorKind::BadAnswer, "the answer is empty")) } else { Ok(()) }
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
        self.web.be_patient();
    }

    /// An empty answer is [`ErrorKind::BadAnswer`]: no object of the format is empty, and broken servers and proxies send them.
    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        self.fetch(key, max_bytes, into).await.map_err(|fault| fault.into_error(&self.name, "get", key.as_str()))
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for HttpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStore").field("name", &self.name).field("timeouts", &self.web.timeouts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;

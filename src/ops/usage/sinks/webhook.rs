//! A web address that events are posted to.

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, StatusCode, header, redirect::Policy};
use thiserror::Error;
use url::Url;

use super::{Sink, SinkError};
use crate::ops::usage::{event::Event, state::SinkName};

/// How often an event is tried before the next tick tries it again.
const TRIES: usize = 4;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A web address that takes events. Its path is often a secret: only its host is ever shown.
#[derive(Clone)]
pub struct Webhook {
    url: Url,
    client: Client,
}

/// Text that is no such address. It is not repeated.
#[derive(Debug, Error)]
pub enum InvalidWebhook {
    /// Not a web address.
    #[error("not the address of a webhook: expected https://HOST/PATH")]
    NotAnAddress,
    /// No TLS client can be made.
    #[error("no TLS client can be made")]
    NoClient(#[source] reqwest::Error),
}

/// Why an event was not taken.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// No answer.
    #[error("the webhook at {host} does not answer")]
    NoAnswer {
        /// The host.
        host: String,
        /// Why not, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// It says no.
    #[error("the webhook at {host} answers {status}")]
    Refused {
        /// The host.
        host: String,
        /// What it says.
        status: StatusCode,
    },
}

impl WebhookError {
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
        }
    }
}

impl FromStr for Webhook {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let url: Url = text.trim().parse().map_err(|_| InvalidWebhook::NotAnAddress)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidWebhook::NotAnAddress);
        }
        let client = Client::builder().user_agent(concat!("qsync/", env!("CARGO_PKG_VERSION"))).timeout(PATIENCE).redirect(Policy::none());
        Ok(Self { url, client: client.build().map_err(InvalidWebhook::NoClient)? })
    }
}

impl Webhook {
    /// Posts an event once. Of the answer only its status counts.
    async fn post(&self, id: &str, body: &[u8]) -> Result<(), WebhookError> {
        let post = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").header("Idempotency-Key", id);
        let answer = post.body(body.to_vec()).send().await;
        let answer = answer.map_err(|error| WebhookError::NoAnswer { host: self.to_string(), source: error.without_url() })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(WebhookError::Refused { host: self.to_string(), status }),
        }
    }
}

#[async_trait]
impl Sink for Webhook {
    fn name(&self) -> SinkName {
        SinkName::Webhook
    }

    async fn tell(&self, event: &Event) -> Result<(), SinkError> {
        let body = serde_json::to_vec(event).expect("an event is text and integers");
        let id = event.id.to_string();
        let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_times(TRIES - 1).with_jitter();
        let posted = (|| self.post(&id, &body)).retry(pauses).when(WebhookError::may_pass).await;
        Ok(posted?)
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_is_ever_shown() {
        let webhook: Webhook = "https://user:word@hooks.example/secret?token=1\n".parse().unwrap();
        assert_eq!((webhook.to_string(), format!("{webhook:?}")), ("https://hooks.example".to_owned(), "https://hooks.example".to_owned()));
        for text in ["secret", "", "file:///etc/secret", "https://"] {
            let refused = text.parse::<Webhook>().unwrap_err();
            assert_eq!(refused.to_string(), "not the address of a webhook: expected https://HOST/PATH");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let refused = |status: u16| WebhookError::Refused { host: String::new(), status: StatusCode::from_u16(status).unwrap() };
        for (status, passes) in [(500, true), (503, true), (429, true), (408, true), (301, false), (400, false), (401, false), (404, false)]
        {
            assert_eq!(refused(status).may_pass(), passes, "{status}");
        }
    }
}

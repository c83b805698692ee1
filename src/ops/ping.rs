//! Telling a monitor of scheduled jobs that a run began and how it ended, as healthchecks.io and those like it want to be told.
//!
//! `URL/start` when it begins, `URL` when it ended well, `URL/<exit code>` when it did not. A monitor that is down never fails the job.

use std::{fmt, str::FromStr, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, redirect::Policy};
use thiserror::Error;
use url::Url;

/// How often a message is tried.
pub const TRIES: usize = 5;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of a message.
pub const MAX_BODY_BYTES: usize = 10_000;

/// The address of a monitor. Its path is a secret: whoever has it can say that all is well, so only its host is ever shown.
#[derive(Clone)]
pub struct PingUrl(Url);

/// Text that is no such address. It is not repeated.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the address of a monitor: expected https://HOST/PATH")]
pub struct InvalidPingUrl;

impl FromStr for PingUrl {
    type Err = InvalidPingUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPingUrl> {
        let url: Url = text.trim().parse().map_err(|_| InvalidPingUrl)?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(Self(url)) } else { Err(InvalidPingUrl) }
    }
}

impl fmt::Display for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a monitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A run begins.
    Start,
    /// It ended with this exit code.
    Ended(u8),
}

/// Tells a monitor, with up to [`MAX_BODY_BYTES`] of text about it.
///
/// # Errors
/// Why it could not be told, after so many tries; for a warning.
pub async fn ping(url: &PingUrl, signal: Signal, body: &str, tries: usize) -> Result<(), String> {
    let cannot = |e: reqwest::Error| format!("the monitor at {url} could not be told: {}", e.without_url());
    let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build().map_err(cannot)?;
    let (address, body) = (address(&url.0, signal), shorten(body));
    let attempt = || async { client.post(address.clone()).body(body.to_owned()).send().await?.error_for_status() };
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(250)).with_max_times(tries - 1).with_jitter();
    attempt.retry(pauses).await.map(drop).map_err(cannot)
}

fn address(url: &Url, signal: Signal) -> Url {
    let word = match signal {
        Signal::Start => "start".to_owned(),
        Signal::Ended(0) => return url.clone(),
        Signal::Ended(code) => code.to_string(),
    };
    let mut url = url.clone();
    url.path_segments_mut().expect("an address with a host has a path").pop_if_empty().push(&word);
    url
}

fn shorten(body: &str) -> &str {
    let end = (0..=MAX_BODY_BYTES.min(body.len())).rev().find(|end| body.is_char_boundary(*end));
    &body[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PingUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_address_says_what_happened() {
        let at = |base: &str, signal| address(&url(base).0, signal).to_string();
        assert_eq!(at("https://hc.example/abc", Signal::Start), "https://hc.example/abc/start");
        assert_eq!(at("https://hc.example/abc/", Signal::Ended(18)), "https://hc.example/abc/18");
        assert_eq!(at("https://hc.example/abc?create=1", Signal::Ended(0)), "https://hc.example/abc?create=1");
        assert_eq!(at("https://hc.example/abc?create=1", Signal::Ended(1)), "https://hc.example/abc/1?create=1");
    }

    #[test]
    fn only_the_host_is_ever_shown() {
        let url = url("https://user:word@hc.example/secret?token=1");
        assert_eq!((url.to_string(), format!("{url:?}")), ("https://hc.example".to_owned(), "https://hc.example".to_owned()));
        assert_eq!("secret".parse::<PingUrl>().unwrap_err().to_string(), "not the address of a monitor: expected https://HOST/PATH");
        assert!("file:///etc/passwd".parse::<PingUrl>().is_err());
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(shorten("short"), "short");
        let long = "ä".repeat(MAX_BODY_BYTES);
        assert_eq!(shorten(&long).len(), MAX_BODY_BYTES);
        assert_eq!(shorten(&format!("a{long}")).len(), MAX_BODY_BYTES - 1);
    }
}

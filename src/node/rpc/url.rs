//! Where a node answers, and what it wants to see before it does. Neither a password nor a token is ever shown.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use thiserror::Error;
use url::{Host, Url};
use zeroize::Zeroizing;

/// The URL of a node's RPC: `http://` or `https://`. A user and a password in it are sent as authentication. It is shown by its host alone,
/// because providers put their tokens into the path.
#[derive(Clone)]
pub struct RpcUrl {
    url: Url,
    auth: Option<RpcAuth>,
}

/// Text that is no URL of an RPC. It is not repeated, for it may hold a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidRpcUrl {
    /// It is no URL.
    #[error("not the URL of an RPC: {0}")]
    Malformed(String),
    /// Nodes are asked over HTTP.
    #[error("not the URL of an RPC: expected http:// or https://, found {0}://")]
    Scheme(String),
    /// It names no host.
    #[error("not the URL of an RPC: it names no host")]
    NoHost,
}

/// What a node wants to see with each question: `basic:USER:PASSWORD` or `bearer:TOKEN`.
#[derive(Clone)]
pub struct RpcAuth(Zeroizing<String>);

/// Text that is no such secret. It is not repeated.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a secret for an RPC: expected basic:USER:PASSWORD or bearer:TOKEN")]
pub struct InvalidRpcAuth;

impl RpcUrl {
    /// The same with this authentication instead of its own.
    #[must_use]
    pub fn with_auth(self, auth: RpcAuth) -> Self {
        Self { auth: Some(auth), ..self }
    }

    /// Whether a password stands in it, or was given with it.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.auth.is_some()
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.auth.as_ref().map(RpcAuth::header)
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }
}

impl FromStr for RpcUrl {
    type Err = InvalidRpcUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRpcUrl> {
        let mut url: Url = text.trim().parse().map_err(|e: url::ParseError| InvalidRpcUrl::Malformed(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidRpcUrl::Scheme(url.scheme().to_owned()));
        }
        if url.host().is_none() {
            return Err(InvalidRpcUrl::NoHost);
        }
        let auth = RpcAuth::of_userinfo(&url);
        let removed = url.set_username("").and_then(|()| url.set_password(None));
        removed.map_err(|()| InvalidRpcUrl::NoHost)?;
        Ok(Self { url, auth })
    }
}

impl fmt::Display for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        self.url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcUrl({self})")
    }
}

impl RpcAuth {
    fn of_userinfo(url: &Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        let decode = |text: &str| Zeroizing::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
        let (user, password) = (decode(url.username()), decode(url.password().unwrap_or_default()));
        Some(Self::basic(&format!("{}:{}", *user, *password)))
    }

    /// The content of the cookie file that bitcoind writes at each start: `__cookie__:HEX`.
    ///
    /// # Errors
    /// [`InvalidRpcAuth`] when it has no user and password.
    pub fn of_cookie(text: &str) -> Result<Self, InvalidRpcAuth> {
        let line = text.trim();
        if line.contains(':') && !line.contains(char::is_control) { Ok(Self::basic(line)) } else { Err(InvalidRpcAuth) }
    }

    fn basic(secret: &str) -> Self {
        Self(Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(secret)))))
    }

    fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("checked when it was read");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for RpcAuth {
    type Err = InvalidRpcAuth;

    fn from_str(text: &str) -> Result<Self, InvalidRpcAuth> {
        match text.trim().split_once(':') {
            Some(("basic", secret)) if secret.contains(':') => Ok(Self::basic(secret)),
            Some(("bearer", token)) if !token.is_empty() => {
                let value = Zeroizing::new(format!("Bearer {token}"));
                HeaderValue::from_str(&value).map_err(|_| InvalidRpcAuth)?;
                Ok(Self(value))
            }
            _ => Err(InvalidRpcAuth),
        }
    }
}

impl fmt::Debug for RpcAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpcAuth(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &RpcUrl) -> String {
        url.authorization().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_url_is_shown_by_its_host_alone() {
        let url: RpcUrl = "https://user:hunter2@node.example:8443/v3/token?key=secret".parse().unwrap();
        assert_eq!(
            (url.to_string().as_str(), format!("{url:?}").as_str()),
            ("https://node.example:8443", "RpcUrl(https://node.example:8443)")
        );
        assert_eq!(url.url().as_str(), "https://node.example:8443/v3/token?key=secret");
        assert_eq!(header(&url), format!("Basic {}", STANDARD.encode("user:hunter2")));
        assert!(url.has_secret() && !"http://127.0.0.1:8545".parse::<RpcUrl>().unwrap().has_secret());
    }

    #[test]
    fn what_is_no_url_is_not_repeated() {
        for text in ["", "node:8545", "ws://u:hunter2@node:8546", "http://", "http://u:hunter2@:80", "/hunter2"] {
            let error = text.parse::<RpcUrl>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_read_in_two_forms_and_from_a_cookie() {
        let url = || "http://127.0.0.1:8332".parse::<RpcUrl>().unwrap();
        let with = |auth: &str| header(&url().with_auth(auth.parse().unwrap()));
        assert_eq!(with("basic:user:pass:word"), format!("Basic {}", STANDARD.encode("user:pass:word")));
        assert_eq!(with("bearer:to:ken\n"), "Bearer to:ken");
        let cookie = RpcAuth::of_cookie("__cookie__:00ff\n").unwrap();
        assert_eq!(header(&url().with_auth(cookie)), format!("Basic {}", STANDARD.encode("__cookie__:00ff")));
        for bad in ["", "user:password", "basic:user", "bearer:", "bearer:two\nlines"] {
            assert_eq!(bad.parse::<RpcAuth>().unwrap_err(), InvalidRpcAuth, "{bad}");
        }
        assert!(RpcAuth::of_cookie("").is_err() && !format!("{:?}", "bearer:hunter2".parse::<RpcAuth>()).contains("hunter2"));
    }

    #[test]
    fn only_this_machine_is_asked_without_a_proxy() {
        let is_loopback = |url: &str| url.parse::<RpcUrl>().unwrap().is_loopback();
        assert!(is_loopback("http://127.0.0.1:1") && is_loopback("http://[::1]:1") && is_loopback("http://localhost"));
        assert!(!is_loopback("http://10.0.0.1") && !is_loopback("http://localhost.example"));
    }
}

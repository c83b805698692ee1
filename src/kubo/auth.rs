//! What a node asks of whoever commands it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::HeaderValue;
use thiserror::Error;
use zeroize::Zeroizing;

/// The secret that a node wants to see with each command (`API.Authorizations` in its configuration), written as Kubo's `--api-auth` takes
/// it: `basic:USER:PASSWORD`, `basic:BASE64`, `bearer:TOKEN`, or a token alone. Never shown.
#[derive(Clone)]
pub struct Auth(Zeroizing<String>);

/// Text that is no such secret. It is not repeated.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a secret for a node: expected basic:USER:PASSWORD or bearer:TOKEN")]
pub struct InvalidAuth;

impl Auth {
    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("checked when it was read");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for Auth {
    type Err = InvalidAuth;

    fn from_str(text: &str) -> Result<Self, InvalidAuth> {
        let value = Zeroizing::new(match text.split_once(':') {
            Some(("basic", secret)) if secret.contains(':') => format!("Basic {}", *Zeroizing::new(STANDARD.encode(secret))),
            Some(("basic", secret)) if !secret.is_empty() => format!("Basic {secret}"),
            Some(("bearer", secret)) if !secret.is_empty() => format!("Bearer {secret}"),
            None if !text.is_empty() => format!("Bearer {text}"),
            _ => return Err(InvalidAuth),
        });
        HeaderValue::from_str(&value).map_err(|_| InvalidAuth)?;
        Ok(Self(value))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubo_reads() {
        let header = |text: &str| text.parse::<Auth>().unwrap().header().to_str().unwrap().to_owned();
        assert_eq!(header("basic:user:pass:word"), format!("Basic {}", STANDARD.encode("user:pass:word")));
        assert_eq!(header("basic:dTpw"), "Basic dTpw");
        assert_eq!(header("bearer:to:ken"), "Bearer to:ken");
        assert_eq!(header("token"), "Bearer token");
        for text in ["", "basic:", "bearer:", "digest:x", "bearer:two\nlines"] {
            assert_eq!(text.parse::<Auth>().unwrap_err(), InvalidAuth, "{text}");
        }
    }

    // AW-11
    #[test]
    fn is_never_shown() {
        let auth: Auth = "bearer:hunter2".parse().unwrap();
        assert!(!format!("{auth:?} {:?}", auth.header()).contains("hunter2"));
        assert!(!format!("{InvalidAuth} {:?}", "digest:hunter2".parse::<Auth>().unwrap_err()).contains("hunter2"));
    }
}

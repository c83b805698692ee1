//! What an answer that is not an object means.

use std::{
    error::Error as _,
    io,
    time::{Duration, SystemTime},
};

use reqwest::{
    Response, StatusCode,
    header::{CONTENT_ENCODING, HeaderMap, RETRY_AFTER},
};

use super::{Fault, redirect::Refused};
use crate::store::{ErrorKind, retry::LONGEST_RETRY_AFTER};

/// Lets only a plain 200 pass.
pub(super) fn check(response: &Response) -> Result<(), Fault> {
    let status = response.status();
    if status != StatusCode::OK {
        let kind = kind_of(status, response.headers());
        return Err(Fault::new(kind, format!("the server answers {status}")));
    }
    match response.headers().get(CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        // Decoding it would let a server choose how much work and memory an object takes.
        Some(encoding) => Err(Fault::new(ErrorKind::BadAnswer, format!("the answer is encoded as {encoding:?}, which nobody asked for"))),
    }
}

fn kind_of(status: StatusCode, headers: &HeaderMap) -> ErrorKind {
    match status.as_u16() {
        404 | 410 => ErrorKind::NotFound,
        401 | 403 | 407 => ErrorKind::Denied,
        408 | 429 | 500..=599 => ErrorKind::Unavailable { retry_after: retry_after(headers, SystemTime::now()) },
        _ => ErrorKind::BadAnswer,
    }
}

/// The header in either of its forms, seconds or a date, cut to a minute.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

/// A request that got no answer.
pub(super) fn of_failed_request(error: reqwest::Error) -> Fault {
    let (kind, reason) = if let Some(refused) = find_refused(&error) {
        (ErrorKind::BadAnswer, refused.to_string())
    } else if error.is_redirect() {
        (ErrorKind::BadAnswer, "the redirect cannot be followed".to_owned())
    } else if is_about_tls(&error) {
        (ErrorKind::BadAnswer, "the TLS certificate or handshake of the server is not acceptable".to_owned())
    } else if error.is_connect() || error.is_timeout() {
        (ErrorKind::Unreachable, "cannot connect to the server".to_owned())
    } else {
        (ErrorKind::Interrupted, "the server gives no valid answer".to_owned())
    };
    Fault { kind, reason, source: Some(error) }
}

/// A body that ended too early, or was no body.
pub(super) fn of_broken_body(error: reqwest::Error) -> Fault {
    Fault { kind: ErrorKind::Interrupted, reason: "the answer breaks off".to_owned(), source: Some(error) }
}

fn find_refused(error: &reqwest::Error) -> Option<&Refused> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The TLS library reports everything it dislikes as invalid data, below an error of the connector; before the first answer nothing else does.
fn is_about_tls(error: &reqwest::Error) -> bool {
    error.is_connect() && causes(error).filter_map(|cause| cause.downcast_ref()).any(is_invalid_data)
}

fn is_invalid_data(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(is_invalid_data)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]), now)
    }

    // NW-04
    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_minute() {
        assert_eq!(asks("7"), Some(Duration::from_secs(7)));
        assert_eq!(asks("Sun, 06 Nov 1994 08:49:57 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(asks("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asks("86400"), Some(Duration::from_secs(60)));
        assert_eq!(asks("Tue, 06 Nov 2001 08:49:57 GMT"), Some(Duration::from_secs(60)));
        for nonsense in ["", "soon", "-1", "99999999999999999999999"] {
            assert_eq!(asks(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_status_has_one_meaning() {
        let kind = |code| kind_of(StatusCode::from_u16(code).unwrap(), &HeaderMap::new());
        assert!([404, 410].into_iter().all(|code| kind(code) == ErrorKind::NotFound));
        assert!([401, 403].into_iter().all(|code| kind(code) == ErrorKind::Denied));
        assert!([429, 500, 502, 503, 504].into_iter().all(|code| kind(code) == ErrorKind::Unavailable { retry_after: None }));
        assert!([201, 204, 206, 300, 304, 400, 416, 418].into_iter().all(|code| kind(code) == ErrorKind::BadAnswer));
    }
}

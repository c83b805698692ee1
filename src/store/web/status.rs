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
use crate::store::{ErrorKind, patience::retry_after};

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
        408 | 429 | 500..=599 => ErrorKind::Unavailable { retry_after: asked_pause(headers, SystemTime::now()) },
        _ => ErrorKind::BadAnswer,
    }
}

fn asked_pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
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

    #[test]
    fn every_status_has_one_meaning() {
        let kind = |code| kind_of(StatusCode::from_u16(code).unwrap(), &HeaderMap::new());
        assert!([404, 410].into_iter().all(|code| kind(code) == ErrorKind::NotFound));
        assert!([401, 403].into_iter().all(|code| kind(code) == ErrorKind::Denied));
        assert!([429, 500, 502, 503, 504].into_iter().all(|code| kind(code) == ErrorKind::Unavailable { retry_after: None }));
        assert!([201, 204, 206, 300, 304, 400, 416, 418].into_iter().all(|code| kind(code) == ErrorKind::BadAnswer));
    }
}

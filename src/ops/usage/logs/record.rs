//! What is taken from one line of an access log, and nothing else of it: no address, no agent, no time of day. Pure.

use std::{borrow::Cow, net::IpAddr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The longest name of a store, bytes.
const STORE_MAX_BYTES: usize = 255;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The day on which it was answered, UTC.
    pub day: Date,
    /// The bucket, or the host of the distribution; `None` where the log does not say it.
    pub store: Option<String>,
    /// Whether it asked for an object.
    pub is_get: bool,
    /// The path of the object, decoded.
    pub path: String,
    /// What was answered.
    pub status: u16,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Who is billed, where the log says it: an account, never a user of it.
    pub requester: Option<String>,
}

/// Why a line says nothing. What stands in it is never repeated: it could be an address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Longer than any line that AWS writes.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Neither of CloudFront nor of S3.
    #[error("no line of an access log of CloudFront or S3")]
    Unknown,
    /// No header tells what the values mean.
    #[error("no #Fields: line before it")]
    NoFields,
    /// A header without what is needed.
    #[error("a #Fields: line without {0}")]
    FieldMissing(&'static str),
    /// A line that does not fit the header.
    #[error("{found} values, but {expected} fields")]
    ValueCount {
        /// As many as the header names.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
    /// A value is not there.
    #[error("no {0}")]
    Missing(&'static str),
    /// A value is not of its kind.
    #[error("{0} is not of its kind")]
    Value(&'static str),
    /// Not JSON, or not an object.
    #[error("no JSON object")]
    Json,
}

impl Record {
    /// Whether an object was delivered, all of it or a part.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_get && matches!(self.status, 200 | 206)
    }
}

/// A day as `2026-11-20`.
pub(super) fn day(text: &str) -> Result<Date, Malformed> {
    text.parse().map_err(|_| Malformed::Value("date"))
}

/// The day of a time in milliseconds since 1970.
pub(super) fn day_of_ms(text: &str) -> Result<Date, Malformed> {
    let ms = text.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ms.map(|time| time.to_zoned(TimeZone::UTC).date()).ok_or(Malformed::Value("timestamp(ms)"))
}

/// The status of an answer; CloudFront writes 000 when the reader went away before there was one.
pub(super) fn status(text: &str) -> Result<u16, Malformed> {
    if text == "-" {
        return Ok(0);
    }
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or(Malformed::Value("status"))
}

/// A number of bytes, for none of which a log has `-`.
pub(super) fn bytes(text: &str) -> Result<u64, Malformed> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "-" => Ok(0),
        _ => digits.then(|| text.parse().ok()).flatten().ok_or(Malformed::Value("bytes")),
    }
}

/// The name of a store: of a bucket or a host, and no address.
pub(super) fn store(text: &str) -> Result<Option<String>, Malformed> {
    if text == "-" {
        return Ok(None);
    }
    let is_name = (1..=STORE_MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    let is_address = text.parse::<IpAddr>().is_ok();
    if is_name && !is_address { Ok(Some(text.to_owned())) } else { Err(Malformed::Value("store")) }
}

/// A path as it is stored.
pub(super) fn path(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Who is billed: an account or a service of AWS. Users and roles of an account are persons; they are left out.
pub(super) fn payer(requester: &str) -> String {
    let is_id = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let account = requester.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
    let service = requester.strip_prefix("svc:").filter(|name| name.len() <= 64 && name.ends_with(".amazonaws.com"));
    let is_host = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    match (requester, account, service.filter(is_host)) {
        ("-", ..) => "anonymous".to_owned(),
        (_, Some(account), _) if is_id(account, 12) => account.to_owned(),
        (_, _, Some(service)) => service.to_owned(),
        (id, ..) if is_id(id, 64) || is_id(id, 12) => id.to_owned(),
        _ => "other".to_owned(),
    }
}

/// A line as text; whatever is not UTF-8 is of no use, and no reason to lose the rest.
pub(super) fn text(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_a_dash_is_nothing() {
        assert_eq!([bytes("-"), bytes("0"), bytes("18446744073709551615")], [Ok(0), Ok(0), Ok(u64::MAX)]);
        for bad in ["", "+1", "1.5", "18446744073709551616", "-1"] {
            assert_eq!(bytes(bad), Err(Malformed::Value("bytes")), "{bad}");
        }
        assert_eq!([status("200"), status("000"), status("-")], [Ok(200), Ok(0), Ok(0)]);
        assert!(["20", "2000", "+20", ""].iter().all(|bad| status(bad).is_err()));
        assert_eq!(day_of_ms("1700006399999").unwrap().to_string(), "2023-11-14");
        assert!(["", "x", "99999999999999999999"].iter().all(|bad| day_of_ms(bad).is_err() && day(bad).is_err()));
    }

    #[test]
    fn an_address_is_no_name_of_a_store() {
        assert_eq!(store("d111.cloudfront.net").unwrap().unwrap(), "d111.cloudfront.net");
        assert_eq!(store("-"), Ok(None));
        assert!(["203.0.113.7", "2001:db8::1", "", "a b", &"a".repeat(256)].iter().all(|bad| store(bad).is_err()));
    }

    #[test]
    fn a_requester_is_an_account_and_never_a_person() {
        let id = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
        for (requester, expected) in [
            ("-", "anonymous"),
            (id, id),
            ("arn:aws:iam::123456789012:user/alice", "123456789012"),
            ("arn:aws:sts::123456789012:assumed-role/restore/alice@example.com", "123456789012"),
            ("svc:cloudfront.amazonaws.com", "cloudfront.amazonaws.com"),
            ("arn:aws:iam::alice:user/x", "other"),
            ("svc:203.0.113.7", "other"),
            ("203.0.113.7", "other"),
            ("", "other"),
        ] {
            assert_eq!(payer(requester), expected);
        }
    }
}

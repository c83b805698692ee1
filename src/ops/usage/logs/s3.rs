//! Lines of S3's server access logs: values between spaces, the time in brackets, what others sent in quotes. Pure.

use jiff::civil::Date;

use super::record::{Malformed, Record, bytes, path, payer, status, store};

/// Whether a line begins as one of these: owner, bucket, then a time in brackets.
pub(super) fn is_line(line: &str) -> bool {
    line.splitn(3, ' ').nth(2).is_some_and(|rest| rest.starts_with('['))
}

/// Reads a line.
pub(super) fn record(line: &str) -> Result<Record, Malformed> {
    let mut values = Rest(line);
    let _owner = values.word("owner")?;
    let bucket = values.word("bucket")?;
    let time = values.between('[', ']', "time")?;
    let _address = values.word("address")?;
    let requester = values.word("requester")?;
    let _request_id = values.word("request id")?;
    let operation = values.word("operation")?;
    let key = values.word("key")?;
    values.request()?;
    let answered = values.word("status")?;
    let _error = values.word("error")?;
    let sent = values.word("bytes")?;
    Ok(Record {
        day: day(time)?,
        store: store(bucket)?,
        is_get: operation.ends_with(".GET.OBJECT"),
        path: path(key),
        status: status(answered)?,
        bytes: bytes(sent)?,
        requester: Some(payer(requester)),
    })
}

/// The day of `20/Nov/2026:03:00:12 +0000`.
fn day(time: &str) -> Result<Date, Malformed> {
    let day = time.split(':').next().unwrap_or_default();
    Date::strptime("%d/%b/%Y", day).map_err(|_| Malformed::Value("time"))
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next value.
    fn word(&mut self, name: &'static str) -> Result<&'a str, Malformed> {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        if word.is_empty() { Err(Malformed::Missing(name)) } else { Ok(word) }
    }

    /// The next value, which stands between two signs.
    fn between(&mut self, open: char, close: char, name: &'static str) -> Result<&'a str, Malformed> {
        let (value, rest) = self.0.strip_prefix(open).and_then(|rest| rest.split_once(close)).ok_or(Malformed::Missing(name))?;
        self.0 = rest.strip_prefix(' ').unwrap_or(rest);
        Ok(value)
    }

    /// Skips the request in quotes, or a dash where there was none. The reader wrote it, quotes and all; but no request has a space in it
    /// behind a quote.
    fn request(&mut self) -> Result<(), Malformed> {
        let missing = Malformed::Missing("request");
        self.0 = match self.0.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\" ").ok_or(missing)?.1,
            None => self.0.strip_prefix("- ").ok_or(missing)?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

    fn line(operation: &str, request: &str) -> String {
        format!(
            "{OWNER} kusama-raw [20/Nov/2026:03:00:12 +0000] 203.0.113.7 arn:aws:iam::123456789012:user/alice 3E57427F3EXAMPLE {operation} \
             v1/raw/aa/x {request} 206 - 1048576 1048576 31 30 \"-\" \"aws-sdk-rust/1.3 os/linux\" - s9lz= SigV4 TLS_AES_128_GCM_SHA256 \
             AuthHeader kusama-raw.s3.eu-central-1.amazonaws.com TLSv1.3 - - eu-central-1"
        )
    }

    #[test]
    fn a_read_says_who_is_billed_for_how_much_and_nothing_of_the_person() {
        let line = line("REST.GET.OBJECT", "\"GET /v1/raw/aa/x HTTP/1.1\"");
        assert!(is_line(&line));
        let expected = Record {
            day: "2026-11-20".parse().unwrap(),
            store: Some("kusama-raw".into()),
            is_get: true,
            path: "v1/raw/aa/x".into(),
            status: 206,
            bytes: 1_048_576,
            requester: Some("123456789012".into()),
        };
        assert_eq!(record(&line), Ok(expected));
    }

    #[test]
    fn what_is_no_read_of_an_object_is_no_get() {
        for operation in ["REST.HEAD.OBJECT", "REST.GET.BUCKET", "REST.PUT.OBJECT", "REST.GET.OBJECT_TAGGING", "S3.EXPIRE.OBJECT"] {
            assert!(!record(&line(operation, "-")).unwrap().is_get, "{operation}");
        }
        assert!(record(&line("WEBSITE.GET.OBJECT", "-")).unwrap().is_get);
    }

    #[test]
    fn quotes_in_a_request_forge_nothing() {
        let forged = line("REST.GET.OBJECT", "\"GET /a\"%20200%20-%209\"b HTTP/1.1\"");
        assert_eq!(record(&forged).unwrap().bytes, 1_048_576);
    }

    #[test]
    fn a_line_that_breaks_off_or_has_another_value_says_where() {
        let whole = line("REST.GET.OBJECT", "\"GET / HTTP/1.1\"");
        for (cut, what) in
            [("1048576", "bytes"), ("206", "status"), ("\"GET", "request"), ("v1/raw", "key"), ("arn", "requester"), ("[", "time")]
        {
            let broken = &whole[..whole.find(cut).unwrap()];
            assert_eq!(record(broken), Err(Malformed::Missing(what)));
        }
        for (from, to, what) in
            [("Nov", "Foo", "time"), (" 206 ", " ok ", "status"), (" 1048576 ", " 1e6 ", "bytes"), ("kusama-raw", "a:b", "store")]
        {
            assert_eq!(record(&whole.replacen(from, to, 1)), Err(Malformed::Value(what)));
        }
    }
}

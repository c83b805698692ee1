//! Lines of CloudFront's standard logs: values between tabs in the order of the last `#Fields:` line, or a JSON object each. Both versions
//! of the logs have the same names. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::record::{Malformed, Record, bytes, day, day_of_ms, path, status, store};

/// Where the values of interest stand in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    count: usize,
    day: Day<usize>,
    method: usize,
    stem: usize,
    status: usize,
    bytes: usize,
    host: Option<usize>,
}

/// What tells the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day<T> {
    Date(T),
    Milliseconds(T),
}

impl Columns {
    /// Reads the names after `#Fields:`.
    pub(super) fn parse(names: &str) -> Result<Self, Malformed> {
        let names: Vec<_> = names.split_ascii_whitespace().collect();
        let place = |name: &str| names.iter().position(|found| *found == name);
        let need = |name: &'static str| place(name).ok_or(Malformed::FieldMissing(name));
        let day = match (place("date"), place("timestamp(ms)")) {
            (Some(at), _) => Day::Date(at),
            (None, Some(at)) => Day::Milliseconds(at),
            (None, None) => return Err(Malformed::FieldMissing("date")),
        };
        Ok(Self {
            count: names.len(),
            day,
            method: need("cs-method")?,
            stem: need("cs-uri-stem")?,
            status: need("sc-status")?,
            bytes: need("sc-bytes")?,
            host: place("cs(Host)").or_else(|| place("x-host-header")),
        })
    }

    /// Reads a line of values.
    pub(super) fn record(&self, line: &str) -> Result<Record, Malformed> {
        // Values have no spaces in them, so a space can stand between them as well.
        let values: Vec<_> = if line.contains('\t') { line.split('\t').collect() } else { line.split(' ').collect() };
        if values.len() != self.count {
            return Err(Malformed::ValueCount { expected: self.count, found: values.len() });
        }
        record(&Values {
            day: match self.day {
                Day::Date(at) => Day::Date(values[at]),
                Day::Milliseconds(at) => Day::Milliseconds(values[at]),
            },
            method: values[self.method],
            stem: values[self.stem],
            status: values[self.status],
            bytes: values[self.bytes],
            host: self.host.map_or("-", |at| values[at]),
        })
    }
}

/// The values of one line.
struct Values<'a> {
    day: Day<&'a str>,
    method: &'a str,
    stem: &'a str,
    status: &'a str,
    bytes: &'a str,
    host: &'a str,
}

fn record(values: &Values<'_>) -> Result<Record, Malformed> {
    Ok(Record {
        day: match values.day {
            Day::Date(text) => day(text)?,
            Day::Milliseconds(text) => day_of_ms(text)?,
        },
        store: store(values.host)?,
        is_get: values.method == "GET",
        path: path(values.stem),
        status: status(values.status)?,
        bytes: bytes(values.bytes)?,
        requester: None,
    })
}

/// A line of JSON; what else is in it is not even read.
#[derive(Deserialize)]
struct Line {
    date: Option<Value>,
    #[serde(rename = "timestamp(ms)")]
    milliseconds: Option<Value>,
    #[serde(rename = "cs-method")]
    method: Option<Value>,
    #[serde(rename = "cs-uri-stem")]
    stem: Option<Value>,
    #[serde(rename = "sc-status")]
    status: Option<Value>,
    #[serde(rename = "sc-bytes")]
    bytes: Option<Value>,
    #[serde(rename = "cs(Host)")]
    host: Option<Value>,
    #[serde(rename = "x-host-header")]
    host_header: Option<Value>,
}

/// Reads a line of JSON: of the second version, where that was chosen.
pub(super) fn json(line: &str) -> Result<Record, Malformed> {
    let line: Line = serde_json::from_str(line).map_err(|_| Malformed::Json)?;
    let need = |value: &Option<Value>, name| value.as_ref().ok_or(Malformed::Missing(name)).and_then(|value| scalar(value, name));
    let day = match (&line.date, &line.milliseconds) {
        (Some(date), _) => Day::Date(scalar(date, "date")?),
        (None, Some(time)) => Day::Milliseconds(scalar(time, "timestamp(ms)")?),
        (None, None) => return Err(Malformed::Missing("date")),
    };
    let host = match line.host.as_ref().or(line.host_header.as_ref()) {
        Some(value) => scalar(value, "cs(Host)")?,
        None => "-".to_owned(),
    };
    record(&Values {
        day: match &day {
            Day::Date(text) => Day::Date(text),
            Day::Milliseconds(text) => Day::Milliseconds(text),
        },
        method: &need(&line.method, "cs-method")?,
        stem: &need(&line.stem, "cs-uri-stem")?,
        status: &need(&line.status, "sc-status")?,
        bytes: &need(&line.bytes, "sc-bytes")?,
        host: &host,
    })
}

/// A value as text: CloudFront writes strings, and what passes logs on makes numbers of some.
fn scalar(value: &Value, name: &'static str) -> Result<String, Malformed> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Malformed::Value(name)),
    }
}

/// The names after `#Fields:`, if it is that line.
pub(super) fn fields(line: &str) -> Option<&str> {
    line.strip_prefix("#Fields:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)";
    const LINE: &str = "2026-11-20\t03:00:12\tSOF50-P1\t1049000\t203.0.113.7\tGET\td111.cloudfront.net\t/v1/raw/aa/x%20y\t200\t-";

    fn expected() -> Record {
        Record {
            day: "2026-11-20".parse().unwrap(),
            store: Some("d111.cloudfront.net".into()),
            is_get: true,
            path: "/v1/raw/aa/x y".into(),
            status: 200,
            bytes: 1_049_000,
            requester: None,
        }
    }

    #[test]
    fn values_are_found_by_the_header_in_any_order() {
        let columns = Columns::parse(FIELDS).unwrap();
        assert_eq!(columns.record(LINE), Ok(expected()));
        assert_eq!(columns.record(&LINE.replace('\t', " ")), Ok(expected()));
        let other = Columns::parse("sc-status cs-uri-stem cs-method sc-bytes timestamp(ms) x-host-header").unwrap();
        assert_eq!(other.record("200\t/v1/raw/aa/x%20y\tGET\t1049000\t1795143612000\td111.cloudfront.net"), Ok(expected()));
        let nameless = Columns::parse("sc-status cs-uri-stem cs-method sc-bytes date").unwrap();
        assert_eq!(nameless.record("206\t/\tHEAD\t-\t2026-11-20").unwrap().store, None);
    }

    #[test]
    fn a_header_or_a_line_that_does_not_fit_says_why_and_repeats_nothing() {
        for name in ["date", "sc-bytes", "cs-method", "cs-uri-stem", "sc-status"] {
            assert_eq!(Columns::parse(&FIELDS.replace(name, "x")), Err(Malformed::FieldMissing(name)));
        }
        let columns = Columns::parse(FIELDS).unwrap();
        assert_eq!(columns.record("2026-11-20\t1"), Err(Malformed::ValueCount { expected: 10, found: 2 }));
        for (from, to, what) in [("2026-11-20", "20.11.2026", "date"), ("1049000", "many", "bytes"), ("\t200\t", "\tok\t", "status")] {
            assert_eq!(columns.record(&LINE.replace(from, to)), Err(Malformed::Value(what)));
        }
    }

    #[test]
    fn a_line_of_json_has_the_same_names() {
        let line = r#"{"date":"2026-11-20","time":"03:00:12","sc-bytes":"1049000","c-ip":"203.0.113.7","cs-method":"GET","cs(Host)":"d111.cloudfront.net","cs-uri-stem":"/v1/raw/aa/x%20y","sc-status":"200","cs(Cookie)":"-"}"#;
        assert_eq!(json(line), Ok(expected()));
        let numbers = line.replace("\"1049000\"", "1049000").replace("\"200\"", "200");
        assert_eq!(json(&numbers), Ok(expected()));
        let by_time = line.replace(r#""date":"2026-11-20""#, r#""timestamp(ms)":"1795143612000""#);
        assert_eq!(json(&by_time), Ok(expected()));
        assert_eq!(json(&line.replace("\"sc-status\":\"200\"", "\"a\":1")), Err(Malformed::Missing("sc-status")));
        assert_eq!(json(&line.replace("\"1049000\"", "[1]")), Err(Malformed::Value("sc-bytes")));
        assert!(["{", "{]", "{\"date\":1,\"date\":2}", ""].iter().all(|bad| json(bad) == Err(Malformed::Json)));
    }
}

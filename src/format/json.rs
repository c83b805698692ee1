//! Strict JSON: what is signed is read one way only.
//!
//! Duplicate keys are refused at every depth, also below fields that nobody reads: serde keeps one of them,
//! other parsers another. Depth and length are bounded. Unknown fields are left to the types that read.

use std::{
    cell::Cell,
    collections::HashSet,
    fmt,
    io::{self, BufReader, Read},
};

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 32;

/// JSON that is refused.
#[derive(Debug, Error)]
pub enum JsonError {
    /// It is longer than what is read here may be.
    #[error("the JSON is too long: {found_bytes} bytes (at most {max_bytes})")]
    TooLong {
        /// The cap.
        max_bytes: u64,
        /// The length.
        found_bytes: u64,
    },
    /// An object names a key twice.
    #[error("key {key:?} occurs twice in one object, line {line} column {column}")]
    DuplicateKey {
        /// The key, at most 80 characters of it.
        key: String,
        /// Line of the second one, from 1.
        line: usize,
        /// Column of the second one.
        column: usize,
    },
    /// It is not JSON, nests too deep, or does not have the expected fields and types.
    #[error("{what}, line {line} column {column}")]
    Invalid {
        /// What is wrong.
        what: String,
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The reader failed.
    #[error("cannot read the JSON")]
    Read {
        /// Why.
        source: io::Error,
    },
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return Self::Read { source: error.into() };
        }
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
        Self::Invalid { what, line, column }
    }
}

/// Reads one JSON value to its end and refuses duplicate keys at any depth, nesting beyond [`MAX_DEPTH`], a byte
/// order mark, invalid UTF-8 and anything after the value. Holds the keys of the open objects, nothing else.
///
/// # Errors
/// [`JsonError`], with the place. The caller bounds the length of `reader`.
pub fn reject_duplicate_keys(reader: impl Read) -> Result<(), JsonError> {
    check(&mut serde_json::Deserializer::from_reader(BufReader::new(reader)))
}

/// Parses `bytes` as one JSON value of at most `max_bytes`, as strict as [`reject_duplicate_keys`].
///
/// # Errors
/// [`JsonError`], with the place.
pub fn from_slice_strict<T: DeserializeOwned>(bytes: &[u8], max_bytes: u64) -> Result<T, JsonError> {
    let found_bytes = bytes.len() as u64;
    if found_bytes > max_bytes {
        return Err(JsonError::TooLong { max_bytes, found_bytes });
    }
    check(&mut serde_json::Deserializer::from_slice(bytes))?;
    Ok(serde_json::from_slice(bytes)?)
}

fn check<'de, R: serde_json::de::Read<'de>>(input: &mut serde_json::Deserializer<R>) -> Result<(), JsonError> {
    let duplicate = Cell::new(None);
    let outcome = Checker { depth: 0, duplicate: &duplicate }.deserialize(&mut *input).and_then(|()| input.end());
    match (outcome, duplicate.take()) {
        (Err(error), Some(key)) => Err(JsonError::DuplicateKey { key, line: error.line(), column: error.column() }),
        (outcome, _) => Ok(outcome?),
    }
}

/// Walks one value; leaves the key in `duplicate` when it stops at one that was there before.
struct Checker<'a> {
    depth: usize,
    duplicate: &'a Cell<Option<String>>,
}

impl Checker<'_> {
    fn below<E: serde::de::Error>(&self) -> Result<Self, E> {
        match self.depth + 1 {
            depth if depth <= MAX_DEPTH => Ok(Self { depth, duplicate: self.duplicate }),
            _ => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Checker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        // `any`, not `ignored_any`: only then does serde_json look at the UTF-8 of every text.
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.below()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                self.duplicate.set(Some(key.chars().take(80).collect()));
                return Err(A::Error::custom("duplicate key"));
            }
            keys.insert(key);
            entries.next_value_seed(self.below()?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Named {
        name: String,
    }

    fn read(text: &[u8]) -> Result<Named, JsonError> {
        from_slice_strict(text, 1000)
    }

    #[test]
    fn reads_what_is_asked_for_and_ignores_the_rest() {
        assert_eq!(read(br#" {"other":[{"a":1},{"a":-2.5e3}],"name":"x","b":null} "#).unwrap(), Named { name: "x".to_owned() });
    }

    // MF-11
    #[test]
    fn refuses_a_key_that_occurs_twice_at_any_depth_and_however_it_is_spelled() {
        for text in [
            r#"{"name":"x","name":"x"}"#,
            r#"{"name":"x","unknown":1,"unknown":1}"#,
            r#"{"name":"x","unknown":[{"deep":{"a":1,"b":2,"a":3}}]}"#,
            r#"{"name":"x","n\u0061me":"y"}"#,
        ] {
            assert!(matches!(read(text.as_bytes()), Err(JsonError::DuplicateKey { line: 1, .. })), "{text}");
            assert!(matches!(reject_duplicate_keys(text.as_bytes()), Err(JsonError::DuplicateKey { .. })), "{text}");
        }
    }

    // MF-11
    #[test]
    fn refuses_what_is_not_plain_bounded_json() {
        let deep = format!(r#"{{"name":"x","d":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        let abyss = "[".repeat(900);
        let bad: [&[u8]; 12] = [
            b"",
            b"\xef\xbb\xbf{\"name\":\"x\"}",
            b"{\"name\":\"\xff\"}",
            b"{\"name\":\"x\",\"other\":\"\xff\"}",
            b"{\"name\":\"x\"} x",
            b"{\"name\":\"x\"}{}",
            b"{\"name\":NaN}",
            b"{\"name\":\"x\",\"n\":1e999}",
            b"{\"name\":\"x\",}",
            b"{'name':'x'}",
            deep.as_bytes(),
            abyss.as_bytes(),
        ];
        for text in bad {
            assert!(matches!(read(text), Err(JsonError::Invalid { .. })), "{}", text.escape_ascii());
            assert!(matches!(reject_duplicate_keys(text), Err(JsonError::Invalid { .. })), "{}", text.escape_ascii());
        }
        assert!(matches!(from_slice_strict::<Named>(b"{\"name\":\"x\"}", 11), Err(JsonError::TooLong { max_bytes: 11, found_bytes: 12 })));
    }

    #[test]
    fn an_error_says_what_and_where() {
        let error = read(b"{\n \"name\": 7}").unwrap_err();
        assert_eq!(error.to_string(), "invalid type: integer `7`, expected a string, line 2 column 10");
        let error = read(b"{\n \"name\": \"x\",\n \"name\": \"y\"}").unwrap_err();
        assert!(error.to_string().starts_with("key \"name\" occurs twice in one object, line 3"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nearly_json_is_read_or_refused(text in "[\\[\\]{}\",:a0\\\\u .-]{0,60}") {
            let parsed = from_slice_strict::<serde_json::Value>(text.as_bytes(), 1000);
            prop_assert_eq!(reject_duplicate_keys(text.as_bytes()).is_ok(), parsed.is_ok());
        }
    }
}

//! The key of an object in a store.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where an object lies in a store, relative to its prefix: `/`-separated, of `[A-Za-z0-9._+-]`, never `.` or `..`,
/// at most 512 bytes. `format::key` makes the keys of the format; stores know no more than this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is not a key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not an object key: {0:?}")]
pub struct InvalidObjectKey(pub String);

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        let component = |c: &str| !matches!(c, "" | "." | "..") && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
        if text.len() <= 512 && text.split('/').all(component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidObjectKey(text.chars().take(200).collect()))
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_keys_that_could_leave_the_store() {
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "a b", "a\0", "a%2e", "a?b"] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
        }
        assert!("chunks/aa/0f".parse::<ObjectKey>().is_ok());
    }
}

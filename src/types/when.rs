//! Which snapshot of a channel is meant: the `@WHEN` of the command line.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// `latest`, a block height in decimal, or `b3:PREFIX` of a snapshot id (6 to 64 hex digits).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// The snapshot that the head names.
    #[default]
    Latest,
    /// The snapshot taken at this block height.
    Height(u64),
    /// The snapshot whose id starts with these lower-case hex digits.
    Id(String),
}

/// Text that names no snapshot.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a snapshot: {0:?} (expected latest, a block height, or b3: with 6 to 64 hex digits)")]
pub struct InvalidWhen(pub String);

impl FromStr for When {
    type Err = InvalidWhen;

    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        let invalid = || InvalidWhen(text.chars().take(100).collect());
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(prefix) = text.strip_prefix("b3:") {
            let prefix = prefix.to_ascii_lowercase();
            let fits = (6..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
            return if fits { Ok(Self::Id(prefix)) } else { Err(invalid()) };
        }
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().map(Self::Height).map_err(|_| invalid())
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Height(height) => write!(f, "{height}"),
            Self::Id(prefix) => write!(f, "b3:{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms_and_nothing_else() {
        assert_eq!("latest".parse(), Ok(When::Latest));
        assert_eq!("24187312".parse(), Ok(When::Height(24_187_312)));
        assert_eq!("b3:3F9A00".parse(), Ok(When::Id("3f9a00".to_owned())));
        for bad in ["", "newest", "-1", "+1", "b3:", "b3:12345", "b3:xyzxyz", "99999999999999999999999"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}

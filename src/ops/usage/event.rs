//! A terabyte that was crossed: its name, which is the same however often it is told, and what is told of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::month::Month;
use crate::types::Timestamp;

/// The longest name of a store.
const MAX_NAME_BYTES: usize = 64;

/// What a store is called in the counts: letters, digits and `._-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(String);

/// Text that is no such name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the name of a store: {0:?} (expected 1 to {MAX_NAME_BYTES} letters, digits or ._-)")]
pub struct InvalidStoreName(pub String);

/// Which terabyte of which month of which store, from 1: `cdn/2026-11/3`. Whoever is told twice knows it by this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId {
    /// The store.
    pub store: StoreName,
    /// The month.
    pub month: Month,
    /// Which terabyte of the month, from 1.
    pub number: u64,
}

/// Text that is no such name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the name of an event: {0:?} (expected STORE/YYYY-MM/NUMBER)")]
pub struct InvalidEventId(pub String);

/// What is told of a terabyte that was crossed. Field names are a promise (docs/usage.md); however often it is told, it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// The store.
    pub store: StoreName,
    /// The month, UTC.
    pub month: Month,
    /// Which terabyte of the month.
    pub terabyte: u64,
    /// How many bytes a terabyte is.
    pub tb_bytes: u64,
    /// How many bytes of the month had been downloaded when it was noticed.
    pub month_bytes: u64,
    /// When it was noticed.
    pub noticed_at: Timestamp,
}

impl StoreName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreName {
    type Err = InvalidStoreName;

    fn from_str(text: &str) -> Result<Self, InvalidStoreName> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if plain && (1..=MAX_NAME_BYTES).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidStoreName(text.chars().take(MAX_NAME_BYTES).collect()))
        }
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let invalid = || InvalidEventId(text.chars().take(100).collect());
        let [store, month, number] = text.split('/').collect::<Vec<_>>()[..] else { return Err(invalid()) };
        let id = Self {
            store: store.parse().map_err(|_| invalid())?,
            month: month.parse().map_err(|_| invalid())?,
            number: number.parse().map_err(|_| invalid())?,
        };
        // One name has one text.
        if id.number > 0 && id.to_string() == text { Ok(id) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for StoreName {
    type Error = InvalidStoreName;

    fn try_from(text: String) -> Result<Self, InvalidStoreName> {
        text.parse()
    }
}

impl TryFrom<String> for EventId {
    type Error = InvalidEventId;

    fn try_from(text: String) -> Result<Self, InvalidEventId> {
        text.parse()
    }
}

impl From<StoreName> for String {
    fn from(name: StoreName) -> Self {
        name.0
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.store, self.month, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_name() {
        let id: EventId = "cdn/2026-11/3".parse().unwrap();
        assert_eq!((id.store.as_str(), id.month.to_string().as_str(), id.number), ("cdn", "2026-11", 3));
        for text in ["cdn/2026-11/0", "cdn/2026-11/03", "cdn/2026-11/+3", "cdn/2026-11", "a/b/2026-11/3", "/2026-11/3", "c d/2026-11/3"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_told_is_what_is_documented() {
        let event = Event {
            id: "cdn/2026-11/3".parse().unwrap(),
            store: "cdn".parse().unwrap(),
            month: "2026-11".parse().unwrap(),
            terabyte: 3,
            tb_bytes: 1 << 40,
            month_bytes: 3_312_345_678_901,
            noticed_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        };
        let page = include_str!("../../../docs/usage.md");
        let told = serde_json::to_string(&event).unwrap();
        assert!(page.contains(&told), "docs/usage.md does not show {told}");
    }
}

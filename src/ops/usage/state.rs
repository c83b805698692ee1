//! What is known of all months so far: `usage/state.json` in a store, replaced by compare-and-swap only.
//!
//! Everything that must not happen twice is decided by one swap of this object: which terabytes have a name, and which of them were told to
//! whom. Two ticks at once, on two machines, are two swaps, of which one is lost and begins anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
};

use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    event::{Event, EventId, StoreName},
    month::Month,
};
use crate::{
    format::json,
    store::{DynWriteStore, ErrorKind, Swap, Tag},
    types::{ObjectKey, Timestamp},
};

const FORMAT: &str = "qsync-usage/1";
/// What the formats of all versions begin with.
const FAMILY: &str = "qsync-usage/";
/// The longest state: 1,000 events that wait, and two years of 64 stores, take less than half of it.
pub const MAX_BYTES: u64 = 1 << 20;

/// Everything that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    format: String,
    /// When it was last brought up to date.
    pub last_tick: Option<Timestamp>,
    /// What is known of each store.
    pub stores: BTreeMap<StoreName, Store>,
    /// The events that were not yet told to everybody, in the order in which they came to be.
    pub outbox: Vec<Pending>,
}

/// What is known of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Bytes of all months, also of those that are no longer kept.
    pub total_bytes: u64,
    /// Terabytes of all months that have an event, also of those that are no longer kept.
    pub total_told: u64,
    /// The end of the newest hour of which its source knows anything, or when a counter was read.
    pub data_until: Option<Timestamp>,
    /// Where a counter stood that never stops, when it was last read.
    pub counter: Option<Counter>,
    /// Its months.
    pub months: BTreeMap<Month, Tally>,
}

/// A counter that begins at 0 whenever its program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// What it showed.
    pub last: u64,
    /// When its program began, where that is known.
    pub since: Option<Timestamp>,
}

/// What is known of one month of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Bytes that were downloaded. Never fewer than before.
    pub bytes: u64,
    /// How many of its terabytes have an event. Never fewer than before.
    pub told_tb: u64,
    /// How many bytes a terabyte is in this month: what it was when the month began, so that a number names one threshold.
    pub tb_bytes: NonZeroU64,
    /// Whether nothing can come any more.
    pub closed: bool,
}

/// An event that was not yet told to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Its name.
    pub id: EventId,
    /// How many bytes a terabyte is.
    pub tb_bytes: NonZeroU64,
    /// Bytes of the month when it was noticed.
    pub month_bytes: u64,
    /// When that was.
    pub noticed_at: Timestamp,
    /// Who was told.
    pub sinks_done: BTreeSet<SinkName>,
}

/// Who can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkName {
    /// Standard output of the command, and its exit code.
    Output,
    /// A web address.
    Webhook,
    /// A topic of SNS.
    Sns,
    /// A metric of `CloudWatch`.
    CloudWatch,
}

impl SinkName {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Webhook => "webhook",
            Self::Sns => "sns",
            Self::CloudWatch => "cloudwatch",
        }
    }
}

impl Tally {
    /// A month that begins.
    #[must_use]
    pub fn new(tb_bytes: NonZeroU64) -> Self {
        Self { bytes: 0, told_tb: 0, tb_bytes, closed: false }
    }

    /// Whole terabytes that were downloaded.
    #[must_use]
    pub fn terabytes(&self) -> u64 {
        self.bytes / self.tb_bytes
    }

    /// Terabytes that have no event yet.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.terabytes().saturating_sub(self.told_tb)
    }
}

impl Pending {
    /// What is told of it.
    #[must_use]
    pub fn event(&self) -> Event {
        Event {
            id: self.id.clone(),
            store: self.id.store.clone(),
            month: self.id.month,
            terabyte: self.id.number,
            tb_bytes: self.tb_bytes.get(),
            month_bytes: self.month_bytes,
            noticed_at: self.noticed_at,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), last_tick: None, stores: BTreeMap::new(), outbox: Vec::new() }
    }
}

impl State {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::StateNewer`], [`Error::StateUnreadable`].
    pub fn from_bytes(bytes: &[u8], store: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Versioned {
            format: String,
        }
        let unreadable = |source| Error::StateUnreadable { store: store.to_owned(), source: Some(source) };
        let told: Versioned = json::from_slice_strict(bytes, MAX_BYTES).map_err(unreadable)?;
        let version = told.format.strip_prefix(FAMILY).and_then(|version| version.parse::<u32>().ok());
        match version {
            Some(1) => json::from_slice_strict(bytes, MAX_BYTES).map_err(unreadable),
            Some(_) => Err(Error::StateNewer { store: store.to_owned(), found: told.format, known: FORMAT }),
            None => Err(Error::StateUnreadable { store: store.to_owned(), source: None }),
        }
    }

    /// Writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text keys and integers are always JSON")
    }
}

/// Where it lies.
#[must_use]
pub fn key() -> ObjectKey {
    "usage/state.json".parse().expect("this is a key")
}

/// Reads what is known, and what must still be there when it is replaced; nothing is known where nothing is.
///
/// # Errors
/// As [`State::from_bytes`], and those of the store.
pub async fn load(store: &DynWriteStore) -> Result<(State, Option<Tag>), Error> {
    match store.get_tagged(&key(), MAX_BYTES).await {
        Ok(None) => Ok((State::default(), None)),
        Ok(Some((bytes, tag))) => Ok((State::from_bytes(&bytes, store.name())?, Some(tag))),
        Err(error) if error.kind == ErrorKind::TooLarge => Err(Error::StateUnreadable { store: store.name().to_owned(), source: None }),
        Err(error) => Err(error.into()),
    }
}

/// Replaces it, if it is still what was read.
///
/// # Errors
/// Those of the store; [`Error::StateTooLong`].
pub async fn save(store: &DynWriteStore, state: &State, tag: Option<&Tag>) -> Result<Swap, Error> {
    let bytes = state.to_bytes();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::StateTooLong { store: store.name().to_owned(), bytes: bytes.len() });
    }
    Ok(store.swap(&key(), tag, bytes.into()).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;

    fn full() -> State {
        let month = |n: u32| format!("{}-{:02}", 2024 + n / 12, n % 12 + 1).parse().unwrap();
        let tally = Tally { bytes: u64::MAX, told_tb: u64::MAX, tb_bytes: NonZeroU64::MAX, closed: false };
        let now: Timestamp = "2026-11-22T08:00:00.123456789Z".parse().unwrap();
        let name = |n: usize| format!("{n:0>64}").parse::<StoreName>().unwrap();
        let store = || Store {
            total_bytes: u64::MAX,
            total_told: u64::MAX,
            data_until: Some(now),
            counter: Some(Counter { last: u64::MAX, since: Some(now) }),
            months: (0..26).map(|n| (month(n), tally)).collect(),
        };
        let pending = |n: u64| Pending {
            id: EventId { store: name(0), month: month(0), number: u64::MAX - n },
            tb_bytes: NonZeroU64::MAX,
            month_bytes: u64::MAX,
            noticed_at: now,
            sinks_done: BTreeSet::from([SinkName::Output, SinkName::Webhook, SinkName::Sns]),
        };
        State {
            last_tick: Some(now),
            stores: (0..super::super::MOST_SOURCES).map(|n| (name(n), store())).collect(),
            outbox: (0..super::super::plan::MOST_PENDING as u64).map(pending).collect(),
            ..State::default()
        }
    }

    #[test]
    fn the_fullest_state_is_read_again_and_is_not_too_long() {
        let bytes = full().to_bytes();
        assert!(bytes.len() as u64 <= MAX_BYTES * 3 / 4, "{}", bytes.len());
        assert_eq!(State::from_bytes(&bytes, "m").unwrap(), full());
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused_and_so_is_what_is_none() {
        let newer = br#"{"format":"qsync-usage/2","stores":[]}"#;
        let refused = State::from_bytes(newer, "s3://b").unwrap_err();
        assert!(matches!(&refused, Error::StateNewer { found, .. } if found == "qsync-usage/2"), "{refused}");
        for bytes in [&b""[..], b"<html>", b"{}", br#"{"format":"other/1"}"#, br#"{"format":"qsync-usage/1"}"#] {
            assert!(matches!(State::from_bytes(bytes, "s3://b"), Err(Error::StateUnreadable { .. })), "{bytes:?}");
        }
        // A field that this version would lose when it writes.
        let more = String::from_utf8(State::default().to_bytes()).unwrap().replace("{\"format\"", "{\"more\":1,\"format\"");
        assert!(matches!(State::from_bytes(more.as_bytes(), "s3://b"), Err(Error::StateUnreadable { .. })));
        let nothing = String::from_utf8(full().to_bytes()).unwrap().replace("\"tb_bytes\":18446744073709551615", "\"tb_bytes\":0");
        assert!(matches!(State::from_bytes(nothing.as_bytes(), "s3://b"), Err(Error::StateUnreadable { .. })));
    }

    #[tokio::test]
    async fn of_two_who_read_the_same_only_one_writes() {
        let store: DynWriteStore = Arc::new(MemoryStore::new("memory"));
        let (nothing, none) = load(&store).await.unwrap();
        assert_eq!((&nothing, &none), (&State::default(), &None));
        assert!(matches!(save(&store, &full(), none.as_ref()).await, Ok(Swap::Done(_))));
        assert_eq!(save(&store, &nothing, none.as_ref()).await.unwrap(), Swap::Lost);
        assert_eq!(load(&store).await.unwrap().0, full());
    }
}

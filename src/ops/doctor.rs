//! What of a provider's set-up does not do, found out before a publish does: keys, stores, room.
//!
//! Each look is a [`Finding`]; none changes anything but what trying out a store's conditional writes needs.

use std::path::Path;

use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    catalog::{self, Publisher, StateDir},
    fs::Fs,
    node::freeze::{RESERVE_PERCENT, plan::reserve_bytes},
    progress::in_one_line,
    store::DynWriteStore,
    types::{ByteSize, ChannelName, Timestamp},
};

/// How long before its end a root is to be renewed.
const ROOT_NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How a look turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, and may not for long.
    Warning,
    /// A publish would fail, or what it publishes could not be used.
    Fault,
}

/// One look at one thing. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it is.
    pub health: Health,
    /// What was found, in one line.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), health: Health::Ok, found: found.into(), hint: None }
    }

    /// It works, and may not for long.
    #[must_use]
    pub fn warning(check: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check: check.into(), health: Health::Warning, found: found.into(), hint: Some(hint.into()) }
    }

    /// It does not do.
    #[must_use]
    pub fn fault(check: impl Into<String>, found: impl Into<String>, hint: Option<String>) -> Self {
        Self { check: check.into(), health: Health::Fault, found: found.into(), hint }
    }
}

/// Looks at the stores of a channel: whether they answer, keep two writers apart, and show a head that lives on; and at the keys that sign
/// for them.
pub async fn stores(stores: &[DynWriteStore], channel: &ChannelName, state: &StateDir, now: Timestamp) -> Vec<Finding> {
    let (mut findings, mut answering) = (Vec::new(), Vec::new());
    for store in stores {
        match catalog::check_answers(store).await {
            Ok(()) => answering.push(DynWriteStore::clone(store)),
            Err(error) => findings.push(Finding::fault(format!("store {}", store.name()), error.one_line(), None)),
        }
    }
    if answering.is_empty() {
        return findings;
    }
    match Publisher::open(&answering, state, now).await {
        Err(error) => findings.push(Finding::fault("keys", in_one_line(&error), error.hint())),
        Ok(publisher) => {
            findings.push(keys(&publisher, now));
            for store in &answering {
                findings.push(exclusion(store).await);
                findings.push(head(store, &publisher, channel, now).await);
            }
        }
    }
    findings
}

/// The keys were there, and the clock is not behind what was seen, or there were no publisher.
fn keys(publisher: &Publisher, now: Timestamp) -> Finding {
    let root = publisher.chain().newest();
    let found = format!("root {} of b3:{} is valid until {}", root.version, publisher.chain().repo(), root.expires);
    if root.expires.duration_since(now) < ROOT_NOTICE {
        return Finding::warning("keys", found, "sign a new root before then: readers accept nothing after it");
    }
    Finding::ok("keys", found)
}

async fn exclusion(store: &DynWriteStore) -> Finding {
    let check = format!("store {}", store.name());
    match catalog::one_writer_warning(store).await {
        Ok(None) => Finding::ok(check, "answers, and keeps two publishers apart"),
        Ok(Some(text)) => Finding::warning(check, text, "publish to it from one machine only"),
        Err(error) => Finding::fault(check, in_one_line(&error), error.hint()),
    }
}

async fn head(store: &DynWriteStore, publisher: &Publisher, channel: &ChannelName, now: Timestamp) -> Finding {
    let check = format!("head in {}", store.name());
    let found = match catalog::read_head(store, publisher.chain(), channel).await {
        Ok(found) => found,
        Err(error) => return Finding::fault(check, in_one_line(&error), error.hint()),
    };
    let Some(head) = found.head else {
        let found = found.unusable.map_or_else(|| "nothing is published yet".to_owned(), |why| format!("cannot be used: {why}"));
        return Finding::warning(check, found, format!("qsync publish {channel}"));
    };
    let said = format!("number {}, snapshot of {}, valid until {}", head.seq, head.snapshot.taken_at, head.expires);
    let (left, whole) = (head.expires.duration_since(now), head.expires.duration_since(head.issued));
    if left.is_negative() {
        return Finding::fault(
            check,
            format!("has expired: {said}"),
            Some(format!("qsync publish {channel}, or qsync head refresh {channel}")),
        );
    }
    // GC-15: told before half of its time is over, nobody is surprised.
    if left < whole / 2 {
        return Finding::warning(check, format!("nobody has signed it again for long: {said}"), format!("qsync head refresh {channel}"));
    }
    Finding::ok(check, said)
}

/// Looks at the room on the file system of a directory.
#[must_use]
pub fn room(fs: &dyn Fs, what: &str, path: &Path) -> Finding {
    let check = format!("{what} {}", path.display());
    match fs.space(path) {
        Err(error) => Finding::fault(check, error.to_string(), None),
        Ok(space) => {
            let found = format!("{} of {} are free", ByteSize(space.free_bytes), ByteSize(space.total_bytes));
            if space.free_bytes < reserve_bytes(space.total_bytes, RESERVE_PERCENT) {
                let hint = format!("free some: below {RESERVE_PERCENT} % no copy of the database is kept beside it");
                return Finding::warning(check, found, hint);
            }
            Finding::ok(check, found)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{fs::MemoryFs, store::MemoryStore};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn says_of_each_store_what_is_wrong_with_it() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let state = StateDir::open(Arc::clone(&fs), "/state").unwrap();
        let store: DynWriteStore = Arc::new(MemoryStore::new("memory"));
        let (channel, now) = ("demo/generic".parse().unwrap(), at("2026-11-22T00:00:00Z"));
        let none = stores(&[Arc::clone(&store)], &channel, &state, now).await;
        assert_eq!((none.len(), none[0].check.as_str(), none[0].health), (1, "keys", Health::Fault));
        assert!(none[0].hint.as_ref().unwrap().contains("qsync init"));
        catalog::init(&store, "test", &state, now).await.unwrap();
        let fresh = stores(&[Arc::clone(&store)], &channel, &state, now).await;
        let health: Vec<_> = fresh.iter().map(|finding| (finding.check.as_str(), finding.health)).collect();
        assert_eq!(health, [("keys", Health::Ok), ("store memory", Health::Ok), ("head in memory", Health::Warning)], "{fresh:?}");
        let much_later = at("2027-11-10T00:00:00Z");
        assert_eq!(stores(&[store], &channel, &state, much_later).await[0].health, Health::Warning);
    }
}

//! What all lines together say, in a bounded room. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::{class::ObjectClass, record::Record};
use crate::types::Hash;

/// How many different rows of a kind are kept apart. A provider has some stores, some snapshots a day and some thousand days; who sends
/// requests cannot make more of them than this.
const MOST_ROWS: usize = 50_000;

/// The name under which everything is counted that there was no room for.
pub const OTHERS: &str = "(others)";

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// How often.
    pub reads: u64,
    /// How much.
    pub bytes: u64,
}

/// Reads of a store by kind of object and day. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BytesRow {
    /// The store.
    pub store: String,
    /// The day, UTC; `None` for all that there was no room for.
    pub day: Option<Date>,
    /// What kind of object.
    pub class: ObjectClass,
    /// How often it was read.
    pub reads: u64,
    /// How much was read.
    pub bytes: u64,
}

/// How often a snapshot was restored. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoresRow {
    /// The store.
    pub store: String,
    /// The snapshot; `None` for all that there was no room for.
    pub snapshot: Option<Hash>,
    /// How often all of its manifest was read.
    pub restores: u64,
    /// The first day on which that was, UTC.
    pub first_day: Date,
    /// The last day.
    pub last_day: Date,
}

/// What an account read. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequesterRow {
    /// The store.
    pub store: String,
    /// Who was billed or signed: an account, a service, `anonymous` or `other`.
    pub requester: String,
    /// How often it read.
    pub reads: u64,
    /// How much it read.
    pub bytes: u64,
}

/// Sums over all lines that were read so far.
#[derive(Debug, Default)]
pub struct Totals {
    all: Reads,
    failed_reads: u64,
    other_requests: u64,
    days: Option<(Date, Date)>,
    bytes: Rows<(String, Date, ObjectClass), Reads>,
    restores: Rows<(String, Hash), Restores>,
    requesters: Rows<(String, String), Reads>,
}

#[derive(Clone, Copy, Debug)]
struct Restores {
    count: u64,
    first: Date,
    last: Date,
}

/// Rows by their key, and what came too late for one of its own.
#[derive(Debug)]
struct Rows<K, V> {
    kept: BTreeMap<K, V>,
    rest: Option<V>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), rest: None }
    }
}

impl<K: Ord, V> Rows<K, V> {
    /// The row of `key`, made from `new` if there is none.
    fn row(&mut self, key: K, new: V) -> &mut V {
        if self.kept.len() < MOST_ROWS || self.kept.contains_key(&key) {
            self.kept.entry(key).or_insert(new)
        } else {
            self.rest.get_or_insert(new)
        }
    }
}

impl Reads {
    fn add(&mut self, bytes: u64) {
        self.reads += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Totals {
    /// Counts a request. `store` is the name to count it under, if the log's own does not count.
    pub(super) fn add(&mut self, record: Record, store: Option<&str>) {
        if !record.is_get {
            self.other_requests += 1;
            return;
        }
        if !record.is_read() {
            self.failed_reads += 1;
            return;
        }
        let store = store.map(str::to_owned).or(record.store).unwrap_or_else(|| "-".to_owned());
        let (class, snapshot) = ObjectClass::of_path(&record.path);
        let (day, bytes) = (record.day, record.bytes);
        self.all.add(bytes);
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
        // Part of a manifest restores nothing: whoever reads one reads all of it at once.
        if let Some(snapshot) = snapshot.filter(|_| record.status == 200) {
            let row = self.restores.row((store.clone(), snapshot), Restores { count: 0, first: day, last: day });
            *row = Restores { count: row.count + 1, first: row.first.min(day), last: row.last.max(day) };
        }
        if let Some(requester) = record.requester {
            self.requesters.row((store.clone(), requester), Reads::default()).add(bytes);
        }
        self.bytes.row((store, day, class), Reads::default()).add(bytes);
    }

    /// All that was read.
    #[must_use]
    pub fn all(&self) -> Reads {
        self.all
    }

    /// How many requests for an object delivered none.
    #[must_use]
    pub fn failed_reads(&self) -> u64 {
        self.failed_reads
    }

    /// How many requests asked for no object.
    #[must_use]
    pub fn other_requests(&self) -> u64 {
        self.other_requests
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.all.reads + self.failed_reads + self.other_requests
    }

    /// The first and the last day on which something was read.
    #[must_use]
    pub fn days(&self) -> Option<(Date, Date)> {
        self.days
    }

    /// Reads by store, day and kind of object.
    pub fn bytes(&self) -> impl Iterator<Item = BytesRow> {
        let row = |store: &str, day, class, Reads { reads, bytes }| BytesRow { store: store.to_owned(), day, class, reads, bytes };
        let kept = self.bytes.kept.iter().map(move |((store, day, class), reads)| row(store, Some(*day), *class, *reads));
        kept.chain(self.bytes.rest.map(|rest| row(OTHERS, None, ObjectClass::Other, rest)))
    }

    /// Restores by store and snapshot.
    pub fn restores(&self) -> impl Iterator<Item = RestoresRow> {
        let row = |store: &str, snapshot, Restores { count, first, last }| RestoresRow {
            store: store.to_owned(),
            snapshot,
            restores: count,
            first_day: first,
            last_day: last,
        };
        let kept = self.restores.kept.iter().map(move |((store, snapshot), restores)| row(store, Some(*snapshot), *restores));
        kept.chain(self.restores.rest.map(|rest| row(OTHERS, None, rest)))
    }

    /// Reads by store and account, where the log says who it was.
    pub fn requesters(&self) -> impl Iterator<Item = RequesterRow> {
        let row = |store: &str, requester: &str, Reads { reads, bytes }| RequesterRow {
            store: store.to_owned(),
            requester: requester.to_owned(),
            reads,
            bytes,
        };
        let kept = self.requesters.kept.iter().map(move |((store, requester), reads)| row(store, requester, *reads));
        kept.chain(self.requesters.rest.map(|rest| row(OTHERS, OTHERS, rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, status: u16) -> Record {
        Record {
            day: "2026-11-20".parse().unwrap(),
            store: Some("cdn".into()),
            is_get: true,
            path: path.into(),
            status,
            bytes: 10,
            requester: None,
        }
    }

    fn manifest(text: &str) -> String {
        format!("/v1/manifests/{}", Hash::of(text.as_bytes()))
    }

    #[test]
    fn only_what_was_delivered_counts_and_a_whole_manifest_is_a_restore() {
        let mut totals = Totals::default();
        let records = [
            read(&manifest("a"), 200),
            read(&manifest("a"), 206),
            read(&manifest("a"), 304),
            read(&manifest("a"), 403),
            read(&manifest("b"), 0),
            Record { is_get: false, ..read(&manifest("a"), 200) },
            Record { requester: Some("123456789012".into()), day: "2026-11-19".parse().unwrap(), ..read(&manifest("a"), 200) },
        ];
        records.into_iter().for_each(|record| totals.add(record, None));
        assert_eq!((totals.all(), totals.failed_reads(), totals.other_requests()), (Reads { reads: 3, bytes: 30 }, 3, 1));
        let restores: Vec<_> = totals.restores().map(|row| (row.snapshot, row.restores, row.first_day.day(), row.last_day.day())).collect();
        assert_eq!(restores, [(Some(Hash::of(b"a")), 2, 19, 20)]);
        let requesters: Vec<_> = totals.requesters().map(|row| (row.requester, row.reads, row.bytes)).collect();
        assert_eq!(requesters, [("123456789012".to_owned(), 1, 10)]);
        assert_eq!(
            totals.bytes().map(|row| (row.day.unwrap().day(), row.reads, row.bytes)).collect::<Vec<_>>(),
            [(19, 1, 10), (20, 2, 20)]
        );
    }

    #[test]
    fn there_is_room_for_so_many_rows_and_the_others_are_counted_together() {
        let mut totals = Totals::default();
        for number in 0..MOST_ROWS as u64 + 100 {
            totals.add(Record { requester: Some(number.to_string()), ..read(&manifest(&number.to_string()), 200) }, None);
        }
        totals.add(Record { requester: Some("7".into()), ..read(&manifest("7"), 200) }, None);
        let restores: Vec<_> = totals.restores().collect();
        assert_eq!((restores.len(), restores[MOST_ROWS].restores, restores[MOST_ROWS].snapshot), (MOST_ROWS + 1, 100, None));
        assert_eq!(restores.iter().map(|row| row.restores).sum::<u64>(), totals.all().reads);
        assert_eq!(restores.iter().find(|row| row.snapshot == Some(Hash::of(b"7"))).unwrap().restores, 2, "what has a row keeps it");
        let requesters: Vec<_> = totals.requesters().collect();
        assert_eq!((requesters.len(), requesters.iter().map(|row| row.bytes).sum::<u64>()), (MOST_ROWS + 1, totals.all().bytes));
    }

    #[test]
    fn a_name_that_is_given_counts_more_than_that_of_the_log() {
        let mut totals = Totals::default();
        totals.add(read("/", 200), Some("europe"));
        totals.add(Record { store: None, ..read("/", 200) }, None);
        assert_eq!(totals.bytes().map(|row| row.store).collect::<Vec<_>>(), ["-", "europe"]);
    }
}

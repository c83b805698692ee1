//! What the next head of a channel says. Pure.

use jiff::SignedDuration;
use thiserror::Error;

use crate::{
    format::head::{Head, Newest, Older},
    types::{ChannelName, Hash, Timestamp},
};

/// Most earlier snapshots that a head names: more would not fit into what readers accept of a head.
const MAX_OLDER: usize = 64;

/// Everything that the next head depends on.
#[derive(Clone, Debug)]
pub struct NextHead<'a> {
    /// The repository.
    pub repo: Hash,
    /// Version of the root whose keys will sign.
    pub root_version: u32,
    /// The channel.
    pub channel: &'a ChannelName,
    /// Its number: [`next_seq`].
    pub seq: u64,
    /// The time.
    pub now: Timestamp,
    /// How long it is valid, seconds.
    pub lifetime_secs: u64,
    /// How long a snapshot stays fetchable after the last head that named it, hours.
    pub window_hours: u32,
    /// Snapshots to keep beside the newest; at most 64 are kept.
    pub keep_last: usize,
    /// The newest snapshot.
    pub snapshot: Newest,
    /// The head that it follows.
    pub previous: Option<&'a Head>,
    /// What each of the stores shows that will be moved to it: a head of their own, or none that counts. One head goes to all of them, so it
    /// names only what every one of them has.
    pub moved: Vec<Option<&'a Head>>,
}

/// The next head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What is to be signed.
    pub head: Head,
    /// Earlier snapshots that it would name if none of the stores lacked them.
    pub dropped: Vec<Older>,
}

/// A head that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// There is no number after this one: somebody signed a head with the highest of all.
    #[error("no head can follow number {0}")]
    NoSeqAfter(u64),
    /// The end of its validity is beyond all time.
    #[error("{lifetime_secs} seconds after {now} is out of range")]
    OutOfRange {
        /// The time.
        now: Timestamp,
        /// What was to be added, seconds.
        lifetime_secs: u64,
    },
}

/// The number of the next head: one more than the highest of those in all stores and of that seen last.
///
/// # Errors
/// [`PlanError::NoSeqAfter`].
pub fn next_seq<'a>(heads: impl IntoIterator<Item = &'a Head>) -> Result<u64, PlanError> {
    let highest = heads.into_iter().map(|head| head.seq).max().unwrap_or(0);
    highest.checked_add(1).ok_or(PlanError::NoSeqAfter(highest))
}

/// Puts the next head together.
///
/// # Errors
/// [`PlanError::OutOfRange`] when its times leave the calendar.
pub fn next_head(next: NextHead<'_>) -> Result<Planned, PlanError> {
    let expires = later(next.now, next.lifetime_secs)?;
    // What a head still names stays at least for the window after it.
    let until = later(next.now, u64::from(next.window_hours) * 3600)?;
    let (older, dropped) = older(&next, until);
    let head = Head {
        repo: next.repo,
        root_version: next.root_version,
        channel: next.channel.clone(),
        seq: next.seq,
        issued: next.now,
        expires,
        window_hours: next.window_hours,
        older,
        snapshot: next.snapshot,
    };
    Ok(Planned { head, dropped })
}

/// The snapshots of the previous head, newest first, but for the one that is now the newest; at most `keep_last`. Then those among as many
/// that a store lacks.
fn older(next: &NextHead<'_>, until: Timestamp) -> (Vec<Older>, Vec<Older>) {
    let Some(previous) = next.previous else { return Default::default() };
    let all = std::iter::once(retired(&previous.snapshot, until)).chain(previous.older.iter().cloned());
    let earlier: Vec<Older> = all.filter(|older| older.manifest != next.snapshot.manifest).collect();
    let everywhere = |older: &&Older| next.moved.iter().all(|shown| shown.is_some_and(|head| head.names(&older.manifest)));
    let count = next.keep_last.min(MAX_OLDER);
    let kept = earlier.iter().filter(everywhere).take(count).map(|older| Older { until: older.until.max(until), ..older.clone() });
    let dropped = earlier.iter().take(count).filter(|older| !everywhere(older)).cloned();
    (kept.collect(), dropped.collect())
}

/// A head as it would be if its newest snapshot had never been, and `back_to` were the newest: none of those that are newer than it is
/// named any more.
///
/// `None` when it does not name `back_to` among its earlier snapshots.
#[must_use]
pub fn without_newest(head: &Head, back_to: &Newest) -> Option<Head> {
    let position = head.older.iter().position(|older| older.manifest == back_to.manifest)?;
    let older = head.older[position + 1..].to_vec();
    Some(Head { snapshot: back_to.clone(), older, ..head.clone() })
}

/// What a publisher is told of an earlier snapshot that the head no longer names.
#[must_use]
pub fn dropped_warning(older: &Older) -> String {
    let height = older.height.map(|height| format!(" of height {height}")).unwrap_or_default();
    format!("the snapshot {}{height} can no longer be chosen: not every store that shows the new head has it", older.manifest.short())
}

fn retired(snapshot: &Newest, until: Timestamp) -> Older {
    Older {
        manifest: snapshot.manifest,
        manifest_bytes: snapshot.manifest_bytes,
        manifest_json_bytes: snapshot.manifest_json_bytes,
        height: snapshot.height,
        taken_at: snapshot.taken_at,
        bytes: snapshot.bytes,
        until,
        ipfs: snapshot.ipfs.clone(),
    }
}

fn later(now: Timestamp, lifetime_secs: u64) -> Result<Timestamp, PlanError> {
    let out_of_range = || PlanError::OutOfRange { now, lifetime_secs };
    let secs = i64::try_from(lifetime_secs).map_err(|_| out_of_range())?;
    now.checked_add(SignedDuration::from_secs(secs)).map_err(|_| out_of_range())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{head::sample, payload::Payload as _};

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn next(previous: Option<&Head>, manifest: &[u8], keep_last: usize) -> Head {
        planned(previous, manifest, keep_last, vec![previous]).head
    }

    fn planned(previous: Option<&Head>, manifest: &[u8], keep_last: usize, moved: Vec<Option<&Head>>) -> Planned {
        let channel = "kusama/rocksdb-pruned".parse().unwrap();
        next_head(NextHead {
            repo: Hash::of(b"repo"),
            root_version: 1,
            channel: &channel,
            seq: previous.map_or(1, |head| head.seq + 1),
            now: NOW,
            lifetime_secs: 7 * 86_400,
            window_hours: 72,
            keep_last,
            snapshot: sample::newest(manifest),
            previous,
            moved,
        })
        .unwrap()
    }

    fn ids(head: &Head) -> Vec<Hash> {
        head.older.iter().map(|older| older.manifest).collect()
    }

    #[test]
    fn numbers_go_on_from_the_highest_anywhere() {
        let (a, b) = (sample::head(Hash::of(b"r"), 7), sample::head(Hash::of(b"r"), 9));
        assert_eq!(next_seq([&a, &b]), Ok(10));
        assert_eq!(next_seq([]), Ok(1));
        assert_eq!(next_seq([&sample::head(Hash::of(b"r"), u64::MAX)]), Err(PlanError::NoSeqAfter(u64::MAX)));
    }

    #[test]
    fn keeps_the_last_snapshots_newest_first() {
        let mut head = next(None, b"0", 2);
        for manifest in [&b"1"[..], b"2", b"3"] {
            head = next(Some(&head), manifest, 2);
        }
        assert_eq!(ids(&head), [Hash::of(b"2"), Hash::of(b"1")]);
        assert!(head.older.iter().all(|older| older.until == NOW + SignedDuration::from_hours(72)));
        assert_eq!(ids(&next(Some(&head), b"4", 0)), []);
    }

    #[test]
    fn a_head_with_as_many_snapshots_as_there_can_be_is_still_read() {
        let mut head = next(None, b"0", usize::MAX);
        for manifest in 1..200_u32 {
            head = next(Some(&head), &manifest.to_le_bytes(), usize::MAX);
        }
        assert_eq!(ids(&head).len(), MAX_OLDER);
        // In an envelope it is a third longer, and a signature.
        let bytes = head.to_bytes().unwrap().len() as u64;
        assert!(bytes * 3 / 2 < crate::format::key::HEAD_MAX_BYTES, "{bytes}");
    }

    #[test]
    fn the_same_snapshot_again_retires_nothing() {
        let head = next(Some(&next(None, b"0", 3)), b"1", 3);
        assert_eq!(ids(&next(Some(&head), b"1", 3)), [Hash::of(b"0")]);
        // Back to an older one: it is listed once.
        assert_eq!(ids(&next(Some(&head), b"0", 3)), [Hash::of(b"1")]);
    }

    #[test]
    fn names_of_the_earlier_snapshots_only_those_that_every_store_has() {
        let first = next(None, b"0", 3);
        let lagging = next(Some(&first), b"1", 3);
        let newest = next(Some(&lagging), b"2", 3);
        let after = |moved: &[Option<&Head>]| {
            let Planned { head, dropped } = planned(Some(&newest), b"3", 3, moved.to_vec());
            (ids(&head), dropped.iter().map(|older| older.manifest).collect::<Vec<_>>())
        };
        let named = |ids: &[&[u8]]| ids.iter().map(|id| Hash::of(id)).collect::<Vec<_>>();
        assert_eq!(after(&[Some(&newest)]), (named(&[b"2", b"1", b"0"]), named(&[])));
        assert_eq!(after(&[Some(&newest), Some(&lagging)]), (named(&[b"1", b"0"]), named(&[b"2"])));
        assert_eq!(after(&[Some(&first), Some(&newest)]), (named(&[b"0"]), named(&[b"2", b"1"])));
        assert_eq!(after(&[Some(&newest), None]), (named(&[]), named(&[b"2", b"1", b"0"])));
        // What would not be kept anyway is no loss, and what is lost makes room for another.
        let Planned { head, dropped } = planned(Some(&newest), b"3", 1, vec![Some(&newest), Some(&lagging)]);
        assert_eq!((ids(&head), dropped.len()), (named(&[b"1"]), 1));
    }

    #[test]
    fn a_withdrawn_snapshot_and_those_before_the_chosen_one_are_named_no_more() {
        let mut head = next(None, b"0", 3);
        for manifest in [&b"1"[..], b"2", b"3"] {
            head = next(Some(&head), manifest, 3);
        }
        let back = without_newest(&head, &sample::newest(b"1")).unwrap();
        assert_eq!((back.snapshot.manifest, ids(&back)), (Hash::of(b"1"), vec![Hash::of(b"0")]));
        let again = next(Some(&back), b"1", back.older.len());
        assert_eq!((again.seq, ids(&again)), (head.seq + 1, vec![Hash::of(b"0")]));
        assert_eq!(without_newest(&head, &sample::newest(b"3")), None);
        assert_eq!(without_newest(&head, &sample::newest(b"4")), None);
    }

    #[test]
    fn refuses_times_beyond_the_calendar() {
        for secs in [u64::MAX, 1 << 62] {
            assert!(matches!(later(NOW, secs), Err(PlanError::OutOfRange { .. })));
        }
    }
}

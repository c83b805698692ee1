//! What a mirror does with a channel, from the head that the sources offer and the one that the store shows. Pure.

use std::collections::BTreeSet;

use crate::{
    format::head::{Head, SnapshotRef},
    trust::{Reason, Verified},
    types::{Hash, Timestamp},
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Copy what the head names, then show it.
    Copy,
    /// Nothing: the store shows it already.
    Nothing,
    /// Leave the store alone: it shows a newer one.
    LeaveNewer {
        /// Number of the newer one.
        seq: u64,
    },
}

/// Decides between the head on offer and the one that is there. Both are signed by keys that count; the one that is there may have
/// expired. A store's head is never replaced by an older one.
///
/// # Errors
/// [`Reason::Equivocation`]: two heads with one number and different content.
pub fn step(offered: &Verified<Head>, there: Option<&Verified<Head>>) -> Result<Step, Reason> {
    let Some(there) = there else { return Ok(Step::Copy) };
    match there.seq.cmp(&offered.seq) {
        std::cmp::Ordering::Less => Ok(Step::Copy),
        std::cmp::Ordering::Greater => Ok(Step::LeaveNewer { seq: there.seq }),
        std::cmp::Ordering::Equal if there.hash() == offered.hash() => Ok(Step::Nothing),
        std::cmp::Ordering::Equal => {
            let payloads = (there.hash().min(offered.hash()), there.hash().max(offered.hash()));
            Err(Reason::Equivocation { what: "head", number: offered.seq, payloads })
        }
    }
}

/// The snapshots that both heads name. A store shows a head only when it has all that the head names, so they count as complete; unless their
/// manifests are gone, see [`missing`].
#[must_use]
pub fn vouched(offered: &Head, there: Option<&Head>) -> Vec<SnapshotRef> {
    offered.snapshots().filter(|snapshot| there.is_some_and(|there| there.names(&snapshot.manifest))).collect()
}

/// The snapshots that the head on offer names and that are not among those `held`, newest first.
#[must_use]
pub fn missing(offered: &Head, held: &BTreeSet<Hash>) -> Vec<SnapshotRef> {
    offered.snapshots().filter(|snapshot| !held.contains(&snapshot.manifest)).collect()
}

/// Whether a snapshot may be gone from the sources although the head names it: it was promised until a moment that is past.
#[must_use]
pub fn may_be_gone(offered: &Head, id: Hash, now: Timestamp) -> bool {
    offered.snapshot.manifest != id && offered.older.iter().all(|older| older.manifest != id || older.until <= now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::head::{Older, sample},
        trust::{
            RootChain, check_head,
            fixture::{self, NOW, channel, hours, minutes, signed_head, signed_root, simple_root},
        },
    };

    fn verified(change: impl FnOnce(&mut Head)) -> Verified<Head> {
        let root = signed_root(&simple_root(1), &[1]);
        let chain = RootChain::start(fixture::repo(&root), &root).unwrap();
        let mut head = fixture::head(chain.repo(), 1);
        change(&mut head);
        check_head(&chain, &channel(), &signed_head(&head, &[2])).unwrap()
    }

    fn numbered(seq: u64) -> Verified<Head> {
        verified(|head| head.seq = seq)
    }

    #[test]
    fn a_head_is_shown_where_none_or_an_older_one_is() {
        assert_eq!(step(&numbered(5), None), Ok(Step::Copy));
        assert_eq!(step(&numbered(5), Some(&numbered(4))), Ok(Step::Copy));
        assert_eq!(step(&numbered(5), Some(&numbered(5))), Ok(Step::Nothing));
    }

    // HM-10
    #[test]
    fn two_heads_with_one_number_are_refused() {
        let other = verified(|head| (head.seq, head.window_hours) = (5, 1));
        let reason = step(&numbered(5), Some(&other)).unwrap_err();
        assert_eq!(step(&other, Some(&numbered(5))).unwrap_err(), reason, "whichever is there");
        assert!(matches!(reason, Reason::Equivocation { number: 5, payloads: (a, b), .. } if a < b));
    }

    proptest! {
        // HM-06
        #[test]
        fn no_store_goes_back_to_an_older_head(offered in 1..9_u64, there in 1..9_u64, expired: bool) {
            let shown = verified(|head| {
                head.seq = there;
                if expired { head.expires = minutes(-30); }
            });
            match step(&numbered(offered), Some(&shown)) {
                Ok(Step::Copy) => prop_assert!(offered > there),
                Ok(Step::LeaveNewer { seq }) => prop_assert!(seq == there && there > offered),
                Ok(Step::Nothing) => prop_assert!(offered == there && !expired),
                Err(_) => prop_assert!(offered == there && expired),
            }
        }
    }

    fn older(id: &[u8]) -> Older {
        let of = sample::newest(id);
        Older {
            manifest: of.manifest,
            manifest_bytes: of.manifest_bytes,
            manifest_json_bytes: of.manifest_json_bytes,
            height: of.height,
            taken_at: of.taken_at,
            bytes: of.bytes,
            until: NOW,
            ipfs: None,
        }
    }

    #[test]
    fn what_the_shown_head_names_and_the_store_holds_is_not_missing() {
        let head = |newest: &[u8], earlier: &[&[u8]]| Head {
            snapshot: sample::newest(newest),
            older: earlier.iter().map(|id| older(id)).collect(),
            ..fixture::head(Hash::of(b"r"), 1)
        };
        let ids = |snapshots: Vec<SnapshotRef>| snapshots.iter().map(|snapshot| snapshot.manifest).collect::<Vec<_>>();
        let hashes = |names: &[&[u8]]| names.iter().map(|id| Hash::of(id)).collect::<Vec<_>>();
        let offered = head(b"3", &[b"2", b"1"]);
        assert_eq!(ids(vouched(&offered, None)), []);
        assert_eq!(ids(vouched(&offered, Some(&head(b"2", &[b"0"])))), hashes(&[b"2"]));
        assert_eq!(ids(vouched(&offered, Some(&offered))), hashes(&[b"3", b"2", b"1"]));
        let missing = |held: &[&[u8]]| ids(missing(&offered, &hashes(held).into_iter().collect()));
        assert_eq!(missing(&[]), hashes(&[b"3", b"2", b"1"]));
        assert_eq!(missing(&[b"2", b"0"]), hashes(&[b"3", b"1"]));
        assert_eq!(missing(&[b"3", b"2", b"1"]), []);
    }

    #[test]
    fn only_an_older_snapshot_whose_time_is_over_may_be_gone() {
        let mut head = Head { older: vec![older(b"1")], ..fixture::head(Hash::of(b"r"), 1) };
        for (until, gone) in [(hours(1), false), (NOW, true), (hours(-1), true)] {
            head.older[0].until = until;
            assert_eq!(may_be_gone(&head, Hash::of(b"1"), NOW), gone);
            assert!(!may_be_gone(&head, head.snapshot.manifest, NOW));
        }
    }
}

//! Which pins of earlier snapshots may go. Pure.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    format::head::Head,
    types::{Cid, Timestamp},
};

/// Until when each pinned snapshot may be asked for.
pub type Promised = BTreeMap<Cid, Timestamp>;

/// The pins that may go, and what is promised of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Roots to unpin.
    pub remove: Vec<Cid>,
    /// What to remember.
    pub promised: Promised,
}

/// Of the roots that are `pinned` under this channel's name, those that the new head does not name and whose time has passed: that of the last
/// head that named them, with its window (the rule by which objects are kept). One of which nothing is remembered is kept for as long from now on.
#[must_use]
pub fn outdated(pinned: &[Cid], heads: &[&Head], remembered: &Promised, now: Timestamp) -> Planned {
    let mut promised = remembered.clone();
    // Without a head nothing can be told, and nothing goes.
    let newest_end = heads.iter().map(|head| end(head)).max().unwrap_or(Timestamp::MAX);
    for head in heads {
        for root in roots(head) {
            let until = promised.entry(root).or_insert(now);
            *until = end(head).max(*until);
        }
    }
    let named: Vec<Cid> = heads.last().map(|head| roots(head).collect()).unwrap_or_default();
    let mut planned = Planned::default();
    for root in pinned {
        let until = promised.get(root).copied().unwrap_or(newest_end);
        if until <= now && !named.contains(root) {
            planned.remove.push(*root);
        } else {
            planned.promised.insert(*root, until);
        }
    }
    planned
}

/// Every root that a head names.
fn roots(head: &Head) -> impl Iterator<Item = Cid> + '_ {
    let all = std::iter::once(&head.snapshot.ipfs).chain(head.older.iter().map(|older| &older.ipfs));
    all.filter_map(|ipfs| ipfs.as_ref()?.root.parse().ok())
}

/// When nobody may rely on what this head names any more.
fn end(head: &Head) -> Timestamp {
    let window = SignedDuration::from_hours(i64::from(head.window_hours));
    head.expires.saturating_add(window).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::head::{Ipfs, Older, sample},
        types::{Codec, Hash},
    };

    fn root(n: u8) -> Cid {
        Cid::new(Codec::DagPb, Hash::of(&[n]))
    }

    fn at(hours: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
    }

    /// A head that expires at `expires`, keeps what it names for 72 hours more, and names these roots, the newest first.
    fn head(expires: i64, named: &[u8]) -> Head {
        let ipfs = |n: &u8| Some(Ipfs { root: root(*n).to_string(), ..Ipfs::default() });
        let mut head = sample::head(Hash::of(b"repo"), 1);
        (head.issued, head.expires) = (at(-1000), at(expires));
        head.snapshot.ipfs = named.first().and_then(ipfs);
        let older = |n: &u8| Older {
            manifest: Hash::of(&[*n]),
            manifest_bytes: 1,
            manifest_json_bytes: 1,
            height: None,
            taken_at: at(0),
            bytes: 0,
            until: at(0),
            ipfs: ipfs(n),
        };
        head.older = named.iter().skip(1).map(older).collect();
        head
    }

    #[test]
    fn a_pin_goes_when_no_head_names_it_and_the_last_that_did_is_long_over() {
        let remove = |heads: &[&Head], promised: &[(u8, i64)], now: i64| {
            let promised = promised.iter().map(|(n, until)| (root(*n), at(*until))).collect();
            let planned = outdated(&[root(1), root(2), root(3)], heads, &promised, at(now));
            let is_kept = |n: u8| planned.promised.contains_key(&root(n));
            assert!([1, 2, 3].iter().all(|n| is_kept(*n) != planned.remove.contains(&root(*n))));
            [1, 2, 3].into_iter().filter(|n| !is_kept(*n)).collect::<Vec<_>>()
        };
        let (before, after) = (head(100, &[2, 1]), head(200, &[3, 2]));
        let nothing: [u8; 0] = [];
        // 1 was named by a head that counts until hour 172.
        assert_eq!(remove(&[&before, &after], &[], 171), nothing);
        assert_eq!(remove(&[&before, &after], &[], 172), [1]);
        // A run before remembered that it was promised for longer.
        assert_eq!(remove(&[&before, &after], &[(1, 180)], 172), nothing);
        // What the newest head names stays however old it is.
        assert_eq!(remove(&[&after], &[(1, 5)], 10_000), [1]);
        // Nothing is remembered of it: as if the newest head had named it.
        assert_eq!(remove(&[&after], &[], 271), nothing);
        assert_eq!(remove(&[], &[(1, 5)], 4), nothing);
    }

    proptest! {
        #[test]
        fn what_the_newest_head_names_is_never_unpinned(
            pinned in proptest::collection::vec(0_u8..8, 0..8), named in proptest::collection::vec(0_u8..8, 0..5),
            before in proptest::collection::vec(0_u8..8, 0..5), expires in (0_i64..200, 0_i64..200), now in 0_i64..600,
            remembered in proptest::collection::btree_map(0_u8..8, 0_i64..600, 0..8),
        ) {
            let pinned: Vec<Cid> = pinned.into_iter().map(root).collect();
            let (old, new) = (head(expires.0, &before), head(expires.1, &named));
            let remembered: Promised = remembered.into_iter().map(|(n, until)| (root(n), at(until))).collect();
            let planned = outdated(&pinned, &[&old, &new], &remembered, at(now));
            for gone in &planned.remove {
                prop_assert!(!roots(&new).any(|root| root == *gone));
                prop_assert!(remembered.get(gone).is_none_or(|until| *until <= at(now)));
                prop_assert!(!roots(&old).any(|root| root == *gone) || end(&old) <= at(now));
                prop_assert!(pinned.contains(gone));
            }
        }
    }
}

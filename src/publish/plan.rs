//! What to do with a file and with a chunk, and whether a new head needs a new manifest. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    format::{manifest::Manifest, row::Row},
    types::Hash,
};

/// Some of the stores of a run, by their position in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSet(u64);

impl StoreSet {
    /// The most stores a run can have.
    pub const CAPACITY: usize = 64;

    /// No store.
    pub const EMPTY: Self = Self(0);

    /// The first `count` stores.
    #[must_use]
    pub fn first(count: usize) -> Self {
        assert!(count <= Self::CAPACITY, "a run has at most {} stores", Self::CAPACITY);
        Self((0..count).fold(0, |bits, index| bits | 1 << index))
    }

    /// This store alone.
    #[must_use]
    pub fn only(index: usize) -> Self {
        Self(1 << index)
    }

    /// Those of `self` that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `index` is in it.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// Whether no store is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The positions, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::CAPACITY).filter(move |&index| self.contains(index))
    }
}

/// What the file system says of a file, as far as a change of its content shows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Length.
    pub bytes: u64,
    /// Time of the last change of the content, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Time of the last change of content or inode, nanoseconds since 1970.
    pub ctime_ns: i128,
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
}

/// What an earlier run saw of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The file as that run scanned it, and then published it.
    pub stamp: Stamp,
    /// A time at which that run had not begun to scan, nanoseconds since 1970.
    pub scanned_ns: i128,
}

/// How a file's content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Perhaps through a memory map, which need not change any time.
    Mapped,
    /// With system calls, as far as can be told.
    Other,
}

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePlan {
    /// Its entry in the previous snapshot stays; it is not read.
    Keep,
    /// It is read, for this reason.
    Read(Why),
}

/// Why a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No earlier run has recorded it.
    Unknown,
    /// Something that the file system says of it is another.
    Changed,
    /// It had changed so short a time before it was seen that a later change may have got the same time.
    Fresh,
    /// Times prove nothing for its engine.
    Mapped,
    /// This store's own head does not name a snapshot with the file as it was recorded.
    Missing,
}

/// File systems count time in steps, of two seconds at worst.
const RACY_NS: i128 = 2_000_000_000;

/// Whether a file can be taken for the one that is published already. `held_by` are the stores whose own verified head names a snapshot with
/// the file as it was when `seen` was recorded.
#[must_use]
pub fn plan_file(now: &Stamp, seen: Option<&Seen>, engine: Engine, held_by: StoreSet, all: StoreSet) -> FilePlan {
    let Some(seen) = seen else { return FilePlan::Read(Why::Unknown) };
    if engine == Engine::Mapped {
        FilePlan::Read(Why::Mapped)
    } else if *now != seen.stamp {
        FilePlan::Read(Why::Changed)
    } else if seen.stamp.mtime_ns > seen.scanned_ns - RACY_NS {
        // Any write gives it a new time; only one within the same step of the clock gives it the time that it has.
        FilePlan::Read(Why::Fresh)
    } else if !all.without(held_by).is_empty() {
        FilePlan::Read(Why::Missing)
    } else {
        FilePlan::Keep
    }
}

/// Names of files of engines that write through a memory map: MDBX and LMDB (one environment in a directory, or a file of its own), and Chainbase.
const MAPPED_NAMES: [&str; 5] = ["mdbx.dat", "mdbx.lck", "data.mdb", "lock.mdb", "shared_memory.bin"];
/// The same for names that end so …
const MAPPED_ENDS: [&str; 4] = [".mdb", ".mdbx", ".lmdb", ".mmap"];
/// … or begin so: the tables and indexes of ParityDB, `table_00_aa` and `index_00_16`.
const MAPPED_BEGINS: [&str; 2] = ["table_", "index_"];

/// Whether a file name says that its whole directory belongs to an engine that writes through a memory map. Says so too often rather than too
/// rarely: a file that is read for nothing costs time only.
#[must_use]
pub fn engine_of(file_name: &str) -> Engine {
    let name = file_name.to_ascii_lowercase();
    let is_mapped = MAPPED_NAMES.contains(&name.as_str())
        || MAPPED_ENDS.iter().any(|end| name.ends_with(end))
        || MAPPED_BEGINS.iter().any(|begin| name.starts_with(begin));
    if is_mapped { Engine::Mapped } else { Engine::Other }
}

/// A row that some stores' current snapshots have at the same path and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// The row.
    pub row: Row,
    /// The stores whose own verified head names a snapshot with that row.
    pub at: StoreSet,
}

/// What to do with a chunk that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlan {
    /// Nothing is stored under this identity yet: compress it and put it to every store.
    Encode,
    /// Keep this row, and give its frame to the stores that lack it.
    Keep {
        /// The row that stays.
        row: Row,
        /// The stores that have its frame.
        held_by: StoreSet,
        /// The stores that need it; often none.
        missing_at: StoreSet,
    },
}

/// Keeps the previous row wherever the bytes are the same, so that equal content gives equal rows whatever the encoder.
#[must_use]
pub fn plan_chunk(raw: Hash, known: &[KnownRow], all: StoreSet) -> ChunkPlan {
    let Some(first) = known.iter().find(|known| known.row.raw == raw) else { return ChunkPlan::Encode };
    let held_by = known.iter().filter(|known| known.row == first.row).fold(StoreSet::EMPTY, |set, known| set.with(known.at));
    ChunkPlan::Keep { row: first.row, held_by, missing_at: all.without(held_by) }
}

/// Whether `new` says of its content what `old` says, so that the old manifest and its `taken_at` stay.
#[must_use]
pub fn is_unchanged(old: &Manifest, new: &Manifest) -> bool {
    let (a, b) = (old.about(), new.about());
    a.channel == b.channel
        && (a.height, &a.block_hash, a.chunk_size, &a.subtrees) == (b.height, &b.block_hash, b.chunk_size, &b.subtrees)
        && (&a.labels, &a.engine) == (&b.labels, &b.engine)
        && old.dirs() == new.dirs()
        && old.files() == new.files()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::row::Stored;

    fn row(raw: &[u8], frame: &[u8]) -> Row {
        Row { raw: Hash::of(raw), stored: Stored::Frame { hash: Hash::of(frame), bytes: 10 } }
    }

    const DAY_NS: i128 = 86_400_000_000_000;

    fn stamp() -> Stamp {
        Stamp { bytes: 7, mtime_ns: 10 * DAY_NS, ctime_ns: 10 * DAY_NS + 5, dev: 1, ino: 2 }
    }

    fn seen() -> Seen {
        Seen { stamp: stamp(), scanned_ns: 11 * DAY_NS }
    }

    #[test]
    fn a_file_is_kept_only_if_nothing_speaks_against_it() {
        let both = StoreSet::first(2);
        let keep = |now: Stamp, seen: Option<Seen>, engine, held_by| plan_file(&now, seen.as_ref(), engine, held_by, both);
        assert_eq!(keep(stamp(), Some(seen()), Engine::Other, both), FilePlan::Keep);
        assert_eq!(keep(stamp(), Some(seen()), Engine::Other, StoreSet::first(3)), FilePlan::Keep);
        let read = |why| FilePlan::Read(why);
        assert_eq!(keep(stamp(), None, Engine::Other, both), read(Why::Unknown));
        assert_eq!(keep(stamp(), Some(seen()), Engine::Mapped, both), read(Why::Mapped));
        assert_eq!(keep(stamp(), Some(seen()), Engine::Other, StoreSet::only(0)), read(Why::Missing));
        assert_eq!(keep(stamp(), Some(seen()), Engine::Other, StoreSet::EMPTY), read(Why::Missing));
        for changed in [
            Stamp { bytes: 8, ..stamp() },
            Stamp { mtime_ns: stamp().mtime_ns + 1, ..stamp() },
            Stamp { mtime_ns: stamp().mtime_ns - 1, ..stamp() },
            Stamp { ctime_ns: stamp().ctime_ns + 1, ..stamp() },
            Stamp { dev: 9, ..stamp() },
            Stamp { ino: 9, ..stamp() },
        ] {
            assert_eq!(keep(changed, Some(seen()), Engine::Other, both), read(Why::Changed), "{changed:?}");
        }
        for (since_ns, plan) in [(RACY_NS - 1, read(Why::Fresh)), (RACY_NS, FilePlan::Keep), (-DAY_NS, read(Why::Fresh))] {
            let seen = Seen { scanned_ns: stamp().mtime_ns + since_ns, ..seen() };
            assert_eq!(keep(stamp(), Some(seen), Engine::Other, both), plan, "{since_ns}");
        }
    }

    proptest! {
        #[test]
        fn a_kept_file_is_the_recorded_one_old_enough_and_everywhere(
            times in (0_i128..9, 0_i128..9, 0_i128..9, 0_i128..9), scanned in 0_i128..20, inodes in (0_u64..2, 0_u64..2),
            stores in (0_usize..4, 0_usize..4), mapped in any::<bool>(),
        ) {
            let second = |n: i128| n * 1_000_000_000;
            let stamp = |mtime, ctime, ino| Stamp { bytes: 1, mtime_ns: second(mtime), ctime_ns: second(ctime), dev: 1, ino };
            let (now, old) = (stamp(times.0, times.1, inodes.0), stamp(times.2, times.3, inodes.1));
            let seen = Seen { stamp: old, scanned_ns: second(scanned) };
            let engine = if mapped { Engine::Mapped } else { Engine::Other };
            let plan = plan_file(&now, Some(&seen), engine, StoreSet::first(stores.0), StoreSet::first(stores.1));
            let may_keep = now == old && !mapped && times.0 + 2 <= scanned && stores.1 <= stores.0;
            prop_assert_eq!(plan == FilePlan::Keep, may_keep);
        }
    }

    #[test]
    fn knows_engines_that_write_through_a_memory_map_by_their_files() {
        for name in ["table_00_aa", "index_00_16", "mdbx.dat", "data.mdb", "MDBX.LCK", "chain.mdbx", "shared_memory.bin"] {
            assert_eq!(engine_of(name), Engine::Mapped, "{name}");
        }
        for name in ["000012.sst", "CURRENT", "MANIFEST-000005", "OPTIONS-000007", "000051.log", "bodies.0000.cdat", "blk00000.dat"] {
            assert_eq!(engine_of(name), Engine::Other, "{name}");
        }
    }

    #[test]
    fn encodes_what_no_store_has() {
        let known = [KnownRow { row: row(b"old", b"f"), at: StoreSet::first(2) }];
        assert_eq!(plan_chunk(Hash::of(b"new"), &known, StoreSet::first(2)), ChunkPlan::Encode);
    }

    #[test]
    fn keeps_the_row_and_names_the_stores_that_lack_it() {
        let kept = row(b"x", b"f");
        let known = [KnownRow { row: kept, at: StoreSet::only(1) }];
        let plan = plan_chunk(Hash::of(b"x"), &known, StoreSet::first(3));
        let missing_at = StoreSet::only(0).with(StoreSet::only(2));
        assert_eq!(plan, ChunkPlan::Keep { row: kept, held_by: StoreSet::only(1), missing_at });
    }

    #[test]
    fn a_store_with_another_frame_of_the_same_bytes_still_needs_the_kept_frame() {
        let (kept, other) = (row(b"x", b"zstd 1.5.4"), row(b"x", b"zstd 1.5.7"));
        let known = [KnownRow { row: kept, at: StoreSet::only(0) }, KnownRow { row: other, at: StoreSet::only(1) }];
        let plan = plan_chunk(Hash::of(b"x"), &known, StoreSet::first(2));
        assert_eq!(plan, ChunkPlan::Keep { row: kept, held_by: StoreSet::only(0), missing_at: StoreSet::only(1) });
    }
}

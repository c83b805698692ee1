//! What to do with a chunk, and whether a new head needs a new manifest. Pure.

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
        && old.dirs() == new.dirs()
        && old.files() == new.files()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::Stored;

    fn row(raw: &[u8], frame: &[u8]) -> Row {
        Row { raw: Hash::of(raw), stored: Stored::Frame { hash: Hash::of(frame), bytes: 10 } }
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

//! Puts the rows of one file, which come in any order, together: its hash, and its rows or list segments.

use std::collections::BTreeMap;

use crate::{
    format::{
        file_hash::{FileHasher, SubtreeValue},
        list::{self, FileShape, SEGMENT_ROWS},
        manifest::{Layout, RowSums},
        row::Row,
    },
    types::Hash,
};

/// A file whose chunks are being published.
#[derive(Debug)]
pub(super) struct Assembler {
    shape: FileShape,
    hasher: FileHasher,
    rows: Vec<Row>,
    lists: Vec<Hash>,
    sums: RowSums,
    next: u64,
    early: BTreeMap<u64, (Row, SubtreeValue)>,
}

/// A finished list segment of a file.
#[derive(Debug)]
pub(super) struct FinishedSegment {
    /// Which one, from 0.
    pub(super) index: u64,
    /// BLAKE3 of its bytes.
    pub(super) hash: Hash,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Assembler {
    pub(super) fn new(shape: FileShape) -> Self {
        let sums = RowSums { frame_bytes: 0, hole_bytes: 0 };
        Self { shape, hasher: FileHasher::new(shape), rows: Vec::new(), lists: Vec::new(), sums, next: 0, early: BTreeMap::new() }
    }

    /// Takes the row and the subtree value of chunk `index`; gives a list segment when that completes one.
    pub(super) fn push(&mut self, index: u64, row: Row, value: SubtreeValue) -> Vec<FinishedSegment> {
        self.early.insert(index, (row, value));
        let mut finished = Vec::new();
        while let Some((row, value)) = self.early.remove(&self.next) {
            self.append(row, value);
            finished.extend(self.take_segment());
        }
        finished
    }

    pub(super) fn is_complete(&self) -> bool {
        self.next == self.shape.chunks()
    }

    /// The hash of the whole file, where its rows are, and the sums over them.
    pub(super) fn finish(self) -> (Hash, Layout, RowSums) {
        let layout = if self.shape.has_lists() { Layout::Lists(self.lists.into()) } else { Layout::Rows(self.rows.into()) };
        (self.hasher.finish(), layout, self.sums)
    }

    fn append(&mut self, row: Row, value: SubtreeValue) {
        self.sums.frame_bytes += u64::from(row.frame_bytes());
        if row.is_hole() {
            self.sums.hole_bytes += u64::from(self.shape.raw_len(self.next));
        }
        self.hasher.push(value);
        self.rows.push(row);
        self.next += 1;
    }

    fn take_segment(&mut self) -> Option<FinishedSegment> {
        let full = self.rows.len() as u64 == SEGMENT_ROWS || self.is_complete();
        if !self.shape.has_lists() || !full {
            return None;
        }
        let bytes = list::encode(&self.rows);
        self.rows.clear();
        let segment = FinishedSegment { index: self.lists.len() as u64, hash: Hash::of(&bytes), bytes };
        self.lists.push(segment.hash);
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::{file_hash::subtree, list::Segment, row::Stored},
        types::ChunkSize,
    };

    fn row_of(bytes: &[u8]) -> Row {
        Row { raw: Hash::of(bytes), stored: Stored::Frame { hash: Hash::of(b"frame"), bytes: 9 } }
    }

    proptest! {
        #[test]
        fn any_order_of_chunks_gives_the_same_file(len in 1_usize..700_000, seed in any::<u64>()) {
            let content: Vec<u8> = (0..len).map(|i| (i as u64).wrapping_mul(seed | 1).to_le_bytes()[3]).collect();
            let shape = FileShape::new(len as u64, ChunkSize::try_from(65_536).unwrap());
            let mut order: Vec<(usize, &[u8])> = content.chunks(65_536).enumerate().collect();
            order.sort_by_key(|(index, _)| (*index as u64).wrapping_mul(seed).rotate_left(17));
            let mut assembler = Assembler::new(shape);
            let mut segments = Vec::new();
            for (index, bytes) in order {
                prop_assert!(!assembler.is_complete());
                segments.extend(assembler.push(index as u64, row_of(bytes), subtree(shape, index as u64, bytes)));
            }
            prop_assert!(assembler.is_complete());
            let (b3, layout, sums) = assembler.finish();
            prop_assert_eq!(b3, Hash::of(&content));
            prop_assert_eq!(sums.frame_bytes, 9 * shape.chunks());
            let expected: Vec<Row> = content.chunks(65_536).map(row_of).collect();
            match layout {
                Layout::Rows(rows) => prop_assert_eq!(rows.to_vec(), expected),
                Layout::Lists(lists) => {
                    prop_assert_eq!(lists.len(), 1);
                    prop_assert_eq!(lists[0], Hash::of(&segments[0].bytes));
                    let rows: Vec<Row> = Segment::parse(&segments[0].bytes, shape, 0).unwrap().rows().collect();
                    prop_assert_eq!(rows, expected);
                }
            }
        }
    }
}

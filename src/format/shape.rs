//! How a file is cut into chunks and its rows into segments (docs/format.md, 2.2 and 2.3).

use crate::types::ChunkSize;

/// Rows in every segment of a list but a file's last.
pub const SEGMENT_ROWS: u64 = 15_360;
/// The most chunks of a file whose rows lie in the manifest.
pub const INLINE_ROWS: u64 = 4;

/// The length of a file and the distance of its cuts: everything that follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileShape {
    /// Length of the file.
    pub bytes: u64,
    /// Distance of the cuts.
    pub chunk_size: ChunkSize,
}

impl FileShape {
    /// The shape of a file of `bytes`.
    #[must_use]
    pub const fn new(bytes: u64, chunk_size: ChunkSize) -> Self {
        Self { bytes, chunk_size }
    }

    /// Number of chunks; none when the file is empty.
    #[must_use]
    pub const fn chunks(self) -> u64 {
        self.chunk_size.chunks_in(self.bytes)
    }

    /// Length of chunk `index`; 0 past the end.
    #[must_use]
    pub const fn raw_len(self, index: u64) -> u32 {
        self.chunk_size.len_of(index, self.bytes)
    }

    /// Whether the rows lie in list segments, not in the manifest.
    #[must_use]
    pub const fn has_lists(self) -> bool {
        self.chunks() > INLINE_ROWS
    }

    /// Number of segments that hold the file's rows if it [has lists](Self::has_lists).
    #[must_use]
    pub const fn segments(self) -> u64 {
        self.chunks().div_ceil(SEGMENT_ROWS)
    }

    /// Number of rows in segment `segment`; 0 past the end.
    #[must_use]
    pub const fn rows_in(self, segment: u64) -> u64 {
        let left = self.chunks().saturating_sub(segment.saturating_mul(SEGMENT_ROWS));
        if left < SEGMENT_ROWS { left } else { SEGMENT_ROWS }
    }
}

/// The segment in which the row of chunk `index` lies, and its place there.
#[must_use]
pub const fn segment_of(index: u64) -> (u64, u64) {
    (index / SEGMENT_ROWS, index % SEGMENT_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(bytes: u64) -> FileShape {
        FileShape::new(bytes, ChunkSize::try_from(65_536).unwrap())
    }

    #[test]
    fn the_fifth_chunk_moves_the_rows_into_lists() {
        assert!(!shape(0).has_lists() && !shape(4 * 65_536).has_lists());
        assert!(shape(4 * 65_536 + 1).has_lists());
    }

    #[test]
    fn segments_hold_every_chunk_once() {
        for chunks in [5, 15_359, 15_360, 15_361, 30_720, 30_721] {
            let shape = shape(chunks * 65_536);
            assert_eq!((0..shape.segments()).map(|s| shape.rows_in(s)).sum::<u64>(), chunks);
            let (segment, row) = segment_of(chunks - 1);
            assert_eq!((segment + 1, row + 1), (shape.segments(), shape.rows_in(segment)));
            assert_eq!(shape.rows_in(shape.segments()), 0);
        }
    }

    #[test]
    fn a_lying_index_is_past_the_end() {
        assert_eq!((shape(10).raw_len(u64::MAX), shape(10).rows_in(u64::MAX)), (0, 0));
    }
}

//! One segment of a chunk list: up to 15,360 rows of one file (docs/format.md, 2.3).

use thiserror::Error;

use super::row::{Row, RowError};
pub use super::shape::{FileShape, SEGMENT_ROWS, segment_of};

/// A segment that is refused; the caller knows the file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ListError {
    /// It does not hold the rows that the file's length asks for.
    #[error("segment {segment} has {found_bytes} bytes (expected {expected_rows} rows, {expected_bytes} bytes)")]
    Length {
        /// The segment of the file, from 0.
        segment: u64,
        /// Rows the file has there.
        expected_rows: u64,
        /// Length of those rows.
        expected_bytes: u64,
        /// Length of what came.
        found_bytes: u64,
    },
    /// A row is refused.
    #[error("the row of chunk {index} in segment {segment} is refused")]
    Row {
        /// The segment of the file, from 0.
        segment: u64,
        /// The chunk of the file, from 0.
        index: u64,
        /// Why.
        #[source]
        source: RowError,
    },
}

/// The rows of one segment, checked; they are read from the bytes as they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    first: u64,
    rows: &'a [[u8; Row::BYTES]],
}

impl<'a> Segment<'a> {
    /// Reads segment `segment` of a file of this shape and checks every row.
    ///
    /// # Errors
    /// [`ListError`] when it does not have the rows that the shape asks for, or one of them is out of bounds.
    pub fn parse(bytes: &'a [u8], shape: FileShape, segment: u64) -> Result<Self, ListError> {
        let expected_rows = shape.rows_in(segment);
        let (rows, rest) = bytes.as_chunks::<{ Row::BYTES }>();
        if expected_rows == 0 || rows.len() as u64 != expected_rows || !rest.is_empty() {
            let (expected_bytes, found_bytes) = (expected_rows * Row::BYTES as u64, bytes.len() as u64);
            return Err(ListError::Length { segment, expected_rows, expected_bytes, found_bytes });
        }
        let first = segment * SEGMENT_ROWS;
        for (index, row) in (first..).zip(rows) {
            Row::parse(row, shape.raw_len(index)).map_err(|source| ListError::Row { segment, index, source })?;
        }
        Ok(Self { first, rows })
    }

    /// Index in the file of the first chunk here.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows; a parsed segment has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of chunk `index` of the file, if it lies here.
    #[must_use]
    pub fn row(&self, index: u64) -> Option<Row> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.rows.get(place).map(read)
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row> + use<'a> {
        self.rows.iter().map(read)
    }
}

fn read(bytes: &[u8; Row::BYTES]) -> Row {
    Row::decode(bytes).expect("every row was read when the segment was parsed")
}

/// The bytes of a segment of these rows.
#[must_use]
pub fn encode(rows: &[Row]) -> Vec<u8> {
    rows.iter().flat_map(Row::encode).collect()
}

/// The segments of a file with these rows, in order: each is one object.
pub fn segments(rows: &[Row]) -> impl Iterator<Item = Vec<u8>> {
    rows.chunks(SEGMENT_ROWS as usize).map(encode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::row::Stored,
        types::{ChunkSize, Hash},
    };

    const C: u64 = ChunkSize::MIN_BYTES as u64;

    fn shape(bytes: u64) -> FileShape {
        FileShape::new(bytes, ChunkSize::try_from(C).unwrap())
    }

    fn framed(seed: u64) -> Row {
        let hash = Hash::of(&seed.to_le_bytes());
        Row { raw: hash, stored: Stored::Frame { hash, bytes: 1 + seed as u32 % 60_000 } }
    }

    fn rows(count: u64) -> Vec<Row> {
        (0..count).map(|i| if i % 3 == 1 { Row::hole(C as u32) } else { framed(i) }).collect()
    }

    #[test]
    fn a_file_of_several_segments_is_read_back_row_by_row() {
        let shape = shape((SEGMENT_ROWS * 2 + 1) * C - 5);
        let mut written = rows(SEGMENT_ROWS * 2);
        written.push(framed(1));
        let mut read = Vec::new();
        for (segment, bytes) in segments(&written).enumerate() {
            let segment = Segment::parse(&bytes, shape, segment as u64).unwrap();
            assert_eq!(segment.first(), read.len() as u64);
            assert_eq!(segment.row(segment.first()), segment.rows().next());
            assert_eq!(segment.row(segment.first() + segment.len() as u64), None);
            read.extend(segment.rows());
        }
        assert_eq!(read, written);
    }

    #[test]
    fn a_segment_fits_below_its_cap() {
        let longest = encode(&rows(SEGMENT_ROWS)).len() as u64;
        assert_eq!(longest, 1_044_480);
        assert!(longest <= crate::format::key::LIST_MAX_BYTES);
    }

    // MF-06
    #[test]
    fn refuses_rows_that_are_too_few_too_many_or_cut() {
        let (shape, good) = (shape(7 * C), encode(&rows(7)));
        assert!(Segment::parse(&good, shape, 0).is_ok());
        for bad in [&good[..6 * 68], &good[..7 * 68 - 1], &[&good[..], b"x"].concat(), &[&good[..], &good[..68]].concat(), &[]] {
            let error = Segment::parse(bad, shape, 0).unwrap_err();
            let found_bytes = bad.len() as u64;
            assert_eq!(error, ListError::Length { segment: 0, expected_rows: 7, expected_bytes: 476, found_bytes });
        }
        for past in [1, u64::MAX] {
            assert!(matches!(Segment::parse(&[], shape, past), Err(ListError::Length { expected_rows: 0, .. })));
        }
    }

    // MF-06
    #[test]
    fn names_the_row_that_is_out_of_bounds() {
        let mut rows = rows(7);
        rows[5] = Row { raw: rows[5].raw, stored: Stored::Frame { hash: rows[5].raw, bytes: C as u32 + 64 + 65 } };
        let error = Segment::parse(&encode(&rows), shape(7 * C), 0).unwrap_err();
        assert!(matches!(error, ListError::Row { segment: 0, index: 5, source: RowError::FrameLength { .. } }), "{error}");
        // The last chunk is shorter: a hole of the full length is another hash.
        let bytes = encode(&[framed(0), framed(1), framed(2), framed(3), Row::hole(C as u32)]);
        let error = Segment::parse(&bytes, shape(5 * C - 1), 0);
        assert!(matches!(error, Err(ListError::Row { index: 4, source: RowError::NotZero { .. }, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_written_back_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..700), file in 0..12 * C) {
            if let Ok(segment) = Segment::parse(&bytes, shape(file), 0) {
                prop_assert_eq!(encode(&segment.rows().collect::<Vec<_>>()), bytes);
            }
        }

        #[test]
        fn what_is_encoded_is_parsed(count in 1_u64..40, seed in any::<u32>()) {
            let written: Vec<Row> = (0..count).map(|i| framed(i + u64::from(seed))).collect();
            // Frames of up to 60,000 bytes fit a full chunk.
            let bytes = encode(&written);
            let segment = Segment::parse(&bytes, shape(count * C), 0).unwrap();
            prop_assert_eq!(segment.rows().collect::<Vec<_>>(), written);
        }
    }
}

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

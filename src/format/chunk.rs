//! Where bytes become a chunk: the only maker of [`VerifiedChunk`].

use thiserror::Error;

use super::{
    frame::{Decoder, FrameError},
    row::{Row, Stored},
};
use crate::types::Hash;

/// The bytes of a chunk, proven to be the ones its row names. Can only be had from the functions of this file.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedChunk<'a> {
    raw: Hash,
    bytes: &'a [u8],
}

impl<'a> VerifiedChunk<'a> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Their BLAKE3, which is the `raw` of the row.
    #[must_use]
    pub fn raw(&self) -> Hash {
        self.raw
    }
}

/// Bytes that are not the chunk a row names.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// The row is a hole, which has no object.
    #[error("the chunk is a hole and has no frame")]
    Hole,
    /// The frame has another length.
    #[error("the frame has {found_bytes} bytes (expected {expected_bytes})")]
    FrameLength {
        /// The length in the row.
        expected_bytes: u64,
        /// The length of what came.
        found_bytes: u64,
    },
    /// The frame has another hash.
    #[error("the frame does not match its hash: expected {expected}, found {found}")]
    FrameHash {
        /// The hash in the row.
        expected: Hash,
        /// The hash of what came.
        found: Hash,
    },
    /// The frame is the one that was published, and breaks the rules of frames.
    #[error("the frame is refused")]
    Frame {
        /// The rule.
        #[source]
        source: FrameError,
    },
    /// The chunk has another length.
    #[error("the chunk has {found_bytes} bytes (expected {expected_bytes})")]
    RawLength {
        /// The length that follows from the file's.
        expected_bytes: u64,
        /// The length of what came.
        found_bytes: u64,
    },
    /// The chunk has another hash.
    #[error("the chunk does not match its hash: expected {expected}, found {found}")]
    RawHash {
        /// The hash in the row.
        expected: Hash,
        /// The hash of what came.
        found: Hash,
    },
}

/// Proves `frame` to be the stored form of the chunk of `row` and decodes it into `into`, which is empty after a failure.
///
/// In this order: length of the frame, hash of the frame, decoder, hash of the chunk. So the decoder never sees a byte that
/// was not published.
///
/// # Errors
/// [`ChunkError`], the first of these that does not hold.
pub fn verify_frame<'a>(
    row: &Row,
    raw_len: u32,
    frame: &[u8],
    decoder: &mut Decoder,
    into: &'a mut Vec<u8>,
) -> Result<VerifiedChunk<'a>, ChunkError> {
    let outcome = check_frame(row, frame)
        .and_then(|()| decoder.decode(frame, raw_len, into).map_err(|source| ChunkError::Frame { source }))
        .and_then(|()| check_raw(row, raw_len, into));
    match outcome {
        Ok(()) => Ok(VerifiedChunk { raw: row.raw, bytes: into }),
        Err(error) => {
            into.clear();
            Err(error)
        }
    }
}

/// Proves `bytes` to be the chunk of `row`, from wherever they come; a hole is proven the same way.
///
/// # Errors
/// [`ChunkError::RawLength`] or [`ChunkError::RawHash`].
pub fn verify_raw<'a>(row: &Row, raw_len: u32, bytes: &'a [u8]) -> Result<VerifiedChunk<'a>, ChunkError> {
    check_raw(row, raw_len, bytes)?;
    Ok(VerifiedChunk { raw: row.raw, bytes })
}

fn check_frame(row: &Row, frame: &[u8]) -> Result<(), ChunkError> {
    let Stored::Frame { hash: expected, bytes } = row.stored else { return Err(ChunkError::Hole) };
    let (expected_bytes, found_bytes) = (u64::from(bytes), frame.len() as u64);
    if found_bytes != expected_bytes {
        return Err(ChunkError::FrameLength { expected_bytes, found_bytes });
    }
    let found = Hash::of(frame);
    if found == expected { Ok(()) } else { Err(ChunkError::FrameHash { expected, found }) }
}

fn check_raw(row: &Row, raw_len: u32, bytes: &[u8]) -> Result<(), ChunkError> {
    let (expected_bytes, found_bytes) = (u64::from(raw_len), bytes.len() as u64);
    if found_bytes != expected_bytes {
        return Err(ChunkError::RawLength { expected_bytes, found_bytes });
    }
    let (expected, found) = (row.raw, Hash::of(bytes));
    if found == expected { Ok(()) } else { Err(ChunkError::RawHash { expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::Encoder;

    fn published(raw: &[u8]) -> (Row, Vec<u8>) {
        let mut frame = Vec::new();
        Encoder::new(1).unwrap().encode(raw, &mut frame).unwrap();
        (Row { raw: Hash::of(raw), stored: Stored::Frame { hash: Hash::of(&frame), bytes: frame.len() as u32 } }, frame)
    }

    fn error(row: &Row, raw_len: u32, frame: &[u8]) -> ChunkError {
        let mut into = vec![7; 10];
        let error = verify_frame(row, raw_len, frame, &mut Decoder::new(), &mut into).unwrap_err();
        assert!(into.is_empty(), "nothing unverified is left behind");
        error
    }

    #[test]
    fn what_was_published_is_a_chunk_in_either_form() {
        let raw = vec![42; 100_000];
        let (row, frame) = published(&raw);
        let mut into = Vec::new();
        let chunk = verify_frame(&row, 100_000, &frame, &mut Decoder::new(), &mut into).unwrap();
        assert_eq!((chunk.bytes(), chunk.raw()), (&raw[..], row.raw));
        assert_eq!(verify_raw(&row, 100_000, &raw).unwrap().bytes(), raw);
        assert_eq!(verify_raw(&Row::hole(9), 9, &[0; 9]).unwrap().bytes(), [0; 9]);
    }

    // HM-01
    #[test]
    fn a_changed_bit_is_found_before_the_decoder_runs() {
        let (row, frame) = published(b"some bytes of a chunk");
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(error(&row, 21, &bad), ChunkError::FrameHash { .. }), "bit {bit}");
        }
        assert!(matches!(verify_raw(&row, 21, b"Some bytes of a chunk"), Err(ChunkError::RawHash { .. })));
    }

    // HM-02, HM-03
    #[test]
    fn a_shorter_or_longer_body_is_refused_by_its_length() {
        let (row, frame) = published(b"some bytes of a chunk");
        let longer = [&frame[..], b"x"].concat();
        for bad in [&frame[..frame.len() - 1], &[], &longer] {
            assert!(matches!(error(&row, 21, bad), ChunkError::FrameLength { .. }));
        }
        assert_eq!(verify_raw(&row, 21, b"").unwrap_err(), ChunkError::RawLength { expected_bytes: 21, found_bytes: 0 });
    }

    #[test]
    fn a_well_signed_frame_of_other_bytes_is_refused() {
        let (mut row, frame) = published(b"some bytes of a chunk");
        assert!(matches!(error(&row, 22, &frame), ChunkError::Frame { source: FrameError::ContentSize { .. } }));
        row.raw = Hash::of(b"other");
        assert!(matches!(error(&row, 21, &frame), ChunkError::RawHash { .. }));
    }

    #[test]
    fn a_hole_has_no_frame() {
        assert_eq!(error(&Row::hole(5), 5, b"x"), ChunkError::Hole);
    }
}

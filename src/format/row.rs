//! One row of a chunk list: what a chunk is and how it is stored (docs/format.md, 2.3).

use thiserror::Error;

use super::zeros;
use crate::types::Hash;

/// One chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// BLAKE3 of the chunk's bytes: its identity.
    pub raw: Hash,
    /// How its bytes are stored.
    pub stored: Stored,
}

/// How a chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// All bytes are zero; there is no object.
    Hole,
    /// One zstd frame.
    Frame {
        /// BLAKE3 of the frame.
        hash: Hash,
        /// Length of the frame, bytes.
        bytes: u32,
    },
}

/// A row that is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RowError {
    /// Only one of the frame's hash and its length is zero.
    #[error("it is half a hole: frame {hash}, {bytes} bytes")]
    HalfHole {
        /// The frame's hash.
        hash: Hash,
        /// The frame's length.
        bytes: u32,
    },
    /// The frame's length is out of bounds.
    #[error("its frame has {found_bytes} bytes (expected 1 to {max_bytes})")]
    FrameLength {
        /// The most that a frame of this chunk may have.
        max_bytes: u32,
        /// What the row says.
        found_bytes: u32,
    },
    /// It says that all bytes are zero, and its hash is another.
    #[error("it is a hole, but its hash is not that of {raw_len} zero bytes: expected {expected}, found {found}")]
    NotZero {
        /// Length of the chunk.
        raw_len: u32,
        /// The hash of that many zeros.
        expected: Hash,
        /// The hash in the row.
        found: Hash,
    },
}

/// The longest frame that a chunk of `raw_len` bytes may have.
#[must_use]
pub const fn max_frame_bytes(raw_len: u32) -> u32 {
    raw_len.saturating_add(raw_len / 1024).saturating_add(64)
}

impl Row {
    /// Length of a row.
    pub const BYTES: usize = 68;

    /// The row of `raw_len` zero bytes.
    #[must_use]
    pub fn hole(raw_len: u32) -> Self {
        Self { raw: zeros::hash(raw_len), stored: Stored::Hole }
    }

    /// Whether all its bytes are zero, so that there is no object.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        self.stored == Stored::Hole
    }

    /// Length of the frame; 0 for a hole.
    #[must_use]
    pub fn frame_bytes(&self) -> u32 {
        match self.stored {
            Stored::Hole => 0,
            Stored::Frame { bytes, .. } => bytes,
        }
    }

    /// The row as it is published.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(self.raw.as_bytes());
        if let Stored::Frame { hash, bytes: frame_bytes } = self.stored {
            bytes[32..64].copy_from_slice(hash.as_bytes());
            bytes[64..].copy_from_slice(&frame_bytes.to_le_bytes());
        }
        bytes
    }

    /// Reads the row of a chunk of `raw_len` bytes.
    ///
    /// # Errors
    /// [`RowError`] as for [`Row::check`].
    pub fn parse(bytes: &[u8; Self::BYTES], raw_len: u32) -> Result<Self, RowError> {
        let row = Self::decode(bytes)?;
        row.check(raw_len)?;
        Ok(row)
    }

    /// Reads a row whose chunk's length is not known yet; [`Row::check`] is still to be called.
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, RowError> {
        let (raw, hash, frame_bytes) = split(bytes);
        let stored = match (hash == Hash::from_bytes([0; 32]), frame_bytes == 0) {
            (true, true) => Stored::Hole,
            (false, false) => Stored::Frame { hash, bytes: frame_bytes },
            _ => return Err(RowError::HalfHole { hash, bytes: frame_bytes }),
        };
        Ok(Self { raw, stored })
    }

    /// Checks the row against the length of its chunk.
    ///
    /// # Errors
    /// [`RowError`] when the frame is longer than incompressible bytes can make it, or a hole's hash is not that of zeros.
    pub fn check(&self, raw_len: u32) -> Result<(), RowError> {
        match self.stored {
            Stored::Hole => match zeros::hash(raw_len) {
                expected if expected == self.raw => Ok(()),
                expected => Err(RowError::NotZero { raw_len, expected, found: self.raw }),
            },
            Stored::Frame { bytes, .. } if (1..=max_frame_bytes(raw_len)).contains(&bytes) => Ok(()),
            Stored::Frame { bytes, .. } => Err(RowError::FrameLength { max_bytes: max_frame_bytes(raw_len), found_bytes: bytes }),
        }
    }
}

fn split(bytes: &[u8; Row::BYTES]) -> (Hash, Hash, u32) {
    let (raw, rest) = bytes.split_first_chunk().expect("68 bytes start with 32");
    let (frame, length) = rest.split_first_chunk().expect("36 bytes start with 32");
    let length = length.try_into().expect("4 bytes are left of 68");
    (Hash::from_bytes(*raw), Hash::from_bytes(*frame), u32::from_le_bytes(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(bytes: u32) -> Row {
        Row { raw: Hash::of(b"raw"), stored: Stored::Frame { hash: Hash::of(b"frame"), bytes } }
    }

    #[test]
    fn the_layout_is_raw_then_frame_then_length_in_little_endian() {
        let bytes = framed(0x0102_0304).encode();
        assert_eq!(&bytes[..32], Hash::of(b"raw").as_bytes());
        assert_eq!(&bytes[32..64], Hash::of(b"frame").as_bytes());
        assert_eq!(bytes[64..], [4, 3, 2, 1]);
        assert_eq!(Row::hole(7).encode()[32..], [0; 36]);
    }

    // MF-06
    #[test]
    fn refuses_a_frame_outside_its_bounds() {
        let max = 65_536 + 64 + 64;
        assert_eq!(framed(max).check(65_536), Ok(()));
        assert_eq!(framed(max + 1).check(65_536), Err(RowError::FrameLength { max_bytes: max, found_bytes: max + 1 }));
        assert_eq!(framed(0).check(65_536), Err(RowError::FrameLength { max_bytes: max, found_bytes: 0 }));
        assert!(matches!(Row::parse(&framed(0).encode(), 65_536), Err(RowError::HalfHole { .. })));
        let mut no_hash = framed(5).encode();
        no_hash[32..64].fill(0);
        assert!(matches!(Row::parse(&no_hash, 65_536), Err(RowError::HalfHole { .. })));
    }

    // MF-06
    #[test]
    fn refuses_a_hole_that_is_not_of_zeros_or_of_another_length() {
        let hole = Row::hole(65_536).encode();
        assert_eq!(Row::parse(&hole, 65_536), Ok(Row::hole(65_536)));
        assert!(matches!(Row::parse(&hole, 65_535), Err(RowError::NotZero { raw_len: 65_535, .. })));
    }

    proptest! {
        #[test]
        fn any_68_bytes_are_refused_or_written_back_the_same(
            mut bytes in proptest::array::uniform::<_, 68>(any::<u8>()), raw_len in 0..=u32::MAX, short in any::<bool>(), hole in any::<bool>(),
        ) {
            // Make lengths and holes that pass likely; holes are hashed, so keep those short.
            if short { bytes[66..].fill(0); }
            if hole { bytes[32..].fill(0); }
            let raw_len = if hole { raw_len % 4096 } else { raw_len };
            if let Ok(row) = Row::parse(&bytes, raw_len) {
                prop_assert_eq!(row.encode(), bytes);
            }
        }
    }
}

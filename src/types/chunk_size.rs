//! The fixed distance between the cuts of a file (docs/format.md, 2.2).

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Length of every chunk of a file but the last: a power of two, 64 KiB to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct ChunkSize(u32);

impl ChunkSize {
    /// 1 MiB: one chunk is one object and one IPFS block.
    pub const DEFAULT: Self = Self(1 << 20);
    /// The smallest size the format allows, in bytes.
    pub const MIN_BYTES: u32 = 64 << 10;
    /// The largest size the format allows, in bytes.
    pub const MAX_BYTES: u32 = 16 << 20;

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// How many chunks a file of `file_bytes` has; none when it is empty.
    #[must_use]
    pub const fn chunks_in(self, file_bytes: u64) -> u64 {
        file_bytes.div_ceil(self.0 as u64)
    }

    /// Where chunk `index` starts. Saturates, so that a lying index stays out of every file.
    #[must_use]
    pub const fn offset_of(self, index: u64) -> u64 {
        index.saturating_mul(self.0 as u64)
    }

    /// Length of chunk `index` of a file of `file_bytes`; 0 past its end.
    #[must_use]
    pub const fn len_of(self, index: u64, file_bytes: u64) -> u32 {
        let left = file_bytes.saturating_sub(self.offset_of(index));
        if left < self.0 as u64 { left as u32 } else { self.0 }
    }
}

/// A number that is not a chunk size.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a chunk size: {0} bytes (expected a power of two from 65536 to 16777216)")]
pub struct InvalidChunkSize(pub u64);

impl TryFrom<u64> for ChunkSize {
    type Error = InvalidChunkSize;

    fn try_from(bytes: u64) -> Result<Self, InvalidChunkSize> {
        match u32::try_from(bytes) {
            Ok(n) if n.is_power_of_two() && (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&n) => Ok(Self(n)),
            _ => Err(InvalidChunkSize(bytes)),
        }
    }
}

impl From<ChunkSize> for u64 {
    fn from(size: ChunkSize) -> Self {
        Self::from(size.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_a_file_exactly() {
        let size = ChunkSize::try_from(65_536).unwrap();
        for file in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
            let sum: u64 = (0..size.chunks_in(file)).map(|i| u64::from(size.len_of(i, file))).sum();
            assert_eq!(sum, file);
            assert_eq!(size.len_of(size.chunks_in(file), file), 0);
        }
    }

    #[test]
    fn refuses_sizes_outside_the_format() {
        for bad in [0, 1, 65_535, 65_537, 32 << 20, 1 << 40, u64::MAX] {
            assert_eq!(ChunkSize::try_from(bad), Err(InvalidChunkSize(bad)));
        }
    }
}

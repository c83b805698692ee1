//! Zero bytes without reading them: the hashes of holes.

use std::sync::OnceLock;

use crate::types::{ChunkSize, Hash};

/// Zeros to hash from; long enough for the widest SIMD path of BLAKE3.
static ZEROS: [u8; ChunkSize::MIN_BYTES as usize] = [0; ChunkSize::MIN_BYTES as usize];

/// One slot per chunk size of the format: 2^16 to 2^24 bytes.
static FULL_CHUNKS: [OnceLock<Hash>; 9] = [const { OnceLock::new() }; 9];

/// BLAKE3 of `len` zero bytes. Computed once per chunk size, and each time for other lengths: those are last chunks.
#[must_use]
pub fn hash(len: u32) -> Hash {
    let compute = || {
        let mut hasher = blake3::Hasher::new();
        update(&mut hasher, len);
        Hash::from_bytes(*hasher.finalize().as_bytes())
    };
    let slot = len.checked_ilog2().and_then(|log| log.checked_sub(16)).and_then(|slot| FULL_CHUNKS.get(slot as usize));
    match slot {
        Some(slot) if len.is_power_of_two() => *slot.get_or_init(compute),
        _ => compute(),
    }
}

/// Hashes `len` zero bytes into `hasher`.
pub(super) fn update(hasher: &mut blake3::Hasher, len: u32) {
    let mut left = len as usize;
    while left > 0 {
        let part = left.min(ZEROS.len());
        hasher.update(&ZEROS[..part]);
        left -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_hash_of_so_many_zeros() {
        for len in [0_u32, 1, 1024, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 1 << 24, (1 << 24) + 3] {
            assert_eq!(hash(len), Hash::of(&vec![0; len as usize]), "{len}");
            assert_eq!(hash(len), hash(len), "{len}");
        }
    }
}

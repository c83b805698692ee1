//! The plain BLAKE3 of a whole file from values of its chunks, which may be made in parallel (docs/format.md, 2.4).
//!
//! A chunk is a power of two of at least 64 KiB, so in BLAKE3's tree each chunk is a subtree of its own. The value of a
//! subtree depends on its offset: equal chunks at two places have two values, also when all bytes are zero.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{shape::FileShape, zeros};
use crate::types::Hash;

/// What one chunk adds to the hash of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubtreeValue(ChainingValue);

/// The value of chunk `index`, whose bytes are `bytes`.
///
/// # Panics
/// When `bytes` has another length than that chunk: a caller that read less must not get here.
#[must_use]
pub fn subtree(shape: FileShape, index: u64, bytes: &[u8]) -> SubtreeValue {
    assert_eq!(bytes.len(), shape.raw_len(index) as usize, "the chunk's bytes are not all of them");
    finish(shape, index, |hasher| {
        hasher.update(bytes);
    })
}

/// The same where the BLAKE3 of the bytes is known: the only chunk of a file need not be hashed again.
///
/// # Panics
/// As [`subtree`].
#[must_use]
pub fn subtree_of_hashed(shape: FileShape, index: u64, bytes: &[u8], raw: Hash) -> SubtreeValue {
    if shape.chunks() == 1 { SubtreeValue(*raw.as_bytes()) } else { subtree(shape, index, bytes) }
}

/// The value of chunk `index`, all of whose bytes are zero. Reads nothing, but hashes as many bytes as any other chunk:
/// the value depends on the offset, so none can be kept for the next.
///
/// # Panics
/// When `index` is past the end of the file.
#[must_use]
pub fn zero_subtree(shape: FileShape, index: u64) -> SubtreeValue {
    finish(shape, index, |hasher| zeros::update(hasher, shape.raw_len(index)))
}

fn finish(shape: FileShape, index: u64, update: impl FnOnce(&mut blake3::Hasher)) -> SubtreeValue {
    assert!(index < shape.chunks(), "chunk {index} is past the end of the file");
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(shape.chunk_size.offset_of(index));
    update(&mut hasher);
    // The only chunk of a file is the root of its tree.
    SubtreeValue(if shape.chunks() == 1 { *hasher.finalize().as_bytes() } else { hasher.finalize_non_root() })
}

/// Merges the values of a file's chunks into its hash. Holds one value per level of the tree: 24 for ten million chunks.
#[derive(Clone, Debug)]
pub struct FileHasher {
    shape: FileShape,
    pushed: u64,
    stack: Vec<ChainingValue>,
}

impl FileHasher {
    /// A hasher of a file of this shape.
    #[must_use]
    pub fn new(shape: FileShape) -> Self {
        Self { shape, pushed: 0, stack: Vec::new() }
    }

    /// Takes the value of the next chunk, in the order of the file.
    pub fn push(&mut self, value: SubtreeValue) {
        // Complete subtrees are merged only when more follows, because the topmost merge is a special one.
        while self.stack.len() > self.pushed.count_ones() as usize {
            self.merge_top();
        }
        self.stack.push(value.0);
        self.pushed += 1;
    }

    /// The BLAKE3 of the file.
    ///
    /// # Panics
    /// When not every chunk was pushed, or more.
    #[must_use]
    pub fn finish(mut self) -> Hash {
        assert_eq!(self.pushed, self.shape.chunks(), "every chunk is pushed once");
        while self.stack.len() > 2 {
            self.merge_top();
        }
        match self.stack[..] {
            [left, right] => Hash::from_bytes(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()),
            [only] => Hash::from_bytes(only),
            _ => Hash::of(b""),
        }
    }

    fn merge_top(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::ChunkSize;

    const C: usize = ChunkSize::MIN_BYTES as usize;

    fn hash_by_chunks(bytes: &[u8], chunk_bytes: u64) -> Hash {
        let chunk_size = ChunkSize::try_from(chunk_bytes).unwrap();
        let shape = FileShape::new(bytes.len() as u64, chunk_size);
        let mut hasher = FileHasher::new(shape);
        for (index, chunk) in bytes.chunks(chunk_bytes as usize).enumerate() {
            hasher.push(subtree_of_hashed(shape, index as u64, chunk, Hash::of(chunk)));
        }
        hasher.finish()
    }

    fn painted(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8 ^ (i >> 11) as u8).collect()
    }

    #[test]
    fn equals_blake3_for_every_number_of_chunks_and_around_each_cut() {
        let bytes = painted(35 * C);
        for chunks in 0..35 {
            for len in [chunks * C, chunks * C + 1, (chunks + 1) * C - 1, chunks * C + 1024] {
                assert_eq!(hash_by_chunks(&bytes[..len], C as u64), Hash::of(&bytes[..len]), "{len}");
            }
        }
    }

    #[test]
    fn zeros_need_not_be_there() {
        let bytes = vec![0; 5 * C + 77];
        let shape = FileShape::new(bytes.len() as u64, ChunkSize::try_from(C as u64).unwrap());
        let mut hasher = FileHasher::new(shape);
        (0..6).for_each(|index| hasher.push(zero_subtree(shape, index)));
        assert_eq!(hasher.finish(), Hash::of(&bytes));
    }

    #[test]
    fn the_value_of_zeros_depends_on_their_place() {
        let shape = FileShape::new(3 * C as u64, ChunkSize::try_from(C as u64).unwrap());
        assert_ne!(zero_subtree(shape, 0), zero_subtree(shape, 1));
    }

    #[test]
    fn memory_grows_with_the_depth_of_the_tree_only() {
        let chunk_size = ChunkSize::try_from(C as u64).unwrap();
        let mut hasher = FileHasher::new(FileShape::new(1_000_000 * C as u64, chunk_size));
        (0..1_000_000_u32).for_each(|_| hasher.push(SubtreeValue([1; 32])));
        assert!(hasher.stack.len() <= 21, "{}", hasher.stack.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn equals_blake3_for_any_length(len in 0_usize..40 * C, log in 16_u32..19) {
            let bytes = painted(len);
            prop_assert_eq!(hash_by_chunks(&bytes, 1 << log), Hash::of(&bytes));
        }
    }
}

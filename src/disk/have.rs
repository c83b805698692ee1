//! Which chunks of a manifest are verified and durable: one bit each, so that 100 million chunks take 12 MB however
//! scattered they arrive.

use std::ops::Range;

use crate::format::{list::FileShape, manifest::Manifest};

/// Which chunks of a manifest are on disk and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {
    /// Number of the first chunk of each file, counted over all files, and one more at the end.
    starts: Vec<u64>,
    bits: Vec<u64>,
    count: u64,
}

impl Have {
    /// None of them.
    #[must_use]
    pub fn none(manifest: &Manifest) -> Self {
        let chunk_size = manifest.about().chunk_size;
        let mut starts = vec![0];
        let mut total: u64 = 0;
        for file in manifest.files() {
            total += chunk_size.chunks_in(file.bytes);
            starts.push(total);
        }
        let words = usize::try_from(total.div_ceil(64)).expect("a manifest has at most 100 million chunks");
        Self { starts, bits: vec![0; words], count: 0 }
    }

    /// All of them.
    #[must_use]
    pub fn all(manifest: &Manifest) -> Self {
        let mut have = Self::none(manifest);
        for file in 0..manifest.files().len() {
            if let Some(span) = have.all_of(file) {
                have.insert(file, 0..span.end - span.start);
            }
        }
        have
    }

    /// Whether chunk `chunk` of file `file` is there; `false` for chunks that do not exist.
    #[must_use]
    pub fn contains(&self, file: usize, chunk: u64) -> bool {
        self.span(file, chunk..chunk.saturating_add(1)).is_some_and(|span| self.bit(span.start))
    }

    /// Adds chunks of a file. Returns `false`, and adds nothing, when the manifest has no such chunks.
    pub fn insert(&mut self, file: usize, chunks: Range<u64>) -> bool {
        let Some(span) = self.span(file, chunks) else { return false };
        for i in span {
            self.count += u64::from(!self.bit(i));
            self.bits[(i / 64) as usize] |= 1 << (i % 64);
        }
        true
    }

    /// Forgets all chunks of a file.
    pub fn forget(&mut self, file: usize) {
        let Some(span) = self.all_of(file) else { return };
        for i in span {
            self.count -= u64::from(self.bit(i));
            self.bits[(i / 64) as usize] &= !(1 << (i % 64));
        }
    }

    /// Forgets one chunk of a file.
    pub fn remove(&mut self, file: usize, chunk: u64) {
        let Some(span) = self.span(file, chunk..chunk.saturating_add(1)) else { return };
        self.count -= u64::from(self.bit(span.start));
        self.bits[(span.start / 64) as usize] &= !(1 << (span.start % 64));
    }

    /// Number of chunks that are there.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether all chunks of a file are there; so it is for an empty file.
    #[must_use]
    pub fn is_complete(&self, file: usize) -> bool {
        self.all_of(file).is_some_and(|mut span| span.all(|i| self.bit(i)))
    }

    /// The chunks of a file that are there, as ranges in order.
    #[must_use]
    pub fn ranges(&self, file: usize) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let Some(span) = self.all_of(file) else { return ranges };
        let first = span.start;
        for chunk in span.filter(|i| self.bit(*i)).map(|i| i - first) {
            match ranges.last_mut() {
                Some(last) if last.end == chunk => last.end += 1,
                _ => ranges.push(chunk..chunk + 1),
            }
        }
        ranges
    }

    /// Length of the chunks that are there, bytes, holes included.
    #[must_use]
    pub fn bytes(&self, manifest: &Manifest) -> u64 {
        let of_file = |(index, bytes)| {
            let shape = FileShape::new(bytes, manifest.about().chunk_size);
            self.ranges(index).into_iter().flatten().map(|chunk| u64::from(shape.raw_len(chunk))).sum::<u64>()
        };
        manifest.files().iter().map(|file| file.bytes).enumerate().map(of_file).sum()
    }

    fn bit(&self, i: u64) -> bool {
        self.bits[(i / 64) as usize] >> (i % 64) & 1 == 1
    }

    fn all_of(&self, file: usize) -> Option<Range<u64>> {
        Some(*self.starts.get(file)?..*self.starts.get(file.checked_add(1)?)?)
    }

    /// Chunks of a file as numbers counted over all files.
    fn span(&self, file: usize, chunks: Range<u64>) -> Option<Range<u64>> {
        let all = self.all_of(file)?;
        let span = all.start.checked_add(chunks.start)?..all.start.checked_add(chunks.end)?;
        (span.start < span.end && span.end <= all.end).then_some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing::manifest_of;

    #[test]
    fn knows_chunks_by_file_and_refuses_those_that_do_not_exist() {
        let manifest = manifest_of(&[("a", &[1; 200_000]), ("b", &[]), ("c", &[2; 65_536])]);
        let mut have = Have::none(&manifest);
        assert!(have.insert(0, 1..3) && have.insert(2, 0..1));
        assert!(!have.insert(0, 3..5) && !have.insert(1, 0..1) && !have.insert(9, 0..1) && !have.insert(0, u64::MAX - 1..u64::MAX));
        assert!(have.contains(0, 2) && !have.contains(0, 0) && !have.contains(0, 4) && !have.contains(9, 0));
        assert_eq!((have.ranges(0).first(), have.ranges(0).len(), have.count()), (Some(&(1..3)), 1, 3));
        assert_eq!(have.bytes(&manifest), 3 * 65_536);
        assert!(have.is_complete(1) && have.is_complete(2) && !have.is_complete(0));
        have.forget(0);
        assert_eq!((have.ranges(0).len(), have.count()), (0, 1));
    }

    #[test]
    fn all_but_some_is_what_is_left() {
        let manifest = manifest_of(&[("a", &[1; 200_000]), ("b", &[]), ("c", &[2; 65_536])]);
        let mut have = Have::all(&manifest);
        assert_eq!((have.count(), have.bytes(&manifest)), (5, 265_536));
        for (file, chunk) in [(0, 2), (0, 2), (0, 9), (1, 0), (7, 0)] {
            have.remove(file, chunk);
        }
        assert_eq!((have.count(), have.ranges(0)), (4, vec![0..2, 3..4]));
    }

    #[test]
    fn counts_a_chunk_once() {
        let manifest = manifest_of(&[("a", &[1; 200_000])]);
        let mut have = Have::none(&manifest);
        assert!(have.insert(0, 0..2) && have.insert(0, 1..4));
        assert_eq!((have.count(), have.bytes(&manifest)), (4, 200_000));
    }
}

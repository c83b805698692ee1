//! Which chunks are not worth compressing, told from samples of them.
//!
//! Databases compress their own tables (LZ4, Snappy, zstd). zstd finds nothing more in them, and takes longer to find nothing than to compress
//! other data. This rule is a part of the encoder's name: a change of it needs another [`NAME`].

/// What the rule adds to the name of an encoder.
pub(super) const NAME: &str = "+probe1";

/// The highest level at which samples are asked.
pub(super) const MAX_LEVEL: i32 = 3;

/// Long enough to hold some values of a database.
const SAMPLE_BYTES: usize = 16 << 10;
const SAMPLES: usize = 3;

/// A sample must lose one part in so many.
const SHRINKS_BY: usize = 32;

/// The begin of each third of a chunk; none of a chunk that is hardly longer than the samples.
pub(super) fn samples(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let third = raw.len() / SAMPLES;
    let count = if third >= SAMPLE_BYTES { SAMPLES } else { 0 };
    (0..count).map(move |place| &raw[place * third..][..SAMPLE_BYTES])
}

pub(super) fn shrinks(raw_bytes: usize, frame_bytes: usize) -> bool {
    frame_bytes < raw_bytes - raw_bytes / SHRINKS_BY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_in_each_third_of_a_chunk() {
        let raw: Vec<u8> = (0..1 << 20).map(|i| (i >> 14) as u8).collect();
        let firsts: Vec<u8> = samples(&raw).map(|sample| sample[0]).collect();
        assert_eq!(firsts, [0, 21, 42]);
        assert!(samples(&raw).all(|sample| sample.len() == SAMPLE_BYTES));
        assert_eq!(samples(&raw[..3 * SAMPLE_BYTES - 1]).count(), 0);
        assert_eq!(samples(&raw[..3 * SAMPLE_BYTES]).count(), 3);
    }

    #[test]
    fn a_sample_shrinks_when_it_loses_more_than_one_part_in_32() {
        assert!(shrinks(16_384, 15_871));
        assert!(!shrinks(16_384, 15_872) && !shrinks(16_384, 16_400));
    }
}

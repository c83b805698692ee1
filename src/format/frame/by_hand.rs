//! Frames built without libzstd, of raw and RLE blocks: for chunks that do not shrink, and for what stands between the stored frames of a
//! `.tar.zst` (docs/format.md, 2.2 and 2.7). The same bytes give the same frame for ever, whatever the version of zstd.

use super::header::MAGIC;

/// The most bytes of content in one block (RFC 8878, section 3.1.1.2.3).
const BLOCK_BYTES: u32 = 128 << 10;
/// Content size in 4 bytes, a window descriptor, no checksum, no dictionary.
const DESCRIPTOR: u8 = 0x80;
/// A window of 128 KiB: nothing refers back, but a window also bounds the blocks.
const WINDOW: u8 = 7 << 3;

#[derive(Clone, Copy)]
enum Block {
    Raw = 0,
    Rle = 1,
}

/// A frame that holds `bytes` as they are.
///
/// # Panics
/// When there are 4 GiB or more: chunks, headers and padding are far shorter.
#[must_use]
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    plain_into(bytes, &mut frame);
    frame
}

/// Replaces what is in `into` by the frame of [`plain`], whose length is at most [`plain_bound`].
///
/// # Panics
/// As [`plain`].
pub fn plain_into(bytes: &[u8], into: &mut Vec<u8>) {
    let content_bytes = u32::try_from(bytes.len()).expect("chunks, headers and padding are shorter than 4 GiB");
    into.clear();
    append_frame(into, content_bytes, Block::Raw, |block, offset, length| block.extend_from_slice(&bytes[offset..offset + length]));
}

/// The length of the frame of so many bytes as they are, or a little more.
#[must_use]
pub fn plain_bound(bytes: usize) -> usize {
    bytes + 10 + 3 * (bytes / BLOCK_BYTES as usize + 1)
}

/// A frame of `length` zero bytes; it takes four bytes for each 128 KiB.
#[must_use]
pub fn zeros(length: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    append_frame(&mut frame, length, Block::Rle, |block, _, _| block.push(0));
    frame
}

fn append_frame(frame: &mut Vec<u8>, content_bytes: u32, kind: Block, append: impl Fn(&mut Vec<u8>, usize, usize)) {
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[DESCRIPTOR, WINDOW]);
    frame.extend_from_slice(&content_bytes.to_le_bytes());
    let mut offset = 0;
    loop {
        let length = BLOCK_BYTES.min(content_bytes - offset);
        let is_last = offset + length == content_bytes;
        let header = length << 3 | (kind as u32) << 1 | u32::from(is_last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        append(frame, offset as usize, length as usize);
        offset += length;
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::Decoder;

    fn decoded(frame: &[u8], length: usize) -> Vec<u8> {
        let mut into = Vec::new();
        Decoder::new().decode(frame, length as u32, &mut into).unwrap();
        into
    }

    #[test]
    fn libzstd_reads_what_is_built_by_hand() {
        for length in [0, 1, 512, 1024, 131_071, 131_072, 131_073, 1 << 20, (5 << 20) + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            assert_eq!(decoded(&plain(&bytes), length), bytes, "{length}");
            assert!((plain(&bytes).len()..plain(&bytes).len() + 4).contains(&plain_bound(length)), "{length}");
            assert_eq!(decoded(&zeros(length as u32), length), vec![0; length], "{length}");
        }
    }

    #[test]
    fn a_frame_by_hand_never_changes() {
        assert_eq!(plain(b"ab"), *b"\x28\xb5\x2f\xfd\x80\x38\x02\0\0\0\x11\0\0ab");
        assert_eq!(zeros(512), *b"\x28\xb5\x2f\xfd\x80\x38\0\x02\0\0\x03\x10\0\0");
        assert_eq!(zeros(1 << 20).len(), 10 + 8 * 4);
    }
}

//! Frames built without libzstd, of raw and RLE blocks: for what stands between the stored frames of a `.tar.zst`
//! (docs/format.md, 2.7). The same bytes give the same frame for ever, whatever the version of zstd.

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
/// When there are 4 GiB or more: headers and padding are far shorter.
#[must_use]
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    let content_bytes = u32::try_from(bytes.len()).expect("headers and padding are shorter than 4 GiB");
    frame(content_bytes, Block::Raw, |block, offset, length| block.extend_from_slice(&bytes[offset..offset + length]))
}

/// A frame of `length` zero bytes; it takes four bytes for each 128 KiB.
#[must_use]
pub fn zeros(length: u32) -> Vec<u8> {
    frame(length, Block::Rle, |block, _, _| block.push(0))
}

fn frame(content_bytes: u32, kind: Block, append: impl Fn(&mut Vec<u8>, usize, usize)) -> Vec<u8> {
    let mut frame = [&MAGIC[..], &[DESCRIPTOR, WINDOW], &content_bytes.to_le_bytes()].concat();
    let mut offset = 0;
    loop {
        let length = BLOCK_BYTES.min(content_bytes - offset);
        let is_last = offset + length == content_bytes;
        let header = length << 3 | (kind as u32) << 1 | u32::from(is_last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        append(&mut frame, offset as usize, length as usize);
        offset += length;
        if is_last {
            return frame;
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

//! The bombs and lies of a frame, and what an honest one promises.

use std::io::Read as _;

use proptest::prelude::*;

use super::*;

fn encode(raw: &[u8], level: i32) -> Vec<u8> {
    let mut frame = Vec::new();
    Encoder::new(level).unwrap().encode(raw, &mut frame).unwrap();
    frame
}

fn decode(frame: &[u8], raw_len: u32) -> Result<Vec<u8>, FrameError> {
    let mut into = Vec::new();
    let outcome = Decoder::new().decode(frame, raw_len, &mut into);
    assert!(outcome.is_ok() || into.is_empty(), "nothing is left behind by a failure");
    outcome.map(|()| into)
}

/// A frame made by hand: this header behind the magic number, and one last raw block.
fn by_hand(header: &[u8], block: &[u8]) -> Vec<u8> {
    let block_header = (block.len() as u32) << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd], header, &block_header.to_le_bytes()[..3], block].concat()
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_frame_made_by_hand_is_read() {
    let window_of_1_kib = 0;
    assert_eq!(decode(&by_hand(&[0x80, window_of_1_kib, 5, 0, 0, 0], b"hello"), 5), Ok(b"hello".to_vec()));
    assert_eq!(decode(&by_hand(&[0x20, 5], b"hello"), 5), Ok(b"hello".to_vec()));
}

// MF-08
#[test]
fn a_bomb_does_not_go_off() {
    const GIB: u64 = 1 << 30;
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.set_pledged_src_size(Some(GIB)).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(GIB), &mut encoder).unwrap();
    let mut bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    assert_eq!(decode(&bomb, 65_536), Err(FrameError::ContentSize { expected_bytes: 65_536, found_bytes: GIB }));

    // The same with a header that lies: the decoder has no room to write more than the signed length.
    let size_field = 6..10;
    assert_eq!(bomb[size_field.clone()], (GIB as u32).to_le_bytes());
    bomb[size_field].copy_from_slice(&65_536_u32.to_le_bytes());
    let mut into = Vec::with_capacity(1 << 20);
    assert!(matches!(Decoder::new().decode(&bomb, 65_536, &mut into), Err(FrameError::Broken(_))));
    assert_eq!((into.len(), into.capacity()), (0, 1 << 20));
}

// MF-09
#[test]
fn refuses_a_window_beyond_8_mib() {
    let frame = by_hand(&[0x80, 21 << 3, 5, 0, 0, 0], b"hello");
    assert_eq!(decode(&frame, 5), Err(FrameError::Window { found_bytes: 1 << 31 }));
    assert_eq!(decode(&by_hand(&[0x80, 13 << 3, 5, 0, 0, 0], b"hello"), 5), Ok(b"hello".to_vec()));
    let a_step_more = by_hand(&[0x80, 13 << 3 | 1, 5, 0, 0, 0], b"hello");
    assert_eq!(decode(&a_step_more, 5), Err(FrameError::Window { found_bytes: 9 << 20 }));
    // A single segment is its own window.
    let single = by_hand(&[0xa0, 0, 0, 0, 1], b"hello");
    assert_eq!(decode(&single, 1 << 24), Err(FrameError::Window { found_bytes: 1 << 24 }));
}

// MF-09
#[test]
fn refuses_a_content_size_that_lies_or_is_not_there() {
    for (size, raw_len) in [(5, 4), (5, 6), (4, 4), (6, 6)] {
        assert!(decode(&by_hand(&[0x20, size], b"hello"), raw_len).is_err(), "{size} {raw_len}");
    }
    assert_eq!(decode(&by_hand(&[0x00, 0], b"hello"), 5), Err(FrameError::Forbidden("no content size")));
    assert_eq!(decode(&encode(b"hello", 1), 6), Err(FrameError::ContentSize { expected_bytes: 6, found_bytes: 5 }));
}

// MF-09
#[test]
fn refuses_anything_before_or_after_the_one_frame() {
    let frame = encode(b"hello", 1);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    assert!(matches!(decode(&[&frame[..], &frame].concat(), 5), Err(FrameError::Trailing { .. })));
    assert!(matches!(decode(&[&frame[..], b"x"].concat(), 5), Err(FrameError::Trailing { .. })));
    assert!(matches!(decode(&[&frame[..], &skippable].concat(), 5), Err(FrameError::Trailing { .. })));
    assert_eq!(decode(&[&skippable[..], &frame].concat(), 5), Err(FrameError::NotAFrame));
    assert_eq!(decode(&skippable, 3), Err(FrameError::NotAFrame));
    assert_eq!(decode(b"plain bytes", 11), Err(FrameError::NotAFrame));
}

// MF-09
#[test]
fn refuses_checksums_dictionaries_and_reserved_bits() {
    let raw = noise(5000);
    let mut context = CCtx::create();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    let mut checked = Vec::with_capacity(6000);
    context.compress2(&mut checked, &raw).unwrap();
    assert_eq!(zstd::decode_all(&checked[..]).unwrap(), raw);
    assert_eq!(decode(&checked, 5000), Err(FrameError::Forbidden("a checksum")));

    let samples: Vec<Vec<u8>> = (0..1000_u32).map(|i| format!("sample {i} of {}", i * 7).into_bytes()).collect();
    let dictionary = zstd::dict::from_samples(&samples, 4096).unwrap();
    let with_dictionary = zstd::bulk::Compressor::with_dictionary(1, &dictionary).unwrap().compress(&raw).unwrap();
    assert_eq!(decode(&with_dictionary, 5000), Err(FrameError::Forbidden("a dictionary")));

    assert_eq!(decode(&by_hand(&[0x28, 5], b"hello"), 5), Err(FrameError::Forbidden("a reserved bit")));
}

// MF-09
#[test]
fn refuses_a_frame_cut_at_any_byte() {
    let raw = [noise(300), vec![7; 3000]].concat();
    let frame = encode(&raw, 3);
    for length in 0..frame.len() {
        assert!(decode(&frame[..length], raw.len() as u32).is_err(), "{length}");
    }
}

#[test]
fn incompressible_bytes_stay_within_the_bound_of_a_row() {
    for len in [1, 255, 256, 65_536, 65_537, 1 << 20, 1 << 24] {
        for level in [-7, 1, 3] {
            let frame = encode(&noise(len), level);
            assert!(frame.len() as u32 <= crate::format::row::max_frame_bytes(len as u32), "{len} at {level}: {}", frame.len());
        }
    }
}

#[test]
fn every_level_makes_frames_that_are_read_back_at_every_chunk_size() {
    for level in (-7..=19).filter(|level| *level != 0) {
        for raw in [vec![1; 1 << 24], noise(70_000)] {
            assert_eq!(decode(&encode(&raw, level), raw.len() as u32).as_ref(), Ok(&raw), "level {level}");
        }
    }
    for level in [i32::MIN, -8, 0, 20, 22] {
        assert_eq!(Encoder::new(level).unwrap_err(), FrameError::Level(level));
    }
}

#[test]
fn buffers_and_contexts_are_reused() {
    let (mut encoder, mut decoder) = (Encoder::new(1).unwrap(), Decoder::new());
    let (mut frame, mut into) = (Vec::new(), Vec::with_capacity(65_536));
    encoder.encode(&noise(65_536), &mut frame).unwrap();
    let places = (frame.as_ptr(), into.as_ptr());
    for len in [65_536, 1, 65_536, 40_000] {
        let raw = &noise(65_536)[..len];
        encoder.encode(raw, &mut frame).unwrap();
        assert_eq!(frame, encode(raw, 1), "equal bytes make equal frames");
        decoder.decode(&frame, len as u32, &mut into).unwrap();
        assert_eq!(into, raw);
        assert_eq!((frame.as_ptr(), into.as_ptr()), places);
    }
}

#[test]
fn the_name_of_an_encoder_is_its_library_and_level() {
    assert_eq!(Encoder::new(1).unwrap().name(), "zstd 1.5.7/1+probe1");
    assert_eq!(Encoder::new(4).unwrap().name(), "zstd 1.5.7/4");
}

#[test]
fn what_does_not_shrink_is_stored_as_it_is_at_the_fast_levels_only() {
    let raw = noise(1 << 20);
    for level in [-1, 1, 3] {
        assert_eq!(encode(&raw, level), by_hand::plain(&raw), "level {level}");
    }
    assert_ne!(encode(&raw, 4), by_hand::plain(&raw));
    for level in [1, 4] {
        assert_eq!(decode(&encode(&raw, level), 1 << 20).as_ref(), Ok(&raw));
    }
    // One sample that shrinks is enough, and a chunk that is shorter than the samples is always compressed.
    let mut mixed = raw.clone();
    mixed[700_000..].fill(7);
    assert!(encode(&mixed, 1).len() < 720_000);
    let short = [noise(20_000), vec![7; 20_000]].concat();
    assert!(encode(&short, 1).len() < 21_000);
}

#[test]
fn frames_in_a_row_are_one_zstd_stream() {
    let chunks = [noise(65_536), vec![0; 65_536], b"tail".to_vec()];
    let stream: Vec<u8> = chunks.iter().flat_map(|chunk| encode(chunk, 1)).collect();
    assert_eq!(zstd::decode_all(&stream[..]).unwrap(), chunks.concat());
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(raw in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 1..5000), level in 1..6) {
        prop_assert_eq!(decode(&encode(&raw, level), raw.len() as u32), Ok(raw));
    }

    #[test]
    fn any_bytes_behind_the_magic_number_are_refused_or_give_the_signed_length(
        rest in proptest::collection::vec(any::<u8>(), 0..64), raw_len in 1_u32..300,
    ) {
        if let Ok(raw) = decode(&[&[0x28, 0xb5, 0x2f, 0xfd], &rest[..]].concat(), raw_len) {
            prop_assert_eq!(raw.len(), raw_len as usize);
        }
    }

    #[test]
    fn a_changed_frame_gives_the_signed_length_or_nothing(at in 0_usize..400, bit in 0_u32..8) {
        let raw = [noise(300), vec![7; 3000]].concat();
        let mut frame = encode(&raw, 3);
        let at = at % frame.len();
        frame[at] ^= 1_u8 << bit;
        if let Ok(bytes) = decode(&frame, raw.len() as u32) {
            prop_assert_eq!(bytes.len(), raw.len());
        }
    }
}

//! The header of a zstd frame (RFC 8878, section 3.1.1.1), held against the rules of the format.

use super::{FrameError, MAX_WINDOW_BYTES};

pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Checks that `frame` is exactly one frame that the format allows for a chunk of `raw_len` bytes. Decodes nothing.
pub(super) fn check(frame: &[u8], raw_len: u32) -> Result<(), FrameError> {
    let Some((descriptor, fields)) = frame.strip_prefix(&MAGIC).ok_or(FrameError::NotAFrame)?.split_first() else {
        return Err(FrameError::Truncated);
    };
    let descriptor = Descriptor(*descriptor);
    descriptor.check()?;
    let (window, size_field) = fields.split_at_checked(descriptor.window_bytes()).ok_or(FrameError::Truncated)?;
    check_content_size(descriptor.content_size(size_field)?, raw_len)?;
    check_window(window.first().map_or(u64::from(raw_len), |exponent| window_size(*exponent)))?;
    check_length(frame)
}

/// The frame header descriptor.
#[derive(Clone, Copy)]
struct Descriptor(u8);

impl Descriptor {
    fn check(self) -> Result<(), FrameError> {
        match self.0 {
            d if d & 0b11 != 0 => Err(FrameError::Forbidden("a dictionary")),
            d if d & 0b100 != 0 => Err(FrameError::Forbidden("a checksum")),
            d if d & 0b1000 != 0 => Err(FrameError::Forbidden("a reserved bit")),
            d if d >> 6 == 0 && !self.is_single_segment() => Err(FrameError::Forbidden("no content size")),
            _ => Ok(()),
        }
    }

    /// Whether the window is the content, and there is no window descriptor.
    fn is_single_segment(self) -> bool {
        self.0 & 0b10_0000 != 0
    }

    fn window_bytes(self) -> usize {
        usize::from(!self.is_single_segment())
    }

    fn content_size(self, field: &[u8]) -> Result<u64, FrameError> {
        let width = 1_usize << (self.0 >> 6);
        let field = field.get(..width).ok_or(FrameError::Truncated)?;
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(field);
        // Two bytes count from 256: one byte holds what is below.
        Ok(u64::from_le_bytes(bytes) + if width == 2 { 256 } else { 0 })
    }
}

fn window_size(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 0b111)
}

fn check_content_size(found_bytes: u64, raw_len: u32) -> Result<(), FrameError> {
    let expected_bytes = u64::from(raw_len);
    if found_bytes == expected_bytes { Ok(()) } else { Err(FrameError::ContentSize { expected_bytes, found_bytes }) }
}

fn check_window(found_bytes: u64) -> Result<(), FrameError> {
    if found_bytes <= MAX_WINDOW_BYTES { Ok(()) } else { Err(FrameError::Window { found_bytes }) }
}

fn check_length(frame: &[u8]) -> Result<(), FrameError> {
    match zstd_safe::find_frame_compressed_size(frame) {
        Ok(length) if length == frame.len() => Ok(()),
        Ok(length) => Err(FrameError::Trailing { frame_bytes: length as u64, body_bytes: frame.len() as u64 }),
        Err(code) => Err(FrameError::Broken(zstd_safe::get_error_name(code))),
    }
}

//! The frame codec: one chunk ⇄ one zstd frame (docs/format.md, 2.2).
//!
//! A frame has its content size and neither checksum nor dictionary, and a window of at most 8 MiB. libzstd alone is
//! more lenient than that, so the header is read here first and the decoder sees only what passed.

pub mod by_hand;
mod header;
mod probe;

use std::fmt;

use thiserror::Error;
use zstd_safe::{CCtx, CParameter, DCtx};

/// The largest window a frame may ask for, bytes.
pub const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// A frame that is refused, or cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The bytes do not start with the magic number of a zstd frame.
    #[error("not a zstd frame")]
    NotAFrame,
    /// The bytes end inside the header.
    #[error("the frame ends inside its header")]
    Truncated,
    /// The frame uses something that this format leaves out.
    #[error("the frame has {0}, which the format forbids")]
    Forbidden(&'static str),
    /// The frame asks for too large a window.
    #[error("the frame asks for a window of {found_bytes} bytes (at most {MAX_WINDOW_BYTES})")]
    Window {
        /// The window it asks for.
        found_bytes: u64,
    },
    /// The frame claims another content size than the chunk has.
    #[error("the frame claims {found_bytes} bytes of content (expected {expected_bytes})")]
    ContentSize {
        /// Length of the chunk.
        expected_bytes: u64,
        /// What the header says.
        found_bytes: u64,
    },
    /// The first frame is not exactly all of the bytes.
    #[error("the frame ends after {frame_bytes} of {body_bytes} bytes")]
    Trailing {
        /// Length of the first frame.
        frame_bytes: u64,
        /// Length of the bytes.
        body_bytes: u64,
    },
    /// The blocks are broken, or shorter or longer than the header says.
    #[error("the frame cannot be decoded: {0}")]
    Broken(&'static str),
    /// The compression level is not one of the format's.
    #[error("compression level {0} is not supported (expected 1 to 19, or -7 to -1)")]
    Level(i32),
    /// libzstd failed to compress: it is out of memory.
    #[error("the chunk cannot be compressed: {0}")]
    Compress(&'static str),
}

/// Makes frames; its context is reused from one to the next.
pub struct Encoder {
    context: CCtx<'static>,
    level: i32,
    /// Where samples are compressed to.
    sample: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder of `level`: 1 to 19, or the fast ones -7 to -1. Higher levels ask for windows that the format forbids.
    ///
    /// # Errors
    /// [`FrameError::Level`].
    pub fn new(level: i32) -> Result<Self, FrameError> {
        if !matches!(level, -7..=-1 | 1..=19) {
            return Err(FrameError::Level(level));
        }
        let mut context = CCtx::create();
        for parameter in [CParameter::CompressionLevel(level), CParameter::ChecksumFlag(false), CParameter::ContentSizeFlag(true)] {
            context.set_parameter(parameter).map_err(|code| FrameError::Compress(zstd_safe::get_error_name(code)))?;
        }
        Ok(Self { context, level, sample: Vec::new() })
    }

    /// An encoder like the one of that name, whose frames are equal if it has the same name. `None` when the name tells no level of the format.
    #[must_use]
    pub fn like(name: &str) -> Option<Self> {
        let (_, settings) = name.rsplit_once('/')?;
        let level = settings.split_once('+').map_or(settings, |(level, _)| level);
        Self::new(level.parse().ok()?).ok()
    }

    /// Replaces what is in `into` by the frame of `raw`, a chunk of at least one byte. At the fast levels a chunk that does not shrink
    /// becomes raw blocks. Allocates only when `into` has not held a frame of such a chunk before.
    ///
    /// # Errors
    /// [`FrameError::Compress`] when memory runs out.
    pub fn encode(&mut self, raw: &[u8], into: &mut Vec<u8>) -> Result<(), FrameError> {
        into.clear();
        into.reserve(zstd_safe::compress_bound(raw.len()).max(by_hand::plain_bound(raw.len())));
        if self.probes() && !self.is_compressible(raw)? {
            by_hand::plain_into(raw, into);
            return Ok(());
        }
        compress(&mut self.context, raw, into)
    }

    /// Whether one sample of the chunk shrinks enough. A short chunk is its own sample.
    fn is_compressible(&mut self, raw: &[u8]) -> Result<bool, FrameError> {
        for sample in probe::samples(raw) {
            self.sample.clear();
            self.sample.reserve(zstd_safe::compress_bound(sample.len()));
            compress(&mut self.context, sample, &mut self.sample)?;
            if probe::shrinks(sample.len(), self.sample.len()) {
                return Ok(true);
            }
        }
        Ok(probe::samples(raw).next().is_none())
    }

    /// Who asks for a higher level wants every byte that it saves.
    fn probes(&self) -> bool {
        self.level <= probe::MAX_LEVEL
    }

    /// The name that a manifest gives this encoder, for example `zstd 1.5.7/1+probe1` or `zstd 1.5.7/9`: equal names make equal frames.
    #[must_use]
    pub fn name(&self) -> String {
        let probe = if self.probes() { probe::NAME } else { "" };
        format!("zstd {}/{}{probe}", zstd_safe::version_string(), self.level)
    }
}

fn compress(context: &mut CCtx<'static>, raw: &[u8], into: &mut Vec<u8>) -> Result<(), FrameError> {
    context.compress2(into, raw).map_err(|code| FrameError::Compress(zstd_safe::get_error_name(code)))?;
    Ok(())
}

/// Reads frames; its context is reused from one to the next.
pub struct Decoder {
    context: DCtx<'static>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder.
    #[must_use]
    pub fn new() -> Self {
        Self { context: DCtx::create() }
    }

    /// Replaces what is in `into` by the `raw_len` bytes of which `frame` is the frame; empties it on failure.
    /// Never writes more than `raw_len` bytes, and allocates only when `into` cannot hold them.
    ///
    /// # Errors
    /// Everything but [`FrameError::Level`] and [`FrameError::Compress`]: one for each rule that `frame` breaks.
    pub fn decode(&mut self, frame: &[u8], raw_len: u32, into: &mut Vec<u8>) -> Result<(), FrameError> {
        let outcome = header::check(frame, raw_len).and_then(|()| self.decode_checked(frame, raw_len, into));
        if outcome.is_err() {
            into.clear();
        }
        outcome
    }

    fn decode_checked(&mut self, frame: &[u8], raw_len: u32, into: &mut Vec<u8>) -> Result<(), FrameError> {
        let raw_len = raw_len as usize;
        // A slice, not the vector: its capacity may be larger, and the decoder must not write past the signed length.
        into.resize(raw_len, 0);
        match self.context.decompress(&mut into[..], frame) {
            Ok(written) if written == raw_len => Ok(()),
            Ok(_) => Err(FrameError::Broken("its blocks are shorter than its header says")),
            Err(code) => Err(FrameError::Broken(zstd_safe::get_error_name(code))),
        }
    }
}

#[cfg(test)]
mod tests;

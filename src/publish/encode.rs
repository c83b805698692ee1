//! The blocking half of publishing: reads a chunk, hashes it, and makes its frame if a store needs it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Error,
    buffers::Buffers,
    pipeline::OpenFile,
    plan::{ChunkPlan, StoreSet, plan_chunk},
    previous::KnownSegment,
    targets::Targets,
};
use crate::{
    disk::read::Content,
    format::{
        file_hash::{self, SubtreeValue},
        frame::{Decoder, Encoder},
        row::{Row, Stored},
    },
    types::{Form, Hash},
};

/// One chunk to be read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) file: Arc<OpenFile>,
    pub(super) index: u64,
    pub(super) known: Arc<KnownSegment>,
}

/// One chunk that was read.
#[derive(Debug)]
pub(super) struct EncodedChunk {
    pub(super) file: Arc<OpenFile>,
    pub(super) index: u64,
    pub(super) row: Row,
    pub(super) value: SubtreeValue,
    pub(super) upload: Upload,
    /// The chunk as it is, where a store holds that form and may lack it.
    pub(super) raw: Option<Bytes>,
    /// Whether the heads of all stores name it already.
    pub(super) is_reused: bool,
}

/// What the stores still need of a chunk; those that hold it as it is get it beside the frame.
#[derive(Debug)]
pub(super) enum Upload {
    /// Nothing.
    None,
    /// This frame.
    Frame {
        /// The stores that need it.
        to: StoreSet,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The frame that other stores hold; this machine's encoder makes another one from the same bytes.
    Copy {
        /// The stores that hold it.
        from: StoreSet,
        /// The stores that need it.
        to: StoreSet,
        /// The row and the bytes of the other one, for every store when none of `from` gives back what it holds.
        instead: (Row, Bytes),
    },
}

/// Contexts and buffers of one thread, used for every chunk it encodes.
#[derive(Debug)]
pub(super) struct ChunkEncoder {
    encoder: Encoder,
    decoder: Decoder,
    raw: Vec<u8>,
    check: Vec<u8>,
    buffers: Buffers,
    all: StoreSet,
    /// Whether a store holds chunks as they are.
    keeps_raw: bool,
    /// Whether what the stores have is put to them all the same, to prove it.
    proving: bool,
}

impl ChunkEncoder {
    pub(super) fn new(level: i32, targets: &Targets, buffers: Buffers) -> Result<Self, Error> {
        let encoder = Encoder::new(level).map_err(Error::Encode)?;
        let (all, proving) = (targets.alive(), !targets.lacking(targets.all()).is_empty());
        let keeps_raw = !targets.holding(Form::Raw).is_empty();
        Ok(Self { encoder, decoder: Decoder::new(), raw: Vec::new(), check: Vec::new(), buffers, all, keeps_raw, proving })
    }

    pub(super) fn encode(&mut self, job: Job) -> Result<EncodedChunk, Error> {
        let shape = job.file.shape;
        let (row, value, upload, is_reused) = match job.file.reader.read(job.index, &mut self.raw)? {
            Content::Hole => (Row::hole(shape.raw_len(job.index)), file_hash::zero_subtree(shape, job.index), Upload::None, false),
            Content::Data => {
                let (row, upload, is_reused) = self.store(&job)?;
                (row, file_hash::subtree_of_hashed(shape, job.index, &self.raw, row.raw), upload, is_reused)
            }
        };
        let raw = (self.keeps_raw && !matches!(upload, Upload::None)).then(|| self.lend_raw());
        Ok(EncodedChunk { file: job.file, index: job.index, row, value, upload, raw, is_reused })
    }

    /// The chunk that was read, without a copy.
    fn lend_raw(&mut self) -> Bytes {
        let raw = std::mem::replace(&mut self.raw, self.buffers.take());
        self.buffers.lend(raw)
    }

    fn store(&mut self, job: &Job) -> Result<(Row, Upload, bool), Error> {
        let known = job.known.rows(job.index);
        if known.is_empty() {
            let (row, bytes) = self.make_frame()?;
            return Ok((row, Upload::Frame { to: self.all, bytes }, false));
        }
        let raw = Hash::of(&self.raw);
        match plan_chunk(raw, &known, self.all) {
            ChunkPlan::Encode => {
                let (row, bytes) = self.make_frame_of(raw)?;
                Ok((row, Upload::Frame { to: self.all, bytes }, false))
            }
            ChunkPlan::Keep { row, missing_at, .. } if missing_at.is_empty() && !self.proving => Ok((row, Upload::None, true)),
            ChunkPlan::Keep { row, held_by, missing_at } => {
                let (made, bytes) = self.make_frame_of(raw)?;
                let to = if self.proving { self.all } else { missing_at };
                let upload =
                    if made == row { Upload::Frame { to, bytes } } else { Upload::Copy { from: held_by, to, instead: (made, bytes) } };
                Ok((row, upload, missing_at.is_empty()))
            }
        }
    }

    fn make_frame_of(&mut self, raw: Hash) -> Result<(Row, Bytes), Error> {
        let (row, bytes) = self.make_frame()?;
        if row.raw == raw { Ok((row, bytes)) } else { Err(Error::Miscomputed) }
    }

    /// Compresses the chunk, and decodes the frame once: a bad core or memory must not publish. The chunk's hash is that of what came out of
    /// the frame, so that no frame is published under a hash that it does not decode to.
    fn make_frame(&mut self) -> Result<(Row, Bytes), Error> {
        let mut frame = self.buffers.take();
        self.encoder.encode(&self.raw, &mut frame).map_err(Error::Encode)?;
        self.decoder.decode(&frame, self.raw.len() as u32, &mut self.check).map_err(Error::Encode)?;
        if self.check != self.raw {
            return Err(Error::Miscomputed);
        }
        let bytes = u32::try_from(frame.len()).expect("a frame of a chunk is shorter than 4 GiB");
        let row = Row { raw: Hash::of(&self.check), stored: Stored::Frame { hash: Hash::of(&frame), bytes } };
        Ok((row, self.buffers.lend(frame)))
    }
}

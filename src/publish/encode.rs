//! The blocking half of publishing: reads a chunk, hashes it, and makes its frame if a store needs it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Error,
    pipeline::OpenFile,
    plan::{ChunkPlan, StoreSet, plan_chunk},
    previous::KnownSegment,
};
use crate::{
    disk::read::Content,
    format::{
        file_hash::{self, SubtreeValue},
        frame::{Decoder, Encoder},
        row::{Row, Stored},
    },
    types::Hash,
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
}

/// What the stores still need of a chunk.
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
    frame: Vec<u8>,
    check: Vec<u8>,
    all: StoreSet,
}

impl ChunkEncoder {
    pub(super) fn new(level: i32, all: StoreSet) -> Result<Self, Error> {
        let encoder = Encoder::new(level).map_err(Error::Encode)?;
        Ok(Self { encoder, decoder: Decoder::new(), raw: Vec::new(), frame: Vec::new(), check: Vec::new(), all })
    }

    pub(super) fn encode(&mut self, job: Job) -> Result<EncodedChunk, Error> {
        let shape = job.file.shape;
        let (row, value, upload) = match job.file.reader.read(job.index, &mut self.raw)? {
            Content::Hole => (Row::hole(shape.raw_len(job.index)), file_hash::zero_subtree(shape, job.index), Upload::None),
            Content::Data => {
                let value = file_hash::subtree(shape, job.index, &self.raw);
                let (row, upload) = self.store(&job)?;
                (row, value, upload)
            }
        };
        Ok(EncodedChunk { file: job.file, index: job.index, row, value, upload })
    }

    fn store(&mut self, job: &Job) -> Result<(Row, Upload), Error> {
        let raw = Hash::of(&self.raw);
        match plan_chunk(raw, &job.known.rows(job.index), self.all) {
            ChunkPlan::Encode => {
                let row = self.make_frame(raw)?;
                Ok((row, Upload::Frame { to: self.all, bytes: Bytes::copy_from_slice(&self.frame) }))
            }
            ChunkPlan::Keep { row, missing_at, .. } if missing_at.is_empty() => Ok((row, Upload::None)),
            ChunkPlan::Keep { row, held_by, missing_at } => {
                let made = self.make_frame(raw)?;
                let bytes = Bytes::copy_from_slice(&self.frame);
                let upload = if made == row {
                    Upload::Frame { to: missing_at, bytes }
                } else {
                    Upload::Copy { from: held_by, to: missing_at, instead: (made, bytes) }
                };
                Ok((row, upload))
            }
        }
    }

    /// Compresses the chunk into `self.frame` and decodes it once: a bad core or memory must not publish.
    fn make_frame(&mut self, raw: Hash) -> Result<Row, Error> {
        self.encoder.encode(&self.raw, &mut self.frame).map_err(Error::Encode)?;
        self.decoder.decode(&self.frame, self.raw.len() as u32, &mut self.check).map_err(Error::Encode)?;
        if self.check != self.raw || Hash::of(&self.check) != raw {
            return Err(Error::Miscomputed);
        }
        let bytes = u32::try_from(self.frame.len()).expect("a frame of a chunk is shorter than 4 GiB");
        Ok(Row { raw, stored: Stored::Frame { hash: Hash::of(&self.frame), bytes } })
    }
}

//! Stub.
use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Error, journal::Journal, staging::Staging};
use crate::{
    format::{chunk::VerifiedChunk, manifest::Manifest},
    fs::Fs,
};

/// When a batch is made durable, and how many files are kept open.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A batch ends when it has so many bytes.
    pub batch_bytes: u64,
    /// A batch ends when it is so old.
    pub batch_age: Duration,
    /// Files kept open between writes.
    pub open_files: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch_bytes: 256 << 20, batch_age: Duration::from_secs(2), open_files: 64 }
    }
}

/// Writes verified chunks into a staging directory from many threads, and journals them once they are durable.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// A writer into the files that the staging directory holds.
    pub fn new(_fs: Arc<dyn Fs>, _staging: Arc<Staging>, _manifest: Arc<Manifest>, _journal: Journal, _settings: Settings) -> Self {
        todo!()
    }

    /// Where the files are.
    pub fn data(&self) -> PathBuf {
        todo!()
    }

    /// Writes chunk `chunk` of file `file`. Ends the batch when it is due; other threads go on meanwhile.
    pub fn write(&self, _file: usize, _chunk: u64, _bytes: &VerifiedChunk<'_>) -> Result<(), Error> {
        todo!()
    }

    /// Makes sure that chunk `chunk` of file `file` reads as zeros, without using disk space where it is a hole already.
    pub fn write_hole(&self, _file: usize, _chunk: u64) -> Result<(), Error> {
        todo!()
    }

    /// Makes everything written so far durable and journals it.
    pub fn flush(&self) -> Result<(), Error> {
        todo!()
    }
}

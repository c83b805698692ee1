//! Chunks that are written but not yet durable.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Instant};

use crate::fs::File;

/// Open files that a batch holds on to. With more, the whole file system is synced once: cheaper than that many `fdatasync`s,
/// each a commit of its own in the file system's log, and it needs no open files (100,000 small files under a limit of 64).
const MAX_FILES: usize = 16;

/// What was written since the last journal record.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Files and ranges of chunks.
    chunks: Vec<(usize, Range<u64>)>,
    /// Bytes that were written for them; holes need none.
    pub(super) bytes: u64,
    /// When the first of them was written.
    since: Option<Instant>,
    files: Touched,
}

/// What has to be synced before a batch may be journaled.
#[derive(Debug)]
pub(super) enum Touched {
    /// These files, through the handles that wrote them: they are the ones that learn of failed writes.
    Few(HashMap<usize, Arc<dyn File>>),
    /// The file system.
    Many,
}

impl Default for Touched {
    fn default() -> Self {
        Self::Few(HashMap::new())
    }
}

impl Batch {
    /// Adds chunks for which `bytes` were written through `handle`.
    pub(super) fn add(&mut self, file: usize, chunks: Range<u64>, bytes: u64, handle: Arc<dyn File>) {
        match self.chunks.last_mut() {
            Some((last, range)) if *last == file && range.end == chunks.start => range.end = chunks.end,
            _ => self.chunks.push((file, chunks)),
        }
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
        self.files.add(file, handle);
    }

    /// How old the oldest chunk is; no time when there is none.
    pub(super) fn age(&self) -> std::time::Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// The chunks, and what has to be synced before they are journaled.
    pub(super) fn into_parts(self) -> (Vec<(usize, Range<u64>)>, Touched) {
        (self.chunks, self.files)
    }
}

impl Touched {
    fn add(&mut self, file: usize, handle: Arc<dyn File>) {
        if let Self::Few(files) = self {
            files.insert(file, handle);
            if files.len() > MAX_FILES {
                *self = Self::Many;
            }
        }
    }
}

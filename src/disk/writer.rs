//! Verified chunks on their way to disk: written at once, made durable in batches, journaled after that.
//!
//! The order is the promise: data written, data synced, record appended, record synced. A batch whose sync failed is never journaled
//! (after a failed `fsync` the kernel may have dropped the pages), and ends the writer: the next run fetches its chunks again.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Error,
    batch::{Batch, Touched},
    journal::{self, Journal},
    open_files::OpenFiles,
    staging::Staging,
};
use crate::{
    format::{chunk::VerifiedChunk, list::FileShape, manifest::Manifest},
    fs::{File, Fs},
};

/// When a batch is made durable, and how many files are kept open.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A batch ends when it has so many bytes. At most twice as many are ever written and not durable.
    pub batch_bytes: u64,
    /// A batch ends when it is so old.
    pub batch_age: Duration,
    /// Files kept open between writes.
    pub open_files: usize,
}

impl Default for Settings {
    /// 256 MiB or 2 s; a quarter of the file descriptors that this process may have, at most 128.
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
        let open_files = (limit / 4).clamp(4, 128) as usize;
        Self { batch_bytes: 256 << 20, batch_age: Duration::from_secs(2), open_files }
    }
}

/// Writes verified chunks into a staging directory from many threads, and journals them once they are durable.
#[derive(Debug)]
pub struct Writer {
    fs: Arc<dyn Fs>,
    staging: Arc<Staging>,
    manifest: Arc<Manifest>,
    data: PathBuf,
    settings: Settings,
    files: OpenFiles,
    batch: Mutex<Batch>,
    journal: Mutex<Journal>,
    failed: AtomicBool,
}

impl Writer {
    /// A writer into the files that the staging directory holds.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, staging: Arc<Staging>, manifest: Arc<Manifest>, journal: Journal, settings: Settings) -> Self {
        let data = staging.data();
        let files = OpenFiles::new(Arc::clone(&fs), data.clone(), settings.open_files);
        let (batch, journal) = (Mutex::default(), Mutex::new(journal));
        Self { fs, staging, manifest, data, settings, files, batch, journal, failed: AtomicBool::new(false) }
    }

    /// Writes chunk `chunk` of file `file`. Ends the batch when it is due; other threads go on meanwhile.
    ///
    /// # Errors
    /// When it cannot be written: what was written before can still be flushed. When a batch cannot be made durable: every later
    /// call then fails with [`Error::Stopped`].
    ///
    /// # Panics
    /// When the manifest has no such file or the chunk has another length there.
    pub fn write(&self, file: usize, chunk: u64, bytes: &VerifiedChunk<'_>) -> Result<(), Error> {
        assert_eq!(bytes.bytes().len(), self.shape(file).raw_len(chunk) as usize, "the plan pairs chunks with their places");
        self.check_usable()?;
        let handle = self.files.get(file, &self.manifest.files()[file].path)?;
        self.put(file, chunk, &handle, bytes.bytes())?;
        self.note(file, chunk, handle)
    }

    /// Makes sure that chunk `chunk` of file `file` reads as zeros, without using disk space where it is a hole already.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write_hole(&self, file: usize, chunk: u64) -> Result<(), Error> {
        self.check_usable()?;
        let handle = self.files.get(file, &self.manifest.files()[file].path)?;
        if self.may_hold_data(file, chunk, &handle)? {
            self.put(file, chunk, &handle, &vec![0; self.shape(file).raw_len(chunk) as usize])?;
        }
        self.note(file, chunk, handle)
    }

    /// Makes everything written so far durable and journals it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn flush(&self) -> Result<(), Error> {
        self.flush_into(lock(&self.journal))
    }

    /// As [`Writer::flush`], when the batch is due and nobody does it already. For a lull, in which no write ends the batch.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn flush_if_due(&self) -> Result<(), Error> {
        let due = lock(&self.batch).age() >= self.settings.batch_age;
        self.flush_when(due)
    }

    fn check_usable(&self) -> Result<(), Error> {
        if self.failed.load(Ordering::Acquire) { Err(Error::Stopped) } else { Ok(()) }
    }

    fn shape(&self, file: usize) -> FileShape {
        FileShape::new(self.manifest.files()[file].bytes, self.manifest.about().chunk_size)
    }

    fn put(&self, file: usize, chunk: u64, handle: &Arc<dyn File>, bytes: &[u8]) -> Result<(), Error> {
        let offset = self.manifest.about().chunk_size.offset_of(chunk);
        handle.write_all_at(bytes, offset).map_err(Error::io("write", self.path(file)))
    }

    fn path(&self, file: usize) -> PathBuf {
        self.data.join(&self.manifest.files()[file].path)
    }

    fn may_hold_data(&self, file: usize, chunk: u64, handle: &Arc<dyn File>) -> Result<bool, Error> {
        let start = self.manifest.about().chunk_size.offset_of(chunk);
        let end = start + u64::from(self.shape(file).raw_len(chunk));
        let data = handle.next_data(start).map_err(Error::io("look for holes in", self.path(file)))?;
        Ok(data.is_some_and(|data| data.start < end))
    }

    /// Adds a written chunk to the batch, and ends the batch when it is due.
    fn note(&self, file: usize, chunk: u64, handle: Arc<dyn File>) -> Result<(), Error> {
        let mut batch = lock(&self.batch);
        batch.add(file, chunk, u64::from(self.shape(file).raw_len(chunk)), handle);
        let (bytes, age) = (batch.bytes, batch.age());
        drop(batch);
        if bytes >= self.settings.batch_bytes.saturating_mul(2) {
            // The disk does not keep up: wait for it, so that what a power cut costs stays bounded.
            return self.flush_into(lock(&self.journal));
        }
        self.flush_when(bytes >= self.settings.batch_bytes || age >= self.settings.batch_age)
    }

    fn flush_when(&self, due: bool) -> Result<(), Error> {
        match self.journal.try_lock() {
            Ok(journal) if due => self.flush_into(journal),
            _ => Ok(()),
        }
    }

    /// The journal's lock is held throughout, the batch's only to take it: writers go on with the next batch.
    fn flush_into(&self, mut journal: MutexGuard<'_, Journal>) -> Result<(), Error> {
        self.check_usable()?;
        // Noted before the lock is given back: the system reports a lost write once, so the next batch, whose pages may be lost
        // with it, would sync without an error.
        self.flush_batch(&mut journal).inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    fn flush_batch(&self, journal: &mut Journal) -> Result<(), Error> {
        let (chunks, touched) = std::mem::take(&mut *lock(&self.batch)).into_parts();
        if chunks.is_empty() {
            return Ok(());
        }
        self.staging.check_alive()?;
        self.sync(touched)?;
        journal.append(&journal::ranges(chunks))
    }

    fn sync(&self, touched: Touched) -> Result<(), Error> {
        match touched {
            Touched::Many => self.fs.sync_fs(&self.data).map_err(Error::io("sync", &self.data)),
            Touched::Few(files) => {
                files.into_iter().try_for_each(|(file, handle)| handle.sync_data().map_err(Error::io("sync", self.path(file))))
            }
        }
    }
}

/// A panic of another thread ends the run anyway; the data behind the lock is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Verified chunks on their way to disk: written at once, made durable in batches, journaled after that.
//!
//! The order is the promise: data written, data synced, record appended, record synced. A batch whose sync failed is never journaled
//! (after a failed `fsync` the kernel may have dropped the pages), and ends the writer: the next run fetches its chunks again.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
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
    fs::{File, Fs, Watch},
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
    /// Begun before anything was written. `None` where only a sync of each file tells what became of it.
    watch: Option<Box<dyn Watch>>,
}

impl Writer {
    /// A writer into the files that the staging directory holds.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, staging: Arc<Staging>, manifest: Arc<Manifest>, journal: Journal, settings: Settings) -> Self {
        let data = staging.data();
        let files = OpenFiles::new(Arc::clone(&fs), data.clone(), settings.open_files);
        let (batch, journal, failed) = (Mutex::default(), Mutex::new(journal), AtomicBool::new(false));
        let watch = fs.watch(&data).ok().flatten();
        Self { fs, staging, manifest, data, settings, files, batch, journal, failed, watch }
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
        self.note(file, chunk..chunk + 1, bytes.bytes().len() as u64, handle)
    }

    /// Makes sure that `chunks` of file `file` read as zeros, without using disk space where they are holes already.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write_holes(&self, file: usize, chunks: Range<u64>) -> Result<(), Error> {
        self.check_usable()?;
        let handle = self.files.get(file, &self.manifest.files()[file].path)?;
        let mut zeros = Vec::new();
        let (mut from, mut bytes) = (chunks.start, 0);
        while let Some(chunk) = self.next_with_data(file, from..chunks.end, &handle)? {
            zeros.resize(self.shape(file).raw_len(chunk) as usize, 0);
            self.put(file, chunk, &handle, &zeros)?;
            bytes += zeros.len() as u64;
            from = chunk + 1;
        }
        self.note(file, chunks, bytes, handle)
    }

    /// Makes file `file` what the open file `source` is, by sharing its blocks, and says whether the file system can. Nothing of it is
    /// journaled before [`Writer::adopt`]; none of its chunks may have been written before.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn clone_file(&self, file: usize, source: &dyn File) -> Result<bool, Error> {
        self.check_usable()?;
        let handle = self.files.get(file, &self.manifest.files()[file].path)?;
        let cloned = match handle.clone_from_file(source) {
            Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return Err(Error::io("write", self.path(file))(e));
            }
            cloned => cloned.is_ok(),
        };
        // Whatever a failed clone left is written over: no chunk of it is journaled.
        handle.set_len(self.manifest.files()[file].bytes).map_err(Error::io("set the length of", self.path(file)))?;
        Ok(cloned)
    }

    /// Journals chunks of a cloned file once they are durable: they are known to be in it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn adopt(&self, file: usize, chunks: &[u64]) -> Result<(), Error> {
        self.check_usable()?;
        let handle = self.files.get(file, &self.manifest.files()[file].path)?;
        chunks
            .iter()
            .try_for_each(|chunk| self.note(file, *chunk..chunk + 1, u64::from(self.shape(file).raw_len(*chunk)), Arc::clone(&handle)))
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

    /// The first of `chunks` that may hold data.
    fn next_with_data(&self, file: usize, chunks: Range<u64>, handle: &Arc<dyn File>) -> Result<Option<u64>, Error> {
        if chunks.is_empty() {
            return Ok(None);
        }
        let chunk_size = self.manifest.about().chunk_size;
        let data = handle.next_data(chunk_size.offset_of(chunks.start)).map_err(Error::io("look for holes in", self.path(file)))?;
        let chunk = data.map(|data| data.start / u64::from(chunk_size.bytes()));
        Ok(chunk.filter(|chunk| *chunk < chunks.end))
    }

    /// Adds chunks for which `written_bytes` were written to the batch, and ends the batch when it is due.
    fn note(&self, file: usize, chunks: Range<u64>, written_bytes: u64, handle: Arc<dyn File>) -> Result<(), Error> {
        let mut batch = lock(&self.batch);
        batch.add(file, chunks, written_bytes, handle);
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
        self.sync(&chunks, touched)?;
        journal.append(&journal::merged(chunks))
    }

    fn sync(&self, chunks: &[(usize, Range<u64>)], touched: Touched) -> Result<(), Error> {
        match (touched, &self.watch) {
            (Touched::Few(files), _) => {
                files.into_iter().try_for_each(|(file, handle)| handle.sync_data().map_err(Error::io("sync", self.path(file))))
            }
            (Touched::Many, Some(watch)) => watch.sync().map_err(Error::io("sync", &self.data)),
            (Touched::Many, None) => self.sync_each(chunks),
        }
    }

    /// A sync of the whole file system may keep quiet about a write that failed in the background; one of the file does not. It finds little
    /// to do after the other.
    fn sync_each(&self, chunks: &[(usize, Range<u64>)]) -> Result<(), Error> {
        self.fs.sync_fs(&self.data).map_err(Error::io("sync", &self.data))?;
        let files: BTreeSet<usize> = chunks.iter().map(|(file, _)| *file).collect();
        files.into_iter().try_for_each(|file| {
            let handle = self.files.get(file, &self.manifest.files()[file].path)?;
            handle.sync_data().map_err(Error::io("sync", self.path(file)))
        })
    }
}

/// A panic of another thread ends the run anyway; the data behind the lock is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        disk::{
            have::Have,
            staging::Owned,
            testing::{manifest_of, painted, rows_of, verified},
        },
        fs::{MemoryFs, Open, RealFs},
        types::Hash,
    };

    fn settings() -> Settings {
        Settings { batch_bytes: 300_000, batch_age: Duration::from_secs(60), open_files: 4 }
    }

    fn open(fs: &Arc<dyn Fs>, target: &Path) -> Arc<Staging> {
        Arc::new(Staging::open(Arc::clone(fs), target, Owned::Whole).unwrap())
    }

    // ST-14
    #[test]
    fn many_threads_write_many_files_with_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, id): (Arc<dyn Fs>, _) = (Arc::new(RealFs), Hash::of(b"id"));
        let large = painted(40 * 65_536, 1);
        let small: Vec<(String, Vec<u8>)> = (0..200).map(|i| (format!("many/{i}"), painted(i + 1, i as u8))).collect();
        let mut files: Vec<(&str, &[u8])> = small.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        files.push(("large", &large));
        files.sort_unstable_by_key(|(path, _)| *path);
        let manifest = Arc::new(manifest_of(&files));
        let staging = open(&fs, &dir.path().join("node"));
        let (journal, _) = staging.resume(&manifest, &id).unwrap().unwrap();
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), Arc::clone(&manifest), journal, settings());
        let work: Vec<_> = files
            .iter()
            .enumerate()
            .flat_map(|(f, (_, bytes))| bytes.chunks(65_536).enumerate().map(move |(c, b)| (f, c as u64, b)))
            .collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (writer, work) = (&writer, &work);
                scope.spawn(move || {
                    for (file, chunk, bytes) in work.iter().skip(thread).step_by(4) {
                        writer.write(*file, *chunk, &verified(bytes)).unwrap();
                    }
                });
            }
        });
        writer.flush().unwrap();
        let (_, have) = staging.resume(&manifest, &id).unwrap().unwrap();
        assert_eq!(have.count(), manifest.totals().chunks);
        for (path, bytes) in files {
            assert_eq!(std::fs::read(staging.data().join(path)).unwrap(), bytes);
        }
    }

    // CR-09
    #[test]
    fn a_newer_snapshot_keeps_the_chunks_of_an_older_one() {
        let (memory, id) = (MemoryFs::new(), Hash::of(b"id"));
        memory.create_dir(Path::new("/d"), 0o755).unwrap();
        let fs: Arc<dyn Fs> = Arc::new(memory);
        let old = painted(3 * 65_536, 1);
        let mut new = painted(4 * 65_536, 1);
        new[65_536..131_072].fill(0);
        let staging = open(&fs, Path::new("/d/node"));
        let manifest = Arc::new(manifest_of(&[("f", &old), ("gone", b"x")]));
        let (journal, _) = staging.resume(&manifest, &Hash::of(b"old id")).unwrap().unwrap();
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), manifest, journal, settings());
        for (chunk, bytes) in old.chunks(65_536).enumerate() {
            writer.write(0, chunk as u64, &verified(bytes)).unwrap();
        }
        writer.flush().unwrap();

        let manifest = Arc::new(manifest_of(&[("f", &new)]));
        let mut have = Have::none(&manifest);
        for (chunk, (was, is)) in rows_of(&old).iter().zip(rows_of(&new)).enumerate() {
            if was.raw == is.raw {
                assert!(have.insert(0, chunk as u64..chunk as u64 + 1));
            }
        }
        let journal = staging.start(&manifest, &id, &have).unwrap();
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), manifest, journal, settings());
        writer.write_holes(0, 1..2).unwrap();
        writer.write(0, 3, &verified(&new[3 * 65_536..])).unwrap();
        writer.flush().unwrap();
        assert_eq!(fs.read(&staging.data().join("f"), 1 << 30).unwrap(), new);
        assert!(fs.stat(&staging.data().join("gone")).is_err());
    }

    #[test]
    fn a_hole_in_a_new_file_takes_no_space() {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/d"), 0o755).unwrap();
        let fs: Arc<dyn Fs> = Arc::new(memory);
        let manifest = Arc::new(manifest_of(&[("f", &[0; 200_000])]));
        let staging = open(&fs, Path::new("/d/node"));
        let (journal, _) = staging.resume(&manifest, &Hash::of(b"id")).unwrap().unwrap();
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), manifest, journal, settings());
        writer.write_holes(0, 0..4).unwrap();
        writer.flush().unwrap();
        assert_eq!(fs.stat(&staging.data().join("f")).unwrap().allocated_bytes, 0);
    }

    #[test]
    fn a_run_of_holes_replaces_only_the_data_that_lies_in_it() {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/d"), 0o755).unwrap();
        let fs: Arc<dyn Fs> = Arc::new(memory);
        let manifest = Arc::new(manifest_of(&[("f", &[0; 400_000])]));
        let staging = open(&fs, Path::new("/d/node"));
        let (journal, _) = staging.resume(&manifest, &Hash::of(b"id")).unwrap().unwrap();
        let path = staging.data().join("f");
        for chunk in [1, 4, 6] {
            fs.open(&path, Open::ReadWrite).unwrap().write_all_at(&[7; 1000], chunk * 65_536).unwrap();
        }
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), manifest, journal, settings());
        writer.write_holes(0, 0..6).unwrap();
        writer.flush().unwrap();
        let bytes = fs.read(&path, 1 << 20).unwrap();
        assert!(bytes[..6 * 65_536].iter().all(|byte| *byte == 0));
        assert!(bytes[6 * 65_536..].iter().any(|byte| *byte != 0));
        assert_eq!(
            staging.resume(&manifest_of(&[("f", &[0; 400_000])]), &Hash::of(b"id")).unwrap().unwrap().1.ranges(0).as_slice(),
            std::slice::from_ref(&(0..6))
        );
    }

    // ST-03
    #[test]
    fn after_a_failed_sync_the_writer_takes_nothing_more() {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/d"), 0o755).unwrap();
        let fs: Arc<dyn Fs> = Arc::new(memory.clone());
        let manifest = Arc::new(manifest_of(&[("f", &painted(131_072, 1))]));
        let staging = open(&fs, Path::new("/d/node"));
        let (journal, _) = staging.resume(&manifest, &Hash::of(b"id")).unwrap().unwrap();
        let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), Arc::clone(&manifest), journal, settings());
        writer.write(0, 0, &verified(&painted(65_536, 1))).unwrap();
        memory.fail_once_after(0, 5);
        assert!(matches!(writer.flush(), Err(Error::Io { action: "sync", .. })));
        assert!(matches!(writer.write(0, 1, &verified(&painted(131_072, 1)[65_536..])), Err(Error::Stopped)));
        assert!(matches!(writer.flush(), Err(Error::Stopped)));
        let (_, have) = staging.resume(&manifest, &Hash::of(b"id")).unwrap().unwrap();
        assert_eq!(have.count(), 0);
        assert!(fs.open(&staging.data().join("f"), Open::Read).is_ok());
    }

    // ST-03
    #[test]
    fn of_a_batch_of_many_files_one_lost_write_is_noticed_and_nothing_is_journaled() {
        for watched in [true, false] {
            let memory = MemoryFs::new();
            memory.create_dir(Path::new("/d"), 0o755).unwrap();
            if !watched {
                memory.refuse_watches();
            }
            let (fs, id): (Arc<dyn Fs>, _) = (Arc::new(memory.clone()), Hash::of(b"id"));
            let files: Vec<(String, Vec<u8>)> = (0..40).map(|i| (format!("f{i:02}"), painted(100, i))).collect();
            let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            let manifest = Arc::new(manifest_of(&files));
            let staging = open(&fs, Path::new("/d/node"));
            let (journal, _) = staging.resume(&manifest, &id).unwrap().unwrap();
            let writer = Writer::new(Arc::clone(&fs), Arc::clone(&staging), Arc::clone(&manifest), journal, settings());
            let write_all = || files.iter().enumerate().try_for_each(|(file, (_, bytes))| writer.write(file, 0, &verified(bytes)));
            write_all().unwrap();
            writer.flush().unwrap();
            write_all().unwrap();
            memory.lose_writes(&staging.data().join("f03")).unwrap();
            assert!(matches!(writer.flush(), Err(Error::Io { action: "sync", .. })), "watched: {watched}");
            assert!(matches!(writer.flush(), Err(Error::Stopped)));
        }
    }
}

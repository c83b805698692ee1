//! Reads files again and compares every chunk with its row, on all cores.
//!
//! Work is cut into runs of neighbouring chunks, so that one large file keeps every thread busy while each still reads in order.
//! Holes are not read: a sparse file of terabytes takes as long as its data.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Error, layout,
    verify::{Lists, Options},
};
use crate::{
    format::{
        file_hash::{self, FileHasher},
        list::{FileShape, SEGMENT_ROWS, Segment, segment_of},
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
    },
    fs::{File, Fs, Open},
    progress::{Event, Stop},
    types::Hash,
};

/// Chunks in one piece of work; divides a segment, so that no piece needs two.
const RUN: u64 = 256;

/// Receives each compared chunk: file, chunk, its row, and the BLAKE3 found there, if it could be read.
pub(super) type Compared<'a> = dyn Fn(usize, u64, &Row, Option<Hash>) + Sync + 'a;

/// Compares every chunk of the files `which`. They exist; what is behind the end of one counts as unreadable.
pub(super) fn chunks(
    fs: &dyn Fs,
    dir: &Path,
    manifest: &Manifest,
    which: &[usize],
    lists: &Lists<'_>,
    options: &Options<'_>,
    compared: &Compared<'_>,
) -> Result<(), Error> {
    let runs = Runs::of(manifest, which);
    in_parallel(runs.count, options, || {
        let runs = &runs;
        let rows = Rows::new(lists);
        let mut worker = Worker { fs, dir, manifest, rows, stop: options.stop, compared, buffer: Vec::new() };
        move |number| {
            let (file, first) = runs.get(number);
            worker.run(file, first).inspect(|bytes| options.progress.event(Event::Done { bytes: *bytes })).map(drop)
        }
    })
}

/// The BLAKE3 of whole files, of which `found` is told.
pub(super) fn whole_files(
    fs: &dyn Fs,
    dir: &Path,
    manifest: &Manifest,
    which: &[usize],
    options: &Options<'_>,
    found: &(dyn Fn(usize, Hash) + Sync),
) -> Result<(), Error> {
    in_parallel(which.len() as u64, options, || {
        let mut buffer = Vec::new();
        move |number| {
            let index = which[number as usize];
            found(index, whole_file(fs, dir, manifest, &manifest.files()[index], options.stop, &mut buffer)?);
            Ok(())
        }
    })
}

fn whole_file(fs: &dyn Fs, dir: &Path, manifest: &Manifest, entry: &FileEntry, stop: &Stop, buffer: &mut Vec<u8>) -> Result<Hash, Error> {
    let shape = FileShape::new(entry.bytes, manifest.about().chunk_size);
    let read = |source| Error::io("read", dir.join(&entry.path))(source);
    let file = layout::open_beneath(fs, dir, &entry.path, Open::Read)?;
    let mut hasher = FileHasher::new(shape);
    for chunk in 0..shape.chunks() {
        check_stop(stop)?;
        hasher.push(match read_chunk(&*file, shape, chunk, buffer).map_err(read)? {
            Content::Hole => file_hash::zero_subtree(shape, chunk),
            Content::Data => file_hash::subtree(shape, chunk, buffer),
        });
    }
    Ok(hasher.finish())
}

/// Asked at every chunk: a file may be terabytes, and somebody waits for their prompt.
fn check_stop(stop: &Stop) -> Result<(), Error> {
    if stop.requested() { Err(Error::Stopped) } else { Ok(()) }
}

/// Runs pieces 0..`count` on the threads of `options`, until one fails or somebody asks to stop.
fn in_parallel<W>(count: u64, options: &Options<'_>, make_worker: impl Fn() -> W + Sync) -> Result<(), Error>
where
    W: FnMut(u64) -> Result<(), Error>,
{
    let (next, failure) = (AtomicU64::new(0), Mutex::new(None));
    let take = || next.fetch_add(1, Ordering::Relaxed);
    let fail = |error| {
        next.store(count, Ordering::Relaxed);
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                let mut work = make_worker();
                for number in std::iter::from_fn(|| Some(take()).filter(|number| *number < count)) {
                    if let Err(error) = check_stop(options.stop).and_then(|()| work(number)) {
                        fail(error);
                    }
                }
            });
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// All runs of some files, numbered through.
struct Runs {
    /// First number and index of each file that has chunks.
    starts: Vec<(u64, usize)>,
    count: u64,
}

impl Runs {
    fn of(manifest: &Manifest, which: &[usize]) -> Self {
        let (mut starts, mut count) = (Vec::new(), 0);
        for &file in which {
            let runs = manifest.about().chunk_size.chunks_in(manifest.files()[file].bytes).div_ceil(RUN);
            if runs > 0 {
                starts.push((count, file));
                count += runs;
            }
        }
        Self { starts, count }
    }

    /// File and first chunk of a run.
    fn get(&self, number: u64) -> (usize, u64) {
        let (start, file) = self.starts[self.starts.partition_point(|(start, _)| *start <= number) - 1];
        (file, (number - start) * RUN)
    }
}

struct Worker<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    manifest: &'a Manifest,
    rows: Rows<'a>,
    stop: &'a Stop,
    compared: &'a Compared<'a>,
    buffer: Vec<u8>,
}

impl Worker<'_> {
    /// Compares one run and says how many bytes that were.
    fn run(&mut self, index: usize, first: u64) -> Result<u64, Error> {
        let entry = &self.manifest.files()[index];
        let shape = FileShape::new(entry.bytes, self.manifest.about().chunk_size);
        let file = layout::open_beneath(self.fs, self.dir, &entry.path, Open::Read)?;
        file.advise_sequential();
        let mut bytes = 0;
        for chunk in first..shape.chunks().min(first + RUN) {
            check_stop(self.stop)?;
            let row = self.rows.row(entry, shape, chunk)?;
            let found = match read_chunk(&*file, shape, chunk, &mut self.buffer) {
                Ok(Content::Hole) if row.is_hole() => Some(row.raw),
                Ok(Content::Hole) => Some(Row::hole(shape.raw_len(chunk)).raw),
                Ok(Content::Data) => Some(Hash::of(&self.buffer)),
                Err(_) => None,
            };
            (self.compared)(index, chunk, &row, found);
            bytes += u64::from(shape.raw_len(chunk));
        }
        Ok(bytes)
    }
}

/// The rows of a manifest, from lists that are checked here.
pub(super) struct Rows<'a> {
    lists: &'a Lists<'a>,
    /// The last segment that was parsed: neighbouring chunks need the same one.
    segment: Option<(Hash, Arc<Vec<Row>>)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(lists: &'a Lists<'a>) -> Self {
        Self { lists, segment: None }
    }

    pub(super) fn row(&mut self, entry: &FileEntry, shape: FileShape, chunk: u64) -> Result<Row, Error> {
        match &entry.layout {
            Layout::Rows(rows) => Ok(rows[chunk as usize]),
            Layout::Lists(ids) => {
                let (number, place) = segment_of(chunk);
                Ok(self.segment(entry, ids[number as usize], shape, number)?[place as usize])
            }
        }
    }

    fn segment(&mut self, entry: &FileEntry, id: Hash, shape: FileShape, number: u64) -> Result<Arc<Vec<Row>>, Error> {
        if let Some((_, rows)) = self.segment.as_ref().filter(|(kept, _)| *kept == id) {
            return Ok(Arc::clone(rows));
        }
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| Error::List { path: entry.path.clone(), id, source };
        let bytes = (self.lists)(&id).map_err(|e| refused(e.into()))?;
        if Hash::of(&bytes) != id {
            return Err(refused("its bytes do not match its name".into()));
        }
        let rows = Segment::parse(&bytes, shape, number).map_err(|e| refused(e.into()))?.rows().collect();
        let rows = Arc::new(rows);
        self.segment = Some((id, Arc::clone(&rows)));
        Ok(rows)
    }
}

enum Content {
    Hole,
    Data,
}

fn read_chunk(file: &dyn File, shape: FileShape, chunk: u64, buffer: &mut Vec<u8>) -> std::io::Result<Content> {
    let (offset, len) = (shape.chunk_size.offset_of(chunk), shape.raw_len(chunk));
    let end = offset + u64::from(len);
    // A file that is too short has no hole behind its end.
    let in_file = file.stat()?.len >= end;
    if in_file && file.next_data(offset)?.is_none_or(|data| data.start >= end) {
        return Ok(Content::Hole);
    }
    buffer.resize(len as usize, 0);
    file.read_exact_at(buffer, offset)?;
    Ok(Content::Data)
}

const _: () = assert!(SEGMENT_ROWS.is_multiple_of(RUN), "a run lies in one segment");

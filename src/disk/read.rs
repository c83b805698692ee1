//! Reads the chunks of one file of a data directory, and notices when the file changes meanwhile.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

use super::{
    Error, layout,
    scan::{ScannedFile, same_content},
};
use crate::{
    format::list::FileShape,
    fs::{File, Fs, Open},
    types::ChunkSize,
};

/// Places at which a file is asked whether it is in the page cache.
const CACHE_SAMPLES: u64 = 8;

/// Pages that are dropped at once, a multiple of every chunk size.
const DROP_BYTES: u64 = 64 << 20;

/// What a chunk of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Only zero bytes; the buffer holds nothing of use.
    Hole,
    /// The bytes in the buffer.
    Data,
}

/// Reads one file of a scanned directory, from any number of threads, and notices when it changes meanwhile.
#[derive(Debug)]
pub struct FileReader {
    file: Arc<dyn File>,
    scanned: ScannedFile,
    shape: FileShape,
    cache: Cache,
    /// The data that follows the last place that was asked about: a file has few ranges and many chunks.
    data: Mutex<Option<KnownData>>,
}

/// What to do with the pages of a file after they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    /// They were in memory before: somebody uses them.
    Keep,
    /// They are there because of us. Pages of the node matter more.
    Drop,
}

/// From `asked` on, the next data is `next`; `None` when only a hole follows.
#[derive(Clone, Debug)]
struct KnownData {
    asked: u64,
    next: Option<Range<u64>>,
}

impl FileReader {
    /// Opens the file and checks that it is still the one that was scanned.
    ///
    /// # Errors
    /// [`Error::SourceChanged`] when it is another or gone.
    pub fn open(fs: &dyn Fs, root: &Path, scanned: &ScannedFile, chunk_size: ChunkSize) -> Result<Self, Error> {
        let file = match layout::open_beneath(fs, root, &scanned.path, Open::Read) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Err(changed(scanned, "was removed")),
            file => file?,
        };
        // Asked before anything is read ahead.
        let cache = cache(&*file, scanned.stat.len);
        file.advise_sequential();
        let shape = FileShape::new(scanned.stat.len, chunk_size);
        let reader = Self { file, scanned: scanned.clone(), shape, cache, data: Mutex::default() };
        reader.check()?;
        Ok(reader)
    }

    /// The file's length and cuts.
    #[must_use]
    pub fn shape(&self) -> FileShape {
        self.shape
    }

    /// Reads chunk `chunk` into `into`, whose capacity is reused. On [`Content::Data`] it holds exactly the chunk. What is in a hole
    /// is not read; a chunk of written zeros is a [`Content::Hole`] too.
    ///
    /// # Errors
    /// [`Error::SourceChanged`] when the file became shorter; [`Error::Io`].
    pub fn read(&self, chunk: u64, into: &mut Vec<u8>) -> Result<Content, Error> {
        let (offset, len) = (self.shape.chunk_size.offset_of(chunk), self.shape.raw_len(chunk));
        let in_hole = self.next_data(offset).map_err(self.io_error())?.is_none_or(|data| data.start >= offset + u64::from(len));
        if in_hole {
            return Ok(Content::Hole);
        }
        into.resize(len as usize, 0);
        let read = self.file.read_exact_at(into, offset);
        self.drop_pages_behind(offset);
        match read {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(changed(&self.scanned, "became shorter")),
            Err(e) => Err(self.io_error()(e)),
            Ok(()) if is_zero(into) => Ok(Content::Hole),
            Ok(()) => Ok(Content::Data),
        }
    }

    /// Checks that the file did not change since it was scanned. What was read counts only after this. Leaves in the page cache what was
    /// there before, and no more.
    ///
    /// # Errors
    /// [`Error::SourceChanged`].
    pub fn finish(&self) -> Result<(), Error> {
        if self.cache == Cache::Drop {
            self.file.advise_done(0..self.shape.bytes);
        }
        self.check()
    }

    /// Drops what was read a while ago, a piece at a time: other threads read just before and behind `offset`.
    fn drop_pages_behind(&self, offset: u64) {
        if self.cache == Cache::Drop && offset.is_multiple_of(DROP_BYTES) && offset >= 2 * DROP_BYTES {
            self.file.advise_done(offset - 2 * DROP_BYTES..offset - DROP_BYTES);
        }
    }

    fn check(&self) -> Result<(), Error> {
        let now = self.file.stat().map_err(self.io_error())?;
        if same_content(&self.scanned.stat, &now) { Ok(()) } else { Err(changed(&self.scanned, "changed")) }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let mut data = self.data.lock().expect("no holder of this lock panics");
        if let Some(known) = &*data
            && known.asked <= offset
            && known.next.as_ref().is_none_or(|data| offset < data.end)
        {
            return Ok(known.next.clone());
        }
        let next = self.file.next_data(offset)?;
        *data = Some(KnownData { asked: offset, next: next.clone() });
        Ok(next)
    }

    fn io_error(&self) -> impl FnOnce(io::Error) -> Error + use<> {
        Error::io("read", self.scanned.path.as_path().to_owned())
    }
}

/// Asks at some places whether the file is in the page cache.
fn cache(file: &dyn File, len: u64) -> Cache {
    let cached = (0..CACHE_SAMPLES).filter(|place| file.is_cached(len / CACHE_SAMPLES * place)).count() as u64;
    if 2 * cached >= CACHE_SAMPLES { Cache::Keep } else { Cache::Drop }
}

fn changed(file: &ScannedFile, what: &'static str) -> Error {
    Error::SourceChanged { path: file.path.clone(), what }
}

/// Compares by words that the compiler can do many of at once; a chunk of data is left at its first.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{
            scan::scan,
            testing::{chunk_size, painted, put},
        },
        fs::{MemoryFs, RealFs},
    };

    fn reader(fs: &MemoryFs) -> FileReader {
        let scan = scan(fs, Path::new("/d"), &crate::disk::select::Selection::everything()).unwrap();
        FileReader::open(fs, &scan.root, &scan.files[0], chunk_size()).unwrap()
    }

    /// The pages of a file that are in the page cache after all of it was read: all, where the file system keeps them anyway.
    fn pages_after_reading(before: impl FnOnce(&dyn File)) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs.open(&dir.path().join("f"), Open::CreateNew(0o600)).unwrap();
        file.write_all_at(&painted(400_000, 1), 0).unwrap();
        file.sync_all().unwrap();
        before(&*file);
        let scan = scan(&RealFs, dir.path(), &crate::disk::select::Selection::everything()).unwrap();
        let reader = FileReader::open(&RealFs, &scan.root, &scan.files[0], chunk_size()).unwrap();
        (0..reader.shape().chunks()).for_each(|chunk| assert!(reader.read(chunk, &mut Vec::new()).is_ok()));
        reader.finish().unwrap();
        (0..400_000).step_by(4096).filter(|page| file.is_cached(*page)).count()
    }

    #[test]
    fn leaves_in_the_page_cache_what_was_there_before() {
        assert_eq!(pages_after_reading(|_| {}), 98);
        let can_drop = {
            let dir = tempfile::tempdir().unwrap();
            let file = RealFs.open(&dir.path().join("f"), Open::CreateNew(0o600)).unwrap();
            file.write_all_at(&[1; 9000], 0).unwrap();
            file.sync_all().unwrap();
            file.advise_done(0..9000);
            !file.is_cached(0)
        };
        // The kernel keeps a page that somebody else happens to look at: once in a few times all are dropped.
        let left = (0..5).map(|_| pages_after_reading(|file| file.advise_done(0..400_000))).min().unwrap();
        assert!(left < 10 || !can_drop, "{left} pages");
    }

    // ST-12
    #[test]
    fn tells_data_from_holes_and_from_written_zeros() {
        let fs = MemoryFs::new();
        put(&fs, "/d/f", &painted(70_000, 1));
        let file = fs.open(Path::new("/d/f"), Open::ReadWrite).unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_at(&[0; 10], 5 * 65_536).unwrap();
        let (reader, mut buffer) = (reader(&fs), Vec::new());
        assert_eq!(reader.read(0, &mut buffer).unwrap(), Content::Data);
        assert_eq!(buffer, painted(65_536, 1));
        assert_eq!(reader.read(1, &mut buffer).unwrap(), Content::Data);
        assert_eq!((buffer.len(), &buffer[4464..4466]), (65_536, &[0, 0][..]));
        for chunk in [2, 5, 6, reader.shape().chunks() - 1] {
            assert_eq!(reader.read(chunk, &mut buffer).unwrap(), Content::Hole);
        }
        reader.finish().unwrap();
    }

    // PU-01
    #[test]
    fn a_file_that_is_written_to_while_it_is_read_is_refused() {
        let fs = MemoryFs::new();
        put(&fs, "/d/f", &painted(70_000, 1));
        let reader = reader(&fs);
        fs.open(Path::new("/d/f"), Open::ReadWrite).unwrap().write_at(b"x", 9).unwrap();
        assert!(matches!(reader.finish(), Err(Error::SourceChanged { what: "changed", .. })));
    }

    // PU-02
    #[test]
    fn a_file_that_is_cut_or_removed_is_named() {
        let fs = MemoryFs::new();
        put(&fs, "/d/f", &painted(70_000, 1));
        let scan = scan(&fs, Path::new("/d"), &crate::disk::select::Selection::everything()).unwrap();
        let reader = reader(&fs);
        fs.open(Path::new("/d/f"), Open::ReadWrite).unwrap().set_len(66_000).unwrap();
        assert!(matches!(reader.read(1, &mut Vec::new()), Err(Error::SourceChanged { what: "became shorter", .. })));
        fs.remove_file(Path::new("/d/f")).unwrap();
        let gone = FileReader::open(&fs, &scan.root, &scan.files[0], chunk_size());
        assert!(matches!(gone, Err(Error::SourceChanged { what: "was removed", .. })));
    }
}

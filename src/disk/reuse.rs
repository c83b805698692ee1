//! What directories on this machine hold of a snapshot: the database that is to be replaced, and others.
//!
//! Nothing here decides anything. It opens files without following a link, tells what the record of their directory says of them, reads
//! and proves chunks, and gives a file of the old database a second name in the staging directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Error, layout,
    record::{Record, Stats},
};
use crate::{
    format::{
        chunk::{self, VerifiedChunk},
        list::{FileShape, Segment},
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
    },
    fs::{File, Fs, Kind, Open, Stat},
    types::{ChunkSize, Hash},
};

/// A directory whose files may hold chunks of a snapshot, at the same path and offset.
#[derive(Debug)]
pub struct Origin {
    dir: PathBuf,
    known: Option<Known>,
    told: AtomicBool,
}

/// What this machine knows of a directory that it restored.
#[derive(Debug)]
struct Known {
    record: Record,
    manifest: Manifest,
    stats: Stats,
}

impl Origin {
    /// A directory of which nothing is known before it is read.
    #[must_use]
    pub fn unknown(dir: PathBuf) -> Self {
        Self { dir, known: None, told: AtomicBool::new(false) }
    }

    /// The directory with the record that this machine keeps of it, if it does. A record that cannot be read costs reading the directory.
    #[must_use]
    pub fn recorded(fs: &dyn Fs, state_dir: &Path, dir: PathBuf) -> Self {
        let known = Record::load(fs, state_dir, &dir).ok().flatten().and_then(|record| {
            let stored = &record.pin.manifest;
            let manifest = Manifest::parse_stored(&stored.bytes, stored.json_bytes).ok()?;
            let stats = record.stats(fs, &manifest).ok()?;
            Some(Known { record, manifest, stats })
        });
        Self { dir, known, told: AtomicBool::new(false) }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether this is the first time that somebody asks: trouble with a directory is told once.
    #[must_use]
    pub fn is_first_trouble(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// Opens the file that lies where `file` belongs; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be opened: a link is on the way, it is no file, or this user may not read it.
    pub fn open(self: &Arc<Self>, fs: &dyn Fs, file: &FileEntry) -> Result<Option<Candidate>, Error> {
        let opened = match layout::open_beneath(fs, &self.dir, &file.path, Open::Read) {
            Err(Error::Io { source, .. }) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            opened => opened?,
        };
        opened.advise_sequential();
        let stat = opened.stat().map_err(Error::io("look at", self.dir.join(&file.path)))?;
        let known = self.known.as_ref().and_then(|known| known.index_of(file, &stat));
        Ok(Some(Candidate { origin: Arc::clone(self), file: opened, stat, known }))
    }
}

impl Known {
    /// Index of the recorded file of that path, when nobody touched it since.
    fn index_of(&self, file: &FileEntry, stat: &Stat) -> Option<usize> {
        let (index, _) = self.manifest.find(file.path.as_str())?;
        self.stats.is_unchanged(index, stat).then_some(index)
    }
}

/// An open file that may hold chunks of a file of the snapshot.
#[derive(Debug)]
pub struct Candidate {
    origin: Arc<Origin>,
    file: Arc<dyn File>,
    stat: Stat,
    /// Index in the manifest of the directory's record, when the file was not touched since.
    known: Option<usize>,
}

/// What the record of a directory says of one of its files, which was not touched since.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Its length and cuts.
    pub shape: FileShape,
    /// What it holds.
    pub layout: &'a Layout,
}

impl Candidate {
    /// The directory that it lies in.
    #[must_use]
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// What the file system said of it when it was opened.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// What is recorded of it; `None` when nothing is, or when it was touched since.
    #[must_use]
    pub fn recorded(&self) -> Option<Recorded<'_>> {
        let manifest = &self.origin.known.as_ref()?.manifest;
        let file = &manifest.files()[self.known?];
        Some(Recorded { shape: FileShape::new(file.bytes, manifest.about().chunk_size), layout: &file.layout })
    }

    /// The recorded rows of one segment; none behind the last. `None` when nothing is recorded, or the list was lost.
    #[must_use]
    pub fn recorded_rows(&self, fs: &dyn Fs, segment: u64) -> Option<Vec<Row>> {
        let recorded = self.recorded()?;
        match recorded.layout {
            Layout::Rows(rows) => Some(if segment == 0 { rows.to_vec() } else { Vec::new() }),
            Layout::Lists(lists) => match lists.get(usize::try_from(segment).ok()?) {
                None => Some(Vec::new()),
                Some(id) => self.recorded_list(fs, id, recorded.shape, segment),
            },
        }
    }

    fn recorded_list(&self, fs: &dyn Fs, id: &Hash, shape: FileShape, segment: u64) -> Option<Vec<Row>> {
        let bytes = self.origin.known.as_ref()?.record.list(fs, id).ok()??;
        Some(Segment::parse(&bytes, shape, segment).ok()?.rows().collect())
    }

    /// Length of the frames of those chunks of `file` that are recorded to be here. Of a file with lists only whole segments count: what is
    /// in the others is not at hand.
    #[must_use]
    pub fn recorded_frame_bytes(&self, fs: &dyn Fs, file: &FileEntry, chunk_size: ChunkSize) -> u64 {
        let Some(recorded) = self.recorded().filter(|recorded| recorded.shape.chunk_size == chunk_size) else { return 0 };
        let sum = |rows: &[Row]| rows.iter().map(|row| u64::from(row.frame_bytes())).sum::<u64>();
        match (&file.layout, recorded.layout) {
            (Layout::Rows(wanted), Layout::Rows(here)) => {
                sum(&wanted.iter().zip(here).filter(|(wanted, here)| wanted.raw == here.raw).map(|(wanted, _)| *wanted).collect::<Vec<_>>())
            }
            (Layout::Lists(wanted), Layout::Lists(here)) => {
                let same = (0..).zip(wanted.iter().zip(here)).filter(|(_, (wanted, here))| wanted == here);
                same.filter_map(|(segment, _)| self.recorded_rows(fs, segment)).map(|rows| sum(&rows)).sum()
            }
            (Layout::Rows(_), Layout::Lists(_)) | (Layout::Lists(_), Layout::Rows(_)) => 0,
        }
    }

    /// Gives the file a second name in `data`, instead of the file that was made there for `file`, and says whether that was possible.
    /// Where not, that file is made again.
    ///
    /// # Errors
    /// When neither is possible.
    pub fn link(&self, fs: &dyn Fs, data: &Path, file: &FileEntry) -> Result<bool, Error> {
        let (from, to) = (self.origin.dir.join(&file.path), data.join(&file.path));
        fs.remove_file(&to).map_err(Error::io("remove", &to))?;
        // The name may lead elsewhere by now, or through a link: what counts is the file that was opened.
        let linked = fs.hard_link(&from, &to).and_then(|()| fs.stat(&to)).is_ok_and(|now| is_same_file(&self.stat, &now));
        if !linked {
            layout::make_file(fs, data, file)?;
        }
        Ok(linked)
    }
}

fn is_same_file(opened: &Stat, now: &Stat) -> bool {
    let identity = |stat: &Stat| (stat.dev, stat.ino, stat.len, stat.mtime_ns);
    now.kind == Kind::File && identity(opened) == identity(now)
}

/// Reads a chunk from where it should lie in a local file, into `buffer`, and proves it. `None` when it is not there.
///
/// # Errors
/// When the file cannot be read.
pub fn read_chunk<'a>(
    file: &dyn File,
    shape: FileShape,
    index: u64,
    row: &Row,
    buffer: &'a mut Vec<u8>,
) -> io::Result<Option<VerifiedChunk<'a>>> {
    let raw_len = shape.raw_len(index);
    buffer.resize(raw_len as usize, 0);
    match file.read_exact_at(buffer, shape.chunk_size.offset_of(index)) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(chunk::verify_raw(row, raw_len, buffer).ok())
}

/// Gives an entry of a staging directory to its new owner. A file that the old database shares belongs to that owner already.
///
/// # Errors
/// When it cannot be done, and for a shared file of another owner: the old database's file would change hands.
pub fn give_to(fs: &dyn Fs, path: &Path, uid: u32, gid: u32) -> Result<(), Error> {
    let stat = fs.stat(path).map_err(Error::io("look at", path))?;
    if (stat.uid, stat.gid) == (uid, gid) {
        return Ok(());
    }
    if stat.kind == Kind::File && layout::is_shared(&stat) {
        return Err(Error::NotAsListed { path: path.to_owned(), what: "also a file of another directory" });
    }
    fs.chown(path, uid, gid).map_err(Error::io("change the owner of", path))
}

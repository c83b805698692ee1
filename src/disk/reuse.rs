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

    /// Whether nobody has written to it since it was opened: hours may pass before it is taken, and its record says nothing of what came since.
    #[must_use]
    pub fn is_as_opened(&self) -> bool {
        let facts = |stat: &Stat| (stat.dev, stat.ino, stat.len, stat.mtime_ns, stat.ctime_ns);
        self.file.stat().is_ok_and(|now| facts(&now) == facts(&self.stat))
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
        // That changes the time of its inode, so this is the last moment to compare it.
        let link = || fs.hard_link(&from, &to).and_then(|()| fs.stat(&to)).is_ok_and(|now| is_same_file(&self.stat, &now));
        let linked = self.is_as_opened() && link();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::{
            have::Have,
            journal::Journal,
            staging::{Owned, Pin, Staging},
            testing::{bytes_of, lists_of, manifest_of, painted, put, verified},
            verify,
            writer::{Settings, Writer},
        },
        fs::{MemoryFs, RealFs},
        progress::{NoProgress, Stop},
    };

    const OLD: &str = "/d/old";
    const STATE: &str = "/state";

    /// A directory that this machine restored, with a file that has a list and one that has none.
    fn restored(fs: &MemoryFs, large: &[u8]) -> Arc<Origin> {
        let files = [("db/1.sst", large), ("db/2", b"small".as_slice())];
        for (path, bytes) in files {
            put(fs, &format!("{OLD}/{path}"), bytes);
        }
        let manifest = manifest_of(&files);
        let staging = Staging::open(Arc::new(fs.clone()), Path::new(OLD), Owned::Whole).unwrap();
        let pin = Pin { channel: "a/b".parse().unwrap(), roots: vec![], head: vec![1], manifest: manifest.to_stored(1).unwrap() };
        staging.set_pin(&pin).unwrap();
        lists_of(&files).into_iter().for_each(|(id, bytes)| staging.put_list(&id, &bytes).unwrap());
        Stats::of(fs, Path::new(OLD), &manifest).unwrap().keep(&staging).unwrap();
        Record::save(fs, Path::new(STATE), &staging, &manifest).unwrap();
        staging.remove().unwrap();
        Arc::new(Origin::recorded(fs, Path::new(STATE), OLD.into()))
    }

    fn staging(fs: &MemoryFs) -> Arc<Staging> {
        Arc::new(Staging::open(Arc::new(fs.clone()), Path::new("/d/new"), Owned::Whole).unwrap())
    }

    fn overwrite(fs: &MemoryFs, path: &str, byte: u8) {
        fs.open(Path::new(path), Open::ReadWrite).unwrap().write_all_at(&[byte], 0).unwrap();
    }

    #[test]
    fn the_record_speaks_of_files_that_nobody_touched_and_of_no_others() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let origin = restored(&fs, &large);
        let wanted = manifest_of(&[("db/1.sst", &large), ("db/2", b"small"), ("db/3", b"new")]);
        let [table, small, new] = wanted.files() else { panic!("three files") };
        let candidate = origin.open(&fs, table).unwrap().unwrap();
        assert_eq!(candidate.recorded().unwrap().layout, &table.layout);
        assert_eq!(candidate.recorded_rows(&fs, 0).unwrap().len(), 7);
        assert_eq!(candidate.recorded_rows(&fs, 1), Some(Vec::new()));
        assert_eq!(candidate.recorded_frame_bytes(&fs, table, wanted.about().chunk_size), 7 * 40);
        assert!(origin.open(&fs, new).unwrap().is_none());
        overwrite(&fs, "/d/old/db/2", b'S');
        assert!(origin.open(&fs, small).unwrap().unwrap().recorded().is_none());
        let unread = Arc::new(Origin::unknown(OLD.into()));
        assert!(unread.open(&fs, table).unwrap().unwrap().recorded_rows(&fs, 0).is_none());
    }

    // P2
    #[test]
    fn a_file_that_is_written_to_after_it_was_looked_at_gets_no_second_name() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let origin = restored(&fs, &large);
        let (wanted, staging) = (manifest_of(&[("db/1.sst", &large)]), staging(&fs));
        staging.resume(&wanted, &Hash::of(b"id")).unwrap().unwrap();
        let candidate = origin.open(&fs, &wanted.files()[0]).unwrap().unwrap();
        fs.chown(Path::new("/d/old/db/1.sst"), 7, 7).unwrap();
        assert!(!candidate.is_as_opened() && !candidate.link(&fs, &staging.data(), &wanted.files()[0]).unwrap());
        assert_eq!(fs.stat(Path::new("/d/old/db/1.sst")).unwrap().nlink, 1);
    }

    // MF-05
    #[test]
    fn a_link_is_trouble_that_is_told_once() {
        let (fs, large) = (MemoryFs::new(), painted(10, 1));
        let origin = restored(&fs, &large);
        fs.remove_file(Path::new("/d/old/db/2")).unwrap();
        fs.symlink(Path::new("/d/old/db/2")).unwrap();
        let wanted = manifest_of(&[("db/2", b"small")]);
        assert!(origin.open(&fs, &wanted.files()[0]).is_err());
        assert!(origin.is_first_trouble() && !origin.is_first_trouble());
    }

    #[test]
    fn a_chunk_is_proved_before_it_counts() {
        let (fs, large) = (MemoryFs::new(), painted(100_000, 1));
        let origin = restored(&fs, &large);
        let wanted = manifest_of(&[("db/1.sst", &large)]);
        let (entry, shape) = (&wanted.files()[0], FileShape::new(100_000, wanted.about().chunk_size));
        let Layout::Rows(rows) = &entry.layout else { panic!("two chunks have no list") };
        let candidate = origin.open(&fs, entry).unwrap().unwrap();
        let mut buffer = Vec::new();
        let mut read = |chunk: u64| {
            let found = read_chunk(&**candidate.file(), shape, chunk, &rows[chunk as usize], &mut buffer).unwrap();
            found.map(|chunk| chunk.bytes().to_vec())
        };
        assert_eq!(read(1), Some(large[65_536..].to_vec()));
        overwrite(&fs, "/d/old/db/1.sst", 77);
        assert_eq!(read(0), None);
        fs.open(Path::new("/d/old/db/1.sst"), Open::ReadWrite).unwrap().set_len(70_000).unwrap();
        assert_eq!(read(1), None);
    }

    /// A staging directory in which the table of the old database has its second name.
    fn linked(fs: &MemoryFs, large: &[u8]) -> (Arc<Staging>, Manifest, Hash) {
        let origin = restored(fs, large);
        let (wanted, staging, id) = (manifest_of(&[("db/1.sst", large)]), staging(fs), Hash::of(b"id"));
        staging.resume(&wanted, &id).unwrap().unwrap();
        let candidate = origin.open(fs, &wanted.files()[0]).unwrap().unwrap();
        assert!(candidate.link(fs, &staging.data(), &wanted.files()[0]).unwrap());
        assert_eq!(fs.stat(Path::new("/d/old/db/1.sst")).unwrap().nlink, 2);
        (staging, wanted, id)
    }

    fn is_untouched(fs: &MemoryFs, large: &[u8]) -> bool {
        bytes_of(fs, "/d/old/db/1.sst") == large
    }

    // P2: every writer into a staging directory, when the old database shares a file with it
    #[test]
    fn a_resumed_run_makes_a_linked_file_anew() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let (staging, wanted, id) = linked(&fs, &large);
        let (_, have) = staging.resume(&wanted, &id).unwrap().unwrap();
        assert_eq!((have.count(), fs.stat(Path::new("/d/old/db/1.sst")).unwrap().nlink), (0, 1));
        assert_eq!(bytes_of(&fs, "/d/.new.qsync-partial/data/db/1.sst"), vec![0; 400_000]);
        assert!(is_untouched(&fs, &large));
    }

    // P2
    #[test]
    fn records_of_a_file_that_is_linked_now_are_void() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let (staging, wanted, id) = linked(&fs, &large);
        let mut all = Have::none(&wanted);
        all.insert(0, 0..7);
        Journal::create(&fs, &staging.path().join("journal"), &id, &all, 1).unwrap();
        let (_, have) = staging.resume(&wanted, &id).unwrap().unwrap();
        assert_eq!(have.count(), 0);
        assert!(is_untouched(&fs, &large));
    }

    // P2
    #[test]
    fn a_linked_file_survives_no_lost_journal_and_is_not_cut_for_a_newer_snapshot() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let (staging, wanted, _) = linked(&fs, &large);
        let lists = lists_of(&[("db/1.sst", &large)]);
        let kept = |id: &Hash| Ok(lists[id].clone());
        let how = verify::Options { threads: 1, whole_files: false, stop: &Stop::new(), progress: &NoProgress };
        let have = verify::surviving(&fs, &staging.data(), &wanted, &kept, &how).unwrap();
        assert_eq!(have.count(), 0);

        let shorter = manifest_of(&[("db/1.sst", &large[..300_000])]);
        let mut some = Have::none(&shorter);
        some.insert(0, 0..2);
        // Nobody claims chunks of such a file; whoever did would be refused rather than cut it.
        let claimed = staging.start(&shorter, &Hash::of(b"newer"), &some);
        assert!(matches!(claimed, Err(Error::NotAsListed { .. })));
        assert!(is_untouched(&fs, &large));
        staging.start(&shorter, &Hash::of(b"newer"), &Have::none(&shorter)).unwrap();
        assert!(is_untouched(&fs, &large));
    }

    // P2
    #[test]
    fn no_chunk_hole_or_clone_is_written_to_a_linked_file_and_no_owner_changed() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let (staging, wanted, id) = linked(&fs, &large);
        let journal = Journal::create(&fs, &staging.path().join("journal"), &id, &Have::none(&wanted), 1).unwrap();
        let writer = Writer::new(Arc::new(fs.clone()), Arc::clone(&staging), Arc::new(wanted), journal, Settings::default());
        let source = fs.open(Path::new("/d/old/db/2"), Open::Read).unwrap();
        let refused = [
            writer.write(0, 0, &verified(&large[..65_536])),
            writer.write_holes(0, 1..2),
            writer.clone_file(0, &*source).map(drop),
            writer.adopt(0, &[0]),
            give_to(&fs, &staging.data().join("db/1.sst"), 7, 7),
        ];
        assert!(refused.iter().all(|refused| matches!(refused, Err(Error::NotAsListed { .. }))), "{refused:?}");
        give_to(&fs, &staging.data().join("db/1.sst"), 0, 0).unwrap();
        assert!(is_untouched(&fs, &large));
    }

    #[test]
    fn a_name_that_leads_elsewhere_by_now_is_not_linked() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let origin = restored(&fs, &large);
        let (wanted, staging) = (manifest_of(&[("db/1.sst", &large)]), staging(&fs));
        staging.resume(&wanted, &Hash::of(b"id")).unwrap().unwrap();
        let candidate = origin.open(&fs, &wanted.files()[0]).unwrap().unwrap();
        fs.remove_file(Path::new("/d/old/db/1.sst")).unwrap();
        for other in [Some(painted(400_000, 2)), None] {
            match other {
                Some(bytes) => put(&fs, "/d/old/db/1.sst", &bytes),
                None => fs.remove_file(Path::new("/d/old/db/1.sst")).unwrap(),
            }
            assert!(!candidate.link(&fs, &staging.data(), &wanted.files()[0]).unwrap());
            assert_eq!(bytes_of(&fs, "/d/.new.qsync-partial/data/db/1.sst"), vec![0; 400_000]);
        }
    }

    // ST-10
    #[test]
    fn a_file_system_without_links_or_clones_costs_a_copy() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let origin = restored(&fs, &large);
        let (wanted, staging, id) = (manifest_of(&[("db/1.sst", &large)]), staging(&fs), Hash::of(b"id"));
        let (journal, _) = staging.resume(&wanted, &id).unwrap().unwrap();
        let candidate = origin.open(&fs, &wanted.files()[0]).unwrap().unwrap();
        // EPERM at the link, which follows the removal of the file that was made for it.
        fs.fail_once_after(1, 1);
        assert!(!candidate.link(&fs, &staging.data(), &wanted.files()[0]).unwrap());
        let writer = Writer::new(Arc::new(fs.clone()), Arc::clone(&staging), Arc::new(wanted), journal, Settings::default());
        fs.refuse_clones();
        assert!(!writer.clone_file(0, &**candidate.file()).unwrap());
        let other_disk = tempfile::NamedTempFile::new().unwrap();
        assert!(!writer.clone_file(0, &*RealFs.open(other_disk.path(), Open::Read).unwrap()).unwrap());
        assert_eq!(bytes_of(&fs, "/d/.new.qsync-partial/data/db/1.sst"), vec![0; 400_000]);
    }

    #[test]
    fn chunks_of_a_clone_are_journaled_once_they_are_durable() {
        let (fs, large) = (MemoryFs::new(), painted(400_000, 1));
        let origin = restored(&fs, &large);
        let longer = [&large[..], &painted(100_000, 9)].concat();
        let (wanted, staging, id) = (manifest_of(&[("db/1.sst", &longer)]), staging(&fs), Hash::of(b"id"));
        let (journal, _) = staging.resume(&wanted, &id).unwrap().unwrap();
        let candidate = origin.open(&fs, &wanted.files()[0]).unwrap().unwrap();
        let shared = Arc::new(wanted.clone());
        let writer = Writer::new(Arc::new(fs.clone()), Arc::clone(&staging), shared, journal, Settings::default());
        assert!(writer.clone_file(0, &**candidate.file()).unwrap());
        writer.adopt(0, &[0, 1, 2, 3, 4, 5]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        for seed in 0..20 {
            let after = fs.power_cut(seed);
            let staging = Staging::open(Arc::new(after.clone()), Path::new("/d/new"), Owned::Whole).unwrap();
            let (_, have) = staging.resume(&wanted, &id).unwrap().unwrap();
            assert_eq!((have.count(), have.ranges(0).first()), (6, Some(&(0..6))));
            let staged = bytes_of(&after, "/d/.new.qsync-partial/data/db/1.sst");
            assert_eq!((staged.len(), &staged[..6 * 65_536]), (500_000, &large[..6 * 65_536]));
        }
        assert!(is_untouched(&fs, &large));
    }
}

//! An open file of the machine's file system.

use std::{
    any::Any,
    fs, io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
};

use rustix::{
    fs::{Advice, FallocateFlags, Mode, OFlags, SeekFrom, copy_file_range, fadvise, fallocate, ioctl_ficlone, seek},
    io::{Errno, ReadWriteFlags, preadv2, retry_on_intr},
};

use crate::fs::{File, Kind, Open, Stat};

#[derive(Debug)]
pub(super) struct RealFile(fs::File);

impl RealFile {
    /// Takes an open file; refuses what is not a regular file: a directory cannot be read, and a fifo would hang.
    pub(super) fn new(file: fs::File) -> io::Result<Self> {
        match stat(&file.metadata()?).kind {
            Kind::File => Ok(Self(file)),
            Kind::Dir => Err(Errno::ISDIR.into()),
            Kind::Symlink => Err(Errno::LOOP.into()),
            Kind::Special => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let len = range.end - range.start;
        Ok(retry_on_intr(|| fallocate(&self.0, FallocateFlags::KEEP_SIZE, range.start, len))?)
    }

    fn clone_from_file(&self, source: &dyn File) -> io::Result<()> {
        let Some(Self(source)) = (source as &dyn Any).downcast_ref() else { return Err(io::ErrorKind::Unsupported.into()) };
        match ioctl_ficlone(&self.0, source) {
            Ok(()) => self.0.set_len(source.metadata()?.len()),
            // Each file system has its own way to say that it shares no blocks, or not between these two.
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV | Errno::NOSYS | Errno::PERM) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(e) => Err(e.into()),
        }
    }

    fn copy_from_file(&self, source: &dyn File, range: Range<u64>) -> io::Result<()> {
        let (mut from, mut to) = (range.start, range.start);
        if let Some(Self(source)) = (source as &dyn Any).downcast_ref() {
            while from < range.end {
                let count = usize::try_from(range.end - from).unwrap_or(usize::MAX).min(MAX_COPY);
                match copy_file_range(source, Some(&mut from), &self.0, Some(&mut to), count) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) | Err(Errno::INTR) => {}
                    // Not between these two, or not here at all: what is left goes through memory.
                    Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => break,
                    Err(e) => return Err(e.into()),
                }
            }
        }
        self.copy_through_memory(source, from..range.end)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let start = match seek(&self.0, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL) => return self.rest(offset),
            Err(e) => return Err(e.into()),
        };
        match seek(&self.0, SeekFrom::Hole(start)) {
            Ok(end) => Ok(Some(start..end)),
            Err(Errno::NXIO) => Ok(None), // cut by somebody since the first call
            Err(e) => Err(e.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.0.metadata().map(|metadata| stat(&metadata))
    }

    // Advice that is not taken costs time only.
    fn advise_sequential(&self) {
        let _ = fadvise(&self.0, 0, None, Advice::Sequential);
    }

    fn is_cached(&self, offset: u64) -> bool {
        let waits = preadv2(&self.0, &mut [io::IoSliceMut::new(&mut [0])], offset, ReadWriteFlags::NOWAIT);
        waits != Err(Errno::AGAIN)
    }

    fn advise_done(&self, range: Range<u64>) {
        if let Some(len) = range.end.checked_sub(range.start).and_then(std::num::NonZeroU64::new) {
            let _ = fadvise(&self.0, range.start, Some(len), Advice::DontNeed);
        }
    }
}

/// The most that one system call copies, so that a request to stop is heard soon.
const MAX_COPY: usize = 64 << 20;

impl RealFile {
    fn rest(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.0.metadata()?.len();
        Ok((offset < len).then_some(offset..len))
    }
}

/// `O_NONBLOCK` means nothing to a regular file, and keeps a fifo from hanging us before it is refused.
pub(super) fn flags(how: Open) -> OFlags {
    let always = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    always
        | match how {
            Open::Read => OFlags::RDONLY,
            Open::ReadWrite => OFlags::RDWR,
            Open::CreateNew(_) => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            Open::Create(_) => OFlags::RDWR | OFlags::CREATE,
        }
}

pub(super) fn mode(how: Open) -> Mode {
    match how {
        Open::Read | Open::ReadWrite => Mode::empty(),
        Open::CreateNew(mode) | Open::Create(mode) => Mode::from_raw_mode(mode),
    }
}

pub(super) fn stat(metadata: &fs::Metadata) -> Stat {
    let nanoseconds = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    Stat {
        kind: kind(metadata.file_type()),
        len: metadata.len(),
        allocated_bytes: metadata.blocks().saturating_mul(512),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        dev: metadata.dev(),
        ino: metadata.ino(),
        nlink: metadata.nlink(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    }
}

fn kind(of: fs::FileType) -> Kind {
    if of.is_file() {
        Kind::File
    } else if of.is_dir() {
        Kind::Dir
    } else if of.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Special
    }
}

#[cfg(test)]
mod tests {
    use crate::fs::{Fs, Open, RealFs};

    #[test]
    fn knows_what_is_in_the_page_cache() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs.open(&dir.path().join("f"), Open::CreateNew(0o600)).unwrap();
        file.write_all_at(&[1; 100_000], 0).unwrap();
        file.sync_all().unwrap();
        assert!(file.is_cached(0) && file.is_cached(50_000));
        file.advise_done(0..100_000);
        // A file system in memory keeps everything, and others may too.
        let was_dropped = !file.is_cached(0);
        file.read_exact_at(&mut [0; 100_000], 0).unwrap();
        assert!(file.is_cached(0) && file.is_cached(99_999));
        eprintln!("pages can be dropped here: {was_dropped}");
    }
}

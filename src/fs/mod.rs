//! The file operations whose order or durability matters, behind one trait.
//!
//! [`RealFs`] is the machine's file system. [`MemoryFs`] keeps everything in memory, remembers what was
//! synced, and can answer "what would be on disk if the power went now?". Code that must survive a crash
//! does its I/O through [`Fs`] only, so that it can be tested at every single operation.
//!
//! Everything here blocks: call it from blocking threads. No operation follows a symbolic link in the
//! last component of a path; [`Fs::open_beneath`] follows none at all.

#[cfg(test)]
mod contract;
pub mod lease;
mod memory;
mod real;

use std::{
    any::Any,
    fmt::Debug,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::types::RelPath;

pub use memory::{MemoryFs, Unsynced};
pub use real::RealFs;

/// The path with every symbolic link on the way resolved, as far as it exists. For directories that the user names: what lies in them is
/// then opened without following any link. A path that cannot be resolved stays as it is, and opening it says why.
pub fn resolve_existing(fs: &dyn Fs, path: &Path) -> PathBuf {
    for there in path.ancestors() {
        match fs.canonicalize(if there.as_os_str().is_empty() { Path::new(".") } else { there }) {
            Ok(real) => {
                let rest = path.strip_prefix(there).expect("an ancestor is a prefix");
                return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => break,
        }
    }
    path.to_owned()
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A fifo, socket or device.
    Special,
}

/// What the file system says of an entry, the entry itself and not what a link points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub len: u64,
    /// Bytes that take up disk space; less than `len` where there are holes.
    pub allocated_bytes: u64,
    /// Time of the last change of the content, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Time of the last change of content or inode, nanoseconds since 1970.
    pub ctime_ns: i128,
    /// The device it lies on.
    pub dev: u64,
    /// Its inode number.
    pub ino: u64,
    /// Number of names it has.
    pub nlink: u64,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name; not always UTF-8.
    pub name: std::ffi::OsString,
    /// What it is.
    pub kind: Kind,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    ReadWrite,
    /// A new file, to read and write, with these permission bits (less the umask); an error when it exists.
    CreateNew(u32),
    /// An existing file or else a new one, to read and write, with these permission bits (less the umask).
    Create(u32),
}

/// What a rename does when the new name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    /// Fail with [`io::ErrorKind::AlreadyExists`].
    NoReplace,
    /// Put the file in its place, atomically. Files only.
    Replace,
    /// Swap the two entries, atomically. Both must exist. [`io::ErrorKind::Unsupported`] where the
    /// file system cannot.
    Exchange,
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Size of the file system, bytes.
    pub total_bytes: u64,
    /// Files that may still be made; `None` where the file system has no such limit.
    pub free_inodes: Option<u64>,
}

/// An exclusive advisory lock (`flock`), held until dropped or the process dies.
pub trait Lock: Debug + Send + Sync {}

/// How much is copied at once where the system cannot do it by itself.
const COPY_BYTES: usize = 1 << 20;

/// An open file.
pub trait File: Any + Debug + Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes some of `buf` at `offset` and says how much.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`, looping over short writes.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Makes the file `len` bytes long: cuts it, or adds a hole.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves disk space for a range so that writing there cannot run out of space. Changes neither length
    /// nor content. [`io::ErrorKind::Unsupported`] where the file system cannot.
    fn allocate(&self, range: Range<u64>) -> io::Result<()>;

    /// Makes this file the same bytes as `source`, and as long, by sharing its blocks (`FICLONE`): takes neither time nor space until one
    /// of the two is written to, and neither ever shows what is written to the other. [`io::ErrorKind::Unsupported`], with nothing
    /// changed, where the file system cannot or the two lie on different ones; after any other error the content may be either.
    fn clone_from_file(&self, source: &dyn File) -> io::Result<()>;

    /// Copies a range of `source` to the same place of this file, as fast as the system can (`copy_file_range`).
    fn copy_from_file(&self, source: &dyn File, range: Range<u64>) -> io::Result<()> {
        self.copy_through_memory(source, range)
    }

    /// The same where the system cannot do it by itself.
    fn copy_through_memory(&self, source: &dyn File, range: Range<u64>) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(range.end - range.start).unwrap_or(COPY_BYTES))];
        let mut offset = range.start;
        while offset < range.end {
            let count = usize::try_from(range.end - offset).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            source.read_exact_at(&mut buffer[..count], offset)?;
            self.write_all_at(&buffer[..count], offset)?;
            offset += count as u64;
        }
        Ok(())
    }

    /// The next range at or after `offset` that may hold data (`SEEK_DATA`, `SEEK_HOLE`); `None` when
    /// only a hole follows. A file system without holes answers the rest of the file.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>>;

    /// Makes the content and the length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content and all metadata durable (`fsync`). The *name* is durable only after [`Fs::sync_dir`].
    fn sync_all(&self) -> io::Result<()>;

    /// What the file system says of it.
    fn stat(&self) -> io::Result<Stat>;

    /// Says that the file is read once from front to back.
    fn advise_sequential(&self) {}

    /// Says that the range is not needed in the page cache any more.
    fn advise_done(&self, _range: Range<u64>) {}

    /// Whether the byte at `offset` is in the page cache; also where nobody knows.
    fn is_cached(&self, _offset: u64) -> bool {
        true
    }
}

/// A file system that is watched for writes that fail.
pub trait Watch: Debug + Send + Sync {
    /// Makes everything on the file system durable, as [`Fs::sync_fs`] does. Fails when any write to the disk has failed since the last
    /// call, or since the watch began, whichever file it was of. A failure is told once.
    fn sync(&self) -> io::Result<()>;
}

/// A file system. See the module documentation for what all implementations promise.
pub trait Fs: Debug + Send + Sync + 'static {
    /// Opens or makes a file. A symbolic link in the last component is an error.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;

    /// Opens or makes the file `rel` below the directory `root`, refusing any symbolic link below `root` and anything that
    /// would leave it (`openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, or the same walk by hand).
    fn open_beneath(&self, root: &Path, rel: &RelPath, how: Open) -> io::Result<Arc<dyn File>>;

    /// Makes one directory with these permission bits (less the umask).
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes a directory and what is missing above it. No error when it exists.
    fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// The entries of a directory, sorted by the bytes of their names.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// What an entry is (`lstat`).
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// The absolute path of an existing entry with every symbolic link on the way resolved.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Renames an entry within one file system.
    fn rename(&self, from: &Path, to: &Path, mode: Rename) -> io::Result<()>;

    /// Gives a file a second name; an error when that name exists.
    fn hard_link(&self, file: &Path, new_name: &Path) -> io::Result<()>;

    /// Removes a file's name (or a symbolic link).
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it, following no link. No error when it is absent.
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match self.stat(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
            Ok(stat) if stat.kind != Kind::Dir => return self.remove_file(path),
            Ok(_) => {}
        }
        for entry in self.read_dir(path)? {
            let child = path.join(&entry.name);
            if entry.kind == Kind::Dir { self.remove_tree(&child)? } else { self.remove_file(&child)? }
        }
        self.remove_dir(path)
    }

    /// Makes the names in a directory durable (`fsync` of the directory).
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes everything on the file system that holds `path` durable (`syncfs`). May keep quiet about writes that failed: see [`Fs::watch`].
    fn sync_fs(&self, path: &Path) -> io::Result<()>;

    /// Begins to watch the file system that holds `path`; `None` where the system does not tell of every write that fails.
    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn Watch>>>;

    /// Room on the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Changes the owner of an entry, not of what a link points to.
    fn chown(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()>;

    /// Takes an exclusive `flock` on an existing file or directory, without waiting: `None` when somebody holds it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// Reads a whole file of at most `max_bytes`; a longer one is [`io::ErrorKind::FileTooLarge`].
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, Open::Read)?;
        let len = file.stat()?.len;
        if len > max_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes, at most {max_bytes} expected")));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a file durably: writes beside it, syncs, renames over it, syncs the directory. A crash leaves the old or the new content.
    fn write_durable(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut staged = std::ffi::OsString::from(".");
        staged.push(name);
        staged.push(format!(".{}.new", std::process::id()));
        let staged = path.with_file_name(staged);
        match self.remove_file(&staged) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.open(&staged, Open::CreateNew(mode))?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        drop(file);
        self.rename(&staged, path, Rename::Replace)?;
        self.sync_dir(path.parent().ok_or(io::ErrorKind::InvalidInput)?)
    }
}

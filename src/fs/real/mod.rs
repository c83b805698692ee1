//! The machine's file system.
//!
//! Errors are the system's own, so that callers can tell ENOSPC from EIO; who calls knows the path and adds it.

mod beneath;
mod file;
mod rename;
mod watch;

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, lchown},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, openat, statvfs, syncfs},
    io::Errno,
};

use self::file::RealFile;
use super::{DirEntry, File, Fs, Kind, Lock, Open, Rename, Space, Stat, Watch};
use crate::types::RelPath;

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = openat(CWD, path, file::flags(how), file::mode(how))?;
        Ok(Arc::new(RealFile::new(file.into())?))
    }

    fn open_beneath(&self, root: &Path, rel: &RelPath, how: Open) -> io::Result<Arc<dyn File>> {
        let file = beneath::open(root, rel, how)?;
        Ok(Arc::new(RealFile::new(file.into())?))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().mode(mode).create(path)
    }

    fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().mode(mode).recursive(true).create(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in Dir::new(open_dir(path)?)? {
            let entry = entry?;
            let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            let kind = kind(entry.file_type()).map_or_else(|| self.stat(&path.join(&name)).map(|stat| stat.kind), Ok)?;
            entries.push(DirEntry { name, kind });
        }
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        fs::symlink_metadata(path).map(|metadata| file::stat(&metadata))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn rename(&self, from: &Path, to: &Path, mode: Rename) -> io::Result<()> {
        match mode {
            Rename::NoReplace => rename::without_replacing(from, to),
            Rename::Replace => rename::replacing(from, to),
            Rename::Exchange => rename::exchanging(from, to),
        }
    }

    fn hard_link(&self, file: &Path, new_name: &Path) -> io::Result<()> {
        fs::hard_link(file, new_name)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::from(open_dir(path)?).sync_all()
    }

    fn sync_fs(&self, path: &Path) -> io::Result<()> {
        Ok(syncfs(open_any(path)?)?)
    }

    fn watch(&self, path: &Path) -> io::Result<Option<Box<dyn Watch>>> {
        watch::begin(open_any(path)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let room = statvfs(path)?;
        Ok(Space {
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
            // btrfs and others make inodes as needed and say 0 of 0.
            free_inodes: (room.f_files > 0).then_some(room.f_favail),
        })
    }

    fn chown(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        lchown(path, Some(uid), Some(gid))
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = open_any(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// Holds an open file description whose `flock` goes when it is closed.
#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "held for its drop only")] std::os::fd::OwnedFd);

impl Lock for RealLock {}

fn open_dir(path: &Path) -> io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// A file or directory, for what can be done with either.
fn open_any(path: &Path) -> io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// `None` where the file system does not say it in the directory.
fn kind(of: FileType) -> Option<Kind> {
    match of {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => Some(Kind::Special),
        FileType::Unknown => None,
    }
}

/// Whether a system call says that this kernel or file system has no such operation.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// The error for something that exists where nothing should.
fn already_exists() -> io::Error {
    ErrorKind::AlreadyExists.into()
}

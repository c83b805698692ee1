//! Whether any process has a file open for writing, asked of the kernel itself: a read lease is granted only when none has.
//!
//! `/proc` shows the open files of other users' processes to root alone. A lease tells the owner of a file the same, whoever the
//! writer is, mapped files included (`fcntl(2)`, "Leases").

#![expect(
    unsafe_code,
    reason = "no crate in the tree wraps F_SETLEASE; three fcntl calls on one open descriptor, with integer arguments only"
)]

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// `F_SETSIG` of `linux/fcntl.h`, the same on every architecture; the `libc` crate leaves it out.
const F_SETSIG: i32 = 10;

/// A file below `dir` that some process has open for writing. Only files are looked at; no link is followed.
///
/// # Errors
/// When the kernel grants no leases to this user (only to a file's owner and to root) or on this file system.
pub fn written_below(dir: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            if let Some(found) = written_below(&path)? {
                return Ok(Some(found));
            }
        } else if kind.is_file() && !nobody_writes(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn nobody_writes(path: &Path) -> io::Result<bool> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    // A process that opens the file for writing in this instant breaks the lease: the signal of that is one that is ignored by default.
    fcntl(&file, F_SETSIG, libc::SIGURG)?;
    match fcntl(&file, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => fcntl(&file, libc::F_SETLEASE, libc::F_UNLCK).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

fn fcntl(file: &File, command: i32, argument: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and these commands take an integer and touch no memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_noticed_and_a_reader_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/file");
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(&path, "x").unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(written_below(dir.path()).unwrap(), None);
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(written_below(dir.path()).unwrap(), Some(path));
        drop((reader, writer));
        assert_eq!(written_below(dir.path()).unwrap(), None);
    }
}

//! Opening a file below a directory without ever following a link.

use std::{io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};

use super::file;
use crate::{fs::Open, types::RelPath};

/// Opens `rel` below `root`; the kernel refuses every link on the way.
pub(super) fn open(root: &Path, rel: &RelPath, how: Open) -> io::Result<OwnedFd> {
    let root = openat(CWD, root, folder(), Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(&root, rel.as_path(), file::flags(how), file::mode(how), resolve) {
        Ok(file) => Ok(file),
        // Before Linux 5.6, and under seccomp filters that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => walk(root, rel, how),
        Err(e) => Err(e.into()),
    }
}

/// The same by hand, one component at a time. Nothing can be swapped in between: each step starts at an open directory.
fn walk(root: OwnedFd, rel: &RelPath, how: Open) -> io::Result<OwnedFd> {
    let mut dir = root;
    let mut components = rel.components().peekable();
    while let Some(component) = components.next() {
        if components.peek().is_none() {
            return Ok(openat(&dir, component, file::flags(how), file::mode(how))?);
        }
        dir = openat(&dir, component, folder(), Mode::empty())?;
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// A directory as a starting point only; a link is not one.
fn folder() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    // MF-05
    #[test]
    fn the_walk_by_hand_refuses_links_like_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/real")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(dir.path().join("root/real/file"), "f").unwrap();
        symlink("real", dir.path().join("root/inside")).unwrap();
        symlink("..", dir.path().join("root/outside")).unwrap();
        symlink("file", dir.path().join("root/real/link")).unwrap();

        let root = dir.path().join("root");
        let by_hand = |rel: &str| walk(openat(CWD, &root, folder(), Mode::empty()).unwrap(), &rel.parse().unwrap(), Open::Read);
        let by_kernel = |rel: &str| open(&root, &rel.parse().unwrap(), Open::Read);
        for refused in ["inside/file", "outside/secret", "real/link", "absent/file", "real/file/x"] {
            assert!(by_hand(refused).is_err() && by_kernel(refused).is_err(), "{refused}");
        }
        assert!(by_hand("real/file").is_ok() && by_kernel("real/file").is_ok());
    }
}

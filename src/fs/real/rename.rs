//! The three ways to rename.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{already_exists, is_unknown};

pub(super) fn replacing(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    fs::rename(from, to)
}

pub(super) fn exchanging(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(e) if is_unknown(e) => Err(io::Error::new(ErrorKind::Unsupported, "this file system cannot exchange two names")),
        Err(e) => Err(e.into()),
    }
}

pub(super) fn without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(e) if is_unknown(e) => by_other_means(from, to),
        Err(e) => Err(e.into()),
    }
}

/// For file systems without `RENAME_NOREPLACE` (NFS, some overlays).
fn by_other_means(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(from)?.is_dir() {
        // A link never replaces. A crash in between leaves both names of one complete file.
        fs::hard_link(from, to)?;
        return fs::remove_file(from);
    }
    // A directory has no second name, so there is a moment between look and rename: somebody else's *empty* directory that appears
    // in it would be replaced. One with entries cannot be: rename(2) refuses that.
    match fs::symlink_metadata(to) {
        Ok(_) => Err(already_exists()),
        Err(e) if e.kind() == ErrorKind::NotFound => fs::rename(from, to),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ST-10
    #[test]
    fn without_kernel_help_nothing_is_replaced_either() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), "a").unwrap();
        fs::write(path("b"), "b").unwrap();
        fs::create_dir(path("d")).unwrap();
        assert_eq!(by_other_means(&path("a"), &path("b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(by_other_means(&path("d"), &path("b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        by_other_means(&path("a"), &path("c")).unwrap();
        by_other_means(&path("d"), &path("e")).unwrap();
        assert_eq!(fs::read(path("c")).unwrap(), b"a");
        assert!(!path("a").exists() && path("e").is_dir() && !path("d").exists());
    }
}

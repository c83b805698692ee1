//! Whether what is missing fits on the disk, asked before the first byte is fetched.

use std::{io, path::Path};

use super::Error;
use crate::fs::{Fs, Space};

/// What a file costs beyond its bytes: the rest of its last block.
const FILE_BYTES: u64 = 4096;
/// Directories, journal and lists.
const BASE_BYTES: u64 = 1 << 20;

/// What is still missing on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes to be written, holes excluded.
    pub bytes: u64,
    /// Files and directories to be made.
    pub files: u64,
}

impl Need {
    /// Bytes with the margin that file systems need: a block per file, and one in a hundred for their own tables and our journal.
    #[must_use]
    pub fn bytes_with_margin(self) -> u64 {
        let margin = (self.bytes / 100).saturating_add(self.files.saturating_mul(FILE_BYTES)).saturating_add(BASE_BYTES);
        if self == (Self { bytes: 0, files: 0 }) { 0 } else { self.bytes.saturating_add(margin) }
    }
}

/// Refuses when the file system that holds `path` (or the next directory above that exists) has less room than is needed.
///
/// # Errors
/// [`Error::TooSmall`] or [`Error::TooFewInodes`] with both numbers.
pub fn check(fs: &dyn Fs, path: &Path, need: Need) -> Result<(), Error> {
    let space = space_at(fs, path)?;
    let need_bytes = need.bytes_with_margin();
    if space.free_bytes < need_bytes {
        return Err(Error::TooSmall { path: path.to_owned(), need_bytes, have_bytes: space.free_bytes });
    }
    match space.free_inodes {
        Some(have) if have < need.files => Err(Error::TooFewInodes { path: path.to_owned(), need: need.files, have }),
        _ => Ok(()),
    }
}

fn space_at(fs: &dyn Fs, path: &Path) -> Result<Space, Error> {
    match (fs.space(path), path.parent()) {
        (Err(e), Some(parent)) if e.kind() == io::ErrorKind::NotFound => space_at(fs, parent),
        (space, _) => space.map_err(Error::io("measure the room at", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    // ST-01, MF-15
    #[test]
    fn says_what_is_needed_and_what_is_there() {
        let fs = MemoryFs::new();
        fs.limit_space(Some(10 << 20));
        let check = |bytes| check(&fs, Path::new("/not/there/yet"), Need { bytes, files: 10 });
        check(5 << 20).unwrap();
        let refused = check(100_000_000_000_000_000).unwrap_err();
        assert!(refused.to_string().starts_with("/not/there/yet needs "), "{refused}");
        assert!(matches!(check(u64::MAX), Err(Error::TooSmall { need_bytes: u64::MAX, have_bytes: 10_485_760, .. })));
    }

    #[test]
    fn nothing_missing_fits_on_a_full_disk() {
        let fs = MemoryFs::new();
        fs.limit_space(Some(0));
        check(&fs, Path::new("/"), Need { bytes: 0, files: 0 }).unwrap();
    }
}

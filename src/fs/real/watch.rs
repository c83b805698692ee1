//! One sync for many files that does not keep quiet about any of them.
//!
//! Since Linux 5.8 `syncfs` fails when the kernel could not write back some page of the file system since the descriptor was opened
//! (`syncfs(2)`, "Errors"). Before, and on file systems that keep such errors to themselves, only an `fsync` of each file tells.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{fstatfs, syncfs},
    system::uname,
};

use crate::fs::Watch;

/// The first version of Linux whose `syncfs` tells of failed writes.
const TELLS_SINCE: (u32, u32) = (5, 8);

/// File systems of this machine that write through the page cache, and so have their errors noted (`linux/magic.h`): ext2 to ext4, XFS, Btrfs,
/// F2FS, and tmpfs, which has none. A network or user-space file system may answer `syncfs` without having asked its server.
const TELLING: [u32; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

#[derive(Debug)]
struct RealWatch(OwnedFd);

/// Begins a watch with this descriptor, whichever file or directory of the file system it is of.
pub(super) fn begin(fd: OwnedFd) -> io::Result<Option<Box<dyn Watch>>> {
    let magic = fstatfs(&fd)?.f_type as u32;
    let tells = TELLING.contains(&magic) && version(&uname().release().to_string_lossy()) >= Some(TELLS_SINCE);
    Ok(tells.then(|| Box::new(RealWatch(fd)) as Box<dyn Watch>))
}

impl Watch for RealWatch {
    fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.0)?)
    }
}

/// `5.10` of `5.10.0-33-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_kernels_that_tell() {
        let tells = |release| version(release) >= Some(TELLS_SINCE);
        assert!(tells("5.8.0") && tells("5.10.0-33-amd64") && tells("6.1") && tells("10.0.1-rc1"));
        assert!(!tells("5.7.19") && !tells("4.19.0-27") && !tells("3.10") && !tells("unknown") && !tells(""));
    }
}

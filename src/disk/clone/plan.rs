//! How each file gets into a clone, and how long that takes. Pure.

use std::time::Duration;

use crate::{disk::scan::Scan, fs::Stat, profile::Globs, types::RelPath};

/// What the file system of a data directory and its clone can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Files can share blocks.
    pub reflink: bool,
    /// A file can have a name in both.
    pub hard_link: bool,
    /// Bytes that are copied and durable in a second.
    pub copy_bytes_per_second: u64,
}

/// How a file gets into a clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It shares the blocks of the original, and neither shows what is written to the other.
    Reflink,
    /// It is the original under another name: only for files that nobody writes to again.
    HardLink,
    /// Its bytes are copied.
    Copy,
}

/// How this file gets into the clone.
#[must_use]
pub fn how(path: &RelPath, immutable: &Globs, abilities: Abilities) -> How {
    if abilities.reflink {
        How::Reflink
    } else if abilities.hard_link && immutable.matches(path) {
        How::HardLink
    } else {
        How::Copy
    }
}

/// What a clone costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes that are copied.
    pub copy_bytes: u64,
    /// Files and directories that are made.
    pub files: u64,
    /// How long it takes.
    pub time: Duration,
}

/// Files that are made in a second.
const FILES_PER_SECOND: u64 = 5_000;

/// What a clone of these files costs.
#[must_use]
pub fn estimate(scan: &Scan, immutable: &Globs, abilities: Abilities) -> Estimate {
    let copied = scan.files.iter().filter(|file| how(&file.path, immutable, abilities) == How::Copy);
    let copy_bytes = copied.map(|file| space_of(&file.stat)).sum();
    let files = (scan.files.len() + scan.dirs.len()) as u64;
    let seconds = copy_bytes as f64 / abilities.copy_bytes_per_second.max(1) as f64 + files as f64 / FILES_PER_SECOND as f64;
    Estimate { copy_bytes, files, time: Duration::from_secs_f64(seconds) }
}

/// What a copy of the file takes: holes take nothing.
fn space_of(stat: &Stat) -> u64 {
    stat.allocated_bytes.min(stat.len)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        disk::{scan::scan, select::Selection, testing::put},
        fs::{Fs as _, MemoryFs},
    };

    const NOTHING: Abilities = Abilities { reflink: false, hard_link: false, copy_bytes_per_second: 1_000_000 };

    #[test]
    fn only_names_that_never_change_are_linked_and_only_where_nothing_can_be_shared() {
        let immutable = Globs::new(vec!["*.sst".to_owned()]).unwrap();
        let how = |path: &str, abilities| how(&path.parse().unwrap(), &immutable, abilities);
        let linking = Abilities { hard_link: true, ..NOTHING };
        assert_eq!((how("db/1.sst", linking), how("db/1.log", linking)), (How::HardLink, How::Copy));
        assert_eq!((how("db/1.sst", NOTHING), how("db/1.log", NOTHING)), (How::Copy, How::Copy));
        let sharing = Abilities { reflink: true, ..linking };
        assert_eq!((how("db/1.sst", sharing), how("db/1.log", sharing)), (How::Reflink, How::Reflink));
    }

    #[test]
    fn an_estimate_counts_what_is_copied_and_no_holes() {
        let fs = MemoryFs::new();
        put(&fs, "/d/1.sst", &[1; 3_000_000]);
        put(&fs, "/d/1.log", &[1; 2_000_000]);
        let file = fs.open(Path::new("/d/1.log"), crate::fs::Open::ReadWrite).unwrap();
        file.set_len(1 << 40).unwrap();
        let scan = scan(&fs, Path::new("/d"), &Selection::everything()).unwrap();
        let immutable = Globs::new(vec!["*.sst".to_owned()]).unwrap();
        let of = |abilities| estimate(&scan, &immutable, abilities);
        assert_eq!(of(Abilities { reflink: true, ..NOTHING }).copy_bytes, 0);
        let linked = of(Abilities { hard_link: true, ..NOTHING });
        assert!((2_000_000..2_010_000).contains(&linked.copy_bytes) && linked.files == 2, "{linked:?}");
        assert!((2.0..2.1).contains(&linked.time.as_secs_f64()), "{linked:?}");
        assert!((5.0..5.1).contains(&of(NOTHING).time.as_secs_f64()));
    }
}

//! The clone itself, made while the node is down: nothing here waits for anything but the disk.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::plan::{Abilities, How, how};
use crate::{
    disk::{
        Error,
        scan::{Scan, ScannedFile},
    },
    fs::{File, Fs, Open, Stat},
    profile::Globs,
    progress::Stop,
    types::RelPath,
};

/// How much is copied between two looks at the clock, and at whether somebody asked to stop.
const STEP_BYTES: u64 = 64 << 20;

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloned {
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Files that are hard links.
    pub linked_files: u64,
    /// What the file system said of each original while nothing wrote to it.
    pub originals: BTreeMap<RelPath, Stat>,
}

/// What ends a copy early.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Somebody asks for it.
    pub stop: &'a Stop,
    /// How long bytes may be copied: a rate that was measured before says nothing of a disk that is slow now. What is shared costs no time.
    pub allowed: Duration,
}

/// What one file needs of the whole.
struct Copy<'a> {
    fs: &'a dyn Fs,
    scan: &'a Scan,
    to: &'a Path,
    bounds: Bounds<'a>,
    began: Instant,
    cloned: Cloned,
}

/// Makes `to` a copy of the files of `scan`, of which nothing changes meanwhile.
///
/// # Errors
/// [`Error::NoSpace`]; [`Error::Stopped`] when somebody asks to stop; [`Error::CloneTooSlow`]; [`Error::Io`]. What was made until then is left.
pub fn copy(fs: &dyn Fs, scan: &Scan, to: &Path, immutable: &Globs, abilities: Abilities, bounds: Bounds<'_>) -> Result<Cloned, Error> {
    fs.create_dir(to, 0o700).map_err(Error::io("make", to))?;
    for dir in &scan.dirs {
        fs.create_dir_all(&to.join(dir), 0o700).map_err(Error::io("make", to.join(dir)))?;
    }
    let mut run = Copy { fs, scan, to, bounds, began: Instant::now(), cloned: Cloned::default() };
    for file in &scan.files {
        run.one(file, how(&file.path, immutable, abilities))?;
    }
    // A link changes the ctime of the original, and nothing else that counts.
    run.cloned.originals = scan.files.iter().map(|file| (file.path.clone(), file.stat)).collect();
    Ok(run.cloned)
}

impl Copy<'_> {
    fn one(&mut self, file: &ScannedFile, how: How) -> Result<(), Error> {
        if self.bounds.stop.requested() {
            return Err(Error::Stopped);
        }
        let (from, at) = (self.scan.root.join(&file.path), self.to.join(&file.path));
        if let Some(above) = at.parent() {
            self.fs.create_dir_all(above, 0o700).map_err(Error::io("make", above))?;
        }
        if how == How::HardLink && self.fs.hard_link(&from, &at).is_ok() {
            self.cloned.linked_files += 1;
            return Ok(());
        }
        let source = self.fs.open_beneath(&self.scan.root, &file.path, Open::Read).map_err(Error::io("read", &from))?;
        let target = self.fs.open(&at, Open::CreateNew(0o600)).map_err(Error::io("make", &at))?;
        if how == How::Reflink {
            match target.clone_from_file(&*source) {
                // Some files cannot be shared although others can, those without copy-on-write for one.
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
                shared => return shared.map_err(Error::io("clone", at)),
            }
        }
        self.bytes(&source, &target, file.stat.len, &at)
    }

    /// Copies the data and leaves the holes.
    fn bytes(&mut self, source: &Arc<dyn File>, target: &Arc<dyn File>, len: u64, at: &Path) -> Result<(), Error> {
        let failed = |e| Error::io("copy to", at)(e);
        target.set_len(len).map_err(failed)?;
        let mut offset = 0;
        while let Some(data) = source.next_data(offset).map_err(failed)? {
            let end = data.end.min(data.start + STEP_BYTES).min(len);
            if data.start >= end {
                break;
            }
            self.check_bounds()?;
            target.copy_from_file(&**source, data.start..end).map_err(failed)?;
            self.cloned.copied_bytes += end - data.start;
            offset = end;
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        let Bounds { stop, allowed } = self.bounds;
        if stop.requested() {
            return Err(Error::Stopped);
        }
        if self.began.elapsed() > allowed {
            return Err(Error::CloneTooSlow { path: self.to.to_owned(), copied_bytes: self.cloned.copied_bytes, allowed });
        }
        Ok(())
    }
}

//! The clone itself, made while the node is down: nothing here waits for anything but the disk.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

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

/// How much is copied between two looks at whether somebody asked to stop.
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

/// Makes `to` a copy of the files of `scan`, of which nothing changes meanwhile.
///
/// # Errors
/// [`Error::NoSpace`]; [`Error::Stopped`] when somebody asks to stop; [`Error::Io`]. What was made until then is left.
pub fn copy(fs: &dyn Fs, scan: &Scan, to: &Path, immutable: &Globs, abilities: Abilities, stop: &Stop) -> Result<Cloned, Error> {
    fs.create_dir(to, 0o700).map_err(Error::io("make", to))?;
    for dir in &scan.dirs {
        fs.create_dir_all(&to.join(dir), 0o700).map_err(Error::io("make", to.join(dir)))?;
    }
    let mut cloned = Cloned::default();
    for file in &scan.files {
        one(fs, scan, file, to, how(&file.path, immutable, abilities), stop, &mut cloned)?;
    }
    // A link changes the ctime of the original, and nothing else that counts.
    cloned.originals = scan.files.iter().map(|file| (file.path.clone(), file.stat)).collect();
    Ok(cloned)
}

fn one(fs: &dyn Fs, scan: &Scan, file: &ScannedFile, to: &Path, how: How, stop: &Stop, cloned: &mut Cloned) -> Result<(), Error> {
    if stop.requested() {
        return Err(Error::Stopped);
    }
    let (from, at) = (scan.root.join(&file.path), to.join(&file.path));
    if let Some(above) = at.parent() {
        fs.create_dir_all(above, 0o700).map_err(Error::io("make", above))?;
    }
    if how == How::HardLink && fs.hard_link(&from, &at).is_ok() {
        cloned.linked_files += 1;
        return Ok(());
    }
    let source = fs.open_beneath(&scan.root, &file.path, Open::Read).map_err(Error::io("read", &from))?;
    let target = fs.open(&at, Open::CreateNew(0o600)).map_err(Error::io("make", &at))?;
    if how == How::Reflink {
        match target.clone_from_file(&*source) {
            // Some files cannot be shared although others can, those without copy-on-write for one.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
            shared => return shared.map_err(Error::io("clone", at)),
        }
    }
    cloned.copied_bytes += bytes(&source, &target, file.stat.len, stop).map_err(|e| e.at(&at))?;
    Ok(())
}

/// Why a copy ended early.
enum Ended {
    Io(io::Error),
    Stopped,
}

impl Ended {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::Io(e) => Error::io("copy to", path)(e),
            Self::Stopped => Error::Stopped,
        }
    }
}

/// Copies the data and leaves the holes. Gives the bytes that were copied.
fn bytes(source: &Arc<dyn File>, target: &Arc<dyn File>, len: u64, stop: &Stop) -> Result<u64, Ended> {
    target.set_len(len).map_err(Ended::Io)?;
    let (mut offset, mut copied) = (0, 0);
    while let Some(data) = source.next_data(offset).map_err(Ended::Io)? {
        let end = data.end.min(data.start + STEP_BYTES).min(len);
        if data.start >= end {
            break;
        }
        if stop.requested() {
            return Err(Ended::Stopped);
        }
        target.copy_from_file(&**source, data.start..end).map_err(Ended::Io)?;
        copied += end - data.start;
        offset = end;
    }
    Ok(copied)
}

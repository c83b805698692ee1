//! What can be done between a data directory and its clone: tried out with the files themselves, while the node still runs.

use std::{io, path::Path, time::Instant};

use super::plan::{Abilities, How, how};
use crate::{
    disk::{
        Error,
        scan::{Scan, ScannedFile},
    },
    fs::{Fs, Open},
    profile::Globs,
};

/// What is made in the clone's folder for that, and removed.
pub(super) const NAME: &str = "probe";
/// The rate is measured with so much.
const MEASURED_BYTES: u64 = 64 << 20;
/// What is taken for the rate where there is too little to measure it: slow for any disk.
const ASSUMED_BYTES_PER_SECOND: u64 = 50 << 20;

/// Tries what the file systems can do: a reflink and a hard link of a file, and, where much is to be copied, how fast that goes.
///
/// # Errors
/// When the clone's folder cannot be written.
pub fn probe(fs: &dyn Fs, scan: &Scan, immutable: &Globs, clone: &Path) -> Result<Abilities, Error> {
    let at = clone.join(NAME);
    let largest = scan.files.iter().filter(|file| file.stat.len > 0).max_by_key(|file| file.stat.len);
    let linked = scan.files.iter().find(|file| immutable.matches(&file.path));
    let reflink = largest.map_or(Ok(true), |file| can_reflink(fs, scan, file, &at))?;
    let hard_link = !reflink && linked.is_some_and(|file| can_link(fs, scan, file, &at));
    let mut abilities = Abilities { reflink, hard_link, copy_bytes_per_second: ASSUMED_BYTES_PER_SECOND };
    let copied = scan.files.iter().filter(|file| how(&file.path, immutable, abilities) == How::Copy);
    if let Some(file) = copied.max_by_key(|file| file.stat.allocated_bytes).filter(|file| file.stat.len >= MEASURED_BYTES) {
        abilities.copy_bytes_per_second = rate(fs, scan, file, &at)?.unwrap_or(ASSUMED_BYTES_PER_SECOND);
    }
    Ok(abilities)
}

fn can_reflink(fs: &dyn Fs, scan: &Scan, file: &ScannedFile, at: &Path) -> Result<bool, Error> {
    let to = fs.open(at, Open::CreateNew(0o600)).map_err(Error::io("make", at))?;
    let shared = fs.open_beneath(&scan.root, &file.path, Open::Read).and_then(|from| to.clone_from_file(&*from));
    fs.remove_file(at).map_err(Error::io("remove", at))?;
    match shared {
        Ok(()) => Ok(true),
        // A file that the node has just removed says nothing; a copy is always right.
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::NotFound) => Ok(false),
        Err(e) => Err(Error::io("clone", scan.root.join(&file.path))(e)),
    }
}

/// Another device, another owner, a file system without links: whatever speaks against it, copying is right too.
fn can_link(fs: &dyn Fs, scan: &Scan, file: &ScannedFile, at: &Path) -> bool {
    fs.hard_link(&scan.root.join(&file.path), at).and_then(|()| fs.remove_file(at)).is_ok()
}

/// Bytes a second of a copy that is durable; `None` when the file was cut or removed meanwhile.
fn rate(fs: &dyn Fs, scan: &Scan, file: &ScannedFile, at: &Path) -> Result<Option<u64>, Error> {
    let Ok(from) = fs.open_beneath(&scan.root, &file.path, Open::Read) else { return Ok(None) };
    let to = fs.open(at, Open::CreateNew(0o600)).map_err(Error::io("make", at))?;
    from.advise_done(0..MEASURED_BYTES);
    let began = Instant::now();
    let copied = to.copy_from_file(&*from, 0..MEASURED_BYTES).and_then(|()| to.sync_data());
    let seconds = began.elapsed().as_secs_f64();
    fs.remove_file(at).map_err(Error::io("remove", at))?;
    Ok(copied.ok().map(|()| (MEASURED_BYTES as f64 / seconds) as u64))
}

//! How much disk space a snapshot takes, and how much of it is taken already.

use std::path::Path;

use super::{Error, layout, space::Need};
use crate::{
    format::manifest::Manifest,
    fs::{Fs, Kind},
};

/// What a restore still needs when `taken_bytes` of the snapshot's space are taken by its staging directory, and `linked_bytes` will be
/// by files that it shares with the old database. Holes need none.
#[must_use]
pub fn need(manifest: &Manifest, taken_bytes: u64, linked_bytes: u64) -> Need {
    let totals = manifest.totals();
    let data = totals.bytes.saturating_sub(totals.hole_bytes);
    let made = if taken_bytes > 0 { 0 } else { totals.files + manifest.dirs().len() as u64 };
    Need { bytes: data.saturating_sub(taken_bytes).saturating_sub(linked_bytes), files: made }
}

/// What changing the directory `dir` to a snapshot in place needs at least: what its files are longer than what is allocated there. Which
/// chunks differ is not known yet.
///
/// # Errors
/// When a file cannot be looked at.
pub fn need_at_least(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<Need, Error> {
    let (mut bytes, mut files) = (0_u64, 0);
    for file in manifest.files() {
        let stat = layout::stat_if_there(fs, &dir.join(&file.path))?.filter(|stat| stat.kind == Kind::File);
        files += u64::from(stat.is_none());
        bytes += file.bytes.saturating_sub(stat.map_or(0, |stat| stat.allocated_bytes));
    }
    Ok(Need { bytes: bytes.saturating_sub(manifest.totals().hole_bytes), files })
}

/// Disk space that the files below `dir` take up alone, bytes: those that have a second name elsewhere take none. 0 when there is no such
/// directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn allocated(fs: &dyn Fs, dir: &Path) -> Result<u64, Error> {
    let entries = match fs.read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(Error::io("read", dir))?,
    };
    let mut total = 0;
    for entry in entries {
        let path = dir.join(&entry.name);
        total += match entry.kind {
            Kind::Dir => allocated(fs, &path)?,
            Kind::File | Kind::Symlink | Kind::Special => match fs.stat(&path).map_err(Error::io("look at", &path))? {
                stat if layout::is_shared(&stat) => 0,
                stat => stat.allocated_bytes,
            },
        };
    }
    Ok(total)
}

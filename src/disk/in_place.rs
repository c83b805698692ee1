//! Changes a directory where it lies, for disks without room for two.
//!
//! The one way to put a snapshot in place that gives up the old database before the new one is complete. What it promises instead:
//! everything that can refuse the run is asked before the first change; from before that change until after the last, the staging
//! directory in the target says that it is incomplete; entries that the snapshot does not list are kept until it is complete; and
//! a file that has other names is not changed under them.

use std::path::{Path, PathBuf};

use super::{
    Error,
    have::Have,
    in_use,
    journal::Journal,
    layout,
    mode::{Mode, Phase, Purpose},
    plan::{FileStep, Found, file_step},
    rehash::Rows,
    space::{self, Need},
    staging::Staging,
    target::{self, Occupied},
    verify::Lists,
};
use crate::{
    format::{list::FileShape, manifest::Manifest},
    fs::{File, Fs, Kind, Open, Rename, Stat},
    types::Hash,
};

/// Where entries that the snapshot does not list are kept until it is complete, in the staging directory.
const REMOVED: &str = "removed";

/// Refuses a target that cannot be changed in place: it holds a node's identity, or something else lies where the snapshot has a file
/// or a directory and cannot be put aside.
///
/// # Errors
/// [`Error::TargetIdentity`], [`Error::TargetRefused`].
pub fn check(fs: &dyn Fs, target: &Path, manifest: &Manifest, purpose: Purpose) -> Result<(), Error> {
    if purpose == Purpose::Restore {
        target::check_content(fs, target, manifest, Occupied::Allow)?;
    }
    let dirs = manifest.dirs().iter().map(|path| (path, Kind::Dir));
    for (path, kind) in dirs.chain(manifest.files().iter().map(|file| (&file.path, Kind::File))) {
        let path = target.join(path);
        let why = match layout::stat_if_there(fs, &path)?.map(|stat| stat.kind) {
            Some(Kind::Symlink) => "it is a symbolic link, and what it leads to is not changed",
            Some(found) if found != kind && purpose == Purpose::Repair => "it is not what the snapshot has there",
            _ => continue,
        };
        return Err(Error::TargetRefused { path, why: why.to_owned() });
    }
    Ok(())
}

/// Begins to change the target of `staging`, of which the chunks in `have` are right. From here on it is incomplete, durably, until
/// [`clean_up`]. Gives the journal and the chunks that are still right.
///
/// # Errors
/// As [`check`]; [`Error::TargetInUse`]; [`Error::TooSmall`] when what is missing has no room; when a file that has to be changed cannot
/// be opened: all before the first change. When something cannot be made.
pub fn begin(
    staging: &Staging,
    manifest: &Manifest,
    id: &Hash,
    mut have: Have,
    lists: &Lists<'_>,
    purpose: Purpose,
) -> Result<(Journal, Have), Error> {
    let (fs, target) = (&**staging.fs(), staging.target());
    check(fs, target, manifest, purpose)?;
    let steps = steps(fs, target, manifest, &have)?;
    for (index, _) in steps.iter().enumerate().filter(|(_, step)| **step == FileStep::Anew) {
        have.forget(index);
    }
    space::check(fs, target, need(fs, target, manifest, &have, &steps, lists)?)?;
    in_use::check_target(target)?;
    staging.check_alive()?;
    staging.set_mode(Mode::InPlace(purpose, Phase::Incomplete))?;
    fs.sync_fs(staging.path()).map_err(Error::io("sync", staging.path()))?;
    let journal = Journal::create(fs, &staging.journal_path(), id, &have, manifest.files().len())?;
    if purpose == Purpose::Restore {
        put_strangers_aside(staging, manifest)?;
    }
    make(fs, target, manifest, &steps)?;
    Ok((journal, have))
}

/// Refuses unless everything that the manifest lists is there and durable, and, after a restore, nothing else.
///
/// # Errors
/// [`Error::NotAsListed`].
pub fn check_complete(staging: &Staging, manifest: &Manifest) -> Result<(), Error> {
    let (fs, target) = (&**staging.fs(), staging.target());
    staging.check_alive()?;
    layout::check_listed(fs, target, manifest)?;
    if matches!(staging.mode(), Mode::InPlace(Purpose::Restore, _))
        && let Some(stranger) = layout::owned_stranger_paths(fs, target, manifest)?.first()
    {
        return Err(Error::NotAsListed { path: target.join(stranger), what: "not in the manifest" });
    }
    fs.sync_fs(target).map_err(Error::io("sync", target))
}

/// Notes that the target is complete, and removes what was put aside, and the staging directory. Call it after the state record was
/// saved: a run that dies before compares again and finds nothing to do. One that dies in here leaves a directory that [`Staging::find`]
/// removes.
///
/// # Errors
/// When something cannot be written or removed.
pub fn clean_up(staging: &Staging) -> Result<(), Error> {
    if let Mode::InPlace(purpose, Phase::Prepared | Phase::Incomplete) = staging.mode() {
        staging.set_mode(Mode::InPlace(purpose, Phase::Complete))?;
    }
    staging.remove()
}

/// What has to be done to each file before its missing chunks are written.
fn steps(fs: &dyn Fs, target: &Path, manifest: &Manifest, have: &Have) -> Result<Vec<FileStep>, Error> {
    let mut steps = Vec::with_capacity(manifest.files().len());
    for (index, file) in manifest.files().iter().enumerate() {
        let stat = layout::stat_if_there(fs, &target.join(&file.path))?.filter(|stat| stat.kind == Kind::File);
        let found = stat.map(|stat| Found { bytes: stat.len, names: stat.nlink });
        steps.push(file_step(found, file.bytes, have.is_complete(index)));
    }
    Ok(steps)
}

/// What has to be newly allocated. Opens every file that will be changed, so that one which cannot be is met here.
fn need(fs: &dyn Fs, target: &Path, manifest: &Manifest, have: &Have, steps: &[FileStep], lists: &Lists<'_>) -> Result<Need, Error> {
    let (mut need, mut rows) = (Need { bytes: 0, files: 0 }, Rows::new(lists));
    for (index, step) in steps.iter().enumerate() {
        let entry = &manifest.files()[index];
        let is_new = matches!(step, FileStep::Make | FileStep::Anew);
        need.files += u64::from(is_new);
        if have.is_complete(index) && *step != FileStep::Resize {
            continue;
        }
        let file = if is_new { None } else { Some(layout::open_beneath(fs, target, &entry.path, Open::ReadWrite)?) };
        let shape = FileShape::new(entry.bytes, manifest.about().chunk_size);
        for chunk in (0..shape.chunks()).filter(|chunk| !have.contains(index, *chunk)) {
            if rows.row(entry, shape, chunk)?.is_hole() {
                continue;
            }
            let takes_room = file.as_ref().map_or(Ok(true), |file| is_unallocated(&**file, shape, chunk));
            if takes_room.map_err(Error::io("look for holes in", target.join(&entry.path)))? {
                need.bytes += u64::from(shape.raw_len(chunk));
            }
        }
    }
    Ok(need)
}

fn is_unallocated(file: &dyn File, shape: FileShape, chunk: u64) -> std::io::Result<bool> {
    let start = shape.chunk_size.offset_of(chunk);
    let end = start + u64::from(shape.raw_len(chunk));
    Ok(file.next_data(start)?.is_none_or(|data| data.start >= end))
}

/// Moves what the snapshot owns and does not list into the staging directory, each run's below a number of its own.
fn put_strangers_aside(staging: &Staging, manifest: &Manifest) -> Result<(), Error> {
    let (fs, target) = (&**staging.fs(), staging.target());
    let strangers = layout::owned_stranger_paths(fs, target, manifest)?;
    if strangers.is_empty() {
        return Ok(());
    }
    let aside = free_name(fs, &staging.path().join(REMOVED))?;
    for to in strangers.iter().map(|stranger| aside.join(stranger)) {
        let parent = to.parent().expect("it lies in a directory of ours");
        fs.create_dir_all(parent, 0o700).map_err(Error::io("make", parent))?;
    }
    // Durable first: what is moved into a directory that a power cut takes away goes with it.
    fs.sync_fs(staging.path()).map_err(Error::io("sync", staging.path()))?;
    for stranger in strangers {
        let (from, to) = (target.join(&stranger), aside.join(&stranger));
        fs.rename(&from, &to, Rename::NoReplace).map_err(Error::io("put aside", &from))?;
    }
    Ok(())
}

fn free_name(fs: &dyn Fs, folder: &Path) -> Result<PathBuf, Error> {
    let mut number = 0;
    loop {
        let path = folder.join(number.to_string());
        if layout::stat_if_there(fs, &path)?.is_none() {
            return Ok(path);
        }
        number += 1;
    }
}

/// Makes what is missing, with its final length, durably. What is made anew belongs to whom the target belongs to.
fn make(fs: &dyn Fs, target: &Path, manifest: &Manifest, steps: &[FileStep]) -> Result<(), Error> {
    let owner = fs.stat(target).map_err(Error::io("look at", target))?;
    for dir in manifest.dirs() {
        let path = target.join(dir);
        if layout::stat_if_there(fs, &path)?.is_none() {
            layout::make_dir(fs, &path)?;
            give(fs, &path, &owner)?;
        }
    }
    for (file, step) in manifest.files().iter().zip(steps) {
        let path = target.join(&file.path);
        if *step == FileStep::Anew {
            fs.remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        match step {
            FileStep::Leave => {}
            FileStep::Resize => layout::resize_file(fs, target, file)?,
            FileStep::Make | FileStep::Anew => {
                let made = layout::open_beneath(fs, target, &file.path, Open::CreateNew(layout::FILE_MODE))?;
                made.set_len(file.bytes).map_err(Error::io("set the length of", &path))?;
                give(fs, &path, &owner)?;
            }
        }
    }
    fs.sync_fs(target).map_err(Error::io("sync", target))
}

/// Only root may give files away, and only root restores into the directory of somebody else.
fn give(fs: &dyn Fs, path: &Path, owner: &Stat) -> Result<(), Error> {
    let made = fs.stat(path).map_err(Error::io("look at", path))?;
    if (made.uid, made.gid) == (owner.uid, owner.gid) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    fs.chown(path, owner.uid, owner.gid).map_err(Error::io("change the owner of", path))
}

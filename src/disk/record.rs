//! What this machine knows of a restored directory, kept in the state directory: no mark is left among the database's files.
//!
//! ```text
//! STATE/targets/<b3 of the target's path>/
//!   current                     the target and the name of the generation that counts
//!   <generation>/               pin, manifest-<b3>, lists/<b3>, stats
//! ```
//! A generation is complete and durable before `current` names it, so a crash leaves the older record or the new one.

use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Error, layout, lists,
    staging::{Pin, Staging},
};
use crate::{
    format::manifest::{Layout, Manifest},
    fs::{Fs, Kind, Open, Stat},
    types::Hash,
};

const FORMAT: &str = "qsync-target/1";
/// Length, time of change and inode of a file.
const STAT_BYTES: usize = 8 + 16 + 8;
/// What stands for a file of which nothing is believed: none is that long.
const UNKNOWN: [u8; STAT_BYTES] = [0xff; STAT_BYTES];
/// The file with one of these for each file of the manifest.
const STATS: &str = "stats";

/// What this machine knows of a restored directory.
#[derive(Debug)]
pub struct Record {
    /// The snapshot and what proves it.
    pub pin: Pin,
    /// Where it was put.
    pub target: PathBuf,
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Current {
    format: String,
    /// For people; the folder's name is what counts.
    target: String,
    generation: String,
}

impl Record {
    /// Keeps a record of a snapshot that is in place, durably, instead of an older one. What its files are is what [`Stats::keep`] kept in
    /// the staging directory: since then a node may have been started on them. Does nothing when the staging directory is not pinned any
    /// more: an earlier run was interrupted after it had saved the record.
    ///
    /// # Errors
    /// When it cannot be written, or a list was not kept in the staging directory.
    pub fn save(fs: &dyn Fs, state_dir: &Path, staging: &Staging, manifest: &Manifest) -> Result<(), Error> {
        let Some(pin) = staging.pin()? else { return Ok(()) };
        let (target, folder) = (staging.target(), folder_of(state_dir, staging.target()));
        let generation = free_name(fs, &folder, &pin.manifest.id)?;
        let place = folder.join(&generation);
        fs.create_dir_all(&place, 0o700).map_err(Error::io("make", &place))?;
        pin.save(fs, &place)?;
        copy_lists(fs, staging, manifest, &place)?;
        let stats = Stats::kept(fs, staging.path(), manifest)?;
        stats.write(fs, &place.join(STATS))?;
        fs.sync_fs(&place).map_err(Error::io("sync", &place))?;
        set_current(fs, &folder, target, &generation)?;
        remove_others(fs, &folder, &generation)
    }

    /// The record of a resolved target; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when it is damaged.
    pub fn load(fs: &dyn Fs, state_dir: &Path, target: &Path) -> Result<Option<Self>, Error> {
        let folder = folder_of(state_dir, target);
        let path = folder.join("current");
        let text = match fs.read(&path, 1 << 16) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io("read", &path))?,
        };
        let unreadable = |why: String| Error::Unreadable { path: path.clone(), why };
        let current: Current = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
        if current.format != FORMAT {
            return Err(unreadable(format!("its format is {:?}, not {FORMAT:?}", current.format)));
        }
        let folder = folder.join(&current.generation);
        let pin = Pin::load(fs, &folder)?.ok_or_else(|| unreadable("what it names is not there".to_owned()))?;
        Ok(Some(Self { pin, target: target.to_owned(), folder }))
    }

    /// Forgets a resolved target.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(fs: &dyn Fs, state_dir: &Path, target: &Path) -> Result<(), Error> {
        let folder = folder_of(state_dir, target);
        fs.remove_tree(&folder).map_err(Error::io("remove", folder))
    }

    /// A list segment of the snapshot; `None` when it is missing or is not what its name says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, fs: &dyn Fs, id: &Hash) -> Result<Option<Vec<u8>>, Error> {
        lists::get(fs, &self.folder, id)
    }

    /// Whether the target's files have the lengths, times and inodes that they had when the record was saved, and nothing was added.
    /// Writes through a memory map may escape this: it says whether a restore can be skipped, it proves nothing.
    ///
    /// # Errors
    /// When the target cannot be looked at.
    pub fn is_untouched(&self, fs: &dyn Fs, manifest: &Manifest) -> Result<bool, Error> {
        let stats = self.stats(fs, manifest)?;
        for (index, file) in manifest.files().iter().enumerate() {
            let now = layout::stat_if_there(fs, &self.target.join(&file.path))?;
            if now.is_none_or(|now| !stats.is_unchanged(index, &now)) {
                return Ok(false);
            }
        }
        Ok(layout::owned_strangers(fs, &self.target, manifest)?.is_empty())
    }

    /// What the target's files were when the record was saved.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stats(&self, fs: &dyn Fs, manifest: &Manifest) -> Result<Stats, Error> {
        let path = self.folder.join(STATS);
        Ok(Stats(fs.read(&path, (manifest.files().len() * STAT_BYTES) as u64).map_err(Error::io("read", &path))?))
    }
}

impl Record {
    /// Takes back, durably, what is recorded of these files of the manifest, in rising order: they are not what they were, and no later run believes that
    /// they are, whatever their times say.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn disbelieve(&self, fs: &dyn Fs, manifest: &Manifest, files: &[usize]) -> Result<(), Error> {
        let Stats(mut bytes) = self.stats(fs, manifest)?;
        for (_, stat) in bytes.chunks_mut(STAT_BYTES).enumerate().filter(|(file, _)| files.binary_search(file).is_ok()) {
            // No file is so long.
            stat.fill(u8::MAX);
        }
        let path = self.folder.join("stats");
        fs.write_durable(&path, &bytes, 0o600).map_err(Error::io("write", path))
    }
}

/// Lengths, times and inodes of a restored directory's files when it had just been put in place.
#[derive(Debug)]
pub struct Stats(Vec<u8>);

impl Stats {
    /// What the files of a manifest below `dir` are now. Of one that is not there nothing is known.
    ///
    /// # Errors
    /// When one cannot be looked at.
    pub fn of(fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(manifest.files().len() * STAT_BYTES);
        for file in manifest.files() {
            bytes.extend(layout::stat_if_there(fs, &dir.join(&file.path))?.map_or(UNKNOWN, |stat| encode(&stat)));
        }
        Ok(Self(bytes))
    }

    /// Makes file `index` of the manifest one of which nothing is believed.
    pub fn forget(&mut self, index: usize) {
        if let Some(stat) = self.0.chunks_mut(STAT_BYTES).nth(index) {
            stat.copy_from_slice(&UNKNOWN);
        }
    }

    /// Keeps it in the staging directory, durably, for the record. Call it while nobody else can have changed the files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, staging: &Staging) -> Result<(), Error> {
        let path = staging.path().join(STATS);
        staging.fs().write_durable(&path, &self.0, 0o600).map_err(Error::io("write", &path))
    }

    /// What was kept for a manifest; without it nothing is believed of any file.
    fn kept(fs: &dyn Fs, staging: &Path, manifest: &Manifest) -> Result<Self, Error> {
        let (path, len) = (staging.join(STATS), manifest.files().len());
        match fs.read(&path, (len * STAT_BYTES) as u64) {
            Ok(bytes) if bytes.len() == len * STAT_BYTES => Ok(Self(bytes)),
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Err(Error::io("read", path)(e)),
            _ => Ok(Self(UNKNOWN.repeat(len))),
        }
    }

    fn write(&self, fs: &dyn Fs, path: &Path) -> Result<(), Error> {
        let file = fs.open(path, Open::CreateNew(0o600)).map_err(Error::io("make", path))?;
        file.write_all_at(&self.0, 0).map_err(Error::io("write", path))
    }

    /// Whether file `index` of the manifest still has its length, time and inode.
    #[must_use]
    pub fn is_unchanged(&self, index: usize, now: &Stat) -> bool {
        now.kind == Kind::File && self.0.chunks(STAT_BYTES).nth(index) == Some(&encode(now))
    }
}

fn folder_of(state_dir: &Path, target: &Path) -> PathBuf {
    state_dir.join("targets").join(Hash::of(target.as_os_str().as_bytes()).to_string())
}

fn free_name(fs: &dyn Fs, folder: &Path, id: &Hash) -> Result<String, Error> {
    let mut number = 0;
    loop {
        let name = format!("{}-{number}", id.short());
        if layout::stat_if_there(fs, &folder.join(&name))?.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}

fn copy_lists(fs: &dyn Fs, staging: &Staging, manifest: &Manifest, place: &Path) -> Result<(), Error> {
    for file in manifest.files() {
        let Layout::Lists(ids) = &file.layout else { continue };
        for id in &**ids {
            let missing = || Error::List { path: file.path.clone(), id: *id, source: "it was not kept with the data".into() };
            lists::put(fs, place, id, &staging.list(id)?.ok_or_else(missing)?)?;
        }
    }
    Ok(())
}

fn encode(stat: &Stat) -> [u8; STAT_BYTES] {
    let mut bytes = [0; STAT_BYTES];
    bytes[..8].copy_from_slice(&stat.len.to_le_bytes());
    bytes[8..24].copy_from_slice(&stat.mtime_ns.to_le_bytes());
    bytes[24..].copy_from_slice(&stat.ino.to_le_bytes());
    bytes
}

fn set_current(fs: &dyn Fs, folder: &Path, target: &Path, generation: &str) -> Result<(), Error> {
    let target = target.to_string_lossy().into_owned();
    let current = Current { format: FORMAT.to_owned(), target, generation: generation.to_owned() };
    let text = serde_json::to_vec_pretty(&current).expect("text can be written as JSON");
    let path = folder.join("current");
    fs.write_durable(&path, &text, 0o600).map_err(Error::io("write", path))
}

fn remove_others(fs: &dyn Fs, folder: &Path, generation: &str) -> Result<(), Error> {
    for entry in fs.read_dir(folder).map_err(Error::io("read", folder))? {
        if entry.kind == Kind::Dir && entry.name != generation {
            let path = folder.join(&entry.name);
            fs.remove_tree(&path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        disk::{
            staging::Owned,
            testing::{lists_of, manifest_of, painted, put},
        },
        fs::MemoryFs,
    };

    const STATE: &str = "/state";
    const TARGET: &str = "/d/node";

    /// A directory as a restore leaves it, its staging directory and its manifest.
    fn restored(fs: &MemoryFs) -> (Staging, Manifest) {
        let large = painted(400_000, 1);
        let files = [("db/1", large.as_slice()), ("db/2", b"small".as_slice())];
        for (path, bytes) in files {
            put(fs, &format!("{TARGET}/{path}"), bytes);
        }
        let manifest = manifest_of(&files);
        let staging = Staging::open(Arc::new(fs.clone()), Path::new(TARGET), Owned::Whole).unwrap();
        let pin = Pin { channel: "a/b".parse().unwrap(), roots: vec![], head: vec![1], manifest: manifest.to_stored(1).unwrap() };
        staging.set_pin(&pin).unwrap();
        for (id, bytes) in lists_of(&files) {
            staging.put_list(&id, &bytes).unwrap();
        }
        Stats::of(fs, Path::new(TARGET), &manifest).unwrap().keep(&staging).unwrap();
        (staging, manifest)
    }

    fn load(fs: &MemoryFs) -> Option<Record> {
        Record::load(fs, Path::new(STATE), Path::new(TARGET)).unwrap()
    }

    #[test]
    fn keeps_all_that_an_offline_verify_needs() {
        let fs = MemoryFs::new();
        let (staging, manifest) = restored(&fs);
        assert!(load(&fs).is_none());
        Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
        staging.remove().unwrap();
        let record = load(&fs).unwrap();
        assert_eq!(record.pin.manifest.id, manifest.to_stored(1).unwrap().id);
        let Layout::Lists(ids) = &manifest.files()[0].layout else { panic!("five chunks have a list") };
        assert!(record.list(&fs, &ids[0]).unwrap().is_some());
        Record::remove(&fs, Path::new(STATE), Path::new(TARGET)).unwrap();
        assert!(load(&fs).is_none());
    }

    #[test]
    fn tells_a_touched_directory_from_an_untouched_one() {
        let touched = |change: &dyn Fn(&MemoryFs)| {
            let fs = MemoryFs::new();
            let (staging, manifest) = restored(&fs);
            Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
            change(&fs);
            !load(&fs).unwrap().is_untouched(&fs, &manifest).unwrap()
        };
        assert!(!touched(&|_| {}));
        assert!(touched(&|fs| fs.open(Path::new("/d/node/db/2"), Open::ReadWrite).unwrap().write_all_at(b"S", 0).unwrap()));
        assert!(touched(&|fs| fs.remove_file(Path::new("/d/node/db/2")).unwrap()));
        assert!(touched(&|fs| put(fs, "/d/node/db/3", b"")));
    }

    #[test]
    fn of_a_file_that_was_forgotten_or_not_looked_at_nothing_is_believed() {
        let fs = MemoryFs::new();
        let (staging, manifest) = restored(&fs);
        let now = fs.stat(Path::new("/d/node/db/2")).unwrap();
        let mut stats = Stats::of(&fs, Path::new(TARGET), &manifest).unwrap();
        assert!(stats.is_unchanged(1, &now));
        stats.forget(1);
        assert!(!stats.is_unchanged(1, &now));
        stats.keep(&staging).unwrap();
        Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
        assert!(!load(&fs).unwrap().is_untouched(&fs, &manifest).unwrap());
        fs.remove_file(&staging.path().join(STATS)).unwrap();
        Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
        assert!(!load(&fs).unwrap().is_untouched(&fs, &manifest).unwrap());
    }

    // CR-10
    #[test]
    fn a_power_cut_leaves_the_older_record_or_the_new_one() {
        let fs = MemoryFs::new();
        let (staging, manifest) = restored(&fs);
        Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
        fs.sync_fs(Path::new("/")).unwrap();
        fs.on_operation(|number, fs| assert!(load(&fs.power_cut(number)).is_some(), "operation {number}"));
        Record::save(&fs, Path::new(STATE), &staging, &manifest).unwrap();
    }
}

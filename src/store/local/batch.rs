//! Objects that were put and are not durable yet, and how they become objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::staging::{FOLDER_MODE, STAGING, Staging, exists};
use crate::{
    fs::{Fs, Open, Rename},
    types::{Hash, ObjectKey},
};

/// Mode of objects, less the umask.
const OBJECT_MODE: u32 = 0o644;
/// A batch is made durable when it is this large …
const BATCH_BYTES: u64 = 256 << 20;
/// … or this old, …
const BATCH_AGE: Duration = Duration::from_secs(2);
/// … or holds this many objects, so that small ones do not pile up.
const BATCH_OBJECTS: usize = 4096;
/// From this many files or folders on, one sync of the file system costs less than one of each.
const SINGLE_SYNCS: usize = 4;
/// Files that are synced at once: the disk is told to empty its cache for each, and serves many such requests as one.
const SYNC_THREADS: usize = 32;

/// What [`Writer::put`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// An object of this length.
    Object(u64),
}

/// Why a batch could not be made durable.
#[derive(Debug)]
pub(super) enum Failed {
    Io(ObjectKey, io::Error),
    /// Objects whose puts had succeeded were lost with an earlier batch.
    EarlierBatch,
    /// Somebody has made an object of another length meanwhile.
    Conflict {
        key: ObjectKey,
        there_bytes: u64,
        staged_bytes: u64,
    },
}

/// The writing half of a store: its staging folder and the batch in it.
#[derive(Debug)]
pub(super) struct Writer {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    staging: Staging,
    staged: BTreeMap<ObjectKey, u64>,
    staged_bytes: u64,
    since: Instant,
    /// Folders whose new names are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    /// Folders that were there when they were last synced.
    known: BTreeSet<PathBuf>,
    /// Whether a batch was lost since the last sync.
    lost: bool,
}

impl Writer {
    pub(super) fn create(fs: &Arc<dyn Fs>, root: &Path) -> io::Result<Self> {
        Ok(Self {
            staging: Staging::create(fs, root)?,
            fs: Arc::clone(fs),
            root: root.to_owned(),
            staged: BTreeMap::new(),
            staged_bytes: 0,
            since: Instant::now(),
            unsynced: BTreeSet::new(),
            known: BTreeSet::new(),
            lost: false,
        })
    }

    /// Stages an object unless it is there. When another writer is about to make it, it is staged all the same: that writer may die.
    pub(super) fn put(&mut self, key: &ObjectKey, bytes: &[u8]) -> io::Result<Found> {
        if let Some(len) = self.staged.get(key) {
            return Ok(Found::Object(*len));
        }
        if let Some(len) = self.object_len(key)? {
            // Complete, or it would not have that name. But the name may not be durable yet.
            self.unsynced.extend(self.object(key).parent().map(Path::to_owned));
            return Ok(Found::Object(len));
        }
        let staged = self.staging.path(&staged_name(key));
        let (file, found) = self.claim(key, &staged, bytes.len() as u64)?;
        if let Err(error) = file.write_all_at(bytes, 0) {
            self.fs.remove_file(&staged)?;
            return Err(error);
        }
        self.remember(key, bytes.len() as u64);
        Ok(found)
    }

    /// Makes the empty staged file, which tells every other writer that the object is about to be made.
    fn claim(&self, key: &ObjectKey, staged: &Path, len: u64) -> io::Result<(Arc<dyn crate::fs::File>, Found)> {
        let _turn = self.staging.take_turn()?;
        // A leftover of a put that failed is ours alone.
        let file = self.fs.open(staged, Open::Create(OBJECT_MODE))?;
        file.set_len(0)?;
        // In this order: objects move from a staging folder into place, so one of the two looks finds it.
        let elsewhere = self.staging.elsewhere(&staged_name(key))?;
        let found = match self.object_len(key)? {
            Some(len) => Found::Object(len),
            None if elsewhere => Found::Object(len),
            None => Found::Nothing,
        };
        Ok((file, found))
    }

    fn remember(&mut self, key: &ObjectKey, len: u64) {
        if self.staged.is_empty() {
            self.since = Instant::now();
        }
        self.staged.insert(key.clone(), len);
        self.staged_bytes += len;
    }

    /// Whether the batch should be made durable now.
    pub(super) fn is_due(&self) -> bool {
        self.staged_bytes >= BATCH_BYTES
            || self.staged.len() >= BATCH_OBJECTS
            || (!self.staged.is_empty() && self.since.elapsed() >= BATCH_AGE)
    }

    /// Makes everything staged durable, then visible, then its names durable.
    ///
    /// After a failure nothing of the batch counts as put: after a failed sync nobody knows what is on the disk.
    pub(super) fn flush(&mut self) -> Result<(), Failed> {
        let batch = std::mem::take(&mut self.staged);
        self.staged_bytes = 0;
        let result = self.make_objects(&batch);
        if result.is_err() {
            self.lost = true;
            for key in batch.keys() {
                // What cannot be removed is overwritten by the next put of that key.
                let _ = self.fs.remove_file(&self.staging.path(&staged_name(key)));
            }
        }
        result
    }

    /// The same; fails too if any batch since the last sync was lost.
    pub(super) fn sync(&mut self) -> Result<(), Failed> {
        let flushed = self.flush();
        let lost = std::mem::take(&mut self.lost);
        flushed?;
        if lost { Err(Failed::EarlierBatch) } else { Ok(()) }
    }

    fn make_objects(&mut self, batch: &BTreeMap<ObjectKey, u64>) -> Result<(), Failed> {
        self.sync_content(batch)?;
        for (key, len) in batch {
            self.publish(key, *len)?;
        }
        let nameless = || batch.keys().next().cloned().unwrap_or_else(|| STAGING.parse().expect("the staging folder's name is a key"));
        self.sync_folders().map_err(|error| Failed::Io(nameless(), error))
    }

    fn sync_content(&self, batch: &BTreeMap<ObjectKey, u64>) -> Result<(), Failed> {
        let keys: Vec<&ObjectKey> = batch.keys().collect();
        if keys.len() <= SINGLE_SYNCS {
            return self.sync_files(&keys);
        }
        self.fs.sync_fs(&self.root).map_err(|error| Failed::Io(keys[0].clone(), error))?;
        // Finds little to do after the sync above, but reports an error of each very file.
        std::thread::scope(|scope| {
            let shares = keys.chunks(keys.len().div_ceil(SYNC_THREADS));
            let threads: Vec<_> = shares.map(|share| scope.spawn(|| self.sync_files(share))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a sync does not panic"))
        })
    }

    fn sync_files(&self, keys: &[&ObjectKey]) -> Result<(), Failed> {
        keys.iter().try_for_each(|&key| {
            let sync = || self.fs.open(&self.staging.path(&staged_name(key)), Open::ReadWrite)?.sync_all();
            sync().map_err(|error| Failed::Io(key.clone(), error))
        })
    }

    /// Renames a durable staged file into place, unless an object is there.
    fn publish(&mut self, key: &ObjectKey, staged_bytes: u64) -> Result<(), Failed> {
        let failed = |error| Failed::Io(key.clone(), error);
        let staged = self.staging.path(&staged_name(key));
        match self.move_into_place(key, &staged, Rename::NoReplace) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there_bytes = self.fs.stat(&self.object(key)).map_err(failed)?.len;
                if there_bytes != staged_bytes {
                    return Err(Failed::Conflict { key: key.clone(), there_bytes, staged_bytes });
                }
                self.unsynced.extend(self.object(key).parent().map(Path::to_owned));
                self.fs.remove_file(&staged).map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    fn move_into_place(&mut self, key: &ObjectKey, staged: &Path, mode: Rename) -> io::Result<()> {
        let object = self.object(key);
        self.make_folders(key)?;
        match self.fs.rename(staged, &object, mode) {
            // Somebody has removed an empty folder that we remember.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.known.clear();
                self.make_folders(key)?;
                self.fs.rename(staged, &object, mode)
            }
            done => done,
        }
    }

    /// Makes the folders of an object, and notes each whose names must be synced.
    fn make_folders(&mut self, key: &ObjectKey) -> io::Result<()> {
        let mut folder = self.root.clone();
        for (slash, _) in key.as_str().match_indices('/') {
            let inner = self.root.join(&key.as_str()[..slash]);
            if !self.known.contains(&inner) {
                match self.fs.create_dir(&inner, FOLDER_MODE) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => self.unsynced.insert(folder),
                };
            }
            folder = inner;
        }
        self.unsynced.insert(folder);
        Ok(())
    }

    fn sync_folders(&mut self) -> io::Result<()> {
        if self.unsynced.len() > SINGLE_SYNCS {
            self.fs.sync_fs(&self.root)?;
        } else {
            for folder in &self.unsynced {
                self.fs.sync_dir(folder)?;
            }
        }
        self.known.append(&mut self.unsynced);
        Ok(())
    }

    /// Replaces an object durably if `decide`, called while everybody else waits, says so.
    pub(super) fn replace<E: From<io::Error>>(
        &mut self,
        key: &ObjectKey,
        bytes: &[u8],
        decide: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let _turn = self.staging.take_turn()?;
        if !decide()? {
            return Ok(false);
        }
        let staged = self.staging.path("swap");
        let file = self.fs.open(&staged, Open::Create(OBJECT_MODE))?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.move_into_place(key, &staged, Rename::Replace)?;
        self.sync_folders()?;
        Ok(true)
    }

    fn object(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn object_len(&self, key: &ObjectKey) -> io::Result<Option<u64>> {
        let path = self.object(key);
        if exists(&*self.fs, &path)? { self.fs.stat(&path).map(|stat| Some(stat.len)) } else { Ok(None) }
    }
}

/// The name of an object in a staging folder, the same for every writer. A hash, because a key may be longer than a file name.
fn staged_name(key: &ObjectKey) -> String {
    Hash::of(key.as_str().as_bytes()).to_string()
}

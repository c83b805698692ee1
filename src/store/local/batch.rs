//! Objects that were put and are not durable yet, and how they become objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::staging::{FOLDER_MODE, STAGING, Staging, exists};
use crate::{
    fs::{Fs, Open, Rename, Watch},
    types::{Hash, ObjectKey},
};

/// Mode of objects, less the umask.
const OBJECT_MODE: u32 = 0o644;
/// A batch is made durable when it is this large, so that the disk is busy while the next one fills, …
const BATCH_BYTES: u64 = 64 << 20;
/// … or this old, …
const BATCH_AGE: Duration = Duration::from_secs(2);
/// … or holds this many objects, so that small ones do not pile up.
const BATCH_OBJECTS: usize = 4096;
/// From this many files or folders on, one sync of the file system costs less than one of each.
const SINGLE_SYNCS: usize = 4;
/// Files that are synced at once: the disk is told to empty its cache for each, and serves many such requests as one.
const SYNC_THREADS: usize = 32;

/// What was found under the name of an object that is put.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// An object of this length.
    Object(u64),
}

/// Why objects could not be made durable.
#[derive(Debug)]
pub(super) enum Failed {
    /// This operation failed, for this object or the first of its batch.
    Io(ObjectKey, io::Error),
    /// The disk did not take everything that was written since the last sync. Nobody knows of which object, so none that was staged then counts.
    Unwritten(ObjectKey, io::Error),
    /// Objects whose puts had succeeded, or this one, were lost with an earlier batch.
    EarlierBatch,
    /// Somebody has made an object of another length meanwhile.
    Conflict { key: ObjectKey, there_bytes: u64, staged_bytes: u64 },
}

/// Objects that are staged completely.
#[derive(Debug)]
pub(super) struct Batch {
    objects: BTreeMap<ObjectKey, u64>,
    bytes: u64,
    since: Instant,
}

impl Default for Batch {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), bytes: 0, since: Instant::now() }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(super) fn len_of(&self, key: &ObjectKey) -> Option<u64> {
        self.objects.get(key).copied()
    }

    pub(super) fn add(&mut self, key: &ObjectKey, len: u64) {
        if self.objects.is_empty() {
            self.since = Instant::now();
        }
        self.objects.insert(key.clone(), len);
        self.bytes += len;
    }

    /// Whether it should be made durable now.
    pub(super) fn is_due(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.objects.len() >= BATCH_OBJECTS || (!self.objects.is_empty() && self.since.elapsed() >= BATCH_AGE)
    }

    fn first(&self) -> ObjectKey {
        self.objects.keys().next().cloned().unwrap_or_else(|| STAGING.parse().expect("the staging folder's name is a key"))
    }
}

/// Where a writer's objects are staged, and where they go. Whoever makes objects of a batch, or replaces one, does so alone.
#[derive(Debug)]
pub(super) struct Place {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    staging: Staging,
    /// Begun before anything was staged. `None` where only a sync of each file tells what became of it.
    watch: Option<Box<dyn Watch>>,
    folders: Mutex<Folders>,
}

#[derive(Debug, Default)]
struct Folders {
    /// Those whose new names are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    /// Those that are there.
    known: BTreeSet<PathBuf>,
}

impl Place {
    pub(super) fn create(fs: &Arc<dyn Fs>, root: &Path) -> io::Result<Self> {
        Ok(Self {
            watch: fs.watch(root)?,
            staging: Staging::create(fs, root)?,
            fs: Arc::clone(fs),
            root: root.to_owned(),
            folders: Mutex::default(),
        })
    }

    /// Stages an object unless it is there. When another writer is about to make it, it is staged all the same: that writer may die.
    pub(super) fn stage(&self, key: &ObjectKey, bytes: &[u8]) -> io::Result<(Found, Staged)> {
        if let Some(len) = self.object_len(key)? {
            // Complete, or it would not have that name. But the name may not be durable yet.
            self.folders().unsynced.extend(self.object(key).parent().map(Path::to_owned));
            return Ok((Found::Object(len), Staged::No));
        }
        let staged = self.staging.path(&staged_name(key));
        let (file, found) = self.claim(key, &staged, bytes.len() as u64)?;
        if let Err(error) = file.write_all_at(bytes, 0) {
            self.fs.remove_file(&staged)?;
            return Err(error);
        }
        Ok((found, Staged::Yes))
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

    /// Makes everything in a batch durable, then visible. The names are durable after [`Place::sync_folders`].
    ///
    /// After a failure nothing of the batch counts as put: after a failed sync nobody knows what is on the disk.
    pub(super) fn make_objects(&self, batch: &Batch) -> Result<(), Failed> {
        let made = self.sync_content(batch).and_then(|()| batch.objects.iter().try_for_each(|(key, len)| self.publish(key, *len)));
        if made.is_err() {
            self.discard(batch);
        }
        made
    }

    /// Removes what is staged of a batch.
    pub(super) fn discard(&self, batch: &Batch) {
        batch.objects.keys().for_each(|key| self.unstage(key));
    }

    /// Removes a staged object. One that cannot be removed is overwritten by the next put of that key.
    pub(super) fn unstage(&self, key: &ObjectKey) {
        let _ = self.fs.remove_file(&self.staging.path(&staged_name(key)));
    }

    fn sync_content(&self, batch: &Batch) -> Result<(), Failed> {
        let keys: Vec<&ObjectKey> = batch.objects.keys().collect();
        if keys.len() <= SINGLE_SYNCS {
            return self.sync_files(&keys);
        }
        if let Some(watch) = &self.watch {
            return watch.sync().map_err(|error| Failed::Unwritten(batch.first(), error));
        }
        self.fs.sync_fs(&self.root).map_err(|error| Failed::Io(batch.first(), error))?;
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
    fn publish(&self, key: &ObjectKey, staged_bytes: u64) -> Result<(), Failed> {
        let failed = |error| Failed::Io(key.clone(), error);
        let staged = self.staging.path(&staged_name(key));
        match self.move_into_place(key, &staged, Rename::NoReplace) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there_bytes = self.fs.stat(&self.object(key)).map_err(failed)?.len;
                if there_bytes != staged_bytes {
                    return Err(Failed::Conflict { key: key.clone(), there_bytes, staged_bytes });
                }
                self.folders().unsynced.extend(self.object(key).parent().map(Path::to_owned));
                self.fs.remove_file(&staged).map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    fn move_into_place(&self, key: &ObjectKey, staged: &Path, mode: Rename) -> io::Result<()> {
        let object = self.object(key);
        self.make_folders(key)?;
        let renamed = match self.fs.rename(staged, &object, mode) {
            // Somebody has removed an empty folder that we remember.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folders().known.clear();
                self.make_folders(key)?;
                self.fs.rename(staged, &object, mode)
            }
            done => done,
        };
        // Again: somebody may have synced the folder, and struck it off, between the note and the rename.
        self.folders().unsynced.extend(object.parent().map(Path::to_owned));
        renamed
    }

    /// Makes the folders of an object, and notes each whose names must be synced.
    fn make_folders(&self, key: &ObjectKey) -> io::Result<()> {
        let mut folders = self.folders();
        let mut folder = self.root.clone();
        for (slash, _) in key.as_str().match_indices('/') {
            let inner = self.root.join(&key.as_str()[..slash]);
            if !folders.known.contains(&inner) {
                match self.fs.create_dir(&inner, FOLDER_MODE) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => folders.unsynced.insert(folder),
                };
                folders.known.insert(inner.clone());
            }
            folder = inner;
        }
        folders.unsynced.insert(folder);
        Ok(())
    }

    /// Makes the names of all objects so far durable. After a failure they all stay to be synced.
    pub(super) fn sync_folders(&self) -> Result<(), Failed> {
        let mut folders = self.folders();
        let nameless = || Batch::default().first();
        if folders.unsynced.len() <= SINGLE_SYNCS {
            return self.sync_each(&mut folders).map_err(|error| Failed::Io(nameless(), error));
        }
        match &self.watch {
            Some(watch) => watch.sync().map_err(|error| Failed::Unwritten(nameless(), error))?,
            None => self.fs.sync_fs(&self.root).map_err(|error| Failed::Io(nameless(), error))?,
        }
        folders.unsynced.clear();
        Ok(())
    }

    fn sync_each(&self, folders: &mut Folders) -> io::Result<()> {
        folders.unsynced.iter().try_for_each(|folder| self.fs.sync_dir(folder))?;
        folders.unsynced.clear();
        Ok(())
    }

    /// Replaces an object durably if `decide`, called while everybody else waits, says so.
    pub(super) fn replace<E: From<io::Error>>(
        &self,
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
        // Not through the watch: what it would tell is about objects that somebody puts meanwhile.
        self.sync_each(&mut self.folders())?;
        Ok(true)
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, Folders> {
        self.folders.lock().expect("no holder of this lock panics")
    }

    fn object(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn object_len(&self, key: &ObjectKey) -> io::Result<Option<u64>> {
        let path = self.object(key);
        if exists(&*self.fs, &path)? { self.fs.stat(&path).map(|stat| Some(stat.len)) } else { Ok(None) }
    }
}

/// Whether [`Place::stage`] has staged an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staged {
    Yes,
    No,
}

/// The name of an object in a staging folder, the same for every writer. A hash, because a key may be longer than a file name.
fn staged_name(key: &ObjectKey) -> String {
    Hash::of(key.as_str().as_bytes()).to_string()
}

//! The power goes at every single operation of a restore; the next run must find its way.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Error,
    have::Have,
    staging::{Owned, Pin, Staging},
    swap::{self, Old},
    testing::{bytes_of, lists_of, manifest_of, manifest_with, painted, put, verified},
    verify,
    writer::{Settings, Writer},
};
use crate::{
    format::manifest::{Manifest, StoredManifest},
    fs::{Fs, MemoryFs},
    progress::{NoProgress, Stop},
    types::Hash,
};

pub(super) const TARGET: &str = "/d/node";
const STAGING: &str = "/d/.node.qsync-partial";

/// A snapshot, and how often its chunks were fetched.
pub(super) struct Snapshot {
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    pub(super) manifest: Arc<Manifest>,
    pub(super) stored: StoredManifest,
    pub(super) fetched: AtomicU64,
}

impl Snapshot {
    pub(super) fn new(files: Vec<(&'static str, Vec<u8>)>, subtrees: Option<&[&str]>) -> Self {
        let borrowed: Vec<_> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
        let manifest = if subtrees.is_some() { manifest_with(&borrowed, subtrees) } else { manifest_of(&borrowed) };
        let stored = manifest.to_stored(1).unwrap();
        Self { files, manifest: Arc::new(manifest), stored, fetched: AtomicU64::new(0) }
    }

    fn small() -> Self {
        let mut holed = painted(65_536, 2);
        holed.resize(400_000, 0);
        Self::new(vec![("db/000001.sst", painted(150_000, 1)), ("db/empty", vec![]), ("db/holed", holed), ("CURRENT", b"7".to_vec())], None)
    }

    pub(super) fn pin(&self) -> Pin {
        let channel = "kusama/generic".parse().unwrap();
        Pin { channel, roots: vec![b"root".to_vec()], head: b"head".to_vec(), manifest: self.stored.clone() }
    }

    fn chunk(&self, file: usize, chunk: u64) -> &[u8] {
        let path = self.manifest.files()[file].path.as_str();
        let (_, bytes) = self.files.iter().find(|(p, _)| *p == path).unwrap();
        bytes.chunks(65_536).nth(chunk as usize).unwrap()
    }

    pub(super) fn lists(&self) -> impl Fn(&Hash) -> std::io::Result<Vec<u8>> + Sync {
        let borrowed: Vec<_> = self.files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
        let lists = lists_of(&borrowed);
        move |id| lists.get(id).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    pub(super) fn is_at(&self, fs: &MemoryFs, dir: &str) -> bool {
        let stop = Stop::new();
        let options = verify::Options { threads: 1, whole_files: true, stop: &stop, progress: &NoProgress };
        fs.stat(Path::new(dir)).is_ok()
            && verify::verify(fs, Path::new(dir), &self.manifest, &self.lists(), &options).unwrap().defects.is_empty()
    }

    /// Everything a restore does with the disk, as a run that may follow a crash does it.
    fn restore(&self, fs: &MemoryFs, target: &str, old: Old) -> Result<(), Error> {
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let owned = if self.manifest.about().subtrees.is_some() { Owned::Subtrees } else { Owned::Whole };
        let staging = Arc::new(Staging::open(Arc::clone(&shared), Path::new(target), owned)?);
        if let Some(placed) = swap::finish_pending(&staging)? {
            placed.close(&staging)?;
            return staging.remove();
        }
        match staging.pin()? {
            // What the state record says in a real run: it was saved before the staging directory was taken apart.
            None if self.is_at(fs, target) => return staging.remove(),
            Some(pin) => assert_eq!(pin.manifest.id, self.stored.id),
            None => staging.set_pin(&self.pin())?,
        }
        let (journal, have) = self.resume(&staging, fs)?;
        let settings = Settings { batch_bytes: 100_000, batch_age: Duration::from_secs(60), open_files: 2 };
        let writer = Writer::new(shared, Arc::clone(&staging), Arc::clone(&self.manifest), journal, settings);
        self.write_missing(&writer, &have)?;
        writer.flush()?;
        swap::put_in_place(&staging, &self.manifest, &self.stored.id, old)?.close(&staging)?;
        staging.remove()
    }

    fn resume(&self, staging: &Staging, fs: &MemoryFs) -> Result<(super::journal::Journal, Have), Error> {
        let stop = Stop::new();
        let options = verify::Options { threads: 1, whole_files: false, stop: &stop, progress: &NoProgress };
        let surviving = || verify::surviving(fs, &staging.data(), &self.manifest, &self.lists(), &options);
        match staging.resume(&self.manifest, &self.stored.id)? {
            Some((journal, have)) => {
                self.check_trust(&have, &surviving()?);
                Ok((journal, have))
            }
            None => {
                let have = surviving()?;
                Ok((staging.start(&self.manifest, &self.stored.id, &have)?, have))
            }
        }
    }

    /// ST-06: the journal is believed only for data that is really there.
    fn check_trust(&self, have: &Have, really: &Have) {
        for file in 0..self.manifest.files().len() {
            for chunk in have.ranges(file).into_iter().flatten() {
                assert!(really.contains(file, chunk), "the journal speaks of chunk {chunk} of file {file}, which is not there");
            }
        }
    }

    pub(super) fn write_missing(&self, writer: &Writer, have: &Have) -> Result<(), Error> {
        for (file, entry) in self.manifest.files().iter().enumerate() {
            for chunk in (0..entry.bytes.div_ceil(65_536)).filter(|chunk| !have.contains(file, *chunk)) {
                let bytes = self.chunk(file, chunk);
                if bytes.iter().all(|b| *b == 0) {
                    writer.write_holes(file, chunk..chunk + 1)?;
                } else {
                    self.fetched.fetch_add(1, Ordering::Relaxed);
                    writer.write(file, chunk, &verified(bytes))?;
                }
            }
        }
        Ok(())
    }
}

/// A file system on which the directory of the target is durable.
fn empty_disk() -> MemoryFs {
    let fs = MemoryFs::new();
    fs.create_dir(Path::new("/d"), 0o755).unwrap();
    fs.sync_fs(Path::new("/")).unwrap();
    fs
}

/// Runs `run` once, and at each of its operations cuts the power of a copy and hands that to `check`. Says how many operations there were.
pub(super) fn at_every_operation(
    fs: &MemoryFs,
    run: impl FnOnce(&MemoryFs),
    check: impl Fn(u64, &MemoryFs) + Send + Sync + 'static,
) -> u64 {
    let operations = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&operations);
    fs.on_operation(move |number, fs| {
        counter.fetch_add(1, Ordering::Relaxed);
        for seed in 0..3 {
            check(number, &fs.power_cut(number * 3 + seed));
        }
    });
    run(fs);
    operations.load(Ordering::Relaxed)
}

// ST-06, CR-04
#[test]
fn a_power_cut_at_any_operation_leaves_the_old_database_or_the_new_one() {
    let (old, new) = (Snapshot::new(vec![("db/000009.sst", painted(70_000, 9))], None), Arc::new(Snapshot::small()));
    let fs = MemoryFs::new();
    put(&fs, "/d/node/db/000009.sst", &painted(70_000, 9));
    let after = Arc::clone(&new);
    let operations = at_every_operation(
        &fs,
        |fs| new.restore(fs, TARGET, Old::Delete).unwrap(),
        move |number, fs| {
            assert!(old.is_at(fs, TARGET) || after.is_at(fs, TARGET), "operation {number} lost both");
            if !after.is_at(fs, TARGET) || fs.stat(Path::new(STAGING)).is_ok() {
                after.restore(fs, TARGET, Old::Delete).unwrap();
            }
            assert!(after.is_at(fs, TARGET), "after operation {number}");
            assert!(fs.stat(Path::new(STAGING)).is_err());
        },
    );
    assert!(operations > 40, "only {operations} operations were looked at");
}

// ST-06, ST-10
#[test]
fn without_exchange_in_the_file_system_two_renames_do_and_none_is_lost() {
    let new = Arc::new(Snapshot::small());
    for old in [Old::Delete, Old::Keep] {
        let exchange = operation_of_the_exchange(&new, old);
        let fs = MemoryFs::new();
        put(&fs, "/d/node/db/000009.sst", &painted(70_000, 9));
        fs.fail_once_after(exchange, 95); // EOPNOTSUPP
        let after = Arc::clone(&new);
        at_every_operation(
            &fs,
            |fs| new.restore(fs, TARGET, old).unwrap(),
            move |number, fs| {
                if !after.is_at(fs, TARGET) || fs.stat(Path::new(STAGING)).is_ok() {
                    after.restore(fs, TARGET, old).unwrap();
                }
                assert!(after.is_at(fs, TARGET), "after operation {number}");
            },
        );
        assert!(new.is_at(&fs, TARGET));
        let kept = format!("/d/node.qsync-old-{}/db/000009.sst", new.stored.id.short());
        assert_eq!(fs.stat(Path::new(&kept)).is_ok(), old == Old::Keep);
    }
}

/// The first operation after which the old database is not at its place any more.
fn operation_of_the_exchange(new: &Snapshot, old: Old) -> u64 {
    let fs = MemoryFs::new();
    put(&fs, "/d/node/db/000009.sst", &painted(70_000, 9));
    let before = fs.operations();
    let found = Arc::new(Mutex::new(None));
    let note = Arc::clone(&found);
    fs.on_operation(move |number, fs| {
        if fs.stat(Path::new("/d/node/db/000009.sst")).is_err() {
            note.lock().unwrap().get_or_insert(number - 1 - before);
        }
    });
    new.restore(&fs, TARGET, old).unwrap();
    let found = found.lock().unwrap().take();
    found.unwrap()
}

// ST-06
#[test]
fn subtrees_are_swapped_one_by_one_and_their_neighbours_stay() {
    let files = vec![("geth/chaindata/a", painted(70_000, 3)), ("geth/triedb/b", painted(10, 4))];
    let new = Arc::new(Snapshot::new(files, Some(&["geth/chaindata", "geth/triedb"])));
    let fs = MemoryFs::new();
    put(&fs, "/d/node/geth/chaindata/old", b"old");
    put(&fs, "/d/node/geth/nodekey", b"identity");
    let after = Arc::clone(&new);
    at_every_operation(
        &fs,
        |fs| new.restore(fs, TARGET, Old::Delete).unwrap(),
        move |_, fs| {
            if !after.is_at(fs, TARGET) || fs.stat(Path::new("/d/node/.qsync-partial")).is_ok() {
                after.restore(fs, TARGET, Old::Delete).unwrap();
            }
            assert!(after.is_at(fs, TARGET));
            assert_eq!(bytes_of(fs, "/d/node/geth/nodekey"), b"identity");
            assert!(fs.stat(Path::new("/d/node/geth/chaindata/old")).is_err());
        },
    );
}

// P3
#[test]
fn chunks_that_were_journaled_are_not_fetched_again() {
    let (new, fs) = (Snapshot::small(), empty_disk());
    new.restore(&fs, TARGET, Old::Refuse).unwrap();
    let (all, chunks) = (fs.operations() - empty_disk().operations(), new.fetched.load(Ordering::Relaxed));
    for operation in 0..all - 1 {
        let fs = empty_disk();
        new.fetched.store(0, Ordering::Relaxed);
        fs.fail_after(operation, 5);
        new.restore(&fs, TARGET, Old::Refuse).unwrap_err();
        let fs = fs.power_cut(operation);
        if !new.is_at(&fs, TARGET) || fs.stat(Path::new(STAGING)).is_ok() {
            new.restore(&fs, TARGET, Old::Refuse).unwrap();
        }
        assert!(new.is_at(&fs, TARGET));
        // A batch is at most three chunks here: the small one and two others.
        let fetched = new.fetched.load(Ordering::Relaxed);
        assert!(fetched <= chunks + 3, "operation {operation}: {fetched} of {chunks}");
    }
}

// ST-03
#[test]
fn a_batch_whose_sync_failed_is_never_journaled() {
    let new = Snapshot::small();
    let clean = empty_disk();
    new.restore(&clean, TARGET, Old::Refuse).unwrap();
    let failures = Cell::new(0);
    for operation in 0..clean.operations() - empty_disk().operations() {
        let fs = empty_disk();
        fs.fail_once_after(operation, 5);
        if new.restore(&fs, TARGET, Old::Refuse).is_err() {
            failures.set(failures.get() + 1);
            let fs = fs.power_cut(operation);
            if !new.is_at(&fs, TARGET) || fs.stat(Path::new(STAGING)).is_ok() {
                new.restore(&fs, TARGET, Old::Refuse).unwrap();
            }
            assert!(new.is_at(&fs, TARGET));
        }
    }
    assert!(failures.get() > 20);
}

// ST-02
#[test]
fn a_full_disk_is_named_as_such_and_the_next_run_goes_on() {
    let (new, fs) = (Snapshot::small(), empty_disk());
    fs.limit_space(Some(200_000));
    assert!(matches!(new.restore(&fs, TARGET, Old::Refuse), Err(Error::NoSpace { .. })));
    fs.limit_space(None);
    new.restore(&fs, TARGET, Old::Refuse).unwrap();
    assert!(new.is_at(&fs, TARGET));
}

// ST-08
#[test]
fn a_lost_journal_costs_hashing_and_no_fetching() {
    let (new, fs) = (Snapshot::small(), empty_disk());
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let staging = Staging::open(shared, Path::new(TARGET), Owned::Whole).unwrap();
    staging.set_pin(&new.pin()).unwrap();
    let staging = Arc::new(staging);
    let (journal, have) = new.resume(&staging, &fs).unwrap();
    let writer = Writer::new(Arc::new(fs.clone()), Arc::clone(&staging), Arc::clone(&new.manifest), journal, Settings::default());
    new.write_missing(&writer, &have).unwrap();
    writer.flush().unwrap();
    drop((writer, staging));
    let fetched = new.fetched.load(Ordering::Relaxed);
    fs.remove_file(Path::new("/d/.node.qsync-partial/journal")).unwrap();
    new.restore(&fs, TARGET, Old::Refuse).unwrap();
    assert_eq!(new.fetched.load(Ordering::Relaxed), fetched);
    assert!(new.is_at(&fs, TARGET));
}

// OP-10
#[test]
fn a_staging_directory_that_somebody_removes_is_noticed() {
    let (new, fs) = (Snapshot::small(), empty_disk());
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let staging = Arc::new(Staging::open(shared, Path::new(TARGET), Owned::Whole).unwrap());
    let (journal, have) = new.resume(&staging, &fs).unwrap();
    let writer = Writer::new(Arc::new(fs.clone()), Arc::clone(&staging), Arc::clone(&new.manifest), journal, Settings::default());
    new.write_missing(&writer, &have).unwrap();
    fs.remove_tree(Path::new(STAGING)).unwrap();
    assert!(matches!(writer.flush(), Err(Error::StagingGone { .. })));
}

// CR-02
#[test]
fn a_second_run_is_refused_and_told_who_holds_the_directory() {
    let fs: Arc<dyn Fs> = Arc::new(empty_disk());
    let _first = Staging::open(Arc::clone(&fs), Path::new(TARGET), Owned::Whole).unwrap();
    let second = Staging::open(fs, Path::new(TARGET), Owned::Whole);
    assert!(matches!(second, Err(Error::Locked { holder: Some(pid), .. }) if pid == std::process::id()));
}

// MF-16, MF-18
#[test]
fn nothing_that_is_not_in_the_manifest_is_put_in_place() {
    let (new, fs) = (Snapshot::small(), empty_disk());
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let staging = Staging::open(shared, Path::new(TARGET), Owned::Whole).unwrap();
    new.resume(&staging, &fs).unwrap();
    put(&fs, "/d/.node.qsync-partial/data/db/stranger", b"x");
    let placed = swap::put_in_place(&staging, &new.manifest, &new.stored.id, Old::Refuse);
    assert!(matches!(placed, Err(Error::NotAsListed { what: "not in the manifest", .. })));
    assert!(fs.stat(Path::new(TARGET)).is_err());
}

#[test]
fn a_target_that_filled_up_meanwhile_is_not_replaced_unasked() {
    let (new, fs) = (Snapshot::small(), MemoryFs::new());
    put(&fs, "/d/node/precious", b"x");
    assert!(matches!(new.restore(&fs, TARGET, Old::Refuse), Err(Error::TargetNotEmpty { .. })));
    assert_eq!(bytes_of(&fs, "/d/node/precious"), b"x");
}

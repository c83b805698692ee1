//! A directory is changed in place, and the power goes at every single operation of it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Error,
    crash_tests::{Snapshot, TARGET, at_every_operation},
    in_place,
    mode::{Mode, Purpose},
    plan::{self, TakeUp},
    staging::{Staging, Version},
    testing::{bytes_of, painted, put},
    verify,
    writer::{Settings, Writer},
};
use crate::{
    fs::{Fs, MemoryFs, Open},
    progress::{NoProgress, Stop},
};

const PARTIAL: &str = "/d/node/.qsync-partial";

/// What is there: a file that stays, one that changes in the middle, ones that get longer and shorter, one that goes away.
fn old() -> Snapshot {
    let files = vec![
        ("db/000001.sst", painted(150_000, 1)),
        ("db/changed", painted(200_000, 2)),
        ("db/longer", painted(70_000, 3)),
        ("db/shorter", painted(200_000, 4)),
        ("db/000009.sst", painted(70_000, 9)),
        ("CURRENT", b"9".to_vec()),
    ];
    Snapshot::new(files, None)
}

fn new() -> Snapshot {
    let mut changed = painted(200_000, 2);
    changed[70_000] ^= 1;
    let mut holed = painted(65_536, 6);
    holed.resize(300_000, 0);
    let files = vec![
        ("db/000001.sst", painted(150_000, 1)),
        ("db/changed", changed),
        ("db/longer", painted(150_000, 3)),
        ("db/shorter", painted(65_536, 4)),
        ("db/holed", holed),
        ("CURRENT", b"7".to_vec()),
    ];
    Snapshot::new(files, None)
}

/// The old database, durable, with a second name for two of its files.
fn disk(old: &Snapshot) -> MemoryFs {
    let fs = MemoryFs::new();
    for (path, bytes) in &old.files {
        put(&fs, &format!("{TARGET}/{path}"), bytes);
    }
    for (file, backup) in [("db/changed", "/d/backup-of-changed"), ("db/000001.sst", "/d/backup-of-same")] {
        fs.hard_link(&Path::new(TARGET).join(file), Path::new(backup)).unwrap();
    }
    fs.sync_fs(Path::new("/")).unwrap();
    fs
}

fn mode(fs: &MemoryFs) -> Option<Mode> {
    Staging::peek(fs, Path::new(TARGET)).unwrap().map(|left| left.mode)
}

/// Everything a restore in place does with the disk, as a run that may follow a crash does it.
fn change(new: &Snapshot, fs: &MemoryFs, purpose: Purpose) -> Result<(), Error> {
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let staging = Arc::new(open(new, &shared, purpose)?);
    staging.set_pin(&new.pin())?;
    let stop = Stop::new();
    let how = verify::Options { threads: 1, whole_files: false, stop: &stop, progress: &NoProgress };
    let have = verify::right(fs, Path::new(TARGET), &new.manifest, &new.lists(), &how)?;
    let (journal, have) = in_place::begin(&staging, &new.manifest, &new.stored.id, have, &new.lists(), purpose)?;
    let settings = Settings { batch_bytes: 100_000, batch_age: Duration::from_secs(60), open_files: 2 };
    let writer = Writer::new(shared, Arc::clone(&staging), Arc::clone(&new.manifest), journal, settings);
    new.write_missing(&writer, &have)?;
    writer.flush()?;
    in_place::check_complete(&staging, &new.manifest)?;
    in_place::clean_up(&staging)
}

fn open(new: &Snapshot, fs: &Arc<dyn Fs>, purpose: Purpose) -> Result<Staging, Error> {
    if let Some(found) = Staging::find(Arc::clone(fs), Path::new(TARGET), Version::Readable)? {
        let is_pinned = found.pin()?.is_some();
        if is_pinned && plan::take_up(found.mode(), true, false) == TakeUp::Continue {
            assert_eq!(found.pin()?.unwrap().manifest.id, new.stored.id);
            return Ok(found);
        }
        found.remove()?;
    }
    Staging::open_in_place(Arc::clone(fs), Path::new(TARGET), purpose)
}

/// What must be true of the disk at any moment.
fn check(number: u64, fs: &MemoryFs, old: &Snapshot, new: &Snapshot) {
    let is_marked = mode(fs).is_some_and(Mode::is_incomplete);
    assert!(is_marked || old.is_at(fs, TARGET) || new.is_at(fs, TARGET), "operation {number}: neither old nor new, and nothing says so");
    assert_eq!(bytes_of(fs, "/d/backup-of-changed"), painted(200_000, 2), "operation {number}");
    assert_eq!(bytes_of(fs, "/d/backup-of-same"), painted(150_000, 1), "operation {number}");
    if !new.is_at(fs, TARGET) {
        let places =
            [format!("{TARGET}/db/000009.sst"), format!("{PARTIAL}/removed/0/db/000009.sst"), format!("{PARTIAL}/removed/1/db/000009.sst")];
        let kept = places.iter().any(|path| fs.stat(Path::new(path)).is_ok());
        assert!(kept, "operation {number}: what the snapshot does not list is gone too early");
    }
}

// ST-06, CR-01
#[test]
fn a_power_cut_at_any_operation_of_a_change_in_place_leaves_old_or_new_or_a_mark_that_says_neither() {
    let (old, new) = (Arc::new(old()), Arc::new(new()));
    let fs = disk(&old);
    let (before, after) = (Arc::clone(&old), Arc::clone(&new));
    let operations = at_every_operation(
        &fs,
        |fs| change(&new, fs, Purpose::Restore).unwrap(),
        move |number, fs| {
            check(number, fs, &before, &after);
            if !after.is_at(fs, TARGET) || mode(fs).is_some() {
                change(&after, fs, Purpose::Restore).unwrap();
            }
            assert!(after.is_at(fs, TARGET), "after operation {number}");
            assert_eq!(bytes_of(fs, "/d/backup-of-changed"), painted(200_000, 2));
        },
    );
    assert!(operations > 40, "only {operations} operations were looked at");
    assert!(new.is_at(&fs, TARGET) && mode(&fs).is_none());
}

// CR-01: nobody takes a directory that is complete for an incomplete one again, however its clean-up ends.
#[test]
fn once_it_is_complete_no_power_cut_makes_it_incomplete() {
    let (old, new) = (old(), Arc::new(new()));
    let fs = disk(&old);
    let (seen, first) = (Arc::clone(&new), AtomicU64::new(u64::MAX));
    at_every_operation(
        &fs,
        |fs| change(&new, fs, Purpose::Restore).unwrap(),
        move |number, fs| {
            if fs.read(&Path::new(PARTIAL).join("format"), 64).is_ok_and(|line| line.ends_with(b" complete\n")) {
                first.fetch_min(number, Ordering::Relaxed);
            }
            // The operation after the first makes it durable: until then chance decides.
            if number > first.load(Ordering::Relaxed).saturating_add(1) {
                assert!(seen.is_at(fs, TARGET) && !mode(fs).is_some_and(Mode::is_incomplete), "operation {number}: {:?}", mode(fs));
                let shared: Arc<dyn Fs> = Arc::new(fs.clone());
                if let Some(left) = Staging::find(shared, Path::new(TARGET), Version::Readable).unwrap() {
                    left.remove().unwrap();
                }
                assert!(seen.is_at(fs, TARGET) && fs.stat(Path::new(PARTIAL)).is_err());
            }
        },
    );
}

// ST-02, ST-03
#[test]
fn a_change_in_place_that_fails_at_any_operation_is_finished_by_the_next() {
    let (old, new) = (old(), new());
    let clean = disk(&old);
    let begun = clean.operations();
    change(&new, &clean, Purpose::Restore).unwrap();
    for (errno, operation) in [28, 5].into_iter().flat_map(|errno| (0..clean.operations() - begun).map(move |operation| (errno, operation)))
    {
        let fs = disk(&old);
        fs.fail_once_after(operation, errno);
        if let Err(error) = change(&new, &fs, Purpose::Restore) {
            assert_eq!(matches!(error, Error::NoSpace { .. }), errno == 28, "{error}");
            let fs = fs.power_cut(operation);
            check(operation, &fs, &old, &new);
            change(&new, &fs, Purpose::Restore).unwrap();
            assert!(new.is_at(&fs, TARGET), "operation {operation}");
        }
    }
}

#[test]
fn only_what_differs_is_fetched_and_only_what_is_new_takes_room() {
    let (old, new) = (old(), new());
    let fs = disk(&old);
    // The second name of a file that changes costs its bytes: it is made anew.
    fs.remove_file(Path::new("/d/backup-of-changed")).unwrap();
    change(&new, &fs, Purpose::Restore).unwrap();
    // One chunk in the middle, two at the end of what got longer, one before a hole, one small file.
    assert_eq!(new.fetched.load(Ordering::Relaxed), 5);
    let same = fs.stat(Path::new("/d/node/db/000001.sst")).unwrap();
    assert_eq!(same.nlink, 2, "what does not differ keeps its names");
}

// ST-01
#[test]
fn what_has_no_room_is_refused_before_anything_is_changed() {
    let (old, new) = (old(), new());
    let fs = disk(&old);
    let used = (1 << 50) - fs.space(Path::new("/")).unwrap().free_bytes;
    fs.limit_space(Some(used + (1 << 20) + 150_000));
    assert!(matches!(change(&new, &fs, Purpose::Restore), Err(Error::TooSmall { .. })));
    assert!(old.is_at(&fs, TARGET) && !mode(&fs).unwrap().is_incomplete());
    fs.limit_space(Some(used + (1 << 20) + 500_000));
    change(&new, &fs, Purpose::Restore).unwrap();
    assert!(new.is_at(&fs, TARGET));
}

// P4: between two runs somebody starts a node on it, which writes into a file that the journal speaks of.
#[test]
fn what_an_earlier_run_wrote_is_looked_at_again() {
    let (old, new) = (old(), new());
    let fs = disk(&old);
    fs.fail_after(60, 5);
    change(&new, &fs, Purpose::Restore).unwrap_err();
    fs.heal();
    assert!(mode(&fs).unwrap().is_incomplete());
    fs.open(Path::new("/d/node/db/000001.sst"), Open::ReadWrite).unwrap().write_all_at(b"a node was here", 70_000).unwrap();
    change(&new, &fs, Purpose::Restore).unwrap();
    assert!(new.is_at(&fs, TARGET));
}

// MF-17, OP-03
#[test]
fn keys_and_links_refuse_it_before_anything_is_changed() {
    let (old, new) = (old(), new());
    let refused = |prepare: &dyn Fn(&MemoryFs)| {
        let fs = disk(&old);
        prepare(&fs);
        let error = change(&new, &fs, Purpose::Restore).unwrap_err();
        assert!(!mode(&fs).unwrap().is_incomplete());
        assert_eq!(bytes_of(&fs, "/d/node/CURRENT"), b"9");
        error
    };
    assert!(matches!(refused(&|fs| put(fs, "/d/node/db/keystore/1", b"")), Error::TargetIdentity { .. }));
    assert!(matches!(refused(&|fs| put(fs, "/d/node/wallet of mine.dat/UTC--1", b"")), Error::TargetIdentity { .. }));
    let link = refused(&|fs| {
        fs.remove_file(Path::new("/d/node/db/longer")).unwrap();
        fs.symlink(Path::new("/d/node/db/longer")).unwrap();
    });
    assert!(matches!(link, Error::TargetRefused { .. }), "{link}");
}

#[test]
fn subtrees_are_changed_and_their_neighbours_stay() {
    let files = vec![("geth/chaindata/a", painted(70_000, 3))];
    let new = Snapshot::new(files, Some(&["geth/chaindata", "other/triedb"]));
    let fs = MemoryFs::new();
    for path in ["geth/chaindata/old", "geth/nodekey", "other/triedb/old", "other/config"] {
        put(&fs, &format!("{TARGET}/{path}"), b"old");
    }
    change(&new, &fs, Purpose::Restore).unwrap();
    assert_eq!(bytes_of(&fs, "/d/node/geth/nodekey"), b"old");
    assert_eq!(bytes_of(&fs, "/d/node/other/config"), b"old");
    for gone in ["geth/chaindata/old", "other/triedb", ".qsync-partial"] {
        assert!(fs.stat(&Path::new(TARGET).join(gone)).is_err(), "{gone}");
    }
    assert!(new.is_at(&fs, TARGET));
}

#[test]
fn a_repair_leaves_what_the_snapshot_does_not_list() {
    let new = new();
    let fs = disk(&new);
    put(&fs, "/d/node/db/stranger", b"x");
    fs.flip_bit(Path::new("/d/node/db/changed"), 100_000, 2).unwrap();
    fs.open(Path::new("/d/node/db/longer"), Open::ReadWrite).unwrap().set_len(140_000).unwrap();
    fs.remove_file(Path::new("/d/node/CURRENT")).unwrap();
    change(&new, &fs, Purpose::Repair).unwrap();
    assert_eq!(bytes_of(&fs, "/d/node/db/stranger"), b"x");
    fs.remove_file(Path::new("/d/node/db/stranger")).unwrap();
    assert!(new.is_at(&fs, TARGET) && mode(&fs).is_none());
}

#[test]
fn what_says_that_a_directory_is_incomplete_is_not_removed() {
    let (old, new) = (old(), new());
    let fs = disk(&old);
    fs.fail_after(60, 5);
    change(&new, &fs, Purpose::Restore).unwrap_err();
    fs.heal();
    let staging = Staging::find(Arc::new(fs.clone()), Path::new(TARGET), Version::Any).unwrap().unwrap();
    assert!(matches!(staging.remove(), Err(Error::TargetIncomplete { .. })));
    drop(staging);
    // Not by a version of qsync that does not know its line either.
    fs.write_durable(Path::new("/d/node/.qsync-partial/format"), b"qsync-in-place/2 restore incomplete\n", 0o600).unwrap();
    for version in [Version::Readable, Version::Any] {
        let found = Staging::find(Arc::new(fs.clone()), Path::new(TARGET), version);
        assert!(matches!(found, Err(Error::Unreadable { .. })));
    }
}

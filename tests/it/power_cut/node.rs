//! The power goes, and before the restore runs again a node is started on what is there. P2

use std::{path::Path, sync::Arc};

use qsync::{
    disk::staging::{Staging, Version},
    fs::{Fs, MemoryFs, Open},
    progress::{NoProgress, Stop},
    restore::{self, Error, Existing, Options, Outcome, verify},
    store::{MemoryStore, RecordStore},
};
use tokio::runtime::Runtime;

use super::{
    at_every_operation,
    machine::{Files, OPERATOR_STATE, Provider, TARGET, database, now, operator_disk, read_tree, restoring},
    runtime,
};

const STAGING: &str = "/operator/.node.qsync-partial";

fn options(provider: &Provider, disk: &MemoryFs, existing: Existing) -> Options {
    let source: Arc<RecordStore<MemoryStore>> = Arc::new(RecordStore::new(provider.store.clone()));
    Options { existing, ..restoring(disk, source, provider.pin) }
}

fn restore(runtime: &Runtime, provider: &Provider, disk: &MemoryFs, existing: Existing) -> Result<Outcome, Error> {
    runtime.block_on(restore::run(options(provider, disk, existing))).map(|summary| summary.outcome)
}

fn is_there(disk: &MemoryFs, path: impl AsRef<Path>) -> bool {
    disk.stat(path.as_ref()).is_ok()
}

fn write(disk: &MemoryFs, path: &str, bytes: &[u8]) {
    let path = Path::new(TARGET).join(path);
    disk.create_dir_all(path.parent().unwrap(), 0o755).unwrap();
    disk.open(&path, Open::Create(0o644)).unwrap().write_all_at(bytes, 0).unwrap();
    disk.sync_fs(&path).unwrap();
}

fn published(runtime: &Runtime, versions: &[usize]) -> Provider {
    let provider = runtime.block_on(Provider::new());
    versions.iter().for_each(|version| runtime.block_on(provider.publish(&database(*version))));
    provider
}

fn is(disk: &MemoryFs, files: &Files) -> bool {
    read_tree(disk, TARGET).as_ref() == Some(files)
}

// CR-04
#[test]
fn a_node_that_was_started_before_the_swap_was_remembered_changes_nothing_that_is_believed() {
    let runtime = runtime();
    let provider = published(&runtime, &[1]);
    let disk = operator_disk(Some(&database(3)));
    let run = async {
        restore::run(options(&provider, &disk, Existing::Replace)).await.unwrap();
    };
    let started = std::cell::Cell::new(0);
    at_every_operation(&runtime, &disk, run, |disk| {
        if !is(disk, &database(1)) || !is_there(disk, Path::new(STAGING).join("commit")) {
            return;
        }
        started.set(started.get() + 1);
        write(disk, "db/in-place", b"the node was here");
        disk.remove_file(&Path::new(TARGET).join("db/none")).unwrap();
        disk.sync_fs(Path::new(TARGET)).unwrap();
        assert_eq!(restore(&runtime, &provider, disk, Existing::Replace).unwrap(), Outcome::Restored);
        assert!(!is_there(disk, STAGING));
        // The next one links and clones what is believed to be unchanged.
        if started.get() == 1 {
            runtime.block_on(provider.publish(&database(2)));
        }
        restore(&runtime, &provider, disk, Existing::Replace).unwrap();
        assert!(is(disk, &database(2)), "what the node wrote was taken for a part of the snapshot");
    });
    assert!(started.get() > 2, "{}", started.get());
}

// OP-03, MF-17, CR-04
#[test]
fn a_swap_that_was_only_written_down_is_not_made_unasked_and_never_over_keys() {
    let runtime = runtime();
    let provider = published(&runtime, &[1]);
    let disk = operator_disk(Some(&database(3)));
    let run = async {
        restore::run(options(&provider, &disk, Existing::Replace)).await.unwrap();
    };
    let seen = std::cell::Cell::new(0);
    at_every_operation(&runtime, &disk, run, |disk| {
        if !is(disk, &database(3)) || !is_there(disk, Path::new(STAGING).join("commit")) {
            return;
        }
        seen.set(seen.get() + 1);
        // Weeks of work on the old database, and an account.
        write(disk, "db/000004.sst", b"weeks");
        let refused = restore(&runtime, &provider, disk, Existing::Refuse);
        assert!(matches!(refused, Err(Error::Disk(qsync::disk::Error::TargetNotEmpty { .. }))), "{refused:?}");
        write(disk, "keystore/1", b"key");
        let refused = restore(&runtime, &provider, disk, Existing::Replace);
        assert!(matches!(refused, Err(Error::Disk(qsync::disk::Error::TargetIdentity { .. }))), "{refused:?}");
        disk.remove_tree(&Path::new(TARGET).join("keystore")).unwrap();
        restore(&runtime, &provider, disk, Existing::Replace).unwrap();
        assert!(is(disk, &database(1)));
    });
    assert!(seen.get() > 0);
}

// OP-10
#[test]
fn an_old_database_that_cannot_be_removed_is_told_and_stops_nobody() {
    let runtime = runtime();
    let provider = published(&runtime, &[1]);
    let disk = operator_disk(Some(&database(3)));
    disk.on_operation(|_, disk| {
        if is_there(disk, Path::new(STAGING).join("done")) {
            disk.fail_after(0, 13);
        }
    });
    assert_eq!(restore(&runtime, &provider, &disk, Existing::Replace).unwrap(), Outcome::Restored);
    disk.on_operation(|_, _| {});
    disk.heal();
    assert!(is(&disk, &database(1)) && is_there(&disk, Path::new(STAGING).join("data")));
    assert_eq!(restore(&runtime, &provider, &disk, Existing::Refuse).unwrap(), Outcome::AlreadyRestored);
    assert!(!is_there(&disk, STAGING));
    assert!(Staging::find(Arc::new(disk.clone()), Path::new(TARGET), Version::Readable).unwrap().is_none());
}

// ST-05
#[test]
fn what_a_repair_could_not_heal_is_not_believed_by_the_next_restore() {
    let runtime = runtime();
    let provider = published(&runtime, &[1]);
    let disk = operator_disk(None);
    restore(&runtime, &provider, &disk, Existing::Refuse).unwrap();
    let damaged = Path::new(TARGET).join("CURRENT");
    disk.flip_bit(&damaged, 3, 0).unwrap();
    let good = database(1)[Path::new("CURRENT")].clone().unwrap();
    // A disk that gives back something else again as soon as it is right.
    disk.on_operation(move |_, disk| {
        if disk.read(&damaged, 100).is_ok_and(|found| found == good) {
            disk.flip_bit(&damaged, 3, 1).unwrap();
        }
    });
    let checked = runtime.block_on(verify::run(repairing(&provider, &disk))).unwrap();
    assert_eq!((checked.defects.len(), checked.repaired.len()), (1, 0), "{checked:?}");
    disk.on_operation(|_, _| {});
    let again = restore(&runtime, &provider, &disk, Existing::Refuse);
    assert!(matches!(again, Err(Error::Disk(qsync::disk::Error::TargetNotEmpty { .. }))), "{again:?}");
    restore(&runtime, &provider, &disk, Existing::Replace).unwrap();
    assert!(is(&disk, &database(1)));
}

fn repairing(provider: &Provider, disk: &MemoryFs) -> verify::Options {
    let remote = verify::Remote {
        sources: vec![Arc::new(RecordStore::new(provider.store.clone()))],
        snapshot: None,
        pin: Some(provider.pin),
        memory_bytes: 64 << 20,
        engine: qsync::sources::Settings { max_wait: std::time::Duration::from_secs(60), ..Default::default() },
        home: None,
        now: now(),
    };
    verify::Options {
        dir: TARGET.into(),
        whole_files: false,
        drop_cache: false,
        repair: true,
        remote: Some(remote),
        threads: 2,
        state_dir: OPERATOR_STATE.into(),
        fs: Arc::new(disk.clone()),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    }
}

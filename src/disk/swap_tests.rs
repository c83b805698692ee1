//! What happens to a target between the end of a download and the end of the swap, by nodes and operators.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    Error,
    crash_tests::{Snapshot, TARGET},
    record::{Record, Stats},
    staging::{Owned, Staging, Version},
    swap::{self, Old},
    testing::{bytes_of, painted, put},
    writer::{Settings, Writer},
};
use crate::fs::{Fs, MemoryFs, Open};

const INSIDE: &str = "/d/node/.qsync-partial";
const STATE: &str = "/state";

fn small() -> Snapshot {
    Snapshot::new(vec![("CURRENT", b"7".to_vec()), ("db/1", painted(70_000, 1)), ("db/2", painted(10, 2))], None)
}

/// A staging directory for [`TARGET`] with all of a snapshot in it.
fn built(new: &Snapshot, fs: &MemoryFs) -> Arc<Staging> {
    fs.create_dir_all(Path::new("/d"), 0o755).unwrap();
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let staging = Arc::new(Staging::open(Arc::clone(&shared), Path::new(TARGET), Owned::Whole).unwrap());
    staging.set_pin(&new.pin()).unwrap();
    let (journal, have) = staging.resume(&new.manifest, &new.stored.id).unwrap().unwrap();
    let settings = Settings { batch_bytes: 100_000, batch_age: Duration::from_secs(60), open_files: 2 };
    let writer = Writer::new(shared, Arc::clone(&staging), Arc::clone(&new.manifest), journal, settings);
    new.write_missing(&writer, &have).unwrap();
    writer.flush().unwrap();
    staging
}

fn put_in_place(new: &Snapshot, staging: &Staging, old: Old) -> Result<swap::Placed, Error> {
    swap::put_in_place(staging, &new.manifest, &new.stored.id, old)
}

fn found(fs: &MemoryFs) -> Staging {
    Staging::find(Arc::new(fs.clone()), Path::new(TARGET), Version::Readable).unwrap().unwrap()
}

fn is_there(fs: &MemoryFs, path: &str) -> bool {
    fs.stat(Path::new(path)).is_ok()
}

// CR-04
#[test]
fn what_a_node_changed_before_the_swap_was_remembered_is_not_believed() {
    let (new, fs) = (small(), MemoryFs::new());
    let staging = built(&new, &fs);
    let placed = put_in_place(&new, &staging, Old::Refuse).unwrap();
    fs.open(Path::new("/d/node/db/1"), Open::ReadWrite).unwrap().write_all_at(b"node", 0).unwrap();
    fs.remove_file(Path::new("/d/node/CURRENT")).unwrap();
    Record::save(&fs, Path::new(STATE), &staging, &new.manifest).unwrap();
    placed.close(&staging).unwrap();
    let record = Record::load(&fs, Path::new(STATE), Path::new(TARGET)).unwrap().unwrap();
    let stats: Stats = record.stats(&fs, &new.manifest).unwrap();
    let is_believed = |index, path| stats.is_unchanged(index, &fs.stat(Path::new(path)).unwrap());
    assert!(!is_believed(1, "/d/node/db/1"), "what the node wrote counts as verified");
    assert!(is_believed(2, "/d/node/db/2"));
}

// CR-04
#[test]
fn a_swap_that_is_made_is_finished_whatever_a_node_did_with_the_database_since() {
    let (new, fs) = (small(), MemoryFs::new());
    put(&fs, "/d/node/LOG", b"of the old one");
    put(&fs, "/d/node/CURRENT", b"6");
    fs.create_dir(Path::new(INSIDE), 0o700).unwrap();
    let staging = built(&new, &fs);
    drop((put_in_place(&new, &staging, Old::Delete).unwrap(), staging));
    // As RocksDB does when it is opened.
    fs.remove_file(Path::new("/d/node/CURRENT")).unwrap();
    put(&fs, "/d/node/CURRENT", b"8");
    put(&fs, "/d/node/LOG", b"of the new one");
    fs.remove_tree(Path::new("/d/node/db")).unwrap();
    let staging = found(&fs);
    swap::take_back(&staging).unwrap();
    assert!(swap::is_made(&staging).unwrap());
    swap::finish_pending(&staging).unwrap().unwrap().close(&staging).unwrap();
    staging.remove().unwrap();
    assert_eq!((bytes_of(&fs, "/d/node/LOG"), bytes_of(&fs, "/d/node/CURRENT")), (b"of the new one".to_vec(), b"8".to_vec()));
}

// CR-04
#[test]
fn a_commit_record_of_which_nothing_was_done_is_taken_back() {
    let (mut taken_back, mut kept) = (0, 0);
    for (operation, is_killed) in (0..40).flat_map(|operation| [(operation, true), (operation, false)]) {
        let (new, fs) = (small(), MemoryFs::new());
        put(&fs, "/d/node/old", b"old");
        let staging = built(&new, &fs);
        if is_killed {
            fs.fail_after(operation, 5)
        } else {
            fs.fail_once_after(operation, 5)
        }
        if put_in_place(&new, &staging, Old::Delete).is_ok() {
            continue;
        }
        fs.heal();
        let is_old = is_there(&fs, "/d/node/old");
        let was_pending = swap::is_pending(&staging).unwrap();
        assert!(is_killed || !is_old || !was_pending, "operation {operation} failed, and the record stayed");
        swap::take_back(&staging).unwrap();
        assert_eq!(swap::is_pending(&staging).unwrap(), !is_old, "operation {operation}");
        taken_back += u32::from(is_old && was_pending);
        kept += u32::from(!is_old);
        assert_eq!(new.is_at(&fs, TARGET), !is_old, "operation {operation}");
    }
    assert!(taken_back > 0 && kept > 0, "{taken_back} {kept}");
}

// OP-03, MF-17
#[test]
fn keys_that_a_node_made_during_the_download_end_the_run_before_anything_is_moved() {
    for key in ["/d/node/keystore/1", "/d/node/db/nodekey"] {
        let (new, fs) = (small(), MemoryFs::new());
        put(&fs, "/d/node/old", b"old");
        let staging = built(&new, &fs);
        put(&fs, key, b"key");
        assert!(matches!(put_in_place(&new, &staging, Old::Delete), Err(Error::TargetIdentity { .. })), "{key}");
        assert!(!swap::is_pending(&staging).unwrap() && is_there(&fs, key) && is_there(&fs, "/d/node/old"));
    }
}

// OP-03, MF-17
#[test]
fn what_never_belongs_to_a_snapshot_does_not_go_away_with_the_directory_around_it() {
    let check = |there: &[&str], old| {
        let (new, fs) = (small(), MemoryFs::new());
        put(&fs, "/d/node/db/1", b"old");
        let staging = built(&new, &fs);
        there.iter().for_each(|path| put(&fs, path, b""));
        fs.create_dir_all(Path::new("/d/node/lost+found"), 0o700).unwrap();
        let asked = swap::check(&staging, &new.manifest, &new.stored.id, old);
        let refused = |refused: &Result<(), Error>| match refused {
            Err(Error::TargetRefused { path, .. }) => Some(path.to_str().unwrap().to_owned()),
            Ok(()) => None,
            Err(e) => panic!("{e}"),
        };
        let done = put_in_place(&new, &staging, old).map(drop);
        assert_eq!(refused(&asked), refused(&done));
        assert!(done.is_ok() || there.iter().all(|path| is_there(&fs, path)));
        refused(&done)
    };
    for old in [Old::Delete, Old::Keep] {
        assert_eq!(check(&[], old), None);
        let kept = "/d/node/db.qsync-old-0d197521d9a4/keystore/1";
        assert_eq!(check(&[kept], old).as_deref(), Some("/d/node/db.qsync-old-0d197521d9a4"));
        assert_eq!(check(&["/d/node/lost+found/1"], old).as_deref(), Some("/d/node/lost+found"));
    }
}

// OP-01
#[test]
fn what_would_refuse_the_swap_at_its_end_can_be_asked_before_the_download() {
    let new = small();
    let kept = format!(".qsync-old-{}", new.stored.id.short());
    let check = |is_inside: bool, there: &str, old| {
        let fs = MemoryFs::new();
        put(&fs, there, b"");
        if is_inside {
            fs.create_dir_all(Path::new("/d/node"), 0o700).unwrap();
            fs.create_dir(Path::new(INSIDE), 0o700).unwrap();
        }
        let staging = Staging::open(Arc::new(fs), Path::new(TARGET), Owned::Whole).unwrap();
        swap::check(&staging, &new.manifest, &new.stored.id, old)
    };
    let refused = |there: &str, is_inside| matches!(check(is_inside, there, Old::Keep), Err(Error::TargetRefused { .. }));
    assert!(refused(&format!("/d/node{kept}/1"), false) && !refused("/d/node/1", false));
    assert!(refused(&format!("/d/node/db{kept}/1"), true) && !refused("/d/node/other.qsync-old-0d197521d9a4/1", true));
    let occupied = check(false, "/d/node/lost+found/1", Old::Refuse);
    assert!(matches!(&occupied, Err(Error::TargetNotEmpty { found, .. }) if found == "lost+found"), "{occupied:?}");
    check(true, "/d/node/lost+found/1", Old::Refuse).unwrap();
}

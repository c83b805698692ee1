//! What a staging directory promises.

use std::{path::Path, sync::Arc};

use super::{
    Error,
    plan::Place,
    staging::{Owned, Pin, Staging, Version},
    testing::{manifest_of, put},
};
use crate::{
    fs::{Fs, MemoryFs},
    types::Hash,
};

fn open(fs: &MemoryFs) -> Result<Staging, Error> {
    Staging::open(Arc::new(fs.clone()), Path::new("/d/node"), Owned::Whole)
}

fn disk() -> MemoryFs {
    let fs = MemoryFs::new();
    put(&fs, "/d/neighbour", b"");
    fs
}

fn pin(text: &[u8]) -> Pin {
    let manifest = manifest_of(&[("f", text)]).to_stored(1).unwrap();
    Pin { channel: "a/b".parse().unwrap(), roots: vec![vec![0, 1], vec![2]], head: vec![255], manifest }
}

// MF-05
#[test]
fn a_directory_that_others_may_enter_or_a_planted_link_is_refused() {
    let fs = disk();
    fs.symlink(Path::new("/d/.node.qsync-partial")).unwrap();
    assert!(matches!(open(&fs), Err(Error::StagingUnsafe { why: "it is not a directory", .. })));
    let fs = disk();
    fs.create_dir(Path::new("/d/.node.qsync-partial"), 0o777).unwrap();
    assert!(matches!(open(&fs), Err(Error::StagingUnsafe { why: "other users may enter it", .. })));
    let fs = disk();
    fs.create_dir(Path::new("/d/.node.qsync-partial"), 0o700).unwrap();
    fs.chown(Path::new("/d/.node.qsync-partial"), 4711, 0).unwrap();
    assert!(matches!(open(&fs), Err(Error::StagingUnsafe { why: "it belongs to another user", .. })));
}

// CR-08
#[test]
fn a_staging_directory_of_another_version_is_refused() {
    let fs = disk();
    drop(open(&fs).unwrap());
    fs.write_durable(Path::new("/d/.node.qsync-partial/format"), b"qsync-staging/2\n", 0o600).unwrap();
    assert!(matches!(open(&fs), Err(Error::Unreadable { .. })));
}

#[test]
fn subtrees_are_built_inside_the_target_and_found_again() {
    let fs: Arc<dyn Fs> = Arc::new(disk());
    let target = Path::new("/d/node");
    assert!(Staging::find(Arc::clone(&fs), target, Version::Readable).unwrap().is_none());
    let staging = Staging::open(Arc::clone(&fs), target, Owned::Subtrees).unwrap();
    assert_eq!(staging.path(), Path::new("/d/node/.qsync-partial"));
    drop(staging);
    assert_eq!(Staging::find(fs, target, Version::Readable).unwrap().unwrap().place(), Place::Inside);
}

#[test]
fn the_pin_comes_back_whole_and_the_older_one_stays_until_then() {
    let staging = open(&disk()).unwrap();
    assert!(staging.pin().unwrap().is_none());
    for text in [b"one".as_slice(), b"two"] {
        staging.set_pin(&pin(text)).unwrap();
        let (read, written) = (staging.pin().unwrap().unwrap(), pin(text));
        assert_eq!((read.roots, read.head, read.channel), (written.roots, written.head, written.channel));
        assert_eq!((read.manifest.id, read.manifest.json_bytes), (written.manifest.id, written.manifest.json_bytes));
    }
}

#[test]
fn a_damaged_manifest_or_list_is_not_given_back() {
    let fs = disk();
    let staging = open(&fs).unwrap();
    staging.set_pin(&pin(b"one")).unwrap();
    let manifest = staging.path().join(format!("manifest-{}", pin(b"one").manifest.id));
    fs.flip_bit(&manifest, 3, 3).unwrap();
    assert!(matches!(staging.pin(), Err(Error::Unreadable { .. })));
    let id = Hash::of(b"rows");
    staging.put_list(&id, b"rows").unwrap();
    assert_eq!(staging.list(&id).unwrap().as_deref(), Some(b"rows".as_slice()));
    fs.flip_bit(&staging.path().join("lists").join(id.to_string()), 0, 0).unwrap();
    assert_eq!(staging.list(&id).unwrap(), None);
    staging.put_list(&id, b"rows").unwrap();
    assert!(staging.list(&id).unwrap().is_some());
}

#[test]
fn removing_it_leaves_nothing() {
    let fs = disk();
    let staging = open(&fs).unwrap();
    staging.set_pin(&pin(b"one")).unwrap();
    staging.resume(&manifest_of(&[("f", b"one")]), &pin(b"one").manifest.id).unwrap();
    staging.remove().unwrap();
    assert_eq!(fs.read_dir(Path::new("/d")).unwrap().len(), 1);
}

// OP-10
#[test]
fn what_cannot_be_removed_of_a_finished_run_is_in_the_way_of_a_new_one_only() {
    let mut left = 0;
    for operation in 0..12 {
        let fs = disk();
        drop(open(&fs).unwrap());
        put(&fs, "/d/.node.qsync-partial/old/1", b"");
        put(&fs, "/d/.node.qsync-partial/done", b"");
        let (shared, target): (Arc<dyn Fs>, _) = (Arc::new(fs.clone()), Path::new("/d/node"));
        fs.fail_after(operation, 13); // EACCES
        let found = Staging::find(Arc::clone(&shared), target, Version::Readable);
        fs.heal();
        if let Ok(found) = found {
            assert!(found.is_none(), "operation {operation}");
            left += u32::from(Staging::leftover(&fs, target).unwrap().is_some());
            fs.fail_once_after(operation, 13);
            let opened = open(&fs);
            fs.heal();
            assert!(opened.is_ok() || matches!(opened, Err(Error::Io { action: "remove" | "make" | "sync" | "write", .. })), "{opened:?}");
        }
        assert!(open(&fs).unwrap().pin().unwrap().is_none());
    }
    assert!(left > 0);
}

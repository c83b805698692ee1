//! What is left after a power cut, and what the injected failures do.

use std::{io::ErrorKind, path::Path, sync::Mutex};

use super::*;
use crate::fs::{Fs, Open, Rename};

const EIO: i32 = 5;
const SEEDS: std::ops::Range<u64> = 0..64;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn read(fs: &MemoryFs, name: &str) -> Option<Vec<u8>> {
    fs.read(path(name), 1 << 20).ok()
}

fn durable_file(fs: &MemoryFs, name: &str, bytes: &[u8]) {
    let file = fs.open(path(name), Open::CreateNew(0o644)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    fs.sync_dir(path(name).parent().unwrap()).unwrap();
}

/// What a file may hold after a power cut now, over many seeds.
fn outcomes(fs: &MemoryFs, name: &str) -> std::collections::BTreeSet<Option<Vec<u8>>> {
    SEEDS.map(|seed| read(&fs.power_cut(seed), name)).collect()
}

#[test]
fn what_was_synced_survives_and_what_was_not_may_not() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/kept", b"safe");
    let file = fs.open(path("/kept"), Open::ReadWrite).unwrap();
    assert_eq!(outcomes(&fs, "/kept"), [Some(b"safe".to_vec())].into());
    file.write_all_at(b"SAFE", 0).unwrap();
    let seen = outcomes(&fs, "/kept");
    for possible in [&b"safe"[..], b"SAFE", b"SAfe", b"SA\0\0"] {
        assert!(seen.contains(&Some(possible.to_vec())), "{possible:?}");
    }
    file.sync_data().unwrap();
    assert_eq!(outcomes(&fs, "/kept"), [Some(b"SAFE".to_vec())].into());
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let fs = MemoryFs::new();
    let file = fs.open(path("/f"), Open::CreateNew(0o644)).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(outcomes(&fs, "/f"), [None, Some(b"x".to_vec())].into());
    fs.sync_dir(path("/")).unwrap();
    assert_eq!(outcomes(&fs, "/f"), [Some(b"x".to_vec())].into());
}

#[test]
fn a_synced_name_without_synced_content_may_be_empty() {
    let fs = MemoryFs::new();
    let file = fs.open(path("/f"), Open::CreateNew(0o644)).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    fs.sync_dir(path("/")).unwrap();
    assert_eq!(outcomes(&fs, "/f"), [Some(vec![]), Some(vec![0]), Some(b"x".to_vec())].into());
}

#[test]
fn a_rename_has_happened_or_not_and_never_half() {
    let fs = MemoryFs::new();
    fs.create_dir(path("/a"), 0o755).unwrap();
    fs.create_dir(path("/b"), 0o755).unwrap();
    fs.sync_dir(path("/")).unwrap();
    durable_file(&fs, "/a/f", b"new");
    durable_file(&fs, "/b/f", b"old");
    fs.rename(path("/a/f"), path("/b/f"), Rename::Replace).unwrap();
    let both = |fs: &MemoryFs| (read(fs, "/a/f"), read(fs, "/b/f"));
    let seen: std::collections::BTreeSet<_> = SEEDS.map(|seed| both(&fs.power_cut(seed))).collect();
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    assert_eq!(seen, [(Some(new.clone()), Some(old)), (None, Some(new.clone()))].into());
    fs.sync_dir(path("/b")).unwrap();
    assert!(SEEDS.into_iter().all(|seed| both(&fs.power_cut(seed)) == (None, Some(new.clone()))));
}

#[test]
fn an_exchange_has_happened_or_not_and_never_half() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/a", b"a");
    durable_file(&fs, "/b", b"b");
    fs.rename(path("/a"), path("/b"), Rename::Exchange).unwrap();
    for seed in SEEDS {
        let after = fs.power_cut(seed);
        let (a, b) = (read(&after, "/a").unwrap(), read(&after, "/b").unwrap());
        assert!(a != b && a.len() == 1 && b.len() == 1);
    }
}

#[test]
fn a_later_change_never_survives_without_the_earlier_one_it_builds_on() {
    let fs = MemoryFs::new();
    fs.open(path("/tmp"), Open::CreateNew(0o644)).unwrap().sync_all().unwrap();
    fs.rename(path("/tmp"), path("/f"), Rename::NoReplace).unwrap();
    for seed in SEEDS {
        let after = fs.power_cut(seed);
        assert!(after.stat(path("/tmp")).is_err() || after.stat(path("/f")).is_err(), "seed {seed}: two names of one file");
    }
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/f", b"x");
    fs.remove_file(path("/f")).unwrap();
    assert_eq!(outcomes(&fs, "/f"), [None, Some(b"x".to_vec())].into());
    fs.sync_fs(path("/")).unwrap();
    assert_eq!(outcomes(&fs, "/f"), [None].into());
}

#[test]
fn each_way_to_lose_what_was_not_synced_loses_just_that() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/old", b"old");
    fs.open(path("/old"), Open::ReadWrite).unwrap().write_all_at(b"newer", 0).unwrap();
    fs.open(path("/new"), Open::CreateNew(0o644)).unwrap().write_all_at(b"new", 0).unwrap();
    let after = |unsynced| {
        let fs = fs.power_cut_with(unsynced);
        ["/old", "/new"].map(|name| read(&fs, name).map(|bytes| String::from_utf8(bytes).unwrap()))
    };
    let found = |old: &str, new: Option<&str>| [Some(old.to_owned()), new.map(str::to_owned)];
    assert_eq!(after(Unsynced::Lost), found("old", None));
    assert_eq!(after(Unsynced::Kept), found("newer", Some("new")));
    assert_eq!(after(Unsynced::OnlyNames), found("old", Some("")));
    assert_eq!(after(Unsynced::NamesAndLengths), found("old\0\0", Some("\0\0\0")));
    assert_eq!(after(Unsynced::OnlyContent), found("newer", None));
}

#[test]
fn a_sync_ends_at_the_border_of_a_file_system() {
    let fs = MemoryFs::new();
    for dir in ["/a", "/b"] {
        fs.create_dir(path(dir), 0o755).unwrap();
    }
    fs.sync_fs(path("/")).unwrap();
    fs.separate(path("/a")).unwrap();
    let make = |name| fs.open(path(name), Open::CreateNew(0o644)).unwrap().write_all_at(b"x", 0).unwrap();
    let after = |name| read(&fs.power_cut_with(Unsynced::Lost), name).is_some();
    make("/a/1");
    make("/b/1");
    fs.sync_fs(path("/b/1")).unwrap();
    assert_eq!((after("/a/1"), after("/b/1")), (false, true));
    make("/b/2");
    fs.sync_fs(path("/a")).unwrap();
    assert_eq!((after("/a/1"), after("/b/2")), (true, false));
}

// ST-06
#[test]
fn a_durable_replacement_shows_the_old_or_the_new_content_at_every_operation() {
    let fs = MemoryFs::new();
    fs.write_durable(path("/f"), b"old", 0o600).unwrap();
    let cuts = std::sync::Arc::new(Mutex::new(0));
    let counter = std::sync::Arc::clone(&cuts);
    fs.on_operation(move |_, fs| {
        *counter.lock().unwrap() += 1;
        for content in outcomes(fs, "/f") {
            assert!(matches!(content.as_deref(), Some(b"old" | b"new")), "{content:?}");
        }
    });
    fs.write_durable(path("/f"), b"new", 0o600).unwrap();
    assert!(*cuts.lock().unwrap() >= 5);
    assert_eq!(outcomes(&fs, "/f"), [Some(b"new".to_vec())].into());
}

#[test]
fn a_stopped_world_fails_from_the_chosen_operation_on() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/f", b"x");
    fs.fail_after(1, EIO);
    let file = fs.open(path("/f"), Open::ReadWrite).unwrap();
    file.write_all_at(b"y", 0).unwrap();
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(EIO));
    assert_eq!(fs.stat(path("/f")).unwrap_err().raw_os_error(), Some(EIO));
    fs.heal();
    file.sync_all().unwrap();
}

#[test]
fn a_single_failure_passes() {
    let fs = MemoryFs::new();
    fs.fail_once_after(0, EIO);
    assert!(fs.create_dir(path("/d"), 0o755).is_err());
    fs.create_dir(path("/d"), 0o755).unwrap();
}

// ST-02
#[test]
fn a_full_disk_refuses_new_pages_and_takes_reserved_ones() {
    let fs = MemoryFs::new();
    let file = fs.open(path("/f"), Open::CreateNew(0o644)).unwrap();
    file.allocate(0..8192).unwrap();
    fs.limit_space(Some(8192));
    assert_eq!(fs.space(path("/")).unwrap().free_bytes, 0);
    file.write_all_at(&[1; 8192], 0).unwrap();
    assert_eq!(file.write_all_at(&[1], 8192).unwrap_err().kind(), ErrorKind::StorageFull);
    fs.remove_file(path("/f")).unwrap();
    fs.open(path("/g"), Open::CreateNew(0o644)).unwrap().write_all_at(&[1; 8192], 0).unwrap();
}

// ST-04
#[test]
fn short_writes_are_continued() {
    let fs = MemoryFs::new();
    fs.shorten_writes(3);
    fs.write_durable(path("/f"), b"0123456789", 0o600).unwrap();
    assert_eq!(read(&fs, "/f").unwrap(), b"0123456789");
}

// ST-05
#[test]
fn a_flipped_bit_is_read_back() {
    let fs = MemoryFs::new();
    durable_file(&fs, "/f", &[0; 10]);
    fs.flip_bit(path("/f"), 9, 7).unwrap();
    assert_eq!(read(&fs, "/f").unwrap()[9], 0x80);
    assert_eq!(read(&fs.power_cut(1), "/f").unwrap()[9], 0x80);
    assert!(fs.flip_bit(path("/f"), 10, 0).is_err());
}

#[test]
fn writes_that_are_lost_are_told_once_by_each_watch_and_never_become_durable() {
    let fs = MemoryFs::new();
    let (early, other) = (fs.watch(path("/")).unwrap().unwrap(), fs.watch(path("/")).unwrap().unwrap());
    let file = fs.open(path("/f"), Open::CreateNew(0o644)).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    fs.lose_writes(path("/f")).unwrap();
    let late = fs.watch(path("/")).unwrap().unwrap();
    fs.sync_fs(path("/")).unwrap();
    assert!(early.sync().is_err() && other.sync().is_err() && file.sync_all().is_err());
    assert!(early.sync().is_ok() && late.sync().is_ok() && file.sync_all().is_ok());
    assert_eq!(read(&fs, "/f"), Some(b"x".to_vec()));
    assert_eq!(outcomes(&fs, "/f"), [Some(Vec::new())].into());
}

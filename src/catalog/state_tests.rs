//! The state directory under power cuts, damage, other users' eyes and other processes.

use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    fs::{Fs, MemoryFs, Open},
    trust::RepoState,
    types::Hash,
};

const DIR: &str = "/state";

fn open(fs: &MemoryFs) -> StateDir {
    StateDir::open(Arc::new(fs.clone()), DIR).unwrap()
}

fn repo() -> Hash {
    Hash::of(b"repo")
}

/// A state that stands for generation `n`.
fn seen(n: u8) -> RepoState {
    RepoState { roots: vec![vec![n; 3]], ..RepoState::default() }
}

fn write(state: &StateDir, n: u8) -> Result<(), StateError> {
    state.update(repo(), |_| (seen(n), ()))
}

fn file(slot: &str) -> std::path::PathBuf {
    Path::new(DIR).join("repos").join(format!("{}.{slot}", repo()))
}

#[test]
fn pins_lists_and_forgets() {
    let state = open(&MemoryFs::new());
    assert_eq!(state.repos().unwrap(), []);
    assert_eq!(state.pin(repo()).unwrap(), Pinned::Added);
    write(&state, 1).unwrap();
    assert_eq!(state.pin(repo()).unwrap(), Pinned::Already);
    assert_eq!(state.repos().unwrap(), [repo()]);
    assert_eq!(state.repo(repo()).unwrap(), Some(seen(1)));
    assert_eq!(state.forget(repo()).unwrap().unwrap().root_version(), Some(1));
    assert_eq!((state.forget(repo()).unwrap(), state.repo(repo()).unwrap()), (None, None));
}

#[test]
fn a_link_to_a_state_directory_is_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    for (name, below) in [("link", "real"), ("link/new", "real/new")] {
        let state = StateDir::open(Arc::new(crate::fs::RealFs), dir.path().join(name)).unwrap();
        state.pin(repo()).unwrap();
        assert_eq!(state.repos().unwrap(), [repo()]);
        assert!(dir.path().join(below).join("repos").is_dir());
    }
}

#[test]
fn what_does_not_change_is_not_written() {
    let fs = MemoryFs::new();
    let state = open(&fs);
    write(&state, 1).unwrap();
    let before = fs.read(&file("a"), 10_000).unwrap();
    write(&state, 1).unwrap();
    assert_eq!((fs.read(&file("a"), 10_000).unwrap(), fs.stat(&file("b")).is_err()), (before, true));
}

// CR-10
#[test]
fn a_power_cut_at_any_operation_leaves_the_old_or_the_new_generation() {
    let prepared = || {
        let fs = MemoryFs::new();
        let state = open(&fs);
        write(&state, 1).unwrap();
        write(&state, 2).unwrap();
        (fs, state)
    };
    let (fs, state) = prepared();
    let before = fs.operations();
    write(&state, 3).unwrap();
    let operations = fs.operations() - before;
    assert!(operations >= 4, "{operations}");
    for operation in 0..=operations {
        for seed in 0..8 {
            let (fs, state) = prepared();
            fs.fail_after(operation, 5);
            let written = write(&state, 3);
            let found = StateDir::open(Arc::new(fs.power_cut(seed)), DIR).unwrap().repo(repo()).unwrap().unwrap();
            assert!(found == seen(3) || found == seen(2), "cut at {operation}: {found:?}");
            assert!(written.is_err() || found == seen(3), "cut at {operation}: what was stored is gone");
        }
    }
}

// CR-10
#[test]
fn one_damaged_generation_leaves_the_other_and_two_are_an_error() {
    let fs = MemoryFs::new();
    let state = open(&fs);
    write(&state, 1).unwrap();
    write(&state, 2).unwrap();
    fs.flip_bit(&file("b"), 100, 3).unwrap();
    assert_eq!(state.repo(repo()).unwrap(), Some(seen(1)));
    write(&state, 3).unwrap();
    assert_eq!(state.repo(repo()).unwrap(), Some(seen(3)), "written over the damaged one");
    for slot in ["a", "b"] {
        fs.flip_bit(&file(slot), 70, 0).unwrap();
    }
    let error = state.repo(repo()).unwrap_err();
    assert_eq!(error.code(), "state");
    assert!(matches!(write(&state, 4), Err(StateError::Damaged { .. })), "damage is never overwritten as if it were a first run");
    assert_eq!(state.repos().unwrap(), [repo()]);
    assert_eq!(state.forget(repo()).unwrap(), Some(Forgotten { state: None }));
}

#[test]
fn every_changed_bit_of_a_generation_is_noticed() {
    let fs = MemoryFs::new();
    let state = open(&fs);
    write(&state, 1).unwrap();
    for byte in 0..fs.stat(&file("a")).unwrap().len {
        fs.flip_bit(&file("a"), byte, 5).unwrap();
        assert!(state.repo(repo()).is_err(), "byte {byte}");
        fs.flip_bit(&file("a"), byte, 5).unwrap();
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_at_once() {
    let fs = MemoryFs::new();
    fs.fail_after(0, 30);
    let error = StateDir::open(Arc::new(fs), DIR).unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("state-not-writable", "state directory not writable: /state".to_owned()));
}

#[test]
fn a_channel_is_published_once_at_a_time() {
    let state = open(&MemoryFs::new());
    let channel = "kusama/rocksdb-pruned".parse().unwrap();
    let lock = state.lock_channel(&channel).unwrap();
    assert_eq!(state.lock_channel(&channel).unwrap_err().code(), "locked");
    assert!(state.lock_channel(&"kusama/rocksdb".parse().unwrap()).is_ok());
    drop(lock);
    assert!(state.lock_channel(&channel).is_ok());
}

#[test]
fn two_processes_do_not_lose_each_others_news() {
    let fs = MemoryFs::new();
    let threads: Vec<_> = (0..4_u8)
        .map(|n| {
            let state = open(&fs);
            std::thread::spawn(move || {
                for i in 0..5_u8 {
                    let add = |known: Option<RepoState>| {
                        let mut known = known.unwrap_or_default();
                        known.roots.push(vec![n, i]);
                        (known, ())
                    };
                    state.update(repo(), add).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(open(&fs).repo(repo()).unwrap().unwrap().roots.len(), 20);
}

#[test]
fn a_key_is_kept_for_its_owner_only() {
    let fs = MemoryFs::new();
    let state = open(&fs);
    let key = state.generate_key().unwrap();
    assert_eq!(fs.stat(&state.key_path(&key.id())).unwrap().mode & 0o777, 0o600);
    assert_eq!(state.key(&key.id()).unwrap().unwrap().id(), key.id());
    assert_ne!(state.generate_key().unwrap().id(), key.id());
}

// AW-08
#[test]
fn a_key_that_others_can_read_is_refused() {
    for mode in [0o640, 0o604, 0o644, 0o610] {
        let fs = MemoryFs::new();
        let state = open(&fs);
        let key = crate::trust::fixture::secret(1);
        let path = state.key_path(&key.id());
        fs.open(&path, Open::CreateNew(mode)).unwrap().write_all_at(&key.to_file(), 0).unwrap();
        assert!(matches!(state.key(&key.id()), Err(StateError::KeyExposed { mode: found, .. }) if found == mode), "{mode:o}");
    }
}

// ST-02
#[test]
fn a_full_disk_is_told_from_a_directory_that_cannot_be_written() {
    for (errno, code) in [(28, "disk-full"), (122, "disk-full"), (30, "state-not-writable")] {
        let fs = MemoryFs::new();
        fs.fail_after(0, errno);
        let error = StateDir::open(Arc::new(fs), DIR).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.hint().is_some());
    }
}

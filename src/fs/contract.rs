//! What every file system promises, run on the real one and on the one in memory.

use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::Arc,
};

use super::{Fs, Kind, MemoryFs, Open, RealFs, Rename};

/// Runs one test of the contract on both file systems, in an empty directory.
macro_rules! on_both {
    ($($(#[$attribute:meta])* fn $name:ident($fs:ident, $dir:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name($fs: &dyn Fs, $dir: &Path) $body)*

        mod on_the_real_one {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(&super::RealFs, dir.path());
            })*
        }

        mod in_memory {
            $(#[test] fn $name() {
                let fs = super::MemoryFs::new();
                let dir = super::Path::new("/work");
                super::Fs::create_dir(&fs, dir, 0o755).unwrap();
                super::$name(&fs, dir);
            })*
        }
    };
}

fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) {
    fs.open(path, Open::CreateNew(0o644)).unwrap().write_all_at(bytes, 0).unwrap();
}

fn get(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    fs.read(path, 1 << 20).unwrap()
}

#[track_caller]
fn fails<T>(kind: ErrorKind, result: io::Result<T>) {
    assert_eq!(result.err().expect("the operation must fail").kind(), kind);
}

on_both! {
    fn a_watch_syncs_and_is_content_when_nothing_failed(fs, dir) {
        // None on a file system that does not tell of failures.
        if let Some(watch) = fs.watch(dir).unwrap() {
            put(fs, &dir.join("f"), b"x");
            watch.sync().unwrap();
            watch.sync().unwrap();
        }
        fails(ErrorKind::NotFound, fs.watch(&dir.join("absent")));
    }

    fn reads_what_was_written(fs, dir) {
        let file = fs.open(&dir.join("f"), Open::CreateNew(0o640)).unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        assert_eq!(get(fs, &dir.join("f")), b"\0\0\0hello");
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(get(fs, &dir.join("f")), b"\0\0\0h\0\0");
        let mut buf = [9; 4];
        assert_eq!(file.read_at(&mut buf, 4).unwrap(), 2);
        assert_eq!(file.read_at(&mut buf, 100).unwrap(), 0);
        fails(ErrorKind::UnexpectedEof, file.read_exact_at(&mut buf, 4));
        file.sync_data().unwrap();
        file.sync_all().unwrap();
    }

    fn says_what_an_entry_is(fs, dir) {
        put(fs, &dir.join("f"), &[1; 5000]);
        fs.create_dir(&dir.join("d"), 0o750).unwrap();
        let file = fs.stat(&dir.join("f")).unwrap();
        assert_eq!((file.kind, file.len, file.nlink, file.mode), (Kind::File, 5000, 1, 0o644));
        assert_eq!(fs.open(&dir.join("f"), Open::Read).unwrap().stat().unwrap().ino, file.ino);
        assert_eq!(fs.stat(&dir.join("d")).unwrap().kind, Kind::Dir);
        fails(ErrorKind::NotFound, fs.stat(&dir.join("absent")));
        fails(ErrorKind::NotADirectory, fs.stat(&dir.join("f/x")));
        assert!(fs.space(dir).unwrap().free_bytes > 0);
    }

    fn opens_only_as_asked(fs, dir) {
        put(fs, &dir.join("f"), b"x");
        fs.create_dir(&dir.join("d"), 0o755).unwrap();
        fails(ErrorKind::AlreadyExists, fs.open(&dir.join("f"), Open::CreateNew(0o644)));
        fails(ErrorKind::NotFound, fs.open(&dir.join("absent"), Open::ReadWrite));
        fails(ErrorKind::NotFound, fs.open(&dir.join("absent/f"), Open::Create(0o644)));
        fails(ErrorKind::IsADirectory, fs.open(&dir.join("d"), Open::Read));
        assert!(fs.open(&dir.join("f"), Open::Read).unwrap().write_at(b"y", 0).is_err());
        fs.open(&dir.join("f"), Open::Create(0o644)).unwrap().write_all_at(b"y", 1).unwrap();
        assert_eq!(get(fs, &dir.join("f")), b"xy");
    }

    fn opens_below_a_root(fs, dir) {
        fs.create_dir_all(&dir.join("root/sub"), 0o755).unwrap();
        let file = fs.open_beneath(&dir.join("root"), &"sub/f".parse().unwrap(), Open::CreateNew(0o640)).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        assert_eq!(get(fs, &dir.join("root/sub/f")), b"x");
        fails(ErrorKind::NotFound, fs.open_beneath(&dir.join("root"), &"absent/f".parse().unwrap(), Open::Create(0o640)));
        fails(ErrorKind::NotADirectory, fs.open_beneath(&dir.join("root"), &"sub/f/g".parse().unwrap(), Open::Read));
    }

    fn makes_directories(fs, dir) {
        fs.create_dir_all(&dir.join("a/b/c"), 0o755).unwrap();
        fs.create_dir_all(&dir.join("a/b"), 0o755).unwrap();
        fails(ErrorKind::AlreadyExists, fs.create_dir(&dir.join("a"), 0o755));
        fails(ErrorKind::NotFound, fs.create_dir(&dir.join("x/y"), 0o755));
        put(fs, &dir.join("f"), b"");
        fails(ErrorKind::AlreadyExists, fs.create_dir_all(&dir.join("f"), 0o755));
        fails(ErrorKind::NotADirectory, fs.create_dir_all(&dir.join("f/g"), 0o755));
    }

    fn lists_names_in_byte_order(fs, dir) {
        for name in ["b", "a", "A", "a-b"] {
            put(fs, &dir.join(name), b"");
        }
        fs.create_dir(&dir.join("B"), 0o755).unwrap();
        let entries = fs.read_dir(dir).unwrap();
        let names: Vec<_> = entries.iter().map(|e| e.name.to_str().unwrap()).collect();
        assert_eq!(names, ["A", "B", "a", "a-b", "b"]);
        assert_eq!((entries[0].kind, entries[1].kind), (Kind::File, Kind::Dir));
        fails(ErrorKind::NotADirectory, fs.read_dir(&dir.join("a")));
        fails(ErrorKind::NotFound, fs.read_dir(&dir.join("absent")));
    }

    fn renames_without_replacing(fs, dir) {
        put(fs, &dir.join("a"), b"a");
        put(fs, &dir.join("b"), b"b");
        fs.create_dir(&dir.join("d"), 0o755).unwrap();
        fails(ErrorKind::AlreadyExists, fs.rename(&dir.join("a"), &dir.join("b"), Rename::NoReplace));
        fails(ErrorKind::AlreadyExists, fs.rename(&dir.join("d"), &dir.join("b"), Rename::NoReplace));
        fails(ErrorKind::NotFound, fs.rename(&dir.join("absent"), &dir.join("c"), Rename::NoReplace));
        fs.rename(&dir.join("a"), &dir.join("d/a"), Rename::NoReplace).unwrap();
        fs.rename(&dir.join("d"), &dir.join("e"), Rename::NoReplace).unwrap();
        assert_eq!(get(fs, &dir.join("e/a")), b"a");
        assert_eq!(get(fs, &dir.join("b")), b"b");
        fails(ErrorKind::InvalidInput, fs.rename(&dir.join("e"), &dir.join("e/e"), Rename::NoReplace));
    }

    fn replaces_files_only(fs, dir) {
        put(fs, &dir.join("a"), b"a");
        put(fs, &dir.join("b"), b"b");
        fs.create_dir(&dir.join("d"), 0o755).unwrap();
        let old = fs.open(&dir.join("b"), Open::Read).unwrap();
        fs.rename(&dir.join("a"), &dir.join("b"), Rename::Replace).unwrap();
        assert_eq!(get(fs, &dir.join("b")), b"a");
        fails(ErrorKind::NotFound, fs.stat(&dir.join("a")));
        fails(ErrorKind::IsADirectory, fs.rename(&dir.join("d"), &dir.join("e"), Rename::Replace));
        fails(ErrorKind::IsADirectory, fs.rename(&dir.join("b"), &dir.join("d"), Rename::Replace));
        let mut buf = [0];
        old.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"b", "an open file outlives its name");
    }

    fn exchanges_two_names(fs, dir) {
        put(fs, &dir.join("f"), b"f");
        fs.create_dir(&dir.join("d"), 0o755).unwrap();
        put(fs, &dir.join("d/x"), b"x");
        fails(ErrorKind::NotFound, fs.rename(&dir.join("f"), &dir.join("absent"), Rename::Exchange));
        fs.rename(&dir.join("f"), &dir.join("d"), Rename::Exchange).unwrap();
        assert_eq!(get(fs, &dir.join("d")), b"f");
        assert_eq!(get(fs, &dir.join("f/x")), b"x");
    }

    fn gives_second_names(fs, dir) {
        put(fs, &dir.join("a"), b"a");
        fs.hard_link(&dir.join("a"), &dir.join("b")).unwrap();
        assert_eq!(fs.stat(&dir.join("b")).unwrap().nlink, 2);
        fails(ErrorKind::AlreadyExists, fs.hard_link(&dir.join("a"), &dir.join("b")));
        fs.remove_file(&dir.join("a")).unwrap();
        assert_eq!((get(fs, &dir.join("b")), fs.stat(&dir.join("b")).unwrap().nlink), (b"a".to_vec(), 1));
    }

    fn removes_what_it_is_told_to(fs, dir) {
        fs.create_dir_all(&dir.join("d/e"), 0o755).unwrap();
        put(fs, &dir.join("d/e/f"), b"");
        fails(ErrorKind::IsADirectory, fs.remove_file(&dir.join("d")));
        fails(ErrorKind::DirectoryNotEmpty, fs.remove_dir(&dir.join("d")));
        fails(ErrorKind::NotADirectory, fs.remove_dir(&dir.join("d/e/f")));
        fails(ErrorKind::NotFound, fs.remove_file(&dir.join("absent")));
        fs.remove_tree(&dir.join("d")).unwrap();
        fs.remove_tree(&dir.join("d")).unwrap();
        assert!(fs.read_dir(dir).unwrap().is_empty());
    }

    fn finds_data_between_holes(fs, dir) {
        let file = fs.open(&dir.join("f"), Open::CreateNew(0o644)).unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(&[1; 4096], 1 << 20).unwrap();
        file.sync_all().unwrap();
        let data = file.next_data(0).unwrap().unwrap();
        assert!(data.start <= 1 << 20 && data.end >= (1 << 20) + 4096, "{data:?}");
        assert!(data.start > 0 && data.end < 1 << 30, "the holes are seen: {data:?}");
        assert_eq!(file.next_data(data.end).unwrap(), None);
        assert!(file.stat().unwrap().allocated_bytes < 1 << 30);
    }

    fn reserves_space_without_changing_the_length(fs, dir) {
        let file = fs.open(&dir.join("f"), Open::CreateNew(0o644)).unwrap();
        file.allocate(0..65_536).unwrap();
        file.allocate(5..5).unwrap();
        let stat = file.stat().unwrap();
        assert_eq!((stat.len, stat.allocated_bytes), (0, 65_536));
        file.advise_sequential();
        file.advise_done(0..10);
    }

    fn a_clone_has_the_same_bytes_and_a_life_of_its_own(fs, dir) {
        let source = fs.open(&dir.join("a"), Open::CreateNew(0o644)).unwrap();
        source.write_all_at(&[1; 10_000], 0).unwrap();
        let clone = fs.open(&dir.join("b"), Open::CreateNew(0o644)).unwrap();
        clone.write_all_at(&[2; 20_000], 0).unwrap();
        match clone.clone_from_file(&*source) {
            Ok(()) => {}
            // Not every file system can, and then nothing has happened.
            Err(e) => {
                assert_eq!((e.kind(), get(fs, &dir.join("b"))), (ErrorKind::Unsupported, vec![2; 20_000]));
                return;
            }
        }
        assert_eq!(get(fs, &dir.join("b")), [1; 10_000]);
        source.write_all_at(&[3; 100], 5_000).unwrap();
        clone.write_all_at(&[4; 100], 0).unwrap();
        assert_eq!(get(fs, &dir.join("b")), [&[4; 100][..], &[1; 9_900]].concat());
        assert_eq!(get(fs, &dir.join("a")), [&[1; 5_000][..], &[3; 100], &[1; 4_900]].concat());
        let reader = fs.open(&dir.join("a"), Open::Read).unwrap();
        assert!(reader.clone_from_file(&*clone).is_err(), "a file that is open for reading takes no clone");
    }

    fn a_lock_excludes_everybody_else_until_it_is_dropped(fs, dir) {
        put(fs, &dir.join("f"), b"");
        for path in [dir.join("f"), dir.to_owned()] {
            let lock = fs.try_lock(&path).unwrap().expect("it is free");
            assert!(fs.try_lock(&path).unwrap().is_none());
            drop(lock);
            assert!(fs.try_lock(&path).unwrap().is_some());
        }
        fails(ErrorKind::NotFound, fs.try_lock(&dir.join("absent")));
    }

    fn reads_no_more_than_allowed(fs, dir) {
        put(fs, &dir.join("f"), b"12345");
        assert_eq!(fs.read(&dir.join("f"), 5).unwrap(), b"12345");
        fails(ErrorKind::FileTooLarge, fs.read(&dir.join("f"), 4));
    }

    fn replaces_a_file_durably(fs, dir) {
        fs.write_durable(&dir.join("f"), b"one", 0o600).unwrap();
        fs.write_durable(&dir.join("f"), b"two", 0o600).unwrap();
        assert_eq!(get(fs, &dir.join("f")), b"two");
        assert_eq!(fs.read_dir(dir).unwrap().len(), 1);
        fs.sync_fs(dir).unwrap();
    }
}

// MF-05
#[test]
fn neither_follows_a_link_at_the_end_of_a_path() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "secret").unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::os::unix::fs::symlink("f", dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink("d", dir.path().join("dir-link")).unwrap();
    let memory = MemoryFs::new();
    memory.symlink(Path::new("/link")).unwrap();
    memory.symlink(Path::new("/dir-link")).unwrap();

    let both: [(Arc<dyn Fs>, &Path); 2] = [(Arc::new(RealFs), dir.path()), (Arc::new(memory), Path::new("/"))];
    for (fs, dir) in both {
        for how in [Open::Read, Open::ReadWrite, Open::Create(0o644), Open::CreateNew(0o644)] {
            assert!(fs.open(&dir.join("link"), how).is_err());
            assert!(fs.open_beneath(dir, &"dir-link/f".parse().unwrap(), how).is_err());
        }
        assert!(fs.read_dir(&dir.join("dir-link")).is_err());
        assert!(fs.try_lock(&dir.join("link")).is_err());
        assert!(fs.sync_dir(&dir.join("dir-link")).is_err());
        assert_eq!(fs.stat(&dir.join("link")).unwrap().kind, Kind::Symlink);
        fs.remove_tree(&dir.join("dir-link")).unwrap();
    }
    assert!(dir.path().join("d").is_dir(), "the link is gone, not what it leads to");
}

#[test]
fn a_fifo_is_refused_and_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    fails(ErrorKind::InvalidInput, RealFs.open(&path, Open::Read));
    assert_eq!(RealFs.stat(&path).unwrap().kind, Kind::Special);
}

#[test]
fn no_clone_leads_from_one_file_system_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (MemoryFs::new(), MemoryFs::new());
    let source = one.open(Path::new("/f"), Open::CreateNew(0o644)).unwrap();
    for clone in [other.open(Path::new("/f"), Open::CreateNew(0o644)), RealFs.open(&dir.path().join("f"), Open::CreateNew(0o644))] {
        fails(ErrorKind::Unsupported, clone.unwrap().clone_from_file(&*source));
    }
}

use std::time::Duration;

use super::{plan::Abilities, *};
use crate::{
    disk::testing::{bytes_of, painted, put},
    fs::{MemoryFs, Open},
    profile::NodeProfile,
    progress::Stop,
};

const DATA: &str = "/srv/node";
const CLONE: &str = "/srv/.node.qsync-clone";

fn channel() -> ChannelName {
    "demo/generic".parse().unwrap()
}

fn data() -> MemoryFs {
    let fs = MemoryFs::new();
    put(&fs, "/srv/node/db/1.sst", &painted(200_000, 1));
    put(&fs, "/srv/node/db/1.log", &painted(100_000, 2));
    put(&fs, "/srv/node/db/keystore/k", b"secret");
    fs.create_dir(Path::new("/srv/node/empty"), 0o755).unwrap();
    fs
}

fn selection() -> Arc<Selection> {
    Arc::new(Selection::of(&profile(), "demo"))
}

fn profile() -> NodeProfile {
    NodeProfile::parse("name = 'a'\ntitle = 'A'\nnever = ['keystore']\nimmutable = ['*.sst']").unwrap()
}

fn never_called(_: &Path) -> Result<(), String> {
    panic!("no subvolume was made")
}

fn make(fs: &MemoryFs) -> Result<(Cloned, Abilities), Error> {
    let profile = profile();
    create(fs, Path::new(CLONE), &channel(), Content::Files)?;
    let scan = select(fs, Path::new(DATA), &selection())?;
    let abilities = probe(fs, &scan, &profile.immutable, Path::new(CLONE))?;
    let cloned = copy(
        fs,
        &scan,
        &content(Path::new(CLONE)),
        &profile.immutable,
        abilities,
        Bounds { stop: &Stop::new(), allowed: Duration::from_secs(60) },
    )?;
    Ok((cloned, abilities))
}

fn rewrite(fs: &MemoryFs, path: &str) {
    fs.open(Path::new(path), Open::ReadWrite).unwrap().write_all_at(b"later", 0).unwrap();
}

#[test]
fn a_clone_shows_nothing_that_is_written_later_and_lacks_what_is_never_published() {
    for shares in [true, false] {
        let fs = data();
        if !shares {
            fs.refuse_clones();
        }
        let (cloned, abilities) = make(&fs).unwrap();
        assert_eq!((abilities.reflink, abilities.hard_link), (shares, !shares));
        assert_eq!((cloned.copied_bytes > 0, cloned.linked_files), (!shares, u64::from(!shares)));
        rewrite(&fs, "/srv/node/db/1.log");
        assert_eq!(bytes_of(&fs, "/srv/.node.qsync-clone/data/db/1.log"), painted(100_000, 2));
        assert_eq!(bytes_of(&fs, "/srv/.node.qsync-clone/data/db/1.sst"), painted(200_000, 1));
        let scan = scan::scan(&fs, &content(Path::new(CLONE)), &Selection::everything()).unwrap();
        assert_eq!(scan.files.len(), 2);
        assert_eq!(scan.dirs.iter().map(|dir| dir.as_str()).collect::<Vec<_>>(), ["db", "empty"]);
        remove(&fs, Path::new(CLONE), &channel(), &never_called).unwrap();
        assert_eq!(fs.read_dir(Path::new("/srv")).unwrap().len(), 1);
    }
}

#[test]
fn a_copy_that_is_slower_than_was_thought_ends_when_the_time_is_over() {
    let fs = data();
    let bounds = Bounds { stop: &Stop::new(), allowed: Duration::ZERO };
    let run = |abilities| {
        create(&fs, Path::new(CLONE), &channel(), Content::Files).unwrap();
        let scan = select(&fs, Path::new(DATA), &selection()).unwrap();
        let made = copy(&fs, &scan, &content(Path::new(CLONE)), &profile().immutable, abilities, bounds);
        remove(&fs, Path::new(CLONE), &channel(), &never_called).unwrap();
        made
    };
    let none = Abilities { reflink: false, hard_link: false, copy_bytes_per_second: 1 << 30 };
    match run(none) {
        Err(Error::CloneTooSlow { copied_bytes: 0, allowed: Duration::ZERO, .. }) => {}
        other => panic!("{other:?}"),
    }
    // What is shared costs no time.
    assert_eq!(run(Abilities { reflink: true, ..none }).unwrap().copied_bytes, 0);
}

#[test]
fn holes_stay_holes() {
    let fs = data();
    fs.refuse_clones();
    fs.open(Path::new("/srv/node/db/1.log"), Open::ReadWrite).unwrap().set_len(1 << 30).unwrap();
    let (cloned, _) = make(&fs).unwrap();
    assert!(cloned.copied_bytes < 1 << 20, "{}", cloned.copied_bytes);
    let copy = fs.stat(Path::new("/srv/.node.qsync-clone/data/db/1.log")).unwrap();
    assert!(copy.len == 1 << 30 && copy.allocated_bytes < 1 << 20, "{copy:?}");
}

#[test]
fn what_is_left_of_a_clone_can_be_removed_after_a_power_cut_at_any_moment() {
    let whole = data();
    whole.refuse_clones();
    make(&whole).unwrap();
    for at in (0..whole.operations()).step_by(3) {
        let fs = data();
        fs.refuse_clones();
        fs.fail_after(at.saturating_sub(data().operations()), 28);
        let _cut = make(&fs);
        fs.heal();
        remove(&fs, Path::new(CLONE), &channel(), &never_called).unwrap_or_else(|e| panic!("after {at}: {e}"));
        assert_eq!(fs.read_dir(Path::new("/srv")).unwrap().len(), 1, "after {at}");
        assert_eq!(bytes_of(&fs, "/srv/node/db/1.sst"), painted(200_000, 1));
    }
}

#[test]
fn nothing_is_removed_that_is_not_provably_a_clone_of_this_channel() {
    let why = |prepare: &dyn Fn(&MemoryFs), path: &str| {
        let fs = data();
        prepare(&fs);
        match remove(&fs, Path::new(path), &channel(), &never_called) {
            Err(Error::CloneForeign { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why(&|_| {}, DATA), "its name is not that of a clone");
    assert_eq!(why(&|fs| put(fs, "/srv/.node.qsync-clone/data/1", b"x"), CLONE), "it has no owner.json of qsync");
    assert_eq!(why(&|fs| put(fs, "/srv/.node.qsync-clone/owner.json", b"{}"), CLONE), "its owner.json is not of qsync");
    assert_eq!(why(&|fs| put(fs, CLONE, b"x"), CLONE), "it is no directory");
    let other = |fs: &MemoryFs| create(fs, Path::new(CLONE), &"demo/other".parse().unwrap(), Content::Files).unwrap();
    assert_eq!(why(&other, CLONE), "it is a clone of another channel");
    let fs = data();
    other(&fs);
    assert!(matches!(create(&fs, Path::new(CLONE), &channel(), Content::Files), Err(Error::CloneForeign { .. })));
    remove(&fs, Path::new("/srv/.absent.qsync-clone"), &channel(), &never_called).unwrap();
}

#[test]
fn a_clone_goes_beside_its_directory_and_no_scan_takes_it_for_data() {
    let fs = data();
    assert_eq!(place(&fs, Path::new(DATA), None).unwrap(), Path::new(CLONE));
    fs.create_dir(Path::new("/big"), 0o755).unwrap();
    assert_eq!(place(&fs, Path::new(DATA), Some(Path::new("/big"))).unwrap(), Path::new("/big/.node.qsync-clone"));
    // A mount point, of which nothing beside it is on the same file system.
    assert_eq!(place(&crate::fs::RealFs, Path::new("/proc"), None).unwrap(), Path::new("/proc/.qsync-clone"));
    create(&fs, Path::new(CLONE), &channel(), Content::Files).unwrap();
    assert!(
        matches!(scan::scan(&fs, Path::new("/srv"), &Selection::everything()), Err(Error::SourceName { source, .. }) if source.rule == "the name is reserved")
    );
}

#[test]
fn a_subvolume_is_deleted_before_the_folder_around_it() {
    let fs = data();
    create(&fs, Path::new(CLONE), &channel(), Content::Subvolume).unwrap();
    put(&fs, "/srv/.node.qsync-clone/data/1", b"x");
    let failed = remove(&fs, Path::new(CLONE), &channel(), &|_| Err("busy".to_owned())).unwrap_err();
    assert!(failed.to_string().contains("delete the snapshot") && fs.stat(Path::new(CLONE)).is_ok());
    remove(&fs, Path::new(CLONE), &channel(), &|path| fs.remove_tree(path).map_err(|e| e.to_string())).unwrap();
    assert!(fs.stat(Path::new(CLONE)).is_err());
}

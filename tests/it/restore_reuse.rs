//! Updates and seeds: what is on this machine already is not fetched again, and the old database stays what it is until the end.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, FileTimes},
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World, database,
    evil::{Answer, EvilMirror},
    trace::{can_trace, injected},
    tree,
};

/// A database like RocksDB's, published at height 1 and restored; and its pin.
fn restored() -> (World, String) {
    let (world, pin) = published();
    world.restore_command(&pin).summary();
    (world, pin)
}

fn published() -> (World, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db")).unwrap();
    tree::write(&data.join("db/000001.sst"), 6 * tree::CHUNK);
    tree::write(&data.join("db/000002.sst"), 3 * tree::CHUNK + 5);
    tree::write(&data.join("db/000003.log"), 5 * tree::CHUNK + 100);
    tree::make_sparse(&data.join("db/table"), 12 * tree::CHUNK, &[0, 7 * tree::CHUNK]);
    fs::write(data.join("db/CURRENT"), "MANIFEST-000004\n").unwrap();
    let pin = world.init();
    world.publish(&data, 1);
    (world, pin)
}

/// What an hour does to such a database: a new table, a longer log, a place overwritten, a table gone; published at height 2. Gives the
/// chunks that are new.
fn an_hour_later(world: &World) -> BTreeSet<PathBuf> {
    let (data, before) = (world.path("data"), world.chunks());
    tree::write(&data.join("db/000005.sst"), 2 * tree::CHUNK);
    File::options().append(true).open(data.join("db/000003.log")).unwrap().write_all(&[7; 1_000]).unwrap();
    tree::flip(&data.join("db/table"), 7 * tree::CHUNK + 3);
    fs::remove_file(data.join("db/000002.sst")).unwrap();
    fs::write(data.join("db/CURRENT"), "MANIFEST-000006\n").unwrap();
    world.publish(&data, 2);
    world.chunks().into_iter().filter(|chunk| !before.contains(chunk)).collect()
}

fn count(summary: &Value, field: &str) -> u64 {
    summary[field].as_u64().unwrap_or_else(|| panic!("{field} of {summary}"))
}

/// Every byte of a finished run came from somewhere, and is counted there once; holes that were there count as reused.
#[track_caller]
fn assert_accounted(summary: &Value) {
    let (bytes, holes) = (count(summary, "bytes"), count(summary, "hole_bytes"));
    let brought = count(summary, "reused_bytes") + count(summary, "written_bytes");
    assert!((bytes - holes..=bytes).contains(&brought), "{summary}");
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Changes a file and gives it back the time it had: the record cannot tell.
fn flip_unnoticed(path: &Path, offset: u64) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    tree::flip(path, offset);
    File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(before)).unwrap();
}

#[test]
fn an_update_fetches_what_is_new_and_links_the_tables_that_are_not() {
    let (world, pin) = restored();
    let (table, log) = (world.target().join("db/000001.sst"), world.target().join("db/000003.log"));
    let (table_inode, log_inode) = (inode(&table), inode(&log));
    let new = an_hour_later(&world);
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    let would = world.restore_from(&web.url, &pin).args(["--replace", "--dry-run"]).summary();
    let summary = world.restore_from(&web.url, &pin).arg("--replace").summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(web.chunks_asked().len(), new.len());
    let frames: u64 = new.iter().map(|chunk| fs::metadata(chunk).unwrap().len()).sum();
    assert!(count(&summary, "fetched_bytes") as f64 <= frames as f64 * 1.1, "{frames} are new: {summary}");
    // The lists of the log and of the sparse file have changed, so that a dry run counts them as a whole.
    assert!((frames..2 * frames + 6 * tree::CHUNK).contains(&count(&would, "most_to_fetch_bytes")), "{frames}: {would}");
    assert_accounted(&summary);
    assert_eq!((inode(&table), fs::metadata(&table).unwrap().nlink()), (table_inode, 1));
    assert_ne!(inode(&log), log_inode, "what is appended to is a file of its own");
    assert_eq!(world.operator().arg("verify").arg(world.target()).summary()["defects"], 0);
    let again = world.restore_from(&web.url, &pin).arg("--replace").summary();
    assert_eq!(again["outcome"], "already-restored");
}

#[test]
fn the_update_of_a_parity_db_fetches_the_chunks_that_changed() {
    let world = World::new();
    database::make_parity_db(&world.path("data"), 20_000);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    world.restore_command(&pin).summary();
    let before = world.chunks();
    database::write_parity_db(&world.path("data"), 0..100, 1);
    world.publish(&world.path("data"), 2);
    let new = world.chunks().iter().filter(|chunk| !before.contains(chunk)).count();
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    let summary = world.restore_from(&web.url, &pin).arg("--replace").summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_accounted(&summary);
    assert!(count(&summary, "reused_bytes") > 0 && web.chunks_asked().len() <= new, "{new} are new: {summary}");
    database::assert_parity_db_reads(&world.target(), 20_000, |key| u64::from(key < 100));
}

#[test]
fn a_database_that_is_kept_shares_no_file_with_the_new_one() {
    let (world, pin) = restored();
    let before = tree::snapshot(&world.target());
    let new = an_hour_later(&world);
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    let summary = world.restore_from(&web.url, &pin).args(["--replace", "--keep-old"]).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(web.chunks_asked().len(), new.len(), "{summary}");
    assert_accounted(&summary);
    let kept = fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| path.to_string_lossy().contains(".qsync-old-")).collect::<Vec<_>>();
    assert_eq!(tree::snapshot(&kept[0]), before);
    assert!(tree::files(&world.target()).iter().chain(&tree::files(&kept[0])).all(|file| fs::metadata(file).unwrap().nlink() == 1));
}

// P4
#[test]
fn a_file_that_was_changed_never_gives_a_wrong_byte_where_it_is_read() {
    for forged in [false, true] {
        for flags in [&["--replace"][..], &["--replace", "--keep-old"], &["--replace", "--rehash"]] {
            let (world, pin) = restored();
            for (file, offset) in [("db/000003.log", 3 * tree::CHUNK), ("db/000001.sst", 2 * tree::CHUNK + 9), ("db/table", 4)] {
                let path = world.target().join(file);
                // A table with forged times that gets a second name is not read: that is the next test.
                let read = file != "db/000001.sst" || flags.len() > 1;
                if forged && read { flip_unnoticed(&path, offset) } else { tree::flip(&path, offset) }
            }
            an_hour_later(&world);
            world.restore_command(&pin).args(flags).summary();
            tree::assert_same(&world.path("data"), &world.target());
        }
    }
}

#[test]
fn a_table_that_was_changed_and_given_its_old_time_is_found_by_verify_and_rehash() {
    let (world, pin) = restored();
    flip_unnoticed(&world.target().join("db/000001.sst"), 2 * tree::CHUNK + 9);
    an_hour_later(&world);
    world.restore_command(&pin).arg("--replace").summary();
    world.operator().arg("verify").arg(world.target()).fails_with(13);
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    world.restore_from(&web.url, &pin).args(["--replace", "--rehash"]).summary();
    assert_eq!(web.chunks_asked().len(), 1);
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(world.operator().arg("verify").arg(world.target()).summary()["defects"], 0);
}

/// Changes files of the old database as a node would that was started on it again.
fn let_a_node_run(database: &Path) {
    // Rewritten in place, which no engine does to a table, and still must not reach the new database.
    fs::write(database.join("db/000001.sst"), vec![9; 6 * tree::CHUNK as usize]).unwrap();
    File::options().append(true).open(database.join("db/000003.log")).unwrap().write_all(b"more").unwrap();
}

// P2, CR-09
#[test]
fn an_update_that_fails_leaves_the_old_database_and_trusts_none_of_its_files_later() {
    for flags in [&["--replace"][..], &["--replace", "--keep-old"], &["--replace", "--rehash"], &["--replace", "--latest"]] {
        let (world, pin) = restored();
        let before = tree::snapshot(&world.target());
        let new = an_hour_later(&world);
        let missing = new.iter().next().unwrap();
        fs::rename(missing, world.path("aside")).unwrap();
        world.restore_command(&pin).arg("--replace").fails_with(13);
        assert_eq!(tree::snapshot(&world.target()), before);
        let staged = world.staging().join("data/db/000001.sst");
        assert_eq!(inode(&staged), inode(&world.target().join("db/000001.sst")), "it has its second name");

        let_a_node_run(&world.target());
        let after = tree::snapshot(&world.target());
        world.restore_command(&pin).args(flags).fails_with(13);
        assert_eq!(tree::snapshot(&world.target()), after, "{flags:?}");
        assert_ne!(inode(&staged), inode(&world.target().join("db/000001.sst")), "{flags:?}");
        fs::rename(world.path("aside"), missing).unwrap();
        let summary = world.restore_command(&pin).args(flags).summary();
        assert_accounted(&summary);
        tree::assert_same(&world.path("data"), &world.target());
    }
}

// P2, CR-09
#[test]
fn a_linked_table_that_is_shorter_in_a_newer_snapshot_is_cut_in_no_old_database() {
    let (world, pin) = restored();
    let before = tree::snapshot(&world.target());
    let missing = an_hour_later(&world).into_iter().next().unwrap();
    fs::rename(&missing, world.path("aside")).unwrap();
    world.restore_command(&pin).arg("--replace").fails_with(13);
    let known = names(&world.chunks());
    tree::write(&world.path("data/db/000001.sst"), 2 * tree::CHUNK);
    // A new store, because publish trusts that a store's own head names what it has.
    fs::remove_dir_all(world.store()).unwrap();
    world.publish(&world.path("data"), 3);
    let of_the_table = world.chunks().into_iter().find(|chunk| !known.contains(chunk.file_name().unwrap())).unwrap();
    fs::rename(&of_the_table, world.path("aside")).unwrap();
    let update = || world.restore_command(&pin).args(["--replace", "--latest"]);
    update().fails_with(13);
    assert_eq!(tree::snapshot(&world.target()), before);
    fs::rename(world.path("aside"), &of_the_table).unwrap();
    update().summary();
    tree::assert_same(&world.path("data"), &world.target());
}

fn names(chunks: &[PathBuf]) -> BTreeSet<OsString> {
    chunks.iter().map(|chunk| chunk.file_name().unwrap().to_owned()).collect()
}

// CR-01
#[test]
fn an_update_killed_at_any_call_that_writes_leaves_one_of_both_databases_and_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    let (world, pin) = restored();
    an_hour_later(&world);
    let (old, new) = (tree::snapshot(&world.target()), tree::snapshot(&world.path("data")));
    let back = || {
        let restore = world.operator().args(["restore", &format!("{CHANNEL}@1"), "--trust", &pin, "--replace", "--from"]);
        restore.arg(world.store()).arg("--to").arg(world.target()).summary();
        assert_eq!(tree::snapshot(&world.target()), old);
    };
    // Each thread counts its own calls, so that late ones are rarely reached.
    let calls = [
        ("?link,linkat", 1),
        ("?unlink,unlinkat", 1),
        ("?unlink,unlinkat", 2),
        ("pwrite64", 2),
        ("ftruncate", 1),
        ("fsync,fdatasync", 2),
        ("syncfs", 1),
        ("?rename,?renameat,renameat2", 1),
        ("?rename,?renameat,renameat2", 2),
    ];
    let mut killed = 0;
    for (calls, moment) in calls {
        let update = || world.restore_command(&pin).arg("--replace");
        if injected(update(), calls, &format!("signal=KILL:when={moment}")).output().status.success() {
            continue;
        }
        killed += 1;
        let found = tree::snapshot(&world.target());
        assert!(found == old || found == new, "{calls} {moment}: neither the old nor the new");
        update().summary();
        assert_eq!(tree::snapshot(&world.target()), new, "{calls} {moment}");
        assert!(!world.staging().exists(), "{calls} {moment}");
        back();
    }
    assert!(killed >= 6, "only {killed} runs were killed");
}

#[test]
fn a_copy_of_the_database_as_a_seed_leaves_only_the_lists_to_be_fetched() {
    let (world, pin) = published();
    let copy = world.path("copy");
    database::copy_tree(&world.path("data"), &copy);
    let before = tree::snapshot(&copy);
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    let seeded = |to: &str| {
        let restore = ["restore", CHANNEL, "--from", &web.url, "--trust", &pin, "--seed", copy.to_str().unwrap(), "--to"];
        world.operator().args(restore).arg(world.path(to)).summary()
    };
    let summary = seeded("restored");
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!((web.chunks_asked(), &summary["written_bytes"]), (Vec::new(), &0.into()));
    assert_accounted(&summary);

    // A seed is not always right, and a second one may help.
    tree::flip(&copy.join("db/000001.sst"), 0);
    fs::remove_file(copy.join("db/000003.log")).unwrap();
    seeded("once-more");
    assert_eq!(web.chunks_asked().len(), 1 + 6);
    tree::assert_same(&world.path("data"), &world.path("once-more"));
    let two = ["restore", CHANNEL, "--from", &web.url, "--trust", &pin, "--seed", copy.to_str().unwrap(), "--seed"];
    world.operator().args(two).arg(world.target()).arg("--to").arg(world.path("with-two")).summary();
    assert_eq!(web.chunks_asked().len(), 1 + 6);
    tree::assert_same(&world.path("data"), &world.path("with-two"));
    assert_ne!(tree::snapshot(&copy), before);
    assert!(tree::files(&world.path("with-two")).iter().all(|file| fs::metadata(file).unwrap().nlink() == 1), "no seed is linked");
}

// MF-05
#[test]
fn links_and_fifos_in_a_seed_are_left_alone_with_a_warning() {
    let (world, pin) = published();
    let seed = world.path("seed");
    fs::create_dir_all(seed.join("db")).unwrap();
    symlink(world.path("data/db/000001.sst"), seed.join("db/000001.sst")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, seed.join("db/000002.sst"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    fs::create_dir(seed.join("db/000003.log")).unwrap();
    let lines = world.restore_command(&pin).arg("--seed").arg(&seed).json_lines();
    let warnings: Vec<_> = lines.iter().filter(|line| line["type"] == "warning").map(|line| line["text"].as_str().unwrap()).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("is not reused"), "{warnings:?}");
    assert_eq!(lines.last().unwrap()["reused_bytes"], 0);
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn seeds_that_cannot_be_meant_are_refused_before_anything_is_asked_for() {
    let (world, pin) = restored();
    an_hour_later(&world);
    let web = EvilMirror::start(world.store(), |_| Answer::Silence);
    let seeded = |seed: &Path| world.restore_from(&web.url, &pin).arg("--replace").arg("--seed").arg(seed).json_error(2);
    for (seed, why) in [
        (world.path("not-there"), "does not exist"),
        (world.target().join("db/CURRENT"), "not a directory"),
        (world.target(), "the target"),
        (world.target().join("db"), "the target"),
    ] {
        let error = seeded(&seed);
        assert_eq!(error["code"], "usage");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    assert!(!world.staging().exists());
}

// P2
#[test]
fn a_new_owner_for_the_new_database_is_none_for_the_old_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root may give files away: NOT tested");
        return;
    }
    let (world, pin) = restored();
    let missing = an_hour_later(&world).into_iter().next().unwrap();
    fs::rename(&missing, world.path("aside")).unwrap();
    let table = world.target().join("db/000001.sst");
    let update = |owner: &str| world.restore_command(&pin).args(["--replace", "--chown", owner]);
    update("4711:4712").fails_with(13);
    assert_eq!(fs::metadata(&table).unwrap().nlink(), 1, "it was copied");
    fs::rename(world.path("aside"), &missing).unwrap();
    update("4711:4712").summary();
    let owner = |path: &Path| fs::metadata(path).map(|file| (file.uid(), file.gid())).unwrap();
    assert!(tree::files(&world.target()).iter().all(|file| owner(file) == (4711, 4712)));

    // The next time nothing changes hands, so that nothing has to be copied.
    let before = inode(&table);
    tree::write(&world.path("data/db/000007.sst"), tree::CHUNK);
    world.publish(&world.path("data"), 3);
    update("4711:4712").summary();
    assert_eq!((inode(&table), owner(&table)), (before, (4711, 4712)));
    assert_eq!(owner(&world.target().join("db/000007.sst")), (4711, 4712));
    tree::assert_same(&world.path("data"), &world.target());
}

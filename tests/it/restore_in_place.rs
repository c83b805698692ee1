//! `restore --in-place`: overwrites the database that is there, for disks without room for two.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    restore_place::{can_mount, run},
    support::{
        World,
        command::Qsync,
        database::{assert_parity_db_reads, copy_tree, make_parity_db, write_parity_db},
        trace::can_trace,
        tree,
    },
};

/// A database that is restored, and a newer snapshot of it: one chunk differs, one file is longer, one is new and one gone.
fn updated() -> (World, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db/empty")).unwrap();
    for (file, bytes) in [("000001.sst", 5 * tree::CHUNK + 7), ("000002.sst", tree::CHUNK), ("000003.sst", 2 * tree::CHUNK)] {
        tree::write(&data.join("db").join(file), bytes);
    }
    tree::make_sparse(&data.join("db/sparse"), 6 * tree::CHUNK, &[tree::CHUNK + 5]);
    fs::write(data.join("CURRENT"), "000003").unwrap();
    let pin = world.init();
    world.publish(&data, 1);
    world.restore_command(&pin).summary();
    tree::flip(&data.join("db/000001.sst"), 3 * tree::CHUNK);
    tree::write(&data.join("db/000002.sst"), 2 * tree::CHUNK);
    fs::remove_file(data.join("db/000003.sst")).unwrap();
    tree::write(&data.join("db/000004.sst"), tree::CHUNK / 2);
    fs::write(data.join("CURRENT"), "000004").unwrap();
    world.publish(&data, 2);
    (world, pin)
}

fn in_place(world: &World, pin: &str) -> Qsync {
    world.restore_command(pin).args(["--in-place", "--yes"])
}

fn partial(world: &World) -> PathBuf {
    world.target().join(".qsync-partial")
}

/// Makes the next run fail after it has begun: a chunk of the newest snapshot is not to be had. Gives the way back.
fn hide_a_chunk(world: &World, of: &Path) -> impl FnOnce() + use<> {
    let shown = world.operator().args(["show", "demo/generic", "--chunks", "--from"]).arg(world.store()).json_lines();
    let name = of.to_str().unwrap();
    let frame = shown.iter().find(|line| line["path"] == name && line["chunk"] == 0).unwrap()["frame"].as_str().unwrap().to_owned();
    let object = world.store().join("chunks").join(&frame[..2]).join(&frame);
    let aside = world.path("aside");
    fs::rename(&object, &aside).unwrap();
    move || fs::rename(aside, object).unwrap()
}

// OP-01
#[test]
fn an_update_in_place_fetches_what_differs_and_leaves_the_rest_where_it_lies() {
    let (world, pin) = updated();
    let inode = |file: &str| fs::metadata(world.target().join(file)).unwrap().ino();
    let (target, changed) = (fs::metadata(world.target()).unwrap().ino(), inode("db/000001.sst"));
    let done = in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!((fs::metadata(world.target()).unwrap().ino(), inode("db/000001.sst")), (target, changed));
    // One chunk that differs, two of the longer file, one of the new file, one small one.
    let written = 3 * tree::CHUNK + tree::CHUNK / 2 + 6;
    assert_eq!((&done["outcome"], &done["written_bytes"]), (&"restored".into(), &written.into()), "{done}");
    assert!(done["reused_bytes"].as_u64().unwrap() > 4 * tree::CHUNK && done["fetched_bytes"].as_u64().unwrap() < written, "{done}");
    assert!(!partial(&world).exists() && !world.staging().exists());
    assert_eq!(in_place(&world, &pin).summary()["outcome"], "already-restored");
    assert_eq!(world.operator().arg("verify").arg(world.target()).summary()["defects"], 0);
}

#[test]
fn a_parity_db_is_updated_in_place_and_every_key_reads() {
    let world = World::new();
    make_parity_db(&world.path("data"), 2_000);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    world.restore_command(&pin).summary();
    write_parity_db(&world.path("data"), 0..500, 1);
    world.publish(&world.path("data"), 2);
    in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_parity_db_reads(&world.target(), 2_000, |key| u64::from(key < 500));
}

// OP-13
#[test]
fn it_is_asked_for_and_refused_where_nobody_can_be_asked() {
    let (world, pin) = updated();
    let before = tree::snapshot(&world.target());
    let error = world.restore_command(&pin).arg("--in-place").json_error(2);
    assert_eq!(error["code"], "not-confirmed", "{error}");
    let (exit, shown) = world.restore_command(&pin).arg("--in-place").on_a_terminal("n\n");
    assert!(exit == Some(2) && shown.contains("neither the old database nor the new one"), "{shown}");
    assert_eq!(in_place(&world, &pin).arg("--replace").json_error(2)["code"], "usage");
    assert_eq!(in_place(&world, &pin).arg("--dry-run").summary()["outcome"], "dry-run");
    assert_eq!(tree::snapshot(&world.target()), before);
    let (exit, shown) = world.restore_command(&pin).arg("--in-place").on_a_terminal("y\n");
    assert_eq!(exit, Some(0), "{shown}");
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn where_nothing_is_to_be_overwritten_it_is_built_beside() {
    let (world, pin) = updated();
    fs::remove_dir_all(world.target()).unwrap();
    let restore = hide_a_chunk(&world, Path::new("db/000004.sst"));
    in_place(&world, &pin).fails_with(13);
    assert!(!world.target().exists() && world.staging().exists());
    restore();
    in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

// MF-16, OP-01
#[test]
fn what_the_snapshot_does_not_list_is_kept_until_it_is_complete() {
    let (world, pin) = updated();
    fs::create_dir(world.target().join("db/notes")).unwrap();
    fs::write(world.target().join("db/notes/of the operator"), "precious").unwrap();
    let restore = hide_a_chunk(&world, Path::new("db/000004.sst"));
    in_place(&world, &pin).fails_with(13);
    assert!(!world.target().join("db/notes").exists());
    let kept = partial(&world).join("removed/0/db");
    assert_eq!(fs::read_to_string(kept.join("notes/of the operator")).unwrap(), "precious");
    assert!(kept.join("000003.sst").exists());
    // Another run keeps its own beside those of the first.
    fs::create_dir(world.target().join("db/notes")).unwrap();
    in_place(&world, &pin).fails_with(13);
    assert!(kept.join("notes/of the operator").exists() && partial(&world).join("removed/1/db/notes").exists());
    restore();
    in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert!(!partial(&world).exists());
}

#[test]
fn every_command_that_meets_an_unfinished_one_says_so_and_how_to_finish_it() {
    let (world, pin) = updated();
    let restore = hide_a_chunk(&world, Path::new("db/000004.sst"));
    in_place(&world, &pin).fails_with(13);
    let all_but_the_lock = || {
        let mut found = tree::snapshot(&world.target());
        found.remove(Path::new(".qsync-partial/lock"));
        found
    };
    let begun = all_but_the_lock();
    let finish = format!("qsync restore demo/generic --in-place --to {}", world.target().display());
    for flags in [&[][..], &["--replace"], &["--discard"], &["--dry-run"], &["--latest"]] {
        let error = world.restore_command(&pin).args(flags).json_error(15);
        assert_eq!(error["code"], "target-incomplete", "{flags:?}: {error}");
        assert!(flags.contains(&"--discard") || error["hints"][0].as_str().unwrap().contains(&finish), "{error}");
    }
    let error = world.operator().arg("verify").arg(world.target()).json_error(13);
    assert!(error["code"] == "incomplete" && error["hints"][0].as_str().unwrap().contains(&finish), "{error}");
    let repair = world.operator().arg("verify").arg(world.target()).args(["--repair", "--from"]).arg(world.store());
    assert_eq!(repair.json_error(13)["code"], "incomplete");
    assert_eq!(world.publish_command(&world.target(), 3).json_error(18)["code"], "source-incomplete");
    assert_eq!(all_but_the_lock(), begun);
    restore();
    in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

// CR-09
#[test]
fn discard_and_latest_choose_another_snapshot_and_never_forget_that_it_is_incomplete() {
    for flag in ["--discard", "--latest"] {
        let (world, pin) = updated();
        let restore = hide_a_chunk(&world, Path::new("db/000004.sst"));
        in_place(&world, &pin).fails_with(13);
        in_place(&world, &pin).arg(flag).fails_with(13);
        assert_eq!(world.restore_command(&pin).json_error(15)["code"], "target-incomplete", "{flag}");
        fs::remove_file(world.path("data/db/000004.sst")).unwrap();
        world.publish(&world.path("data"), 3);
        restore();
        assert_eq!(in_place(&world, &pin).arg(flag).summary()["height"], 3);
        tree::assert_same(&world.path("data"), &world.target());
        assert!(!partial(&world).exists());
    }
}

// MF-17, OP-03
#[test]
fn a_key_among_what_would_be_overwritten_or_go_away_refuses_it() {
    for key in ["keystore/1", "db/nodekey", "db/my wallet.wallet"] {
        let (world, pin) = updated();
        let path = world.target().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "key").unwrap();
        let before = tree::snapshot(&world.target());
        assert_eq!(in_place(&world, &pin).json_error(15)["code"], "target-identity", "{key}");
        assert_eq!(tree::snapshot(&world.target()), before);
    }
}

// MF-17
#[test]
fn a_snapshot_with_a_key_is_not_restored_over_a_local_one_whatever_the_flags() {
    let world = World::new();
    fs::create_dir_all(world.path("data/network")).unwrap();
    fs::write(world.path("data/network/nodekey"), "the publisher's").unwrap();
    let pin = world.init();
    world.publish_command(&world.path("data"), 1).args(["--allow-secret", "network/nodekey"]).summary();
    fs::create_dir_all(world.target().join("network")).unwrap();
    fs::write(world.target().join("network/nodekey"), "our own").unwrap();
    for flags in [&[][..], &["--replace"], &["--in-place", "--yes"]] {
        let error = world.restore_command(&pin).args(flags).json_error(15);
        assert_eq!(error["code"], "target-identity", "{flags:?}: {error}");
    }
    assert_eq!(fs::read_to_string(world.target().join("network/nodekey")).unwrap(), "our own");
}

// OP-02
#[test]
fn a_database_that_a_process_has_open_is_not_overwritten() {
    let (world, pin) = updated();
    let before = tree::snapshot(&world.target());
    let _held = fs::File::open(world.target().join("CURRENT")).unwrap();
    assert_eq!(in_place(&world, &pin).json_error(15)["code"], "target-in-use");
    assert_eq!(tree::snapshot(&world.target()), before);
}

#[test]
fn the_other_names_of_a_file_keep_the_old_database() {
    let (world, pin) = updated();
    let backup = world.path("backup");
    for file in tree::files(&world.target()) {
        let name = backup.join(file.strip_prefix(world.target()).unwrap());
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        fs::hard_link(&file, name).unwrap();
    }
    let before = tree::snapshot(&backup);
    in_place(&world, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(tree::snapshot(&backup), before);
}

#[test]
fn a_link_in_the_way_is_refused_before_anything_is_changed() {
    let (world, pin) = updated();
    let file = world.target().join("db/000002.sst");
    fs::rename(&file, world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), &file).unwrap();
    assert_eq!(in_place(&world, &pin).json_error(15)["code"], "target-refused");
    assert_eq!(fs::metadata(world.path("elsewhere")).unwrap().len(), tree::CHUNK);
    assert_eq!(fs::read_to_string(world.target().join("CURRENT")).unwrap(), "000003");
}

#[test]
fn a_partial_restore_that_is_built_beside_is_finished_or_discarded_first() {
    let (world, pin) = updated();
    let restore = hide_a_chunk(&world, Path::new("db/000004.sst"));
    world.restore_command(&pin).arg("--replace").fails_with(13);
    assert_eq!(in_place(&world, &pin).json_error(15)["code"], "other-snapshot");
    restore();
    in_place(&world, &pin).arg("--discard").summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert!(!world.staging().exists());
}

/// A run under strace with a fault at the first of some calls on an entry of the target.
fn faulty(world: &World, pin: &str, calls: &str, entry: &str, fault: &str) -> std::process::Output {
    let (path, trace) = (world.target().join(entry), format!("trace={calls}"));
    let inject = format!("inject={calls}:{fault}");
    let arguments = ["-f", "-qq", "-o", "/dev/null", "-P", path.to_str().unwrap(), "-e", &trace, "-e", &inject];
    in_place(world, pin).below("strace", &arguments).output()
}

fn put_old_back(world: &World) {
    let _absent = fs::remove_dir_all(world.target());
    copy_tree(&world.path("old"), &world.target());
}

// CR-01
#[test]
fn a_restore_in_place_that_is_killed_anywhere_is_old_or_new_or_says_that_it_is_neither() {
    if !can_trace() {
        return;
    }
    let (world, pin) = updated();
    fs::rename(world.target(), world.path("old")).unwrap();
    let (old, new) = (tree::snapshot(&world.path("old")), tree::snapshot(&world.path("data")));
    let moments = [
        ("fsync", ".qsync-partial", 1, false),
        ("fsync", ".qsync-partial", 2, false),
        ("syncfs", ".qsync-partial", 1, true),
        ("ftruncate", "db/000002.sst", 1, true),
        ("pwrite64", "db/000001.sst", 1, true),
        ("fdatasync", "db/000004.sst", 1, true),
        ("fdatasync", ".qsync-partial/journal", 1, true),
        ("fsync", ".qsync-partial", 4, false),
        ("fsync", ".qsync-partial", 6, false),
    ];
    for (calls, entry, moment, is_between) in moments {
        put_old_back(&world);
        assert!(!faulty(&world, &pin, calls, entry, &format!("signal=KILL:when={moment}")).status.success(), "{calls} {entry} {moment}");
        let found: std::collections::BTreeMap<_, _> =
            tree::snapshot(&world.target()).into_iter().filter(|(path, _)| !path.starts_with(".qsync-partial")).collect();
        if is_between || (found != old && found != new) {
            let error = world.operator().arg("verify").arg(world.target()).json_error(13);
            assert_eq!(error["code"], "incomplete", "{calls} {entry} {moment}: {error}");
        }
        in_place(&world, &pin).summary();
        tree::assert_same(&world.path("data"), &world.target());
        assert!(!partial(&world).exists(), "{calls} {entry} {moment}");
    }
}

// ST-02, ST-03
#[test]
fn a_disk_that_fills_up_or_fails_while_it_is_overwritten_is_named_and_the_next_run_finishes() {
    if !can_trace() {
        return;
    }
    let (world, pin) = updated();
    fs::rename(world.target(), world.path("old")).unwrap();
    for (calls, entry, error, exit) in [
        ("pwrite64", "db/000004.sst", "ENOSPC", 14),
        ("ftruncate", "db/000002.sst", "ENOSPC", 14),
        ("fdatasync", "db/000001.sst", "EIO", 1),
    ] {
        put_old_back(&world);
        let output = faulty(&world, &pin, calls, entry, &format!("error={error}:when=1+"));
        assert_eq!(output.status.code(), Some(exit), "{calls} {entry}: {}", String::from_utf8_lossy(&output.stderr));
        in_place(&world, &pin).summary();
        tree::assert_same(&world.path("data"), &world.target());
    }
}

// ST-01
#[test]
fn a_disk_without_room_for_two_is_enough() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    fs::create_dir_all(world.path("data/db")).unwrap();
    tree::write(&world.path("data/db/000001.sst"), 20 * tree::CHUNK);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    fs::create_dir(world.target()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=30m tmpfs "$TARGET"
        restore
        printf changed | dd of="$TARGET/db/000001.sst" bs=1 seek=7000000 conv=notrunc 2>/dev/null
        ends_with 14 restore --replace
        restore --in-place --yes
        diff -r "$DATA" "$TARGET"
        is_gone "$INSIDE"

        # What has no room is refused before anything is changed.
        rm "$TARGET/db/000001.sst"
        dd if=/dev/zero of="$TARGET/lost+found" bs=1M count=15 2>/dev/null
        echo old > "$TARGET/db/old"
        ends_with 14 restore --in-place --yes
        is_there "$TARGET/db/old"
        rm "$TARGET/lost+found"
        restore --in-place --yes
        diff -r "$DATA" "$TARGET"
    "#;
    run(&world, &pin, world.store().to_str().unwrap(), script);
}

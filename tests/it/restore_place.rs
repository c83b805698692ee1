//! Where a restore may build: beside the target, in a mount point, below a directory that it must not write to; and full disks.
//!
//! Mounts are made in a namespace of the test's own, as `unshare -Urm` makes it without being root.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use crate::support::{
    World,
    command::text,
    evil::{Answer, EvilMirror},
    tree,
};

/// What every script begins with: `restore` restores into `$TARGET` and takes more arguments.
const PRELUDE: &str = r#"
restore() { "$QSYNC" restore demo/generic --trust "$PIN" --from "$STORE" --to "$TARGET" "$@"; }
ends_with() { code=$1; shift; "$@" && found=0 || found=$?; test "$found" -eq "$code" || { echo "exit $found, not $code"; exit 99; }; }
is_there() { test -e "$1" || { echo "$1 is missing"; exit 99; }; }
is_gone() { test ! -e "$1" || { echo "$1 is there"; exit 99; }; }
"#;

/// Whether namespaces with mounts can be made here; says so in words where not.
pub(crate) fn can_mount() -> bool {
    let works = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("unshare -Urm with a mount is not possible here: NOT tested");
    }
    works
}

/// Whether this user may mount a disk image and make a file system on it that shares blocks between files; says so in words where not.
fn can_mount_images() -> bool {
    let try_it = "truncate -s 120M /tmp/i && mkfs.btrfs -q /tmp/i && mount -o loop /tmp/i /mnt";
    let works = Command::new("unshare").args(["-m", "sh", "-ec", &format!("mount -t tmpfs tmpfs /tmp; {try_it}")]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("btrfs in a disk image is not possible here: NOT tested");
    }
    works
}

/// Runs a script in a namespace of its own; it must succeed.
#[track_caller]
pub(crate) fn run(world: &World, pin: &str, source: &str, script: &str) -> Output {
    run_in("-Urm", world, pin, source, script)
}

/// The same with the flags that `unshare` gets.
#[track_caller]
fn run_in(namespaces: &str, world: &World, pin: &str, source: &str, script: &str) -> Output {
    let output = Command::new("unshare")
        .args([namespaces, "sh", "-euc", &format!("{PRELUDE}\n{script}")])
        .env("QSYNC", env!("CARGO_BIN_EXE_qsync"))
        .env("QSYNC_STATE_DIR", world.path("operator-state"))
        .env("QSYNC_CONFIG", "/dev/null")
        .env("PIN", pin)
        .env("STORE", source)
        .env("DATA", world.path("data"))
        .env("TARGET", world.target())
        .env("BESIDE", world.staging())
        .env("INSIDE", world.target().join(".qsync-partial"))
        .env("PARENT", world.target().parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    output
}

/// A published snapshot of 24 chunks in a few files, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    fs::create_dir_all(world.path("data/db/empty")).unwrap();
    tree::write(&world.path("data/db/000001.sst"), 20 * tree::CHUNK);
    tree::write(&world.path("data/db/000002.sst"), 4 * tree::CHUNK);
    fs::write(world.path("data/CURRENT"), "1").unwrap();
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

#[test]
fn a_mount_point_is_filled_and_replaced_from_inside() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    fs::create_dir(world.target()).unwrap();
    let store = world.store();
    let script = r#"
        mount -t tmpfs -o size=80m tmpfs "$TARGET"
        mkdir "$TARGET/lost+found"
        chunk=$(find "$STORE/chunks" -type f -size +500k | head -n 1)
        mv "$chunk" "$STORE/aside"
        ends_with 13 restore
        is_there "$INSIDE/journal"; is_gone "$BESIDE"; is_gone "$TARGET/CURRENT"
        mv "$STORE/aside" "$chunk"
        restore
        diff -r -x lost+found "$DATA" "$TARGET"
        is_gone "$INSIDE"
        restore | grep -q '^already restored'
        "$QSYNC" verify "$TARGET"

        # An entry that the snapshot has not, and the old database kept.
        echo stranger > "$TARGET/stranger"
        ends_with 15 restore
        restore --replace --keep-old
        diff -r -x lost+found -x '*.qsync-old-*' "$DATA" "$TARGET"
        is_there "$TARGET"/db.qsync-old-*/000001.sst; is_there "$TARGET"/stranger.qsync-old-*
        is_gone "$TARGET/stranger"; is_there "$TARGET/lost+found"; is_gone "$INSIDE"
        restore | grep -q '^already restored'
        "$QSYNC" verify "$TARGET"

        # What is kept is kept, also by the next replacement.
        rm "$TARGET/CURRENT"
        restore --replace
        diff -r -x lost+found -x '*.qsync-old-*' "$DATA" "$TARGET"
        is_there "$TARGET"/db.qsync-old-*/000001.sst
    "#;
    run(&world, &pin, store.to_str().unwrap(), script);
}

#[test]
fn a_target_in_which_a_file_system_is_mounted_is_not_replaced() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    let script = r#"
        mkdir -p "$TARGET/db/below"
        mount -t tmpfs tmpfs "$TARGET/db/below"
        echo precious > "$TARGET/db/below/precious"
        ends_with 15 restore --replace
        is_there "$TARGET/db/below/precious"; is_gone "$BESIDE"
    "#;
    run(&world, &pin, world.store().to_str().unwrap(), script);
}

#[test]
fn a_disk_mounted_on_the_target_after_a_partial_restore_is_noticed() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    let script = r#"
        chunk=$(find "$STORE/chunks" -type f -size +500k | head -n 1)
        mv "$chunk" "$STORE/aside"
        ends_with 13 restore
        is_there "$BESIDE/journal"
        mv "$STORE/aside" "$chunk"
        mkdir "$TARGET"
        mount -t tmpfs tmpfs "$TARGET"
        ends_with 15 restore
        restore --discard
        is_gone "$BESIDE"; is_gone "$INSIDE"
        diff -r "$DATA" "$TARGET"
    "#;
    run(&world, &pin, world.store().to_str().unwrap(), script);
}

// ST-01
#[test]
fn a_disk_that_is_too_small_is_refused_before_the_first_byte() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    fs::create_dir(world.target()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=20m tmpfs "$TARGET"
        ends_with 14 restore
        is_gone "$INSIDE"; is_gone "$BESIDE"
        ends_with 14 restore --dry-run
        umount "$TARGET"
        mount -t tmpfs -o size=80m,nr_inodes=4 tmpfs "$TARGET"
        ends_with 14 restore
        is_gone "$INSIDE"
    "#;
    let output = run(&world, &pin, world.store().to_str().unwrap(), script);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("are free") && stderr.contains("more files"), "{stderr}");
}

// ST-01
#[test]
fn an_update_needs_no_room_for_the_tables_that_it_links() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    tree::write(&world.path("data/db/000003.sst"), 3 * tree::CHUNK);
    world.publish(&world.path("data"), 2);
    fs::create_dir(world.target()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=40m tmpfs "$TARGET"
        "$QSYNC" restore demo/generic@1 --trust "$PIN" --from "$STORE" --to "$TARGET"
        # A second copy of 24 MiB does not fit.
        ends_with 14 restore --replace --keep-old
        ends_with 14 restore --replace --rehash
        is_gone "$INSIDE"; is_gone "$TARGET/db/000003.sst"
        restore --replace
        diff -r "$DATA" "$TARGET"
        "$QSYNC" verify "$TARGET"
    "#;
    run(&world, &pin, world.store().to_str().unwrap(), script);
}

// ST-10: the other way round; a file system that can what others cannot
#[test]
fn where_files_can_share_blocks_a_kept_database_costs_no_second_copy() {
    if !can_mount_images() {
        return;
    }
    let (world, pin) = published();
    tree::write(&world.path("data/db/table_00"), 50 * tree::CHUNK);
    world.publish(&world.path("data"), 2);
    tree::flip(&world.path("data/db/table_00"), 30 * tree::CHUNK + 7);
    world.publish(&world.path("data"), 3);
    fs::create_dir(world.target()).unwrap();
    fs::create_dir(world.path("disk")).unwrap();
    let script = r#"
        truncate -s 300M "$PARENT/disk/image"; mkfs.btrfs -q "$PARENT/disk/image"; mount -o loop "$PARENT/disk/image" "$TARGET"
        "$QSYNC" restore demo/generic@2 --trust "$PIN" --from "$STORE" --to "$TARGET"
        sync -f "$TARGET"; before=$(df -k --output=used "$TARGET" | tail -n 1)
        restore --replace --keep-old
        sync -f "$TARGET"; after=$(df -k --output=used "$TARGET" | tail -n 1)
        diff -r -x '*.qsync-old-*' "$DATA" "$TARGET"
        "$QSYNC" verify "$TARGET"
        test $((after - before)) -lt 8192 || { echo "$((after - before)) KiB more are used"; exit 99; }
    "#;
    run_in("-m", &world, &pin, world.store().to_str().unwrap(), script);
}

// ST-02
#[test]
fn a_disk_that_somebody_fills_meanwhile_ends_the_run_and_the_next_goes_on() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    fs::create_dir(world.target()).unwrap();
    let pause = std::time::Duration::from_millis(700);
    let slow = EvilMirror::start(world.store(), move |key| if key.starts_with("chunks/") { Answer::After(pause) } else { Answer::Whole });
    let script = r#"
        mount -t tmpfs -o size=40m tmpfs "$TARGET"
        restore & run=$!
        until test -e "$INSIDE/data/db/000001.sst"; do sleep 0.05; done
        dd if=/dev/zero of="$TARGET/lost+found" bs=1M count=60 2>/dev/null || true
        wait $run && found=0 || found=$?
        test $found -eq 14
        is_there "$INSIDE/data"
        rm "$TARGET/lost+found"
        restore
        diff -r "$DATA" "$TARGET"
        is_gone "$INSIDE"
    "#;
    run(&world, &pin, &slow.url, script);
}

/// A parent directory that this user must not write to, and a target in it that it may.
#[test]
fn below_a_directory_of_somebody_else_the_target_itself_is_enough() {
    let (world, pin) = published();
    let parent = world.path("theirs");
    let target = parent.join("db");
    fs::create_dir_all(&target).unwrap();
    let mut command = world.operator().args(["restore", "demo/generic", "--trust", &pin, "--from"]).arg(world.store());
    command = command.arg("--to").arg(&target);
    if rustix::process::geteuid().is_root() {
        // Root writes everywhere: be somebody else, who may pass through the folder of the test.
        for path in [world.path(""), parent.clone()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(world.path("operator-state")).unwrap();
        for path in [&target, &world.path("operator-state")] {
            std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
        }
        command = command.below("setpriv", &["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    } else {
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let output = command.output();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    tree::assert_same(&world.path("data"), &target);
    assert!(!target.join(".qsync-partial").exists() && !parent.join(".db.qsync-partial").exists());
}

// OP-05
#[test]
fn a_database_that_this_user_cannot_move_away_is_refused_before_the_download() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can make files of two users: NOT tested");
        return;
    }
    let (world, pin) = published();
    let (parent, target) = (world.path("ours"), world.path("ours/db"));
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("CURRENT"), "old").unwrap();
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(world.path("operator-state")).unwrap();
    for path in [&parent, &world.path("operator-state")] {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    }
    let command = world.operator().args(["restore", "demo/generic", "--trust", &pin, "--replace", "--from"]).arg(world.store());
    let command = command.arg("--to").arg(&target).below("setpriv", &["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let output = command.output();
    assert_eq!(output.status.code(), Some(15), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot be moved out of the way"), "{}", text(&output.stderr));
    assert!(target.join("CURRENT").exists() && !parent.join(".db.qsync-partial").exists());
}

#[test]
fn a_dry_run_leaves_a_partial_restore_as_it_is() {
    let (world, pin) = published();
    let chunk = world.chunks().pop().unwrap();
    fs::rename(&chunk, world.path("aside")).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::remove_file(world.staging().join("format")).unwrap();
    let (before, lock) = (tree::snapshot(&world.staging()), fs::metadata(world.staging().join("lock")).unwrap().modified().unwrap());
    for flags in [&[][..], &["--latest"], &["--discard"]] {
        assert_eq!(world.restore_command(&pin).arg("--dry-run").args(flags).summary()["outcome"], "dry-run");
    }
    assert_eq!(tree::snapshot(&world.staging()), before);
    assert_eq!(fs::metadata(world.staging().join("lock")).unwrap().modified().unwrap(), lock);
}

#[test]
fn a_database_that_is_kept_twice_lies_beside_the_new_one_twice() {
    let (world, pin) = published();
    world.restore_command(&pin).summary();
    let mut kept = Vec::new();
    for height in [2, 3] {
        kept.push(tree::snapshot(&world.target()));
        tree::write(&world.path(&format!("data/db/{height}.sst")), 100);
        world.publish(&world.path("data"), height);
        assert_eq!(world.restore_command(&pin).args(["--replace", "--keep-old"]).summary()["outcome"], "restored");
        assert_eq!(world.restore_command(&pin).args(["--replace", "--keep-old"]).summary()["outcome"], "already-restored");
    }
    tree::assert_same(&world.path("data"), &world.target());
    let beside = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().path());
    let old: Vec<_> = beside.filter(|path| path.to_string_lossy().contains(".qsync-old-")).map(|path| tree::snapshot(&path)).collect();
    assert_eq!(old.len(), 2);
    assert!(kept.iter().all(|kept| old.contains(kept)));
}

//! Machines that are short of something: memory, processors, file handles, inodes; and disks that take less than they are given.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use crate::support::{
    World,
    command::text,
    evil::{Answer, EvilMirror},
    tree,
};

/// A published snapshot of some dozen chunks, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    fs::create_dir_all(world.path("data/db")).unwrap();
    tree::write(&world.path("data/db/000001.sst"), 20 * tree::CHUNK);
    tree::write(&world.path("data/db/000002.sst"), 4 * tree::CHUNK + 9);
    fs::write(world.path("data/CURRENT"), "1").unwrap();
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

/// Whether namespaces with mounts can be made here; says so in words where not.
fn can_mount() -> bool {
    let works = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("unshare -Urm with a mount is not possible here: NOT tested");
    }
    works
}

// ST-14
#[test]
fn a_gibibyte_of_addresses_one_core_and_sixty_four_handles_are_enough() {
    let small = |command: crate::support::command::Qsync| {
        command.below("sh", &["-c", "ulimit -v 1048576 && ulimit -n 64 && exec taskset -c 0 \"$@\"", "sh"]).summary()
    };
    let (world, pin) = published();
    tree::write(&world.path("data/db/000003.sst"), 30 * tree::CHUNK);
    small(world.publish_command(&world.path("data"), 2));
    small(world.restore_command(&pin));
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(small(world.operator().arg("verify").arg(world.target()))["defects"], 0);
}

// ST-13
#[test]
fn inodes_that_somebody_takes_meanwhile_end_the_run_and_the_next_goes_on() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    fs::create_dir(world.target()).unwrap();
    let pause = Duration::from_millis(500);
    let slow = EvilMirror::start(world.store(), move |key| if key.starts_with("chunks/") { Answer::After(pause) } else { Answer::Whole });
    let script = r#"
        mount -t tmpfs -o size=80m,nr_inodes=80 tmpfs "$TARGET"
        "$@" & run=$!
        until test -e "$TARGET/.qsync-partial/data/db/000002.sst"; do sleep 0.05; done
        mkdir "$TARGET/lost+found"
        i=0; while touch "$TARGET/lost+found/$i" 2>/dev/null; do i=$((i + 1)); done
        wait $run && ended=0 || ended=$?
        test $ended -eq 14 || { echo "exit $ended"; exit 99; }
        rm "$TARGET"/lost+found/*
        "$@" && diff -r -x lost+found "$DATA" "$TARGET" && test ! -e "$TARGET/.qsync-partial"
    "#;
    let command = world.restore_from(&slow.url, &pin).env("TARGET", world.target()).env("DATA", world.path("data"));
    let output = command.below("unshare", &["-Urm", "sh", "-uc", script, "sh"]).output();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stderr).contains("No space left on device"), "{}", text(&output.stderr));
}

// ST-13, PU-03
#[test]
fn a_store_without_inodes_shows_nothing_and_is_completed_when_there_are_some() {
    if !can_mount() {
        return;
    }
    let (world, pin) = published();
    let store = world.path("few");
    fs::create_dir(&store).unwrap();
    let publish = || world.provider().args(["publish", "demo/generic"]).arg(world.path("data")).arg("--to").arg(&store);
    let script = r#"
        mount -t tmpfs -o size=80m,nr_inodes=30 tmpfs "$FEW"
        "$@" && ended=0 || ended=$?
        test $ended -eq 14 || { echo "exit $ended"; exit 99; }
        test ! -e "$FEW/heads/demo"
        mount -o remount,nr_inodes=1000 "$FEW"
        "$@" && exec "$QSYNC" list --trust "$PIN" --from "$FEW"
    "#;
    let command = publish().env("FEW", &store).env("PIN", &pin).env("QSYNC", env!("CARGO_BIN_EXE_qsync"));
    let output = command.below("unshare", &["-Urm", "sh", "-uc", script, "sh"]).output();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("demo/generic"), "{}", text(&output.stdout));
}

/// A library that makes every write of more than a few bytes a short one, and leaves a file that says so.
const SHORT_WRITES: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef ssize_t (*write_fn)(int, const void *, size_t);
static size_t shorter(size_t n) {
    if (n < 32) return n;
    int seen = open(getenv("SHORT_WRITES_SEEN"), O_CREAT | O_WRONLY, 0600);
    if (seen >= 0) close(seen);
    return n / 3;
}
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    return ((pwrite_fn)dlsym(RTLD_NEXT, "pwrite64"))(fd, from, shorter(n), at);
}
ssize_t write(int fd, const void *from, size_t n) {
    return ((write_fn)dlsym(RTLD_NEXT, "write"))(fd, from, shorter(n));
}
"#;

/// Compiles it; `None`, in words, where there is no compiler.
fn short_writes(world: &World) -> Option<PathBuf> {
    let (source, library) = (world.path("short.c"), world.path("short.so"));
    fs::write(&source, SHORT_WRITES).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    if compiled.is_ok_and(|output| output.status.success()) {
        return Some(library);
    }
    eprintln!("there is no C compiler here: NOT tested");
    None
}

// ST-04
#[test]
fn when_no_write_takes_all_it_is_given_everything_is_written_nevertheless() {
    let (world, pin) = published();
    let Some(library) = short_writes(&world) else { return };
    tree::write(&world.path("data/db/000003.sst"), 3 * tree::CHUNK + 5);
    let (on_publish, on_restore) = (world.path("seen-1"), world.path("seen-2"));
    world.publish_command(&world.path("data"), 2).env("LD_PRELOAD", &library).env("SHORT_WRITES_SEEN", &on_publish).summary();
    world.restore_command(&pin).env("LD_PRELOAD", &library).env("SHORT_WRITES_SEEN", &on_restore).summary();
    assert!(on_publish.exists() && on_restore.exists(), "no write was short");
    tree::assert_same(&world.path("data"), &world.target());
}

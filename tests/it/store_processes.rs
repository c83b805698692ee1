//! One store and many processes: writers beside each other, writers that are killed, readers meanwhile.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{CHANNEL, World, tree};

#[test]
fn many_processes_publish_many_channels_into_two_stores_at_once() {
    let world = World::new();
    let pin = world.init();
    // The second store is new: all of them want to put the roots into it.
    let publish = |n: u64| {
        let data = world.path(&format!("data-{n}"));
        fs::create_dir(&data).unwrap();
        tree::write(&data.join("same-everywhere"), 3 << 20);
        tree::write(&data.join(format!("own-{n}")), (1 << 20) + n);
        let command = world.provider().args(["publish", &format!("demo/p{n}")]).arg(data);
        command.arg("--to").arg(world.store()).arg("--to").arg(world.path("second")).spawn()
    };
    let runs: Vec<_> = (0..8).map(publish).collect();
    for run in runs {
        let ended = run.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    for store in [world.store(), world.path("second")] {
        let listed = world.operator().args(["list", "--trust", &pin, "--from"]).arg(&store).summary();
        assert_eq!(listed["snapshots"], 8);
        for n in 0..8 {
            let exported = world.operator().args(["export", &format!("demo/p{n}"), "--trust", &pin, "--from"]).arg(&store).output();
            assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        }
        let left: Vec<_> = fs::read_dir(store.join(".qsync-staging")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"], "every writer cleans up");
    }
}

#[test]
fn a_restore_that_reads_while_the_store_is_published_to_is_not_disturbed() {
    let world = World::new();
    let data = world.path("data");
    tree::make_awkward(&data);
    let pin = world.init();
    world.publish(&data, 1);
    let expected = tree::snapshot(&data);
    let mut restore = world.restore_command(&pin).spawn_quietly();
    for height in 2..5 {
        tree::write(&data.join(format!("more-{height}")), 2 << 20);
        world.publish(&data, height);
    }
    assert!(restore.wait().unwrap().success());
    // It keeps the snapshot that it began with; a slow start may have found a newer one, whole.
    assert!(tree::snapshot(&world.target()).len() >= expected.len());
    world.operator().arg("verify").arg(world.target()).summary();
}

// PU-04, ST-06
#[test]
fn a_publish_killed_at_any_system_call_that_matters_shows_nothing_half() {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    tree::write(&data.join("many-chunks"), 6 << 20);
    tree::write(&data.join("one"), 10);
    let pin = world.init();
    world.publish(&data, 1);
    if !strace_works() {
        eprintln!("skipped: strace cannot trace here");
        return;
    }
    let (mut height, mut killed) = (1, 0);
    // Counted for each thread, so that no moment is the same in two runs.
    for (call, moments) in [("pwrite64", &[1, 2][..]), ("renameat2", &[1, 3, 6]), ("fsync", &[1, 3]), ("syncfs", &[1, 2])] {
        for moment in moments {
            height += 1;
            fs::write(data.join("one"), format!("height {height}")).unwrap();
            tree::write(&data.join(format!("new-{height}")), 3 << 20);
            let inject = format!("inject={call}:signal=KILL:when={moment}");
            let ended = world.publish_command(&data, height).inside(strace(&inject)).output().unwrap();
            killed += usize::from(ended.status.signal() == Some(9) || ended.status.code() == Some(137));
            let shown = world.operator().args(["show", CHANNEL, "--trust", &pin, "--from"]).arg(world.store()).summary();
            assert!([height - 1, height].map(Some).contains(&shown["height"].as_u64()), "{call} {moment}: {shown}");
            let exported = world.operator().args(["export", CHANNEL, "--trust", &pin, "--from"]).arg(world.store()).output();
            assert!(exported.status.success(), "{call} {moment}: {}", String::from_utf8_lossy(&exported.stderr));
            world.publish(&data, height);
        }
    }
    assert!(killed >= 6, "only {killed} runs were killed");
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

// ST-03
#[test]
fn a_disk_that_fails_any_sync_or_rename_of_a_publish_shows_nothing() {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    tree::write(&data.join("many-chunks"), 6 << 20);
    let pin = world.init();
    world.publish(&data, 1);
    if !strace_works() {
        eprintln!("skipped: strace cannot trace here");
        return;
    }
    let head = || fs::read(world.store().join("heads/demo/generic.json")).unwrap();
    // So many chunks that every thread that writes fails at its second or third one.
    tree::write(&data.join("more"), 40 << 20);
    let staging = world.store().join(".qsync-staging");
    for (call, error) in [("syncfs", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("renameat2", "EIO")] {
        let before = head();
        let first = if call == "syncfs" { 1 } else { 3 };
        let inject = format!("inject={call}:error={error}:when={first}+");
        let ended = world.publish_command(&data, 2).inside(strace(&inject)).output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        let expected = if error == "ENOSPC" { 14 } else { 1 };
        assert_eq!(ended.status.code(), Some(expected), "{call}: {text}");
        assert!(text.contains("error: ") && !text.contains("panicked"), "{text}");
        assert_eq!(head(), before, "{call}: the head is the old one");
        assert!(fs::read_dir(&staging).unwrap().count() <= 2);
    }
    world.publish(&data, 2);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

// CR-03
#[test]
fn an_interrupted_publish_ends_soon_and_shows_nothing() {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    for n in 0..8 {
        tree::write(&data.join(format!("file-{n}")), 64 << 20);
    }
    let pin = world.init();
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let child = world.publish_command(&data, 1).spawn();
        wait_for_a_writer(&world.store());
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(exit), "{text}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(text.contains("resume with the same command"), "{text}");
        assert!(!world.store().join("heads").exists());
    }
    world.publish(&data, 1);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

fn wait_for_a_writer(store: &Path) {
    let is_writing = || tree::files(&store.join(".qsync-staging")).len() > 3;
    let begin = Instant::now();
    while !is_writing() {
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing is written");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn strace(inject: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", inject]);
    strace
}

fn strace_works() -> bool {
    strace("trace=none").arg("true").status().is_ok_and(|status| status.success())
}

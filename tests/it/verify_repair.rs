//! `verify --repair`, `verify DIR CHANNEL`, and `verify --drop-cache`.

use std::{
    fs::{self, File},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    evil::{Answer, EvilMirror},
    trace::can_trace,
    tree,
};

/// A restored database of a few files, one of them with a list.
fn restored() -> (World, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db/empty")).unwrap();
    tree::write(&data.join("db/000001.sst"), 6 * tree::CHUNK + 7);
    tree::write(&data.join("db/000002.sst"), 2 * tree::CHUNK);
    tree::write(&data.join("db/000003.sst"), 3 * tree::CHUNK);
    tree::make_sparse(&data.join("db/sparse"), 6 * tree::CHUNK, &[tree::CHUNK + 5]);
    fs::write(data.join("CURRENT"), "000003").unwrap();
    let pin = world.init();
    world.publish(&data, 1);
    world.restore_command(&pin).summary();
    (world, pin)
}

fn verify(world: &World) -> Qsync {
    world.operator().arg("verify").arg(world.target())
}

fn repair(world: &World) -> Qsync {
    verify(world).args(["--repair", "--from"]).arg(world.store())
}

fn set_len(world: &World, file: &str, bytes: u64) {
    File::options().write(true).open(world.target().join(file)).unwrap().set_len(bytes).unwrap();
}

/// One flipped bit, one file too short, one too long, one gone, and a directory gone.
fn damage(world: &World) {
    let target = world.target();
    tree::flip(&target.join("db/000001.sst"), 4 * tree::CHUNK + 1);
    set_len(world, "db/000002.sst", tree::CHUNK + 10);
    set_len(world, "db/000003.sst", 3 * tree::CHUNK + 10);
    fs::remove_file(target.join("CURRENT")).unwrap();
    fs::remove_dir(target.join("db/empty")).unwrap();
}

fn of_type<'a>(lines: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == kind)
}

// ST-05
#[test]
fn what_is_flipped_cut_missing_or_too_long_is_repaired_and_nothing_else_is_fetched() {
    let (world, _) = restored();
    damage(&world);
    verify(&world).fails_with(13);
    let of_three: u64 =
        [("db/000001.sst", 4), ("db/000002.sst", 1), ("CURRENT", 0)].iter().map(|(file, chunk)| frame(&world, file, *chunk)).sum();
    // No head is needed for it: what was restored is known.
    fs::remove_dir_all(world.store().join("heads")).unwrap();
    let lines = repair(&world).json_lines();
    let summary = lines.last().unwrap();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!((&summary["defects"], &summary["repaired_chunks"]), (&0.into(), &3.into()), "{summary}");
    assert_eq!(summary["fetched_bytes"], of_three, "{summary}");
    let repaired: Vec<_> =
        of_type(&lines, "repaired").map(|line| (line["path"].as_str().unwrap(), line["defect"].as_str().unwrap())).collect();
    assert_eq!(
        repaired,
        [
            ("CURRENT", "missing"),
            ("db/000001.sst", "chunk"),
            ("db/000002.sst", "length"),
            ("db/000002.sst", "chunk"),
            ("db/000003.sst", "length"),
            ("db/empty", "missing")
        ]
    );
    assert_eq!(summary["repaired"], 6);
    let again = verify(&world).summary();
    assert_eq!((&again["defects"], &again["repaired"], &again["good_chunks"]), (&0.into(), &0.into(), &summary["good_chunks"]));
    assert!(!world.target().join(".qsync-partial").exists());
}

/// Stored length of a chunk of the published data.
fn frame(world: &World, file: &str, chunk: u64) -> u64 {
    let shown = world.operator().args(["show", CHANNEL, "--chunks", "--from"]).arg(world.store()).json_lines();
    let line = shown.iter().find(|line| line["path"] == file && line["chunk"] == chunk).unwrap();
    line["frame_bytes"].as_u64().unwrap()
}

/// Flips a bit as a disk does that decays: neither the length nor the time of the file tells.
fn rot(world: &World, file: &str, offset: u64) {
    let path = world.target().join(file);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    tree::flip(&path, offset);
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
}

// ST-05
#[test]
fn what_verify_found_wrong_is_believed_by_no_later_restore() {
    let (world, pin) = restored();
    rot(&world, "db/000001.sst", 4 * tree::CHUNK + 1);
    assert_eq!(world.restore_command(&pin).arg("--replace").summary()["outcome"], "already-restored", "its time tells nothing");
    let error = verify(&world).json_error(13);
    let hints: Vec<&str> = error["hints"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap()).collect();
    assert!(hints[0].contains("--repair --from") && hints[1].contains("--replace --rehash"), "{hints:?}");
    assert_eq!(world.restore_command(&pin).arg("--replace").summary()["outcome"], "restored");
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(verify(&world).summary()["defects"], 0);
}

// ST-05
#[test]
fn what_verify_found_wrong_against_a_named_snapshot_is_not_linked_into_the_next_one() {
    let (world, pin) = restored();
    rot(&world, "db/000001.sst", 4 * tree::CHUNK + 1);
    verify(&world).arg(CHANNEL).args(["--trust", &pin, "--from"]).arg(world.store()).fails_with(13);
    fs::write(world.path("data/CURRENT"), "000004").unwrap();
    world.publish(&world.path("data"), 2);
    world.restore_command(&pin).arg("--replace").summary();
    tree::assert_same(&world.path("data"), &world.target());
}

// ST-05, ST-09
#[test]
fn what_is_wrong_is_told_where_the_record_cannot_be_taken_back() {
    let (world, _) = restored();
    rot(&world, "db/000001.sst", 0);
    let record = fs::read_dir(world.path("operator-state/targets")).unwrap().next().unwrap().unwrap().path();
    let generation = fs::read_dir(&record).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    // Nobody, root included, can put a file in the place of a directory.
    fs::remove_file(generation.join("stats")).unwrap();
    fs::create_dir(generation.join("stats")).unwrap();
    let stderr = verify(&world).fails_with(13);
    assert!(stderr.contains("still vouches") && stderr.contains("does not match its snapshot in 1 places"), "{stderr}");
}

// MF-16
#[test]
fn what_is_not_in_the_snapshot_is_told_and_left() {
    let (world, _) = restored();
    fs::write(world.target().join("db/stranger"), "precious").unwrap();
    tree::flip(&world.target().join("db/000001.sst"), 0);
    let output = repair(&world).arg("--json").output();
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), &lines.last().unwrap()["code"]), (Some(13), &"corrupt".into()));
    assert_eq!(of_type(&lines, "defect").map(|line| &line["path"]).collect::<Vec<_>>(), ["db/stranger"]);
    let result = of_type(&lines, "result").next().unwrap();
    assert_eq!((&result["defects"], &result["repaired"]), (&1.into(), &1.into()));
    assert_eq!(fs::read_to_string(world.target().join("db/stranger")).unwrap(), "precious");
    fs::remove_file(world.target().join("db/stranger")).unwrap();
    assert_eq!(verify(&world).summary()["defects"], 0);
}

#[test]
fn a_repair_needs_a_source_and_a_directory_that_nobody_uses() {
    let (world, _) = restored();
    tree::flip(&world.target().join("db/000001.sst"), 0);
    let before = tree::snapshot(&world.target());
    assert_eq!(verify(&world).arg("--repair").json_error(2)["code"], "usage");
    let held = File::open(world.target().join("CURRENT")).unwrap();
    assert_eq!(repair(&world).json_error(15)["code"], "target-in-use");
    assert_eq!(tree::snapshot(&world.target()), before);
    drop(held);
    assert_eq!(repair(&world).summary()["repaired"], 1);
}

#[test]
fn a_repair_that_is_interrupted_says_so_and_goes_on() {
    let (world, pin) = restored();
    damage(&world);
    let whole = world.path("elsewhere");
    crate::support::database::copy_tree(&world.store(), &whole);
    world.chunks().iter().for_each(|chunk| fs::remove_file(chunk).unwrap());
    repair(&world).fails_with(13);
    let error = verify(&world).json_error(13);
    assert!(error["code"] == "incomplete" && error["hints"][0].as_str().unwrap().contains("--repair --from"), "{error}");
    assert_eq!(world.restore_command(&pin).json_error(15)["code"], "target-incomplete");
    assert_eq!(repair(&world).arg("--from").arg(&whole).summary()["defects"], 0);
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(verify(&world).summary()["defects"], 0);

    // A restore in place completes it too.
    damage(&world);
    repair(&world).fails_with(13);
    let finish = world.restore_from(whole.to_str().unwrap(), &pin).args(["--in-place", "--yes"]);
    assert_eq!(finish.summary()["outcome"], "restored");
    tree::assert_same(&world.path("data"), &world.target());
}

// P12
#[test]
fn a_directory_of_which_nothing_is_known_is_verified_and_repaired_against_a_snapshot_that_is_named() {
    let (world, pin) = restored();
    fs::remove_dir_all(world.path("operator-state")).unwrap();
    let error = verify(&world).json_error(10);
    assert!(error["hints"].to_string().contains("CHANNEL --from"), "{error}");
    assert_eq!(verify(&world).arg(CHANNEL).json_error(2)["code"], "usage");
    let against = |when: &str| verify(&world).arg(format!("{CHANNEL}{when}")).args(["--trust", &pin, "--from"]).arg(world.store());
    assert_eq!(against("").summary()["defects"], 0);
    assert_eq!(against("@7").json_error(10)["code"], "no-such-snapshot");
    tree::flip(&world.target().join("db/000001.sst"), 0);
    assert_eq!(against("@1").json_error(13)["code"], "corrupt");
    assert_eq!(against("@1").arg("--repair").summary()["repaired"], 1);
    tree::assert_same(&world.path("data"), &world.target());
    // It is known from now on.
    assert_eq!(verify(&world).summary()["defects"], 0);
}

// CR-03
#[test]
fn a_verify_or_repair_that_waits_for_a_list_ends_soon_when_it_is_told_to() {
    let (world, pin) = restored();
    tree::flip(&world.target().join("db/000001.sst"), 0);
    // The lists are asked for once to verify, and once more to repair.
    for (answered, flags) in [(0, &[][..]), (1, &["--repair"])] {
        let silent_from =
            move |key: &str, before: usize| if key.starts_with("lists/") && before >= answered { Answer::Silence } else { Answer::Whole };
        let web = EvilMirror::scripted(world.store(), silent_from);
        let child = verify(&world).arg(CHANNEL).args(["--trust", &pin, "--from", &web.url]).args(flags).spawn();
        let begun = Instant::now();
        while !has_repeated(&web.asked(), answered) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", web.asked());
            thread::sleep(Duration::from_millis(20));
        }
        let asked = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{flags:?}: {:?}", asked.elapsed());
        assert_eq!(ended.status.code(), Some(143), "{}", text(&ended.stderr));
    }
}

/// Whether a list was asked for more than so many times.
fn has_repeated(asked: &[String], times: usize) -> bool {
    asked.iter().any(|key| key.contains("lists/") && asked.iter().filter(|other| *other == key).count() > times)
}

// MF-17
#[test]
fn a_key_that_the_node_made_since_is_not_repaired_away() {
    let world = World::new();
    fs::create_dir_all(world.path("data")).unwrap();
    fs::write(world.path("data/nodekey"), "the publisher's").unwrap();
    let pin = world.init();
    world.publish_command(&world.path("data"), 1).args(["--allow-secret", "nodekey"]).summary();
    world.restore_command(&pin).summary();
    fs::write(world.target().join("nodekey"), "our own").unwrap();
    assert_eq!(repair(&world).json_error(15)["code"], "target-identity");
    assert_eq!(fs::read_to_string(world.target().join("nodekey")).unwrap(), "our own");
}

// ST-05
#[test]
fn the_page_cache_is_dropped_on_request() {
    if !can_trace() {
        return;
    }
    let (world, _) = restored();
    for (flag, files) in [(None, 0), (Some("--drop-cache"), 5)] {
        let log = world.path("calls");
        let arguments = ["-f", "-qq", "-e", "trace=fadvise64", "-o", log.to_str().unwrap()];
        let output = verify(&world).args(flag).below("strace", &arguments).output();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let dropped = fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("POSIX_FADV_DONTNEED")).count();
        assert_eq!(dropped, files, "{flag:?}");
    }
}

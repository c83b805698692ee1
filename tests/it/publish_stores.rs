//! Several stores and several publishers: what fails is named, what can go on goes on, and of two publishers one wins.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, in_namespace},
    database::copy_tree,
    tree,
};

const HEAD: &str = "heads/demo/generic.json";

fn prepared() -> (World, PathBuf, String) {
    let world = World::new();
    let data = world.path("data");
    tree::make_awkward(&data);
    let pin = world.init();
    (world, data, pin)
}

fn publish_to_two(world: &World, data: &Path, height: u64) -> Qsync {
    world.publish_command(data, height).arg("--to").arg(world.path("second"))
}

fn last_line(output: &std::process::Output) -> Value {
    serde_json::from_slice(output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap()
}

fn seq(store: &Path, world: &World, pin: &str) -> u64 {
    world.operator().args(["head", "show", CHANNEL, "--trust", pin, "--from"]).arg(store).summary()["seq"].as_u64().unwrap()
}

#[test]
fn a_dry_run_makes_no_store() {
    let (world, data, _) = prepared();
    let would = publish_to_two(&world, &data, 1).arg("--dry-run").summary();
    assert_eq!(would["stores"].as_array().unwrap().len(), 2);
    assert!(!world.path("second").exists());
}

#[test]
fn a_store_added_later_gets_everything_and_restores_alone() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    let both = publish_to_two(&world, &data, 1).summary();
    assert_eq!((&both["unchanged"], &both["snapshot"]), (&true.into(), &first["snapshot"]));
    assert_eq!((&both["stores"][0]["objects"], both["stores"][1]["objects"].as_u64() > Some(10)), (&0.into(), true));
    world.restore_from(world.path("second").to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_store_added_later_gets_the_frames_that_the_first_has_whatever_the_level() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    let both = publish_to_two(&world, &data, 1).args(["--level", "19"]).summary();
    assert_eq!((&both["unchanged"], &both["snapshot"]), (&true.into(), &first["snapshot"]));
    world.restore_from(world.path("second").to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_frame_that_the_first_store_lost_is_made_again() {
    let (world, data, pin) = prepared();
    world.publish(&data, 1);
    for chunk in world.chunks() {
        fs::remove_file(chunk).unwrap();
    }
    publish_to_two(&world, &data, 1).args(["--level", "19"]).summary();
    world.restore_from(world.path("second").to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn another_chunk_size_is_another_snapshot_with_the_same_files() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    let second = world.publish_command(&data, 1).args(["--chunk-size", "64KiB"]).summary();
    assert_ne!(first["snapshot"], second["snapshot"]);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn nothing_older_stays_in_the_head_when_nothing_is_to_be_kept() {
    let (world, data, pin) = prepared();
    world.publish(&data, 1);
    fs::write(data.join("new"), "new").unwrap();
    world.publish_command(&data, 2).args(["--keep-last", "0"]).summary();
    let listed = world.operator().args(["list", "--trust", &pin, "--from"]).arg(world.store()).summary();
    assert_eq!(listed["snapshots"], 1);
}

#[test]
fn other_data_at_the_same_height_is_published_with_a_warning() {
    let (world, data, _) = prepared();
    world.publish(&data, 7);
    let again = world.publish_command(&data, 7).output();
    assert!(!String::from_utf8_lossy(&again.stderr).contains("height 7"), "{again:?}");
    fs::write(data.join("new"), "new").unwrap();
    let other = world.publish_command(&data, 7).output();
    assert!(other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("has a snapshot of height 7 already"), "{other:?}");
}

// GC-12, OP-09
#[test]
fn of_two_machines_with_one_channel_one_wins_and_the_other_runs_again() {
    let (world, data, pin) = prepared();
    let machine = |name: &str| {
        let state = world.path(name);
        assert!(Command::new("cp").arg("-a").arg(world.path("provider-state")).arg(&state).status().unwrap().success());
        let copy = world.path(&format!("{name}-data"));
        fs::create_dir(&copy).unwrap();
        tree::write(&copy.join(name), 24 << 20);
        let run = Qsync::with_state(state).args(["publish", CHANNEL]).arg(&copy).arg("--to").arg(world.store());
        run.arg("--json")
    };
    world.publish(&data, 1);
    let runs = [machine("one").spawn(), machine("two").spawn()];
    let ended = runs.map(|run| run.wait_with_output().unwrap());
    let codes = ended.each_ref().map(|ended| ended.status.code().unwrap());
    // Nearly always they overlap; one after the other is right too.
    assert!([[0, 11], [11, 0], [0, 0]].contains(&codes), "{ended:?}");
    for lost in ended.iter().filter(|ended| ended.status.code() == Some(11)) {
        assert_eq!(last_line(lost)["code"], "lost-race");
    }
    let before = seq(&world.store(), &world, &pin);
    fs::write(data.join("new"), "new").unwrap();
    world.publish(&data, 1);
    assert_eq!(seq(&world.store(), &world, &pin), before + 1);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn one_machine_publishes_a_channel_once_at_a_time() {
    let (world, data, _) = prepared();
    let large = world.path("large");
    fs::create_dir(&large).unwrap();
    tree::write(&large.join("file"), 256 << 20);
    let mut first = world.publish_command(&large, 1).spawn();
    // The lock is taken before anything reaches the store.
    while !world.store().join(".qsync-staging").read_dir().is_ok_and(|mut names| names.any(|name| name.unwrap().path().is_dir())) {
        assert!(first.try_wait().unwrap().is_none(), "it ended before the test could look");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let same_channel = world.publish_command(&data, 1).json_error(11);
    assert_eq!(same_channel["code"], "locked");
    let same_data = world.provider().args(["publish", "demo/other"]).arg(&large).arg("--to").arg(world.store()).json_error(11);
    assert_eq!(same_data["code"], "locked");
    assert!(same_data["message"].as_str().unwrap().contains(&first.id().to_string()), "{same_data}");
    let refresh = world.provider().args(["head", "refresh", CHANNEL, "--to"]).arg(world.store()).json_error(11);
    assert_eq!(refresh["code"], "locked");
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_store_that_may_not_be_written_is_said_to_be_so() {
    let (world, data, _) = prepared();
    let read_only = format!("mount --bind {0} {0} && mount -o remount,ro,bind {0}", world.store().display());
    let Some(mut command) = in_namespace(&read_only, &world.publish_command(&data, 1)) else { return };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(12), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("read-only") && text.contains("hint: "), "{text}");
    assert!(!world.store().join(HEAD).exists());
}

// PU-03
#[test]
fn a_full_store_shows_nothing_and_is_completed_when_there_is_room() {
    let (world, data, pin) = prepared();
    tree::write(&data.join("large"), 40 << 20);
    let small_disk = format!("mount -t tmpfs -o size=16m t {}", world.path("full").display());
    fs::create_dir(world.path("full")).unwrap();
    let to_full = |height: u64| world.publish_command(&data, height).arg("--to").arg(world.path("full"));
    let Some(mut both) = in_namespace(&small_disk, &to_full(1).arg("--json")) else { return };
    let both = both.output().unwrap();
    assert_eq!(both.status.code(), Some(3), "{both:?}");
    assert!(last_line(&both)["message"].as_str().unwrap().contains("disk is full"), "{both:?}");
    assert_eq!(seq(&world.store(), &world, &pin), 1);

    let alone = world.provider().args(["publish", "demo/other"]).arg(&data).arg("--to").arg(world.path("full"));
    let output = in_namespace(&small_disk, &alone).unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(14), "{output:?}");

    // With room again the store that failed is completed, and both name the same head.
    to_full(1).summary();
    let head = |store: PathBuf| fs::read(store.join(HEAD)).unwrap();
    assert_eq!(head(world.store()), head(world.path("full")));
    world.restore_from(world.path("full").to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

// PU-04, ST-03
#[test]
fn a_store_whose_disk_fails_midway_is_left_out_and_completed_by_the_next_run() {
    let (world, data, pin) = prepared();
    publish_to_two(&world, &data, 1).summary();
    fs::write(data.join("new"), "new").unwrap();
    // The second store's chunks cannot get their names any more.
    let second = world.path("second/chunks");
    let forbid = format!("mount --bind {0} {0} && mount -o remount,ro,bind {0}", second.display());
    let Some(mut command) = in_namespace(&forbid, &publish_to_two(&world, &data, 2).arg("--json")) else { return };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = lines.iter().find(|line| line["type"] == "result").unwrap();
    assert_eq!((&result["stores"][0]["error"], result["stores"][1]["error"].is_string()), (&Value::Null, true));
    assert_eq!((seq(&world.store(), &world, &pin), fs::read(world.path("second").join(HEAD)).unwrap().is_empty()), (2, false));
    publish_to_two(&world, &data, 2).summary();
    world.restore_from(world.path("second").to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_refresh_goes_on_without_a_store_that_is_gone() {
    let (world, data, _) = prepared();
    publish_to_two(&world, &data, 1).summary();
    let refresh = || world.provider().args(["head", "refresh", CHANNEL, "--to"]).arg(world.path("second")).arg("--to").arg(world.store());
    assert_eq!(refresh().summary()["seq"], 2);
    fs::remove_dir_all(world.path("second")).unwrap();
    let partial = refresh().json_error(3);
    assert!(partial["message"].as_str().unwrap().contains("1 of 2 stores failed"), "{partial}");
    assert_eq!(publish_to_two(&world, &data, 1).summary()["seq"], 4);
}

#[test]
fn a_snapshot_that_nobody_renews_does_not_look_new_for_ever() {
    let (world, data, _) = prepared();
    world.publish(&data, 1);
    let refresh = |more: &[&str]| world.provider().args(["head", "refresh", CHANNEL, "--to"]).arg(world.store()).args(more);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let refused = refresh(&["--refresh-max-age", "1s"]).json_error(18);
    assert_eq!(refused["code"], "snapshot-too-old");
    assert!(refused["message"].as_str().unwrap().ends_with("after 1s it shall not look new"), "{refused}");
    assert_eq!(refresh(&[]).summary()["seq"], 2);
}

#[test]
fn a_refresh_names_the_store_that_lacks_the_snapshot_and_leaves_it_alone() {
    let (world, data, pin) = prepared();
    publish_to_two(&world, &data, 1).summary();
    fs::write(data.join("new"), "new").unwrap();
    world.publish(&data, 2);
    let before = fs::read(world.path("second").join(HEAD)).unwrap();
    let refresh = world.provider().args(["head", "refresh", CHANNEL, "--to"]).arg(world.path("second")).arg("--to").arg(world.store());
    let partial = refresh.json_error(3);
    assert!(partial["message"].as_str().unwrap().contains("does not have the snapshot"), "{partial}");
    assert!(partial["hints"][0].as_str().unwrap().starts_with("qsync publish"), "{partial}");
    assert_eq!(fs::read(world.path("second").join(HEAD)).unwrap(), before);
    assert_eq!(seq(&world.store(), &world, &pin), 3);
    publish_to_two(&world, &data, 2).summary();
    assert_eq!(seq(&world.path("second"), &world, &pin), 4);
}

#[test]
fn a_store_and_a_state_directory_may_be_links() {
    let (world, data, pin) = prepared();
    for name in ["store", "provider-state"] {
        let there = world.path(name);
        let elsewhere = world.path(&format!("disk-{name}"));
        fs::rename(&there, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &there).unwrap();
    }
    world.publish(&data, 1);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_damaged_manifest_is_put_again_when_the_data_changed() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    let id = first["snapshot"].as_str().unwrap();
    let manifest = tree::files(&world.store()).into_iter().find(|path| path.ends_with(id)).unwrap();
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o644)).unwrap();
    tree::flip(&manifest, 20);
    fs::write(data.join("new"), "new").unwrap();
    let second = world.publish_command(&data, 2).output();
    assert!(second.status.success(), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("cannot be read"), "{second:?}");
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_withdrawn_snapshot_is_offered_no_more_and_the_older_one_is_restored_even_by_who_saw_the_newer() {
    let (world, data, pin) = prepared();
    let good = world.publish(&data, 1);
    let before = world.path("good-data");
    copy_tree(&data, &before);
    fs::write(data.join("new"), "broken").unwrap();
    let bad = world.publish(&data, 2);
    // A client that has seen the bad one.
    world.restore_command(&pin).summary();
    let withdraw = |more: &[&str]| world.provider().args(["head", "withdraw", CHANNEL, "--to"]).arg(world.store()).args(more);
    assert_eq!(withdraw(&[]).json_error(2)["code"], "not-confirmed");
    let done = withdraw(&["--yes"]).summary();
    assert_eq!((&done["seq"], &done["snapshot"]), (&Value::from(3), &good["snapshot"]));
    assert_eq!(done["withdrawn"], Value::from(vec![bad["snapshot"].clone()]));
    world.restore_command(&pin).arg("--replace").arg("--yes").summary();
    tree::assert_same(&before, &world.target());
    let by_id = format!("{CHANNEL}@b3:{}", &bad["snapshot"].as_str().unwrap()[..12]);
    let show = world.operator().args(["show", &by_id, "--trust", &pin, "--from"]).arg(world.store());
    assert_eq!(show.json_error(10)["code"], "no-such-snapshot");
    // There is nothing before it; and what comes next goes on from there.
    assert_eq!(withdraw(&["--yes"]).json_error(10)["code"], "no-such-snapshot");
    assert_eq!(world.publish(&data, 2)["seq"], 4);
}

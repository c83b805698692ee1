//! Bad input to `restore`: a clear error, a stable exit code, and nothing lost.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use crate::support::{World, command::Qsync, database, tree};

#[track_caller]
fn assert_says(stderr: &str, words: &[&str]) {
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
}

#[track_caller]
fn assert_nothing_written(world: &World) {
    assert!(!world.target().exists() && !world.staging().exists());
}

#[test]
fn refuses_an_unknown_repository_and_names_the_flag_that_trusts_it() {
    let (world, pin) = World::published();
    let command = world.operator().args(["restore", "demo/generic", "--from"]).arg(world.store()).arg("--to").arg(world.target());
    assert_says(&command.fails_with(17), &["hint: ", &format!("--trust {pin}")]);
    assert_nothing_written(&world);
}

#[test]
fn refuses_a_wrong_pin() {
    let (world, _) = World::published();
    let wrong = format!("b3:{}", blake3::hash(b"another"));
    assert_says(&world.restore_command(&wrong).fails_with(17), &["hint: "]);
    assert_nothing_written(&world);
}

// HM-09
#[test]
fn refuses_the_head_of_another_channel() {
    let (world, pin) = World::published();
    let other = world.store().join("heads/demo/other.json");
    fs::copy(world.store().join("heads/demo/generic.json"), other).unwrap();
    let command = world.operator().args(["restore", "demo/other", "--trust", &pin, "--from"]).arg(world.store()).arg("--to");
    assert_says(&command.arg(world.target()).fails_with(17), &["demo/generic", "demo/other"]);
    assert_nothing_written(&world);
}

// HM-06, HM-07, HM-10
#[test]
fn tells_expired_rolled_back_and_equivocating_heads_apart() {
    let (world, pin) = World::published();
    let head = world.store().join("heads/demo/generic.json");
    let old = fs::read(&head).unwrap();
    database::copy_tree(&world.path("provider-state"), &world.path("copied-state"));
    world.publish(&world.path("data"), 2);
    let new = fs::read(&head).unwrap();
    world.restore_command(&pin).summary();

    fs::write(&head, &old).unwrap();
    let rolled_back = world.restore_command(&pin).arg("--replace").fails_with(17);
    assert_says(&rolled_back, &["roll", "1", "2"]);

    // A second machine with a copy of the keys signs another head with the same number.
    let second_machine = Qsync::with_state(world.path("copied-state"));
    second_machine.args(["publish", "demo/generic", "--height", "3", "--to"]).arg(world.store()).arg(world.path("data")).summary();
    let equivocating = world.restore_command(&pin).arg("--replace").fails_with(17);
    assert_says(&equivocating, &["equivocat"]);

    fs::write(&head, &new).unwrap();
    let short = ["--head-lifetime", "1s"];
    world.publish_command(&world.path("data"), 4).args(short).summary();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let expired = world.restore_command(&pin).arg("--replace").fails_with(17);
    assert_says(&expired, &["expired"]);
    assert!(rolled_back != equivocating && equivocating != expired);
    tree::assert_same(&world.path("data"), &world.target());
}

// HM-11
#[test]
fn says_that_a_page_is_not_a_head() {
    let (world, pin) = World::published();
    fs::write(world.store().join("heads/demo/generic.json"), "<!doctype html><title>Please log in</title>").unwrap();
    assert_says(&world.restore_command(&pin).fails_with(16), &["not a qsync head"]);
    assert_nothing_written(&world);
}

// HM-18
#[test]
fn refuses_a_manifest_that_does_not_match_its_hash() {
    let (world, pin) = World::published();
    let manifest = tree::files(&world.store().join("manifests")).pop().unwrap();
    tree::flip(&manifest, 20);
    assert_says(&world.restore_command(&pin).fails_with(13), &["manifest"]);
    assert_nothing_written(&world);
}

// HM-01, HM-02, HM-03
#[test]
fn refuses_a_damaged_chunk_and_continues_when_it_is_repaired() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("flipped", |chunk| tree::flip(chunk, 100)),
        ("truncated", |chunk| fs::File::options().write(true).open(chunk).unwrap().set_len(50).unwrap()),
        ("longer", |chunk| fs::File::options().write(true).open(chunk).unwrap().set_len(4 << 20).unwrap()),
    ];
    for (name, damage) in damages {
        let (world, pin) = World::published();
        let chunk = world.chunks().into_iter().max_by_key(|chunk| fs::metadata(chunk).unwrap().len()).unwrap();
        let whole = fs::read(&chunk).unwrap();
        damage(&chunk);
        let store = world.store();
        let stderr = world.restore_command(&pin).fails_with(13);
        assert_says(&stderr, &["chunk ", " of ", store.to_str().unwrap(), "hint: "]);
        assert!(!world.target().exists() && world.staging().exists(), "{name}");
        fs::write(&chunk, &whole).unwrap();
        let finished = world.restore_command(&pin).summary();
        assert_eq!(finished["fetched_bytes"], whole.len() as u64, "{name}: only what was missing: {finished}");
        tree::assert_same(&world.path("data"), &world.target());
    }
}

// NW-06
#[test]
fn refuses_a_snapshot_whose_chunk_no_source_has() {
    let (world, pin) = World::published();
    fs::remove_file(&world.chunks()[0]).unwrap();
    assert_says(&world.restore_command(&pin).fails_with(13), &["no source has", "hint: "]);
    assert!(!world.target().exists());
}

// HM-01
#[test]
fn one_honest_source_is_enough() {
    let (world, pin) = World::published();
    let honest = world.path("honest");
    database::copy_tree(&world.store(), &honest);
    for chunk in world.chunks() {
        tree::flip(&chunk, 4);
    }
    let restored = world.restore_command(&pin).arg("--from").arg(&honest).summary();
    assert!(restored["sources"][0]["strikes"].as_u64().unwrap() >= 1, "{restored}");
    tree::assert_same(&world.path("data"), &world.target());
}

// OP-01, OP-03
#[test]
fn refuses_targets_that_must_not_be_replaced() {
    let (world, pin) = World::published();
    let restore_to = |target: &Path| {
        world.operator().args(["restore", "demo/generic", "--trust", &pin, "--from"]).arg(world.store()).arg("--to").arg(target)
    };
    let home = world.path("home");
    fs::create_dir(&home).unwrap();
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/precious"), "data").unwrap();
    fs::write(world.path("file"), "data").unwrap();
    fs::create_dir_all(world.path("repository/.git")).unwrap();
    restore_to(Path::new("/")).fails_with(15);
    restore_to(&home).env("HOME", &home).fails_with(15);
    assert_says(&restore_to(&world.path("full")).fails_with(15), &["not empty", "--replace"]);
    restore_to(&world.path("file")).fails_with(15);
    restore_to(&world.path("repository")).arg("--replace").fails_with(15);
    symlink("nowhere", world.path("dangling")).unwrap();
    restore_to(&world.path("dangling")).fails_with(15);
    assert_eq!(fs::read_to_string(world.path("full/precious")).unwrap(), "data");
    assert_eq!(fs::read_to_string(world.path("file")).unwrap(), "data");
}

// OP-02
#[test]
fn refuses_a_target_that_a_process_has_open() {
    let (world, pin) = World::published();
    world.restore_command(&pin).summary();
    let _held = fs::File::open(world.target().join("text")).unwrap();
    world.publish(&world.path("data"), 2);
    assert_says(&world.restore_command(&pin).arg("--replace").fails_with(15), &["in use", &std::process::id().to_string()]);
}

#[test]
fn an_empty_directory_is_a_fine_target() {
    let (world, pin) = World::published();
    fs::create_dir(world.target()).unwrap();
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

// ST-09
#[test]
fn refuses_a_state_directory_that_cannot_be_written_before_any_download() {
    let (world, pin) = World::published();
    fs::write(world.path("state-file"), "").unwrap();
    let stderr = world.restore_command(&pin).env("QSYNC_STATE_DIR", world.path("state-file/below")).fails_with(1);
    assert_says(&stderr, &["state", "hint: "]);
    assert_nothing_written(&world);
}

#[test]
fn names_the_nearest_channels_when_one_is_unknown() {
    let (world, pin) = World::published();
    let command = world.operator().args(["restore", "demo/genric", "--trust", &pin, "--from"]).arg(world.store()).arg("--to");
    assert_says(&command.arg(world.target()).fails_with(10), &["demo/generic"]);
    let missing = world.operator().args(["restore", "demo/generic@99", "--trust", &pin, "--from"]).arg(world.store()).arg("--to");
    assert_says(&missing.arg(world.target()).fails_with(10), &["99"]);
    assert_nothing_written(&world);
}

// CR-02
#[test]
fn a_second_restore_into_the_same_target_names_the_first() {
    let (world, pin) = World::published();
    fs::create_dir_all(world.staging()).unwrap();
    fs::set_permissions(world.staging(), fs::Permissions::from_mode(0o700)).unwrap();
    // A source that never answers keeps the first one busy once it has pinned the snapshot.
    fs::remove_dir(world.staging()).unwrap();
    fs::remove_file(&world.chunks()[0]).unwrap();
    world.restore_command(&pin).fails_with(13);
    let held = fs::File::open(world.staging().join("lock")).unwrap();
    held.lock().unwrap();
    let stderr = world.restore_command(&pin).fails_with(11);
    assert_says(&stderr, &["another qsync", "hint: "]);
}

// CR-09
#[test]
fn a_partial_restore_refuses_another_snapshot_and_offers_two_ways_on() {
    let (world, pin) = World::published();
    let chunk = world.chunks().pop().unwrap();
    let whole = fs::read(&chunk).unwrap();
    fs::remove_file(&chunk).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::write(world.path("data/added"), vec![1; 3 << 20]).unwrap();
    // A publish would notice that the store lacks it.
    fs::write(&chunk, whole).unwrap();
    world.publish(&world.path("data"), 2);

    let at_two = world.operator().args(["restore", "demo/generic@2", "--trust", &pin, "--from"]).arg(world.store()).arg("--to");
    assert_says(&at_two.arg(world.target()).fails_with(15), &["--latest", "--discard"]);
    let continued = world.restore_command(&pin).summary();
    assert_eq!(continued["height"], 1);

    fs::remove_dir_all(world.target()).unwrap();
    fs::rename(&world.chunks()[0], world.path("aside")).unwrap();
    world.restore_command(&pin).fails_with(13);
    let discarded = world.restore_command(&pin).arg("--discard").fails_with(13);
    assert!(!discarded.is_empty());
}

#[test]
fn latest_keeps_every_verified_chunk_of_a_partial_restore() {
    let (world, pin) = World::published();
    let chunk = world.chunks().into_iter().min_by_key(|chunk| fs::metadata(chunk).unwrap().len()).unwrap();
    fs::remove_file(&chunk).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::remove_file(world.path("data/text")).unwrap();
    tree::write(&world.path("data/added"), 3 << 20);
    // A new store, because publish trusts that a store's own head names what it has.
    fs::remove_dir_all(world.store()).unwrap();
    world.publish(&world.path("data"), 2);
    let latest = world.restore_command(&pin).arg("--latest").summary();
    assert_eq!(latest["height"], 2);
    assert!(latest["fetched_bytes"].as_u64().unwrap() < 4 << 20, "{latest}");
    tree::assert_same(&world.path("data"), &world.target());
}

//! `qsync mirror`: what it copies restores like the original, and what it must not copy it names and leaves.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::support::{
    CHANNEL, World,
    command::Qsync,
    database,
    evil::{Answer, EvilMirror},
    tree,
};

fn mirror_dir(world: &World) -> PathBuf {
    world.path("mirror")
}

/// The command of somebody who runs a mirror, on a machine of his own.
fn mirror(world: &World, pin: &str, sources: &[&str]) -> Qsync {
    let from = sources.iter().flat_map(|source| ["--from", source]);
    Qsync::with_state(world.path("mirror-state")).args(["mirror", "--trust", pin]).args(from).arg("--to").arg(mirror_dir(world))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn assert_mirror_restores(world: &World, pin: &str, data: &Path) {
    world.restore_from(text(&mirror_dir(world)), pin).summary();
    tree::assert_same(data, &world.target());
}

#[test]
fn what_is_restored_from_a_mirror_is_the_original_and_a_second_run_copies_nothing() {
    let (world, pin) = World::published();
    fs::write(world.path("data/new"), "new").unwrap();
    world.publish(&world.path("data"), 2);
    let store = world.store();
    let first = mirror(&world, &pin, &[text(&store)]).summary();
    assert_eq!((&first["channels"][0]["outcome"], &first["channels"][0]["snapshots"]), (&"copied".into(), &2.into()));
    // Everything that the publisher's store has, bit for bit.
    let kept = |dir: &Path| tree::snapshot(dir).into_iter().filter(|(path, _)| !path.starts_with(".qsync-staging")).collect::<Vec<_>>();
    assert_eq!(kept(&store), kept(&mirror_dir(&world)));

    let again = mirror(&world, &pin, &[text(&store)]).summary();
    assert_eq!((&again["channels"][0]["outcome"], &again["objects"]), (&"current".into(), &0.into()));
    assert_eq!(again["sources"][0]["objects"], 0);

    fs::remove_dir_all(store).unwrap();
    assert_mirror_restores(&world, &pin, &world.path("data"));
    let old = world.operator().args(["export", &format!("{CHANNEL}@1"), "--trust", &pin, "--from"]).arg(mirror_dir(&world)).output();
    assert!(old.status.success());
}

#[test]
fn only_what_changed_is_fetched_the_next_time() {
    let (world, pin) = World::published();
    let web = EvilMirror::start(world.store(), |_| Answer::Whole);
    mirror(&world, &pin, &[&web.url]).summary();
    assert_eq!(web.chunks_asked().len(), world.chunks().len());
    tree::write(&world.path("data/nested/new"), 3 * tree::CHUNK);
    world.publish(&world.path("data"), 2);
    let second = mirror(&world, &pin, &[&web.url]).summary();
    assert_eq!(web.chunks_asked().len(), world.chunks().len());
    assert_eq!((&second["objects"], &second["sources"][0]["objects"]), (&4.into(), &3.into()));
    assert_mirror_restores(&world, &pin, &world.path("data"));
}

// HM-01
#[test]
fn a_damaged_chunk_is_taken_from_another_source_and_never_passed_on() {
    let (world, pin) = World::published();
    let bad = world.path("bad");
    database::copy_tree(&world.store(), &bad);
    for chunk in tree::files(&bad.join("chunks")) {
        tree::flip(&chunk, 9);
    }
    let refused = mirror(&world, &pin, &[text(&bad)]).json_error(13);
    assert_eq!(refused["code"], "object-wrong");
    assert!(!mirror_dir(&world).join("heads").exists() && !mirror_dir(&world).join("index.json").exists());

    let summary = mirror(&world, &pin, &[text(&bad), text(&world.store())]).summary();
    assert!(summary["sources"][0]["strikes"].as_u64().unwrap() > 0, "{summary}");
    assert_mirror_restores(&world, &pin, &world.path("data"));
}

// HM-06
#[test]
fn a_mirror_that_is_ahead_is_left_alone_and_it_says_so() {
    let (world, pin) = World::published();
    let behind = world.path("behind");
    database::copy_tree(&world.store(), &behind);
    fs::write(world.path("data/new"), "new").unwrap();
    world.publish(&world.path("data"), 2);
    mirror(&world, &pin, &[text(&world.store())]).summary();
    let before = tree::snapshot(&mirror_dir(&world));

    // This machine has seen the newer head, so the source is refused as a restore refuses it.
    assert_eq!(mirror(&world, &pin, &[text(&behind)]).json_error(17)["code"], "rollback");
    // One that has not leaves the mirror as it is.
    fs::remove_dir_all(world.path("mirror-state")).unwrap();
    let output = mirror(&world, &pin, &[text(&behind)]).output();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("left alone: the store shows a newer head"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("shows head 2, the sources offer 1"), "{output:?}");
    assert_eq!(tree::snapshot(&mirror_dir(&world)), before);
}

// CR-01, P8
#[test]
fn a_mirror_that_is_killed_shows_nothing_and_the_next_run_completes_it() {
    let (world, pin) = World::published();
    let slow =
        EvilMirror::start(
            world.store(),
            |key| if key.starts_with("chunks/") { Answer::After(Duration::from_millis(30)) } else { Answer::Whole },
        );
    let half = world.chunks().len() / 2;
    let mut child = mirror(&world, &pin, &[&slow.url]).spawn_quietly();
    while slow.chunks_asked().len() < half {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the test could kill it");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!mirror_dir(&world).join("heads").exists());
    let refused = world.restore_from(text(&mirror_dir(&world)), &pin).json_error(10);
    assert_eq!(refused["code"], "unknown-channel");
    mirror(&world, &pin, &[&slow.url]).summary();
    assert_mirror_restores(&world, &pin, &world.path("data"));
}

#[test]
fn a_channel_that_cannot_be_copied_does_not_keep_the_others_back() {
    let (world, pin) = World::published();
    let shared = world.chunks();
    let other = world.path("other-data");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "of its own").unwrap();
    world.provider().args(["publish", "demo/other"]).arg(&other).arg("--to").arg(world.store()).summary();
    for chunk in world.chunks().into_iter().filter(|chunk| !shared.contains(chunk)) {
        fs::remove_file(chunk).unwrap();
    }
    let store = world.store();
    let error = mirror(&world, &pin, &[text(&store)]).json_error(3);
    assert_eq!(error["code"], "partial");
    assert!(error["message"].as_str().unwrap().starts_with("1 of 2 channels failed: demo/other: "), "{error}");
    assert_mirror_restores(&world, &pin, &world.path("data"));
    assert_eq!(mirror(&world, &pin, &[text(&store)]).arg("demo/other").json_error(13)["code"], "object-missing");
    let named = mirror(&world, &pin, &[text(&store)]).arg(CHANNEL).summary();
    assert_eq!(named["channels"].as_array().unwrap().len(), 1);
}

#[test]
fn a_dry_run_makes_no_store() {
    let (world, pin) = World::published();
    let would = mirror(&world, &pin, &[text(&world.store())]).arg("--dry-run").summary();
    assert!(!mirror_dir(&world).exists());
    let done = mirror(&world, &pin, &[text(&world.store())]).summary();
    assert_eq!((&would["dry_run"], &would["objects"], &would["bytes"]), (&true.into(), &done["objects"], &done["bytes"]));
}

#[test]
fn a_store_of_somebody_else_is_refused_untouched() {
    let ((world, pin), (other, _)) = (World::published(), World::published());
    let before = tree::snapshot(&other.store());
    let command = Qsync::with_state(world.path("mirror-state")).args(["mirror", "--trust", &pin, "--from"]).arg(world.store());
    assert_eq!(command.arg("--to").arg(other.store()).json_error(17)["code"], "other-repo");
    assert_eq!(tree::snapshot(&other.store()), before);
}

// HM-07, P5
#[test]
fn an_expired_head_is_refused_and_not_passed_on() {
    let (world, pin) = World::published();
    world.publish_command(&world.path("data"), 1).args(["--head-lifetime", "1s"]).summary();
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(mirror(&world, &pin, &[text(&world.store())]).json_error(17)["code"], "expired");
    assert!(!mirror_dir(&world).join("heads").exists());
}

//! Sources that are slow, dead or lying, and a machine with few file handles.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::support::{
    World,
    evil::{Answer, EvilMirror},
    tree,
};

/// A published snapshot of 40 chunks, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/000001.sst"), 40 * tree::CHUNK);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

/// A server of the world's store that does this with chunks.
fn web(world: &World, with_chunks: impl Fn() -> Answer + Send + Sync + 'static) -> EvilMirror {
    EvilMirror::start(world.store(), move |key| if key.starts_with("chunks/") { with_chunks() } else { Answer::Whole })
}

// P6, HM-01
#[test]
fn a_source_of_garbage_costs_three_strikes_and_no_wrong_byte() {
    let (world, pin) = published();
    let (liar, honest) = (web(&world, || Answer::Garbage), web(&world, || Answer::Whole));
    let restored = world.restore_from(&liar.url, &pin).args(["--from", &honest.url]).summary();
    tree::assert_same(&world.path("data"), &world.target());
    // Those in flight when the third strike falls count too.
    let strikes = restored["sources"][0]["strikes"].as_u64().unwrap();
    assert!((3..=3 + 16).contains(&strikes), "{restored}");
    assert_eq!(honest.chunks_asked().len(), 40);
}

// NW-01, NW-02
#[test]
fn a_source_that_hangs_up_or_falls_silent_does_not_stop_the_others() {
    let (world, pin) = published();
    let (broken, silent, honest) = (web(&world, || Answer::HangUp), web(&world, || Answer::Silence), web(&world, || Answer::Whole));
    let started = Instant::now();
    let restored = world.restore_from(&broken.url, &pin).args(["--from", &silent.url, "--from", &honest.url]).summary();
    assert!(started.elapsed() < Duration::from_secs(40), "{restored}");
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(restored["sources"][2]["objects"], 40, "{restored}");
}

// NW-10
#[test]
fn sources_that_are_all_dead_are_named_after_the_longest_wait() {
    let (world, pin) = published();
    let (one, other) = (web(&world, || Answer::HangUp), web(&world, || Answer::HangUp));
    let restore = || world.restore_from(&one.url, &pin).args(["--from", &other.url, "--max-wait", "3s"]);
    let started = Instant::now();
    let stderr = restore().fails_with(16);
    assert!(started.elapsed() >= Duration::from_secs(3) && started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    for source in [&one, &other] {
        assert!(stderr.contains(&source.url), "{} is not in: {stderr}", source.url);
    }
    assert!(world.staging().exists() && !world.target().exists());
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn a_limit_of_the_rate_holds_for_all_sources_together() {
    let (world, pin) = published();
    let (one, other) = (web(&world, || Answer::Whole), web(&world, || Answer::Whole));
    let limit = (40 * tree::CHUNK / 2).to_string();
    let started = Instant::now();
    let restored = world.restore_from(&one.url, &pin).args(["--from", &other.url, "--limit-rate", &limit]).summary();
    assert!(started.elapsed() >= Duration::from_millis(1_900), "{restored}");
    tree::assert_same(&world.path("data"), &world.target());
    let rates: Vec<_> = (0..2).map(|source| restored["sources"][source]["bytes_per_second"].is_u64()).collect();
    assert_eq!(rates, [true, true], "{restored}");
}

// P3
#[test]
fn no_chunk_is_asked_for_twice() {
    let (world, pin) = published();
    let source = web(&world, || Answer::Whole);
    let restored = world.restore_from(&source.url, &pin).summary();
    let mut asked = source.chunks_asked();
    let count = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!((count, asked.len(), &restored["retries"]), (40, 40, &0.into()));
}

// CR-09, and the chunk lists of an older snapshot that no source has any more
#[test]
fn latest_goes_on_without_the_lists_of_a_snapshot_that_is_gone() {
    let (world, pin) = published();
    let missing = world.chunks().pop().unwrap();
    fs::remove_file(&missing).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::remove_dir_all(world.store().join("lists")).unwrap();
    fs::remove_dir_all(world.staging().join("lists")).unwrap();
    fs::remove_dir_all(world.store()).unwrap();
    tree::write(&world.path("data/000002.sst"), 40);
    tree::write(&world.path("data/000001.sst"), 41 * tree::CHUNK);
    world.publish(&world.path("data"), 2);
    assert_eq!(world.restore_command(&pin).arg("--latest").summary()["height"], 2);
    tree::assert_same(&world.path("data"), &world.target());
}

// CR-08, CR-09: a machine that lost its state directory, and one whose partial restore is of another version
#[test]
fn a_partial_restore_outlives_the_state_directory_and_discard_removes_any() {
    let (world, pin) = published();
    let missing = world.chunks().pop().unwrap();
    let whole = fs::read(&missing).unwrap();
    fs::remove_file(&missing).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::remove_dir_all(world.path("operator-state")).unwrap();
    fs::write(&missing, whole).unwrap();
    fs::write(world.staging().join("format"), "qsync-staging/9\n").unwrap();
    let stderr = world.restore_command(&pin).fails_with(1);
    assert!(stderr.contains("--discard"), "{stderr}");
    fs::write(world.staging().join("format"), "qsync-staging/1\n").unwrap();
    let finished = world.restore_command(&pin).summary();
    assert!(finished["reused_bytes"].as_u64().unwrap() > 30 * tree::CHUNK, "{finished}");

    fs::remove_dir_all(world.target()).unwrap();
    fs::rename(&missing, world.path("aside")).unwrap();
    world.restore_command(&pin).fails_with(13);
    fs::rename(world.path("aside"), &missing).unwrap();
    fs::write(world.staging().join("format"), "qsync-staging/9\n").unwrap();
    assert_eq!(world.restore_command(&pin).arg("--discard").summary()["reused_bytes"], 0);
    tree::assert_same(&world.path("data"), &world.target());
}

// ST-14
#[test]
fn sixty_four_file_handles_are_enough() {
    let world = World::new();
    tree::make_small_files(&world.path("data"), 2_000);
    tree::write(&world.path("data/large"), 30 * tree::CHUNK);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    let source = web(&world, || Answer::Whole);
    for source in [world.store().to_str().unwrap(), &source.url] {
        world.restore_from(source, &pin).below("sh", &["-c", "ulimit -n 64 && exec \"$@\"", "sh"]).summary();
        tree::assert_same(&world.path("data"), &world.target());
        fs::remove_dir_all(world.target()).unwrap();
    }
}

// ST-16
#[test]
fn a_limit_on_the_length_of_files_is_an_error_and_not_the_end_by_a_signal() {
    let (world, pin) = published();
    let limited = world.restore_command(&pin).below("sh", &["-c", "ulimit -f 4096 && exec \"$@\"", "sh"]);
    let stderr = limited.fails_with(1);
    assert!(stderr.contains("File too large"), "{stderr}");
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

//! SIGKILL at random moments: the next run finishes, and nothing half-made is ever visible. CR-01

use std::{
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt as _, SeedableRng, rngs::StdRng};

use crate::support::{CHANNEL, World, database, tree};

const MOMENTS: usize = 50;

/// How long a run takes undisturbed, so that the moments lie within it.
fn time(run: impl FnOnce()) -> Duration {
    let started = Instant::now();
    run();
    started.elapsed()
}

fn kill_after(mut child: Child, moment: Duration) -> bool {
    thread::sleep(moment);
    let ended_before = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    !ended_before
}

fn moments(within: Duration, rng: &mut impl Rng) -> Vec<Duration> {
    (0..MOMENTS).map(|_| within.mul_f64(rng.random_range(0.0..1.0))).collect()
}

#[test]
fn a_restore_killed_at_any_moment_is_finished_by_the_next() {
    let world = World::new();
    let data = world.path("data");
    database::make_parity_db(&data.join("db"), 20_000);
    tree::make_awkward(&data.join("awkward"));
    let pin = world.init();
    world.publish(&data, 1);
    let full = time(|| drop(world.restore_command(&pin).summary()));
    let mut killed = 0;
    for moment in moments(full, &mut StdRng::seed_from_u64(1)) {
        remove(&world.target());
        killed += usize::from(kill_after(world.restore_command(&pin).spawn_quietly(), moment));
        if world.target().exists() {
            // Only a whole database is ever in place.
            tree::assert_same(&data, &world.target());
        }
        world.restore_command(&pin).summary();
        tree::assert_same(&data, &world.target());
        assert!(!world.staging().exists());
    }
    assert!(killed >= MOMENTS / 2, "only {killed} runs were killed before their end");
}

#[test]
fn a_publish_killed_at_any_moment_shows_nothing_and_is_finished_by_the_next() {
    let world = World::new();
    let data = world.path("data");
    database::make_parity_db(&data, 10_000);
    let pin = world.init();
    let mut height = 1;
    let full = time(|| drop(world.publish(&data, height)));
    let mut killed = 0;
    for moment in moments(full, &mut StdRng::seed_from_u64(2)) {
        height += 1;
        database::write_parity_db(&data, 0..2_000, height);
        killed += usize::from(kill_after(world.publish_command(&data, height).spawn_quietly(), moment));
        // What readers see is a whole snapshot: the one before or this one.
        let shown = world.operator().args(["show", CHANNEL, "--trust", &pin, "--from"]).arg(world.store()).summary();
        let seen = shown["height"].as_u64().unwrap();
        assert!(seen == height || seen == height - 1, "{seen} of {height}");
        world.publish(&data, height);
    }
    assert!(killed >= MOMENTS / 3, "only {killed} runs were killed before their end");
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

fn remove(dir: &Path) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
}

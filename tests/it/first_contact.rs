//! The first time a machine meets a repository: on a terminal it asks, once; elsewhere it refuses.

use std::{fs, process::Command};

use crate::support::{CHANNEL, World, tree};

/// A world with a snapshot, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/000001.sst"), 3 * tree::CHUNK);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

/// Whether a terminal can be made here; says so in words where not.
fn has_terminals() -> bool {
    let works = Command::new("script").args(["-qec", "true", "/dev/null"]).output().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("script is missing or cannot make a terminal here: NOT tested");
    }
    works
}

#[test]
fn on_a_terminal_an_unknown_repository_is_shown_and_trusted_after_a_yes() {
    if !has_terminals() {
        return;
    }
    let (world, pin) = published();
    let restore = || world.operator().args(["restore", CHANNEL, "--from"]).arg(world.store()).arg("--to").arg(world.target());
    let (exit, shown) = restore().on_a_terminal("n\n");
    assert_eq!(exit, Some(17), "{shown}");
    assert!(shown.contains(&pin) && shown.contains("\"test\"") && shown.contains(&format!("--trust {pin}")), "{shown}");
    assert!(!world.target().exists() && !world.staging().exists());
    let (exit, shown) = restore().on_a_terminal("y\n");
    assert_eq!(exit, Some(0), "{shown}");
    tree::assert_same(&world.path("data"), &world.target());
    // It is trusted from then on, without a terminal too.
    world.operator().args(["list", "--from"]).arg(world.store()).summary();
}

#[test]
fn every_command_that_reads_asks_on_a_terminal_and_refuses_without_one() {
    if !has_terminals() {
        return;
    }
    let (world, pin) = published();
    for (number, verb) in [&["list"][..], &["show", CHANNEL]].into_iter().enumerate() {
        let command = |world: &World| world.operator().args(verb).arg("--from").arg(world.store());
        let state = world.path(&format!("state-{number}"));
        assert!(command(&world).env("QSYNC_STATE_DIR", &state).fails_with(17).contains(&pin));
        let (exit, shown) = command(&world).env("QSYNC_STATE_DIR", &state).on_a_terminal("yes\n");
        assert_eq!(exit, Some(0), "{shown}");
        assert_eq!(shown.matches("trust this repository from now on?").count(), 1, "{shown}");
        command(&world).env("QSYNC_STATE_DIR", &state).stdout();
    }
}

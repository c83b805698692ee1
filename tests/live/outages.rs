//! Web servers die in the middle of a restore, and nobody has to do anything about it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    programs::assert_diff_finds_nothing,
    servers::nginx::Nginx,
    support::{World, command::Qsync, database},
};

/// Slow enough that a restore is still at work when a server dies.
const BYTES_PER_SECOND: u64 = 200_000;

/// A restore that is running.
pub(crate) struct Restore {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Restore {
    /// Starts it, and returns once chunks arrive.
    pub(crate) fn under_way(command: Qsync) -> Self {
        let mut child = command.arg("--json").spawn();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut restore = Self { child, lines };
        while restore.next()["done_bytes"].as_u64().is_none_or(|bytes| bytes == 0) {}
        restore
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Whether it is still at work.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its good end, and gives the summary.
    pub(crate) fn finish(mut self) -> Value {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        serde_json::from_str(rest.lines().last().unwrap()).unwrap()
    }
}

/// A world with a published database of a few dozen chunks, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    database::make_parity_db(&world.path("data"), 20_000);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

#[test]
fn a_restore_outlives_its_only_server_and_finishes_when_it_is_back() {
    let (world, pin) = published();
    let mut nginx = Nginx::start_slow(&world.store(), BYTES_PER_SECOND);
    let restore = Restore::under_way(world.restore_from(&nginx.url(), &pin));
    nginx.kill();
    thread::sleep(Duration::from_secs(1));
    assert!(!world.target().exists());
    nginx.start_again();
    let summary = restore.finish();
    assert!(summary["sources"][0]["errors"].as_u64().unwrap() > 0, "{summary}");
    assert_diff_finds_nothing(&world.path("data"), &world.target());
}

#[test]
fn a_restore_goes_on_with_the_other_server_when_one_dies() {
    let (world, pin) = published();
    let mut dies = Nginx::start_slow(&world.store(), BYTES_PER_SECOND);
    let stays = Nginx::start_slow(&world.store(), BYTES_PER_SECOND);
    let restore = Restore::under_way(world.restore_from(&dies.url(), &pin).args(["--from", &stays.url()]));
    dies.kill();
    let summary = restore.finish();
    let of = |source: usize, field: &str| summary["sources"][source][field].as_u64().unwrap();
    assert!(of(0, "errors") > 0 && of(1, "errors") == 0, "{summary}");
    assert!(of(0, "bytes") > 0 && of(1, "bytes") > of(0, "bytes"), "{summary}");
    assert_diff_finds_nothing(&world.path("data"), &world.target());
}

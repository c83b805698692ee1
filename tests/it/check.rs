//! `qsync check`: node and published head in four forms, and the exit codes that monitors know.

use std::fs;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    node::{FakeNode, Says, Toy},
    tree,
};

fn world() -> World {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    world.publish(&world.path("data"), 50);
    world
}

fn check(world: &World, node: &FakeNode) -> Qsync {
    world
        .provider()
        .args(["check", CHANNEL, "--to"])
        .arg(world.store())
        .arg("--data-dir")
        .arg(world.path("data"))
        .args(["--rpc", &node.url()])
}

/// What it printed, and its exit code.
fn ran(command: Qsync) -> (String, Option<i32>) {
    let output = command.output();
    (text(&output.stdout), output.status.code())
}

#[test]
fn all_is_well_in_four_forms() {
    let (world, node) = (world(), Toy::default().start());
    let (said, exit) = ran(check(&world, &node));
    assert_eq!(exit, Some(0), "{said}");
    for line in ["demo/generic OK\n", "  OK        synced        yes\n", "  OK        stopped       no\n", "head          number 1\n"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (said, exit) = ran(check(&world, &node).args(["--format", "nagios"]));
    assert!(exit == Some(0) && said.starts_with("QSYNC OK - demo/generic: node at 1"), "{said}");
    assert!(said.lines().next().unwrap().contains(", snapshot at 50 | height=1") && said.contains(" peers=7 "), "{said}");
    let json = check(&world, &node).summary();
    assert_eq!((&json["state"], &json["snapshot_height"], &json["peers"]), (&"ok".into(), &50.into(), &7.into()));
    let (said, exit) = ran(check(&world, &node).args(["--format", "prometheus"]));
    assert_eq!(exit, Some(0));
    for line in [
        "qsync_check_state{channel=\"demo/generic\"} 0\n",
        "qsync_node_synced{channel=\"demo/generic\"} 1\n",
        "qsync_snapshot_height{channel=\"demo/generic\"} 50\n",
        "# TYPE qsync_head_expires_timestamp_seconds gauge\n",
        "qsync_snapshot_bytes{channel=\"demo/generic\",form=\"raw\"} ",
        "qsync_thaw_pending{channel=\"demo/generic\"} 0\n",
        "qsync_snapshot_lag_blocks{channel=\"demo/generic\"} ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn what_is_wrong_is_told_with_the_exit_code_of_the_worst() {
    let world = world();
    let few = Toy { peers: 1, ..Toy::default() }.start();
    let (said, exit) = ran(check(&world, &few).args(["--min-peers", "3", "--format", "nagios"]));
    assert!(exit == Some(1) && said.starts_with("QSYNC WARNING - demo/generic: peers 1, wanted at least 3 |"), "{said}");
    let shy = FakeNode::of("ethereum", |method| (method == "net_peerCount").then_some(Says::Error(-1, "no")));
    let error = check(&world, &shy).args(["--min-peers", "3"]).json_error(2);
    assert_eq!(error["code"], "check-critical", "the recorded node is behind the snapshot: {error}");
    let page = FakeNode::new(|_, _| Says::Body(200, "text/html", "<html>".into()));
    let (said, exit) = ran(check(&world, &page).args(["--format", "nagios"]));
    assert!(exit == Some(2) && said.contains("answers") && said.contains("not the RPC of a node"), "{said}");
    let (said, exit) = ran(check(&world, &page).args(["--format", "prometheus"]));
    assert!(exit == Some(0) && said.contains("qsync_check_state{channel=\"demo/generic\"} 2\n"), "{said}");
    let nowhere = world.provider().args(["check", CHANNEL, "--to", "/nonexistent/store", "--format", "nagios"]);
    let (said, exit) = ran(nowhere);
    assert!(exit == Some(3) && said.starts_with("QSYNC UNKNOWN - "), "{said}");
}

// GC-15
#[test]
fn a_head_that_nobody_signs_again_is_told_of_and_also_when_it_has_expired() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    world.publish_command(&world.path("data"), 1).args(["--head-lifetime", "2s"]).summary();
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let check = || world.provider().args(["check", CHANNEL, "--to"]).arg(world.store());
    let (said, exit) = ran(check());
    assert!(exit == Some(2) && said.contains("clients refuse it. The publisher is silent since 20"), "{said}");
    assert!(said.contains("  OK        snapshot-age"), "{said}");
}

#[test]
fn a_node_that_a_run_has_left_stopped_is_told_of_whatever_its_marker_says() {
    let world = world();
    let folder = world.path("provider-state").join("freeze");
    fs::create_dir_all(&folder).unwrap();
    let check = || world.provider().args(["check", CHANNEL, "--to"]).arg(world.store());
    for (marker, words) in [
        (r#"{"v":1,"since":"2026-01-01T00:00:00Z","phase":"stopped"}"#, "node stopped since 2026-01-01T00:00:00Z"),
        ("not JSON", "node stopped since a time that its marker does not tell"),
    ] {
        fs::write(folder.join("demo+generic.json"), marker).unwrap();
        let (said, exit) = ran(check());
        assert!(exit == Some(2) && said.contains(words), "{said}");
        let (said, _) = ran(check().args(["--format", "prometheus"]));
        assert!(said.contains("qsync_thaw_pending{channel=\"demo/generic\"} 1\n"), "{said}");
    }
}

#[test]
fn a_store_that_lags_or_is_gone_is_a_warning() {
    let world = world();
    let second = world.path("second");
    world.publish_command(&world.path("data"), 51).arg("--to").arg(&second).summary();
    world.publish(&world.path("data"), 52);
    let (said, exit) = ran(world.provider().args(["check", CHANNEL, "--to"]).arg(world.store()).arg("--to").arg(&second));
    assert!(exit == Some(1) && said.contains("number 3; ") && said.contains("second shows number 2"), "{said}");
}

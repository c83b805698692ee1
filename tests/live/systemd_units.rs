//! The units of `schedules/systemd`, run by a real systemd beside a node that it runs too.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, thread, time::Duration};

use serde_json::Value;

use crate::{
    servers::{
        free_port,
        systemd::{Systemd, install},
    },
    support::{World, command::Qsync, tree},
};

const CHANNEL: &str = "kusama/paritydb-pruned";
const NODE: &str = "toy-node.service";

/// A provider's machine: systemd, a node, its data, a store, and the keys.
struct Scene {
    // It ends before its folder is removed.
    systemd: Systemd,
    world: World,
    pin: String,
}

impl Scene {
    /// All of it below one folder, which is what the units may write, and what can be written at all.
    /// None where nobody may boot one.
    fn new(node_environment: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            // Not eprintln!, which is captured where tests pass.
            std::io::stderr().write_all(b"units of systemd: NOT run: only root may boot one\n").unwrap();
            return None;
        }
        let world = World::new();
        install(world.folder());
        let init = in_place(&world, "provider-state").args(["init", "--name", "test", "--to"]).arg(world.store()).summary();
        let pin = format!("b3:{}", init["repo"].as_str().unwrap());
        let port = free_port();
        fs::write(world.path("config.toml"), configuration(&world, port)).unwrap();
        write_node(&world, port, node_environment);
        write_drop_ins(&world);
        let systemd = Systemd::boot(world.folder());
        systemd.run(&["systemctl", "start", NODE]);
        // The gate wants a node with blocks.
        thread::sleep(Duration::from_secs(2));
        Some(Self { systemd, world, pin })
    }

    /// Starts an instance of a unit and waits for its end. Gives whether it succeeded.
    fn start(&self, verb: &str) -> bool {
        self.systemd.command(&["systemctl", "start", &self.unit(verb)]).output().unwrap().status.success()
    }

    /// The instance of a unit for the channel.
    fn unit(&self, verb: &str) -> String {
        self.systemd.run(&["systemd-escape", "--template", &format!("qsync-{verb}@.service"), CHANNEL])
    }

    /// When the node was started last, by the clock of systemd.
    fn node_started(&self) -> u64 {
        self.systemd.property(NODE, "ExecMainStartTimestampMonotonic").parse().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    fn heights(&self) -> Vec<u64> {
        let list = in_place(&self.world, "operator-state").args(["list", "--trust", &self.pin, "--from"]).arg(self.world.store());
        list.json_lines().iter().filter_map(|line| line["height"].as_u64()).collect()
    }
}

fn in_place(world: &World, state: &str) -> Qsync {
    Qsync::with_state(world.path(state))
}

fn configuration(world: &World, port: u16) -> String {
    let at = |name: &str| world.path(name).display().to_string();
    format!(
        "state_dir = \"{}\"\n[channels.\"{CHANNEL}\"]\nto = [\"{}\"]\ndata_dir = \"{}\"\nnode = \"polkadot-paritydb\"\nrpc = \"http://127.0.0.1:{port}\"\n\
         [channels.\"{CHANNEL}\".freeze]\nmethod = \"stop-clone\"\nunit = \"{NODE}\"\n\
         [channels.\"{CHANNEL}\".gate]\nmin_peers = 5\n",
        at("provider-state"),
        at("store"),
        at("node")
    )
}

/// The node as a unit that is given the time to stop that qsync asks for.
fn write_node(world: &World, port: u16, environment: &str) {
    let program = world.path("bin/toy-node");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/toy-node.py"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let unit = format!(
        "[Service]\nExecStart=/usr/bin/python3 /usr/local/sbin/toy-node {} {port}\nEnvironment={environment}\nTimeoutStopSec=20min\n",
        world.path("node").display()
    );
    fs::write(world.path("units").join(NODE), unit).unwrap();
}

/// What README.md of the units says of a data directory that is not below /var/lib.
fn write_drop_ins(world: &World) {
    for verb in ["publish@", "refresh@", "thaw"] {
        let folder = world.path("units").join(format!("qsync-{verb}.service.d"));
        fs::create_dir(&folder).unwrap();
        let all = world.folder().display();
        // The units have a /tmp of their own, in which this folder is put.
        let drop_in = format!("[Service]\nReadWritePaths=\nBindPaths={all}\nEnvironment=QSYNC_CONFIG={all}/config.toml\n");
        fs::write(folder.join("paths.conf"), drop_in).unwrap();
    }
}

#[test]
fn the_publish_unit_stops_clones_and_starts_the_node_and_publishes() {
    let Some(scene) = Scene::new("TOY_NODE_PEERS=8") else { return };
    let started = scene.node_started();
    // With these very walls around it.
    scene.systemd.run(&["systemd-analyze", "security", "--no-pager", "--threshold=25", &scene.unit("publish")]);
    assert!(scene.start("publish"), "{}", scene.log());
    assert_eq!(scene.systemd.property(NODE, "ActiveState"), "active");
    assert!(scene.node_started() > started, "the node was never stopped: {}", scene.log());
    assert!(!scene.world.path("node/unclean").exists(), "the node was not stopped cleanly");
    let first = scene.heights();
    assert_eq!(first.len(), 1, "{}", scene.log());
    // The clone is gone, and no other file of the node than its database was published.
    let beside: Vec<_> =
        tree::files(scene.world.folder()).into_iter().filter(|file| file.to_string_lossy().contains("qsync-clone")).collect();
    assert!(beside.is_empty(), "{beside:?}");
    // Another day.
    thread::sleep(Duration::from_secs(1));
    assert!(scene.start("publish"), "{}", scene.log());
    let second = scene.heights();
    assert!(second.len() == 2 && second.iter().max() > first.iter().max(), "{second:?}");
    // What was published can be restored, without the node's identity.
    let restore =
        in_place(&scene.world, "operator-state").args(["restore", CHANNEL, "--trust", &scene.pin, "--from"]).arg(scene.world.store());
    let restored: Value = restore.arg("--to").arg(scene.world.target()).summary();
    assert!(restored["height"].as_u64() == second.iter().copied().max(), "{restored}");
    assert!(tree::files(&scene.world.target()).iter().all(|file| !file.ends_with("secret_ed25519")));
}

#[test]
fn a_node_that_is_not_synced_is_not_stopped_by_the_unit() {
    let Some(scene) = Scene::new("TOY_NODE_SYNCING=1") else { return };
    let started = scene.node_started();
    assert!(!scene.start("publish"), "{}", scene.log());
    assert_eq!(scene.systemd.property(&scene.unit("publish"), "ExecMainStatus"), "18", "{}", scene.log());
    assert_eq!(scene.node_started(), started);
    assert!(!scene.world.store().join("heads").exists(), "a head was published");
}

#[test]
fn a_publish_unit_that_is_killed_leaves_the_node_running() {
    let Some(scene) = Scene::new("TOY_NODE_PEERS=8") else { return };
    let unit = scene.unit("publish");
    scene.systemd.run(&["systemctl", "start", "--no-block", &unit]);
    // As soon as it has stopped the node, every process of the unit is killed, the watchdog too.
    for _ in 0..3_000 {
        if scene.systemd.property(NODE, "ActiveState") != "active" {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    scene.systemd.run(&["systemctl", "kill", "--signal", "KILL", "--kill-whom", "all", &unit]);
    for _ in 0..300 {
        if scene.systemd.property(NODE, "ActiveState") == "active" {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the node was left stopped: {}", scene.log());
}

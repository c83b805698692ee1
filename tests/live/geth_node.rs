//! A provider with a real node: geth makes blocks, qsync asks, stops, clones, starts and publishes it, and another geth goes on from what is
//! restored.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    servers::geth::Geth,
    support::{World, command::Qsync},
};

pub(crate) const CHANNEL: &str = "devnet/geth-full";
/// So many blocks, and there are ancient ones no dev chain has; but a database that was written to.
const BLOCKS: u64 = 8;

/// A provider beside a node.
pub(crate) struct Scene {
    // Dropped first: the folder says what runs.
    pub(crate) node: Geth,
    pub(crate) world: World,
    pin: String,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let folder = world.path("node");
        Self::beside(world, &folder)
    }

    /// With the node in a folder of its own.
    pub(crate) fn beside(world: World, folder: &Path) -> Self {
        let node = Geth::start(folder);
        let pin = world.init();
        let scene = Self { world, node, pin };
        scene.configure("", "");
        scene.node.wait_for_height(BLOCKS);
        scene
    }

    /// The provider's configuration, with more lines for the channel and for its freeze.
    pub(crate) fn configure(&self, channel: &str, freeze: &str) {
        let method = if freeze.contains("method") { "" } else { "method = \"stop-clone\"\n" };
        let [stop, start] = self.node.commands();
        let (store, data) = (self.world.store(), self.node.data());
        let config = format!(
            "[stores.main]\nurl = {store:?}\n[channels.\"{CHANNEL}\"]\nto = [\"main\"]\ndata_dir = {data:?}\nnode = \"geth\"\nrpc = \"{}\"\n{channel}\n\
             [channels.\"{CHANNEL}\".labels]\nmode = \"full\"\n\
             [channels.\"{CHANNEL}\".gate]\nmin_peers = 0\n\
             [channels.\"{CHANNEL}\".freeze]\n{method}stop = {stop}\nstart = {start}\n{freeze}\n",
            self.node.url()
        );
        fs::write(self.config(), config).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.world.path("config.toml")
    }

    pub(crate) fn qsync(&self, words: &[&str]) -> Qsync {
        self.world.provider().arg("--config").arg(self.config()).args(words)
    }

    pub(crate) fn publish(&self) -> Value {
        self.qsync(&["publish", CHANNEL]).summary()
    }

    pub(crate) fn restore(&self, when: &str, to: &Path) -> Qsync {
        let channel = format!("{CHANNEL}@{when}");
        self.world.operator().args(["restore", &channel, "--trust", &self.pin, "--from"]).arg(self.world.store()).arg("--to").arg(to)
    }

    fn head(&self) -> Value {
        self.qsync(&["head", "show", CHANNEL, "--trust", &self.pin, "--from", "main"]).summary()
    }

    fn manifest(&self) -> Value {
        let show = self.world.operator().args(["show", CHANNEL, "--trust", &self.pin, "--from"]).arg(self.world.store());
        show.summary()
    }

    fn marker(&self) -> PathBuf {
        self.world.path("provider-state/freeze")
    }

    pub(crate) fn is_marked(&self) -> bool {
        fs::read_dir(self.marker())
            .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().extension().is_some_and(|e| e == "json")))
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The data directory of an operator: keys of their own, and nothing else.
fn operators_directory(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir_all(data.join("geth")).unwrap();
    fs::create_dir_all(data.join("keystore")).unwrap();
    fs::write(data.join("geth/nodekey"), "8a1f9a8f95be41cd7ccb6168179afb4504aefe388d1e14474d32c45c72ce7b7a").unwrap();
    fs::write(data.join("keystore/own"), "the operator's own").unwrap();
    data
}

#[test]
fn a_node_is_detected_asked_stopped_cloned_started_and_published_and_another_goes_on_from_it() {
    let scene = Scene::new();
    let data = scene.node.data();
    let detected = scene.world.provider().args(["node", "detect"]).arg(&data).summary();
    assert_eq!((&detected["node"], &detected["engine"]), (&"geth".into(), &"pebble".into()), "{detected}");
    let before = scene.node.pid();
    let summary = scene.publish();
    let height = summary["height"].as_u64().unwrap();
    let downtime = summary["freeze"]["downtime_seconds"].as_f64().unwrap();
    assert!(height >= BLOCKS && downtime > 0.0 && downtime < 60.0, "{summary}");
    assert_ne!(scene.node.pid(), before, "it was not stopped");
    assert!(!scene.is_marked());
    // The node goes on from where it was.
    let hash = scene.node.block_hash(height).unwrap();
    scene.node.wait_for_height(height + 2);
    let manifest = scene.manifest();
    assert_eq!((&manifest["block_hash"], &manifest["engine"]), (&hash.as_str().into(), &"pebble".into()), "{manifest}");
    // An operator with a node key and accounts of their own.
    let second = scene.world.path("second");
    let theirs = operators_directory(&second);
    scene.restore(&height.to_string(), &theirs).args(["--check-rpc", scene.node.url(), "--label", "mode=full"]).summary();
    assert_eq!(fs::read_to_string(theirs.join("keystore/own")).unwrap(), "the operator's own");
    assert!(fs::read_to_string(theirs.join("geth/nodekey")).unwrap().starts_with("8a1f9a8f"));
    assert!(!theirs.join("geth/jwtsecret").exists() && !theirs.join("geth/LOCK").exists());
    let node = Geth::start(&second);
    assert!(node.height().unwrap() >= height, "it begins before the snapshot");
    assert_eq!(node.block_hash(height).as_deref(), Some(hash.as_str()), "another block at {height}");
    node.wait_for_height(height + 2);
    let other = scene.restore("latest", &scene.world.path("third")).args(["--label", "mode=archive"]);
    assert_eq!(other.json_error(15)["code"], "other-mode");
}

#[test]
fn without_the_journal_of_its_state_a_node_does_not_go_on() {
    let scene = Scene::new();
    // The profile of somebody who left geth/triedb out.
    let profile = include_str!("../../src/profile/builtin/geth.toml");
    let worse = profile
        .replace("publish = [\"geth/chaindata\", \"geth/triedb\"]", "publish = [\"geth/chaindata\"]")
        .replace("optional = [\"geth/triedb\"]\n", "");
    assert_ne!(profile, worse);
    fs::create_dir(scene.world.path("nodes")).unwrap();
    fs::write(scene.world.path("nodes/geth.toml"), worse).unwrap();
    let height = scene.publish()["height"].as_u64().unwrap();
    let second = scene.world.path("second");
    scene.restore("latest", &operators_directory(&second)).summary();
    assert!(second.join("data/geth/chaindata").exists() && !second.join("data/geth/triedb").exists());
    let node = Geth::start(&second);
    let begins = node.height().unwrap();
    assert!(begins < height, "geth goes on from {begins} without its journal: the profile can be simpler");
}

#[test]
fn a_node_that_does_not_answer_or_was_killed_is_not_published_and_the_old_head_lives_on() {
    let scene = Scene::new();
    let first = scene.publish();
    scene.node.kill();
    let refused = scene.qsync(&["publish", CHANNEL]).json_error(18);
    assert_eq!(refused["code"], "gate-not-met", "{refused}");
    assert_eq!(scene.head()["snapshot"], first["snapshot"]);
    // A node that somebody stopped is not ours to start.
    assert_eq!(scene.node.height(), None);
    scene.node.start_again();
    scene.node.wait_until_it_answers();
}

#[test]
fn a_publish_that_is_killed_while_the_node_is_stopped_leaves_it_running_and_the_old_head_live() {
    let scene = Scene::new();
    let first = scene.publish();
    let [stop, _] = scene.node.commands();
    for (name, freeze) in [
        ("before it is asked to stop", format!("stop = [\"sh\", \"-c\", \"sleep 2; {}\"]", shell_words(&stop))),
        ("after it has stopped", format!("stop = [\"sh\", \"-c\", \"{}; sleep 2\"]", shell_words(&stop))),
    ] {
        scene.configure("", "");
        let config = fs::read_to_string(scene.config()).unwrap();
        let own = config.lines().filter(|line| !line.starts_with("stop = ")).map(|line| format!("{line}\n")).collect::<String>();
        fs::write(scene.config(), own + &freeze + "\n").unwrap();
        let mut publish = scene.qsync(&["publish", CHANNEL]).spawn_quietly();
        scene.wait_until("the marker", || scene.is_marked());
        thread::sleep(Duration::from_millis(700));
        publish.kill().unwrap();
        publish.wait().unwrap();
        scene.wait_until("the node is back", || !scene.is_marked() && scene.node.height().is_some());
        assert_eq!(scene.head()["snapshot"], first["snapshot"], "{name}");
    }
    scene.configure("", "");
    assert!(scene.publish()["seq"].as_u64().unwrap() > 1);
}

/// A list of words in JSON as a line for the shell; none of them needs quotes.
fn shell_words(list: &str) -> String {
    serde_json::from_str::<Vec<String>>(list).unwrap().join(" ")
}

#[test]
fn a_disk_that_is_full_leaves_the_node_running_and_the_old_head_live() {
    let scene = Scene::new();
    let first = scene.publish();
    let before = scene.node.pid();
    // Nine tenths of the disk are to stay free, which they are not.
    scene.configure("", "reserve = \"90%\"");
    let full = scene.qsync(&["publish", CHANNEL]).json_error(14);
    assert_eq!((scene.node.pid(), scene.head()["snapshot"].clone()), (before, first["snapshot"].clone()), "{full}");
    assert!(scene.node.height().is_some() && !scene.is_marked());
}

#[test]
fn two_runs_of_the_line_for_cron_a_minute_apart_publish_two_snapshots() {
    let scene = Scene::new();
    let line = include_str!("../../schedules/cron/qsync").lines().find(|line| line.contains("qsync publish ")).unwrap();
    let command = line.split_whitespace().skip(6).collect::<Vec<_>>().join(" ");
    let command = command.replace("kusama/rocksdb-pruned", CHANNEL).replace("--jitter 10m", "--jitter 1s").replace("--syslog", "--json");
    // The daemon of Debian in a place of its own, with a table of every minute and the environment that it gives.
    let folder = scene.world.path("cron");
    fs::create_dir_all(folder.join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_qsync"), folder.join("bin/qsync")).unwrap();
    let log = folder.join("log");
    let table = format!(
        "SHELL=/bin/sh\nPATH={}/bin:/usr/sbin:/usr/bin:/sbin:/bin\nQSYNC_STATE_DIR={}\nQSYNC_CONFIG={}\n* * * * * root {command} >>{} 2>>{}.errors\n",
        folder.display(),
        scene.world.path("provider-state").display(),
        scene.config().display(),
        log.display(),
        log.display()
    );
    fs::write(folder.join("qsync"), table).unwrap();
    let places = "mount -t tmpfs none /etc/cron.d && mount -t tmpfs none /var/spool/cron && mkdir -p /var/spool/cron/crontabs && cp $0/qsync /etc/cron.d/ \
                  && chmod 600 /etc/cron.d/qsync && : >$0/crontab && mount --bind $0/crontab /etc/crontab && mount -t tmpfs none /run && exec cron -f";
    let mut cron = Command::new("unshare");
    cron.args(["-m", "sh", "-c", places]).arg(&folder).stdin(Stdio::null()).process_group(0);
    let mut cron = Daemon(cron.spawn().unwrap());
    let runs = || -> Vec<Value> {
        let said = fs::read_to_string(&log).unwrap_or_default();
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(|line: &Value| line["type"] == "summary").collect()
    };
    let began = Instant::now();
    while runs().len() < 2 {
        let errors = fs::read_to_string(folder.join("log.errors")).unwrap_or_default();
        assert!(began.elapsed() < Duration::from_secs(200), "{} runs: {errors}", runs().len());
        thread::sleep(Duration::from_millis(500));
    }
    cron.end();
    let runs = runs();
    let heights: Vec<_> = runs.iter().map(|run| run["height"].as_u64().unwrap()).collect();
    assert!(heights[1] > heights[0], "{heights:?}");
    for (number, run) in runs.iter().take(2).enumerate() {
        let downtime = run["freeze"]["downtime_seconds"].as_f64().unwrap();
        assert!(downtime > 0.0 && downtime < 30.0, "{run}");
        let folder = scene.world.path(&format!("restored-{number}"));
        let height = run["height"].as_u64().unwrap();
        scene.restore(&height.to_string(), &operators_directory(&folder)).summary();
        let node = Geth::start(&folder);
        assert_eq!(node.block_hash(height), scene.node.block_hash(height), "run {number}");
    }
}

/// A daemon that ends with the test.
struct Daemon(std::process::Child);

impl Daemon {
    fn end(&mut self) {
        // What it has started goes on to its end.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

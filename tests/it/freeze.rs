//! A node that runs is stopped, copied and started again, and whatever happens meanwhile, it runs afterwards.
//!
//! The node is a file that is there while it runs; what runs it is a container engine made of a shell script.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, in_namespace, text},
    tree,
};

/// The engine: files in its folder say whether the node runs and what goes wrong.
const ENGINE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$1" >> calls
say() { cat "$1" 2>/dev/null || echo "$2"; }
case $1 in
container)
    # Somebody else starts it, when it has been seen stopped once.
    if [ -e somebody-starts ] && [ ! -e running ]; then
        if [ -e seen-stopped ]; then touch running; else touch seen-stopped; fi
    fi
    [ -e running ] || sleep "$(say slow-look 0)"
    if [ -e running ]; then runs=true; else runs=false; fi
    printf '[{"State":{"Running":%s,"ExitCode":%s},"Config":{"StopTimeout":%s}}]' $runs "$(say exit-code 0)" "$(say stop-timeout 900)" ;;
stop)
    [ -e running ] || exit 0
    sleep "$(say slow-stop 0)"
    rm -f running ;;
start)
    sleep "$(say slow-start 0)"
    if [ -e broken ]; then echo 'no such image' >&2; exit 1; fi
    [ -e writes ] && echo later >> "$(cat writes)"
    touch running ;;
esac
"#;

/// The script of the method `command`.
const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "script $1" >> calls
if [ "$1" = thaw ]; then touch running; exit 0; fi
rm -f running
sleep "$(cat slow-stop 2>/dev/null || echo 0)"
cat answer
"#;

struct Scene {
    world: World,
    pin: String,
    height: u64,
}

impl Scene {
    fn new(freeze: &str) -> Self {
        let world = World::new();
        fs::create_dir_all(world.path("node/db")).unwrap();
        fs::create_dir(world.path("engine")).unwrap();
        tree::write(&world.path("node/db/000001.sst"), 2 * tree::CHUNK + 5);
        tree::write(&world.path("node/db/000002.log"), 9_000);
        for name in ["000001.sst", "000002.log"] {
            // Long ago: the next run need not read it again.
            let file = File::options().write(true).open(world.path("node/db").join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
        }
        let scene = Self { pin: world.init(), world, height: 1 };
        scene.program("engine", ENGINE);
        scene.program("script", SCRIPT);
        scene.set("running", "");
        scene.configure(freeze);
        scene
    }

    /// A node in a container that is stopped, cloned and started.
    fn stop_clone() -> Self {
        Self::new("")
    }

    fn configure(&self, freeze: &str) {
        let engine = self.file("engine");
        let common = format!("engine = '{}'\ncontainer = 'node'\nreserve = '0%'\nstart_timeout = '20s'\n", engine.display());
        let method = if freeze.contains("method") { "" } else { "method = 'stop-clone'\n" };
        let text = format!("[channels.'{CHANNEL}'.freeze]\n{method}{common}{freeze}\n");
        fs::write(self.world.path("config.toml"), text).unwrap();
    }

    fn program(&self, name: &str, body: &str) {
        fs::write(self.file(name), body).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.path("engine").join(name)
    }

    fn set(&self, name: &str, value: &str) {
        fs::write(self.file(name), value).unwrap();
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    fn runs(&self) -> bool {
        self.file("running").exists()
    }

    fn calls(&self, name: &str) -> usize {
        fs::read_to_string(self.file("calls")).unwrap_or_default().lines().filter(|line| *line == name).count()
    }

    fn publish(&self) -> Qsync {
        let command = self.world.publish_command(&self.world.path("node"), self.height);
        command.arg("--config").arg(self.world.path("config.toml"))
    }

    fn thaw(&self) -> Qsync {
        self.world.provider().args(["thaw"])
    }

    fn clone(&self) -> PathBuf {
        self.world.path(".node.qsync-clone")
    }

    fn marker(&self) -> PathBuf {
        self.world.path("provider-state/freeze/demo+generic.json")
    }

    fn phase(&self) -> Option<String> {
        let marker: Value = serde_json::from_slice(&fs::read(self.marker()).ok()?).ok()?;
        Some(marker["phase"].as_str().unwrap().to_owned())
    }

    /// Waits for something that must happen within seconds.
    #[track_caller]
    fn until(&self, what: &str, happened: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !happened(self) {
            assert!(Instant::now() < until, "{what}: not within 20 s; phase {:?}", self.phase());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing of a run is left, and the node runs.
    #[track_caller]
    fn all_is_well(&self) {
        assert!(self.runs(), "the node is left stopped");
        assert!(!self.marker().exists(), "phase {:?}", self.phase());
        assert!(!self.clone().exists(), "the clone is left");
    }

    /// Starts a run and waits until it is in that phase.
    fn until_phase(&self, phase: &str) -> Child {
        let child = self.publish().spawn();
        self.until(phase, |scene| scene.phase().as_deref() == Some(phase));
        child
    }
}

/// The process that a run has started to watch over it.
fn watchdog_of(child: &Child) -> u32 {
    let children = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    let all: String = children.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    let pids = all.split_whitespace().map(|pid| pid.parse().unwrap());
    let is_watchdog = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("--watchdog"));
    pids.into_iter().find(is_watchdog).expect("a run that has stopped its node has a watchdog")
}

fn kill(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[track_caller]
fn ended(child: Child, exit: i32) -> Output {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
    output
}

#[test]
fn the_node_is_down_for_the_copy_only_and_what_it_writes_later_is_not_published() {
    let mut scene = Scene::stop_clone();
    let before = tree::snapshot(&scene.world.path("node"));
    scene.set("writes", scene.world.path("node/db/000002.log").to_str().unwrap());
    let summary = scene.publish().summary();
    assert_eq!(summary["freeze"]["method"], "stop-clone");
    assert!(summary["freeze"]["downtime_seconds"].as_f64().unwrap() > 0.0 && summary["freeze"]["error"].is_null(), "{summary}");
    scene.all_is_well();
    assert_eq!((scene.calls("stop"), scene.calls("start")), (1, 1));
    scene.world.restore_command(&scene.pin).summary();
    assert!(tree::snapshot(&scene.world.target()) == before);
    // The table did not change, although every clone has other inodes and times: it is not read again.
    scene.height = 2;
    let again = scene.publish().summary();
    assert_eq!(again["skipped_bytes"], 2 * tree::CHUNK + 5, "{again}");
    scene.all_is_well();
}

// CR-01
#[test]
fn a_run_that_is_killed_while_the_node_stops_or_starts_leaves_it_running() {
    for (slow, phase) in [("slow-stop", "stopping"), ("slow-start", "starting")] {
        let scene = Scene::stop_clone();
        scene.set(slow, "1");
        let mut child = scene.until_phase(phase);
        scene.until(slow, |scene| scene.calls(&slow[5..]) == 1);
        child.kill().unwrap();
        child.wait().unwrap();
        scene.until("the watchdog", |scene| scene.runs() && !scene.marker().exists());
        scene.all_is_well();
    }
}

// CR-01
#[test]
fn a_run_that_is_killed_between_the_stop_and_the_end_of_the_copy_leaves_the_node_running() {
    let scene = Scene::stop_clone();
    // The node is looked at once more when the copy is made.
    scene.set("slow-look", "1");
    let mut child = scene.until_phase("stopped");
    assert!(!scene.runs());
    child.kill().unwrap();
    child.wait().unwrap();
    scene.until("the watchdog", |scene| scene.runs() && !scene.marker().exists());
    scene.all_is_well();
}

// CR-01
#[test]
fn when_the_watchdog_is_killed_too_thaw_brings_the_node_back() {
    let scene = Scene::stop_clone();
    scene.set("slow-start", "1");
    let mut child = scene.until_phase("starting");
    kill(watchdog_of(&child), "-KILL");
    child.kill().unwrap();
    child.wait().unwrap();
    scene.set("slow-start", "0");
    let lines = scene.thaw().json_lines();
    assert_eq!(lines[0]["channel"], CHANNEL, "{lines:?}");
    scene.all_is_well();
    assert_eq!(scene.thaw().args([CHANNEL]).json_lines()[0]["outcome"], "not-frozen");
}

/// A node that a run was stopping, of which everything has died.
fn abandoned_while_it_stops() -> Scene {
    let scene = Scene::stop_clone();
    scene.set("slow-stop", "1");
    let mut child = scene.until_phase("stopping");
    kill(watchdog_of(&child), "-KILL");
    child.kill().unwrap();
    child.wait().unwrap();
    scene
}

/// A node that a run left stopped, of which everything has died.
fn abandoned() -> Scene {
    let scene = abandoned_while_it_stops();
    scene.until("the stop", |scene| !scene.runs());
    scene
}

#[test]
fn a_disk_that_turned_read_only_keeps_no_node_down() {
    let scene = abandoned();
    let state = scene.world.path("provider-state");
    let remount = format!("mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}'", state.display());
    let Some(mut thaw) = in_namespace(&remount, &scene.thaw()) else { return };
    let output = thaw.output().unwrap();
    assert!(scene.runs(), "the node is left stopped: {}", text(&output.stderr));
    assert!(text(&output.stderr).contains("ead-only file system"), "{}", text(&output.stderr));
    // What could not be removed is, later.
    assert!(scene.marker().exists());
    scene.thaw().summary();
    scene.all_is_well();
}

#[test]
fn a_node_that_does_not_come_back_keeps_no_other_down() {
    let scene = abandoned();
    scene.program("hangs", "#!/bin/sh\nexec sleep 30\n");
    let marker = fs::read_to_string(scene.marker()).unwrap();
    let other =
        marker.replace(CHANNEL, "demo/another").replace(scene.file("engine").to_str().unwrap(), scene.file("hangs").to_str().unwrap());
    assert_ne!(marker, other);
    // It comes first in every order.
    fs::write(scene.marker().with_file_name("demo+another.json"), other).unwrap();
    let mut thaw = scene.thaw().arg("--all").spawn();
    scene.until("the other", Scene::runs);
    assert!(thaw.try_wait().unwrap().is_none(), "it did not hang");
    thaw.kill().unwrap();
    thaw.wait().unwrap();
}

// CR-01
#[test]
fn the_next_run_brings_the_node_back_first() {
    let scene = abandoned_while_it_stops();
    let output = scene.publish().output();
    assert!(output.status.success() && text(&output.stderr).contains("an earlier run had left"), "{}", text(&output.stderr));
    scene.all_is_well();
    // Twice for the dead run, of which the stop was under way, and once for this one.
    assert_eq!(scene.calls("start"), 2);
}

#[test]
fn a_thaw_and_a_second_run_leave_a_run_alone_that_is_at_work() {
    let scene = Scene::stop_clone();
    scene.set("slow-start", "2");
    let child = scene.until_phase("starting");
    assert_eq!(scene.thaw().json_lines()[0]["outcome"], "busy");
    scene.publish().fails_with(11);
    assert!(scene.clone().exists());
    ended(child, 0);
    assert_eq!(scene.calls("start"), 1);
    scene.all_is_well();
}

// CR-03
#[test]
fn a_signal_while_the_node_is_down_ends_the_run_after_the_node_is_back() {
    for (signal, exit) in [("-INT", 130), ("-TERM", 143)] {
        let scene = Scene::stop_clone();
        scene.set("slow-stop", "1");
        let child = scene.until_phase("stopping");
        kill(child.id(), signal);
        ended(child, exit);
        scene.all_is_well();
    }
}

// PU-09
#[test]
fn a_stop_that_was_a_kill_is_not_published_and_the_node_starts_again() {
    let scene = Scene::stop_clone();
    scene.set("exit-code", "137");
    let refused = scene.publish().json_error(18);
    assert_eq!(refused["code"], "stop-not-clean");
    assert!(refused["message"].as_str().unwrap().contains("137"), "{refused}");
    scene.all_is_well();
    assert!(!scene.world.store().join("heads/demo").exists());
}

// PU-09
#[test]
fn a_stop_that_takes_too_long_is_waited_for_before_the_start_and_nothing_is_published() {
    let scene = Scene::new("stop_timeout = '1s'");
    scene.set("slow-stop", "1.6");
    assert_eq!(scene.publish().json_error(18)["code"], "stop-not-clean");
    scene.all_is_well();
    assert!(!scene.world.store().join("heads/demo").exists());
}

#[test]
fn a_node_that_does_not_come_back_outranks_everything_and_is_thawed_later() {
    let scene = Scene::stop_clone();
    scene.set("broken", "");
    let refused = scene.publish().json_error(19);
    assert_eq!(refused["code"], "node-stopped");
    assert!(refused["message"].as_str().unwrap().contains("no such image"), "{refused}");
    // The upload has finished all the same, and the clone is gone.
    assert!(scene.world.store().join("heads/demo").exists() && !scene.clone().exists());
    assert!(!scene.runs() && scene.marker().exists());
    scene.thaw().fails_with(19);
    scene.unset("broken");
    assert_eq!(scene.thaw().json_lines()[0]["outcome"], "started");
    scene.all_is_well();
}

#[test]
fn a_node_that_its_operator_had_stopped_is_never_started() {
    let scene = Scene::stop_clone();
    scene.unset("running");
    let summary = scene.publish().summary();
    assert!(summary["freeze"]["downtime_seconds"].is_null(), "{summary}");
    scene.thaw().summary();
    assert!(!scene.runs() && !scene.marker().exists() && !scene.clone().exists());
    assert_eq!((scene.calls("stop"), scene.calls("start")), (0, 0));
}

// PU-03
#[test]
fn what_can_be_known_before_the_stop_is_refused_before_it() {
    let scene = Scene::stop_clone();
    let refused = |scene: &Scene, exit| scene.publish().json_error(exit)["code"].as_str().unwrap().to_owned();
    scene.set("stop-timeout", "10");
    assert_eq!(refused(&scene, 18), "stop-time-short");
    scene.unset("stop-timeout");
    scene.configure("reserve_ = 1");
    assert_eq!(refused(&scene, 2), "config");
    let engine = scene.file("engine");
    let with = |more: &str| {
        format!("[channels.'{CHANNEL}'.freeze]\nmethod = 'stop-clone'\nengine = '{}'\ncontainer = 'node'\n{more}", engine.display())
    };
    fs::write(scene.world.path("config.toml"), with("reserve = '90%'")).unwrap();
    assert_eq!(refused(&scene, 14), "not-enough-space");
    fs::create_dir(scene.clone()).unwrap();
    fs::write(scene.clone().join("mine"), "").unwrap();
    fs::write(scene.world.path("config.toml"), with("reserve = '0%'")).unwrap();
    assert_eq!(refused(&scene, 18), "clone-foreign");
    assert!(scene.clone().join("mine").exists());
    fs::remove_dir_all(scene.clone()).unwrap();
    fs::write(scene.world.path("config.toml"), with("reserve = '0%'\nmax_downtime = '0s'")).unwrap();
    let output = scene.publish().arg("--dry-run").output();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tried = scene.publish().output();
    // Where files can share blocks nothing is copied, and nothing speaks against it.
    assert!(tried.status.success() || text(&tried.stderr).contains("max_downtime") && scene.calls("stop") == 0, "{}", text(&tried.stderr));
    scene.all_is_well();
}

#[test]
fn a_marker_that_cannot_be_read_is_never_taken_for_none() {
    let scene = Scene::stop_clone();
    fs::create_dir_all(scene.marker().parent().unwrap()).unwrap();
    for marker in ["", "{\"v\": 7}"] {
        fs::write(scene.marker(), marker).unwrap();
        assert_eq!(scene.publish().json_error(19)["code"], "freeze-marker");
        assert_eq!(scene.thaw().json_error(19)["code"], "freeze-marker");
    }
    assert_eq!(scene.calls("stop"), 0);
}

#[test]
fn a_script_freezes_and_is_called_again_however_the_run_ends() {
    let scene = Scene::stop_clone();
    scene.configure(&format!("method = 'command'\ncommand = ['{}']", scene.file("script").display()));
    scene.set("answer", "no snapshot");
    assert_eq!(scene.publish().json_error(18)["code"], "freeze-failed");
    scene.all_is_well();
    scene.set("answer", &format!("{{\"dir\":\"{}\",\"height\":9}}", scene.world.path("node").display()));
    let summary = scene.publish().summary();
    assert_eq!((&summary["freeze"]["method"], scene.calls("script thaw")), (&"command".into(), 2));
    scene.all_is_well();
    scene.set("slow-stop", "1");
    let mut child = scene.until_phase("stopping");
    scene.until("the script", |scene| !scene.runs());
    child.kill().unwrap();
    child.wait().unwrap();
    scene.until("the watchdog", |scene| scene.runs() && !scene.marker().exists());
}

// PU-01
#[test]
fn a_node_that_somebody_starts_while_it_is_copied_is_not_published() {
    let scene = Scene::stop_clone();
    scene.set("somebody-starts", "");
    let refused = scene.publish().json_error(18);
    assert_eq!(refused["code"], "stop-not-clean");
    assert!(refused["message"].as_str().unwrap().contains("somebody started it while it was copied"), "{refused}");
    assert!(scene.runs() && !scene.world.store().join("heads").exists());
}

#[test]
fn a_file_in_the_folder_of_markers_that_is_no_marker_keeps_no_node_stopped() {
    let scene = Scene::stop_clone();
    fs::create_dir_all(scene.world.path("provider-state/freeze")).unwrap();
    fs::write(scene.world.path("provider-state/freeze/notes.json"), "mine").unwrap();
    scene.world.provider().args(["thaw", "--all"]).summary();
    scene.publish().summary();
}

#[test]
fn a_stop_command_that_does_not_return_keeps_no_node_stopped() {
    let scene = Scene::stop_clone();
    let file = |name: &str| scene.file(name).display().to_string();
    let text = format!(
        "[channels.'{CHANNEL}'.freeze]\nmethod = 'stop-clone'\nreserve = '0%'\nstop_timeout = '1s'\nstart_timeout = '5s'\n\
         stop = 'rm {running}; echo stop >> {calls}; sleep 20'\nstart = 'touch {running}'\nstatus = 'test -e {running}'\n",
        running = file("running"),
        calls = file("calls")
    );
    fs::write(scene.world.path("config.toml"), text).unwrap();
    let refused = scene.publish().json_error(18);
    assert_eq!(refused["code"], "stop-not-clean", "{refused}");
    assert!(scene.runs() && scene.calls("stop") == 1);
    scene.world.provider().args(["thaw", "--all"]).summary();
    assert!(scene.runs() && scene.calls("stop") == 1);
}

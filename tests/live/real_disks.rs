//! Power cuts on real file systems: what is on the disk at random moments of a run is taken, mounted, and the same run starts again.

use std::{
    fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng, rngs::StdRng};

use crate::{
    disk_image::{Disk, SMALL},
    support::{
        CHANNEL, World,
        command::{Qsync, text},
        database::copy_tree,
        evil::{Answer, EvilMirror},
        tree,
    },
};

/// Moments at which the power goes in each kind of run.
const CUTS: usize = 6;

/// A world outside, and a disk that loses power.
struct Scene {
    // Before the world, which holds its image.
    disk: Disk,
    world: World,
    pin: String,
    rng: StdRng,
}

impl Scene {
    /// `None`, in words, where images cannot be mounted.
    fn make(kind: &str) -> Option<Self> {
        let world = World::new();
        let disk = match Disk::make(world.folder(), kind, SMALL) {
            Ok(disk) => disk,
            Err(why) => {
                // Past the test harness, which shows nothing of a test that passes.
                std::io::stderr().write_all(format!("power cuts on {kind}: NOT run: {why}\n").as_bytes()).unwrap();
                return None;
            }
        };
        fs::create_dir_all(world.path("data/db/empty")).unwrap();
        tree::write(&world.path("data/db/000001.sst"), 40 * tree::CHUNK + 7);
        tree::make_sparse(&world.path("data/db/sparse"), 9 * tree::CHUNK, &[tree::CHUNK + 5]);
        tree::make_small_files(&world.path("data/small"), 60);
        tree::write(&world.path("data/CURRENT"), 40);
        let pin = world.init();
        world.publish(&world.path("data"), 1);
        Some(Self { disk, world, pin, rng: StdRng::seed_from_u64(3) })
    }

    fn restore(&self, source: &str) -> Qsync {
        let state = self.disk.path().join("state");
        let restore = Qsync::with_state(state).args(["restore", CHANNEL, "--from", source, "--trust", &self.pin, "--to"]);
        restore.arg(self.disk.path().join("node"))
    }

    /// Takes what is on the disk at random moments of a run that takes about `length`, and hands each to `check`, mounted again.
    fn cut_power(&mut self, run: impl Fn(&Self) -> Qsync, length: Duration, check: impl Fn(&Self, &str)) {
        self.disk.sync();
        self.disk.keep("before");
        let mut moments: Vec<Duration> = (0..CUTS).map(|_| length.mul_f64(self.rng.random_range(0.02..1.1))).collect();
        moments.sort();
        let began = Instant::now();
        let child = run(self).spawn();
        for (number, moment) in moments.iter().enumerate() {
            thread::sleep(moment.saturating_sub(began.elapsed()));
            self.disk.keep(&format!("cut-{number}"));
        }
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        check(self, "after the run");
        for (number, moment) in moments.iter().enumerate() {
            self.disk.go_back_to(&format!("cut-{number}"));
            check(self, &format!("power cut after {moment:?}"));
        }
        self.disk.go_back_to("before");
    }

    /// How long a run takes undisturbed. The disk is then as it was before.
    fn time(&mut self, run: impl Fn(&Self) -> Qsync) -> Duration {
        self.disk.sync();
        self.disk.keep("before");
        let began = Instant::now();
        run(self).summary();
        let length = began.elapsed();
        self.disk.go_back_to("before");
        length
    }
}

fn power_goes_on(kind: &str) {
    let Some(mut scene) = Scene::make(kind) else { return };
    restores_survive(&mut scene);
    replacements_survive(&mut scene);
    publishing_survives(&mut scene);
}

/// From a slow source, so that there are journaled batches to be found. P1, P3
fn restores_survive(scene: &mut Scene) {
    let pause = Duration::from_millis(900);
    let answer = move |key: &str| if key.starts_with("chunks/") { Answer::After(pause) } else { Answer::Whole };
    let slow = EvilMirror::start(scene.world.store(), answer);
    let length = pause * 4;
    scene.cut_power(
        |scene| scene.restore(&slow.url),
        length,
        |scene, when| {
            let node = scene.disk.path().join("node");
            assert!(!node.exists() || tree::snapshot(&node) == tree::snapshot(&scene.world.path("data")), "{when}: half a database");
            scene.restore(scene.world.store().to_str().unwrap()).summary();
            check_restored(scene, when);
        },
    );
}

/// P2
fn replacements_survive(scene: &mut Scene) {
    let store = scene.world.store().to_str().unwrap().to_owned();
    let node = scene.disk.path().join("node");
    fs::create_dir(&node).unwrap();
    tree::write(&node.join("000009.sst"), 3 * tree::CHUNK);
    let (old, new) = (tree::snapshot(&node), tree::snapshot(&scene.world.path("data")));
    let run = |scene: &Scene| scene.restore(&store).arg("--replace");
    let length = scene.time(run);
    scene.cut_power(run, length, |scene, when| {
        let found = tree::snapshot(&node);
        assert!(found == old || found == new, "{when}: neither the old nor the new");
        run(scene).summary();
        check_restored(scene, when);
    });
}

fn check_restored(scene: &Scene, when: &str) {
    let node = scene.disk.path().join("node");
    tree::assert_same(&scene.world.path("data"), &node);
    assert!(!scene.disk.path().join(".node.qsync-partial").exists(), "{when}");
    let verified = Qsync::with_state(scene.disk.path().join("state")).arg("verify").arg(&node).summary();
    assert_eq!(verified["defects"], 0, "{when}");
}

/// P8
fn publishing_survives(scene: &mut Scene) {
    let (store, state) = (scene.disk.path().join("store"), scene.disk.path().join("provider-state"));
    copy_tree(&scene.world.store(), &store);
    copy_tree(&scene.world.path("provider-state"), &state);
    let old = tree::snapshot(&scene.world.path("data"));
    tree::write(&scene.world.path("data/db/000002.sst"), 30 * tree::CHUNK);
    tree::write(&scene.world.path("data/CURRENT"), 41);
    let new = tree::snapshot(&scene.world.path("data"));
    let run = |scene: &Scene| {
        let publish = Qsync::with_state(state.clone()).args(["publish", CHANNEL]).arg(scene.world.path("data"));
        publish.arg("--to").arg(&store).args(["--height", "2"])
    };
    let shown = |scene: &Scene| {
        for leftover in [scene.world.target(), scene.world.path("operator-state")] {
            let _absent = fs::remove_dir_all(leftover);
        }
        scene.world.restore_from(store.to_str().unwrap(), &scene.pin).summary();
        tree::snapshot(&scene.world.target())
    };
    let length = scene.time(run);
    scene.cut_power(run, length, |scene, when| {
        let found = shown(scene);
        assert!(found == old || found == new, "{when}: the store shows neither the old snapshot nor the new one");
        run(scene).summary();
        assert!(shown(scene) == new, "{when}");
    });
}

// ST-06, CR-04
#[test]
fn the_power_may_go_at_any_moment_on_ext4() {
    power_goes_on("ext4");
}

// ST-06, CR-04
#[test]
fn the_power_may_go_at_any_moment_on_xfs() {
    power_goes_on("xfs");
}

// ST-06, CR-04
#[test]
fn the_power_may_go_at_any_moment_on_btrfs() {
    power_goes_on("btrfs");
}

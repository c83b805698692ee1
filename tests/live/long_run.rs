//! Many cycles of change, publish, kill, update and verify on real databases: nothing grows that should not.
//!
//! `tests/long_run` runs 200 cycles; without `QSYNC_TEST_CYCLES` it is a few.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use rustix::process::Signal;

use crate::{
    rocks_db,
    support::{
        World,
        command::Qsync,
        database::{assert_parity_db_reads, make_parity_db, write_parity_db},
        server::Server,
        tree,
    },
    usage::{Peak, at_most, disk_bytes, of_process},
};

/// Keys in each database.
const KEYS: u64 = 4_000;
/// Keys that change in each cycle.
const CHANGED: u64 = 250;
/// Every so many cycles all keys are read back and the figures are printed.
const LOOK_EVERY: u64 = 10;
const KIB: u64 = 1 << 10;

/// What everything takes after a cycle.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Bytes that the operator's disk holds beyond the database itself.
    operator_overhead: u64,
    provider_state: u64,
    store: u64,
    publish: Peak,
    restore: Peak,
    server: Peak,
}

struct Run {
    world: World,
    pin: String,
    server: Server,
    rng: StdRng,
    /// The version of each key.
    versions: Vec<u64>,
    /// How long a publish and an update take.
    lengths: (Duration, Duration),
}

impl Run {
    fn begin() -> Self {
        let world = World::new();
        make_parity_db(&world.path("data/paritydb"), KEYS);
        rocks_db::make_rocks_db(&world.path("data/rocksdb"), KEYS);
        let pin = world.init();
        let publish = time(|| drop(world.publish(&world.path("data"), 0)));
        let server = Server::start(world.provider(), &world.store());
        let restore = time(|| drop(world.restore_from(&server.url, &pin).summary()));
        let (rng, versions) = (StdRng::seed_from_u64(4), vec![0; KEYS as usize]);
        Self { world, pin, server, rng, versions, lengths: (publish, restore) }
    }

    fn data(&self) -> PathBuf {
        self.world.path("data")
    }

    fn update(&self) -> Qsync {
        self.world.restore_from(&self.server.url, &self.pin).arg("--replace")
    }

    fn publish(&self, cycle: u64) -> Qsync {
        self.world.publish_command(&self.data(), cycle)
    }

    /// Changes some keys of both databases.
    fn change(&mut self, cycle: u64) {
        let first = self.rng.random_range(0..KEYS - CHANGED);
        write_parity_db(&self.data().join("paritydb"), first..first + CHANGED, cycle);
        rocks_db::change_rocks_db(&self.data().join("rocksdb"), first..first + CHANGED, cycle);
        self.versions[first as usize..(first + CHANGED) as usize].fill(cycle);
        // A node removes its old logs; `ldb` keeps them all.
        let logs = fs::read_dir(self.data().join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
        logs.filter(|path| path.to_string_lossy().contains("LOG.old.")).for_each(|path| fs::remove_file(path).unwrap());
    }

    fn cycle(&mut self, cycle: u64) -> Sample {
        self.change(cycle);
        let (publish, restore) = self.lengths;
        self.kill(self.publish(cycle).spawn_quietly(), publish);
        let publish = at_most(self.publish(cycle));
        self.kill(self.update().spawn_quietly(), restore);
        let restore = at_most(self.update());
        self.check();
        Sample {
            operator_overhead: self.operator_bytes().saturating_sub(disk_bytes(&self.data())),
            provider_state: disk_bytes(&self.world.path("provider-state")),
            store: disk_bytes(&self.world.store()),
            publish,
            restore,
            server: of_process(self.server.child.id()).unwrap(),
        }
    }

    fn kill(&mut self, mut child: Child, length: Duration) {
        thread::sleep(length.mul_f64(self.rng.random_range(0.0..1.2)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn check(&self) {
        tree::assert_same(&self.data(), &self.world.target());
        let verified = self.world.operator().arg("verify").arg(self.world.target()).summary();
        assert_eq!(verified["defects"], 0, "{verified}");
        let staging = self.world.store().join(".qsync-staging");
        assert_eq!(fs::read_dir(staging).unwrap().count(), 1, "dead writers left something");
    }

    /// All that lies on the operator's side.
    fn operator_bytes(&self) -> u64 {
        let theirs = fs::read_dir(self.world.folder()).unwrap().map(|entry| entry.unwrap().path());
        let is_theirs = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.contains("restored") || name == "operator-state"
        };
        theirs.filter(is_theirs).map(|path| disk_bytes(&path)).sum()
    }

    /// Opens both databases in the target and reads every key.
    fn read_databases(&self) {
        let target: &Path = &self.world.target();
        rocks_db::assert_rocks_db_scans(&target.join("rocksdb"), KEYS);
        assert_parity_db_reads(&target.join("paritydb"), KEYS, |key| self.versions[key as usize]);
    }
}

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// Fails unless the most that a figure comes to is at the end what it was at the beginning, give or take an eighth and `slack`.
fn assert_flat(what: &str, samples: &[Sample], slack: u64, of: impl Fn(&Sample) -> u64) {
    assert_flat_figure(&format!("{what}, at most,"), samples, slack, |samples| samples.iter().map(&of).max().unwrap());
}

/// The same for the least: how many chunks are under way at once depends on the disk of that moment and on what else the machine does, and
/// what is added with every cycle is in the best of them too.
fn assert_at_best_flat(what: &str, samples: &[Sample], slack: u64, of: impl Fn(&Sample) -> u64) {
    assert_flat_figure(&format!("{what}, at least,"), samples, slack, |samples| samples.iter().map(&of).min().unwrap());
}

fn assert_flat_figure(what: &str, samples: &[Sample], slack: u64, figure: impl Fn(&[Sample]) -> u64) {
    let third = samples.len() / 3;
    let (first, last) = (figure(&samples[..third]), figure(&samples[samples.len() - third..]));
    eprintln!("{what}: {first} in the first third of the cycles, {last} in the last");
    assert!(last <= first + first / 8 + slack, "{what} grows");
}

fn print(cycle: u64, sample: &Sample) {
    eprintln!(
        "cycle {cycle}: operator's disk beyond the database {} KiB, provider's state {} KiB, store {} KiB; \
         publish {} KiB {} files, restore {} KiB {} files, serve {} KiB {} files",
        sample.operator_overhead / KIB,
        sample.provider_state / KIB,
        sample.store / KIB,
        sample.publish.memory_kib,
        sample.publish.files,
        sample.restore.memory_kib,
        sample.restore.files,
        sample.server.memory_kib,
        sample.server.files
    );
}

// CR-01
#[test]
fn nothing_grows_in_many_cycles_of_change_publish_kill_and_update() {
    let cycles = std::env::var("QSYNC_TEST_CYCLES").map_or(15, |cycles| cycles.parse().unwrap());
    assert!(cycles >= 3);
    let mut run = Run::begin();
    let mut samples = Vec::new();
    for cycle in 1..=cycles {
        let sample = run.cycle(cycle);
        if cycle % LOOK_EVERY == 0 || cycle == cycles {
            run.read_databases();
            print(cycle, &sample);
        }
        samples.push(sample);
    }
    assert_flat("bytes on the operator's disk beyond the database", &samples, 64 * KIB, |sample| sample.operator_overhead);
    assert_flat("bytes of the provider's state", &samples, 64 * KIB, |sample| sample.provider_state);
    // Nothing is deleted from a store in this version, so it grows by what each cycle changes, and by no more at the end.
    let growth: Vec<Sample> = samples.windows(2).map(|pair| Sample { store: pair[1].store - pair[0].store, ..pair[1] }).collect();
    assert_flat("bytes that a cycle adds to the store", &growth, 512 * KIB, |sample| sample.store);
    assert_at_best_flat("KiB of memory of publish", &samples, 12 * KIB, |sample| sample.publish.memory_kib);
    assert_at_best_flat("KiB of memory of restore", &samples, 12 * KIB, |sample| sample.restore.memory_kib);
    assert_flat("KiB of memory of serve", &samples, 4 * KIB, |sample| sample.server.memory_kib);
    assert_flat("open files of publish", &samples, 24, |sample| sample.publish.files);
    assert_flat("open files of restore", &samples, 24, |sample| sample.restore.files);
    assert_flat("open files of serve", &samples, 2, |sample| sample.server.files);
    assert!(run.server.end(Signal::TERM).code().is_some());
}

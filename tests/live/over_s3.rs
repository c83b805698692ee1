//! Both channels of a provider at once: a bucket whose readers pay holds the chunks as they are, another, behind a cache, holds the frames.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{
    outages::Restore,
    programs::{assert_diff_finds_nothing, shell},
    rocks_db,
    servers::{
        cable::Cable,
        cdn::Cdn,
        ceph::{Ceph, OWNER, READER, STRANGER},
        moto::Moto,
        s3::{Bucket, User},
    },
    support::{
        CHANNEL, World,
        command::{Qsync, text},
        database, tree,
    },
};

const KEYS: u64 = 8_000;
const MIB: u64 = 1 << 20;
/// Slow enough that a restore is still at work when a server dies.
const SLOWLY: [&str; 2] = ["--limit-rate", "3MiB"];

/// A provider, an operator, and what lies between them.
struct Scene {
    world: World,
    pin: String,
    paid: Bucket,
    framed: Bucket,
    cdn: Cdn,
    distribution: String,
}

impl Scene {
    /// One with a `ParityDB` and a `RocksDB` published to both channels in one run. `name` makes its buckets others than those of other tests.
    fn published(name: &str) -> Self {
        let scene = Self::new(name);
        database::make_parity_db(&scene.data().join("parity"), KEYS);
        rocks_db::make_rocks_db(&scene.data().join("rocks"), KEYS);
        scene.publish(1);
        scene
    }

    /// One with two empty stores.
    fn new(name: &str) -> Self {
        let paid = Ceph::shared().make_paid_bucket(&format!("{name}-paid"));
        let framed = Ceph::shared().make_open_bucket(&format!("{name}-cdn"));
        let cdn = Cdn::before(&framed.url());
        let distribution = Moto::shared().make_distribution();
        let mut scene = Self { world: World::new(), pin: String::new(), paid, framed, cdn, distribution };
        fs::create_dir(scene.data()).unwrap();
        let init = scene.world.provider().args(["init", "--name", "test", "--to", &scene.paid.store()]);
        scene.pin = format!("b3:{}", signed_by(OWNER, init).summary()["repo"].as_str().unwrap());
        scene
    }

    fn data(&self) -> PathBuf {
        self.world.path("data")
    }

    fn publish(&self, height: u64) -> Value {
        self.publish_command(height).summary()
    }

    fn publish_command(&self, height: u64) -> Qsync {
        let framed = format!("{}&cdn={}&distribution={}", self.framed.store(), self.cdn.url(), self.distribution);
        let publish = self.world.provider().args(["publish", CHANNEL]).arg(self.data());
        let publish = publish.args(["--to", &self.paid.store(), "--to", &framed, "--height", &height.to_string()]);
        signed_by(OWNER, publish).env("AWS_ENDPOINT_URL_CLOUDFRONT", Moto::shared().s3.endpoint())
    }

    /// The command that restores from `sources`, by a reader who agrees to pay.
    fn restore(&self, sources: &[&str]) -> Qsync {
        signed_by(READER, self.restore_without_consent(sources)).arg("--accept-cost")
    }

    fn restore_without_consent(&self, sources: &[&str]) -> Qsync {
        let restore = self.world.operator().args(["restore", CHANNEL, "--trust", &self.pin, "--to"]).arg(self.world.target());
        sources.iter().fold(restore, |restore, source| restore.args(["--from", source]))
    }

    /// The number of the head in the paid bucket.
    fn seq(&self) -> u64 {
        let show = self.world.operator().args(["head", "show", CHANNEL, "--trust", &self.pin, "--from", &self.paid.store()]);
        signed_by(READER, show).summary()["seq"].as_u64().unwrap()
    }

    /// What was restored is the database; removes it.
    #[track_caller]
    fn check_restored(&self) {
        assert_diff_finds_nothing(&self.data(), &self.world.target());
        fs::remove_dir_all(self.world.target()).unwrap();
    }
}

/// The same command with a user's credentials, and no others that this machine may have.
pub(crate) fn signed_by(user: User, command: Qsync) -> Qsync {
    user.variables().into_iter().fold(without_credentials(command), |command, (name, value)| command.env(name, value))
}

/// The same command on a machine without credentials.
fn without_credentials(command: Qsync) -> Qsync {
    let nothing = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].into_iter();
    nothing.fold(command, |command, name| command.env(name, "/dev/null")).env("AWS_EC2_METADATA_DISABLED", "true")
}

fn bytes_of(summary: &Value, source: usize) -> u64 {
    summary["sources"][source]["bytes"].as_u64().unwrap_or_else(|| panic!("{summary}"))
}

#[test]
fn two_databases_come_back_from_the_paid_bucket_from_the_cache_and_from_both() {
    let scene = Scene::published("both");
    assert!(scene.paid.keys("chunks/").is_empty() && scene.framed.keys("raw/").is_empty());
    assert_eq!(scene.paid.keys("raw/").len(), scene.framed.keys("chunks/").len());
    assert_eq!(Moto::shared().invalidated(&scene.distribution), ["/heads/*"]);

    let (paid, cdn) = (scene.paid.store(), scene.cdn.url());
    scene.restore(&[&paid]).summary();
    database::assert_parity_db_reads(&scene.world.target().join("parity"), KEYS, |_| 0);
    rocks_db::assert_rocks_db_scans(&scene.world.target().join("rocks"), KEYS);
    scene.check_restored();

    // The cache is free: whoever has no account needs none.
    without_credentials(scene.restore_without_consent(&[&cdn])).summary();
    scene.check_restored();

    let summary = scene.restore(&[&paid, &cdn]).args(["--use-paid", "together"]).summary();
    assert!(bytes_of(&summary, 0) > MIB && bytes_of(&summary, 1) > MIB, "{summary}");
    scene.check_restored();

    let summary = scene.restore(&[&paid, &cdn]).summary();
    assert!(bytes_of(&summary, 0) < MIB && bytes_of(&summary, 1) > MIB, "what is free is asked first: {summary}");
    scene.check_restored();
}

// PU-10
#[test]
fn what_a_cache_may_keep_of_a_damaged_object_is_forgotten_when_it_is_put_again() {
    let scene = Scene::published("healed");
    let key = scene.framed.keys("chunks/").swap_remove(0);
    let whole = scene.framed.get(&key);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    scene.framed.put(&key, &damaged);
    scene.publish_command(2).arg("--rehash").summary();
    assert!(scene.framed.get(&key) == whole, "the object is still damaged");
    let forgotten = Moto::shared().invalidated(&scene.distribution);
    assert!(forgotten.contains(&format!("/{key}")), "{key} is not in {forgotten:?}");
}

// AW-01, AW-02, AW-03
#[test]
fn nobody_restores_from_a_paid_bucket_without_paying() {
    let scene = Scene::published("refused");
    let (paid, unpaid) = (scene.paid.store(), scene.paid.store().replace("&requester_pays=true", ""));
    let by = |user, source: &str| signed_by(user, scene.restore_without_consent(&[source]));
    for (command, code, way_out) in [
        (by(READER, &paid), "cost-not-accepted", "--accept-cost"),
        (by(READER, &unpaid), "denied", "requester_pays=true"),
        (by(STRANGER, &paid).arg("--accept-cost"), "denied", "check the credentials"),
        (by(User { secret_key: "guessed", ..READER }, &paid).arg("--accept-cost"), "credentials-wrong", "access key"),
        (without_credentials(scene.restore_without_consent(&[&paid])), "credentials-missing", "CDN"),
        (without_credentials(scene.restore_without_consent(&[&format!("{unpaid}&anonymous=true")])), "denied", "requester_pays=true"),
    ] {
        let error = command.json_error(12);
        assert_eq!(error["code"], code, "{error}");
        assert!(error.to_string().contains(way_out), "{way_out:?} is not in: {error}");
    }
    assert!(!scene.world.target().exists());
}

#[test]
fn a_strangers_tool_checks_any_object_of_the_paid_bucket() {
    let scene = Scene::published("stranger-tool");
    let keys = scene.paid.keys("raw/");
    let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos() as usize;
    let key = &keys[nanoseconds % keys.len()];
    let fetch = format!(
        "curl -fsS --aws-sigv4 aws:amz:us-east-1:s3 --user {}:{} -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
         -H 'x-amz-request-payer: requester' {}/{key} | b3sum --no-names",
        READER.access_key,
        READER.secret_key,
        scene.paid.url()
    );
    assert_eq!(key.rsplit('/').next(), Some(shell(&fetch, scene.world.folder()).trim()));
}

// NW-01
#[test]
fn a_cache_or_a_gateway_that_dies_costs_time_and_no_byte() {
    let mut scene = Scene::published("dies");
    let mut gateway = Ceph::shared().start_gateway();
    let (paid, cdn) = (gateway.bucket(&scene.paid).store(), scene.cdn.url());
    let both = |scene: &Scene| scene.restore(&[&paid, &cdn]).args(SLOWLY);

    let mut restore = Restore::under_way(both(&scene).args(["--use-paid", "together"]));
    gateway.kill();
    assert!(restore.is_running());
    let summary = restore.finish();
    assert!(bytes_of(&summary, 1) > 0 && summary["sources"][1]["errors"] == 0, "{summary}");
    scene.check_restored();

    // The gateway is asked, and paid, from when the cache is gone.
    gateway.start_again();
    let mut restore = Restore::under_way(both(&scene));
    scene.cdn.kill();
    assert!(restore.is_running());
    let summary = restore.finish();
    assert!(summary["sources"][1]["errors"].as_u64() > Some(0) && bytes_of(&summary, 0) > 0, "{summary}");
    scene.check_restored();
}

// NW-02
#[test]
fn a_path_that_is_cut_in_the_middle_costs_time_and_no_byte() {
    let scene = Scene::published("cut");
    let cable = Cable::to(Ceph::shared().s3.endpoint());
    let (paid, cdn) = (scene.paid.at(&cable.endpoint()).store(), scene.cdn.url());
    let mut restore = Restore::under_way(scene.restore(&[&paid, &cdn]).args(SLOWLY).args(["--use-paid", "together"]));
    cable.cut();
    assert!(restore.is_running());
    let summary = restore.finish();
    // Where the gateway was much slower than the cache from the first object on, it is not asked for a second one, and nobody notices the cut.
    let paid = &summary["sources"][0];
    assert!(paid["errors"].as_u64() > Some(0) || paid["objects"].as_u64() <= Some(1), "{summary}");
    assert!(bytes_of(&summary, 1) > 0 && summary["sources"][1]["errors"] == 0, "{summary}");
    scene.check_restored();
}

// NW-01, NW-10
#[test]
fn a_restore_outlives_its_only_gateway_and_finishes_when_it_is_back() {
    let scene = Scene::published("returns");
    let mut gateway = Ceph::shared().start_gateway();
    let paid = gateway.bucket(&scene.paid).store();
    let restore = Restore::under_way(scene.restore(&[&paid]).args(SLOWLY));
    gateway.kill();
    thread::sleep(Duration::from_secs(1));
    assert!(!scene.world.target().exists());
    gateway.start_again();
    let summary = restore.finish();
    assert!(summary["sources"][0]["errors"].as_u64() > Some(0), "{summary}");
    scene.check_restored();
}

#[test]
fn of_two_publishers_to_one_bucket_one_wins_and_the_other_says_so() {
    let scene = Scene::published("two-publishers");
    let machines = [("provider-state", "data"), ("second-state", "second-data")];
    let machines = machines.map(|(state, data)| (scene.world.path(state), scene.world.path(data)));
    database::copy_tree(&machines[0].0, &machines[1].0);
    database::copy_tree(&machines[0].1, &machines[1].1);
    for height in 2..6 {
        // Two snapshots: of one they would sign one head, and both be right.
        machines.iter().for_each(|(state, data)| fs::write(data.join("made-by"), format!("{height} {}", state.display())).unwrap());
        let before = scene.seq();
        let runs = machines.clone().map(|(state, data)| {
            let publish = Qsync::with_state(state).args(["publish", CHANNEL, "--json", "--to", &scene.paid.store()]).arg(data);
            signed_by(OWNER, publish.args(["--height", &height.to_string()])).spawn()
        });
        let ends = runs.map(|run| run.wait_with_output().unwrap());
        let won = ends.iter().filter(|end| end.status.success()).count();
        assert!(won > 0, "{ends:?}");
        for lost in ends.iter().filter(|end| !end.status.success()) {
            assert!(lost.status.code() == Some(11) && text(&lost.stdout).contains("\"lost-race\""), "{lost:?}");
        }
        // Whoever came after the other's end won too, with a head of their own: no head is lost.
        assert_eq!(scene.seq() - before, won as u64);
        scene.restore(&[&scene.paid.store()]).summary();
        let restored = tree::snapshot(&scene.world.target());
        let published = machines.iter().zip(&ends).filter(|(_, end)| end.status.success());
        assert!(published.into_iter().any(|((_, data), _)| tree::snapshot(data) == restored));
        fs::remove_dir_all(scene.world.target()).unwrap();
    }
}

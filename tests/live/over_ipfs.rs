//! A provider's third channel: a real node of IPFS, and what users without qsync can do with it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    programs::{assert_diff_finds_nothing, shell},
    rocks_db,
    servers::kubo::Kubo,
    support::{
        CHANNEL, World,
        command::{Qsync, text},
        database, tree,
    },
};

const KEYS: u64 = 20_000;
const MIB: u64 = 1 << 20;

/// A provider with a node and no other store.
struct Scene {
    world: World,
    kubo: Kubo,
    pin: String,
}

impl Scene {
    fn new(kubo: Kubo) -> Self {
        let world = World::new();
        let init = world.provider().args(["init", "--name", "test", "--to", &kubo.rpc()]).summary();
        let pin = format!("b3:{}", init["repo"].as_str().unwrap());
        fs::create_dir(world.path("data")).unwrap();
        Self { world, kubo, pin }
    }

    /// One with real databases, every awkward shape of file, and a directory of 10,000 names.
    fn with_databases(kubo: Kubo) -> Self {
        let scene = Self::new(kubo);
        rocks_db::make_rocks_db(&scene.data().join("rocks"), KEYS);
        database::make_parity_db(&scene.data().join("parity"), KEYS / 4);
        tree::make_awkward(&scene.data().join("awkward"));
        tree::make_small_files(&scene.data().join("many"), 10_000);
        scene
    }

    fn data(&self) -> PathBuf {
        self.world.path("data")
    }

    fn command(&self) -> Qsync {
        self.world.provider().args(["publish", CHANNEL]).arg(self.data()).args(["--to", &self.kubo.rpc()])
    }

    fn publish(&self) -> Value {
        let summary = self.command().summary();
        assert_eq!(summary["ipfs"]["error"], Value::Null, "{summary}");
        summary["ipfs"].clone()
    }

    /// What the operator gets from the archive and from the tree with stock tools is the database.
    #[track_caller]
    fn check_with_stock_tools(&self, root: &str, expected: &Path) {
        for (name, script) in [
            ("unpacked", format!("mkdir $OUT; $IPFS cat {root}/archive.tar.zst | zstd -dq | tar x -C $OUT")),
            ("got", format!("$IPFS get -o $OUT {root}/tree")),
        ] {
            let out = self.world.path(name);
            let ipfs = format!("env IPFS_PATH={} {}", self.kubo.repository().display(), program(&self.kubo));
            shell(&format!("OUT={}; IPFS='{ipfs}'; {script}", out.display()), self.world.folder());
            assert_diff_finds_nothing(expected, &out);
            fs::remove_dir_all(out).unwrap();
        }
    }

    /// The blocks below a root that the node itself has, which must be all.
    #[track_caller]
    fn blocks_of(&self, root: &str) -> usize {
        self.kubo.ipfs(&["refs", "-r", "--unique", "--offline", root]).lines().count()
    }

    /// The first folder that keeps blocks of an unfinished run, when there is one.
    fn has_guards(&self) -> bool {
        !self.kubo.ipfs(&["files", "ls", "/"]).is_empty()
            && text(
                &self.kubo.command(&["files", "ls", &format!("/qsync/partial/{}/{CHANNEL}", &self.pin[3..15])]).output().unwrap().stdout,
            )
            .lines()
            .count()
                > 0
    }
}

fn program(kubo: &Kubo) -> String {
    kubo.command::<&str>(&[]).get_program().to_str().unwrap().to_owned()
}

fn cid(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

/// What `ipfs add` gives to a directory under the profile that qsync follows, on a machine without a running node.
fn added(kubo: &Kubo, dir: &Path) -> String {
    let repository = tempfile::tempdir().unwrap();
    let mut init = kubo.command(&["init", "--profile=test,unixfs-v1-2025"]);
    assert!(init.env("IPFS_PATH", repository.path()).output().unwrap().status.success());
    let mut add = kubo.command(&["add", "-rHQ", "--only-hash", "--hash=blake3"]);
    let output = add.env("IPFS_PATH", repository.path()).arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[test]
fn stock_tools_get_the_database_from_the_archive_and_from_the_tree() {
    let scene = Scene::with_databases(Kubo::start());
    let ipfs = scene.publish();
    let root = cid(&ipfs, "root");
    scene.check_with_stock_tools(&root, &scene.data());
    database::assert_parity_db_reads(&scene.data().join("parity"), KEYS / 4, |_| 0);

    // The node itself is content, and keeps all of it and nothing besides.
    scene.kubo.ipfs(&["dag", "stat", &root]);
    let blocks = scene.blocks_of(&root);
    assert!(scene.kubo.ipfs(&["repo", "verify"]).contains("verify complete, all blocks validated"));
    scene.kubo.ipfs(&["repo", "gc"]);
    assert_eq!(scene.blocks_of(&root), blocks);
    assert!(!scene.has_guards());
    let name = format!("qsync/{}/{CHANNEL}", &scene.pin[3..15]);
    assert!(scene.kubo.ipfs(&["pin", "ls", "--type=recursive", "--names"]).contains(&format!("{root} recursive {name}")));

    // Everybody can compute what the CID promises.
    let tree = cid(&ipfs, "tree");
    assert_eq!(scene.world.operator().arg("cid").arg(scene.data()).stdout().trim(), tree);
    assert_eq!(scene.kubo.ipfs(&["resolve", &format!("/ipfs/{root}/tree")]), format!("/ipfs/{tree}"));
    // So can `ipfs add`, but for directories with empty files, of which it makes blocks that no node can get from another.
    for dir in ["rocks", "many"] {
        for empty in tree::files(&scene.data().join(dir)).iter().filter(|file| fs::metadata(file).unwrap().len() == 0) {
            fs::remove_file(empty).unwrap();
        }
        let of_qsync = scene.world.operator().arg("cid").arg(scene.data().join(dir)).stdout();
        assert_eq!(of_qsync.trim(), added(&scene.kubo, &scene.data().join(dir)), "{dir}");
    }

    // The head says where it is.
    let store = scene.world.path("provider-state").join("key-stores").join(&scene.pin[3..]);
    let read = |verb: &[&str]| scene.world.operator().args(verb).args(["--trust", &scene.pin, "--from"]).arg(&store);
    assert!(read(&["list"]).stdout().contains(&format!("ipfs://{root}")));
    assert_eq!(
        read(&["show", CHANNEL, "--cids"]).stdout(),
        format!("root     {root}\narchive  {}\ntree     {tree}\n", cid(&ipfs, "archive"))
    );
    assert!(fs::read_to_string(store.join("index.json")).unwrap().contains(&root));
}

#[test]
fn a_second_snapshot_sends_what_is_new_and_the_first_goes_when_its_time_is_over() {
    let scene = Scene::new(Kubo::start());
    rocks_db::make_rocks_db(&scene.data().join("rocks"), KEYS);
    let first = scene.publish();
    let kept = scene.world.path("kept");
    database::copy_tree(&scene.data(), &kept);

    // Nothing changed: nothing is sent.
    let again = scene.publish();
    assert_eq!((&again["blocks"], &again["root"]), (&0.into(), &first["root"]));

    // Two per cent of the keys change; how much that is, a store says.
    let store = scene.world.store();
    let to_store = |scene: &Scene| {
        scene
            .world
            .provider()
            .args(["publish", CHANNEL])
            .arg(scene.data())
            .args(["--to", &format!("file://{}?forms=zstd,raw", store.display())])
    };
    to_store(&scene).summary();
    rocks_db::change_rocks_db(&scene.data().join("rocks"), 0..KEYS / 50, 1);
    let both = to_store(&scene).summary()["stores"][0].clone();
    let second = scene.command().args(["--keep-last", "0"]).summary()["ipfs"].clone();
    let (new, sent) = (both["uploaded_bytes"].as_u64().unwrap(), second["uploaded_bytes"].as_u64().unwrap());
    assert!(new > MIB / 2 && sent * 10 <= new * 12, "{sent} bytes sent for {new} new ones: {second}");
    let (old, new) = (cid(&first, "root"), cid(&second, "root"));
    scene.check_with_stock_tools(&old, &kept);
    scene.check_with_stock_tools(&new, &scene.data());

    // No head names the first any more. It is promised for a while, and then it goes.
    scene.command().args(["--keep-last", "0"]).summary();
    scene.kubo.ipfs(&["repo", "gc"]);
    let blocks = scene.blocks_of(&old);
    assert!(blocks > 10);
    let memory = tree::files(&scene.world.path("provider-state").join("ipfs")).remove(0);
    let mut remembered: Value = serde_json::from_slice(&fs::read(&memory).unwrap()).unwrap();
    remembered["promised"][&old] = "2020-01-01T00:00:00Z".into();
    fs::write(&memory, serde_json::to_vec(&remembered).unwrap()).unwrap();
    scene.command().args(["--keep-last", "0"]).summary();
    let pins = scene.kubo.ipfs(&["pin", "ls", "--type=recursive"]);
    assert!(!pins.contains(&old) && pins.contains(&new), "{pins}");
    scene.kubo.ipfs(&["repo", "gc"]);
    assert!(!scene.kubo.command(&["refs", "-r", "--offline", &old]).output().unwrap().status.success());
    scene.check_with_stock_tools(&new, &scene.data());
}

#[test]
fn garbage_collection_at_any_moment_of_a_publish_loses_nothing() {
    let scene = Scene::new(Kubo::start());
    let ended = AtomicBool::new(false);
    let mut collected = 0;
    for round in 0..4 {
        for file in 0..12 {
            tree::write(&scene.data().join(format!("{round}-{file}")), 6 * MIB + round);
        }
        collected += thread::scope(|scope| {
            ended.store(false, Ordering::Relaxed);
            let collector = scope.spawn(|| {
                let mut times = 0;
                while !ended.load(Ordering::Relaxed) {
                    scene.kubo.ipfs(&["repo", "gc", "-q"]);
                    times += 1;
                }
                times
            });
            let ipfs = scene.publish();
            ended.store(true, Ordering::Relaxed);
            let times = collector.join().unwrap();
            scene.blocks_of(&cid(&ipfs, "root"));
            scene.check_with_stock_tools(&cid(&ipfs, "root"), &scene.data());
            times
        });
    }
    assert!(collected > 12, "only {collected} collections");
}

#[test]
fn a_node_that_is_killed_in_the_middle_costs_what_was_on_its_way() {
    let mut scene = Scene::new(Kubo::start());
    for file in 0..60 {
        tree::write(&scene.data().join(format!("{file}.sst")), 4 * MIB + 1);
    }
    let publish = scene.command().arg("--json").spawn();
    let began = Instant::now();
    while !scene.has_guards() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was sent");
        thread::sleep(Duration::from_millis(10));
    }
    scene.kubo.kill();
    let output = publish.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    // Down: it is found out before anything is read.
    assert!(scene.command().fails_with(16).contains("is the node running?"));
    scene.kubo.start_again();
    let ipfs = scene.publish();
    let sent = ipfs["uploaded_bytes"].as_u64().unwrap();
    assert!(sent > 0 && sent < 480 * MIB - 100 * MIB, "{sent} bytes sent again");
    scene.check_with_stock_tools(&cid(&ipfs, "root"), &scene.data());
}

#[test]
fn what_the_node_lost_is_found_by_the_next_run_and_made_again_under_the_same_name() {
    let scene = Scene::new(Kubo::start());
    tree::make_awkward(&scene.data());
    let root = cid(&scene.publish(), "root");
    scene.kubo.ipfs(&["pin", "rm", &root]);
    scene.kubo.ipfs(&["repo", "gc"]);
    assert!(!scene.kubo.command(&["refs", "--offline", &root]).output().unwrap().status.success());
    let again = scene.publish();
    assert_eq!(cid(&again, "root"), root);
    scene.check_with_stock_tools(&root, &scene.data());
}

#[test]
fn another_node_that_knows_the_name_alone_gets_and_pins_it() {
    let (publisher, other) = (Kubo::start_online(), Kubo::start_online());
    other.connect(&publisher);
    let scene = Scene::new(publisher);
    // With empty files and empty directories.
    tree::make_awkward(&scene.data());
    let root = cid(&scene.publish(), "root");
    other.ipfs(&["pin", "add", "--progress=false", &root]);
    let out = scene.world.path("got");
    other.ipfs(&["get", "-o", out.to_str().unwrap(), &format!("{root}/tree")]);
    assert_diff_finds_nothing(&scene.data(), &out);
    assert_eq!(other.ipfs(&["refs", "-r", "--unique", "--offline", &root]).lines().count(), scene.blocks_of(&root));
}

#[test]
fn a_connected_node_that_lost_a_block_on_its_disk_gets_it_again_when_everything_is_proved() {
    let scene = Scene::new(Kubo::start_online());
    tree::make_awkward(&scene.data());
    let root = cid(&scene.publish(), "root");
    let deep = scene.data().join("a/b/c/d/e/f/g/Deep_file-1.2+3");
    let leaf = added(&scene.kubo, &deep);
    let name = scene.kubo.ipfs(&["cid", "format", "-f", "%M", "-b", "base32upper", &leaf]);
    let stored = tree::files(&scene.kubo.repository().join("blocks"));
    let stored = stored.iter().find(|file| file.file_stem().unwrap().to_str() == Some(name.as_str())).unwrap();
    fs::remove_file(stored).unwrap();
    assert!(!scene.kubo.command(&["refs", "-r", "--offline", &root]).output().unwrap().status.success());
    let proved = scene.command().arg("--rehash").summary();
    assert_eq!(proved["ipfs"]["root"].as_str(), Some(root.as_str()), "{proved}");
    scene.blocks_of(&root);
    scene.check_with_stock_tools(&root, &scene.data());
}

#[test]
fn a_node_that_fails_keeps_nothing_from_the_other_stores() {
    let mut scene = Scene::new(Kubo::start());
    tree::make_awkward(&scene.data());
    let both = |scene: &Scene| scene.command().arg("--to").arg(scene.world.store());
    scene.kubo.kill();
    let failed = both(&scene).arg("--json").output();
    assert_eq!(failed.status.code(), Some(3), "{}", text(&failed.stdout));
    scene.world.restore_command(&scene.pin).summary();
    assert_diff_finds_nothing(&scene.data(), &scene.world.target());
    scene.kubo.start_again();
    let summary = both(&scene).summary();
    assert_eq!((&summary["unchanged"], &summary["ipfs"]["error"]), (&true.into(), &Value::Null), "{summary}");
    scene.check_with_stock_tools(&cid(&summary["ipfs"], "root"), &scene.data());
}

#[test]
fn a_wrong_address_and_a_missing_secret_are_named() {
    let kubo = Kubo::start_with_secret("basic:qsync:hidden");
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    let publish = |to: &str| world.provider().args(["publish", CHANNEL]).arg(world.path("data")).args(["--to", to]);
    let gateway = format!("ipfs+{}", kubo.gateway());
    assert!(publish(&gateway).fails_with(16).contains("not that of its gateway"));
    let refused = publish(&kubo.rpc()).fails_with(12);
    assert!(refused.contains("QSYNC_IPFS_AUTH") && !refused.contains("hidden"), "{refused}");
    let secret = world.path("secret");
    fs::write(&secret, "basic:qsync:hidden\n").unwrap();
    let summary = publish(&kubo.rpc()).env("QSYNC_IPFS_AUTH_FILE", &secret).summary();
    assert_eq!(summary["ipfs"]["error"], Value::Null, "{summary}");
}

/// What an operator restores by a CID alone.
fn restore_by_cid(scene: &Scene, root: &str) -> Qsync {
    scene.world.operator().args(["restore", "--from", &format!("ipfs://{root}"), "--to"]).arg(scene.world.target())
}

#[test]
fn a_cid_alone_is_enough_to_restore_with_and_without_a_pin() {
    let scene = Scene::new(Kubo::start());
    rocks_db::make_rocks_db(&scene.data().join("rocks"), KEYS);
    tree::make_awkward(&scene.data().join("awkward"));
    let root = cid(&scene.publish(), "root");
    for pin in [None, Some(&scene.pin)] {
        let restore = restore_by_cid(&scene, &root).args(["--gateway", scene.kubo.gateway()]);
        pin.iter().fold(restore, |restore, pin| restore.args(["--trust", pin])).summary();
        assert_diff_finds_nothing(&scene.data(), &scene.world.target());
        fs::remove_dir_all(scene.world.target()).unwrap();
    }
    rocks_db::assert_rocks_db_scans(&scene.data().join("rocks"), KEYS);
    let other = format!("b3:{}", "7".repeat(64));
    restore_by_cid(&scene, &root).args(["--gateway", scene.kubo.gateway(), "--trust", &other]).fails_with(17);
    // The address of the RPC is no gateway, and says so.
    let rpc = scene.kubo.rpc();
    let refused = restore_by_cid(&scene, &root).args(["--gateway", rpc.trim_start_matches("ipfs+")]).output();
    assert!(!refused.status.success() && text(&refused.stderr).contains("RPC"), "{}", text(&refused.stderr));
    // A picture of a cat.
    let cat = scene.world.path("cat.jpg");
    fs::write(&cat, vec![0xff; 3 << 20]).unwrap();
    let cat = scene.kubo.ipfs(&["add", "-Q", "--hash=blake3", "--cid-version=1", cat.to_str().unwrap()]);
    let refused = restore_by_cid(&scene, &cat).args(["--gateway", scene.kubo.gateway()]).output();
    assert!(!refused.status.success() && text(&refused.stderr).contains("not a qsync snapshot"), "{}", text(&refused.stderr));
}

#[test]
fn a_restore_outlives_its_gateway_and_goes_on_when_it_is_back() {
    let mut scene = Scene::new(Kubo::start());
    for file in 0..20 {
        tree::write(&scene.data().join(format!("{file}.sst")), 4 * MIB + 1);
    }
    let root = cid(&scene.publish(), "root");
    let gateway = scene.kubo.gateway().to_owned();
    let restore = restore_by_cid(&scene, &root).args(["--gateway", &gateway, "--limit-rate", "20MiB"]).spawn();
    let staging = scene.world.staging();
    let began = Instant::now();
    let has_arrived = || staging.exists() && tree::files(&staging).iter().any(|file| file.extension().is_some_and(|name| name == "sst"));
    while !has_arrived() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing arrived");
        thread::sleep(Duration::from_millis(20));
    }
    scene.kubo.kill();
    thread::sleep(Duration::from_secs(2));
    scene.kubo.start_again();
    let output = restore.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_diff_finds_nothing(&scene.data(), &scene.world.target());
}

#[test]
fn nodes_and_stores_deliver_together_in_both_directions() {
    let (first, second) = (Kubo::start_online(), Kubo::start_online());
    second.connect(&first);
    let scene = Scene::new(first);
    for file in 0..10 {
        tree::write(&scene.data().join(format!("{file}.sst")), 4 * MIB + 1);
    }
    let store = scene.world.store();
    let summary = scene.command().arg("--to").arg(&store).summary();
    let root = cid(&summary["ipfs"], "root");
    // Of the second node nobody has asked anything yet: it gets what it is asked for from the first.
    let two = restore_by_cid(&scene, &root).args(["--gateway", scene.kubo.gateway(), "--gateway", second.gateway()]).summary();
    assert!(two["sources"].as_array().unwrap().iter().all(|source| source["objects"].as_u64() > Some(0)), "{two}");
    assert_diff_finds_nothing(&scene.data(), &scene.world.target());
    fs::remove_dir_all(scene.world.target()).unwrap();
    // The snapshot of the CID, with chunks from the store too; and that of the channel, with chunks from the node alone.
    restore_by_cid(&scene, &root).args(["--gateway", scene.kubo.gateway(), "--from"]).arg(&store).summary();
    assert_diff_finds_nothing(&scene.data(), &scene.world.target());
    fs::remove_dir_all(scene.world.target()).unwrap();
    fs::remove_dir_all(store.join("chunks")).unwrap();
    let store = store.to_str().unwrap();
    let channel = scene.world.restore_from(store, &scene.pin).args(["--from", "ipfs://", "--gateway", scene.kubo.gateway()]).summary();
    assert!(channel["sources"][1]["objects"].as_u64() > Some(40), "{channel}");
    assert_diff_finds_nothing(&scene.data(), &scene.world.target());
}

//! `qsync publish` to a node of IPFS: what the node gets, and what becomes of a run when it fails.

use std::{collections::BTreeMap, fs};

use qsync::{
    format::unixfs::{read_directory, read_file},
    types::{Cid, Codec},
};
use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    gateway::Blocks,
    kubo::{FakeKubo, Fault},
    tree,
};

/// A provider, a node, and a small database.
struct Scene {
    world: World,
    node: FakeKubo,
    pin: String,
}

impl Scene {
    fn new(node: FakeKubo) -> Self {
        let world = World::new();
        tree::make_awkward(&world.path("data"));
        let init = world.provider().args(["init", "--name", "test", "--to", &node.rpc()]).summary();
        Self { world, node, pin: format!("b3:{}", init["repo"].as_str().unwrap()) }
    }

    fn publish(&self) -> Qsync {
        self.publish_to(&self.node.rpc())
    }

    fn publish_to(&self, store: &str) -> Qsync {
        self.world.provider().args(["publish", CHANNEL]).arg(self.world.path("data")).args(["--to", store])
    }

    /// Publishes to a directory and to the node.
    fn publish_to_both(&self) -> Qsync {
        self.publish_to(self.world.store().to_str().unwrap()).args(["--to", &self.node.rpc()])
    }

    fn read(&self, cid: Cid) -> Vec<u8> {
        let block = self.node.block(&cid).unwrap_or_else(|| panic!("no block {cid}"));
        match cid.codec() {
            Codec::Raw => block,
            Codec::DagPb => read_file(&block).unwrap().into_iter().flat_map(|part| self.read(part.cid)).collect(),
        }
    }

    fn entries(&self, cid: Cid) -> BTreeMap<String, Cid> {
        read_directory(&self.node.block(&cid).unwrap()).unwrap().into_iter().collect()
    }

    /// How often the node was given a command.
    fn given(&self, command: &str) -> usize {
        self.node.commands().iter().filter(|given| *given == command).count()
    }

    /// What the tree that the node holds is as files.
    fn check_tree(&self, root: Cid) {
        let out = self.world.path("from-the-tree");
        self.write_tree(root, &out);
        tree::assert_same(&self.world.path("data"), &out);
        fs::remove_dir_all(out).unwrap();
    }

    fn write_tree(&self, cid: Cid, to: &std::path::Path) {
        fs::create_dir(to).unwrap();
        for (name, below) in self.entries(cid) {
            let is_directory = below.codec() == Codec::DagPb && read_directory(&self.node.block(&below).unwrap()).is_ok();
            if is_directory {
                self.write_tree(below, &to.join(name));
            } else {
                fs::write(to.join(name), self.read(below)).unwrap();
            }
        }
    }
}

fn cid(ipfs: &Value, name: &str) -> Cid {
    ipfs[name].as_str().unwrap_or_else(|| panic!("no {name}: {ipfs}")).parse().unwrap()
}

/// The run said that only some of its targets have the snapshot; gives what it says of IPFS.
#[track_caller]
fn partly(publish: Qsync) -> (Value, String) {
    let output = publish.arg("--json").output();
    assert_eq!(output.status.code(), Some(3), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = lines.iter().find(|line| line["type"] == "result").unwrap_or_else(|| panic!("{lines:?}"));
    (result["ipfs"].clone(), result["ipfs"]["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_node_has_the_archive_the_tree_and_what_a_reader_needs_and_keeps_it() {
    let scene = Scene::new(FakeKubo::start());
    let summary = scene.publish().summary();
    let root = cid(&summary["ipfs"], "root");
    assert_eq!(summary["seq"], 2, "the second head names the CID");
    let entries = scene.entries(root);
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["archive.tar.zst", "head.json", "lists", "manifest", "tree", "trust"]);
    assert_eq!((entries["archive.tar.zst"], entries["tree"]), (cid(&summary["ipfs"], "archive"), cid(&summary["ipfs"], "tree")));
    scene.check_tree(entries["tree"]);
    let tar = zstd::decode_all(&scene.read(entries["archive.tar.zst"])[..]).unwrap();
    assert_eq!(tar, scene.world.operator().args(["export", CHANNEL, "--trust", &scene.pin, "--from"]).arg(scene.world.store()).tar(&scene));
    // Nothing else is there, and nothing is in the way of its going.
    assert_eq!(scene.node.pins(), [(root, format!("qsync/{}/{CHANNEL}", &scene.pin[3..15]))]);
    let blocks = scene.node.blocks();
    scene.node.collect_garbage();
    assert!(scene.node.blocks() < blocks, "the guards are gone");
    scene.check_tree(entries["tree"]);
}

trait Tar {
    fn tar(self, scene: &Scene) -> Vec<u8>;
}

impl Tar for Qsync {
    /// Publishes to the store that it reads from, and gives what it writes.
    fn tar(self, scene: &Scene) -> Vec<u8> {
        scene.publish_to(scene.world.store().to_str().unwrap()).summary();
        self.output().stdout
    }
}

#[test]
fn an_unchanged_snapshot_sends_no_block_and_a_changed_one_the_new_ones_only() {
    let scene = Scene::new(FakeKubo::start());
    let first = scene.publish().summary();
    let imports = scene.given("dag/import");
    let again = scene.publish().summary();
    assert_eq!((&again["ipfs"]["root"], &again["ipfs"]["blocks"], &again["unchanged"]), (&first["ipfs"]["root"], &0.into(), &true.into()));
    assert_eq!(scene.given("dag/import"), imports);

    tree::flip(&scene.world.path("data/a/four-chunks-five"), 70_000);
    let second = scene.publish().summary();
    scene.check_tree(cid(&second["ipfs"], "tree"));
    let (sent, all) = (second["ipfs"]["uploaded_bytes"].as_u64().unwrap(), first["ipfs"]["uploaded_bytes"].as_u64().unwrap());
    // A chunk of 1 MiB in both forms, the manifest, and the nodes above.
    assert!((1 << 20..(2 << 20) + 60_000).contains(&sent) && sent * 3 < all, "{sent} of {all}");
    // The pin went over without reading everything again, and the first snapshot stays.
    assert_eq!((scene.given("pin/add"), scene.given("pin/update"), scene.node.pins().len()), (1, 1, 2));
}

#[test]
fn either_form_can_be_left_out() {
    let scene = Scene::new(FakeKubo::start());
    for (settings, made) in
        [("?forms=zstd", ["archive", "tree"]), ("?forms=raw", ["tree", "archive"]), ("?tree=false", ["archive", "tree"])]
    {
        fs::write(scene.world.path("data/of"), settings).unwrap();
        let ipfs = scene.publish_to(&format!("{}{settings}", scene.node.rpc())).summary()["ipfs"].clone();
        assert!(ipfs[made[0]].is_string() && ipfs[made[1]].is_null(), "{settings}: {ipfs}");
    }
    // What is wanted later is added, although nothing changed.
    let both = scene.publish().summary();
    assert!(both["unchanged"] == true && both["ipfs"]["tree"].is_string() && both["ipfs"]["archive"].is_string(), "{both}");
    scene.check_tree(cid(&both["ipfs"], "tree"));
    assert!(scene.publish_to(&format!("{}?forms=raw&tree=false", scene.node.rpc())).fails_with(2).contains("leave nothing to publish"));
}

#[test]
fn a_node_that_says_no_in_whatever_way_is_a_failure_of_that_node_alone() {
    let no = |command: &'static str, fault: Fault| FakeKubo::scripted(move |given, _| (given == command).then(|| fault.clone()));
    for (node, words) in [
        (no("dag/import", Fault::SaysWithStatus200(r#"{"Message":"block is too sad","Code":0,"Type":"error"}"#)), "block is too sad"),
        (no("dag/import", Fault::SaysInTrailer("the disk is on fire")), "the disk is on fire"),
        (no("dag/import", Fault::IsFull(3)), "no space left"),
        (no("dag/import", Fault::BreaksOff(2)), "dag import"),
        (no("files/cp", Fault::Says("lookup failed")), "lookup failed"),
        (no("pin/add", Fault::Says("pinning is off today")), "pinning is off today"),
    ] {
        let scene = Scene::new(node);
        let (ipfs, error) = partly(scene.publish_to_both());
        assert!(error.contains(words) && ipfs["root"].is_null(), "{words}: {error}");
        // The others have it.
        scene.world.restore_command(&scene.pin).summary();
        tree::assert_same(&scene.world.path("data"), &scene.world.target());
    }
}

#[test]
fn the_next_run_goes_on_where_one_ended_and_looks_at_what_it_finds() {
    // The first pin fails.
    let scene = Scene::new(FakeKubo::scripted(|given, times| (given == "pin/add" && times == 0).then_some(Fault::Says("not now"))));
    let (ipfs, error) = partly(scene.publish_to_both());
    let sent = ipfs["uploaded_bytes"].as_u64().unwrap();
    assert!(error.contains("not now") && sent > 1 << 20, "{ipfs}");
    let again = scene.publish_to_both().summary();
    // All but the last blocks, which say which head was live.
    assert_eq!(again["ipfs"]["error"], Value::Null);
    scene.check_tree(cid(&again["ipfs"], "tree"));
    assert!(scene.node.files().is_empty(), "{:?}", scene.node.files());
}

#[test]
fn blocks_that_are_lost_on_the_way_are_sent_again() {
    // An import that keeps three blocks and says that it has all, once.
    let forgets = |given: &str, times: usize| match (given, times) {
        ("dag/import", 0) => Some(Fault::Instead(r#"{"Stats":{"BlockCount":3,"BlockBytesCount":9}}"#)),
        _ => None,
    };
    let scene = Scene::new(FakeKubo::scripted(forgets));
    let summary = scene.publish().summary();
    scene.check_tree(cid(&summary["ipfs"], "tree"));

    // A block that a pinned snapshot should have: the next one cannot be built upon it.
    let data = scene.world.path("data/a/b/c/d/e/f/g/Deep_file-1.2+3");
    let leaf = Cid::new(Codec::Raw, qsync::types::Hash::of(&fs::read(&data).unwrap()));
    scene.node.lose(&leaf);
    fs::write(scene.world.path("data/text"), "new").unwrap();
    let summary = scene.publish().summary();
    scene.check_tree(cid(&summary["ipfs"], "tree"));
}

#[test]
fn a_frame_of_another_encoder_comes_from_a_store_that_has_it() {
    let scene = Scene::new(FakeKubo::start());
    let store = scene.world.store();
    scene.publish_to(store.to_str().unwrap()).args(["--level", "19"]).summary();
    // The rows stay, and this level makes other frames.
    let summary = scene.publish_to_both().args(["--level", "1"]).summary();
    let archive = zstd::decode_all(&scene.read(cid(&summary["ipfs"], "archive"))[..]).unwrap();
    assert!(archive.len() > 1 << 20);
    scene.check_tree(cid(&summary["ipfs"], "tree"));
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_read() {
    let scene = Scene::new(FakeKubo::start());
    let node = scene.node.rpc();
    let refused = |publish: Qsync, exit, words: &str| {
        let said = publish.fails_with(exit);
        assert!(said.contains(words), "{words}: {said}");
    };
    refused(scene.publish().args(["--chunk-size", "2MiB"]), 2, "do not fit into the blocks of IPFS");
    refused(scene.publish().args(["--to", &FakeKubo::start().rpc()]), 2, "a run publishes to one");
    refused(scene.publish_to(&format!("{node}?form=raw")), 2, "unknown setting form");
    refused(scene.publish_to("ipfs+http://user:hidden@127.0.0.1:5001"), 2, "QSYNC_IPFS_AUTH");
    refused(scene.publish_to(&FakeKubo::start().of_version("0.39.0").rpc()), 1, "0.40");
    let web_page = FakeKubo::scripted(|_, _| Some(Fault::Answers(200, "text/html", "<html>hello</html>")));
    refused(scene.publish_to(&web_page.rpc()), 16, "not the RPC of a node");
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    refused(scene.publish_to(&format!("ipfs+http://{closed}")), 16, "is the node running?");
    refused(scene.publish().env("QSYNC_IPFS_AUTH", "secret:word"), 2, "basic:USER:PASSWORD");
    assert_eq!(scene.given("dag/import"), 0);
    let nobody = World::new();
    refused(nobody.provider().args(["publish", CHANNEL]).arg(scene.world.path("data")).args(["--to", &node]), 17, "qsync init");
}

#[test]
fn a_dry_run_sends_nothing() {
    let scene = Scene::new(FakeKubo::start());
    let summary = scene.publish().arg("--dry-run").summary();
    assert_eq!((&summary["ipfs"], scene.given("dag/import")), (&Value::Null, 0));
}

/// What a node of the archive covers may change in part: it is sent, although the file that comes last below it is the same.
#[test]
fn a_change_among_many_small_files_sends_little() {
    let scene = Scene::new(FakeKubo::start());
    let data = scene.world.path("data");
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    for file in 0..600 {
        tree::write(&data.join(format!("{file:04}")), 1000);
    }
    scene.publish().summary();
    let given = scene.given("dag/import");
    // The 512th file fills the first node of 1,024 parts.
    fs::write(data.join("0003"), "changed").unwrap();
    let second = scene.publish().summary();
    assert_eq!(scene.given("dag/import") - given, 1, "{second}");
    assert!(second["ipfs"]["blocks"].as_u64().unwrap() < 20, "{second}");
    scene.node.collect_garbage();
    scene.check_tree(cid(&second["ipfs"], "tree"));
    assert!(zstd::decode_all(&scene.read(cid(&second["ipfs"], "archive"))[..]).unwrap().len() > 600 * 1512);
}

#[test]
fn one_machine_has_one_repository_whatever_it_published_to_first() {
    let scene = Scene::new(FakeKubo::start());
    scene.publish().summary();
    let again = scene.world.provider().args(["init", "--to", &scene.node.rpc()]).summary();
    assert_eq!((&again["existed"], &format!("b3:{}", again["repo"].as_str().unwrap())), (&true.into(), &scene.pin));
    scene.publish().summary();

    // A directory came first; the node is one more place.
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/file"), 1000);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    let to_node = |verb: &[&str]| world.provider().args(verb).args(["--to", &scene.node.rpc()]);
    let publish = || to_node(&["publish", CHANNEL, world.path("data").to_str().unwrap()]).summary();
    assert!(publish()["ipfs"]["root"].is_string());
    assert_eq!(format!("b3:{}", to_node(&["init"]).summary()["repo"].as_str().unwrap()), pin);
    assert!(publish()["unchanged"] == true);
    // Its head is renewed where it lies.
    let head = to_node(&["head", "refresh", CHANNEL]).summary();
    assert!(head["stores"][0].as_str().unwrap().contains("key-stores"), "{head}");
    // No copy of heads goes to a node.
    let mirror = world.operator().args(["mirror", "--from"]).arg(world.store()).args(["--to", &scene.node.rpc()]);
    assert!(mirror.fails_with(2).contains("no place for heads"));
}

#[test]
fn what_the_node_has_is_known_although_the_head_forgot_it() {
    let scene = Scene::new(FakeKubo::start());
    scene.publish_to_both().summary();
    let store = scene.world.store();
    for round in 0..3 {
        fs::write(scene.world.path("data/text"), format!("round {round}")).unwrap();
        scene.publish_to(store.to_str().unwrap()).args(["--keep-last", "0"]).summary();
    }
    let late = scene.publish_to_both().args(["--keep-last", "0"]).summary();
    assert!(late["ipfs"]["uploaded_bytes"].as_u64().unwrap() < 100_000, "{late}");
    scene.check_tree(cid(&late["ipfs"], "tree"));
}

#[test]
fn a_snapshot_that_was_never_finished_leaves_no_guards_and_a_strangers_pin_gets_our_name() {
    let scene = Scene::new(FakeKubo::scripted(|given, times| (given == "pin/add" && times == 0).then_some(Fault::Says("not now"))));
    partly(scene.publish_to_both());
    let before = scene.node.files();
    assert!(!before.is_empty());
    fs::write(scene.world.path("data/text"), "another day").unwrap();
    let summary = scene.publish_to_both().summary();
    let root = cid(&summary["ipfs"], "root");
    assert!(scene.node.files().is_empty(), "{:?}", scene.node.files());
    assert_eq!(scene.node.pins(), [(root, format!("qsync/{}/{CHANNEL}", &scene.pin[3..15]))]);

    // The index is a hint, and made right again when it says nothing.
    let index = scene.world.store().join("index.json");
    let told = fs::read_to_string(&index).unwrap();
    assert!(told.contains("/ip4/203.0.113.7/tcp/4001") && !told.contains("127.0.0.1"), "{told}");
    // Who reads through a node of their own is told how to stay connected to that one.
    let gateway = Blocks::new(scene.world.path("no-blocks")).gateway();
    let restore = scene.world.restore_command(&scene.pin).args(["--from", "ipfs://", "--gateway", &gateway.url]).output();
    assert!(
        restore.status.success() && text(&restore.stderr).contains("ipfs swarm peering add /ip4/203.0.113.7/"),
        "{}",
        text(&restore.stderr)
    );
    let mut emptied: Value = serde_json::from_str(&told).unwrap();
    emptied.as_object_mut().unwrap().remove("ipfs");
    fs::write(&index, emptied.to_string()).unwrap();
    scene.publish_to_both().summary();
    assert!(fs::read_to_string(&index).unwrap().contains(&root.to_string()));
}

#[test]
fn everything_is_proved_when_it_is_asked_for() {
    let scene = Scene::new(FakeKubo::start());
    let root = cid(&scene.publish().summary()["ipfs"], "root");
    let deep = scene.world.path("data/a/b/c/d/e/f/g/Deep_file-1.2+3");
    scene.node.lose(&Cid::new(Codec::Raw, qsync::types::Hash::of(&fs::read(deep).unwrap())));
    // The pin is there, and nobody looks further …
    assert_eq!(scene.publish().summary()["ipfs"]["blocks"], 0);
    // … until somebody does.
    let proved = scene.publish().arg("--rehash").summary();
    assert_eq!(cid(&proved["ipfs"], "root"), root);
    scene.check_tree(cid(&proved["ipfs"], "tree"));
}

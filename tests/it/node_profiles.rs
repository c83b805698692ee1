//! Node profiles on the data directories of nodes: what is detected, what is published, what never is, and how it is restored. P10

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::prelude::*;
use qsync::{
    disk::{scan, select::Selection},
    fs::RealFs,
    profile::{Globs, NodeProfile},
};
use serde_json::Value;

use crate::support::{
    World,
    database::{copy_tree, make_parity_db},
    tree,
};

type Node = (&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// Every built-in profile with a directory, and what its files tell: chain, engine and the version of its format.
const NODES: [Node; 11] = [
    ("bitcoind", Some("bitcoin"), Some("leveldb"), None),
    ("bitshares", None, Some("graphene"), Some("20230209")),
    ("bor", Some("polygon"), Some("pebble"), Some("1")),
    ("bsc", Some("bsc"), Some("pebble"), Some("1")),
    ("cosmos-sdk", Some("cosmoshub-4"), Some("leveldb"), None),
    ("erigon", None, Some("mdbx"), Some("3")),
    ("geth", None, Some("pebble"), Some("1")),
    ("op-geth", Some("op-mainnet"), Some("pebble"), Some("1")),
    ("polkadot-paritydb", Some("kusama"), Some("paritydb"), None),
    ("polkadot-rocksdb", Some("kusama"), Some("rocksdb"), Some("7.8.3")),
    ("reth", None, Some("mdbx"), Some("2")),
];

fn fixture(node: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nodes").join(node)
}

/// A copy of a node's directory; of ParityDB a real one.
fn data_dir(world: &World, node: &str) -> PathBuf {
    let dir = world.path("node");
    copy_tree(&fixture(node), &dir);
    if node == "polkadot-paritydb" {
        let full = dir.join("chains/ksmcc3/paritydb/full");
        let lock = fs::read(full.join("lock")).unwrap();
        fs::remove_dir_all(&full).unwrap();
        make_parity_db(&full, 50);
        fs::write(full.join("lock"), lock).unwrap();
    }
    dir
}

fn is_never(file: &Path) -> bool {
    fs::read(file).unwrap().starts_with(b"NEVER")
}

/// The files below `dir`, relative to it.
fn paths(dir: &Path, keep: impl Fn(&Path) -> bool) -> BTreeSet<String> {
    let files = tree::files(dir).into_iter().filter(|file| keep(file));
    files.map(|file| file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()).collect()
}

fn profile(node: &str) -> NodeProfile {
    NodeProfile::builtin(node).unwrap()
}

#[test]
fn every_built_in_profile_but_the_generic_one_has_a_directory_with_something_for_each_of_its_rules() {
    let nodes: Vec<_> = NodeProfile::builtin_names().filter(|name| *name != NodeProfile::GENERIC).collect();
    assert_eq!(nodes, NODES.map(|(node, ..)| node));
    for node in nodes {
        let all = paths(&fixture(node), |_| true);
        let never = profile(node).never;
        for glob in never.texts() {
            let glob = Globs::new(vec![glob.clone()]).unwrap();
            assert!(all.iter().any(|path| glob.matches(&path.parse().unwrap())), "{node}: nothing for {:?}", glob.texts());
        }
        let listed = |path: &&String| never.matches(&path.parse().unwrap());
        let mut listed: BTreeSet<_> = all.iter().filter(listed).cloned().collect();
        // It is never published either, but has to be read: it names the chain.
        listed.remove("config/genesis.json");
        assert_eq!(listed, paths(&fixture(node), is_never), "{node}");
    }
}

#[test]
fn every_node_is_known_by_its_files() {
    for (node, chain, engine, format) in NODES {
        let world = World::new();
        let dir = data_dir(&world, node);
        let told = world.provider().args(["node", "detect"]).arg(&dir).summary();
        let expected = [Value::from(node), chain.into(), engine.into()];
        assert_eq!([&told["node"], &told["chain"], &told["engine"]], expected.each_ref(), "{told}");
        if node != "polkadot-paritydb" {
            assert_eq!(told["engine_format"], Value::from(format), "{told}");
        }
        assert!(!told["why"].as_array().unwrap().is_empty());
    }
}

// PU-07, P10
#[test]
fn what_is_published_is_what_the_profile_names_and_nothing_that_is_never() {
    for (node, chain, ..) in NODES {
        let world = World::new();
        let dir = data_dir(&world, node);
        let selection = Arc::new(Selection::of(&profile(node), chain.unwrap_or("mine")));
        let scan = scan::scan(&RealFs, &dir, &selection).unwrap();
        let subtrees = scan.subtrees.unwrap();
        let owned = |file: &Path| subtrees.iter().any(|tree| file.starts_with(dir.join(tree)));
        let found: BTreeSet<_> = scan.files.iter().map(|file| file.path.to_string()).collect();
        assert_eq!(found, paths(&dir, |file| owned(file) && !is_never(file)), "{node}");
        assert!(!found.is_empty() && found.iter().all(|path| !is_never(&dir.join(path))), "{node}");
    }
}

/// Publishes a node's directory as `chain/node`.
fn publish(world: &World, dir: &Path, chain: &str, node: &str) -> crate::support::command::Qsync {
    let publish = world.provider().args(["publish", &format!("{chain}/{node}")]).arg(dir).arg("--to").arg(world.store());
    publish.args(["--node", node, "--assume-stopped"])
}

// PU-07, MF-17, P10
#[test]
fn a_node_keeps_its_own_keys_when_several_of_its_directories_are_replaced_at_once() {
    let world = World::new();
    let pin = world.init();
    let dir = data_dir(&world, "geth");
    let summary = publish(&world, &dir, "my-own", "geth").args(["--label", "mode=full"]).summary();
    assert_eq!(summary["allowed_secrets"], Value::Array(Vec::new()));
    let node = world.path("second");
    copy_tree(&fixture("geth"), &node);
    for (path, text) in
        [("geth/nodekey", "mine"), ("keystore/own", "mine"), ("geth/chaindata/000004.log", "old"), ("geth/triedb/old", "old")]
    {
        fs::write(node.join(path), text).unwrap();
    }
    let restore = |more: &[&str]| {
        let restore = world.operator().args(["restore", "my-own/geth", "--from"]).arg(world.store()).arg("--to").arg(&node);
        restore.args(["--trust", &pin]).args(more)
    };
    restore(&[]).fails_with(15);
    restore(&["--replace", "--yes"]).summary();
    let read = |path: &str| fs::read_to_string(node.join(path)).unwrap();
    assert_eq!((read("geth/nodekey"), read("keystore/own")), ("mine".to_owned(), "mine".to_owned()));
    assert!(read("geth/nodes/CURRENT").starts_with("NEVER"));
    assert!(!node.join("geth/triedb/old").exists() && !node.join("geth/chaindata/LOCK").exists());
    for path in paths(&dir, |file| !is_never(file)) {
        assert_eq!(fs::read(dir.join(&path)).unwrap(), fs::read(node.join(&path)).unwrap(), "{path}");
    }
    world.operator().args(["verify", "--b3"]).arg(&node).summary();
    let shown = world.operator().args(["show", "my-own/geth", "--from"]).arg(world.store()).args(["--trust", &pin]).summary();
    let facts = [&shown["engine"], &shown["engine_format"], &shown["client"], &shown["labels"]["mode"]];
    assert_eq!(facts, ["pebble", "1", "geth", "full"].map(Value::from).each_ref());
}

// MF-14, OP-04, OP-11
#[test]
fn a_snapshot_of_another_mode_or_engine_is_refused_before_anything_is_fetched() {
    let world = World::new();
    let pin = world.init();
    let dir = data_dir(&world, "geth");
    publish(&world, &dir, "my-own", "geth").args(["--label", "mode=full"]).summary();
    let restore = |to: &Path, more: &[&str]| {
        let restore = world.operator().args(["restore", "my-own/geth", "--from"]).arg(world.store()).arg("--to").arg(to);
        restore.args(["--trust", &pin]).args(more)
    };
    let target = world.path("other");
    let refused = restore(&target, &["--label", "mode=archive"]).json_error(15);
    assert_eq!(refused["code"], "other-mode");
    assert_eq!(refused["message"], "the snapshot has mode=full, and mode=archive was asked for");
    assert_eq!(restore(&target, &["--label", "network=mainnet"]).json_error(15)["code"], "other-mode");
    assert_eq!(restore(&target, &["--engine", "leveldb"]).json_error(15)["code"], "other-engine");
    assert!(!target.exists());
    copy_tree(&fixture("geth"), &target);
    fs::remove_file(target.join("geth/chaindata/OPTIONS-000006")).unwrap();
    let refused = restore(&target, &["--replace", "--yes"]).json_error(15);
    assert_eq!(refused["code"], "other-engine");
    assert!(refused["message"].as_str().unwrap().ends_with("is of leveldb"), "{refused}");
    restore(&target, &["--replace", "--yes", "--engine", "pebble", "--label", "mode=full"]).summary();
    // What is in place already is of that mode or it is not.
    assert_eq!(restore(&target, &["--label", "mode=archive"]).json_error(15)["code"], "other-mode");
}

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY\n";

// PU-07
#[test]
fn a_key_in_a_transaction_stops_no_publish_and_a_forgotten_one_does_without_being_shown() {
    let world = World::new();
    world.init();
    let dir = data_dir(&world, "geth");
    for path in [
        "geth/chaindata/000004.log",
        "geth/chaindata/000012.sst",
        "geth/chaindata/ancient/chain/bodies.0000.cdat",
        "geth/triedb/merkle.journal",
    ] {
        fs::write(dir.join(path), PEM).unwrap();
    }
    publish(&world, &dir, "my-own", "geth").summary();
    fs::write(dir.join("geth/chaindata/backup"), PEM).unwrap();
    let refused = publish(&world, &dir, "my-own", "geth").json_error(18);
    assert_eq!(refused["code"], "source-secrets");
    let all = refused.to_string();
    assert!(all.contains("geth/chaindata/backup") && all.contains("PEM") && !all.contains("MHcCAQEE"), "{all}");
    publish(&world, &dir, "my-own", "geth").args(["--allow-secret", "geth/chaindata/backup"]).summary();
    // What is never published cannot be allowed either.
    let summary = publish(&world, &dir, "my-own", "geth")
        .args(["--allow-secret", "geth/chaindata/backup", "--allow-secret", "geth/nodekey"])
        .summary();
    assert_eq!(summary["allowed_secrets"].as_array().unwrap().len(), 1);
}

// PU-08, PU-09
#[test]
fn half_a_database_and_one_of_another_chain_are_not_published() {
    let world = World::new();
    world.init();
    let dir = data_dir(&world, "bsc");
    assert_eq!(publish(&world, &dir, "bsc-testnet", "bsc").json_error(18)["code"], "source-chain");
    fs::rename(dir.join("geth/chaindata/ancient"), world.path("elsewhere")).unwrap();
    assert_eq!(publish(&world, &dir, "bsc", "bsc").json_error(18)["code"], "source-part");
    std::os::unix::fs::symlink(world.path("elsewhere"), dir.join("geth/chaindata/ancient")).unwrap();
    assert_eq!(publish(&world, &dir, "bsc", "bsc").json_error(18)["code"], "source-kind");
}

#[test]
fn a_profile_of_ones_own_lies_beside_the_configuration() {
    let world = World::new();
    world.init();
    for dir in ["node/db", "node/keys"] {
        fs::create_dir_all(world.path(dir)).unwrap();
    }
    tree::write(&world.path("node/db/1"), 100);
    tree::write(&world.path("node/keys/1"), 100);
    fs::create_dir_all(world.path("etc/nodes")).unwrap();
    let profile =
        "name = 'mine'\ntitle = 'My node'\npublish = ['db']\nnever = ['*.tmp']\n[detect]\nall = ['db/1']\n[modes]\nmode = ['full']\n";
    fs::write(world.path("etc/nodes/mine.toml"), profile).unwrap();
    let config = format!("[channels.'my-own/full']\nnode = 'mine'\ndata_dir = {:?}\nlabels = {{ mode = 'full' }}\n", world.path("node"));
    fs::write(world.path("etc/config.toml"), config).unwrap();
    let qsync = || world.provider().arg("--config").arg(world.path("etc/config.toml"));
    let publish = || qsync().args(["publish", "my-own/full", "--assume-stopped", "--to"]).arg(world.store());
    assert_eq!(publish().summary()["files"], 1);
    assert_eq!(qsync().args(["node", "detect"]).arg(world.path("node")).summary()["node"], "mine");
    assert!(publish().args(["--label", "mode=archive"]).fails_with(2).contains("the label mode of a mine channel is one of full"));
    assert!(publish().args(["--node", "mime"]).fails_with(10).contains("did you mean mine?"));
    assert_eq!(qsync().args(["node", "detect"]).arg(world.path("node/keys")).json_error(10)["code"], "unknown-node");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies in a data directory: nothing that a profile never publishes is in what is published, and nothing of a part is missing.
    // P10
    #[test]
    fn nothing_that_is_never_published_is_ever_in_a_scan(names in proptest::collection::btree_set("(geth|keystore|[ab])(/(chaindata|triedb|nodekey|nodes|LOCK|a\\.ipc|[ab])){1,3}", 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&fixture("geth").join("geth/chaindata/ancient/state"), &dir.path().join("geth/chaindata/ancient/state"));
        for name in &names {
            let path = dir.path().join(name);
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                fs::write(path, "x").unwrap();
            }
        }
        let profile = profile("geth");
        let selection = Arc::new(Selection::of(&profile, "mine"));
        if let Ok(scan) = scan::scan(&RealFs, dir.path(), &selection) {
            let is_part = |path: &str| ["geth/chaindata/", "geth/triedb/"].iter().any(|part| path.starts_with(part));
            let expected: BTreeSet<_> =
                paths(dir.path(), |_| true).into_iter().filter(|path| is_part(path) && !profile.never.matches(&path.parse().unwrap())).collect();
            let found: BTreeSet<_> = scan.files.iter().map(|file| file.path.to_string()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

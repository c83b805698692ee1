//! Restoring from IPFS: by the CID of a snapshot, and chunks alone, through gateways that lie, lack blocks or are none.

use std::fs;

use qsync::types::{Cid, Codec, Hash};
use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::Qsync,
    evil::{Answer, EvilMirror},
    gateway::{Blocks, chunk_cid},
    tree,
};

/// A published snapshot, its pin, its blocks and its root.
struct OnIpfs {
    world: World,
    pin: String,
    blocks: Blocks,
    root: Cid,
}

impl OnIpfs {
    /// A snapshot of 12 chunks in one list, and all its blocks.
    fn new() -> Self {
        Self::published(&[])
    }

    fn published(arguments: &[&str]) -> Self {
        let world = World::new();
        fs::create_dir(world.path("data")).unwrap();
        tree::write(&world.path("data/000001.sst"), 12 * tree::CHUNK - 5);
        fs::write(world.path("data/empty"), b"").unwrap();
        let pin = world.init();
        world.publish_command(&world.path("data"), 1).args(arguments).summary();
        let blocks = Blocks::new(world.path("blocks"));
        let root = blocks.add_snapshot(&world.store());
        Self { world, pin, blocks, root }
    }

    fn source(&self) -> String {
        format!("ipfs://{}", self.root)
    }

    /// `restore --from ipfs://ROOT` through these gateways.
    fn restore(&self, gateways: &[&EvilMirror]) -> Qsync {
        let restore = self.world.operator().args(["restore", "--from", &self.source(), "--to"]).arg(self.world.target());
        through(restore, gateways)
    }

    fn is_restored(&self) {
        tree::assert_same(&self.world.path("data"), &self.world.target());
    }

    /// A gateway that answers so when it is asked for a chunk.
    fn with_chunks(&self, answer: impl Fn() -> Answer + Send + Sync + 'static) -> EvilMirror {
        let chunks = self.chunk_cids();
        self.blocks.evil_gateway(move |cid| if chunks.iter().any(|chunk| chunk == cid) { answer() } else { Answer::Whole })
    }

    fn chunk_cids(&self) -> Vec<String> {
        self.world.chunks().iter().map(|chunk| chunk_cid(chunk)).collect()
    }
}

fn through(command: Qsync, gateways: &[&EvilMirror]) -> Qsync {
    gateways.iter().fold(command, |command, gateway| command.args(["--gateway", &gateway.url]))
}

fn objects(summary: &Value) -> Vec<u64> {
    summary["sources"].as_array().unwrap().iter().map(|source| source["objects"].as_u64().unwrap()).collect()
}

#[test]
fn a_cid_alone_is_restored_and_nobody_is_trusted_for_it() {
    let ipfs = OnIpfs::new();
    let gateway = ipfs.blocks.gateway();
    let restored = ipfs.restore(&[&gateway]).summary();
    ipfs.is_restored();
    assert_eq!((&restored["channel"], &restored["height"]), (&CHANNEL.into(), &1.into()));
    assert_eq!(restored["sources"][0]["source"], format!("{}: {}", ipfs.source(), gateway.url.trim_end_matches('/')));
    assert_eq!(ipfs.restore(&[&gateway]).summary()["outcome"], "already-restored");
    let known = ipfs.world.operator().args(["trust", "list"]).json_lines();
    assert_eq!(known.len(), 1, "{known:?}");
    ipfs.world.operator().arg("verify").arg(ipfs.world.target()).summary();
    // By its channel the same repository is as unknown as before.
    let error = ipfs.world.operator().args(["restore", CHANNEL, "--from", &ipfs.source(), "--to"]).arg(ipfs.world.path("other"));
    assert_eq!(through(error, &[&gateway]).json_error(17)["code"], "unknown-repo");
}

#[test]
fn a_pin_holds_beside_the_cid() {
    let ipfs = OnIpfs::new();
    let gateway = ipfs.blocks.gateway();
    let other = format!("b3:{}", Hash::of(b"another repository"));
    let error = ipfs.restore(&[&gateway]).args(["--trust", &other]).json_error(17);
    assert_eq!(error["code"], "pin-mismatch");
    let config = ipfs.world.path("config.toml");
    fs::write(&config, format!("gateways = [{:?}]\n[channels.{CHANNEL:?}]\ntrust = {other:?}\n", gateway.url)).unwrap();
    let configured = ipfs.restore(&[]).env("QSYNC_CONFIG", &config).json_error(17);
    assert_eq!(configured["code"], "pin-mismatch", "{configured}");
    assert!(!ipfs.world.target().exists());
    ipfs.restore(&[&gateway]).args(["--trust", &ipfs.pin]).summary();
    ipfs.is_restored();
}

#[test]
fn a_cid_never_expires() {
    let ipfs = OnIpfs::published(&["--head-lifetime", "1s"]);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let gateway = ipfs.blocks.gateway();
    let by_channel = ipfs.world.restore_from(&ipfs.source(), &ipfs.pin);
    assert_eq!(through(by_channel, &[&gateway]).json_error(17)["code"], "expired");
    let stderr = String::from_utf8(ipfs.restore(&[&gateway]).args(["--progress", "plain"]).output().stderr).unwrap();
    assert!(stderr.contains("the CID names snapshot") && stderr.contains("taken 0 h ago"), "{stderr}");
    ipfs.is_restored();
}

// HM-20, P6
#[test]
fn one_honest_gateway_is_enough() {
    let ipfs = OnIpfs::new();
    let honest = ipfs.blocks.gateway();
    let evil: [fn() -> Answer; 7] = [
        || Answer::Garbage,
        || Answer::Page,
        || Answer::Instead(b"a file that was put together".to_vec()),
        || Answer::Status("504 Gateway Timeout"),
        || Answer::Redirect("http://bafy.ipfs.localhost:1/".to_owned()),
        || Answer::BreakOff(100),
        || Answer::HangUp,
    ];
    for (number, answer) in evil.into_iter().enumerate() {
        // With each block, and with chunks alone.
        for evil in [ipfs.blocks.evil_gateway(move |_| answer()), ipfs.with_chunks(answer)] {
            let restored = ipfs.restore(&[&evil, &honest]).summary();
            ipfs.is_restored();
            // It may have had the list.
            assert!(objects(&restored)[0] <= 1, "{number}: {restored}");
            fs::remove_dir_all(ipfs.world.target()).unwrap();
        }
    }
}

// HM-20
#[test]
fn a_gateway_of_garbage_costs_three_strikes_and_alone_ends_the_run() {
    let ipfs = OnIpfs::new();
    let (liar, honest) = (ipfs.with_chunks(|| Answer::Garbage), ipfs.blocks.gateway());
    let restored = ipfs.restore(&[&liar, &honest]).summary();
    let strikes = restored["sources"][0]["strikes"].as_u64().unwrap();
    assert!((3..=3 + 16).contains(&strikes), "{restored}");
    fs::remove_dir_all(ipfs.world.target()).unwrap();
    let error = ipfs.restore(&[&liar]).json_error(13);
    assert_eq!(error["code"], "object-wrong", "{error}");
    assert!(error["message"].as_str().unwrap().contains("not the block"), "{error}");
    // Of what is wrong nothing was kept.
    ipfs.restore(&[&honest]).summary();
    ipfs.is_restored();
}

// P3
#[test]
fn what_one_gateway_lacks_is_named_by_its_cid_and_the_same_command_goes_on() {
    let ipfs = OnIpfs::new();
    let missing = ipfs.chunk_cids().remove(3);
    let lacking = missing.clone();
    let without = ipfs.blocks.evil_gateway(move |cid| if cid == lacking { Answer::Status("404 Not Found") } else { Answer::Whole });
    let error = ipfs.restore(&[&without]).json_error(13);
    assert_eq!(error["code"], "snapshot-gone");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&missing) && message.contains(without.url.trim_end_matches('/')) && message.contains("by its CID"),
        "{message}"
    );
    assert!(error["hints"][0].as_str().unwrap().contains("--gateway"), "{error}");
    let whole = ipfs.blocks.gateway();
    let restored = ipfs.restore(&[&without, &whole]).summary();
    ipfs.is_restored();
    assert_eq!(objects(&restored), [0, 1], "{restored}");
}

#[test]
fn chunks_come_from_stores_and_from_ipfs_for_either_kind_of_snapshot() {
    let ipfs = OnIpfs::new();
    // The snapshot is named by its CID, and its chunks are in the store alone.
    let bare = ipfs.with_chunks(|| Answer::Status("412 Precondition Failed"));
    let restored = ipfs.restore(&[&bare]).arg("--from").arg(ipfs.world.store()).summary();
    ipfs.is_restored();
    // The list is at either.
    assert!(objects(&restored)[0] <= 1 && objects(&restored)[1] >= 12, "{restored}");
    fs::remove_dir_all(ipfs.world.target()).unwrap();
    // The snapshot is that of the channel, whose store lost its chunks: they come from anywhere on IPFS.
    fs::remove_dir_all(ipfs.world.store().join("chunks")).unwrap();
    let gateway = ipfs.blocks.gateway();
    let by_channel = ipfs.world.restore_command(&ipfs.pin).args(["--from", "ipfs://"]);
    let restored = through(by_channel, &[&gateway]).summary();
    ipfs.is_restored();
    assert!(objects(&restored)[0] <= 1 && objects(&restored)[1] >= 12, "{restored}");
}

#[test]
fn a_channel_is_restored_from_a_cid_by_the_usual_rules() {
    let ipfs = OnIpfs::new();
    let gateway = ipfs.blocks.gateway();
    through(ipfs.world.restore_from(&ipfs.source(), &ipfs.pin), &[&gateway]).summary();
    ipfs.is_restored();
    let known = ipfs.world.operator().args(["trust", "list"]).json_lines();
    assert_eq!(known.len(), 2, "it is trusted from now on: {known:?}");
}

#[test]
fn raw_chunks_are_blocks_as_well() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let raw_store = format!("file://{}?forms=raw", world.store().display());
    world.provider().args(["init", "--name", "test", "--to", &raw_store]).summary();
    world.provider().args(["publish", CHANNEL]).arg(world.path("data")).args(["--to", &raw_store]).summary();
    let blocks = Blocks::new(world.path("blocks"));
    let root = blocks.add_snapshot(&world.store());
    let gateway = blocks.gateway();
    let restore = world.operator().args(["restore", "--from", &format!("ipfs://{root}"), "--to"]).arg(world.target());
    through(restore, &[&gateway]).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn a_cid_is_shown_exported_and_repairs_what_was_restored_from_it() {
    let ipfs = OnIpfs::new();
    let gateway = ipfs.blocks.gateway();
    ipfs.restore(&[&gateway]).summary();
    let shown = through(ipfs.world.operator().args(["show", "--files", "--from", &ipfs.source()]), &[&gateway]).json_lines();
    assert_eq!((shown.len(), &shown[2]["channel"]), (3, &CHANNEL.into()), "{shown:?}");
    let tar = through(ipfs.world.operator().args(["export", "--from", &ipfs.source()]), &[&gateway]).output();
    assert!(tar.status.success() && tar.stdout.len() > 11 << 20);
    tree::flip(&ipfs.world.target().join("000001.sst"), 5 * tree::CHUNK);
    let repair = ipfs.world.operator().arg("verify").arg(ipfs.world.target()).args(["--repair", "--from", &ipfs.source()]);
    assert_eq!(through(repair, &[&gateway]).summary()["repaired"], 1);
    ipfs.is_restored();
}

#[test]
fn what_is_no_snapshot_is_refused_with_what_it_is() {
    let ipfs = OnIpfs::new();
    let gateway = ipfs.blocks.gateway();
    let cat = ipfs.world.path("cat.jpg");
    fs::write(&cat, [7; 500]).unwrap();
    let file = ipfs.blocks.add_file(&cat, 200);
    let pictures = ipfs.blocks.add_directory(vec![ipfs.blocks.entry("cat.jpg", file), ipfs.blocks.entry("dog.jpg", file)]);
    let nothing = ipfs.blocks.add_directory(Vec::new());
    let restore = |cid: &Cid| {
        let restore = ipfs.world.operator().args(["restore", "--from", &format!("ipfs://{cid}"), "--to"]).arg(ipfs.world.target());
        through(restore, &[&gateway]).json_error(10)
    };
    for (cid, found) in [
        (file.cid, "not a qsync snapshot: found a file"),
        (pictures.cid, "not a qsync snapshot: found a directory with cat.jpg, dog.jpg"),
        (nothing.cid, "not a qsync snapshot: found an empty directory"),
    ] {
        let error = restore(&cid);
        assert_eq!((&error["code"], error["message"].as_str().unwrap()), (&"not-a-snapshot".into(), format!("{cid} is {found}").as_str()));
    }
    // Nobody has anything of it.
    let unknown = Cid::new(Codec::DagPb, Hash::of(b"nobody has it"));
    let missing = ipfs.world.operator().args(["restore", "--from", &format!("ipfs://{unknown}"), "--to"]).arg(ipfs.world.target());
    let error = through(missing, &[&gateway]).json_error(13);
    assert_eq!(error["code"], "object-missing");
    let details = error["details"][0].as_str().unwrap();
    assert!(details.contains(&unknown.to_string()) && details.contains(gateway.url.trim_end_matches('/')), "{error}");
}

#[test]
fn bad_words_are_refused_before_anything_is_asked() {
    let world = World::new();
    let [one, other] = [b"one", b"two"].map(|text| Cid::new(Codec::DagPb, Hash::of(text)));
    let [one, other] = [one, other].map(|cid| format!("ipfs://{cid}"));
    let chunk = format!("ipfs://{}", Cid::new(Codec::Raw, Hash::of(b"chunk")));
    // One that is a gateway and has nothing.
    let gateway = Blocks::new(world.path("blocks")).gateway();
    let refused = |arguments: &[&str]| {
        let command = world.operator().arg("restore").args(arguments).args(["--gateway", &gateway.url, "--to"]).arg(world.target());
        command.fails_with(2)
    };
    let mut told = String::new();
    let long = format!("{one}/tree");
    for arguments in [
        &["--from", "ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"][..],
        &["--from", "ipfs://bafybeifx7yeb55armcsxwwitkymga5xf53dxiarykms3ygqic223w5sk3m"],
        &["--from", &chunk],
        &["--from", &long],
        &["--from", "ipns://example.org"],
        &["--from", "ipfs+http://127.0.0.1:5001"],
        &["--from", "ipfs://"],
        &["--from", &one, "--from", &other],
        &["--from", &one, "--gateway", "127.0.0.1:8080"],
    ] {
        told += &refused(arguments);
    }
    insta::assert_snapshot!(told, @r"
    error: ipfs:// is not followed by the CID of a snapshot
    caused by: a CID of version 0 (QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH): snapshots have version 1, with BLAKE3
    hint: name the root of a snapshot: qsync show says which CID that is
    error: ipfs:// is not followed by the CID of a snapshot
    caused by: a CID with hash function 0x12 of 32 bytes: snapshots have BLAKE3 (0x1e) of 32 bytes
    hint: name the root of a snapshot: qsync show says which CID that is
    error: bafkr4idldvcavwtb2d2oiqlmoo6lvm3jj6liowr6lxzskmdvcy775e6nju is not a qsync snapshot: it names a single block of content, such as a chunk
    hint: name the root of a snapshot: qsync show says which CID that is
    error: not the URL of a store: ipfs://…: no path follows a CID, which names a whole snapshot
    error: ipns:// names are not restored from: whoever holds the key can point them at anything, also at an older snapshot, and nobody would notice
    hint: restore the channel from a store: its signed head shows what is newest, and when that is too old
    hint: or look up what the name stands for now, with ipfs name resolve, and restore that: ipfs://CID
    error: ipfs+http:// is the RPC of a Kubo node, to publish to, and no source
    hint: to restore what is on IPFS: --from ipfs://CID --gateway http://127.0.0.1:8080
    error: neither a channel nor a CID says which snapshot is meant
    hint: write the channel before the options: CHAIN/PROFILE
    hint: or name a snapshot on IPFS by its root: --from ipfs://CID
    error: several CIDs are among the sources, and no channel says which snapshot is meant
    hint: name one of them, and write ipfs:// without a CID for chunks from anywhere on IPFS
    error: not the URL of a gateway: relative URL without a base
    hint: write --gateway http://127.0.0.1:8080
    ");
}

#[test]
fn what_is_no_gateway_is_said_and_left_out() {
    let ipfs = OnIpfs::new();
    let honest = ipfs.blocks.gateway();
    let empty = ipfs.world.path("empty");
    fs::create_dir(&empty).unwrap();
    let rpc = EvilMirror::start(empty.clone(), |key| match key {
        "api/v0/version" => Answer::Status("405 Method Not Allowed"),
        _ => Answer::Status("404 Not Found"),
    });
    let page = EvilMirror::start(empty, |_| Answer::Page);
    let error = ipfs.restore(&[&rpc, &page]).json_error(16);
    assert_eq!(error["code"], "bad-answer");
    let details = format!("{}", error["details"]).replace(&rpc.url, "RPC/").replace(&page.url, "PAGE/");
    assert!(details.contains("this is Kubo's RPC") && details.contains("it answers with something else (text/html)"), "{details}");
    ipfs.restore(&[&rpc, &honest]).summary();
    ipfs.is_restored();
    assert!(rpc.asked().iter().all(|key| !key.contains("bafy")), "{:?}", rpc.asked());
}

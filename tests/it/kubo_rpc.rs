//! The client of Kubo's RPC against a node in memory: the contract, and every way in which a node or what stands in its place may fail.

use std::time::{Duration, Instant};

use qsync::{
    format::unixfs::Block,
    kubo::{ErrorKind, Kubo, Node, Pinned},
    types::Cid,
};

use crate::support::kubo::{
    FakeKubo, Fault,
    contract::{self, import},
};

const TIME: Duration = Duration::from_secs(5);

fn open(node: &FakeKubo) -> Kubo {
    Kubo::open(&node.rpc().parse().unwrap(), None).unwrap()
}

fn cid() -> Cid {
    Block::leaf(b"some block".to_vec()).cid
}

/// What a client makes of the first command when the node does this.
async fn error_of(fault: Fault) -> (ErrorKind, String) {
    let node = FakeKubo::scripted(move |_, _| Some(fault.clone()));
    let error = open(&node).check().await.unwrap_err();
    assert_eq!((error.node.as_str(), error.action), (node.rpc().as_str(), "version"));
    (error.kind, error.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_in_memory_keeps_the_contract() {
    contract::run(&open(&FakeKubo::start()), "offline").await;
    contract::run(&open(&FakeKubo::start().online()), "online").await;
}

#[tokio::test]
async fn a_node_says_what_it_is() {
    let node = open(&FakeKubo::start()).check().await.unwrap();
    let addresses = ["127.0.0.1", "203.0.113.7"].map(|host| format!("/ip4/{host}/tcp/4001/p2p/12D3KooWfake"));
    assert_eq!(node, Node { version: "0.43.0".into(), peer_id: "12D3KooWfake".into(), addresses: addresses.into() });
    let old = open(&FakeKubo::start().of_version("0.39.0")).check().await.unwrap_err();
    assert_eq!(old.kind, ErrorKind::TooOld { found: "0.39.0".into() });
    assert!(old.to_string().ends_with("version: the node is Kubo 0.39.0, at least 0.40 is needed"), "{old}");
    let other = open(&FakeKubo::start().of_version("helia/5")).check().await.unwrap_err();
    assert_eq!(other.kind, ErrorKind::NotAnRpc);
}

#[tokio::test]
async fn a_status_of_200_is_no_success() {
    let words = "pin: something broke";
    for fault in [Fault::Says(words), Fault::SaysWithStatus200(words), Fault::SaysInTrailer(words)] {
        assert_eq!(error_of(fault.clone()).await, (ErrorKind::Refused, words.into()), "{fault:?}");
    }
    let node = FakeKubo::scripted(|command, _| (command == "dag/import").then_some(Fault::SaysInTrailer("no space left on device")));
    let error = import(&open(&node), &[Block::leaf(vec![1])]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSpace);
}

#[tokio::test]
async fn what_is_no_rpc_is_told_from_a_node_that_refuses() {
    for (status, kind, body) in [
        (404, "text/plain; charset=utf-8", "404 page not found\n"),
        (200, "text/html", "<!doctype html><title>Please log in</title>"),
        (301, "text/html", "<a href=\"http://elsewhere.example/\">Moved</a>"),
        (200, "text/html", "{\"Version\":\"0.43.0\"}"),
        (200, "application/json", "{\"hello\":\"world\"}"),
        (200, "application/json", ""),
        (200, "application/json", "not JSON"),
    ] {
        assert_eq!(error_of(Fault::Answers(status, kind, body)).await.0, ErrorKind::NotAnRpc, "{status} {kind} {body}");
    }
    for status in [401, 403] {
        assert_eq!(error_of(Fault::Answers(status, "text/plain", "who are you\n")).await.0, ErrorKind::Denied);
    }
    let page = error_of(Fault::Answers(200, "text/html", "<html>")).await.1;
    assert_eq!(page, "not the RPC of a node: 200 OK, of kind text/html");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unreachable() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let kubo = Kubo::open(&format!("ipfs+http://127.0.0.1:{port}").parse().unwrap(), None).unwrap();
    let error = kubo.check().await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Unreachable, "cannot connect to the node"));
    assert_eq!(error_of(Fault::Answers(502, "text/html", "<h1>")).await.0, ErrorKind::Unreachable);
    assert_eq!(error_of(Fault::BreaksOff(0)).await.0, ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_node_that_never_answers_is_given_up() {
    let node = FakeKubo::scripted(|_, _| Some(Fault::Hangs));
    let kubo = open(&node);
    // The node has its own thread and the connection is there: only our own patience is left to wait for.
    let began = tokio::time::Instant::now();
    tokio::time::pause();
    let error = kubo.check().await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Unreachable, "no answer within 60 s"));
    assert!(began.elapsed() >= Duration::from_secs(60));
    let error = kubo.pin_add(&cid(), "x", Duration::from_secs(100)).await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Unreachable, "no answer within 130 s"));
    let error = import(&kubo, &[Block::leaf(vec![1])]).await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Interrupted, "nothing moved for 120 s"));
}

#[tokio::test]
async fn an_online_node_looks_for_a_block_until_its_time_is_over() {
    let node = FakeKubo::start().online();
    let began = Instant::now();
    assert_eq!(open(&node).pin_add(&cid(), "x", Duration::from_millis(300)).await.unwrap(), Pinned::Incomplete);
    assert!((300..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_import_that_ends_early_is_no_success() {
    let blocks = [Block::leaf(vec![1]), Block::leaf(vec![2]), Block::leaf(vec![3])];
    let fails = |fault: Fault| FakeKubo::scripted(move |_, nth| (nth == 0).then(|| fault.clone()));
    for (fault, kind) in [
        (Fault::BreaksOff(2), ErrorKind::Interrupted),
        (Fault::IsFull(2), ErrorKind::NoSpace),
        (Fault::Instead(""), ErrorKind::Interrupted),
        (Fault::Instead("{\"Root\":{\"Cid\":{\"/\":\"bafy\"},\"PinErrorMsg\":\"no\"}}"), ErrorKind::Refused),
    ] {
        let node = fails(fault.clone());
        let error = import(&open(&node), &blocks).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
        assert_eq!(import(&open(&node), &blocks).await.unwrap(), 3, "the next try completes it");
        assert_eq!(node.blocks(), 3);
    }
}

#[tokio::test]
async fn what_is_not_there_need_not_be_removed_but_other_refusals_count() {
    let node = FakeKubo::scripted(|_, _| Some(Fault::Says("internal error")));
    let kubo = open(&node);
    let errors = [
        kubo.pin_rm(&cid()).await.unwrap_err(),
        kubo.files_rm("/x").await.unwrap_err(),
        kubo.files_cid("/x").await.unwrap_err(),
        kubo.is_pinned(&cid()).await.unwrap_err(),
        kubo.files_cp(&cid(), "/x").await.unwrap_err(),
        kubo.pin_names("x").await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind == ErrorKind::Refused && error.reason == "internal error"), "{errors:?}");
}

#[tokio::test]
async fn what_others_keep_there_is_left_alone() {
    let foreign = "{\"Cid\":\"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH\",\"Name\":\"x\",\"Type\":\"recursive\"}";
    let node = FakeKubo::scripted(move |command, _| (command == "pin/ls").then_some(Fault::Instead(foreign)));
    assert_eq!(open(&node).pin_names("x").await.unwrap(), []);
    let stat = "{\"Hash\":\"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH\",\"Type\":\"file\"}";
    let node = FakeKubo::scripted(move |_, _| Some(Fault::Answers(200, "application/json", stat)));
    let error = open(&node).files_cid("/x").await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Refused, "/x is nothing of ours"));
}

#[tokio::test]
async fn what_a_node_keeps_survives_its_cleaning() {
    let node = FakeKubo::start();
    let kubo = open(&node);
    let blocks: Vec<_> = (0..3).map(|n| Block::leaf(vec![n])).collect();
    import(&kubo, &blocks).await.unwrap();
    kubo.pin_add(&blocks[0].cid, "x", TIME).await.unwrap();
    kubo.files_cp(&blocks[1].cid, "/qsync/partial/1").await.unwrap();
    node.collect_garbage();
    assert_eq!(blocks.iter().map(|block| node.block(&block.cid).is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!((node.pins(), node.files()), (vec![(blocks[0].cid, "x".into())], vec!["/qsync/partial/1".into()]));
    node.lose(&blocks[0].cid);
    assert_eq!(kubo.pin_add(&blocks[0].cid, "x", TIME).await.unwrap(), Pinned::Incomplete);
    assert_eq!(node.commands(), ["dag/import", "pin/add", "files/rm", "files/cp", "pin/add"]);
}

#[tokio::test]
async fn a_late_answer_is_an_answer() {
    let node = FakeKubo::scripted(|_, _| Some(Fault::After(Duration::from_millis(50))));
    open(&node).check().await.unwrap();
}

// AW-11
#[test]
fn neither_the_name_nor_debug_output_shows_the_secret() {
    let url = "ipfs+http://127.0.0.1:5001".parse().unwrap();
    let kubo = Kubo::open(&url, Some("bearer:hunter2".parse().unwrap())).unwrap();
    assert_eq!(kubo.name(), "ipfs+http://127.0.0.1:5001");
    assert!(!format!("{kubo:?}").contains("hunter2"));
}

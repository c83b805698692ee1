//! qsync's client commands a real node.

use std::time::{Duration, Instant};

use qsync::{
    format::unixfs::Block,
    kubo::{Completeness, ErrorKind, Kubo, Pinned},
};

use crate::{
    servers::kubo::Kubo as Node,
    support::kubo::contract::{self, import},
};

fn open(node: &Node, secret: Option<&str>) -> Kubo {
    Kubo::open(&node.rpc().parse().unwrap(), secret.map(|secret| secret.parse().unwrap())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_keeps_the_contract() {
    contract::run(&open(Node::shared(), None), "offline").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_online_keeps_the_contract() {
    let node = Node::start_online();
    let kubo = open(&node, None);
    contract::run(&kubo, "online").await;
    let addresses = kubo.check().await.unwrap().addresses;
    assert!(!addresses.is_empty() && addresses.iter().all(|address| address.starts_with("/ip4/127.0.0.1/")), "{addresses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_waits_for_a_block_no_longer_than_it_is_told_to() {
    let node = Node::start_online();
    let kubo = open(&node, None);
    let absent = Block::leaf(b"nobody has this".to_vec());
    let began = Instant::now();
    assert_eq!(kubo.pin_add(&absent.cid, "x", Duration::from_secs(1)).await.unwrap(), Pinned::Incomplete);
    assert!((1..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    // Looking for it here is over at once.
    let found = kubo.completeness(&absent.cid, Duration::from_secs(5)).await.unwrap();
    assert_eq!(found, Completeness::Missing(Some(absent.cid.to_string())));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_pins_what_another_has() {
    let (has, wants) = (Node::start_online(), Node::start_online());
    let block = Block::leaf(b"a block that travels".to_vec());
    import(&open(&has, None), std::slice::from_ref(&block)).await.unwrap();
    wants.connect(&has);
    assert_eq!(open(&wants, None).pin_add(&block.cid, "x", Duration::from_secs(20)).await.unwrap(), Pinned::Done);
    assert_eq!(wants.ipfs(&["cat", &block.cid.to_string()]), "a block that travels");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_knows_the_secret_may_command() {
    for secret in ["basic:qsync:hunter2", "bearer:hunter2"] {
        let node = Node::start_with_secret(secret);
        open(&node, Some(secret)).check().await.unwrap();
        for wrong in [None, Some("bearer:wrong")] {
            let denied = open(&node, wrong).check().await.unwrap_err();
            assert_eq!(denied.kind, ErrorKind::Denied, "{denied}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_no_rpc() {
    let gateway = format!("ipfs+{}", Node::shared().gateway());
    let kubo = Kubo::open(&gateway.parse().unwrap(), None).unwrap();
    let error = kubo.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotAnRpc, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_goes_on_with_what_it_had() {
    let mut node = Node::start();
    let kubo = open(&node, None);
    let block = Block::leaf(b"kept".to_vec());
    import(&kubo, std::slice::from_ref(&block)).await.unwrap();
    kubo.pin_add(&block.cid, "kept", Duration::from_secs(5)).await.unwrap();
    node.kill();
    assert_eq!(kubo.check().await.unwrap_err().kind, ErrorKind::Unreachable);
    node.start_again();
    assert_eq!(kubo.pin_names("kept").await.unwrap(), [block.cid]);
}

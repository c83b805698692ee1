//! `restore --check-rpc`: a node that the user trusts confirms the snapshot's block before anything is fetched.

use crate::support::{
    World,
    node::{FakeNode, Says, Toy},
    tree,
};

/// A world with a snapshot of block 100 of this toy's chain.
fn published(toy: &Toy) -> (World, String) {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    world.publish_command(&world.path("data"), 100).args(["--block-hash", &toy.hash(100)]).summary();
    (world, pin)
}

#[test]
fn a_node_that_knows_the_block_lets_the_restore_go_on() {
    let toy = Toy { height: 200, ..Toy::default() };
    let (world, pin) = published(&toy);
    let restored = world.restore_command(&pin).args(["--check-rpc", &toy.start().url()]).summary();
    assert_eq!((&restored["outcome"], &restored["block_check"]), (&"restored".into(), &"same".into()));
}

#[test]
fn another_block_is_refused_with_both_hashes_before_anything_is_fetched() {
    let (toy, other) = (Toy::default(), Toy { height: 200, chain: "bb", ..Toy::default() });
    let (world, pin) = published(&toy);
    let error =
        world.restore_command(&pin).args(["--check-rpc", &other.clone().start().url(), "--check-rpc-family", "ethereum"]).json_error(13);
    assert_eq!(error["code"], "other-block");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&toy.hash(100)) && message.contains(&other.hash(100)), "{message}");
    assert!(!world.target().exists() && !world.staging().exists());
}

#[test]
fn a_node_that_is_not_there_yet_is_a_warning_and_one_that_cannot_be_asked_a_refusal() {
    let toy = Toy { height: 20, ..Toy::default() };
    let (world, pin) = published(&toy);
    let page = FakeNode::new(|_, _| Says::Body(200, "text/html", "<html>".into()));
    let refused = world.restore_command(&pin).env("QSYNC_CHECK_RPC", page.url_with_secrets()).json_error(16);
    assert!(refused["code"] == "check-rpc" && !refused.to_string().contains("hunter2"), "{refused}");
    assert!(!world.target().exists() && !world.staging().exists());
    let restored = world.restore_command(&pin).args(["--check-rpc", &toy.start().url()]).summary();
    assert_eq!((&restored["outcome"], &restored["block_check"]), (&"restored".into(), &"unknown".into()));
}

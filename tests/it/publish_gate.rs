//! `publish` asks the node first: what it says goes into the snapshot, and a node that is not fit is not touched.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    node::{FakeNode, Says, Toy},
    tree,
};

fn world() -> World {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    world
}

/// A publish that asks this node.
fn publish(world: &World, node: &FakeNode) -> Qsync {
    world.provider().args(["publish", CHANNEL]).arg(world.path("data")).arg("--to").arg(world.store()).args(["--rpc", &node.url()])
}

fn head(world: &World) -> Value {
    let shown = world.provider().args(["head", "show", CHANNEL, "--from"]).arg(world.store()).summary();
    assert!(shown["seq"].is_u64());
    shown
}

/// The conditions that are not met, of the lines that a command printed.
fn unmet(command: Qsync) -> (Vec<String>, Value) {
    let output = command.arg("--json").output();
    assert_eq!(output.status.code(), Some(18), "{}", text(&output.stdout));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let unmet = lines.iter().filter(|line| line["type"] == "condition" && line["verdict"] != "met");
    let error = lines.last().unwrap().clone();
    assert_eq!((&error["type"], &error["code"]), (&"error".into(), &"gate-not-met".into()), "{error}");
    (unmet.map(|line| line["name"].as_str().unwrap().to_owned()).collect(), error)
}

#[test]
fn what_the_node_says_goes_into_the_snapshot() {
    let (world, toy) = (world(), Toy::default());
    let published = publish(&world, &toy.clone().start()).summary();
    let height = published["height"].as_u64().unwrap();
    assert!(height > 100);
    let shown = world.provider().args(["show", CHANNEL, "--from"]).arg(world.store()).summary();
    assert_eq!((&shown["block_hash"], &shown["genesis"]), (&toy.hash(height).into(), &toy.hash(0).into()));
    assert_eq!(shown["client"].as_str(), Some("Toy 1.2.3"));
    assert_eq!(head(&world)["height"], height);
}

// PU-08
#[test]
fn a_node_that_is_not_fit_is_refused_with_every_value_and_the_head_lives_on() {
    let world = world();
    publish(&world, &Toy::default().start()).summary();
    let (before, store) = (head(&world), tree::files(&world.store().join("manifests")).len());
    let catching_up = Toy { syncing: true, peers: 0, height: 200, ..Toy::default() }.start();
    // Nothing of the data directory is looked at: a secret in it would refuse it.
    fs::write(world.path("data/jwt.hex"), "00".repeat(32)).unwrap();
    let (names, error) = unmet(publish(&world, &catching_up).args(["--min-peers", "3"]));
    assert_eq!(names, ["synced", "peers", "growing"]);
    let details = error["details"].to_string();
    assert!(
        details.contains("NOT met  peers: 0, wanted at least 3") && details.contains("the head was signed again: number 2"),
        "{details}"
    );
    let after = head(&world);
    assert_eq!((after["seq"].as_u64(), &after["snapshot"]), (Some(2), &before["snapshot"]));
    assert_eq!(tree::files(&world.store().join("manifests")).len(), store);
    let text = publish(&world, &catching_up).arg("--dry-run").fails_with(18);
    assert!(text.contains("NOT met  synced: no, wanted yes") && text.contains("the head was left as it is: it is a dry run"), "{text}");
    assert_eq!(head(&world)["seq"], 2);
}

#[test]
fn the_head_of_an_old_snapshot_is_not_signed_again() {
    let world = world();
    publish(&world, &Toy::default().start()).summary();
    std::thread::sleep(Duration::from_millis(2100));
    let stalled = Toy { syncing: true, height: 200, ..Toy::default() }.start();
    let (_, error) = unmet(publish(&world, &stalled).args(["--refresh-max-age", "1s"]));
    assert!(error["details"].to_string().contains("after 1s it shall not look new"), "{error}");
    assert_eq!(head(&world)["seq"], 1);
}

// PU-08
#[test]
fn a_node_on_another_chain_or_behind_the_channel_is_refused() {
    let world = world();
    publish(&world, &Toy::default().start()).summary();
    assert_eq!(unmet(publish(&world, &Toy { chain: "bb", height: 5_000, ..Toy::default() }.start())).0, ["growing", "chain"]);
    assert_eq!(unmet(publish(&world, &Toy { height: 5, ..Toy::default() }.start())).0, ["growing", "height"]);
}

#[test]
fn the_operators_block_and_the_nodes_must_be_one() {
    let (world, toy) = (world(), Toy::default());
    let with = |words: &[&str]| publish(&world, &toy.clone().start()).args(words);
    assert_eq!(unmet(with(&["--height", "90", "--block-hash", &toy.hash(91)])).0, ["growing", "block-hash"]);
    assert_eq!(unmet(with(&["--height", "900"])).0, ["growing", "height"]);
    with(&["--height", "90", "--block-hash", &toy.hash(90)]).summary();
    let shown = world.provider().args(["show", CHANNEL, "--from"]).arg(world.store()).summary();
    assert_eq!((&shown["height"], &shown["block_hash"]), (&90.into(), &toy.hash(90).into()));
}

#[test]
fn gate_only_says_what_would_happen_and_changes_nothing() {
    let world = world();
    publish(&world, &Toy::default().start()).summary();
    let files =
        || tree::files(world.folder()).into_iter().filter(|file| !file.starts_with(world.path("provider-state"))).collect::<Vec<_>>();
    let before = (files(), head(&world)["seq"].clone());
    let only = |toy: Toy| publish(&world, &toy.start()).arg("--gate-only");
    let fit = only(Toy { height: 200, ..Toy::default() }).summary();
    assert_eq!((&fit["command"], fit["height"].as_u64() > Some(200)), (&"publish --gate-only".into(), true));
    let said = only(Toy { height: 200, ..Toy::default() }).stdout();
    assert!(
        said.starts_with("demo/generic would be published from http://127.0.0.1:") && said.contains("  met      synced: yes"),
        "{said}"
    );
    unmet(only(Toy { syncing: true, height: 200, ..Toy::default() }));
    assert_eq!((files(), head(&world)["seq"].clone()), before);
    let nobody = world.provider().args(["publish", CHANNEL]).arg(world.path("data")).arg("--to").arg(world.store());
    assert!(nobody.arg("--gate-only").fails_with(2).contains("no node to ask"));
}

// OP-08
#[test]
fn a_web_page_instead_of_a_node_is_named_and_no_secret_is_shown() {
    let world = world();
    let page = FakeNode::new(|_, _| Says::Body(200, "text/html", "<html>".into()));
    let asking = || world.provider().args(["publish", CHANNEL]).arg(world.path("data")).arg("--to").arg(world.store()).arg("-vv");
    let said = asking().args(["--rpc", &page.url_with_secrets()]).fails_with(18);
    assert!(said.contains("not the RPC of a node: 200 OK, of kind text/html"), "{said}");
    let file = world.path("rpc-url");
    fs::write(&file, page.url_with_secrets()).unwrap();
    let exposed = asking().arg("--rpc-url-file").arg(&file).fails_with(2);
    assert!(exposed.contains("everybody can read it"), "{exposed}");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let from_file = asking().arg("--rpc-url-file").arg(&file).fails_with(18);
    let wrong = asking().args(["--rpc", "hunter2://hunter2"]).fails_with(2);
    for text in [said, exposed, from_file] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(wrong.contains("expected http:// or https://"), "{wrong}");
}

#[test]
fn the_configuration_says_where_the_node_is_which_is_asked_unless_it_is_stopped_by_hand() {
    let (world, node) = (world(), Toy { syncing: true, ..Toy::default() }.start());
    let config = world.path("config.toml");
    fs::write(&config, format!("[channels.\"{CHANNEL}\"]\nrpc = \"{}\"\n[channels.\"{CHANNEL}\".gate]\nmin_peers = 0\n", node.url()))
        .unwrap();
    let publish =
        || world.provider().env("QSYNC_CONFIG", &config).args(["publish", CHANNEL]).arg(world.path("data")).arg("--to").arg(world.store());
    assert_eq!(unmet(publish().arg("--gate-only")).0[0], "synced");
    let asked = node.asked().len();
    publish().summary();
    assert_eq!(node.asked().len(), asked);
    let more = "[channels.\"demo/generic\".freeze]\nmethod = \"command\"\ncommand = '[ \"$1\" = thaw ]'\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + more).unwrap();
    assert_eq!(unmet(publish()).0[0], "synced");
    // Past the gate it is the script that fails.
    assert_eq!(publish().arg("--no-gate").json_error(18)["code"], "freeze-failed");
}

//! What is made of a node's answers: of every family, of something else that answers instead, and of a node that is not fit.

use std::time::{Duration, Instant};

use qsync::{
    node::{
        gate::{
            Gate, Patience, Report,
            plan::{Given, Policy, Shown, Verdict},
        },
        probe::{Probe, Status},
        rpc::{Rpc, RpcErrorKind},
    },
    profile::Family,
    types::Timestamp,
};
use serde_json::json;

use crate::support::node::{FakeNode, Says, Toy};

fn probe_at(url: &str, family: Option<Family>) -> Probe {
    Probe::new(Rpc::open(url.parse().unwrap()).unwrap().with_patience(Duration::from_millis(400)), family)
}

fn probe(node: &FakeNode, family: Option<Family>) -> Probe {
    probe_at(&node.url(), family)
}

async fn status_of(folder: &'static str, family: Family) -> (Status, Probe) {
    let probe = probe(&FakeNode::of(folder, |_| None), Some(family));
    (probe.status().await.unwrap(), probe)
}

/// Synced, peers, height of the newest and of the final block, the highest it has heard of, client.
type Facts = (Option<bool>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<String>);

fn facts(status: &Status) -> Facts {
    let client = status.client.as_ref().map(|client| format!("{} {}", client.name, client.version.as_deref().unwrap_or("?")));
    let finalized = status.finalized.as_ref().map(|block| block.height);
    (status.synced, status.peers, status.height(), finalized, status.best_known, client)
}

#[tokio::test]
async fn a_substrate_node_says_what_it_is() {
    let (status, probe) = status_of("substrate", Family::Substrate).await;
    let client = Some("Parity Polkadot 1.18.0-95a6c44ae1a".to_owned());
    assert_eq!(facts(&status), (Some(true), Some(31), Some(24_187_571), Some(24_187_568), Some(24_187_316), client));
    let head = status.head.unwrap();
    assert!(head.hash.unwrap().starts_with("0x3a1b") && head.time.is_some());
    assert!(status.genesis.unwrap().starts_with("0xb0a8d493") && status.refused.is_empty());
    assert_eq!(probe.block_hash(99_999_999).await.unwrap(), None);
}

#[tokio::test]
async fn geth_says_what_it_is() {
    let (status, probe) = status_of("ethereum", Family::Ethereum).await;
    assert_eq!(facts(&status), (Some(true), Some(0), Some(5), Some(0), None, Some("Geth 1.16.7-stable".to_owned())));
    assert_eq!(status.genesis.as_deref(), Some("0xfa742c20043b1d8a13ea6421d85e9678429f9f50c2e25b2814c61f7444504fec"));
    assert_eq!((status.chain_id.as_deref(), status.head.unwrap().time.unwrap().as_second()), (Some("1337"), 0x6b02_7118));
    assert_eq!(probe.block_hash(0).await.unwrap(), status.genesis);
    let catching_up = include_str!("../data/rpc/ethereum/eth_syncing.catching-up.json");
    let node = FakeNode::of("ethereum", move |method| {
        (method == "eth_syncing").then(|| Says::Body(200, "application/json", catching_up.to_owned()))
    });
    let status = self::probe(&node, Some(Family::Ethereum)).status().await.unwrap();
    assert_eq!((status.synced, status.best_known), (Some(false), Some(0x3e_0e41)));
}

#[tokio::test]
async fn a_bitshares_node_says_what_it_is_and_hashes_stand_in_the_next_block() {
    let (status, probe) = status_of("bitshares", Family::Bitshares).await;
    assert_eq!(facts(&status), (None, None, Some(91_234_567), Some(91_234_551), None, None));
    assert!(!status.tells_synced && status.refused.len() == 1 && status.refused[0].starts_with("get_connected_peers: error 1: "));
    assert!(status.genesis.unwrap().starts_with("4018d784"));
    assert_eq!(status.finalized.unwrap().hash.as_deref(), Some("057020f7c3a1bd0c3fbd1d6a83a2ef3f2a2d3b9e"));
    let head = status.head.unwrap();
    assert_eq!(head.time, Some("2026-11-20T03:00:12Z".parse().unwrap()));
    assert_eq!(probe.block_hash(91_234_567).await.unwrap(), head.hash);
    assert_eq!(probe.block_hash(1000).await.unwrap().as_deref(), Some("000003e8c3a1bd0c3fbd1d6a83a2ef3f2a2d3b9e"));
    assert_eq!(probe.block_hash(91_234_568).await.unwrap(), None);
}

#[tokio::test]
async fn a_bitcoin_node_says_what_it_is() {
    let (status, probe) = status_of("bitcoin", Family::Bitcoin).await;
    assert_eq!(facts(&status), (Some(true), Some(10), Some(924_001), None, Some(924_001), Some("Satoshi 29.0.0".to_owned())));
    assert!(status.genesis.unwrap().starts_with("000000000019d6"));
    assert_eq!(status.head.unwrap().time.unwrap().as_second(), 1_795_143_612);
    assert_eq!(probe.block_hash(99_999_999).await.unwrap(), None);
}

#[tokio::test]
async fn a_tendermint_node_says_what_it_is() {
    let (status, probe) = status_of("tendermint", Family::Tendermint).await;
    let height = Some(28_411_234);
    assert_eq!(facts(&status), (Some(true), Some(12), height, height, None, Some("GaiaApp 25.1.0".to_owned())));
    assert_eq!(status.genesis.as_deref(), Some("cosmoshub-4"));
    assert!(probe.block_hash(28_411_000).await.unwrap().unwrap().starts_with("7C1D") && probe.block_hash(5).await.unwrap().is_none());
}

#[tokio::test]
async fn a_node_of_an_unknown_family_is_asked_until_it_understands() {
    for (folder, height) in
        [("ethereum", 5), ("substrate", 24_187_571), ("bitcoin", 924_001), ("tendermint", 28_411_234), ("bitshares", 91_234_567)]
    {
        let status = probe(&FakeNode::of(folder, |_| None), None).status().await.unwrap();
        assert_eq!(status.height(), Some(height), "{folder}");
    }
    let dumb = probe(&FakeNode::new(|_, _| Says::Error(-32601, "no")), None).status().await.unwrap_err();
    assert!(dumb.kind == RpcErrorKind::Shape && dumb.to_string().contains("no family of nodes that is known"), "{dumb}");
}

#[tokio::test]
async fn what_a_node_does_not_tell_is_unknown_and_its_words_are_kept() {
    let nothing = FakeNode::new(|_, _| Says::Error(-32601, "the method does not exist"));
    for family in [Family::Substrate, Family::Ethereum, Family::Bitshares, Family::Bitcoin, Family::Tendermint] {
        let status = probe(&nothing, Some(family)).status().await.unwrap();
        assert_eq!(facts(&status), (None, None, None, None, None, None), "{family:?}");
        assert_eq!((status.genesis, status.chain_id), (None, None));
        assert!(status.refused.iter().all(|text| text.ends_with(": error -32601: the method does not exist")), "{:?}", status.refused);
        assert_eq!(probe(&nothing, Some(family)).block_hash(7).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_answers_instead_of_a_node_is_an_error_that_names_it_without_its_secrets() {
    let html = || Says::Body(200, "text/html", "<!doctype html><title>Log in</title>".to_owned());
    let elsewhere = Toy::default().start();
    let to = elsewhere.url();
    let cases: Vec<(Says, RpcErrorKind, &str)> = vec![
        (html(), RpcErrorKind::NotAnRpc, "not the RPC of a node: 200 OK, of kind text/html"),
        (Says::Body(200, "application/json", String::new()), RpcErrorKind::NotAnRpc, "of kind application/json"),
        (Says::Body(200, "application/json", "{\"result\":".to_owned()), RpcErrorKind::NotAnRpc, "not the RPC of a node"),
        (Says::Body(404, "text/plain", "no".to_owned()), RpcErrorKind::NotAnRpc, "404 Not Found, of kind text/plain"),
        (Says::Body(401, "text/plain", "who are you".to_owned()), RpcErrorKind::Denied, "the server answers 401 Unauthorized"),
        (Says::Body(503, "text/html", "<h1>".to_owned()), RpcErrorKind::Unreachable, "answers 503 Service Unavailable"),
        (Says::Redirect(to), RpcErrorKind::NotAnRpc, "307 Temporary Redirect"),
        (Says::Huge(17 << 20), RpcErrorKind::NotAnRpc, "more than 16777216 bytes"),
        (Says::Nothing, RpcErrorKind::Unreachable, "no answer within 0.4 s"),
        (Says::Result(json!(7)), RpcErrorKind::Shape, "its answer is another than expected"),
        (Says::Result(json!({"peers": "many"})), RpcErrorKind::Shape, "its answer is another than expected"),
    ];
    for (says, kind, words) in cases {
        let label = format!("{says:?}").chars().take(60).collect::<String>();
        let node = FakeNode::new(move |_, _| says.clone());
        for family in [Family::Substrate, Family::Bitcoin, Family::Tendermint] {
            let error = probe_at(&node.url_with_secrets(), Some(family)).status().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(error.kind == kind && text.contains(words) && error.node == node.url(), "{label}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    assert!(elsewhere.asked().is_empty(), "a redirect is not followed");
    let gone = probe_at("http://127.0.0.1:1/hunter2", Some(Family::Bitcoin)).status().await.unwrap_err();
    assert!(gone.kind == RpcErrorKind::Unreachable && !format!("{gone:?}").contains("hunter2"), "{gone:?}");
}

#[tokio::test]
async fn numbers_that_are_none_are_not_taken_for_zero() {
    for bad in [json!("7"), json!("0x"), json!("0xzz"), json!(7), json!("0x10000000000000000"), json!(true)] {
        let node = FakeNode::of("ethereum", move |method| (method == "net_peerCount").then(|| Says::Result(bad.clone())));
        let error = probe(&node, Some(Family::Ethereum)).status().await.unwrap_err();
        assert!(error.kind == RpcErrorKind::Shape && error.method == "net_peerCount", "{error}");
    }
}

#[tokio::test]
async fn a_password_is_sent_as_a_header_and_a_token_instead_of_it() {
    let node = FakeNode::of("bitcoin", |_| None);
    probe_at(&node.url_with_secrets(), Some(Family::Bitcoin)).block_hash(0).await.unwrap();
    let url = node.url_with_secrets().parse::<qsync::node::rpc::RpcUrl>().unwrap().with_auth("bearer:tok".parse().unwrap());
    Probe::new(Rpc::open(url).unwrap(), Some(Family::Bitcoin)).block_hash(0).await.unwrap();
    assert_eq!(node.authorized(), [Some("Basic dXNlcjpodW50ZXIy".to_owned()), Some("Bearer tok".to_owned())]);
}

fn gate(node: &FakeNode, reference: Option<&FakeNode>) -> Gate {
    let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
    let max_lag_blocks = reference.map(|_| 3);
    Gate {
        probe: probe(node, None),
        reference: reference.map(|node| probe(node, None)),
        policy: Policy { block_time: seconds(12), max_head_age: seconds(600), min_peers: 5, max_lag_blocks, chain: Some("1".into()) },
        patience: Patience { tries: 3, pause: millis(20), growth: millis(300), poll: millis(50) },
    }
}

async fn ask(gate: &Gate) -> Report {
    gate.ask(&Shown::default(), &Given::default(), Timestamp::now()).await
}

/// The conditions that are not met.
fn unmet(report: &Report) -> Vec<(&str, Verdict)> {
    report.conditions.iter().filter(|c| c.verdict != Verdict::Met).map(|c| (c.name, c.verdict)).collect()
}

#[tokio::test]
async fn a_node_is_asked_again_until_it_has_a_new_block() {
    let report = ask(&gate(&Toy::default().start(), Some(&Toy::default().start()))).await;
    assert!(report.is_met(), "{:?}", report.lines());
    assert!(report.status.unwrap().height() > Some(100));
}

// PU-08
#[tokio::test]
async fn a_node_that_has_stalled_says_that_it_is_synced_and_does_not_pass() {
    let (started, stalled) = (Instant::now(), Toy { grows: 0, ..Toy::default() }.start());
    let report = ask(&gate(&stalled, None)).await;
    assert_eq!(unmet(&report), [("growing", Verdict::NotMet)]);
    assert!(report.lines().contains(&"NOT met  growing: 100, then 100, wanted a new block".to_owned()), "{:?}", report.lines());
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn who_is_refused_anyway_is_not_waited_for() {
    let node = Toy { syncing: true, ..Toy::default() }.start();
    let report = ask(&gate(&node, None)).await;
    assert_eq!(unmet(&report), [("synced", Verdict::NotMet), ("growing", Verdict::Unknown)]);
    assert_eq!(node.asked().iter().filter(|method| *method == "eth_syncing").count(), 1);
}

#[tokio::test]
async fn a_reference_far_ahead_or_silent_is_not_passed_by() {
    let ahead = ask(&gate(&Toy::default().start(), Some(&Toy { height: 200, ..Toy::default() }.start()))).await;
    assert_eq!(unmet(&ahead), [("growing", Verdict::Unknown), ("lag", Verdict::NotMet)]);
    let silent = ask(&gate(&Toy::default().start(), Some(&FakeNode::new(|_, _| Says::Body(503, "text/html", "<h1>".into()))))).await;
    assert_eq!(unmet(&silent), [("lag", Verdict::Unknown)]);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_asked_three_times_and_a_web_page_once() {
    let page = FakeNode::new(|_, _| Says::Body(200, "text/html", "<html>".into()));
    let report = ask(&gate(&page, None)).await;
    assert_eq!((unmet(&report), page.asked().len()), (vec![("answers", Verdict::NotMet)], 1));
    let down = FakeNode::new(|_, _| Says::Body(503, "text/html", "<h1>".into()));
    let report = ask(&gate(&down, None)).await;
    assert_eq!((unmet(&report), down.asked().len()), (vec![("answers", Verdict::NotMet)], 3));
    assert!(report.lines()[0].contains("something before the node answers 503"), "{:?}", report.lines());
}

//! Networks that break: connections that end anywhere, servers that ask for a pause, names and routes that lead nowhere, proxies.

use std::{
    fs,
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    World,
    command::text,
    evil::{Answer, EvilMirror},
    tree::{self, CHUNK},
};

/// A published snapshot with a list, and its pin.
fn published() -> (World, String) {
    let world = World::new();
    fs::create_dir_all(world.path("data")).unwrap();
    tree::write(&world.path("data/000001.sst"), 5 * CHUNK + 1);
    tree::write(&world.path("data/CURRENT"), 16);
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    (world, pin)
}

/// A server whose first answers about each object are bad.
fn at_first(world: &World, times: usize, bad: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> EvilMirror {
    EvilMirror::scripted(world.store(), move |key, before| if before < times { bad(key, before) } else { Answer::Whole })
}

// NW-01
#[test]
fn a_connection_that_is_reset_at_any_byte_is_made_again() {
    thread::scope(|scope| {
        for bytes in [0, 1, 9, 17, 38, 45, 60, 1_000, 50_000, 700_000] {
            scope.spawn(move || {
                let (world, pin) = published();
                let mirror = at_first(&world, 1, move |_, _| Answer::Reset(bytes));
                world.restore_from(&mirror.url, &pin).summary();
                tree::assert_same(&world.path("data"), &world.target());
            });
        }
    });
}

// NW-04, NW-05
#[test]
fn a_server_that_is_busy_or_broken_for_a_while_is_asked_again() {
    thread::scope(|scope| {
        for status in [
            "429 Too Many Requests\r\nretry-after: 1",
            "503 Slow Down\r\nretry-after: 1",
            "503 Slow Down",
            "500 Oops",
            "502 Bad",
            "504 Late",
        ] {
            scope.spawn(move || {
                let (world, pin) = published();
                let mirror =
                    at_first(&world, 1, move |key, _| if key.starts_with("chunks/") { Answer::Status(status) } else { Answer::Whole });
                let started = Instant::now();
                let restored = world.restore_from(&mirror.url, &pin).summary();
                tree::assert_same(&world.path("data"), &world.target());
                assert_eq!(mirror.chunks_asked().len(), 2 * 7, "{status}: {restored}");
                if status.contains("retry-after") {
                    assert!(started.elapsed() >= Duration::from_secs(1), "{status}: {:?}", started.elapsed());
                }
            });
        }
    });
}

// NW-03
#[test]
fn a_name_that_cannot_be_resolved_costs_its_source_only() {
    let (world, pin) = published();
    let mirror = EvilMirror::start(world.store(), |_| Answer::Whole);
    let restore = world.restore_from("http://no-such-host.invalid/", &pin).args(["--from", &mirror.url, "--max-wait", "1s"]);
    let restored = restore.summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(restored["sources"][0]["objects"], 0, "{restored}");
}

// NW-10
#[test]
fn a_network_that_is_gone_for_a_while_is_waited_for() {
    let (world, pin) = published();
    let first = OnceLock::new();
    let mirror = EvilMirror::scripted(world.store(), move |key, _| {
        let gone = key.starts_with("chunks/") && first.get_or_init(Instant::now).elapsed() < Duration::from_secs(1);
        if gone { Answer::HangUp } else { Answer::Whole }
    });
    let begin = Instant::now();
    let restored = world.restore_from(&mirror.url, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert!(begin.elapsed() >= Duration::from_secs(1) && restored["sources"][0]["errors"].as_u64() >= Some(7), "{restored}");
}

// NW-13
#[test]
fn a_proxy_of_the_environment_is_used_unless_it_is_excepted() {
    let (world, pin) = published();
    let proxy = EvilMirror::start(world.store(), |_| Answer::Whole);
    let store = "http://store.invalid/";
    let with = |except: &str| {
        let command =
            world.restore_from(store, &pin).args(["--max-wait", "1s"]).env("HTTP_PROXY", &proxy.url).env("http_proxy", &proxy.url);
        command.env("NO_PROXY", except).env("no_proxy", except)
    };
    with("store.invalid").json_error(16);
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
    with("").summary();
    assert_eq!(proxy.chunks_asked().len(), 7);
    tree::assert_same(&world.path("data"), &world.target());
}

// NW-14
#[test]
fn what_comes_behind_an_answer_is_not_the_next_answer() {
    let (world, pin) = published();
    let mirror = EvilMirror::start(world.store(), |_| Answer::TwoAnswers);
    let restored = world.restore_from(&mirror.url, &pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(restored["sources"][0]["strikes"], 0, "no second answer was taken for one: {restored}");
}

/// In a network of its own, `mirror` has an IPv6 address from which nothing ever comes, and an IPv4 address that works.
const BROKEN_IPV6: &str = "\
ip link set lo up && ip link add d0 type dummy && ip link set d0 up && ip -6 addr add fd00::2/64 dev d0 nodad || exit 77
printf 'fd00::1 mirror\\n127.0.0.1 mirror\\n' > hosts && mount --bind hosts /etc/hosts || exit 77
\"$QSYNC\" serve store --listen 127.0.0.1:8970 --json > listening & server=$!
until [ -s listening ]; do sleep 0.02; done
\"$QSYNC\" restore demo/generic --from http://mirror:8970/ --trust \"$PIN\" --to restored; code=$?
kill $server; exit $code
";

// NW-12
#[test]
fn an_address_of_ipv6_that_does_not_answer_is_overtaken_by_one_of_ipv4() {
    let (world, pin) = published();
    let output = Command::new("unshare")
        .args(["-Urnm", "sh", "-c", BROKEN_IPV6])
        .current_dir(world.folder())
        .envs([("QSYNC", env!("CARGO_BIN_EXE_qsync")), ("PIN", &pin), ("QSYNC_CONFIG", "/dev/null"), ("HOME", "/nonexistent")])
        .env("QSYNC_STATE_DIR", world.path("operator-state"))
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .output();
    match output {
        Ok(output) if output.status.code() != Some(77) && !text(&output.stderr).starts_with("unshare:") => {
            assert!(output.status.success(), "{}", text(&output.stderr));
            tree::assert_same(&world.path("data"), &world.target());
        }
        other => eprintln!("no network of its own here: NOT tested: {other:?}"),
    }
}

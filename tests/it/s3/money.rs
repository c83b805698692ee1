//! Money: nothing is paid that nobody agreed to, and never more than was agreed.

use std::fs;

use serde_json::Value;

use super::{
    Bucket,
    server::{OWNER, READER, S3Server},
    signed_by,
};
use crate::support::{World, command::Qsync, tree};

const MIB: u64 = 1 << 20;

/// A bucket whose readers pay, with 8 chunks of 1 MiB and their list, and the pin.
fn paid() -> (Bucket, World, String) {
    let bucket = Bucket::new(S3Server::with_requester_pays);
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/file"), 8 * MIB);
    let pin = world.init();
    let publish = world.publish_command(&world.path("data"), 1).args(["--to", &bucket.url("requester_pays=true")]);
    signed_by(OWNER, publish).summary();
    (bucket, world, pin)
}

fn restore(bucket: &Bucket, world: &World, pin: &str, more: &[&str]) -> Qsync {
    signed_by(READER, world.restore_from(&bucket.url("requester_pays=true"), pin).args(more))
}

/// Chunks and lists that were asked for since the request of this number.
fn paid_for(bucket: &Bucket, since: usize) -> usize {
    let requests = bucket.server.requests();
    requests[since..].iter().filter(|request| request.object.contains("/raw/") || request.object.contains("/lists/")).count()
}

fn asked(bucket: &Bucket) -> usize {
    bucket.server.requests().len()
}

fn cost_of(summary: &Value, source: usize) -> u64 {
    summary["sources"][source]["cost_micro_usd"].as_u64().unwrap()
}

// AW-02
#[test]
fn nothing_is_paid_for_before_somebody_agrees_to_what_it_may_cost() {
    let (bucket, world, pin) = paid();
    let before = asked(&bucket);
    let error = restore(&bucket, &world, &pin, &[]).json_error(12);
    assert_eq!(error["code"], "cost-not-accepted");
    assert!(error["details"][0].as_str().unwrap().contains("at most 8.0 MiB in 9 requests: up to $0.0008"), "{error}");
    assert!(error["hints"][0].as_str().unwrap().contains("--accept-cost"), "{error}");

    let dry = restore(&bucket, &world, &pin, &["--dry-run"]).summary();
    // 8 MiB and a list at 9 cents for 10⁹ bytes, and 9 requests.
    assert_eq!(dry["costs"][0]["internet_micro_usd"], 759, "{dry}");
    assert_eq!(dry["costs"][0]["same_region_micro_usd"], 4, "{dry}");
    assert_eq!(paid_for(&bucket, before), 0);
    assert!(!world.staging().exists());
}

// AW-02
#[test]
fn who_accepts_the_cost_pays_no_more_than_a_tenth_above_it() {
    let (bucket, world, pin) = paid();
    let before = asked(&bucket);
    let summary = restore(&bucket, &world, &pin, &["--accept-cost"]).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!((paid_for(&bucket, before), cost_of(&summary, 0)), (9, 759));
    let metadata = summary["sources"][0]["metadata_micro_usd"].as_u64().unwrap();
    assert!((1..=10).contains(&metadata), "a few requests of a few hundred bytes: {summary}");

    // What was torn is paid for as well: with every second answer broken off, the tenth is used up.
    fs::remove_dir_all(world.target()).unwrap();
    bucket
        .server
        .set_faults(|request| (request.object.contains("/raw/") && request.index % 2 == 0).then_some(super::server::Fault::Tear(1 << 19)));
    let error = restore(&bucket, &world, &pin, &["--accept-cost"]).json_error(12);
    assert_eq!(error["code"], "cost-limit", "{error}");
}

// AW-02
#[test]
fn at_the_cap_everything_verified_is_kept_and_more_money_goes_on_there() {
    let (bucket, world, pin) = paid();
    let before = asked(&bucket);
    let error = restore(&bucket, &world, &pin, &["--max-cost", "0.0005"]).json_error(12);
    assert_eq!(error["code"], "cost-limit");
    assert!(error["hints"][0].as_str().unwrap().contains("greater --max-cost"), "{error}");
    let first = paid_for(&bucket, before);
    assert!((2..=6).contains(&first), "{first} of 8 chunks and a list fit into the cap");
    let error = restore(&bucket, &world, &pin, &[]).json_error(12);
    let left = format!("in {} requests", 9 - first + 1);
    assert!(error["details"][0].as_str().unwrap().contains(&left), "what is kept is not estimated again, but for the list: {error}");
    let before = asked(&bucket);
    let summary = restore(&bucket, &world, &pin, &["--max-cost", "0.01"]).summary();
    tree::assert_same(&world.path("data"), &world.target());
    assert_eq!(paid_for(&bucket, before), 9 - first, "{summary}");
}

#[test]
fn in_the_buckets_region_only_requests_count() {
    let (bucket, world, pin) = paid();
    let summary = restore(&bucket, &world, &pin, &["--max-cost", "0.00001", "--same-region"]).summary();
    assert_eq!(cost_of(&summary, 0), 4);
}

#[test]
fn what_is_free_is_used_first_and_money_only_where_it_is_needed() {
    let (bucket, world, pin) = paid();
    let store = world.store();
    let with_free = |more: &[&str]| restore(&bucket, &world, &pin, more).arg("--from").arg(&store);
    let before = asked(&bucket);
    with_free(&[]).summary();
    fs::remove_dir_all(world.target()).unwrap();
    with_free(&["--accept-cost"]).summary();
    assert_eq!(paid_for(&bucket, before), 0, "the free source has everything");
    tree::assert_same(&world.path("data"), &world.target());

    fs::remove_dir_all(world.target()).unwrap();
    fs::remove_file(&world.chunks()[3]).unwrap();
    let error = with_free(&[]).json_error(12);
    assert_eq!(error["code"], "cost-not-accepted");
    assert_eq!(paid_for(&bucket, before), 0);
    with_free(&["--accept-cost"]).summary();
    assert_eq!(paid_for(&bucket, before), 1, "only what the free source lacks");
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn together_means_that_both_deliver() {
    let (bucket, world, pin) = paid();
    let before = asked(&bucket);
    let command = restore(&bucket, &world, &pin, &["--accept-cost", "--use-paid", "together"]).arg("--from").arg(world.store());
    let summary = command.summary();
    assert!(paid_for(&bucket, before) > 0);
    assert!(summary["sources"].as_array().unwrap().iter().all(|source| source["objects"].as_u64() > Some(0)), "{summary}");
    tree::assert_same(&world.path("data"), &world.target());
}

#[test]
fn an_amount_that_is_none_is_refused() {
    let (bucket, world, pin) = paid();
    for amount in ["free", "-1", "1.2345678", "1e3", ".", "5."] {
        restore(&bucket, &world, &pin, &["--max-cost", amount]).fails_with(2);
    }
}

#[test]
fn a_dry_run_of_publish_says_what_a_restore_through_cloudfront_costs_its_provider() {
    let bucket = Bucket::new(|server| server);
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/file"), 8 * MIB);
    world.init();
    let to = |settings: &str| signed_by(OWNER, world.publish_command(&world.path("data"), 1).args(["--to", &bucket.url(settings)]));
    to("").summary();
    let dry = to("cdn=https://cdn.example/v1&distribution=E1").arg("--dry-run").summary();
    // Eight frames at 12 cents for 10⁹ bytes, and as many requests at 2.2 cents for ten thousand: where it is dearest.
    let frame_bytes = dry["frame_bytes"].as_u64().unwrap();
    assert_eq!(dry["stores"][1]["cdn_restore_micro_usd"], (frame_bytes * 120_000).div_ceil(1_000_000_000) + 18, "{dry}");
    for other in ["", "cdn=https://cdn.example/v1"] {
        assert!(to(other).arg("--dry-run").summary()["stores"][1]["cdn_restore_micro_usd"].is_null(), "{other}");
    }
}

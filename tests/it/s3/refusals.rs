//! What a bucket refuses, and what the user reads then: code, text, hint, and nothing lost.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Bucket, published,
    server::{Conditions, Fault, OWNER, READER, S3Server},
    signed_by, without_credentials,
};
use crate::support::{World, tree};

fn restore(world: &World, bucket: &Bucket, settings: &str, pin: &str) -> crate::support::command::Qsync {
    world.restore_from(&bucket.url(settings), pin).args(["--max-wait", "1s"])
}

#[track_caller]
fn assert_refused(error: &Value, code: &str, words: &str) {
    assert_eq!(error["code"], code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(!error["hints"].as_array().unwrap().is_empty(), "{error}");
    // AW-11
    assert!(!error.to_string().contains("a-secret-word"), "{error}");
}

// AW-01, AW-03
#[test]
fn who_does_not_agree_to_pay_is_told_how() {
    let bucket = Bucket::new(S3Server::with_requester_pays);
    let (world, pin) = published(&bucket, "requester_pays=true");
    let not_agreed = signed_by(READER, restore(&world, &bucket, "", &pin)).json_error(12);
    assert_refused(&not_agreed, "denied", "requester_pays=true");
    assert!(not_agreed["hints"].to_string().contains("requester_pays=true"), "{not_agreed}");
    let anonymous = restore(&world, &bucket, "anonymous=true", &pin).json_error(12);
    assert_refused(&anonymous, "denied", "requester_pays=true");
    let both = restore(&world, &bucket, "anonymous=true&requester_pays=true", &pin).json_error(12);
    assert_refused(&both, "credentials-missing", "CDN");
    assert!(!world.target().exists());
}

// AW-03
#[test]
fn without_credentials_the_way_out_is_named() {
    let bucket = Bucket::new(S3Server::with_requester_pays);
    let (world, pin) = published(&bucket, "requester_pays=true");
    let error = without_credentials(restore(&world, &bucket, "requester_pays=true", &pin)).json_error(12);
    assert_refused(&error, "credentials-missing", "AWS_ACCESS_KEY_ID");
    assert!(error.to_string().contains("AWS account that is charged"), "{error}");
}

// AW-04, AW-05, AW-06, AW-07
#[test]
fn each_refusal_has_its_own_code() {
    let bucket = Bucket::new(|server| server);
    let (world, pin) = published(&bucket, "");
    let stranger = signed_by("STRANGER", restore(&world, &bucket, "", &pin)).json_error(12);
    assert_refused(&stranger, "credentials-wrong", "access key");
    for (status, code, expected, words) in [
        (400, "ExpiredToken", "credentials-expired", "run the same command again"),
        (403, "RequestTimeTooSkewed", "credentials-clock", "clock"),
        (404, "NoSuchBucket", "no-such-store", "bucket"),
    ] {
        bucket.server.set_faults(move |_| Some(Fault::Answer(status, code)));
        let exit = if expected == "no-such-store" { 10 } else { 12 };
        assert_refused(&signed_by(READER, restore(&world, &bucket, "", &pin)).json_error(exit), expected, words);
    }
}

// AW-05: the other sources do
#[test]
fn a_bucket_that_refuses_does_not_hold_up_other_sources() {
    let bucket = Bucket::new(|server| server);
    let (world, pin) = published(&bucket, "");
    for (status, code) in [(400, "ExpiredToken"), (403, "AccessDenied"), (503, "SlowDown"), (404, "NoSuchBucket")] {
        bucket.server.set_faults(move |_| Some(Fault::Answer(status, code)));
        let both = world.restore_from(&bucket.url(""), &pin).arg("--from").arg(world.store());
        let begin = Instant::now();
        signed_by(READER, both).summary();
        // A few seconds for the roots and heads that it may have, then the transfer begins.
        assert!(begin.elapsed() < Duration::from_secs(20), "{code}: {:?}", begin.elapsed());
        tree::assert_same(&world.path("data"), &world.target());
        fs::remove_dir_all(world.target()).unwrap();
    }
}

// AW-04: credentials that expire while chunks are fetched
#[test]
fn credentials_that_expire_half_way_end_the_run_with_everything_verified_kept() {
    let bucket = Bucket::new(|server| server);
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tree::write(&world.path("data/file"), 8 << 20);
    let pin = world.init();
    signed_by(OWNER, world.publish_command(&world.path("data"), 1).args(["--to", &bucket.url("")])).summary();
    let before = bucket.server.requests().len();
    bucket.server.set_faults(move |request| {
        let late = request.index > before + 12;
        (late && request.object.contains("/chunks/")).then_some(Fault::Answer(400, "ExpiredToken"))
    });
    let error = signed_by(READER, restore(&world, &bucket, "", &pin)).json_error(12);
    assert_refused(&error, "credentials-expired", "run the same command again");
    bucket.server.set_faults(|_| None);
    let asked = bucket.server.requests().len();
    signed_by(READER, restore(&world, &bucket, "", &pin)).summary();
    tree::assert_same(&world.path("data"), &world.target());
    let chunks = bucket.server.requests()[asked..].iter().filter(|request| request.object.contains("/chunks/")).count();
    assert!(chunks < 8, "{chunks} of 8 chunks are fetched again");
}

#[test]
fn a_server_that_ignores_conditions_is_said_aloud_and_used_by_one() {
    let bucket = Bucket::new(|server| server.with_conditions(Conditions::Ignored));
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    world.init();
    let publish = |height| signed_by(OWNER, world.publish_command(&world.path("data"), height).args(["--to", &bucket.url("")]));
    let output = publish(1).output();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains("only this one may write to it"), "{text}");
    publish(2).summary();
    let described = bucket.server.objects()["store/store.json"].bytes.clone();
    assert!(String::from_utf8_lossy(&described).contains("\"cas\":\"none\""), "{described:?}");
}

// PU-04, NW-04: puts fail again and again, before or after they were done
#[test]
fn a_store_that_is_overloaded_again_and_again_gets_everything_in_the_end() {
    let bucket = Bucket::new(|server| server);
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    bucket.server.set_faults(|request| match (request.method.as_str(), request.index % 11) {
        ("PUT", 2) => Some(Fault::Answer(503, "SlowDown")),
        ("PUT", 7) => Some(Fault::DoAndAnswer(500, "InternalError")),
        _ => None,
    });
    signed_by(OWNER, world.publish_command(&world.path("data"), 1).args(["--to", &bucket.url("")])).summary();
    let requests = bucket.server.requests();
    let hit = requests.iter().filter(|request| request.method == "PUT" && [2, 7].contains(&(request.index % 11))).count();
    assert!(hit > 3, "{hit} puts failed");
    bucket.server.set_faults(|_| None);
    signed_by(READER, restore(&world, &bucket, "", &pin)).summary();
    tree::assert_same(&world.path("data"), &world.target());
}

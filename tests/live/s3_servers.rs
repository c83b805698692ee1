//! What qsync takes for granted of S3 and of caches, asked of real servers, without qsync.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::servers::{
    cdn::{self, Cdn},
    ceph::{Ceph, OWNER, READER, STRANGER},
    moto::Moto,
    s3::{Answer, Bucket, Request, S3, User},
};

/// What immutable objects are stored with.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// How many race for one object.
const RACERS: usize = 16;

/// A bucket of each server.
fn buckets(name: &str) -> [Bucket; 2] {
    [Ceph::shared().s3.make_bucket(name, OWNER), Moto::shared().s3.make_bucket(name, Moto::USER)]
}

// AW-01, AW-03
#[test]
fn a_paid_bucket_is_read_by_nobody_who_does_not_pay_for_it() {
    let bucket = Ceph::shared().make_paid_bucket("who-pays");
    bucket.put("raw/aa/aabb", b"bytes");
    let get = || bucket.request("GET", "raw/aa/aabb");
    let head = || bucket.request("HEAD", "raw/aa/aabb");
    for (who, refused) in [
        ("a reader who does not say so", get().signed_by(READER)),
        ("a reader who asks for its length only", head().signed_by(READER)),
        ("nobody", get()),
        ("nobody who would pay", get().paid()),
        ("a stranger who would pay", get().signed_by(STRANGER).paid()),
        ("somebody with another's name", get().signed_by(User { secret_key: "guessed", ..READER }).paid()),
    ] {
        assert_eq!(refused.send().status, 403, "{who}");
    }
    assert_eq!(get().signed_by(READER).paid().send().succeeded().body, b"bytes");
    head().signed_by(READER).paid().send().succeeded();
    // Its owner pays anyway.
    assert_eq!(bucket.get("raw/aa/aabb"), b"bytes");
}

#[test]
fn a_bucket_that_cannot_be_listed_says_of_what_is_absent_that_it_is_forbidden() {
    let paid = Ceph::shared().make_paid_bucket("absent-paid");
    let open = Ceph::shared().make_open_bucket("absent-open");
    assert_eq!(paid.request("GET", "absent").signed_by(READER).paid().send().status, 403);
    assert_eq!(open.request("GET", "absent").send().status, 403);
    assert_eq!(paid.request("GET", "absent").signed_by(OWNER).send().status, 404);
}

#[test]
fn what_is_stored_with_an_object_comes_back_with_it() {
    for bucket in buckets("headers") {
        let put = bucket.request("PUT", "chunks/aa/aabb").signed_by(OWNER).body(b"bytes");
        put.header("Cache-Control", IMMUTABLE).send().succeeded();
        let answer = bucket.request("GET", "chunks/aa/aabb").signed_by(OWNER).send().succeeded();
        assert_eq!(answer.header("Cache-Control"), Some(IMMUTABLE));
        assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
        assert_eq!((answer.header("Content-Length"), answer.header("Content-Encoding")), (Some("5"), None));
    }
}

#[test]
fn of_many_who_make_an_object_one_makes_it() {
    for bucket in buckets("races") {
        let put = |n: usize| bucket.request("PUT", "once").signed_by(OWNER).header("If-None-Match", "*").body(&[n as u8; 9]);
        let statuses = at_once((0..RACERS).map(put).collect());
        let made: Vec<usize> = (0..RACERS).filter(|n| statuses[*n] == 200).collect();
        assert_eq!(made.len(), 1, "{}: {statuses:?}", bucket.url());
        // RGW may tell those who lost at the last moment that there was a conflict.
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409 | 412)), "{}: {statuses:?}", bucket.url());
        assert_eq!(bucket.get("once"), [made[0] as u8; 9]);
    }
}

/// Sends requests at the same time, and gives their statuses.
fn at_once(requests: Vec<Request>) -> Vec<u16> {
    thread::scope(|scope| {
        let sent: Vec<_> = requests.into_iter().map(|request| scope.spawn(|| request.send().status)).collect();
        sent.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}

/// How a server answers to a PUT with an `If-Match`.
struct Conditions {
    /// The tag as it gave it, in quotation marks.
    quoted: u16,
    /// Without them.
    bare: u16,
    /// The tag of an older version.
    old: u16,
    /// Any, where nothing is.
    absent: u16,
}

fn conditions(bucket: &Bucket) -> Conditions {
    let put = |key, tag: &str| bucket.request("PUT", key).signed_by(OWNER).header("If-Match", tag).body(tag.as_bytes()).send().status;
    let tag = || bucket.request("HEAD", "head").signed_by(OWNER).send().succeeded().header("ETag").unwrap().to_owned();
    bucket.put("head", b"first");
    let first = tag();
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    let quoted = put("head", &first);
    bucket.put("head", b"second");
    let bare = put("head", tag().trim_matches('"'));
    let old = put("head", first.trim_matches('"'));
    Conditions { quoted, bare, old, absent: put("absent", first.trim_matches('"')) }
}

// The gateway takes a tag without its quotation marks only, which is why a store's form of it is probed and written down.
#[test]
fn servers_disagree_about_the_form_of_if_match() {
    let [ceph, moto] = buckets("conditions").map(|bucket| conditions(&bucket));
    assert_eq!((ceph.quoted, ceph.bare, ceph.old), (412, 200, 412));
    assert_eq!((moto.quoted, moto.bare, moto.old, moto.absent), (200, 200, 412, 404));
    assert!(matches!(ceph.absent, 404 | 412), "{}", ceph.absent);
}

// NW-08
#[test]
fn a_cache_remembers_for_a_while_that_an_object_was_absent() {
    let bucket = Ceph::shared().make_open_bucket("cdn-absent");
    let cdn = Cdn::before(&bucket.url());
    let get = || get_from(&cdn, "heads/demo/generic.json").status;
    assert_eq!(get(), 403);
    let began = Instant::now();
    bucket.put("heads/demo/generic.json", b"head");
    assert_eq!(get(), 403);
    while get() != 200 {
        assert!(began.elapsed() < Duration::from_secs(cdn::ERROR_SECONDS + 5));
        thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() > Duration::from_secs(cdn::ERROR_SECONDS - 2));
}

// NW-09
#[test]
fn a_cache_serves_what_it_has_while_its_origin_is_gone() {
    let ceph = Ceph::shared();
    let bucket = ceph.make_open_bucket("cdn-origin");
    let mut gateway = ceph.start_gateway();
    let put = |key, cache| bucket.request("PUT", key).signed_by(OWNER).header("Cache-Control", cache).body(b"old").send().succeeded();
    put("chunks/aa/aabb", IMMUTABLE);
    put("head", "public, max-age=0, s-maxage=1");
    let cdn = Cdn::before(&gateway.bucket(&bucket).url());
    for key in ["chunks/aa/aabb", "head"] {
        assert_eq!(get_from(&cdn, key).succeeded().body, b"old");
    }
    put("chunks/aa/aabb", IMMUTABLE);
    gateway.kill();
    thread::sleep(Duration::from_millis(2_100));
    for (key, state) in [("chunks/aa/aabb", "HIT"), ("head", "STALE")] {
        let answer = get_from(&cdn, key).succeeded();
        assert_eq!((answer.header("X-Cache"), answer.body.as_slice()), (Some(state), &b"old"[..]));
    }
    assert_eq!(get_from(&cdn, "chunks/bb/bbcc").status, 502);
}

fn get_from(cdn: &Cdn, key: &str) -> Answer {
    S3::at(cdn.url().trim_end_matches('/')).request("GET", &format!("/{key}")).send()
}

#[test]
fn moto_knows_what_was_invalidated() {
    let moto = Moto::shared();
    let id = moto.make_distribution();
    assert_eq!(moto.invalidated(&id), Vec::<String>::new());
    moto.invalidate(&id, "/heads/*");
    assert_eq!(moto.invalidated(&id), ["/heads/*"]);
}

use proptest::prelude::*;

use super::*;
use crate::{format::key, types::Hash};

const FIELDS: &str =
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)\n";
const OWNER: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

fn found(logs: &[&[u8]]) -> Found {
    let mut found = Found::default();
    logs.iter().enumerate().for_each(|(number, log)| found.add(&format!("log {number}"), Ok(*log), None));
    found
}

fn cloudfront(path: &str, bytes: u64, address: &str) -> String {
    format!("2026-11-20\t03:00:12\tSOF50-P1\t{bytes}\t{address}\tGET\td111.cloudfront.net\t{path}\t200\t-\n")
}

fn s3(path: &str, bytes: u64, address: &str) -> String {
    format!(
        "{OWNER} kusama-raw [21/Nov/2026:03:00:12 +0000] {address} arn:aws:iam::123456789012:user/alice 3E57 REST.GET.OBJECT {path} \
         \"GET /{path} HTTP/1.1\" 200 - {bytes} {bytes} 31 30 \"-\" \"aws-cli ({address})\" -\n"
    )
}

fn json(path: &str, bytes: u64, address: &str) -> String {
    format!(
        "{{\"date\":\"2026-11-22\",\"sc-bytes\":\"{bytes}\",\"c-ip\":\"{address}\",\"cs-method\":\"GET\",\"cs(Host)\":\"d222.cloudfront.net\",\
         \"cs-uri-stem\":\"{path}\",\"sc-status\":\"200\"}}\n"
    )
}

/// Everything that can be shown of it.
fn shown(found: &Found) -> String {
    let rows = (found.totals.bytes().collect::<Vec<_>>(), found.totals.restores().collect::<Vec<_>>());
    let rest = (found.totals.requesters().collect::<Vec<_>>(), &found.named, &found.broken);
    serde_json::to_string(&(rows, rest)).unwrap()
}

#[test]
fn lines_of_all_kinds_may_follow_each_other() {
    let (chunk, manifest) = (key::chunk(&Hash::of(b"c")), key::manifest(&Hash::of(b"m")));
    let log = format!(
        "{FIELDS}{}{}{}{FIELDS}{}\n",
        cloudfront(&format!("/v1/{chunk}"), 7, "203.0.113.7"),
        s3(&format!("v1/{manifest}"), 11, "203.0.113.7"),
        json(&format!("/v1/{manifest}"), 13, "2001:db8::7"),
        cloudfront("/v1/index.json", 17, "203.0.113.7"),
    );
    let found = found(&[log.as_bytes()]);
    assert_eq!((found.malformed, found.lines, found.totals.all()), (0, 9, Reads { reads: 4, bytes: 48 }));
    let rows: Vec<_> =
        found.totals.bytes().map(|row| format!("{} {} {} {}", row.store, row.day.unwrap(), row.class.name(), row.bytes)).collect();
    assert_eq!(
        rows,
        [
            "d111.cloudfront.net 2026-11-20 chunks 7",
            "d111.cloudfront.net 2026-11-20 index 17",
            "d222.cloudfront.net 2026-11-22 manifests 13",
            "kusama-raw 2026-11-21 manifests 11"
        ]
    );
    assert_eq!(found.totals.restores().map(|row| (row.store, row.restores)).collect::<Vec<_>>().len(), 2);
}

#[test]
fn lines_that_say_nothing_are_counted_the_first_are_named_and_the_rest_goes_on() {
    let bad = "x\n".repeat(12);
    let log = format!("a\tb\n#Fields: date\n{FIELDS}{bad}{}", cloudfront("/", 1, "203.0.113.7"));
    let found = found(&[log.as_bytes(), b"y\n"]);
    assert_eq!((found.malformed, found.named.len(), found.totals.all().reads), (15, MOST_NAMED, 1));
    let named: Vec<_> = found.named.iter().take(3).map(|bad| format!("{}:{}: {}", bad.file, bad.line, bad.reason)).collect();
    assert_eq!(
        named,
        ["log 0:1: no #Fields: line before it", "log 0:2: a #Fields: line without cs-method", "log 0:5: 1 values, but 10 fields"]
    );
}

#[test]
fn the_header_of_one_log_does_not_count_for_the_next() {
    let line = cloudfront("/", 1, "203.0.113.7");
    let found = found(&[format!("{FIELDS}{line}").as_bytes(), line.as_bytes()]);
    assert_eq!((found.malformed, found.named[0].reason.as_str()), (1, "no #Fields: line before it"));
}

#[test]
fn a_log_that_cannot_be_read_is_named_and_the_others_count() {
    let mut found = Found::default();
    found.add("a.gz", Ok(&b"\x1f\x8b\x08\x00rubbish"[..]), None);
    found.add("b", Err::<&[u8], _>(io::Error::from(io::ErrorKind::NotFound)), None);
    found.add("c", Ok(json("/", 5, "203.0.113.7").as_bytes()), None);
    assert_eq!((found.files, found.broken.len(), found.totals.all().bytes), (3, 2, 5));
    assert_eq!((found.broken[1].file.as_str(), found.broken[1].lines), ("b", 0));
}

#[test]
fn no_address_of_a_reader_is_kept_even_where_a_line_is_broken() {
    let address = "203.0.113.77";
    let whole: String = [s3("v1/a", 5, address), json("/a", 5, address), FIELDS.to_owned(), cloudfront("/a", 5, address)].concat();
    // Take a piece out of the middle of each line, so that values stand where others belong.
    for at in 0..whole.len() {
        for length in [1, 9, 40] {
            let mut log = whole.clone().into_bytes();
            log.drain(at..log.len().min(at + length));
            let shown = shown(&found(&[&log]));
            assert!(!shown.contains(address) && !shown.contains("alice"), "{at} {length}: {shown}");
        }
    }
}

/// Logs that are nearly right, and rubbish.
fn any_log() -> impl Strategy<Value = Vec<u8>> {
    let values = prop::sample::select(vec![
        "GET",
        "200",
        "-",
        "206",
        "2026-11-20",
        "d111.cloudfront.net",
        "/v1/index.json",
        "18446744073709551615",
        "\"",
        "[",
        "{",
    ]);
    let line = prop::collection::vec(values, 0..14)
        .prop_flat_map(|values| prop::sample::select(vec!["\t", " ", "\" "]).prop_map(move |by| values.join(by)));
    let good = prop::sample::select(vec![
        FIELDS.to_owned(),
        s3("v1/a", u64::MAX, "203.0.113.7"),
        json("/a", 1, "203.0.113.7"),
        cloudfront("/a", 1, "::1"),
    ]);
    let rubbish = prop::collection::vec(any::<u8>(), 0..80);
    let part = prop_oneof![line.prop_map(String::into_bytes), good.prop_map(String::into_bytes), rubbish];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.join(&b'\n'))
}

proptest! {
    #[test]
    fn any_bytes_are_a_log_that_adds_up(log in any_log()) {
        let found = found(&[&log]);
        let totals = &found.totals;
        let (reads, bytes) = totals.bytes().fold((0, 0_u64), |(reads, bytes), row| (reads + row.reads, bytes.saturating_add(row.bytes)));
        prop_assert_eq!((reads, bytes), (totals.all().reads, totals.all().bytes));
        prop_assert!(totals.requests() + found.malformed <= found.lines);
        prop_assert!(found.named.len() as u64 <= found.malformed && (found.malformed == 0) == found.named.is_empty());
        prop_assert!(totals.restores().map(|row| row.restores).sum::<u64>() <= reads);
    }

    #[test]
    fn a_log_that_is_changed_somewhere_still_adds_up(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut log = [FIELDS.to_owned(), cloudfront("/a", 1, "::1"), s3("v1/a", 1, "::1"), json("/a", 1, "::1")].concat().into_bytes();
        let at = at.index(log.len());
        log[at] = byte;
        let found = found(&[&log]);
        prop_assert!(found.totals.requests() + found.malformed <= found.lines);
        prop_assert!(found.totals.requests() + found.malformed + 4 >= found.lines, "nothing is passed over in silence");
    }
}

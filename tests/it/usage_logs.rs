//! `qsync usage logs` from outside: packed and plain logs, files and streams, good ones and bad ones.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::support::command::{Qsync, text};

/// The address of a reader, which must never come out again.
const ADDRESS: &str = "203.0.113.77";
const SNAPSHOT: &str = "0d197521d9a4f5d4a4aa2d6b4c9a4b6a1f1f1e1d1c1b1a191817161514131211";
const MIB: u64 = 1 << 20;

/// A folder with logs.
struct Logs(tempfile::TempDir);

impl Logs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn count(&self, files: &[&Path]) -> Qsync {
        Qsync::with_state(self.0.path().join("state")).args(["usage", "logs"]).args(files)
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// What CloudFront delivers of an hour in which a snapshot was restored.
fn cloudfront() -> String {
    let fields =
        "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent)\n";
    let line = |day: u32, bytes: u64, method: &str, path: &str, status: u16| {
        format!("2026-11-{day}\t03:00:12\tSOF50-P1\t{bytes}\t{ADDRESS}\t{method}\td111.cloudfront.net\t/v1/{path}\t{status}\tqsync/0.1.0\n")
    };
    let chunk = format!("chunks/0d/{SNAPSHOT}");
    let manifest = format!("manifests/{SNAPSHOT}");
    let lines = [
        line(20, 500, "GET", "heads/kusama/pruned.json", 200),
        line(20, 2 * MIB, "GET", &manifest, 200),
        line(20, MIB, "GET", &chunk, 200),
        line(20, MIB / 2, "GET", &chunk, 206),
        line(20, 300, "GET", &chunk, 404),
        line(20, 200, "HEAD", &chunk, 200),
        line(21, 2 * MIB, "GET", &manifest, 200),
        line(21, 700, "GET", "index.json", 200),
    ];
    fields.to_owned() + &lines.concat()
}

fn s3() -> String {
    let owner = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
    format!(
        "{owner} kusama-raw [20/Nov/2026:03:00:12 +0000] {ADDRESS} arn:aws:iam::123456789012:user/alice 3E57 REST.GET.OBJECT v1/raw/0d/{SNAPSHOT} \
         \"GET /v1/raw/0d/{SNAPSHOT} HTTP/1.1\" 200 - {MIB} {MIB} 31 30 \"-\" \"qsync/0.1.0\" - s9lz= SigV4 - AuthHeader - TLSv1.3 - - -\n"
    )
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn what_was_read_is_shown_by_store_day_and_kind_and_restores_by_snapshot() {
    let logs = Logs::new();
    let (cdn, raw) = (logs.write("a.gz", packed(cloudfront().as_bytes())), logs.write("b.log", s3()));
    let output = logs.count(&[&cdn, &raw]).output();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let shown: String = text(&output.stdout).lines().map(|line| format!("{}\n", line.trim())).collect();
    insta::assert_snapshot!(shown, @r"
    STORE                DAY          CHUNKS      RAW  MANIFESTS  HEADS  INDEX      ALL
    d111.cloudfront.net  2026-11-20  1.5 MiB        -    2.0 MiB  500 B      -  3.5 MiB
    d111.cloudfront.net  2026-11-21        -        -    2.0 MiB      -  700 B  2.0 MiB
    kusama-raw           2026-11-20        -  1.0 MiB          -      -      -  1.0 MiB

    STORE                SNAPSHOT      FIRST       LAST        RESTORES
    d111.cloudfront.net  0d197521d9a4  2026-11-20  2026-11-21         2

    STORE       REQUESTER     READS    BYTES
    kusama-raw  123456789012      1  1.0 MiB

    7 reads of 6.5 MiB in 11 lines of 2 logs; 1 reads that failed, 1 requests of other kinds
    ");
}

#[test]
fn scripts_get_every_figure_and_no_address() {
    let logs = Logs::new();
    let output = logs.count(&[&logs.write("a", cloudfront() + &s3())]).arg("--json").output();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(!all.contains(ADDRESS) && !all.contains("alice"), "{all}");
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bytes: Vec<_> = of_type(&lines, "read-bytes").iter().map(|row| (row["class"].clone(), row["bytes"].as_u64().unwrap())).collect();
    let sum: u64 = bytes.iter().map(|(_, bytes)| bytes).sum();
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["bytes"], &summary["reads"], &summary["failed_reads"], &summary["other_requests"]),
        (&sum.into(), &7.into(), &1.into(), &1.into())
    );
    assert_eq!(sum, 6 * MIB + MIB / 2 + 1200, "{bytes:?}");
    let restores = of_type(&lines, "restores");
    assert_eq!((restores.len(), &restores[0]["snapshot"], &restores[0]["restores"]), (1, &SNAPSHOT.into(), &2.into()));
    let requesters = of_type(&lines, "requester");
    assert_eq!((requesters.len(), &requesters[0]["requester"], &requesters[0]["bytes"]), (1, &"123456789012".into(), &MIB.into()));
}

#[test]
fn a_stream_is_read_like_a_file_and_can_have_a_name_of_its_own() {
    let logs = Logs::new();
    let file = logs.write("a", [packed(cloudfront().as_bytes()), packed(s3().as_bytes())].concat());
    let lines = logs.count(&[Path::new("-")]).args(["--store", "europe"]).reading(File::open(file).unwrap()).json_lines();
    assert!(of_type(&lines, "read-bytes").iter().all(|row| row["store"] == "europe"));
    assert_eq!(lines.last().unwrap()["reads"], 7);
}

#[test]
fn lines_that_say_nothing_are_named_and_the_rest_counts() {
    let logs = Logs::new();
    let file = logs.write("a", format!("{ADDRESS} rubbish\n{}{ADDRESS}\t1\n", cloudfront()));
    let output = logs.count(&[&file]).output();
    let warnings = text(&output.stderr).replace(file.to_str().unwrap(), "FILE");
    insta::assert_snapshot!(warnings, @r"
    warning: FILE, line 1: no line of an access log of CloudFront or S3
    warning: FILE, line 12: 2 values, but 10 fields
    ");
    assert!(
        output.status.success() && text(&output.stdout).ends_with("; 2 lines say nothing and are skipped\n"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_log_that_is_none_is_an_error_that_says_what_is_one() {
    let logs = Logs::new();
    let file = logs.write("a", "127.0.0.1 - - [20/Nov/2026:03:00:12 +0000] \"GET / HTTP/1.1\" 200 5\n");
    let message = logs.count(&[&file]).fails_with(1);
    assert!(message.contains("not one line is of an access log") && message.contains("hint: CloudFront: standard logs"), "{message}");
    assert!(!message.contains("127.0.0.1"), "{message}");
}

#[test]
fn a_log_that_breaks_off_counts_as_far_as_it_goes_and_is_named() {
    let logs = Logs::new();
    let (mut whole, good) = (packed(cloudfront().repeat(200).as_bytes()), logs.write("good", s3()));
    whole.truncate(whole.len() - 20);
    let (cut, absent) = (logs.write("cut.gz", &whole), logs.0.path().join("absent"));
    let error = logs.count(&[&cut, &good, &absent]).json_error(3);
    assert_eq!(error["code"], "partial");
    let details = error["details"].to_string();
    assert!(details.contains("cut.gz, after ") && details.contains("absent, after 0 lines: No such file"), "{details}");
    let lines = text(&logs.count(&[&cut, &good, &absent]).arg("--json").output().stdout);
    let result: Value = serde_json::from_str(lines.lines().rev().nth(1).unwrap()).unwrap();
    assert!(result["type"] == "result" && result["reads"].as_u64().unwrap() > 100, "{result}");
    assert_eq!(logs.count(&[&absent]).json_error(1)["code"], "disk-io");
}

#[test]
fn memory_does_not_grow_with_the_log() {
    let logs = Logs::new();
    // Half a gigabyte of nothing without an end of line, and then as many addresses, paths and agents as fit into some megabytes.
    let nothing = logs.write("bomb.gz", packed(&vec![b'x'; 512 << 20]));
    let many: String = (0..60_000).map(|n| s3().replace(SNAPSHOT, &format!("{n:064x}")).replace("v1/raw/0d/", "v1/manifests/")).collect();
    let many = logs.write("many", many);
    let (output, peak) = logs.count(&[&nothing, &many]).arg("--json").output_and_peak();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(peak < 120 << 20, "{} MiB", peak >> 20);
    assert!(text(&output.stdout).contains("\"snapshot\":null,\"restores\":10000"), "what there is no room for is counted together");
}

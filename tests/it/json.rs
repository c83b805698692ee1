//! `--json`: every line has a type, the last is the one summary or error, and docs/scripting.md names every field and no other. P11

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde_json::Value;

use crate::s3::{
    self, Bucket,
    server::{READER, S3Server},
};
use crate::support::{
    CHANNEL, World,
    command::{Qsync, text},
    kubo::FakeKubo,
    node::Toy,
    receiver::{Answer, Receiver},
    tree,
};

const PAGE: &str = include_str!("../../docs/scripting.md");

/// Fields by the type of their line; a summary's type goes with its command.
type Fields = BTreeMap<String, BTreeSet<String>>;

/// What the tables of the page name.
fn documented() -> Fields {
    let page = PAGE.split("\n## JSON Lines\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = Fields::new();
    for section in page.split("\n### ").skip(1) {
        let heading = section.lines().next().unwrap();
        let kind = if heading.starts_with("Summary of ") { "summary " } else { "" };
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let fields: BTreeSet<String> = rows.map(str::to_owned).collect();
        for name in heading.split('`').skip(1).step_by(2) {
            assert!(found.insert(format!("{kind}{name}"), fields.clone()).is_none(), "{name} is documented twice");
        }
    }
    found
}

/// What was printed.
struct Printed {
    documented: Fields,
    seen: Fields,
}

impl Printed {
    fn new() -> Self {
        Self { documented: documented(), seen: Fields::new() }
    }

    /// Runs `name` with `--json`, and gives the last line.
    #[track_caller]
    fn run(&mut self, name: &str, command: Qsync) -> Value {
        let output = command.arg("--json").output();
        self.add(name, &text(&output.stdout), output.status.code())
    }

    /// The same for a command whose standard output is data.
    #[track_caller]
    fn run_beside_data(&mut self, name: &str, command: Qsync) -> (Value, Vec<u8>) {
        let output = command.arg("--json").output();
        (self.add(name, &text(&output.stderr), output.status.code()), output.stdout)
    }

    #[track_caller]
    fn add(&mut self, name: &str, lines: &str, exit: Option<i32>) -> Value {
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
        let ends = |line: &&Value| line["type"] == "summary" || line["type"] == "error";
        let last = lines.last().unwrap();
        assert!(ends(&last) && lines.iter().filter(ends).count() == 1, "{name} ends with {last}");
        assert_eq!(exit, Some(last["exit"].as_i64().unwrap_or(0) as i32), "{last}");
        if last["type"] == "summary" {
            assert_eq!(last["command"], name);
        }
        lines.iter().for_each(|line| self.add_line(name, line));
        last.clone()
    }

    fn add_line(&mut self, name: &str, line: &Value) {
        let kind = match line["type"].as_str().expect("every line has a type") {
            "summary" | "result" => format!("summary {name}"),
            kind => kind.to_owned(),
        };
        let known = self.documented.get(&kind).unwrap_or_else(|| panic!("{kind} is not documented: {line}"));
        let mut fields = BTreeSet::new();
        collect(line, "", known, &mut fields);
        fields.remove("type");
        self.seen.entry(kind).or_default().extend(fields);
    }
}

/// The paths of all fields of a value, in the words of the page.
fn collect(value: &Value, path: &str, known: &BTreeSet<String>, fields: &mut BTreeSet<String>) {
    let goes_on = |with: &str| path.is_empty() || known.iter().any(|field| field.starts_with(&format!("{path}{with}.")));
    match value {
        Value::Array(values) if goes_on("[]") => values.iter().for_each(|value| collect(value, &format!("{path}[]"), known, fields)),
        Value::Object(values) if goes_on("") => {
            let any_name = known.iter().any(|field| field.starts_with(&format!("{path}.*.")));
            for (name, value) in values {
                let name = if any_name { "*" } else { name };
                let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                if !any_name {
                    fields.insert(below.clone());
                }
                collect(value, &below, known, fields);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {}
    }
}

/// What a bucket whose readers pay could cost.
fn estimate(printed: &mut Printed) {
    let bucket = Bucket::new(S3Server::with_requester_pays);
    let (world, pin) = s3::published(&bucket, "requester_pays=true");
    let dry = world.restore_from(&bucket.url("requester_pays=true"), &pin).arg("--dry-run");
    printed.run("restore", s3::signed_by(READER, dry));
}

/// Every command that prints lines, in good days and bad.
fn print_everything(printed: &mut Printed) {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let init = printed.run("init", world.provider().args(["init", "--to"]).arg(world.store()));
    let pin = format!("b3:{}", init["repo"].as_str().unwrap());
    let other = World::new();
    printed.run("init", other.provider().args(["init", "--profile", "geth", CHANNEL, "/srv/geth", "--to"]).arg(other.store()));
    printed.run("key generate", world.provider().args(["key", "generate"]));
    publish(printed, &world);
    read(printed, &world, &pin);
    restore(printed, &world, &pin);
    estimate(printed);
    verify(printed, &world);
    configure(printed, &world);
    usage(printed, &world);
    trust(printed, &world, &pin);
    nodes(printed, &world);
}

fn nodes(printed: &mut Printed, world: &World) {
    let ask = |words: &[&str]| world.provider().arg("node").args(words);
    printed.run("node list", ask(&["list"]));
    printed.run("node show", ask(&["show", "geth"]));
    printed.run("node detect", ask(&["detect", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nodes/geth")]));
    assert_eq!(printed.run("node detect", ask(&["detect"]).arg(world.path("data")))["code"], "unknown-node");
}

fn publish(printed: &mut Printed, world: &World) {
    printed.run("publish", world.publish_command(&world.path("data"), 1));
    fs::write(world.path("no-store"), "").unwrap();
    let partial = printed.run("publish", world.publish_command(&world.path("data"), 1).arg("--to").arg(world.path("no-store")));
    assert_eq!(partial["code"], "partial");
    printed.run("head refresh", world.provider().args(["head", "refresh", CHANNEL, "--to"]).arg(world.store()));
    assert_eq!(printed.run("doctor", world.provider().args(["doctor", CHANNEL, "--to"]).arg(world.store()))["faults"], 0);
    assert_eq!(printed.run("doctor", world.operator().args(["doctor", CHANNEL, "--to"]).arg(world.store()))["code"], "unwell");
    withdraw(printed);
    printed.run("thaw", world.provider().args(["thaw", CHANNEL]));
    let to_node = world.publish_command(&world.path("data"), 1).args(["--to", &FakeKubo::start().rpc()]);
    assert!(printed.run("publish", to_node)["ipfs"]["root"].is_string());
    ask_the_node(printed, world);
}

fn ask_the_node(printed: &mut Printed, world: &World) {
    let only = |toy: Toy| world.publish_command(&world.path("data"), 1).args(["--rpc", &toy.start().url(), "--gate-only"]);
    printed.run("publish --gate-only", only(Toy::default()));
    let unfit = only(Toy { syncing: true, ..Toy::default() });
    assert_eq!(printed.run("publish --gate-only", unfit)["code"], "gate-not-met");
    let check = |toy: Toy| world.provider().args(["check", CHANNEL, "--rpc", &toy.start().url(), "--to"]).arg(world.store());
    printed.run("check", check(Toy::default()));
    assert_eq!(printed.run("check", check(Toy { syncing: true, ..Toy::default() }))["code"], "check-critical");
}

fn withdraw(printed: &mut Printed) {
    let (world, _) = World::published();
    fs::write(world.path("data/bad"), "bad").unwrap();
    world.publish(&world.path("data"), 2);
    printed.run("head withdraw", world.provider().args(["head", "withdraw", CHANNEL, "--yes", "--to"]).arg(world.store()));
}

fn read(printed: &mut Printed, world: &World, pin: &str) {
    let ask = |words: &[&str]| world.operator().args(words).args(["--trust", pin, "--from"]).arg(world.store());
    printed.run("list", ask(&["list"]));
    fs::write(world.path("data/new"), "new").unwrap();
    world.publish(&world.path("data"), 2);
    printed.run("diff", ask(&["diff", &format!("{CHANNEL}@1"), "--files"]));
    let mirror = || ask(&["mirror"]).arg("--to").arg(world.path("mirror"));
    printed.run("mirror", mirror());
    assert_eq!(printed.run("mirror", mirror().arg("demo/other"))["code"], "unknown-channel");
    printed.run("show", ask(&["show", CHANNEL, "--files", "--chunks"]));
    printed.run("cid", world.operator().arg("cid").arg(world.path("data")));
    printed.run("root show", ask(&["root", "show"]));
    printed.run("head show", ask(&["head", "show", CHANNEL]));
    let (exported, tar) = printed.run_beside_data("export", ask(&["export", CHANNEL]));
    assert_eq!([&exported["tar_bytes"], &exported["written_bytes"]], [tar.len(); 2]);
    let (framed, archive) = printed.run_beside_data("export", ask(&["export", CHANNEL, "--format", "tar.zst"]));
    assert_eq!((&framed["format"], &framed["tar_bytes"]), (&"tar.zst".into(), &exported["tar_bytes"]));
    assert_eq!(framed["written_bytes"], archive.len());
    let (refused, nothing) = printed.run_beside_data("export", ask(&["export", "demo/other"]));
    assert_eq!((&refused["code"], nothing.len()), (&"unknown-channel".into(), 0));
}

fn restore(printed: &mut Printed, world: &World, pin: &str) {
    let chunk = world.chunks().pop().unwrap();
    let whole = fs::read(&chunk).unwrap();
    tree::flip(&chunk, 20);
    assert_eq!(printed.run("restore", world.restore_command(pin))["code"], "object-wrong");
    fs::write(&chunk, whole).unwrap();
    // It continues, which is worth a note; the damaged journal is worth a warning.
    fs::remove_file(journal(world)).unwrap();
    assert_eq!(printed.run("restore", world.restore_command(pin))["outcome"], "restored");
}

fn journal(world: &World) -> std::path::PathBuf {
    tree::files(&world.staging()).into_iter().find(|file| file.file_name().is_some_and(|name| name == "journal")).unwrap()
}

fn verify(printed: &mut Printed, world: &World) {
    let verify = || world.operator().arg("verify").arg(world.target());
    printed.run("verify", verify());
    tree::flip(&world.target().join("text"), 0);
    assert_eq!(printed.run("verify", verify())["code"], "corrupt");
    fs::write(world.target().join("text"), "another length").unwrap();
    assert_eq!(printed.run("verify", verify().args(["--repair", "--from"]).arg(world.store()))["defects"], 0);
}

fn configure(printed: &mut Printed, world: &World) {
    let file = world.path("config.toml");
    fs::write(&file, "[channels.\"a/b\"]\nfrom = [\"/srv/store\"]\nkeep_last = 3\n").unwrap();
    printed.run("config show", world.operator().env("QSYNC_CONFIG", &file).args(["config", "show"]));
    printed.run("config check", world.operator().env("QSYNC_CONFIG", &file).args(["config", "check"]));
}

/// A node that has sent more each time it is asked.
fn usage(printed: &mut Printed, world: &World) {
    let sent = AtomicUsize::new(0);
    let node = Receiver::start(move |asked| match asked.path.as_str() {
        "/api/v0/stats/bw" => {
            let bytes = sent.fetch_add(5000, Ordering::SeqCst);
            Answer::ok("application/json", format!("{{\"TotalIn\":0,\"TotalOut\":{bytes}}}"))
        }
        _ => Answer::status(404),
    });
    let (file, store) = (world.path("usage.toml"), world.path("usage"));
    fs::create_dir(&store).unwrap();
    let sources = format!("sources = [{{ store = \"ipfs\", kubo = \"{}\" }}]", node.url());
    fs::write(&file, format!("[usage]\nstore = {store:?}\ntb_bytes = 1000\n{sources}\n")).unwrap();
    let run = |words: &[&str]| world.provider().env("QSYNC_CONFIG", &file).arg("usage").args(words);
    printed.run("usage tick", run(&["tick"]));
    assert_eq!(printed.run("usage tick", run(&["tick"]))["crossed"].as_array().unwrap().len(), 5);
    assert_eq!(printed.run("usage tick", run(&["tick", "--exit-code"]))["code"], "terabyte-crossed");
    printed.run("usage show", run(&["show"]));
    project(printed, world);
    count_logs(printed, world);
}

fn project(printed: &mut Printed, world: &World) {
    let (file, store) = (world.path("projection.toml"), world.path("projected"));
    fs::create_dir_all(store.join("usage")).unwrap();
    let sources = "sources = [{ store = \"cdn\", distribution = \"E1\" }]\n[usage.billing.cdn]\nquota_tb_month = 1";
    fs::write(&file, format!("[usage]\nstore = {store:?}\n{sources}\n")).unwrap();
    let now = Timestamp::now();
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    let month = |back: i64| first.checked_sub(back.months()).unwrap().strftime("%Y-%m").to_string();
    let tally = serde_json::json!({ "bytes": 3_u64 << 40, "told_tb": 3, "tb_bytes": 1_u64 << 40, "closed": false });
    let months = serde_json::json!({ month(2): tally, month(1): tally, month(0): tally });
    let cdn = serde_json::json!({ "total_bytes": 9_u64 << 40, "total_told": 9, "data_until": now, "counter": null, "months": months });
    let state = serde_json::json!({ "format": "qsync-usage/1", "last_tick": now, "stores": { "cdn": cdn }, "outbox": [] });
    fs::write(store.join("usage/state.json"), state.to_string()).unwrap();
    let run = || world.provider().env("QSYNC_CONFIG", &file).args(["usage", "projection"]);
    assert_eq!(printed.run("usage projection", run())["breaches"], 1);
    assert_eq!(printed.run("usage projection", run().arg("--exit-code"))["code"], "limit-passed");
}

fn count_logs(printed: &mut Printed, world: &World) {
    let id = "0d197521d9a4f5d4a4aa2d6b4c9a4b6a1f1f1e1d1c1b1a191817161514131211";
    let line = format!(
        "o b [20/Nov/2026:03:00:12 +0000] - - - REST.GET.OBJECT v1/manifests/{id} \"GET / HTTP/1.1\" 200 - 5 5 - - - - -\nrubbish\n"
    );
    fs::write(world.path("access.log"), line).unwrap();
    let count = || world.operator().args(["usage", "logs"]).arg(world.path("access.log"));
    assert_eq!(printed.run("usage logs", count())["malformed_lines"], 1);
    assert_eq!(printed.run("usage logs", count().arg(world.path("absent.log")))["code"], "partial");
}

fn trust(printed: &mut Printed, world: &World, pin: &str) {
    for words in [&["add", pin][..], &["list"], &["show", pin], &["reset", pin, "--yes"]] {
        printed.run("trust", world.operator().arg("trust").args(words));
    }
    assert_eq!(printed.run("trust", world.operator().args(["trust", "show", pin]))["code"], "not-found");
}

#[test]
fn every_field_that_is_printed_is_documented_and_every_other_is_not() {
    let mut printed = Printed::new();
    print_everything(&mut printed);
    // `serve` runs until it is stopped: its one line is what the test server waits for.
    printed.seen.insert("listening".to_owned(), BTreeSet::from(["address".to_owned()]));
    // `agent` too: its lines are what tests/it/agent.rs reads.
    printed.seen.insert("task".to_owned(), ["task", "channel", "exit", "seconds"].map(str::to_owned).into());
    for (kind, fields) in &printed.documented {
        let nothing = BTreeSet::new();
        let seen = printed.seen.get(kind).unwrap_or(&nothing);
        let unseen: Vec<_> = fields.difference(seen).collect();
        let unknown: Vec<_> = seen.difference(fields).collect();
        assert!(
            unseen.is_empty() && unknown.is_empty(),
            "{kind}: documented but not printed: {unseen:?}, the other way round: {unknown:?}"
        );
    }
}

#[test]
fn sums_for_b3sum_are_no_json_and_stand_alone() {
    let world = World::new();
    tree::make_awkward(&world.path("data"));
    let pin = world.init();
    world.publish(&world.path("data"), 1);
    world.restore_command(&pin).summary();
    let sums = || world.operator().arg("verify").arg(world.target()).arg("--b3sums");
    assert_eq!(sums().arg("--json").stdout(), sums().stdout());
}

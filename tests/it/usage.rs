//! Counting downloads from outside: what is asked, what is told, and what is said when something is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use minicbor::{Encoder, data::Tag};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    command::{Qsync, text},
    receiver::{Answer, Receiver, Sent},
};

const TB: u64 = 1 << 40;

/// A provider's machine, and a cloud that says what a test tells it to.
struct Scene {
    home: TempDir,
    cloud: Receiver,
    says: Arc<Mutex<Cloud>>,
}

/// What the cloud says.
struct Cloud {
    /// Pages of `GetMetricData`, by the dimension that a request has: the status of each, and the bytes of this hour.
    metrics: Vec<(&'static str, Vec<(&'static str, f64)>)>,
    denied: Vec<&'static str>,
    webhook: u16,
    date: Option<&'static str>,
    /// What a node of IPFS has sent, and when it began.
    node: (u64, u64),
}

impl Scene {
    fn new(usage: &str) -> Self {
        let cloud = Cloud { metrics: Vec::new(), denied: Vec::new(), webhook: 200, date: None, node: (0, 1_700_000_000) };
        let says = Arc::new(Mutex::new(cloud));
        let inside = Arc::clone(&says);
        let cloud = Receiver::start(move |sent| inside.lock().unwrap().answer(sent));
        let scene = Self { home: tempfile::tempdir().unwrap(), cloud, says };
        fs::create_dir(scene.path("store")).unwrap();
        fs::write(scene.path("webhook-url"), format!("{}/hook/secret-token\n", scene.cloud.url())).unwrap();
        let usage = usage.replace("CLOUD", &scene.cloud.url()).replace("HOME", scene.home.path().to_str().unwrap());
        let (metrics, store) = (scene.path("qsync.prom"), scene.path("store"));
        let config = format!("metrics_file = {metrics:?}\n[usage]\nstore = {store:?}\n{usage}\n");
        fs::write(scene.path("config.toml"), config).unwrap();
        scene
    }

    /// One distribution.
    fn of_a_distribution(more: &str) -> Self {
        Self::new(&format!("sources = [{{ store = \"cdn\", distribution = \"E123\" }}]\n{more}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What `CloudWatch` has of whatever has this dimension.
    fn downloaded(&self, dimension: &'static str, pages: &[(&'static str, f64)]) {
        let mut says = self.says.lock().unwrap();
        says.metrics.retain(|(name, _)| *name != dimension);
        says.metrics.push((dimension, pages.to_vec()));
    }

    fn command(&self, words: &[&str]) -> Qsync {
        self.anonymous(words).env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret")
    }

    fn anonymous(&self, words: &[&str]) -> Qsync {
        let config = self.path("config.toml");
        let words = [&["--config", config.to_str().unwrap(), "usage"], words].concat();
        let command = Qsync::at_home(self.home.path(), &words).env("AWS_ENDPOINT_URL", self.cloud.url());
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("NO_PROXY", "127.0.0.1")
    }

    fn tick(&self) -> Vec<Value> {
        self.command(&["tick"]).json_lines()
    }

    fn write_state(&self, state: &Value) {
        fs::create_dir_all(self.path("store/usage")).unwrap();
        fs::write(self.path("store/usage/state.json"), state.to_string()).unwrap();
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("store/usage/state.json")).unwrap()).unwrap()
    }

    /// What was posted to the webhook.
    fn posted(&self) -> Vec<Sent> {
        self.cloud.sent().into_iter().filter(|sent| sent.path == "/hook/secret-token").collect()
    }
}

impl Cloud {
    fn answer(&self, sent: &Sent) -> Answer {
        let answer = match sent.path.as_str() {
            "/hook/secret-token" => Answer::status(self.webhook),
            "/api/v0/stats/bw" => Answer::ok("application/json", json!({ "TotalIn": 1, "TotalOut": self.node.0 }).to_string()),
            "/debug/metrics/prometheus" => Answer::ok("text/plain", format!("process_start_time_seconds {}\n", self.node.1)),
            path if path.ends_with("/GetMetricData") => self.metric_data(sent),
            path if path.ends_with("/PutMetricData") => self.unless_denied("PutMetricData", || cbor(empty())),
            "/" if sent.text().contains("Action=Publish&") => self.publish(),
            _ => Answer::status(404),
        };
        match self.date {
            Some(date) => answer.header("date", date),
            None => answer,
        }
    }

    fn unless_denied(&self, call: &str, answer: impl FnOnce() -> Answer) -> Answer {
        if self.denied.contains(&call) { refused() } else { answer() }
    }

    fn metric_data(&self, sent: &Sent) -> Answer {
        let asked = sent.text();
        let Some((dimension, pages)) = self.metrics.iter().find(|(name, _)| asked.contains(name)) else {
            return cbor(page("Complete", None, None));
        };
        // A token is the number of the page that it leads to.
        let at = (1..pages.len()).rev().find(|at| asked.contains(&format!("page-{at}"))).unwrap_or(0);
        let next = (at + 1 < pages.len()).then(|| format!("page-{}", at + 1));
        let (status, bytes) = pages[at];
        self.unless_denied(dimension, || cbor(page(status, Some(bytes), next)))
    }

    fn publish(&self) -> Answer {
        let done = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not authorized</Message></Error></ErrorResponse>";
        let denied = self.denied.contains(&"Publish");
        Answer { status: if denied { 403 } else { 200 }, ..Answer::ok("text/xml", if denied { refused } else { done }) }
    }
}

fn cbor(body: Vec<u8>) -> Answer {
    Answer::ok("application/cbor", body).header("smithy-protocol", "rpc-v2-cbor")
}

fn refused() -> Answer {
    let mut body = Encoder::new(Vec::new());
    body.map(2).unwrap().str("__type").unwrap().str("com.amazonaws.cloudwatch#AccessDeniedException").unwrap();
    body.str("message").unwrap().str("User: x is not authorized").unwrap();
    Answer { status: 403, ..cbor(body.into_writer()) }
}

fn empty() -> Vec<u8> {
    let mut body = Encoder::new(Vec::new());
    body.map(0).unwrap();
    body.into_writer()
}

/// A page with the bytes of one hour: this one, and earlier ones for later pages.
fn page(status: &str, bytes: Option<f64>, next: Option<String>) -> Vec<u8> {
    let count = u64::from(bytes.is_some());
    let mut body = Encoder::new(Vec::new());
    body.map(if next.is_some() { 2 } else { 1 }).unwrap().str("MetricDataResults").unwrap().array(1).unwrap().map(4).unwrap();
    body.str("Id").unwrap().str("bytes").unwrap().str("StatusCode").unwrap().str(status).unwrap();
    body.str("Timestamps").unwrap().array(count).unwrap();
    for _ in 0..count {
        // Each page has an hour of its own, all of them in this month: how far back the page is.
        let second = this_hour() + i64::from(next.is_some());
        body.tag(Tag::new(1)).unwrap().i64(second).unwrap();
    }
    body.str("Values").unwrap().array(count).unwrap();
    if let Some(bytes) = bytes {
        body.f64(bytes).unwrap();
    }
    if let Some(next) = next {
        body.str("NextToken").unwrap().str(&next).unwrap();
    }
    body.into_writer()
}

fn this_hour() -> i64 {
    let now = Timestamp::now().as_second();
    now - now % 3600
}

fn this_month() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

fn tb(count: f64) -> f64 {
    count * TB as f64
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

fn warnings(lines: &[Value]) -> String {
    of_type(lines, "warning").iter().map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_terabyte_is_told_once_to_everybody_and_shown_in_the_metrics() {
    let scene = Scene::of_a_distribution(
        "webhook_file = \"HOME/webhook-url\"\nsns_topic = \"arn:aws:sns:eu-west-1:123456789012:traffic\"\nput_metrics = true",
    );
    let month = this_month();
    scene.downloaded("E123", &[("Complete", tb(2.5))]);
    let first = scene.tick();
    let told: Vec<_> = of_type(&first, "terabyte-crossed").iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, [format!("cdn/{month}/1"), format!("cdn/{month}/2")]);
    let summary = first.last().unwrap();
    assert_eq!((&summary["command"], &summary["crossed"], &summary["pending"]), (&"usage tick".into(), &json!(told), &0.into()));
    assert_eq!((&summary["stores"][0]["terabytes"], summary["stores"][0]["bytes"].as_u64()), (&2.into(), Some(TB * 5 / 2)));
    // The webhook got each once, with its id, and the event that is documented.
    let posted = scene.posted();
    assert_eq!(posted.iter().map(|sent| sent.header("idempotency-key").unwrap().to_owned()).collect::<Vec<_>>(), told);
    let event: Value = serde_json::from_slice(&posted[1].body).unwrap();
    assert_eq!((&event["id"], &event["terabyte"], &event["tb_bytes"]), (&json!(told[1]), &2.into(), &TB.into()));
    // So did the topic, in its own region.
    let published: Vec<_> = scene.cloud.sent().into_iter().filter(|sent| sent.text().contains("Action=Publish")).collect();
    assert_eq!(published.len(), 2);
    assert!(published[0].text().contains(&format!("cdn%2F{month}%2F1")), "{}", published[0].text());
    assert!(published[0].header("authorization").unwrap().contains("/eu-west-1/sns/"), "{:?}", published[0].headers);
    let put = scene.cloud.sent().into_iter().find(|sent| sent.path.ends_with("/PutMetricData")).unwrap().text();
    assert!(["QSync", "MonthToDateBytes", "TerabytesCrossed", "Store", "cdn"].iter().all(|word| put.contains(word)), "{put}");
    // Nothing waits, and nothing is told again.
    assert_eq!(scene.state()["outbox"], json!([]));
    let second = scene.tick();
    assert_eq!((of_type(&second, "terabyte-crossed").len(), scene.posted().len()), (0, 2));
    scene.downloaded("E123", &[("Complete", tb(3.0))]);
    let refused = scene.command(&["tick", "--exit-code"]).json_error(20);
    assert_eq!(
        (&refused["code"], refused["message"].as_str().unwrap().contains(&format!("cdn/{month}/3"))),
        (&"terabyte-crossed".into(), true)
    );
    scene.command(&["tick", "--exit-code"]).summary();
    let metrics = fs::read_to_string(scene.path("qsync.prom")).unwrap();
    for line in [
        "qsync_egress_bytes_total{store=\"cdn\"} 3298534883328",
        "qsync_egress_terabytes_crossed_total{store=\"cdn\"} 3",
        "qsync_usage_pending_events 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let shown = scene.command(&["show"]).json_lines();
    assert_eq!((&shown[0]["type"], &shown[0]["told"], &shown[0]["closed"]), (&"month".into(), &3.into(), &false.into()));
    let text = scene.command(&["show"]).stdout();
    assert!(text.contains("cdn") && text.contains("3.0 TiB") && text.contains("open"), "{text}");
}

#[test]
fn a_webhook_that_is_down_is_told_by_the_next_tick_and_its_secret_is_not_shown() {
    let scene = Scene::of_a_distribution("webhook_file = \"HOME/webhook-url\"");
    scene.downloaded("E123", &[("Complete", tb(1.0))]);
    scene.says.lock().unwrap().webhook = 503;
    let output = scene.command(&["tick"]).output();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("webhook was not told; 1 event waits for the next tick"), "{said}");
    assert!(said.contains("answers 503 Service Unavailable") && !said.contains("secret-token"), "{said}");
    assert_eq!(scene.posted().len(), 4, "it is tried a few times");
    let outbox = &scene.state()["outbox"];
    assert_eq!((&outbox[0]["id"], &outbox[0]["sinks_done"]), (&json!(format!("cdn/{}/1", this_month())), &json!(["output"])));
    scene.says.lock().unwrap().webhook = 204;
    let next = scene.tick();
    assert_eq!(of_type(&next, "terabyte-crossed").len(), 0, "the output was told before");
    let posted = scene.posted();
    assert_eq!((posted.len(), posted[0].body == posted[4].body), (5, true), "the same event, to the letter");
    assert_eq!(scene.state()["outbox"], json!([]));
}

#[test]
fn a_part_of_an_answer_lowers_no_total_and_pages_are_put_together() {
    let scene = Scene::of_a_distribution("");
    scene.downloaded("E123", &[("PartialData", tb(1.0)), ("Complete", tb(2.0))]);
    assert_eq!(scene.tick().last().unwrap()["stores"][0]["terabytes"], 3);
    scene.downloaded("E123", &[("PartialData", tb(0.5))]);
    let part = scene.tick();
    assert_eq!((&part.last().unwrap()["stores"][0]["terabytes"], of_type(&part, "terabyte-crossed").len()), (&3.into(), 0));
    assert!(warnings(&part).contains("cdn: CloudWatch gave a part of what it knows"), "{part:?}");
    scene.downloaded("E123", &[("Complete", -1.0)]);
    assert!(scene.command(&["tick"]).fails_with(16).contains("a number of bytes that cannot be"));
}

#[test]
fn a_distribution_of_which_nothing_is_known_is_not_0() {
    let scene = Scene::of_a_distribution("");
    let lines = scene.tick();
    assert_eq!(lines.last().unwrap()["stores"][0]["bytes"], Value::Null);
    assert!(warnings(&lines).contains("cdn: CloudWatch has no datapoint of it, which is not the same as 0 bytes"), "{lines:?}");
    assert!(scene.command(&["show"]).stdout().contains("unknown"));
}

#[test]
fn without_credentials_nothing_is_counted_and_it_says_what_to_set() {
    let scene = Scene::of_a_distribution("");
    let error = scene.anonymous(&["tick"]).json_error(12);
    assert_eq!(error["code"], "credentials-missing");
    assert!(error["hints"][0].as_str().unwrap().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[test]
fn a_call_that_is_not_allowed_is_named_with_the_action_of_its_policy() {
    let scene = Scene::new(
        "sns_topic = \"arn:aws:sns:eu-west-1:123456789012:traffic\"\nput_metrics = true\n\
         sources = [{ store = \"cdn\", distribution = \"E123\" }, { store = \"raw\", bucket = \"kusama-raw\", region = \"eu-central-1\", filter_id = \"all\" }]",
    );
    scene.downloaded("E123", &[("Complete", tb(1.0))]);
    scene.downloaded("kusama-raw", &[("Complete", tb(1.0))]);
    scene.says.lock().unwrap().denied = vec!["E123", "Publish", "PutMetricData"];
    let output = scene.command(&["tick"]).arg("--json").output();
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = warnings(&lines);
    for (call, action) in [
        ("GetMetricData of distribution E123: this user may not do that (HTTP 403 AccessDeniedException", "cloudwatch:GetMetricData"),
        ("Publish to arn:aws:sns:eu-west-1:123456789012:traffic: this user may not do that (HTTP 403 AuthorizationError", "sns:Publish"),
        ("PutMetricData in namespace QSync: this user may not do that", "cloudwatch:PutMetricData"),
    ] {
        assert!(
            said.lines().any(|line| line.contains(call) && line.contains(&format!("hint: allow this user {action}"))),
            "{call}\n{said}"
        );
    }
    // One store was counted all the same, and its terabyte told.
    assert_eq!(of_type(&lines, "terabyte-crossed")[0]["store"], "raw");
    let error = lines.last().unwrap();
    assert_eq!(
        (output.status.code(), &error["code"], &error["message"]),
        (Some(3), &"partial".into(), &"1 of 2 stores were not counted".into())
    );
    assert_eq!(of_type(&lines, "result")[0]["pending"], 1);
    scene.says.lock().unwrap().denied = vec!["E123", "kusama-raw"];
    let error = scene.command(&["tick"]).json_error(12);
    assert_eq!((&error["code"], error["details"].as_array().unwrap().len()), (&"denied".into(), 2));
}

#[test]
fn a_clock_that_cannot_be_right_counts_nothing() {
    let scene = Scene::of_a_distribution("");
    scene.downloaded("E123", &[("Complete", tb(1.0))]);
    let ahead = Timestamp::now() + 20.minutes();
    scene.write_state(&json!({ "format": "qsync-usage/1", "last_tick": ahead, "stores": {}, "outbox": [] }));
    let error = scene.command(&["tick"]).json_error(1);
    assert_eq!(error["code"], "wrong-clock");
    assert!(error["message"].as_str().unwrap().contains("was brought up to date at"), "{error}");
    fs::remove_file(scene.path("store/usage/state.json")).unwrap();
    scene.says.lock().unwrap().date = Some("Sun, 22 Nov 2020 08:00:00 GMT");
    let error = scene.command(&["tick"]).json_error(1);
    assert_eq!((&error["code"], scene.path("store/usage/state.json").exists()), (&"wrong-clock".into(), false));
    assert!(error["message"].as_str().unwrap().contains("that of CloudWatch says 2020-11-22T08:00:00Z"), "{error}");
}

#[test]
fn a_state_that_this_version_does_not_know_is_left_alone() {
    let scene = Scene::of_a_distribution("");
    scene.downloaded("E123", &[("Complete", tb(1.0))]);
    for (state, code) in [(json!({ "format": "qsync-usage/2" }), "needs-newer-qsync"), (json!({ "format": "other" }), "state-unreadable")] {
        scene.write_state(&state);
        for verb in ["tick", "show"] {
            let error = scene.command(&[verb]).json_error(1);
            assert_eq!(error["code"], code, "{verb}: {error}");
        }
        assert_eq!(scene.state(), state);
    }
}

#[test]
fn a_node_of_ipfs_is_counted_by_what_it_sent_since_it_was_started() {
    let scene = Scene::new("tb_bytes = 1000\nsources = [{ store = \"ipfs\", kubo = \"CLOUD\" }]");
    let bytes = |sent: u64, began: u64| {
        scene.says.lock().unwrap().node = (sent, began);
        scene.anonymous(&["tick"]).summary()["stores"][0]["bytes"].as_u64().unwrap()
    };
    assert_eq!(bytes(50_000, 1_700_000_000), 0, "what it sent before it was counted first");
    assert_eq!(bytes(51_500, 1_700_000_000), 1500);
    assert_eq!(bytes(400, 1_700_100_000), 1900, "it was started again");
    assert_eq!(bytes(5000, 1_700_200_000), 6900, "and again, and has sent more than before already");
    assert_eq!(scene.state()["stores"]["ipfs"]["months"][this_month()]["told_tb"], 6);
}

#[test]
fn the_alarm_can_be_tested_without_counting_anything() {
    let scene = Scene::of_a_distribution("webhook_file = \"HOME/webhook-url\"");
    scene.downloaded("E123", &[("Complete", tb(1.0))]);
    let lines = scene.command(&["tick", "--test"]).json_lines();
    let id = of_type(&lines, "terabyte-crossed")[0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with(&format!("test/{}/", this_month())), "{id}");
    assert_eq!(scene.posted()[0].header("idempotency-key"), Some(id.as_str()));
    assert!(!scene.path("store/usage").exists());
    scene.says.lock().unwrap().webhook = 404;
    assert!(scene.command(&["tick", "--test"]).fails_with(16).contains("webhook was not told"));
    assert_eq!(scene.command(&["tick", "--test", "--exit-code"]).json_error(16)["code"], "network");
}

#[test]
fn what_is_not_configured_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let refused = |config: &str, words: &[&str]| {
        let file = home.path().join("config.toml");
        fs::write(&file, config).unwrap();
        let said = Qsync::at_home(home.path(), &["--config", file.to_str().unwrap(), "usage"]).args(words).fails_with(2);
        said.replace(home.path().to_str().unwrap(), "HOME")
    };
    insta::assert_snapshot!(refused("", &["tick"]), @r"
    error: nothing to count: the configuration has no usage.sources
    hint: docs/usage.md shows a configuration
    ");
    let source = "sources = [{ store = 'cdn', distribution = 'E123' }]";
    insta::assert_snapshot!(refused(&format!("[usage]\n{source}"), &["tick"]), @r"
    error: nowhere to keep what was counted: the configuration has no usage.store
    hint: set store in [usage] to a folder, or to s3://BUCKET/PREFIX: docs/usage.md
    ");
    insta::assert_snapshot!(refused("[usage]\ntb_bytes = 0", &["show"]), @r"
    error: in HOME/config.toml: TOML parse error at line 2, column 12
      |
    2 | tb_bytes = 0
      |            ^
    tb_bytes is 0: expected how many bytes a terabyte is, 1099511627776 or 1000000000000
    ");
    let webhook = format!("[usage]\nstore = '{}'\n{source}\nwebhook_file = '/nonexistent/url'", home.path().display());
    insta::assert_snapshot!(refused(&webhook, &["tick"]), @r"
    error: webhook_file /nonexistent/url cannot be read
    caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn before_the_first_tick_there_is_nothing_to_show() {
    let scene = Scene::of_a_distribution("");
    assert_eq!(scene.command(&["show"]).json_error(10)["code"], "not-found");
    assert!(Path::new(&scene.path("store")).exists());
}

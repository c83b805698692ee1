//! Counting downloads with a real implementation of `CloudWatch` and SNS, and with real nodes of IPFS.

use std::{fs, thread, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    servers::{kubo::Kubo, moto::Moto, s3::Bucket},
    support::{
        World,
        command::{Qsync, text},
        receiver::{Answer, Receiver},
    },
};

const TB: u64 = 1 << 40;
const TICKS: u64 = 50;

/// A provider whose state lies in a bucket, and whom a webhook and a topic tell.
struct Scene {
    world: World,
    state: Bucket,
    webhook: Receiver,
    queue: String,
}

impl Scene {
    fn new(webhook: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let (moto, world) = (Moto::shared(), World::new());
        let count = std::sync::atomic::AtomicUsize::new(0);
        let webhook = Receiver::start(move |_| Answer::status(webhook(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst))));
        let state = moto.s3.make_bucket(&format!("state-{}", std::process::id()), Moto::USER);
        let (topic, queue) = moto.make_topic_with_queue("traffic");
        fs::write(world.path("webhook-url"), webhook.url()).unwrap();
        let config = format!(
            "[usage]\nstore = {:?}\nput_metrics = true\nwebhook_file = {:?}\nsns_topic = {topic:?}\n\
             sources = [{{ store = \"cdn\", distribution = \"E123\" }}, {{ store = \"raw\", bucket = \"kusama-raw\", region = \"us-east-1\", filter_id = \"all\" }}]\n",
            state.store(),
            world.path("webhook-url")
        );
        fs::write(world.path("config.toml"), config).unwrap();
        Self { world, state, webhook, queue }
    }

    fn tick(&self) -> Qsync {
        let command = self.world.provider().arg("--config").arg(self.world.path("config.toml")).args(["usage", "tick", "--json"]);
        let [id, secret] = Moto::USER.variables();
        let command = command.env(id.0, id.1).env(secret.0, secret.1).env("AWS_ENDPOINT_URL", Moto::shared().s3.endpoint());
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("NO_PROXY", "127.0.0.1")
    }
}

fn ids(stdout: &[u8]) -> Vec<String> {
    let lines = text(stdout);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "terabyte-crossed").map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

/// Those of one store, without those that were told again.
fn of_store<'a>(ids: impl IntoIterator<Item = &'a String>, store: &str) -> Vec<&'a String> {
    let mut told: Vec<&String> = Vec::new();
    for id in ids {
        if id.starts_with(store) && !told.contains(&id) {
            told.push(id);
        }
    }
    told
}

fn this_month() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

#[test]
fn fifty_ticks_tell_each_terabyte_once_and_in_order() {
    // The webhook is down in the middle, for as long as a few ticks try.
    let scene = Scene::new(|request| if (10..22).contains(&request) { 503 } else { 200 });
    let (moto, month) = (Moto::shared(), this_month());
    let start = format!("{month}-01T00:00:00Z").parse::<Timestamp>().unwrap().as_second();
    let now = Timestamp::now().as_second();
    let (mut cdn, mut raw, mut told) = (0, 0, Vec::new());
    for tick in 0..TICKS {
        // Hours that are long past get more, too.
        let hour = start + (tick * 31 % u64::try_from((now - start) / 3600 + 1).unwrap()) as i64 * 3600;
        let (more, less) = (tick * 7919 % 23 * (TB / 8), tick % 3 * (TB / 4));
        (cdn, raw) = (cdn + more, raw + less);
        moto.put_metric("AWS/CloudFront", &[("DistributionId", "E123"), ("Region", "Global")], hour, more);
        moto.put_metric("AWS/S3", &[("BucketName", "kusama-raw"), ("FilterId", "all")], hour, less);
        let output = scene.tick().output();
        assert!(output.status.success(), "{}", text(&output.stderr));
        told.extend(ids(&output.stdout));
    }
    let expected = |store: &str, bytes: u64| (1..=bytes / TB).map(|n| format!("{store}/{month}/{n}")).collect::<Vec<_>>();
    assert!(cdn / TB > 50 && raw / TB > 5, "{cdn} {raw}");
    let posted: Vec<String> = scene.webhook.sent().iter().map(|sent| sent.header("idempotency-key").unwrap().to_owned()).collect();
    let published = moto.messages(&scene.queue);
    let state: Value = serde_json::from_slice(&scene.state.get("usage/state.json")).unwrap();
    assert_eq!(state["outbox"], json!([]));
    for (store, bytes) in [("cdn", cdn), ("raw", raw)] {
        let all = expected(store, bytes);
        assert_eq!(told.iter().filter(|id| id.starts_with(store)).collect::<Vec<_>>(), all.iter().collect::<Vec<_>>(), "the output");
        assert_eq!(of_store(&posted, store), all.iter().collect::<Vec<_>>(), "the webhook");
        let mut published: Vec<_> = published.iter().filter(|id| id.starts_with(store)).collect();
        // A queue keeps no order.
        published.sort_by_key(|id| id.rsplit('/').next().unwrap().parse::<u64>().unwrap());
        assert_eq!(published, all.iter().collect::<Vec<_>>(), "the topic");
        assert_eq!(moto.metric_sum("QSync", "TerabytesCrossed", ("Store", store)), bytes / TB, "the metric");
        assert_eq!(state["stores"][store]["months"][&month]["bytes"], bytes);
    }
    assert!(posted.len() > told.len(), "it was down, and was told again");
    // Four at once: one gives the events their ids, and none is given twice.
    moto.put_metric("AWS/CloudFront", &[("DistributionId", "E123"), ("Region", "Global")], start, 5 * TB);
    let at_once: Vec<_> = (0..4).map(|_| scene.tick().spawn()).collect();
    let at_once: Vec<_> = at_once.into_iter().map(|child| thread::spawn(move || child.wait_with_output().unwrap())).collect();
    for output in at_once.into_iter().map(|output| output.join().unwrap()) {
        assert!(output.status.success(), "{}", text(&output.stderr));
        told.extend(ids(&output.stdout));
    }
    assert_eq!(of_store(&told, "cdn"), expected("cdn", cdn + 5 * TB).iter().collect::<Vec<_>>());
    let state: Value = serde_json::from_slice(&scene.state.get("usage/state.json")).unwrap();
    assert_eq!((&state["outbox"], &state["stores"]["cdn"]["total_told"]), (&json!([]), &(cdn / TB + 5).into()));
}

#[test]
fn what_a_node_sends_to_another_is_counted_also_when_it_is_started_again() {
    let (mut node, other) = (Kubo::start_online(), Kubo::start_online());
    let world = World::new();
    fs::create_dir(world.path("state")).unwrap();
    let config = format!(
        "[usage]\nstore = {:?}\ntb_bytes = 1000000\nsources = [{{ store = \"ipfs\", kubo = {:?} }}]\n",
        world.path("state"),
        node.rpc().trim_start_matches("ipfs+")
    );
    fs::write(world.path("config.toml"), config).unwrap();
    let bytes = || {
        let command = world.provider().arg("--config").arg(world.path("config.toml")).args(["usage", "tick"]);
        command.summary()["stores"][0]["bytes"].as_u64().unwrap()
    };
    assert_eq!(bytes(), 0, "what it sent before it was counted first");
    let mut fetched = 0;
    for _ in 0..2 {
        let file = world.path("file");
        // Blocks that are the same would be sent once.
        let mut noise = vec![0; 3_000_000];
        getrandom::fill(&mut noise).unwrap();
        fs::write(&file, noise).unwrap();
        let cid = node.ipfs(&["add", "-Q", file.to_str().unwrap()]);
        other.connect(&node);
        other.ipfs(&["pin", "add", &cid]);
        fetched += 3_000_000;
        // A node adds up what it has sent about once a second.
        let counted = (0..60).map(|_| bytes()).find(|bytes| {
            *bytes >= fetched || {
                thread::sleep(Duration::from_millis(500));
                false
            }
        });
        let counted = counted.unwrap_or_else(bytes);
        assert!((fetched..fetched + 1_000_000).contains(&counted), "{counted} after {fetched}");
        node.kill();
        node.start_again();
    }
    let state: Value = serde_json::from_slice(&fs::read(world.path("state/usage/state.json")).unwrap()).unwrap();
    assert_eq!(state["stores"]["ipfs"]["total_told"], 6);
}

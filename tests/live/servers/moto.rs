//! moto: a second implementation of S3, and one of `CloudFront`, `CloudWatch`, SNS and SQS, all in memory.

use std::{
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Companion, cache,
    s3::{Request, S3, User},
};
use crate::support::command::text;

const SCHEMA: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

/// The server of this run of tests.
pub(crate) struct Moto {
    /// S3.
    pub(crate) s3: S3,
    // It serves for as long as this is there.
    _server: Companion,
}

impl Moto {
    /// The one that all tests share; the first to ask starts it.
    pub(crate) fn shared() -> &'static Self {
        static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);
        &MOTO
    }

    /// It takes any credentials.
    pub(crate) const USER: User = User { access_key: "ANYKEY", secret_key: "any-secret" };

    /// Makes a distribution of `CloudFront`, and gives its id.
    #[track_caller]
    pub(crate) fn make_distribution(&self) -> String {
        let origin = "<Items><Origin><Id>o</Id><DomainName>o.s3.amazonaws.com</DomainName><S3OriginConfig><OriginAccessIdentity/></S3OriginConfig></Origin></Items>";
        let behaviour = "<TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>";
        let config = format!(
            "<DistributionConfig xmlns=\"{SCHEMA}\"><CallerReference>{}</CallerReference><Comment/><Enabled>true</Enabled>\
             <Origins><Quantity>1</Quantity>{origin}</Origins><DefaultCacheBehavior>{behaviour}</DefaultCacheBehavior></DistributionConfig>",
            unique()
        );
        let answer = self.cloudfront("POST", "/distribution").body(config.as_bytes()).send().succeeded();
        between(&text(&answer.body), "<Id>", "</Id>").next().unwrap()
    }

    /// Has a distribution forget a path.
    #[track_caller]
    pub(crate) fn invalidate(&self, distribution: &str, path: &str) {
        let paths = format!("<Paths><Quantity>1</Quantity><Items><Path>{path}</Path></Items></Paths>");
        let batch =
            format!("<InvalidationBatch xmlns=\"{SCHEMA}\">{paths}<CallerReference>{}</CallerReference></InvalidationBatch>", unique());
        self.cloudfront("POST", &format!("/distribution/{distribution}/invalidation")).body(batch.as_bytes()).send().succeeded();
    }

    /// The paths that a distribution was told to forget.
    #[track_caller]
    pub(crate) fn invalidated(&self, distribution: &str) -> Vec<String> {
        let all = format!("/distribution/{distribution}/invalidation");
        let list = text(&self.cloudfront("GET", &all).send().succeeded().body);
        let of = |id: String| text(&self.cloudfront("GET", &format!("{all}/{id}")).send().succeeded().body);
        between(&list, "<Id>", "</Id>").map(of).flat_map(|one| between(&one, "<Path>", "</Path>").collect::<Vec<_>>()).collect()
    }

    /// Gives `CloudWatch` a number of bytes that were downloaded in an hour, beside those that it has of that hour.
    #[track_caller]
    pub(crate) fn put_metric(&self, namespace: &str, dimensions: &[(&str, &str)], hour: i64, bytes: u64) {
        let time = jiff::Timestamp::from_second(hour).unwrap().to_string();
        let bytes = bytes.to_string();
        let data = [("MetricName", "BytesDownloaded"), ("Timestamp", &time), ("Value", &bytes)].map(|(key, value)| (key.to_owned(), value));
        let dimensions = dimensions.iter().enumerate().flat_map(|(n, (name, value))| {
            [(format!("Dimensions.member.{}.Name", n + 1), *name), (format!("Dimensions.member.{}.Value", n + 1), *value)]
        });
        let data = data.into_iter().chain(dimensions).map(|(key, value)| (format!("MetricData.member.1.{key}"), value.to_owned()));
        let all: Vec<_> = [("Namespace".to_owned(), namespace.to_owned())].into_iter().chain(data).collect();
        self.ask("monitoring", "PutMetricData", &all);
    }

    /// The sum of all that a metric of a store was ever given.
    #[track_caller]
    pub(crate) fn metric_sum(&self, namespace: &str, metric: &str, dimension: (&str, &str)) -> u64 {
        let now = jiff::Timestamp::now();
        let span = |from: i64| jiff::Timestamp::from_second(now.as_second() + from).unwrap().to_string();
        let all = [
            ("Namespace", namespace),
            ("MetricName", metric),
            ("Dimensions.member.1.Name", dimension.0),
            ("Dimensions.member.1.Value", dimension.1),
            ("StartTime", &span(-86_400)),
            ("EndTime", &span(3600)),
            ("Period", "3600"),
            ("Statistics.member.1", "Sum"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let answer = self.ask("monitoring", "GetMetricStatistics", &all);
        between(&answer, "<Sum>", "</Sum>").map(|sum| sum.parse::<f64>().unwrap()).sum::<f64>() as u64
    }

    /// Makes a topic, and a queue that gets its messages. Gives the topic's name and the queue's address.
    #[track_caller]
    pub(crate) fn make_topic_with_queue(&self, name: &str) -> (String, String) {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
        let topic = self.ask("sns", "CreateTopic", &pairs(&[("Name", name)]));
        let topic = between(&topic, "<TopicArn>", "</TopicArn>").next().unwrap();
        let queue = self.ask("sqs", "CreateQueue", &pairs(&[("QueueName", name)]));
        let queue = between(&queue, "<QueueUrl>", "</QueueUrl>").next().unwrap();
        let arn = topic.replace(":sns:", ":sqs:");
        self.ask("sns", "Subscribe", &pairs(&[("TopicArn", &topic), ("Protocol", "sqs"), ("Endpoint", &arn)]));
        (topic, queue)
    }

    /// The attribute `id` of every message that lies in a queue.
    #[track_caller]
    pub(crate) fn messages(&self, queue: &str) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let asked = [("QueueUrl", queue), ("MaxNumberOfMessages", "10"), ("VisibilityTimeout", "600")];
            let asked = asked.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let answer = self.ask("sqs", "ReceiveMessage", &asked);
            let bodies: Vec<_> =
                between(&answer, "<Body>", "</Body>").map(|body| body.replace("&quot;", "\"").replace("&#34;", "\"")).collect();
            if bodies.is_empty() {
                return ids;
            }
            let messages =
                bodies.iter().map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap_or_else(|e| panic!("{e}: {body}")));
            ids.extend(messages.map(|message| message["MessageAttributes"]["id"]["Value"].as_str().unwrap().to_owned()));
        }
    }

    /// Asks a service that takes its questions as forms.
    #[track_caller]
    fn ask(&self, service: &'static str, action: &str, arguments: &[(String, String)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair("Action", action).extend_pairs(arguments).finish();
        text(&self.s3.request("POST", "/").signed_by(Self::USER).for_service(service).form(&form).send().succeeded().body)
    }

    fn cloudfront(&self, method: &'static str, path: &str) -> Request {
        self.s3.request(method, &format!("/2020-05-31{path}")).signed_by(Self::USER).for_service("cloudfront")
    }

    fn start() -> Self {
        let mut python = Command::new(cache().join("moto").join("bin/python"));
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/serve_moto.py"));
        let server = Companion::start(python);
        Self { s3: S3::at(&server.line), _server: server }
    }
}

/// What no earlier request was called.
fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Every text between two others.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(before).skip(1).filter_map(move |rest| Some(rest.split_once(after)?.0.to_owned()))
}

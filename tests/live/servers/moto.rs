//! moto: a second implementation of S3, and one of `CloudFront`, both in memory.

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

//! The CDN before a bucket: told that heads have changed.

use aws_config::SdkConfig;
use aws_sdk_cloudfront::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    types::{InvalidationBatch, Paths},
};

use super::{fault::Fault, url::Cdn};
use crate::store::{ErrorKind, Timeouts};

/// Asks CloudFront to forget the heads below the CDN's URL. Everything else is immutable or short-lived.
pub(super) async fn forget_heads(shared: &SdkConfig, cdn: &Cdn, distribution: &str, timeouts: &Timeouts) -> Result<(), Fault> {
    let own = TimeoutConfig::builder().connect_timeout(timeouts.connect).operation_timeout(timeouts.answer(0)).build();
    let config = aws_sdk_cloudfront::config::Builder::from(shared).retry_config(RetryConfig::standard()).timeout_config(own).build();
    let invalid = |error| Fault { source: Some(Box::new(error)), ..Fault::new(ErrorKind::BadAnswer, "the invalidation cannot be made") };
    let paths = Paths::builder().quantity(1).items(heads_below(cdn)).build().map_err(invalid)?;
    let batch = InvalidationBatch::builder().paths(paths).caller_reference(reference()).build().map_err(invalid)?;
    let asked = Client::from_conf(config).create_invalidation().distribution_id(distribution).invalidation_batch(batch).send().await;
    asked.map(drop).map_err(|error| {
        let fault = Fault::of(error);
        let reason = format!("CloudFront does not take the invalidation of distribution {distribution}: {}", fault.reason);
        Fault { reason, ..fault }
    })
}

/// The paths of all heads, as CloudFront writes them.
fn heads_below(cdn: &Cdn) -> String {
    format!("{}/heads/*", cdn.url.path().trim_end_matches('/'))
}

/// What makes one request another than the one before.
fn reference() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    format!("qsync-{}", hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_heads_below_the_prefix_are_forgotten() {
        for (url, expected) in
            [("https://cdn.example", "/heads/*"), ("https://cdn.example/", "/heads/*"), ("https://c.e/a/b/", "/a/b/heads/*")]
        {
            assert_eq!(heads_below(&Cdn { url: url.parse().unwrap(), distribution: None }), expected);
        }
        assert_ne!(reference(), reference());
    }
}

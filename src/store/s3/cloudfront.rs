//! The CDN before a bucket: told that heads have changed, and which damaged objects were replaced.

use aws_config::SdkConfig;
use aws_sdk_cloudfront::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    types::{InvalidationBatch, Paths},
};

use super::{fault::Fault, url::Cdn};
use crate::{
    store::{ErrorKind, Timeouts},
    types::ObjectKey,
};

/// The most objects that are named one by one: each costs the owner, beyond a thousand a month.
const MOST_NAMED: usize = 100;

/// Asks CloudFront to forget the heads below the CDN's URL, and the objects that were damaged. Everything else is immutable or short-lived.
pub(super) async fn forget(
    shared: &SdkConfig,
    cdn: &Cdn,
    distribution: &str,
    healed: &[ObjectKey],
    timeouts: &Timeouts,
) -> Result<(), Fault> {
    let own = TimeoutConfig::builder().connect_timeout(timeouts.connect).operation_timeout(timeouts.answer(0)).build();
    let config = aws_sdk_cloudfront::config::Builder::from(shared).retry_config(RetryConfig::standard()).timeout_config(own).build();
    let invalid = |error| Fault { source: Some(Box::new(error)), ..Fault::new(ErrorKind::BadAnswer, "the invalidation cannot be made") };
    let paths = paths(cdn, healed);
    let quantity = i32::try_from(paths.len()).expect("few paths");
    let paths = Paths::builder().quantity(quantity).set_items(Some(paths)).build().map_err(invalid)?;
    let batch = InvalidationBatch::builder().paths(paths).caller_reference(reference()).build().map_err(invalid)?;
    let asked = Client::from_conf(config).create_invalidation().distribution_id(distribution).invalidation_batch(batch).send().await;
    asked.map(drop).map_err(|error| {
        let fault = Fault::of(error);
        let reason = format!("CloudFront does not take the invalidation of distribution {distribution}: {}", fault.reason);
        Fault { reason, ..fault }
    })
}

/// What is to be forgotten, as CloudFront writes it.
fn paths(cdn: &Cdn, healed: &[ObjectKey]) -> Vec<String> {
    if healed.len() > MOST_NAMED {
        return vec![everything_below(cdn)];
    }
    let names = std::iter::once("heads/*").chain(healed.iter().map(ObjectKey::as_str));
    names.map(|name| format!("{}/{name}", prefix(cdn))).collect()
}

/// All objects of the store, as CloudFront writes it.
pub(super) fn everything_below(cdn: &Cdn) -> String {
    format!("{}/*", prefix(cdn))
}

fn prefix(cdn: &Cdn) -> &str {
    cdn.url.path().trim_end_matches('/')
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

    fn cdn(url: &str) -> Cdn {
        Cdn { url: url.parse().unwrap(), distribution: None }
    }

    #[test]
    fn the_heads_below_the_prefix_are_forgotten_and_what_was_damaged() {
        for (url, expected) in
            [("https://cdn.example", "/heads/*"), ("https://cdn.example/", "/heads/*"), ("https://c.e/a/b/", "/a/b/heads/*")]
        {
            assert_eq!(paths(&cdn(url), &[]), [expected]);
        }
        let damaged: ObjectKey = "chunks/00/00".parse().unwrap();
        assert_eq!(paths(&cdn("https://c.e/a/"), &[damaged]), ["/a/heads/*", "/a/chunks/00/00"]);
        assert_ne!(reference(), reference());
    }

    #[test]
    fn very_many_damaged_objects_are_one_path() {
        let damaged: Vec<ObjectKey> = (0..=MOST_NAMED).map(|n| format!("chunks/{n}").parse().unwrap()).collect();
        assert_eq!(paths(&cdn("https://c.e/a/"), &damaged), ["/a/*"]);
        assert_eq!(paths(&cdn("https://c.e/a/"), &damaged[1..]).len(), 1 + MOST_NAMED);
    }
}

//! What the configuration says of counting downloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    billing::{Billing, Quota},
    schema::Shape,
};
use crate::{
    cli::{code::Code, exit::Failure},
    kubo::KuboUrl,
    ops::usage::{MOST_SOURCES, Metered, StoreName, TB_BYTES, sinks::Topic},
};

/// The keys of the table.
pub(super) const KEYS: &[(&str, Shape)] = &[
    ("store", Shape::Leaf),
    ("tb_bytes", Shape::Leaf),
    ("put_metrics", Shape::Leaf),
    ("quota_tb_month", Shape::Leaf),
    ("billing", Shape::Each(&Shape::Keys(super::billing::KEYS))),
    ("sources", Shape::List(SOURCE)),
    ("webhook_file", Shape::Leaf),
    ("sns_topic", Shape::Leaf),
];

const SOURCE: &[(&str, Shape)] = &[
    ("store", Shape::Leaf),
    ("distribution", Shape::Leaf),
    ("bucket", Shape::Leaf),
    ("region", Shape::Leaf),
    ("filter_id", Shape::Leaf),
    ("kubo", Shape::Leaf),
];

/// What is counted, where it is kept, and who is told.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Usage {
    /// The store that has the state.
    pub(crate) store: Option<String>,
    /// How many bytes a terabyte is.
    #[serde(default)]
    pub(crate) tb_bytes: TbBytes,
    /// Whether there are metrics of our own.
    #[serde(default)]
    pub(crate) put_metrics: bool,
    /// What is counted.
    #[serde(default)]
    pub(crate) sources: Vec<Source>,
    /// How much of all stores together is agreed to a month.
    pub(crate) quota_tb_month: Option<Quota>,
    /// What is agreed for each store, and what it costs.
    #[serde(default)]
    pub(crate) billing: BTreeMap<StoreName, Billing>,
    /// File with the address that is told.
    pub(crate) webhook_file: Option<PathBuf>,
    /// The topic that is told.
    #[serde(default, deserialize_with = "topic")]
    pub(crate) sns_topic: Option<Topic>,
}

/// How many bytes a terabyte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct TbBytes(pub(crate) NonZeroU64);

/// A store that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Source {
    /// What it is called.
    pub(crate) store: StoreName,
    /// Who knows what was downloaded.
    pub(crate) by: By,
}

/// Who knows what was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// `CloudWatch`.
    CloudWatch(Metered),
    /// A node of IPFS.
    Kubo(KuboUrl),
}

/// A source as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    store: StoreName,
    distribution: Option<String>,
    bucket: Option<String>,
    region: Option<String>,
    filter_id: Option<String>,
    kubo: Option<String>,
}

impl Default for TbBytes {
    fn default() -> Self {
        Self(TB_BYTES)
    }
}

impl TryFrom<i64> for TbBytes {
    type Error = String;

    fn try_from(bytes: i64) -> Result<Self, String> {
        let positive = u64::try_from(bytes).ok().and_then(NonZeroU64::new);
        positive
            .map(Self)
            .ok_or_else(|| format!("tb_bytes is {bytes}: expected how many bytes a terabyte is, 1099511627776 or 1000000000000"))
    }
}

impl TryFrom<Written> for Source {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { store, distribution, bucket, region, filter_id, kubo } = written;
        let by = match (distribution, bucket, kubo, region, filter_id) {
            (Some(id), None, None, None, None) => By::CloudWatch(Metered::Distribution { id }),
            (None, Some(name), None, Some(region), Some(filter_id)) => By::CloudWatch(Metered::Bucket { name, region, filter_id }),
            (None, Some(_), None, _, _) => return Err(format!("the source {store} has a bucket: expected region and filter_id with it")),
            (None, None, Some(url), None, None) => By::Kubo(node(&store, &url)?),
            (..) => {
                return Err(format!(
                    "the source {store} says not how it is counted: expected distribution, or bucket with region and filter_id, or kubo"
                ));
            }
        };
        Ok(Self { store, by })
    }
}

/// The address of a node, also without what makes it one that is published to.
fn node(store: &StoreName, text: &str) -> Result<KuboUrl, String> {
    let full = if text.starts_with("ipfs+") { text.to_owned() } else { format!("ipfs+{text}") };
    full.parse().map_err(|error| format!("kubo of the source {store} is {error}"))
}

fn topic<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Topic>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Each store has one source, and what is known of all of them must fit into one small object.
pub(super) fn check(usage: &Usage) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    if let Some(twice) = usage.sources.iter().find(|source| !names.insert(&source.store)) {
        let message = format!("usage.sources names the store {} twice", twice.store);
        return Err(Failure::new(Code::Config, message).hint("give each source a name of its own"));
    }
    if usage.sources.len() > MOST_SOURCES {
        return Err(Failure::new(Code::Config, format!("usage.sources has {} sources, at most {MOST_SOURCES} are counted", names.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::config::Config;

    fn refused(text: &str) -> String {
        let failure = Config::from_text(text).unwrap_err();
        [failure.messages, failure.hints].concat().join(" | ")
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let page = include_str!("../../../docs/usage.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let config = Config::from_text(example).unwrap();
        assert_eq!((config.usage().sources.len(), config.usage().tb_bytes.0.get()), (3, 1 << 40));
        assert!(config.usage().put_metrics && config.usage().webhook_file.is_some() && config.usage().sns_topic.is_some());
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_was_meant() {
        let source = |keys: &str| refused(&format!("[usage]\nsources = [{{ {keys} }}]"));
        assert_eq!(refused("[usage]\ntb_byte = 1"), "unknown key usage.tb_byte in config.toml | did you mean tb_bytes?");
        assert_eq!(
            source("store = 'cdn', distribtion = 'E1'"),
            "unknown key usage.sources.distribtion in config.toml | did you mean distribution?"
        );
        for keys in ["store = 'cdn'", "store = 'cdn', region = 'r'", "store = 'c', distribution = 'E1', kubo = 'http://127.0.0.1:5001'"] {
            assert!(source(keys).contains("says not how it is counted"), "{}", source(keys));
        }
        assert!(source("store = 'raw', bucket = 'b'").contains("expected region and filter_id with it"));
        assert!(source("store = 'a/b', distribution = 'E1'").contains("not the name of a store"));
        assert!(source("store = 'ipfs', kubo = 'http://127.0.0.1'").contains("has a port"));
        assert!(refused("[usage]\nsns_topic = 'traffic'").contains("not the name of a topic"));
        let twice = "[usage]\nsources = [{ store = 'a', distribution = 'E1' }, { store = 'a', distribution = 'E2' }]";
        assert_eq!(refused(twice), "usage.sources names the store a twice | give each source a name of its own");
    }

    #[test]
    fn a_terabyte_of_nothing_is_refused() {
        for bytes in ["0", "-1"] {
            let text = refused(&format!("[usage]\ntb_bytes = {bytes}"));
            assert!(text.contains(&format!("tb_bytes is {bytes}: expected how many bytes a terabyte is")), "{text}");
        }
        assert_eq!(Config::from_text("[usage]\ntb_bytes = 1_000_000_000_000").unwrap().usage().tb_bytes.0.get(), 1_000_000_000_000);
    }
}

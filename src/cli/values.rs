//! Values as they are written on the command line and in the configuration, parsed once.

use std::{collections::BTreeMap, fmt, num::NonZeroU64, str::FromStr, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::profile::Family;
use crate::types::{ChannelName, ChunkSize, Hash, When};

/// `CHANNEL[@WHEN]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotRef {
    /// The channel.
    pub(crate) channel: ChannelName,
    /// The snapshot, where one is named.
    pub(crate) when: Option<When>,
}

impl FromStr for SnapshotRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (channel, when) = match text.split_once('@') {
            Some((channel, when)) => (channel, Some(when.parse().map_err(message)?)),
            None => (text, None),
        };
        Ok(Self { channel: channel.parse().map_err(message)?, when })
    }
}

impl fmt::Display for SnapshotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            Some(when) => write!(f, "{}@{when}", self.channel),
            None => write!(f, "{}", self.channel),
        }
    }
}

/// `b3:` and the 64 hex digits of a repository's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin(pub(crate) Hash);

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("b3:").ok_or("a repository's id is written b3: and 64 hex digits")?;
        digits.parse().map(Self).map_err(message)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", self.0)
    }
}

/// A stretch of time such as `7d` or `1h 30m`, at least a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// So many hours.
    pub(crate) const fn hours(count: u64) -> Self {
        Self(Duration::from_secs(count * 3600))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text).map_err(|e| format!("{e} (write 7d, 12h or 90min)"))?;
        if span.as_secs() == 0 { Err("it must be at least a second".to_owned()) } else { Ok(Self(span)) }
    }
}

/// An amount of US dollars such as `2.50`, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) u64);

impl FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an amount in US dollars is written 0.50 or 12, with at most six digits after the point".to_owned();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 6 || !is_digits(whole) || !is_digits(fraction) || text.ends_with('.') {
            return Err(wrong());
        }
        let micro: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
        let dollars: u64 = whole.parse().map_err(|_| wrong())?;
        dollars.checked_mul(1_000_000).and_then(|all| all.checked_add(micro)).map(Self).ok_or_else(wrong)
    }
}

/// Bytes a second, written as a size such as `20MiB`; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) NonZeroU64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: ByteSize = text.parse()?;
        NonZeroU64::new(bytes.as_u64()).map(Self).ok_or_else(|| "it must be at least a byte a second".to_owned())
    }
}

/// A chunk size such as `1MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkSizeArg(pub(crate) ChunkSize);

impl FromStr for ChunkSizeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: ByteSize = text.parse()?;
        ChunkSize::try_from(bytes.as_u64()).map(Self).map_err(message)
    }
}

/// One label of a snapshot, written `KEY=VALUE`. The key is made of `a-z`, `0-9`, `_` and `-`; the value is of printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// What is said.
    pub(crate) key: String,
    /// What it is said to be.
    pub(crate) value: String,
}

impl Label {
    const MAX_BYTES: usize = 64;

    fn new(key: &str, value: &str) -> Result<Self, String> {
        let is_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if key.is_empty() || key.len() > Self::MAX_BYTES || !key.bytes().all(is_key) {
            return Err(format!("the label {key:?} is not made of 1 to {} of a-z, 0-9, _ and -", Self::MAX_BYTES));
        }
        if value.is_empty() || value.len() > Self::MAX_BYTES || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("the label {key} is not made of 1 to {} printable characters", Self::MAX_BYTES));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
        Self::new(key, value)
    }
}

/// Reads labels from a table of a configuration file.
pub(crate) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (key, value) in &labels {
        Label::new(key, value).map_err(D::Error::custom)?;
    }
    Ok(labels)
}

/// A family of nodes, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FamilyArg(pub(crate) Family);

impl FromStr for FamilyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "substrate" => Family::Substrate,
            "ethereum" => Family::Ethereum,
            "bitshares" => Family::Bitshares,
            "bitcoin" => Family::Bitcoin,
            "tendermint" => Family::Tendermint,
            _ => return Err("it is substrate, ethereum, bitshares, bitcoin or tendermint".to_owned()),
        }))
    }
}

/// What an error says, as clap and serde want it.
fn message(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Reads a value that is written as text in a configuration file.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_a_channel_with_or_without_a_when() {
        let plain: SnapshotRef = "kusama/rocksdb-pruned".parse().unwrap();
        assert_eq!(plain.when, None);
        let at: SnapshotRef = "kusama/rocksdb-pruned@24187312".parse().unwrap();
        assert_eq!((at.channel, at.when), (plain.channel, Some(When::Height(24_187_312))));
        for bad in ["kusama", "kusama/x@", "kusama/x@yesterday", "@latest"] {
            assert!(bad.parse::<SnapshotRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pin_is_complete_or_refused() {
        let pin = Pin(Hash::of(b"root"));
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert!("b3:1234".parse::<Pin>().is_err());
        assert!(Hash::of(b"root").to_string().parse::<Pin>().is_err());
    }

    #[test]
    fn a_label_has_a_key_and_a_value() {
        assert_eq!("mode=full".parse(), Ok(Label { key: "mode".into(), value: "full".into() }));
        for bad in ["mode", "mode=", "=full", "Mode=full", "mode=a b", "mode=\n"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_spans_have_units() {
        assert_eq!("7d".parse(), Ok(Span::hours(7 * 24)));
        assert_eq!("1MiB".parse(), Ok(ChunkSizeArg(ChunkSize::DEFAULT)));
        for bad in ["1MB", "0", "3MiB", "32MiB"] {
            assert!(bad.parse::<ChunkSizeArg>().is_err(), "{bad}");
        }
        assert_eq!("20MiB".parse::<Rate>().map(|rate| rate.0.get()), Ok(20 << 20));
        for bad in ["0", "0MiB", "fast"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        for bad in ["7", "0s", "soon"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}

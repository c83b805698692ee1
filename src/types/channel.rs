//! The name of a channel: `<chain>/<profile>`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `<chain>/<profile>`, for example `kusama/rocksdb-pruned`; each half matches `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName {
    text: String,
    slash: usize,
}

impl ChannelName {
    /// The chain: what is before the slash.
    #[must_use]
    pub fn chain(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The profile: what is after the slash.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// The name as that of a file: `+` is in no channel name, so no two channels share one.
    #[must_use]
    pub fn file_stem(&self) -> String {
        format!("{}+{}", self.chain(), self.profile())
    }

    /// The channel that a file is named after, if it is.
    #[must_use]
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        stem.replacen('+', "/", 1).parse().ok()
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Text that is not a channel name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "not a channel name: {0:?} (expected <chain>/<profile>, each of a-z 0-9 . _ -, at most 64 characters, starting with a letter or digit)"
)]
pub struct InvalidChannelName(pub String);

fn is_half(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 64 && text.bytes().next().is_some_and(allowed) && text.bytes().all(|b| allowed(b) || b"._-".contains(&b))
}

impl FromStr for ChannelName {
    type Err = InvalidChannelName;

    fn from_str(text: &str) -> Result<Self, InvalidChannelName> {
        match text.split_once('/') {
            Some((chain, profile)) if is_half(chain) && is_half(profile) => Ok(Self { text: text.to_owned(), slash: chain.len() }),
            _ => Err(InvalidChannelName(text.chars().take(200).collect())),
        }
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for ChannelName {
    type Error = InvalidChannelName;

    fn try_from(text: String) -> Result<Self, InvalidChannelName> {
        text.parse()
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> Self {
        name.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_named_after_a_channel_tells_which() {
        let channel: ChannelName = "kusama/rocksdb-pruned".parse().unwrap();
        assert_eq!(channel.file_stem(), "kusama+rocksdb-pruned");
        assert_eq!(ChannelName::from_file_stem(&channel.file_stem()), Some(channel));
        for stem in ["notes", "a+b+c", "+b", "A+b"] {
            assert_eq!(ChannelName::from_file_stem(stem), None, "{stem}");
        }
    }

    #[test]
    fn splits_into_chain_and_profile() {
        let name: ChannelName = "kusama/rocksdb-pruned".parse().unwrap();
        assert_eq!((name.chain(), name.profile()), ("kusama", "rocksdb-pruned"));
    }

    #[test]
    fn refuses_everything_outside_the_grammar() {
        let long = format!("a/{}", "b".repeat(65));
        for bad in ["", "a", "a/", "/b", "a/b/c", "A/b", "a/.b", "../b", "a/b c", "a/ä", &long] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad}");
        }
    }
}

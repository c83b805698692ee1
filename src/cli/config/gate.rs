//! What a channel's configuration says of its node's RPC and of the gate.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Channel, schema::Shape};
use crate::{
    cli::{
        code::Code,
        exit::Failure,
        values::{Span, from_text},
    },
    node::rpc::RpcUrl,
    types::ChannelName,
};

/// The keys of the table.
pub(super) const KEYS: &[(&str, Shape)] = &[
    ("min_peers", Shape::Leaf),
    ("max_lag_blocks", Shape::Leaf),
    ("reference_rpc", Shape::Leaf),
    ("reference_rpc_file", Shape::Leaf),
    ("max_head_age", Shape::Leaf),
    ("refresh_max_age", Shape::Leaf),
];

/// What a node must be to be published; what is absent is as its profile says.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Gate {
    /// How many peers it must have.
    pub(crate) min_peers: Option<u64>,
    /// How many blocks it may be behind.
    pub(crate) max_lag_blocks: Option<u64>,
    /// Another node of the chain, to compare with.
    pub(crate) reference_rpc: Option<String>,
    /// File that says where that answers.
    pub(crate) reference_rpc_file: Option<PathBuf>,
    /// How old its newest block may be.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) max_head_age: Option<Span>,
    /// How old the newest snapshot may be for its head to be signed again when the node is not fit.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) refresh_max_age: Option<Span>,
}

/// Passwords do not stand in the configuration, which is copied, shown and kept with other files. The value is not repeated.
pub(super) fn refuse_secrets(name: &ChannelName, channel: &Channel) -> Result<(), Failure> {
    let urls = [("rpc", &channel.rpc), ("gate.reference_rpc", &channel.gate.reference_rpc)];
    for (key, url) in urls.into_iter().filter_map(|(key, url)| Some((key, url.as_ref()?))) {
        let wrong = |why: String| Failure::new(Code::Config, format!("{key} of the channel {name} in the configuration {why}"));
        let url: RpcUrl = url.parse().map_err(|error| wrong(format!("is {error}")))?;
        if url.has_secret() {
            return Err(
                wrong("holds a password".to_owned()).hint("write the URL to a file of its own, mode 600, and name that: rpc_url_file")
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::config::Config;

    #[test]
    fn a_password_in_the_configuration_is_refused_and_not_repeated() {
        for text in [
            "[channels.'a/b']\nrpc = 'http://user:hunter2@127.0.0.1:8332'",
            "[channels.'a/b'.gate]\nreference_rpc = 'https://hunter2@node.example'",
            "[channels.'a/b']\nrpc = 'hunter2'",
        ] {
            let failure = Config::from_text(text).unwrap_err();
            assert!(failure.messages[0].contains("of the channel a/b in the configuration"), "{failure:?}");
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn the_gate_of_a_channel_is_read() {
        let text = "[channels.'a/b']\nrpc = 'http://127.0.0.1:8545'\n[channels.'a/b'.gate]\nmin_peers = 5\nmax_head_age = '10m'";
        let channel = Config::from_text(text).unwrap().channel(&"a/b".parse().unwrap());
        assert_eq!((channel.gate.min_peers, channel.gate.max_head_age.unwrap().0.as_secs()), (Some(5), 600));
        assert!(Config::from_text("[channels.'a/b'.gate]\nmin_pears = 5").unwrap_err().messages[0].contains("min_pears"));
    }
}

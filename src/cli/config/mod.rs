//! The configuration files: which are read, how they are merged, and what they say.
//!
//! `--config` (or `QSYNC_CONFIG`) names the one file that counts. Without it the user's file is laid over the
//! machine's, key by key. A file in the working directory is never read: it could set trust.

mod billing;
mod freeze;
mod gate;
mod layer;
mod schema;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    agent::plan::{Schedule, Zone},
    exit::Failure,
    values::{ChunkSizeArg, Pin, Span, from_text, labels},
};
use crate::types::ChannelName;

pub(crate) use freeze::Freeze;
pub(crate) use gate::Gate;
pub(crate) use layer::Setting;
pub(crate) use schema::nearest;
pub(crate) use usage::{By, Source, Usage};

/// What all files together say, typed, and where each value comes from.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The files that were read, the strongest last.
    pub(crate) files: Vec<PathBuf>,
    /// Every value, sorted by key.
    pub(crate) settings: Vec<Setting>,
    /// The files that may be there, the strongest last.
    places: Vec<PathBuf>,
    values: Values,
}

/// The values of the schema.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Values {
    state_dir: Option<PathBuf>,
    metrics_file: Option<PathBuf>,
    #[serde(default)]
    gateways: Vec<String>,
    #[serde(default)]
    agent: Agent,
    #[serde(default)]
    stores: BTreeMap<String, Store>,
    #[serde(default)]
    channels: BTreeMap<ChannelName, Channel>,
    #[serde(default)]
    usage: Usage,
}

/// What is configured for `qsync agent`.
#[derive(Debug, Default, Deserialize)]
struct Agent {
    listen: Option<SocketAddr>,
}

#[derive(Debug, Deserialize)]
struct Store {
    url: String,
}

/// What is configured for one channel.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Channel {
    /// The pinned repository.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) trust: Option<Pin>,
    /// Where it is restored from.
    #[serde(default)]
    pub(crate) from: Vec<String>,
    /// Where it is published to.
    #[serde(default)]
    pub(crate) to: Vec<String>,
    /// The node's data directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// The name of the node profile that it belongs to.
    pub(crate) node: Option<String>,
    /// What its snapshots are labelled with, and must be where it is restored.
    #[serde(default, deserialize_with = "labels")]
    pub(crate) labels: BTreeMap<String, String>,
    /// Where the node answers.
    pub(crate) rpc: Option<String>,
    /// File that says so, because it is a secret.
    pub(crate) rpc_url_file: Option<PathBuf>,
    /// File that bitcoind writes its password to.
    pub(crate) rpc_cookie_file: Option<PathBuf>,
    /// What the node must be to be published.
    #[serde(default)]
    pub(crate) gate: Gate,
    /// How the node is frozen.
    #[serde(default)]
    pub(crate) freeze: Freeze,
    /// How long a head is valid.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) head_lifetime: Option<Span>,
    /// Snapshots that stay beside the newest.
    pub(crate) keep_last: Option<usize>,
    /// Distance between cuts.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) chunk_size: Option<ChunkSizeArg>,
    /// zstd level.
    pub(crate) level: Option<i32>,
    /// When the agent publishes it.
    pub(crate) schedule: Option<Schedule>,
    /// In which time zone; the system's unless it is said.
    pub(crate) time_zone: Option<Zone>,
    /// The most that the agent puts a run off.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) jitter: Option<Span>,
    /// File with the address of a monitor.
    pub(crate) ping_file: Option<PathBuf>,
}

impl Config {
    /// Reads `only` if it is given, else the machine's and the user's file where they exist.
    ///
    /// # Errors
    /// When a file cannot be read, is not TOML, has a key that means nothing or a value of the wrong kind.
    pub(crate) fn load(only: Option<&Path>) -> Result<Self, Failure> {
        let places = only.map_or_else(default_files, |file| vec![file.to_owned()]);
        let config = match only {
            Some(file) => Self::from_layers(vec![layer::Layer::read(file)?])?,
            None => {
                let layers = places.iter().filter_map(|file| layer::Layer::read_if_there(file).transpose());
                Self::from_layers(layers.collect::<Result<_, _>>()?)?
            }
        };
        Ok(Self { places, ..config })
    }

    /// Reads a configuration from the text of its only file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn from_text(text: &str) -> Result<Self, Failure> {
        Self::from_layers(vec![layer::Layer::parse(Path::new("config.toml"), text)?])
    }

    /// Every setting as a line of TOML.
    pub(crate) fn to_lines(&self) -> String {
        self.settings.iter().map(|setting| setting.to_line() + "\n").collect()
    }

    fn from_layers(layers: Vec<layer::Layer>) -> Result<Self, Failure> {
        let (settings, values) = layer::merge(&layers)?;
        values.channels.iter().try_for_each(|(name, channel)| gate::refuse_secrets(name, channel))?;
        usage::check(&values.usage)?;
        Ok(Self { files: layers.into_iter().map(|layer| layer.file).collect(), settings, places: Vec::new(), values })
    }

    /// Where the user's own node profiles lie: beside the file that counts, or else the user's before the machine's.
    pub(crate) fn node_dirs(&self) -> Vec<PathBuf> {
        let beside = |file: &PathBuf| file.parent().map(|dir| dir.join("nodes"));
        self.places.iter().rev().filter_map(beside).collect()
    }

    /// The configured state directory.
    pub(crate) fn state_dir(&self) -> Option<&Path> {
        self.values.state_dir.as_deref()
    }

    /// The configured file of metrics.
    pub(crate) fn metrics_file(&self) -> Option<&Path> {
        self.values.metrics_file.as_deref()
    }

    /// The gateways that IPFS is read through.
    pub(crate) fn gateways(&self) -> &[String] {
        &self.values.gateways
    }

    /// What is configured for a channel; nothing when it is not there.
    pub(crate) fn channel(&self, name: &ChannelName) -> Channel {
        self.values.channels.get(name).cloned().unwrap_or_default()
    }

    /// All channels and what is configured for them.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (&ChannelName, &Channel)> {
        self.values.channels.iter()
    }

    /// Where the agent answers.
    pub(crate) fn agent_listen(&self) -> Option<SocketAddr> {
        self.values.agent.listen
    }

    /// What is configured for counting downloads.
    pub(crate) fn usage(&self) -> &Usage {
        &self.values.usage
    }

    /// The URL of a named store.
    pub(crate) fn store_url(&self, name: &str) -> Option<&str> {
        self.values.stores.get(name).map(|store| store.url.as_str())
    }

    /// The names of all stores.
    pub(crate) fn store_names(&self) -> Vec<&str> {
        self.values.stores.keys().map(String::as_str).collect()
    }

    /// Every source that any channel names, without repetition.
    pub(crate) fn all_sources(&self) -> Vec<String> {
        let named: BTreeSet<_> = self.values.channels.values().flat_map(|channel| &channel.from).cloned().collect();
        named.into_iter().collect()
    }

    /// Every source and every store that any channel names, as they are written.
    pub(crate) fn all_stores(&self) -> impl Iterator<Item = String> {
        self.values.channels.values().flat_map(|channel| channel.from.iter().chain(&channel.to)).cloned()
    }
}

/// The file that counts most of those that are read unless another is named: root's is the machine's.
pub(crate) fn own_file() -> PathBuf {
    let files = default_files();
    let is_root = rustix::process::geteuid().is_root();
    files.into_iter().nth(usize::from(!is_root)).unwrap_or_else(|| PathBuf::from("/etc/qsync/config.toml"))
}

/// The machine's file, then the user's.
fn default_files() -> Vec<PathBuf> {
    let user = super::env::directory("XDG_CONFIG_HOME", ".config").map(|home| home.join("qsync/config.toml"));
    std::iter::once(PathBuf::from("/etc/qsync/config.toml")).chain(user).collect()
}

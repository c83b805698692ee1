//! `qsync check`: whether a provider's node and what is published of it are well. It changes nothing and takes no lock.

pub mod plan;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use super::metrics::{Metrics, stopped_since};
use crate::{
    catalog::{self, StateDir},
    format::{head::Head, key},
    fs::{Fs, Space},
    node::gate::{
        Gate, Report,
        plan::{Given, Shown},
    },
    store::{self, DynReadStore, ErrorKind},
    trust::{Verified, check_head},
    types::{ChannelName, Hash, Timestamp},
};
use plan::{Finding, State};

/// What is looked at.
#[derive(Debug)]
pub struct Options {
    /// The channel.
    pub channel: ChannelName,
    /// The node; `None` where none can be asked.
    pub gate: Option<Gate>,
    /// The stores that should show the head.
    pub stores: Vec<DynReadStore>,
    /// Stores that could not be opened.
    pub unopened: Vec<store::Error>,
    /// The node's data directory.
    pub data_dir: Option<PathBuf>,
    /// How old the newest snapshot may be.
    pub max_snapshot_age: Duration,
    /// The pinned repository, where the user said so.
    pub pin: Option<Hash>,
    /// The state directory.
    pub state: StateDir,
    /// The time, given once.
    pub now: Timestamp,
    /// The file system of the data directory.
    pub fs: Arc<dyn Fs>,
}

/// What was found. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The channel.
    pub channel: ChannelName,
    /// The worst of all findings.
    pub state: State,
    /// Each thing that was looked at.
    pub findings: Vec<Finding>,
    /// What the node refused to tell, in its own words.
    pub refused: Vec<String>,
    /// Whether the node says that it is synced.
    pub synced: Option<bool>,
    /// Its peers.
    pub peers: Option<u64>,
    /// Height of its newest block.
    pub height: Option<u64>,
    /// Height of the newest snapshot.
    pub snapshot_height: Option<u64>,
    /// When the copy of that was taken.
    pub taken_at: Option<Timestamp>,
    /// Until when the head is valid.
    pub expires: Option<Timestamp>,
    /// Bytes that are free where the data directory is.
    pub free_bytes: Option<u64>,
    #[serde(skip)]
    sizes: Option<(u64, u64)>,
    #[serde(skip)]
    stopped_since: Option<f64>,
}

/// Looks at everything.
///
/// # Errors
/// When the repository that the stores are of cannot be told.
pub async fn run(options: &Options) -> Result<Check, catalog::Error> {
    let published = Published::read(options).await?;
    let head = published.head.as_deref();
    let report = match &options.gate {
        Some(gate) => Some(ask(options, gate, head).await),
        None => None,
    };
    let space = space(options).await;
    let stopped_since = stopped_since(&*options.fs, &options.state, &options.channel);
    let findings = findings(options, &published, report.as_ref(), space, stopped_since);
    let status = report.as_ref().and_then(|report| report.status.as_ref());
    Ok(Check {
        channel: options.channel.clone(),
        state: plan::worst(&findings),
        findings,
        refused: report.as_ref().map(|report| report.refused.clone()).unwrap_or_default(),
        synced: status.and_then(|status| status.synced),
        peers: status.and_then(|status| status.peers),
        height: status.and_then(crate::node::probe::Status::height),
        snapshot_height: head.and_then(|head| head.snapshot.height),
        taken_at: head.map(|head| head.snapshot.taken_at),
        expires: head.map(|head| head.expires),
        free_bytes: space.map(|space| space.free_bytes),
        sizes: head.map(|head| (head.snapshot.bytes, head.snapshot.frame_bytes)),
        stopped_since,
    })
}

async fn ask(options: &Options, gate: &Gate, head: Option<&Head>) -> Report {
    let newest = head.map(|head| &head.snapshot);
    let shown = Shown { height: newest.and_then(|newest| newest.height), genesis: newest.and_then(|newest| newest.genesis.clone()) };
    gate.ask(&shown, &Given::default(), options.now).await
}

fn findings(
    options: &Options,
    published: &Published,
    report: Option<&Report>,
    space: Option<Space>,
    stopped_since: Option<f64>,
) -> Vec<Finding> {
    let head = published.head.as_deref();
    let mut findings: Vec<Finding> = report.into_iter().flat_map(plan::of_node).collect();
    findings.push(plan::of_stopped(stopped_since, options.now));
    findings.push(plan::of_stores(head, &published.behind, &published.failures));
    findings.extend(head.map(|head| plan::of_expiry(head, options.now)));
    findings.extend(head.map(|head| plan::of_snapshot_age(head, options.max_snapshot_age, options.now)));
    findings.extend(space.map(|space| plan::of_disk(space.free_bytes, space.total_bytes)));
    findings.extend((options.data_dir.is_some() && space.is_none()).then(|| Finding::new("disk", State::Unknown, "cannot be measured")));
    findings
}

async fn space(options: &Options) -> Option<Space> {
    let (fs, path) = (Arc::clone(&options.fs), options.data_dir.clone()?);
    tokio::task::spawn_blocking(move || fs.space(&path).ok()).await.ok().flatten()
}

/// What the stores show.
struct Published {
    /// The newest head; it may have expired.
    head: Option<Verified<Head>>,
    /// Stores that show an older one, or none.
    behind: Vec<String>,
    /// Stores that do not answer, or show something else.
    failures: Vec<String>,
}

impl Published {
    /// Expired heads are read too: that they have expired is what is to be told.
    async fn read(options: &Options) -> Result<Self, catalog::Error> {
        let chain = catalog::open_roots(&options.stores, &options.state, options.pin).await?;
        let mut failures: Vec<String> = options.unopened.iter().map(|e| format!("{}: {}", e.store, e.one_line())).collect();
        let mut found = Vec::new();
        for store in &options.stores {
            match store.get(&key::head(&options.channel), key::HEAD_MAX_BYTES).await {
                Ok(bytes) => match check_head(&chain, &options.channel, &bytes) {
                    Ok(head) => found.push((store.name(), Some(head))),
                    Err(reason) => failures.push(format!("{}: {reason}", store.name())),
                },
                Err(error) if error.kind == ErrorKind::NotFound => found.push((store.name(), None)),
                Err(error) => failures.push(format!("{}: {}", error.store, error.one_line())),
            }
        }
        let head = found.iter().filter_map(|(_, head)| head.clone()).max_by_key(|head| head.seq);
        let seq = head.as_ref().map(|head| head.seq);
        let lags = |found: &&(&str, Option<Verified<Head>>)| found.1.as_ref().map(|head| head.seq) != seq;
        let behind = found.iter().filter(lags).map(|(name, head)| match head {
            Some(head) => format!("{name} shows number {}", head.seq),
            None => format!("{name} has none"),
        });
        Ok(Self { behind: behind.collect(), head, failures })
    }
}

impl Check {
    /// The same as numbers. Times are seconds since 1970.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (name, mut metrics) = (self.channel.to_string(), Metrics::new());
        let channel = [("channel", name.as_str())];
        let seconds = |time: Timestamp| time.as_second() as f64;
        let lag = self.height.zip(self.snapshot_height).map(|(own, snapshot)| own.saturating_sub(snapshot) as f64);
        let code = f64::from(self.exit());
        let values = [
            ("qsync_check_state", "State of the channel: 0 ok, 1 warning, 2 critical, 3 unknown", Some(code)),
            ("qsync_node_synced", "Whether the node says that it is synced", self.synced.map(|synced| f64::from(u8::from(synced)))),
            ("qsync_node_peers", "Peers of the node", self.peers.map(|peers| peers as f64)),
            ("qsync_node_height", "Height of the node's newest block", self.height.map(|height| height as f64)),
            ("qsync_snapshot_height", "Block height of the newest snapshot", self.snapshot_height.map(|height| height as f64)),
            ("qsync_snapshot_timestamp_seconds", "When the copy of the newest snapshot was taken", self.taken_at.map(seconds)),
            ("qsync_snapshot_lag_blocks", "Blocks by which the newest snapshot is behind the node", lag),
            ("qsync_head_expires_timestamp_seconds", "Until when the head is valid", self.expires.map(seconds)),
            ("qsync_disk_free_bytes", "Bytes that are free where the data directory is", self.free_bytes.map(|bytes| bytes as f64)),
        ];
        for (name, help, value) in values {
            value.into_iter().for_each(|value| metrics.set(name, help, &channel, value));
        }
        for (form, bytes) in self.sizes.iter().flat_map(|(raw, zstd)| [("raw", *raw), ("zstd", *zstd)]) {
            metrics.set(
                "qsync_snapshot_bytes",
                "Length of the newest snapshot",
                &[("channel", name.as_str()), ("form", form)],
                bytes as f64,
            );
        }
        metrics.add_stopped_node(&self.channel, self.stopped_since);
        metrics
    }

    /// The exit code: 0 ok, 1 warning, 2 critical, 3 unknown, as monitors that run plugins understand it.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self.state {
            State::Ok => 0,
            State::Warning => 1,
            State::Critical => 2,
            State::Unknown => 3,
        }
    }
}

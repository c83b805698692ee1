//! `qsync mirror`: copies channels from sources to a store, verified and incrementally. No key is needed: the signed bytes stay as they are.
//!
//! Order of writes, as when publishing: chunks, lists, manifests, sync, read back, head, index. A run that ends early, however it ends,
//! leaves objects that nothing names, and the next one goes on from them. A head is shown only when everything it names is there: the
//! newest snapshot and every older one.

mod channel;
mod copy;
mod destination;
mod error;
#[cfg(test)]
mod harm_tests;
pub mod plan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use serde::Serialize;

pub use error::Error;

use crate::{
    catalog::{self, StateDir},
    progress::{Event, Phase, Progress, Stop},
    sources::{Report, Sources},
    store::{DynReadStore, DynWriteStore},
    types::{ChannelName, Hash, Timestamp},
};

/// Copies channels. One that fails does not keep the others from being copied.
///
/// # Errors
/// [`Error`] when nothing could be tried; what became of each channel is in the answer.
pub async fn run(options: Options) -> Result<Mirrored, Error> {
    let started = Instant::now();
    let options = Arc::new(options);
    options.progress.event(Event::Phase { phase: Phase::Discover, total_bytes: None });
    let (mut channels, mut failures) = (Vec::new(), Vec::new());
    let begin = async {
        destination::check(&options).await?;
        names(&options).await
    };
    let names = tokio::select! {
        names = begin => names?,
        () = options.stop.wait() => return Err(Error::Interrupted),
    };
    for name in names {
        let done = tokio::select! {
            done = channel::mirror(&options, &name) => done,
            () = options.stop.wait() => {
                forget_what_was_damaged(&options).await;
                return Err(Error::Interrupted);
            }
        };
        match done {
            Ok(summary) => channels.push(summary),
            Err(error) => {
                channels.push(ChannelSummary::failed(&name, &error));
                failures.push((name, error));
                forget_what_was_damaged(&options).await;
            }
        }
    }
    let (objects, bytes) = channels.iter().fold((0, 0), |(objects, bytes), channel| (objects + channel.objects, bytes + channel.bytes));
    let summary = Summary {
        repo: options.repo,
        store: options.to.name().to_owned(),
        dry_run: options.dry_run,
        channels,
        objects,
        bytes,
        sources: options.chunks.reports(),
        seconds: started.elapsed().as_secs_f64(),
    };
    Ok(Mirrored { summary, failures })
}

/// The channels that were asked for, or all that the sources name.
async fn names(options: &Options) -> Result<BTreeSet<ChannelName>, Error> {
    if !options.channels.is_empty() {
        return Ok(options.channels.iter().cloned().collect());
    }
    let names = catalog::list_channels(&options.sources, Some(options.repo)).await;
    if names.is_empty() { Err(Error::NoChannels) } else { Ok(names) }
}

/// What is copied, from where to where.
#[derive(Debug)]
pub struct Options {
    /// The channels; all that the sources name when there are none.
    pub channels: Vec<ChannelName>,
    /// The sources, for heads and manifests.
    pub sources: Vec<DynReadStore>,
    /// The same sources as one, for lists and chunks.
    pub chunks: Arc<Sources>,
    /// The store to copy to.
    pub to: DynWriteStore,
    /// The repository.
    pub repo: Hash,
    /// What this machine has seen.
    pub state: StateDir,
    /// Prove every object that the store has already, and replace those that are damaged, instead of believing the head that it shows.
    pub rehash: bool,
    /// Say what would be copied, and write nothing.
    pub dry_run: bool,
    /// The time, given once.
    pub now: Timestamp,
    /// Ends the run early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

/// What a run did, and why it did not do the rest.
#[derive(Debug)]
pub struct Mirrored {
    /// What it did.
    pub summary: Summary,
    /// The channels that failed.
    pub failures: Vec<(ChannelName, Error)>,
}

/// A run that ends early may have put damaged objects again: nobody else will tell the caches that keep them.
async fn forget_what_was_damaged(options: &Options) {
    if options.rehash
        && !options.dry_run
        && let Some(text) = catalog::announce(&options.to).await
    {
        options.progress.event(Event::Warning { text });
    }
}

/// What a run did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The repository.
    pub repo: Hash,
    /// The store that was copied to.
    pub store: String,
    /// Whether nothing was written because it was a dry run.
    pub dry_run: bool,
    /// What became of each channel.
    pub channels: Vec<ChannelSummary>,
    /// Objects written, or that would be.
    pub objects: u64,
    /// Bytes written, or that would be.
    pub bytes: u64,
    /// What came from each source; lists and chunks only.
    pub sources: Vec<Report>,
    /// How long it took.
    pub seconds: f64,
}

/// What became of a channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelSummary {
    /// The channel.
    pub channel: ChannelName,
    /// In one word.
    pub outcome: Outcome,
    /// Number of the head that the sources offer.
    pub seq: Option<u64>,
    /// Id of its newest snapshot.
    pub snapshot: Option<Hash>,
    /// Block height of that, if known.
    pub height: Option<u64>,
    /// Snapshots copied, the older ones that the head names included.
    pub snapshots: u64,
    /// Objects written, or that would be.
    pub objects: u64,
    /// Bytes written, or that would be.
    pub bytes: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// What became of a channel, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The store shows the sources' head now, or would.
    Copied,
    /// The store showed it already.
    Current,
    /// The store shows a newer head than the sources do, and was left alone.
    Ahead,
    /// The store shows what it showed before.
    Failed,
}

impl ChannelSummary {
    fn failed(channel: &ChannelName, error: &Error) -> Self {
        Self {
            channel: channel.clone(),
            outcome: Outcome::Failed,
            seq: None,
            snapshot: None,
            height: None,
            snapshots: 0,
            objects: 0,
            bytes: 0,
            error: Some(error.in_one_line()),
        }
    }
}

//! `qsync publish`: one run makes one snapshot of a data directory and publishes it to every store.
//!
//! Order of writes: chunks, lists, manifest, sync, read back, head, index. A run that ends early, however it ends, leaves objects that
//! nothing names, never a snapshot that readers see in part.

mod assemble;
mod buffers;
mod encode;
mod error;
mod facts;
mod freeze;
mod gate;
mod heads;
pub mod ipfs;
mod node;
mod pipeline;
pub mod plan;
mod previous;
mod read_back;
mod snapshot;
mod source;
mod stamps;
mod targets;
mod unchanged;

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde::Serialize;

pub use error::{Error, HeadKept};
pub use freeze::FreezeSummary;
use freeze::Freezer;
pub use gate::{GateOnly, gate_only};
use heads::Heads;
pub use node::{Node, NodeGate};
use snapshot::Chosen;
use source::{ScannedSource, Source};
use targets::{Targets, Writing};

use crate::{
    catalog::{self, StateDir},
    disk::select::Selection,
    format::{
        head::{Head, Ipfs},
        index::OnIpfs,
    },
    fs::{Fs, resolve_existing},
    progress::{Event, Progress, Stop, in_one_line},
    store::{self, DynWriteStore},
    trust::Verified,
    types::{ChannelName, ChunkSize, Hash, RelPath, Timestamp},
};

/// Publishes one snapshot of `options.data_dir`.
///
/// # Errors
/// [`Error`] when no store shows the new head. A store that failed while others did not is in the summary.
pub async fn run(options: Options) -> Result<Summary, Error> {
    let state_dir = resolve_existing(&*options.fs, &options.state_dir);
    let options = Arc::new(Options { state_dir, ..options });
    let node = Freezer::new();
    let published = publish(&options, &node).await;
    // Whatever became of the run: the node comes back, and nothing outranks that it does not.
    let published = with_node(published, node.finish(&options).await);
    if published.is_err() && options.rehash && !options.dry_run {
        // It may have put damaged objects again: nobody else will tell the caches that keep them.
        for store in &options.stores {
            catalog::announce(store).await.into_iter().for_each(|text| options.progress.event(Event::Warning { text }));
        }
    }
    published
}

/// The result of a run together with what became of its node.
fn with_node(published: Result<Summary, Error>, back: (Option<FreezeSummary>, Option<crate::node::Error>)) -> Result<Summary, Error> {
    match (published, back) {
        (Ok(summary), (freeze, _)) => Ok(Summary { freeze, ..summary }),
        (Err(error), (_, Some(node))) => Err(Error::NodeDown { node, run: in_one_line(&error) }),
        (Err(error), (_, None)) => Err(error),
    }
}

async fn publish(options: &Arc<Options>, node: &Freezer) -> Result<Summary, Error> {
    let started = Instant::now();
    // Until the head nothing is visible, so all of it can be dropped at any moment.
    let ready = tokio::select! {
        ready = make_ready(options, node) => ready?,
        () = options.stop.wait() => return Err(Error::Interrupted),
        lost = node.space_lost() => return Err(lost),
    };
    let mut ready = ready;
    let mut summary = ready.chosen.summary(options, &ready.source);
    if !options.dry_run {
        let before = ready.heads.newest().cloned();
        // 8. Sign one head and advance every store to it, the deciding one first.
        ready.heads.advance(options, &ready.targets, &ready.chosen.newest).await?;
        // 9. Caches are told; the index, and what the next run need not read.
        ready.heads.announce(options, &ready.targets).await;
        ready.heads.update_index(options, &ready.targets).await;
        unchanged::remember(options, &ready.source.known, ready.chosen.id()).await;
        // 10. The same on IPFS, and the head that says where.
        if let Some(target) = &options.ipfs {
            summary.ipfs = Some(ipfs::publish(options, target, node, &mut ready, before).await);
        }
        summary.seq = ready.heads.newest().map(|head| head.seq);
        summary.head_expires = ready.heads.newest().map(|head| head.expires);
    }
    summary.ipfs = summary.ipfs.or_else(|| options.ipfs_failed.clone());
    summary.stores = ready.targets.summaries(&ready.chosen.manifest().totals());
    summary.stores.extend(options.unopened.iter().map(StoreSummary::unopened));
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// A snapshot of which everything is in the stores, durable and read back, and that no head names yet.
struct Ready {
    source: ScannedSource,
    targets: Arc<Targets>,
    heads: Heads,
    chosen: Chosen,
}

impl Ready {
    /// The head that the stores show now.
    fn live_head(&self) -> Verified<Head> {
        self.heads.newest().cloned().expect("the stores were advanced to a head of this run")
    }

    /// The envelopes of the trust roots, from version 1 on.
    fn trust_roots(&self) -> Vec<Vec<u8>> {
        self.heads.trust_roots()
    }

    /// Advances every store to the head that says where the snapshot is on IPFS.
    async fn name_on_ipfs(&mut self, options: &Arc<Options>, ipfs: Ipfs) -> Result<(), Error> {
        self.chosen.newest = ipfs::named(&self.chosen.newest, ipfs);
        self.heads.advance(options, &self.targets, &self.chosen.newest).await?;
        self.heads.announce(options, &self.targets).await;
        Ok(())
    }

    /// Says in the stores' indexes where the snapshot is on IPFS.
    async fn index_on_ipfs(&self, options: &Arc<Options>, place: &OnIpfs) {
        self.heads.index_on_ipfs(options, &self.targets, place).await;
    }
}

async fn make_ready(options: &Arc<Options>, node: &Freezer) -> Result<Ready, Error> {
    // 1. Lock the data directory and the channel, open every store, read the current heads.
    let state = StateDir::open(Arc::clone(&options.fs), &options.state_dir).map_err(catalog::Error::State)?;
    let source = Arc::new(Source::lock(options, &state).await?);
    node.thaw_first(options).await?;
    let writing = match (options.dry_run, options.rehash) {
        (true, _) => Writing::DryRun,
        (false, true) => Writing::Proving,
        (false, false) => Writing::Real,
    };
    let targets = Arc::new(Targets::new(&options.stores, &options.unopened, writing)?);
    let heads = Heads::open(options, &state, &targets).await?;
    // 2. The gate: the node is fit, on the channel's chain, and no older than the head. Nothing was touched yet.
    let mut facts = gate::pass(options, &state, &heads, &source).await?;
    // 3. The freeze: files that do not change, and a node that runs again.
    let frozen = node.freeze(options, &source, &mut facts).await?;
    heads.check_height(facts.height)?;
    // 4. Scan, and refuse links, special files and secrets.
    let source = source.scan(options, frozen).await?;
    // 5. Which files are published already, as far as the file system can tell.
    let previous = Arc::new(heads.previous(&targets, &options.progress).await?);
    let unchanged = unchanged::find(options, &targets, &previous, &source.known).await?;
    // 6. Read, hash, compress and store what the stores lack of the others.
    let content = pipeline::publish_chunks(options, &targets, &previous, unchanged, &source.scan).await?;
    source.check_unchanged(options).await?;
    // 7. The manifest; then everything durable and read back.
    let made = snapshot::make(options, &facts, &source, content)?;
    let chosen = snapshot::put(options, &targets, &previous, &heads, made).await?;
    if !options.dry_run {
        read_back::check(&targets, &chosen, &options.progress).await?;
    }
    Ok(Ready { source, targets, heads, chosen })
}

/// What is published, from where to where.
#[derive(Debug)]
pub struct Options {
    /// The channel.
    pub channel: ChannelName,
    /// The node's data directory.
    pub data_dir: PathBuf,
    /// The node that it belongs to.
    pub node: Node,
    /// The stores; the first decides races.
    pub stores: Vec<DynWriteStore>,
    /// Stores that were asked for and could not be opened.
    pub unopened: Vec<store::Error>,
    /// The node that puts the snapshot on IPFS too.
    pub ipfs: Option<ipfs::Target>,
    /// What became of a node that was asked for and cannot be published to.
    pub ipfs_failed: Option<ipfs::Summary>,
    /// Height of a block that the database contains.
    pub height: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
    /// Distance between cuts.
    pub chunk_size: ChunkSize,
    /// zstd level.
    pub level: i32,
    /// Files that the secret scan would refuse and the operator allows, exact paths.
    pub allow_secrets: Vec<RelPath>,
    /// Take the word of the operator where it cannot be seen whether a process has the database open.
    pub assume_stopped: bool,
    /// Read every file, also those that did not change since the previous run as far as the file system can tell; and put again what a store
    /// lost or holds damaged, although its head names it.
    pub rehash: bool,
    /// Say what would happen, and stop before the first write to a store.
    pub dry_run: bool,
    /// How long the new head is valid, seconds.
    pub head_lifetime_secs: u64,
    /// Snapshots that stay in the head beside the new one.
    pub keep_last: usize,
    /// Threads that hash and compress.
    pub threads: usize,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The time, given once.
    pub now: Timestamp,
    /// The file system of data and state directory.
    pub fs: Arc<dyn Fs>,
    /// Ends the run early.
    pub stop: Stop,
    /// Where events go.
    pub progress: Arc<dyn Progress>,
}

impl Options {
    /// What of the data directory is published.
    fn selection(&self) -> Arc<Selection> {
        Arc::new(Selection::of(&self.node.profile, self.channel.chain()))
    }
}

/// What a run did. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Sequence number of the new head; `None` for a dry run.
    pub seq: Option<u64>,
    /// Block height, if known.
    pub height: Option<u64>,
    /// When the copy of the database was taken.
    pub taken_at: Timestamp,
    /// Until when the new head is valid; `None` for a dry run.
    pub head_expires: Option<Timestamp>,
    /// Whether the data equals the previous snapshot, so that only a head was written.
    pub unchanged: bool,
    /// Whether nothing was written because it was a dry run.
    pub dry_run: bool,
    /// Number of files.
    pub files: u64,
    /// Length of all files, bytes.
    pub bytes: u64,
    /// Length of all frames, bytes.
    pub frame_bytes: u64,
    /// Bytes read from the data directory.
    pub read_bytes: u64,
    /// Bytes of files that were not read, because they did not change since the previous run.
    pub skipped_bytes: u64,
    /// Bytes of chunks that the previous snapshot already had, read or not.
    pub reused_bytes: u64,
    /// Bytes in holes.
    pub hole_bytes: u64,
    /// Files published although the secret scan names them.
    pub allowed_secrets: Vec<RelPath>,
    /// What became of each store.
    pub stores: Vec<StoreSummary>,
    /// How the node was frozen; `None` where nothing was done to it.
    pub freeze: Option<FreezeSummary>,
    /// What became of it on IPFS; `None` when that was not asked for.
    pub ipfs: Option<ipfs::Summary>,
    /// How long it took.
    pub seconds: f64,
}

/// What became of one store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreSummary {
    /// Its name.
    pub store: String,
    /// Objects written.
    pub objects: u64,
    /// Bytes written.
    pub uploaded_bytes: u64,
    /// What these writes cost, millionths of a US dollar; `None` where writes have no price.
    pub put_micro_usd: Option<u64>,
    /// What holding these objects costs a month, millionths of a US dollar; `None` where that has no price.
    pub month_micro_usd: Option<u64>,
    /// What one restore of all of it through the store's CDN costs its owner at most, millionths of a US dollar; `None` where readers do not
    /// get it from CloudFront.
    pub cdn_restore_micro_usd: Option<u64>,
    /// Why it failed; `None` when the new head is live there.
    pub error: Option<String>,
}

impl StoreSummary {
    fn unopened(error: &store::Error) -> Self {
        Self {
            store: error.store.clone(),
            objects: 0,
            uploaded_bytes: 0,
            put_micro_usd: None,
            month_micro_usd: None,
            cdn_restore_micro_usd: None,
            error: Some(error.one_line()),
        }
    }
}

#[cfg(test)]
mod tests;

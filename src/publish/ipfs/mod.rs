//! A published snapshot, on IPFS too: the blocks that the node lacks, the directory around them, a pin, and the head that names it.
//!
//! Begins when the snapshot is live in the stores, and nobody waits for it. What was sent is kept by the node until the next run, however this
//! one ends; only with the pin does the head name the snapshot's CID.

mod baseline;
mod batch;
mod error;
mod material;
mod memory;
mod pin;
pub mod plan;
mod rows;
mod sender;
mod walk;

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use baseline::{Baseline, Search, contents};
pub use error::Error;
use material::Material;
use memory::{Made, Memory};
use rows::Rows;
use sender::{Belief, Sender};
use walk::{Parts, Walk};

use super::{Options, Ready, freeze::Freezer};
use crate::{
    format::{
        head::{Head, Ipfs, Newest},
        index::OnIpfs,
        ipfs::{Piece, RootParts, root},
        unixfs::Dag,
    },
    kubo::{self, Completeness, Kubo},
    progress::{Event, Phase},
    trust::Verified,
    types::{Cid, Form, Forms, Hash},
};

/// How often all that the node lacks is sent, when it turns out not to have all of it.
const ROUNDS: u32 = 3;

/// A node to publish to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node.
    pub node: Kubo,
    /// Where other nodes find it.
    pub addresses: Vec<String>,
    /// What is made there: the archive of frames, the tree of raw chunks, or both.
    pub forms: Forms,
    /// The key under whose name the newest snapshot can be found (IPNS).
    pub ipns: Option<String>,
}

/// What became of a snapshot on IPFS. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The node.
    pub node: String,
    /// The CID of the snapshot.
    pub root: Option<Cid>,
    /// The CID of its archive.
    pub archive: Option<Cid>,
    /// The CID of the database directory.
    pub tree: Option<Cid>,
    /// Blocks sent.
    pub blocks: u64,
    /// Bytes sent.
    pub uploaded_bytes: u64,
    /// Why it failed; `None` when the head names the CID.
    pub error: Option<String>,
    /// What went wrong with the node, for hints.
    #[serde(skip)]
    pub kind: Option<kubo::ErrorKind>,
}

impl Summary {
    /// That of a node that cannot be published to.
    #[must_use]
    pub fn failed(node: &str, error: &kubo::Error) -> Self {
        Self { node: node.to_owned(), error: Some(without_name(error)), kind: Some(error.kind.clone()), ..Self::default() }
    }
}

/// What a node says, where its name stands beside it.
fn without_name(error: &kubo::Error) -> String {
    let all = crate::progress::in_one_line(error);
    all.strip_prefix(&format!("{}: ", error.node)).map_or_else(|| all.clone(), str::to_owned)
}

/// Publishes what the stores show already. A failure is in the summary.
pub(super) async fn publish(
    options: &Arc<Options>,
    target: &Target,
    node: &Freezer,
    ready: &mut Ready,
    before: Option<Verified<Head>>,
) -> Summary {
    let mut summary = Summary { node: target.node.name().to_owned(), ..Summary::default() };
    let mut run = Run { options, target, node, ready, before, sent: (0, 0) };
    let outcome = run.publish().await;
    (summary.blocks, summary.uploaded_bytes) = run.sent;
    match outcome {
        Ok(ipfs) => {
            let cid = |text: Option<String>| text.and_then(|text| text.parse().ok());
            summary.root = cid(Some(ipfs.root));
            (summary.archive, summary.tree) = (cid(ipfs.archive), cid(ipfs.tree));
        }
        Err(Error::Node(error)) => {
            summary = Summary { blocks: summary.blocks, uploaded_bytes: summary.uploaded_bytes, ..Summary::failed(&summary.node, &error) }
        }
        Err(error) => summary.error = Some(crate::progress::in_one_line(&error)),
    }
    summary
}

struct Run<'a> {
    options: &'a Arc<Options>,
    target: &'a Target,
    node: &'a Freezer,
    ready: &'a mut Ready,
    /// The head before this run.
    before: Option<Verified<Head>>,
    /// Blocks and bytes.
    sent: (u64, u64),
}

impl Run<'_> {
    async fn publish(&mut self) -> Result<Ipfs, Error> {
        self.options.progress.event(Event::Phase { phase: Phase::Ipfs, total_bytes: None });
        // 1. and 2. Until the pin nothing is visible, so all of it can be dropped at any moment.
        let current = self.ready.chosen.newest.ipfs.clone();
        let (stop, node) = (self.options.stop.clone(), self.node);
        let ipfs = tokio::select! {
            there = self.bring(current.as_ref()) => there?,
            () = stop.wait() => return Err(Error::Interrupted),
            lost = node.space_lost() => return Err(Error::CloneLost(Box::new(lost))),
        };
        // 3. The head that names it, and the index.
        if current.as_ref() != Some(&ipfs) {
            let named = self.ready.name_on_ipfs(self.options, ipfs.clone()).await;
            named.map_err(|error| Error::Head(Box::new(error)))?;
        }
        if let Ok(root) = ipfs.root.parse() {
            self.ready.index_on_ipfs(self.options, &OnIpfs { root, addresses: self.target.addresses.clone() }).await;
        }
        // 4. What nobody needs any more.
        self.clean().await;
        Ok(ipfs)
    }

    /// Sees to it that the node has all of the snapshot and keeps it.
    async fn bring(&mut self, current: Option<&Ipfs>) -> Result<Ipfs, Error> {
        let mut memory = self.load_memory().await;
        // 1. Is it there already?
        if let Some(ipfs) = current
            && self.is_there(ipfs).await?
        {
            return Ok(ipfs.clone());
        }
        // 2. Room for it; then what the node lacks, the directory around it, and the pin.
        self.make_room(&mut memory).await?;
        let head = self.ready.live_head();
        let search = Search {
            node: &self.target.node,
            head: &head,
            memory: &memory,
            targets: &self.ready.targets,
            chunk_size: self.options.chunk_size,
        };
        let baseline = match Baseline::find(search).await? {
            Some(base) if self.options.rehash && !self.is_complete(&base.root).await? => None,
            found => found,
        };
        let maker = self.maker(&memory, current, &head);
        let ipfs = self.send_and_pin(baseline.as_ref(), &maker).await?;
        if let Ok(root) = ipfs.root.parse() {
            memory.newest = Some(Made::new(root, &maker.head, maker.roots.len()));
            memory.contents.insert(root, contents(&self.ready.chosen.newest.to_ref(), &ipfs));
        }
        self.save_memory(&memory).await;
        Ok(ipfs)
    }

    /// Whether the node has every block of what it has pinned: asked only when everything is to be proved.
    async fn is_complete(&self, root: &Cid) -> Result<bool, Error> {
        let whole = self.ready.chosen.newest.bytes + self.ready.chosen.newest.frame_bytes;
        Ok(self.target.node.completeness(root, Self::patience(whole)).await? == Completeness::Complete)
    }

    /// Whether the node has a snapshot pinned, in the forms that are wanted.
    async fn is_there(&self, ipfs: &Ipfs) -> Result<bool, Error> {
        let has_forms = self.target.forms.iter().all(|form| match form {
            Form::Zstd => ipfs.archive.is_some(),
            Form::Raw => ipfs.tree.is_some(),
        });
        match ipfs.root.parse::<Cid>() {
            Ok(root) if has_forms && self.target.node.is_pinned(&root).await? => Ok(!self.options.rehash || self.is_complete(&root).await?),
            _ => Ok(false),
        }
    }

    /// What goes into the directory beside the data: of this run or, where the node lost what it had pinned, of the run that made it.
    fn maker(&self, memory: &Memory, lost: Option<&Ipfs>, head: &Verified<Head>) -> Maker {
        let roots = self.ready.trust_roots();
        let remembered = memory.newest.as_ref().filter(|made| lost.is_some_and(|ipfs| ipfs.root == made.root.to_string()));
        match remembered.and_then(|made| Some((made.head()?, made.roots))) {
            Some((head, count)) if count <= roots.len() => Maker { head, roots: roots[..count].to_vec() },
            _ => Maker { head: head.bytes().to_vec(), roots },
        }
    }

    /// Sends until the node has everything and keeps it.
    async fn send_and_pin(&mut self, baseline: Option<&Baseline>, maker: &Maker) -> Result<Ipfs, Error> {
        let rows = Rows { targets: Arc::clone(&self.ready.targets) };
        let material = Arc::new(self.material());
        for round in 1..=ROUNDS {
            let belief = if round == 1 { Belief::Guarded } else { Belief::Proved };
            // An earlier snapshot of which blocks are missing is no base, however firmly it is pinned.
            let base = baseline.filter(|_| round < ROUNDS);
            let mut sender = Sender::new(&self.target.node, &self.folder(), &material, belief, &self.options.progress);
            let walked = Walk::new(self.ready.chosen.manifest(), &rows, base, self.target.forms).run(&mut sender).await;
            let sent = match walked {
                Ok(parts) => {
                    let root = maker.root(self.ready.chosen.stored(), &parts, &mut sender);
                    sender.finish().await.map(|()| (root, parts))
                }
                Err(error) => Err(error),
            };
            self.sent = (self.sent.0 + sender.blocks, self.sent.1 + sender.bytes);
            let (root, parts) = sent?;
            if self.pin(&root, base, sender.new_bytes).await? {
                let text = |dag: Dag| dag.cid.to_string();
                return Ok(Ipfs { root: text(root), archive: parts.archive.map(text), tree: parts.tree.map(text) });
            }
            let text = format!("{}: blocks of the snapshot are missing after all were sent; sending them again", self.target.node.name());
            self.options.progress.event(Event::Warning { text });
        }
        Err(Error::Incomplete { rounds: ROUNDS })
    }

    fn material(&self) -> Material {
        let options = self.options;
        let (scan, targets) = (Arc::clone(&self.ready.source.scan), Arc::clone(&self.ready.targets));
        Material::new(Arc::clone(&options.fs), scan, targets, options.chunk_size, options.level)
    }

    /// How long the node may take to read so many bytes.
    fn patience(bytes: u64) -> Duration {
        Duration::from_secs(60 + bytes / 20_000_000)
    }

    fn repo(&self) -> Hash {
        self.ready.live_head().repo
    }

    async fn load_memory(&self) -> Memory {
        let (options, repo) = (Arc::clone(self.options), self.repo());
        let loaded = tokio::task::spawn_blocking(move || Memory::load(&*options.fs, &options.state_dir, &repo, &options.channel)).await;
        loaded.map_err(|_| "a worker died".to_owned()).flatten().unwrap_or_else(|why| {
            let text = format!("what is remembered of IPFS cannot be used: {why}");
            self.options.progress.event(Event::Warning { text });
            Memory::empty(&self.options.channel)
        })
    }

    async fn save_memory(&self, memory: &Memory) {
        let (options, repo, memory) = (Arc::clone(self.options), self.repo(), memory.clone());
        let saved = tokio::task::spawn_blocking(move || memory.save(&*options.fs, &options.state_dir, &repo)).await;
        if let Ok(Err(error)) = saved {
            let text = format!("what is on IPFS could not be remembered: {error}");
            self.options.progress.event(Event::Warning { text });
        }
    }
}

/// What only the run knows that makes a root: the head and the trust roots in it.
struct Maker {
    head: Vec<u8>,
    roots: Vec<Vec<u8>>,
}

impl Maker {
    fn root(&self, manifest: &[u8], parts: &Parts, sender: &mut Sender<'_>) -> Dag {
        let Parts { lists, archive, tree } = *parts;
        let parts = RootParts { head: &self.head, roots: &self.roots, manifest, lists, archive, tree };
        root(&parts, &mut |block| sender.push(Piece::Block(block)))
    }
}

/// What the head says of the newest snapshot once it is on IPFS.
pub(super) fn named(newest: &Newest, ipfs: Ipfs) -> Newest {
    Newest { ipfs: Some(ipfs), ..newest.clone() }
}

//! Step 2 of a publish: the node must be fit before anything touches it. When it is not, the head is signed again, so that readers do not see
//! it expire; but not for ever, or an old snapshot would look new.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Error, HeadKept, NodeGate, Options,
    facts::Facts,
    heads::Heads,
    source::Source,
    targets::{Targets, Writing},
};
use crate::{
    catalog::{self, StateDir},
    format::manifest::{Block, Client},
    node::gate::{
        Report,
        plan::{Given, Shown},
    },
    progress::{Event, in_one_line},
    types::ChannelName,
};

/// What a publish would make of the node now. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct GateOnly {
    /// The channel.
    pub channel: ChannelName,
    /// The node, by its host.
    pub node: String,
    /// Block height that a snapshot would have.
    pub height: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
    /// What names the chain.
    pub genesis: Option<String>,
    /// The newest final block.
    pub finalized: Option<Block>,
    /// The node software.
    pub client: Option<Client>,
    /// What the node said, condition by condition.
    #[serde(skip)]
    pub report: Report,
}

/// Lets a node pass that is fit, and gives what it said. Where no node can be asked, what the operator says is checked.
pub(super) async fn pass(options: &Options, state: &StateDir, heads: &Heads, source: &Source) -> Result<Facts, Error> {
    let Some(node) = &options.node.gate else {
        heads.check_height(options.height)?;
        return Ok(Facts::given(options));
    };
    let (report, facts) = ask(options, node, heads).await;
    match facts {
        Some(facts) => {
            heads.check_height(facts.height)?;
            let text = format!("the node {} is fit to be published: {}", report.node, values(&report));
            options.progress.event(Event::Note { text });
            Ok(facts)
        }
        None => {
            let head = keep_head(options, node, state, heads, source).await;
            Err(Error::Gate { report: Box::new(report), head })
        }
    }
}

/// Says what [`super::run`] would make of the node. Changes nothing, and takes no lock.
///
/// # Errors
/// [`Error::Gate`] when the node is not fit; as [`super::run`] where stores and heads are read. `None`: there is no node to ask.
pub async fn gate_only(options: Options) -> Result<Option<GateOnly>, Error> {
    let Some(node) = options.node.gate.clone() else { return Ok(None) };
    let options = Options { dry_run: true, ..options };
    let state = StateDir::open(Arc::clone(&options.fs), &options.state_dir).map_err(catalog::Error::State)?;
    let targets = Targets::new(&options.stores, &options.unopened, Writing::DryRun)?;
    let heads = Heads::open(&options, &state, &targets).await?;
    let (report, facts) = ask(&options, &node, &heads).await;
    let Some(Facts { height, block_hash, genesis, finalized, client }) = facts else {
        return Err(Error::Gate { report: Box::new(report), head: HeadKept::Left("nothing is changed by --gate-only".to_owned()) });
    };
    let (channel, node) = (options.channel.clone(), report.node.clone());
    Ok(Some(GateOnly { channel, node, height, block_hash, genesis, finalized, client, report }))
}

/// What the node said, and what a snapshot would say of it if it is fit.
async fn ask(options: &Options, node: &NodeGate, heads: &Heads) -> (Report, Option<Facts>) {
    let newest = heads.newest().map(|head| &head.snapshot);
    let shown = Shown { height: newest.and_then(|newest| newest.height), genesis: newest.and_then(|newest| newest.genesis.clone()) };
    let given = Given { height: options.height, block_hash: options.block_hash.clone() };
    let report = node.gate.ask(&shown, &given, options.now).await;
    let fit = report.status.as_ref().filter(|_| report.is_met());
    let facts = fit.map(|status| Facts::of(&given, status, report.hash_at_given.clone()));
    (report, facts)
}

/// Signs the head again, where the snapshot is young enough.
async fn keep_head(options: &Options, node: &NodeGate, state: &StateDir, heads: &Heads, source: &Source) -> HeadKept {
    if heads.newest().is_none() {
        return HeadKept::None;
    }
    if options.dry_run {
        return HeadKept::Left("it is a dry run".to_owned());
    }
    let terms = catalog::Terms { lifetime_secs: options.head_lifetime_secs, max_age: node.refresh_max_age };
    let lock = source.channel_lock();
    let refreshed = catalog::refresh_locked(lock, &options.stores, &options.channel, state, options.now, terms);
    match refreshed.await {
        Ok(refreshed) => {
            let failures = refreshed.failures.iter().map(|e| format!("{} keeps its old head: {}", e.store, e.one_line()));
            failures.chain(refreshed.warnings).for_each(|text| options.progress.event(Event::Warning { text }));
            HeadKept::Refreshed { seq: refreshed.head.seq, expires: refreshed.head.expires }
        }
        Err(error @ catalog::Error::TooOldToRefresh { .. }) => HeadKept::Left(error.to_string()),
        Err(error) => HeadKept::Left(format!("it could not be signed again: {}", in_one_line(&error))),
    }
}

fn values(report: &Report) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not told".to_owned());
    let known = report.conditions.iter().filter(|condition| condition.name != "answers");
    known.map(|condition| format!("{} {}", condition.name, value(&condition.value))).collect::<Vec<_>>().join("; ")
}

//! One channel of a mirror: from the head that the sources offer to the head that the store shows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    ChannelSummary, Error, Options, Outcome,
    copy::{self, Base, Copying},
    destination::{self, Destination},
    plan::{self, Step},
};
use crate::{
    catalog::{self, StoreHead},
    format::{
        head::{Head, SnapshotRef},
        key,
    },
    progress::{Event, NoProgress, Phase, in_one_line},
    sources::{Exhausted, Form, Paid, RowsError, Settings, Sources},
    store::{DynReadStore, Swap},
    trust::{Reason, Refusal, RootChain, Verified, check_current},
    types::{ChannelName, Hash},
};

/// How long to ask the store for a list that would save fetching.
const PATIENCE: Duration = Duration::from_secs(30);

/// Copies one channel.
///
/// # Errors
/// [`Error`]; the store then shows what it showed before.
pub(super) async fn mirror(options: &Arc<Options>, name: &ChannelName) -> Result<ChannelSummary, Error> {
    // 1. The freshest head of the sources that may be used, and what the store shows.
    let open = catalog::open_channel(&options.sources, name, &options.state, Some(options.repo), options.now).await?;
    open.notes().into_iter().for_each(|text| options.progress.event(Event::Note { text: format!("{name}: {text}") }));
    let destination = Arc::new(Destination::open(options, &open.chain).await?);
    let chain = destination::newest_roots(destination.store(), open.chain).await?;
    // A root that only the store has may have taken the key away that signed this head.
    let head = check_current(&chain, name, options.now, open.head.bytes()).map_err(|reason| refused(name, reason))?;
    let shown = shown(options, &destination, &chain, name).await?;
    // 2. What is to be done.
    let step = plan::step(&head, shown.head.as_ref()).map_err(|reason| refused(name, reason))?;
    if let Step::LeaveNewer { seq } = step {
        warn(options, format!("{name}: the mirror is left alone: it shows head {seq}, the sources offer {}", head.seq));
        return Ok(summary(&head, Outcome::Ahead, 0, &destination));
    }
    // 3. Everything that the head names; then the head.
    let copied = if step == Step::Copy || options.rehash { copy_all(options, &destination, &head, &shown).await? } else { 0 };
    if !options.dry_run {
        if step == Step::Copy {
            show(&destination, &head, &shown).await?;
        }
        if step == Step::Copy || destination.done().objects > 0 {
            announce(options, &destination, name).await;
        }
        update_index(options, &destination, name).await;
    }
    let is_current = step == Step::Nothing && destination.done().objects == 0;
    Ok(summary(&head, if is_current { Outcome::Current } else { Outcome::Copied }, if is_current { 0 } else { copied }, &destination))
}

async fn shown(options: &Options, destination: &Destination, chain: &RootChain, name: &ChannelName) -> Result<StoreHead, Error> {
    let shown = destination.head(chain, name).await?;
    match &shown.unusable {
        // Nothing is known of a head under a root that nobody shows but that somebody signed for: it may be newer.
        Some(reason @ Reason::RootWithheld { .. }) => return Err(refused(name, reason.clone())),
        Some(reason) => warn(options, format!("{name}: the head that the mirror shows does not count and is replaced: {reason}")),
        None => {}
    }
    Ok(shown)
}

/// Copies the snapshots that the store lacks, and makes all of it durable. Gives their number.
async fn copy_all(options: &Arc<Options>, destination: &Arc<Destination>, head: &Verified<Head>, shown: &StoreHead) -> Result<u64, Error> {
    let base = if options.rehash { None } else { base(options, destination, shown).await };
    let there = shown.head.as_ref().filter(|_| base.is_some()).map(|head| &**head);
    let held = held(options, destination, plan::vouched(head, there)).await?;
    let missing = plan::missing(head, &held);
    let total_bytes = Some(missing.iter().map(|snapshot| snapshot.bytes).sum());
    options.progress.event(Event::Phase { phase: Phase::Transfer, total_bytes });
    let (mut latest, mut put) = (None, Vec::new());
    for snapshot in &missing {
        let bases = base.iter().chain(&latest).cloned().collect();
        match copy_one(options, destination, head, snapshot, bases).await {
            Ok(copied) => {
                put.push((snapshot.manifest, snapshot.manifest_bytes));
                latest = Some(copied);
            }
            Err(error) if is_missing(&error) && plan::may_be_gone(head, snapshot.manifest, options.now) => {
                let text =
                    format!("{}: snapshot {} is left out: its time is over, and it is gone", head.channel, snapshot.manifest.short());
                warn(options, text);
            }
            Err(error) => return Err(error),
        }
    }
    if !options.dry_run {
        options.progress.event(Event::Phase { phase: Phase::ReadBack, total_bytes: None });
        destination.settle(&put).await?;
    }
    Ok(put.len() as u64)
}

/// Those of the snapshots whose manifests the store gives back. The others are put again: their objects may be gone as well.
async fn held(options: &Options, destination: &Destination, snapshots: Vec<SnapshotRef>) -> Result<BTreeSet<Hash>, Error> {
    let mut held = BTreeSet::new();
    for SnapshotRef { manifest: id, manifest_bytes, .. } in snapshots {
        if destination.holds(&key::manifest(&id), id, manifest_bytes).await? {
            held.insert(id);
        } else {
            warn(options, format!("the mirror lacks the manifest of snapshot {}, which it names: it is put again", id.short()));
        }
    }
    Ok(held)
}

/// Copies chunks, lists and manifest of one snapshot.
async fn copy_one(
    options: &Arc<Options>,
    destination: &Arc<Destination>,
    head: &Verified<Head>,
    snapshot: &SnapshotRef,
    bases: Vec<Base>,
) -> Result<Base, Error> {
    let manifest = Arc::new(catalog::fetch_manifest(&options.sources, head, snapshot).await?);
    let copying = Copying {
        manifest: Arc::clone(&manifest),
        bases,
        sources: Arc::clone(&options.chunks),
        destination: Arc::clone(destination),
        progress: Arc::clone(&options.progress),
    };
    copy::snapshot(&Arc::new(copying)).await?;
    let stored = manifest.bytes().to_vec();
    destination.place(&key::manifest(&snapshot.manifest), snapshot.manifest, snapshot.manifest_bytes, async { Ok(stored) }).await?;
    Ok(Base { manifest, lists: Arc::clone(&options.chunks) })
}

/// The newest snapshot of the head that the store shows, all of which is there. One whose manifest cannot be read counts as none.
async fn base(options: &Options, destination: &Destination, shown: &StoreHead) -> Option<Base> {
    let head = shown.head.as_ref()?;
    let store = Arc::clone(destination.store()) as DynReadStore;
    match catalog::fetch_manifest(std::slice::from_ref(&store), head, &head.snapshot.to_ref()).await {
        Ok(manifest) => {
            // Who writes there pays for it anyway, and lists are a ten-thousandth of what they spare.
            let settings = Settings { max_wait: PATIENCE, paid: Paid::Together, ..Settings::default() };
            let lists = Sources::new(vec![(store, Form::Framed)], settings, Arc::new(NoProgress));
            Some(Base { manifest: Arc::new(manifest), lists: Arc::new(lists) })
        }
        Err(error) => {
            let text = format!("{}: the mirror's snapshot cannot be read and is put again: {}", head.channel, in_one_line(&error));
            warn(options, text);
            None
        }
    }
}

async fn show(destination: &Destination, head: &Verified<Head>, shown: &StoreHead) -> Result<(), Error> {
    match catalog::write_head(destination.store(), shown.tag.as_ref(), head).await? {
        Swap::Done(_) => Ok(()),
        Swap::Lost => Err(Error::Lost { channel: head.channel.clone(), store: destination.store().name().to_owned() }),
    }
}

/// Caches find out by themselves within a minute: failing to tell them is a warning.
async fn announce(options: &Options, destination: &Destination, name: &ChannelName) {
    if let Some(text) = catalog::announce(destination.store()).await {
        warn(options, format!("{name}: {text}"));
    }
}

/// The index is a hint: failing to write it is a warning.
async fn update_index(options: &Options, destination: &Destination, name: &ChannelName) {
    if let Err(error) = catalog::update_index(destination.store(), options.repo, name).await {
        warn(options, format!("{name}: the index of the mirror could not be updated: {}", in_one_line(&error)));
    }
}

fn is_missing(error: &Error) -> bool {
    let missing = |exhausted: &Exhausted| matches!(exhausted, Exhausted::Missing { .. });
    match error {
        Error::Catalog(catalog::Error::Object { trouble, .. }) => *trouble == catalog::ObjectTrouble::Missing,
        Error::Rows(RowsError::Sources { source, .. }) | Error::Object { source, .. } => missing(source),
        Error::NoChannels
        | Error::Catalog(_)
        | Error::Rows(_)
        | Error::Store(_)
        | Error::Damaged { .. }
        | Error::Forms { .. }
        | Error::Chunk { .. }
        | Error::Lost { .. }
        | Error::Interrupted => false,
    }
}

fn refused(channel: &ChannelName, reason: Reason) -> Error {
    catalog::Error::Refused { channel: channel.clone(), source: Box::new(Refusal::alone(reason)) }.into()
}

fn warn(options: &Options, text: String) {
    options.progress.event(Event::Warning { text });
}

fn summary(head: &Head, outcome: Outcome, snapshots: u64, destination: &Destination) -> ChannelSummary {
    let done = destination.done();
    ChannelSummary {
        channel: head.channel.clone(),
        outcome,
        seq: Some(head.seq),
        snapshot: Some(head.snapshot.manifest),
        height: head.snapshot.height,
        snapshots,
        objects: done.objects,
        bytes: done.bytes,
        error: None,
    }
}

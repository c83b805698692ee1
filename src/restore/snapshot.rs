//! Which snapshot is restored, and what is told of it.

use std::{path::Path, sync::Arc, time::Instant};

use super::{Error, Options, Outcome, Partial, Summary, pipeline::Moved, place::Place};
use crate::{
    catalog::{self, Kept, OpenSnapshot, StateDir},
    disk::staging::Pin,
    format::manifest::{Manifest, StoredManifest},
    progress::{Event, Phase},
    sources::Report,
    store::{DynReadStore, RetryPolicy, RetryStore},
    trust::Standing,
    types::{ChannelName, Hash, When},
};

/// A snapshot with everything that proves it.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) manifest: Arc<Manifest>,
    pub(super) pin: Pin,
}

/// The pinned snapshot of the partial restore, or else what the channel's head offers.
pub(super) async fn choose(options: &Arc<Options>, state: &StateDir, place: &Place) -> Result<Snapshot, Error> {
    if options.sources.is_empty() {
        return Err(Error::NoSources);
    }
    match place.pinned()? {
        Some(pinned) if options.partial == Partial::Continue => {
            check_is_asked(options, place, &pinned)?;
            continue_pinned(options, state, pinned).await
        }
        _ => discover(options, state).await,
    }
}

/// A partial restore is not turned into another one by a flag that was meant for something else.
fn check_is_asked(options: &Options, place: &Place, pinned: &Snapshot) -> Result<(), Error> {
    let path = || place.partial.clone().unwrap_or_default();
    if *pinned.channel() != options.channel {
        return Err(Error::OtherChannel { path: path(), pinned: pinned.channel().clone(), asked: options.channel.clone() });
    }
    if !pinned.is(options.when.as_ref()) {
        let asked = options.when.clone().unwrap_or_default();
        return Err(Error::OtherSnapshot { path: path(), pinned: pinned.id(), height: pinned.height(), asked });
    }
    Ok(())
}

/// Continues a partial restore: its signature, repo and channel are checked again, its expiry is not.
async fn continue_pinned(options: &Arc<Options>, state: &StateDir, pinned: Snapshot) -> Result<Snapshot, Error> {
    check_pin(options, state, &pinned).await?;
    let age = options.now.duration_since(pinned.manifest.about().taken_at);
    let text = format!("continuing snapshot {} of {}, taken {} h ago", pinned.id().short(), options.channel, age.as_hours());
    options.progress.event(Event::Note { text });
    Ok(pinned)
}

/// Checks again what an earlier run was pinned to: whoever may write to the staging directory may have written that.
pub(super) async fn check_pin(options: &Arc<Options>, state: &StateDir, pinned: &Snapshot) -> Result<(), Error> {
    // The manifest is the one that the CID leads to; its repository need not be trusted.
    if options.by_cid.as_ref().is_some_and(|named| named.id() == pinned.id()) {
        return Ok(());
    }
    let (trusted, state, pin) = (options.pin, state.clone(), pinned.pin.clone());
    let checked = tokio::task::spawn_blocking(move || {
        let kept = Kept { roots: &pin.roots, head: &pin.head, manifest: &pin.manifest.bytes };
        catalog::check_pinned(&state, &pin.channel, trusted, kept).map(drop)
    });
    Ok(checked.await.map_err(|_| Error::WorkerDied)??)
}

pub(super) async fn discover(options: &Options, state: &StateDir) -> Result<Snapshot, Error> {
    if let Some(named) = &options.by_cid {
        tell_age(options, named);
        return Ok(Snapshot::from_open(OpenSnapshot::clone(named)));
    }
    let patient = patient_sources(options);
    let when = options.when.as_ref().unwrap_or(&When::Latest);
    options.progress.event(Event::Phase { phase: Phase::Discover, total_bytes: None });
    let opened = catalog::open_snapshot(&patient, &options.channel, when, state, options.pin, options.now).await?;
    opened.channel.standings.iter().for_each(|(source, standing)| tell(options, source, standing));
    Ok(Snapshot::from_open(opened))
}

/// A CID names the same snapshot for ever: how old that is is for the user to judge.
fn tell_age(options: &Options, named: &OpenSnapshot) {
    let age = options.now.duration_since(named.manifest.about().taken_at);
    let text = format!("the CID names snapshot {} of {}, taken {} h ago", named.id().short(), options.channel, age.as_hours());
    options.progress.event(Event::Note { text });
}

/// What the user should know of a source that does not offer the newest head.
fn tell(options: &Options, source: &str, standing: &Standing) {
    options.progress.event(match standing {
        Standing::Current => return,
        Standing::Behind { seq } => Event::Note { text: format!("{source} lags behind: it offers head {seq}") },
        Standing::Refused(reason) => Event::SourceFailed { source: source.to_owned(), reason: reason.to_string() },
    });
}

/// Small objects at the start are worth a few tries; chunks have an engine of their own.
pub(super) fn patient_sources(options: &Options) -> Vec<DynReadStore> {
    let policy = RetryPolicy::default().within(options.engine.max_wait);
    let patient = |store: &DynReadStore| -> DynReadStore { Arc::new(RetryStore::new(Arc::clone(store), policy)) };
    options.sources.iter().map(patient).collect()
}

impl Snapshot {
    fn from_open(opened: OpenSnapshot) -> Self {
        let manifest = StoredManifest { id: opened.id(), bytes: opened.manifest.bytes().to_vec(), json_bytes: opened.manifest_json_bytes };
        let roots = opened.channel.chain.envelopes().map(<[u8]>::to_vec).collect();
        let channel = opened.channel.head.channel.clone();
        let pin = Pin { channel, roots, head: opened.channel.head.bytes().to_vec(), manifest };
        Self { manifest: Arc::new(opened.manifest.into_inner()), pin }
    }

    pub(super) fn from_pin(pin: Pin) -> Result<Self, Error> {
        let manifest =
            Manifest::parse_stored(&pin.manifest.bytes, pin.manifest.json_bytes).map_err(|defect| Error::PinDefect(Box::new(defect)))?;
        Ok(Self { manifest: Arc::new(manifest), pin })
    }

    pub(super) fn id(&self) -> Hash {
        self.pin.manifest.id
    }

    pub(super) fn channel(&self) -> &ChannelName {
        &self.pin.channel
    }

    pub(super) fn height(&self) -> Option<u64> {
        self.manifest.about().height
    }

    /// Whether a run that was asked for this has nothing more to do once this snapshot is in place.
    pub(super) fn is_what_is_asked(&self, options: &Options) -> bool {
        *self.channel() == options.channel && self.is(options.when.as_ref()) && options.partial == Partial::Continue
    }

    /// Whether `when` means this snapshot; nothing and `latest` may mean any.
    pub(super) fn is(&self, when: Option<&When>) -> bool {
        match when {
            None | Some(When::Latest) => true,
            Some(When::Height(height)) => self.height() == Some(*height),
            Some(When::Id(prefix)) => self.id().to_string().starts_with(prefix),
        }
    }

    pub(super) fn summary(&self, target: &Path, outcome: Outcome, moved: Moved, sources: Vec<Report>, started: Instant) -> Summary {
        let totals = self.manifest.totals();
        Summary {
            channel: self.channel().clone(),
            snapshot: self.id(),
            height: self.height(),
            block_check: None,
            target: target.to_owned(),
            outcome,
            files: totals.files,
            bytes: totals.bytes,
            most_to_fetch_bytes: None,
            costs: Vec::new(),
            fetched_bytes: sources.iter().map(|source| source.bytes).sum(),
            reused_bytes: moved.reused_bytes,
            written_bytes: moved.written_bytes,
            hole_bytes: totals.hole_bytes,
            retries: moved.retries,
            sources,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

//! What a restore may cost: estimated and agreed to before the first paid byte.

use std::sync::Arc;

use super::{Error, Options, local::Local, snapshot::Snapshot};
use crate::{
    disk::have::Have,
    format::{
        list::FileShape,
        manifest::{Layout, Manifest},
        row::Row,
    },
    progress::Event,
    sources::{Estimate, Form, Paid, PriceTable, Settings, Work, cap_of, forms},
    store::{Charge, DynReadStore},
};

/// The most by which a frame can be longer than its chunk, bytes: what does not shrink is stored as it is.
const FRAME_OVERHEAD: u64 = 64;

/// What each source that costs money could cost if it had to deliver everything but what an earlier run has kept. The others are not asked
/// for anything.
pub(super) async fn estimates(
    options: &Options,
    snapshot: &Snapshot,
    local: &Arc<Local>,
    kept: Option<&Have>,
) -> Result<Vec<Estimate>, Error> {
    let paid: Vec<DynReadStore> = options.sources.iter().filter(|store| store.charge() != Charge::Free).cloned().collect();
    if paid.is_empty() {
        return Ok(Vec::new());
    }
    let stores = forms::with_forms(&paid).await;
    let work = work(&snapshot.manifest, local.most_to_fetch(&snapshot.manifest).await?, kept);
    let of = |(store, form): &(DynReadStore, Form)| Estimate::of(store.name(), &store.charge(), *form, &work, PriceTable::builtin());
    Ok(stores.iter().filter_map(of).collect())
}

/// Everything but holes, what is recorded to be here, of which `frame_bytes` are left, and what was kept. Never less than it takes.
fn work(manifest: &Manifest, frame_bytes: u64, kept: Option<&Have>) -> Work {
    let totals = manifest.totals();
    let lists = manifest.files().iter().filter(|file| matches!(file.layout, Layout::Lists(_)));
    let shapes = lists.map(|file| FileShape::new(file.bytes, manifest.about().chunk_size));
    let (segments, rows) = shapes.fold((0, 0), |(segments, rows), shape| (segments + shape.segments(), rows + shape.chunks()));
    let holes = totals.hole_bytes / u64::from(manifest.about().chunk_size.bytes());
    // What is here shrinks the raw bytes as it shrinks the frames.
    let here = totals.frame_bytes.saturating_sub(frame_bytes);
    // Holes may be among what was kept, and what is here too.
    let kept_bytes = kept.map_or(0, |kept| kept.bytes(manifest)).saturating_sub(totals.hole_bytes);
    let kept_chunks = kept.map_or(0, Have::count).saturating_sub(holes);
    let chunks = totals.chunks.saturating_sub(holes).saturating_sub(kept_chunks);
    let raw_bytes = (totals.bytes - totals.hole_bytes).saturating_sub(here.max(kept_bytes));
    Work {
        // Nobody knows yet how long the frames are that are left.
        frame_bytes: frame_bytes.min(raw_bytes + chunks * FRAME_OVERHEAD),
        raw_bytes,
        list_bytes: rows * Row::BYTES as u64,
        objects: segments + chunks,
    }
}

/// The engine's settings once it is clear what may be spent. Says what it could cost before anything is paid.
///
/// # Errors
/// [`Error::CostNotAccepted`] when only sources that cost money are there and nobody agreed.
pub(super) fn agreed(options: &Options, estimates: &[Estimate]) -> Result<Settings, Error> {
    let mut settings = options.engine.clone();
    if estimates.is_empty() {
        return Ok(settings);
    }
    for estimate in estimates {
        options.progress.event(Event::Note { text: estimate.to_string() });
    }
    if options.accept_cost {
        settings.paid = if settings.paid == Paid::Together { Paid::Together } else { Paid::LastResort };
        // What was read to make the estimates is no part of them. A smaller cap of the user's own stays.
        let metadata: u64 = options.sources.iter().map(|store| store.metadata_micro_usd()).sum();
        let cap = cap_of(estimates, options.read_from).saturating_add(metadata);
        settings.cap_micro_usd = Some(settings.cap_micro_usd.map_or(cap, |own| own.min(cap)));
    }
    let is_free_there = options.sources.iter().any(|store| store.charge() == Charge::Free);
    if settings.paid == Paid::Refused && !is_free_there {
        return Err(Error::CostNotAccepted { estimates: estimates.to_vec() });
    }
    Ok(settings)
}

//! A pinned staging directory, ready to be filled.

use std::sync::Arc;

use super::{
    Error, Options, blocking,
    carry_over::carry_over,
    finish, in_place,
    lists::Lists,
    local::Local,
    pipeline::{self, Moved},
    place::Place,
    snapshot::Snapshot,
};
use crate::{
    disk::{
        have::Have,
        journal::Journal,
        mode::Purpose,
        staging::{Owned, Staging},
        swap, verify,
        writer::{Settings, Writer},
    },
    progress::{Event, Phase},
    sources::{Report, Sources},
};

/// A staging directory that is pinned to a snapshot, and the chunks that are in it.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) staging: Arc<Staging>,
    pub(super) journal: Journal,
    pub(super) have: Have,
    pub(super) lists: Lists,
}

impl Build {
    /// Pins the staging directory, durably, and finds out what it holds.
    pub(super) async fn pin(options: &Arc<Options>, place: Place, snapshot: &Snapshot, sources: &Arc<Sources>) -> Result<Self, Error> {
        options.progress.event(Event::Phase { phase: Phase::Plan, total_bytes: None });
        let in_place = place.is_in_place(options, snapshot).await?;
        let (staging, pinned) = open_staging(options, place, snapshot, in_place).await?;
        let lists = Lists { staging: Arc::clone(&staging), sources: Arc::clone(sources) };
        if in_place {
            let (journal, have) = in_place::begin(options, &lists, snapshot).await?;
            return Ok(Self { staging, journal, have, lists });
        }
        let carried = match pinned {
            Some(old) if old.id() == snapshot.id() => None,
            Some(old) => Some(carry_over(options, &lists, &old, snapshot).await?),
            None => Some(Have::none(&snapshot.manifest)),
        };
        let (journal, have) = match carried {
            Some(have) => begin(&staging, snapshot, have).await?,
            None => resume(options, &lists, snapshot).await?,
        };
        Ok(Self { staging, journal, have, lists })
    }

    /// Brings every missing chunk into staging, verified, durable and journaled.
    pub(super) async fn fetch_all(
        self,
        options: &Arc<Options>,
        snapshot: &Snapshot,
        local: Arc<Local>,
    ) -> Result<(Arc<Staging>, Moved, Vec<Report>), Error> {
        options.progress.event(Event::Phase { phase: Phase::Transfer, total_bytes: Some(snapshot.manifest.totals().bytes) });
        let Self { staging, journal, have, lists } = self;
        let (fs, manifest) = (Arc::clone(&options.fs), Arc::clone(&snapshot.manifest));
        let writer = Writer::new(fs, Arc::clone(&staging), Arc::clone(&manifest), journal, Settings::default());
        let sources = Arc::clone(&lists.sources);
        let context = pipeline::Context {
            manifest,
            have,
            lists,
            local,
            sources: Arc::clone(&sources),
            writer: Arc::new(writer),
            threads: options.threads,
            memory_bytes: options.memory_bytes,
            stop: options.stop.clone(),
            progress: Arc::clone(&options.progress),
        };
        let moved = pipeline::run(context).await?;
        Ok((staging, moved, sources.reports()))
    }
}

/// The staging directory of an earlier run with the snapshot it is pinned to, or a new one. What is to be discarded goes now, when
/// nothing can refuse the run any more.
async fn open_staging(
    options: &Arc<Options>,
    mut place: Place,
    snapshot: &Snapshot,
    in_place: bool,
) -> Result<(Arc<Staging>, Option<Snapshot>), Error> {
    let owned = if snapshot.manifest.about().subtrees.is_some() { Owned::Subtrees } else { Owned::Whole };
    if place.staging.as_ref().is_some_and(|staging| !staging.suits(owned)) {
        place.pin = None;
    }
    place.remove_unpinned().await?;
    let pinned = place.pinned()?;
    if let Some(staging) = place.staging {
        check_swap(options, &staging, snapshot, in_place).await?;
        return Ok((staging, pinned));
    }
    let (fs, target) = (Arc::clone(&options.fs), place.target);
    let open = move || if in_place { Staging::open_in_place(fs, &target, Purpose::Restore) } else { Staging::open(fs, &target, owned) };
    let staging = Arc::new(blocking(open).await?);
    if let Err(refused) = check_swap(options, &staging, snapshot, in_place).await {
        blocking(move || staging.remove()).await?;
        return Err(refused);
    }
    Ok((staging, None))
}

/// What a swap from this staging directory would be refused for at its end.
async fn check_swap(options: &Arc<Options>, staging: &Arc<Staging>, snapshot: &Snapshot, in_place: bool) -> Result<(), Error> {
    if in_place {
        return Ok(());
    }
    let (staging, snapshot, old) = (Arc::clone(staging), snapshot.clone(), finish::old(options.existing));
    blocking(move || swap::check(&staging, &snapshot.manifest, &snapshot.id(), old)).await
}

/// Starts on a snapshot that the staging directory was not pinned to before.
async fn begin(staging: &Arc<Staging>, snapshot: &Snapshot, have: Have) -> Result<(Journal, Have), Error> {
    let (staging, snapshot) = (Arc::clone(staging), snapshot.clone());
    blocking(move || {
        staging.set_pin(&snapshot.pin)?;
        let journal = staging.start(&snapshot.manifest, &snapshot.id(), &have)?;
        Ok((journal, have))
    })
    .await
}

/// Goes on where an earlier run of the same snapshot ended. Where its journal is lost, what lies there is hashed instead.
pub(super) async fn resume(options: &Arc<Options>, lists: &Lists, snapshot: &Snapshot) -> Result<(Journal, Have), Error> {
    let (staging, manifest, id) = (Arc::clone(&lists.staging), Arc::clone(&snapshot.manifest), snapshot.id());
    if let Some(found) = blocking(move || staging.resume(&manifest, &id)).await? {
        return Ok(found);
    }
    for file in snapshot.manifest.files() {
        lists.keep_all(file).await?;
    }
    let (staging, manifest, options) = (Arc::clone(&lists.staging), Arc::clone(&snapshot.manifest), Arc::clone(options));
    let have = blocking(move || surviving(&options, &staging, &manifest)).await?;
    begin(&lists.staging, snapshot, have).await
}

fn surviving(options: &Options, staging: &Staging, manifest: &crate::format::manifest::Manifest) -> Result<Have, crate::disk::Error> {
    let text = "the journal of the partial restore is lost; what lies there is hashed".to_owned();
    options.progress.event(Event::Warning { text });
    let kept =
        |id: &crate::types::Hash| staging.list(id).map_err(std::io::Error::other)?.ok_or_else(|| std::io::ErrorKind::NotFound.into());
    let how = verify::Options { threads: options.threads, whole_files: false, stop: &options.stop, progress: &*options.progress };
    verify::surviving(&*options.fs, &staging.data(), manifest, &kept, &how)
}

//! Where a snapshot goes: the target, and what earlier runs left in it and beside it.

use std::{path::PathBuf, sync::Arc};

use super::{Error, Existing, Options, Partial, blocking, finish, snapshot::Snapshot};
use crate::{
    disk::{
        in_use,
        record::Record,
        space,
        staging::{Pin, Staging},
        swap,
        target::{self, Occupied},
        usage,
    },
    format::manifest::Manifest,
    progress::Event,
    types::{Hash, When},
};

/// A target that may be restored to.
#[derive(Debug)]
pub(super) struct Place {
    /// The target, every link on the way to it resolved.
    pub(super) target: PathBuf,
    /// The staging directory that an earlier run left, locked.
    pub(super) staging: Option<Arc<Staging>>,
    /// What that run was building.
    pub(super) pin: Option<Pin>,
    /// What lies in the target, if qsync put it there and nobody touched it since.
    untouched: Option<Snapshot>,
}

impl Place {
    /// Refuses a target that is dangerous whatever is restored, and finds what an earlier run left.
    pub(super) async fn find(options: &Arc<Options>) -> Result<Self, Error> {
        let given = Arc::clone(options);
        let (target, staging) = blocking(move || {
            let target = target::resolve(&*given.fs, &given.target)?;
            target::check_place(&*given.fs, &target, given.home.as_deref())?;
            let staging = Staging::find(Arc::clone(&given.fs), &target)?;
            Ok((target, staging))
        })
        .await?;
        let untouched = untouched(options, &target).await?;
        let mut place = Self { target, staging: None, pin: None, untouched };
        if let Some(staging) = staging {
            place.adopt(options, staging).await?;
        }
        Ok(place)
    }

    async fn adopt(&mut self, options: &Options, staging: Staging) -> Result<(), Error> {
        let discard = options.partial == Partial::Discard && !options.dry_run;
        // A swap that has begun is past discarding: the old database may lie in staging.
        if discard && !swap::is_pending(&staging)? {
            return blocking(move || staging.remove()).await;
        }
        let staging = Arc::new(staging);
        let opened = Arc::clone(&staging);
        self.pin = blocking(move || opened.pin()).await?;
        self.staging = Some(staging);
        Ok(())
    }

    /// Completes a swap that an earlier run began; gives the snapshot that is in place then.
    pub(super) async fn complete_swap(&mut self, options: &Arc<Options>) -> Result<Option<Snapshot>, Error> {
        let (Some(staging), false) = (&self.staging, options.dry_run) else { return Ok(None) };
        let opened = Arc::clone(staging);
        let Some(placed) = blocking(move || swap::finish_pending(&opened)).await? else { return Ok(None) };
        let pin = self.pin.take().ok_or(Error::WorkerDied)?;
        let snapshot = Snapshot::from_pin(pin)?;
        let staging = self.staging.take().ok_or(Error::WorkerDied)?;
        finish::record_and_clean_up(options, staging, &snapshot, placed).await?;
        Ok(Some(snapshot))
    }

    /// What the target holds already, when that is what was asked for and nobody asked for anything newer.
    pub(super) fn take_restored(&mut self, options: &Options) -> Option<Snapshot> {
        let asked = |snapshot: &Snapshot| {
            let explicit = options.when.as_ref().is_some_and(|when| *when != When::Latest);
            let newest_wanted = !explicit && options.existing != Existing::Refuse;
            *snapshot.channel() == options.channel && !newest_wanted && snapshot.is(options.when.as_ref())
        };
        if self.pin.is_some() { None } else { self.untouched.take_if(|snapshot| asked(snapshot)) }
    }

    /// Whether the target holds this very snapshot, untouched.
    pub(super) fn holds(&self, id: &Hash) -> bool {
        self.untouched.as_ref().is_some_and(|snapshot| snapshot.id() == *id)
    }

    /// Refuses before the first data byte: the target is occupied, in use or holds a node's identity, or there is no room.
    pub(super) async fn check(&self, options: &Arc<Options>, snapshot: &Snapshot) -> Result<(), Error> {
        let (given, target, manifest) = (Arc::clone(options), self.target.clone(), Arc::clone(&snapshot.manifest));
        let staging = self.staging.clone();
        blocking(move || {
            let occupied = match given.existing {
                Existing::Refuse => Occupied::Refuse,
                Existing::Replace | Existing::ReplaceKeepingOld => Occupied::Allow,
            };
            target::check_content(&*given.fs, &target, &manifest, occupied)?;
            if let Some(text) = in_use::check_target(&target)? {
                given.progress.event(Event::Warning { text });
            }
            let taken = staging.map_or(Ok(0), |staging| usage::allocated(&*given.fs, &staging.data()))?;
            space::check(&*given.fs, &target, usage::need(&manifest, taken))
        })
        .await
    }

    /// The snapshot that an earlier run was building.
    pub(super) fn pinned(&self) -> Result<Option<Snapshot>, Error> {
        self.pin.clone().map(Snapshot::from_pin).transpose()
    }
}

async fn untouched(options: &Arc<Options>, target: &std::path::Path) -> Result<Option<Snapshot>, Error> {
    let (given, target) = (Arc::clone(options), target.to_owned());
    blocking(move || {
        let Some(record) = Record::load(&*given.fs, &given.state_dir, &target)? else { return Ok(None) };
        let Ok(manifest) = Manifest::parse_stored(&record.pin.manifest.bytes, record.pin.manifest.json_bytes) else { return Ok(None) };
        let same = record.is_untouched(&*given.fs, &manifest)?;
        Ok(same.then(|| Snapshot { manifest: Arc::new(manifest), pin: record.pin }))
    })
    .await
}

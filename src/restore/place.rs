//! Where a snapshot goes: the target, and what earlier runs left in it and beside it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Error, Existing, Options, Partial, blocking, finish, in_place,
    local::Local,
    snapshot::{Snapshot, check_pin},
};
use crate::{
    catalog::StateDir,
    disk::{
        self,
        have::Have,
        in_use,
        plan::TakeUp,
        record::Record,
        space,
        staging::{Pin, Staging, Version},
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
    /// Where an earlier run left its staging directory.
    pub(super) partial: Option<PathBuf>,
    /// That directory, locked; none in a dry run, which takes and writes nothing.
    pub(super) staging: Option<Arc<Staging>>,
    /// What that run was building, unless it is to be discarded.
    pub(super) pin: Option<Pin>,
    /// What lies in the target, if qsync put it there and nobody touched it since.
    untouched: Option<Snapshot>,
}

impl Place {
    /// Refuses a target that is dangerous whatever is restored, and finds what an earlier run left.
    pub(super) async fn find(options: &Arc<Options>) -> Result<Self, Error> {
        let given = Arc::clone(options);
        let (target, left) = blocking(move || {
            let target = target::resolve(&*given.fs, &given.target)?;
            target::check_place(&*given.fs, &target, given.home.as_deref())?;
            let left = Left::find(&given, &target)?;
            Ok((target, left))
        })
        .await?;
        // Whoever wants everything read again does not want to be told what the record says; and what was begun in place is no snapshot
        // until it is complete, whatever its files look like.
        let believed = !left.is_incomplete && (!options.rehash || options.existing == Existing::Refuse);
        let untouched = if believed { untouched(options, &target).await? } else { None };
        Ok(Self { target, partial: left.path, staging: left.staging.map(Arc::new), pin: left.pin, untouched })
    }

    /// Completes a swap of which an earlier run has made some renames; gives the snapshot that is in place then.
    pub(super) async fn complete_swap(&mut self, options: &Arc<Options>, state: &StateDir) -> Result<Option<Snapshot>, Error> {
        let (Some(staging), Some(pin)) = (&self.staging, &self.pin) else { return Ok(None) };
        let (staging, opened) = (Arc::clone(staging), Arc::clone(staging));
        if !blocking(move || swap::is_pending(&opened)).await? {
            return Ok(None);
        }
        let snapshot = Snapshot::from_pin(pin.clone())?;
        check_pin(options, state, &snapshot).await?;
        let opened = Arc::clone(&staging);
        let placed = blocking(move || {
            // Whoever started a node since then started it on neither the old database nor the new one.
            if !swap::is_made(&opened)? {
                in_use::check_target(opened.target())?;
            }
            swap::finish_pending(&opened)
        });
        let Some(placed) = placed.await? else { return Ok(None) };
        finish::record_and_clean_up(options, staging, &snapshot, placed).await?;
        (self.staging, self.pin) = (None, None);
        Ok(Some(snapshot))
    }

    /// Removes a staging directory that is worth nothing: to be discarded, or left by a run that ended before it pinned anything.
    pub(super) async fn remove_unpinned(&mut self) -> Result<(), Error> {
        match self.staging.take_if(|staging| self.pin.is_none() && !staging.mode().is_incomplete()) {
            Some(staging) => blocking(move || staging.remove()).await,
            None => Ok(()),
        }
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
    pub(super) async fn check(&self, options: &Arc<Options>, snapshot: &Snapshot, local: &Arc<Local>) -> Result<(), Error> {
        let data = self.partial.as_ref().map(|partial| partial.join("data"));
        let linked_bytes = local.linked_bytes(&snapshot.manifest, data.clone()).await?;
        let (given, target, manifest) = (Arc::clone(options), self.target.clone(), Arc::clone(&snapshot.manifest));
        let staging = self.staging.clone().filter(|_| self.pin.is_some());
        if self.is_in_place(options, snapshot).await? {
            return in_place::check(options, self, snapshot).await;
        }
        blocking(move || {
            target::refuse_identity_files(&*given.fs, &target, &manifest)?;
            let occupied = match given.existing {
                Existing::Refuse | Existing::InPlace => Occupied::Refuse,
                Existing::Replace | Existing::ReplaceKeepingOld => Occupied::Allow,
            };
            target::check_content(&*given.fs, &target, &manifest, occupied)?;
            if let Some(staging) = staging {
                staging.check_place()?;
            }
            if let Some(text) = in_use::check_target(&target)? {
                given.progress.event(Event::Warning { text });
            }
            let taken = data.map_or(Ok(0), |data| usage::allocated(&*given.fs, &data))?;
            space::check(&*given.fs, &target, usage::need(&manifest, taken, linked_bytes))
        })
        .await
    }

    /// Whether the target itself is to be changed: asked for, and there is something to be overwritten.
    pub(super) async fn is_in_place(&self, options: &Arc<Options>, snapshot: &Snapshot) -> Result<bool, Error> {
        if options.existing != Existing::InPlace {
            return Ok(false);
        }
        let (given, target, manifest) = (Arc::clone(options), self.target.clone(), Arc::clone(&snapshot.manifest));
        let mode = self.staging.as_ref().map(|staging| staging.mode());
        let begun = mode.is_some_and(|mode| mode.is_incomplete() || (mode.is_in_place() && self.pin.is_some()));
        blocking(move || Ok(begun || target::is_occupied(&*given.fs, &target, &manifest)?)).await
    }

    /// The chunks of the snapshot that an earlier run has brought here, as far as its journal tells.
    pub(super) async fn kept(&self, snapshot: &Snapshot) -> Result<Option<Have>, Error> {
        let (Some(staging), Some(pinned)) = (&self.staging, self.pinned()?) else { return Ok(None) };
        if pinned.id() != snapshot.id() {
            return Ok(None);
        }
        let (staging, manifest, id) = (Arc::clone(staging), Arc::clone(&snapshot.manifest), snapshot.id());
        blocking(move || staging.journaled(&manifest, &id)).await
    }

    /// The snapshot that an earlier run was building.
    pub(super) fn pinned(&self) -> Result<Option<Snapshot>, Error> {
        self.pin.clone().map(Snapshot::from_pin).transpose()
    }
}

/// What an earlier run left for a target.
#[derive(Default)]
struct Left {
    path: Option<PathBuf>,
    staging: Option<Staging>,
    pin: Option<Pin>,
    is_incomplete: bool,
}

impl Left {
    fn find(options: &Options, target: &Path) -> Result<Self, disk::Error> {
        let discard = options.partial == Partial::Discard;
        if options.dry_run {
            let Some(left) = Staging::peek(&*options.fs, target)? else { return Ok(Self::default()) };
            let goes_on = in_place::take_up(options, target, left.mode, left.pin.as_ref())? == TakeUp::Continue;
            let is_incomplete = left.mode.is_incomplete();
            return Ok(Self { path: Some(left.path), staging: None, pin: left.pin.filter(|_| goes_on), is_incomplete });
        }
        let version = if discard { Version::Any } else { Version::Readable };
        let Some(staging) = Staging::find(Arc::clone(&options.fs), target, version)? else {
            if let Some(path) = Staging::leftover(&*options.fs, target)? {
                finish::tell_leftover(options, &path, &"the next restore that fetches anything says why");
            }
            return Ok(Self::default());
        };
        // One of which nothing has been done asks for nothing: days may have passed, and the target may be another one by now.
        swap::take_back(&staging)?;
        // One that has begun is past discarding: the old database may lie in staging.
        let goes_on = match in_place::take_up(options, target, staging.mode(), staging.pin().ok().flatten().as_ref())? {
            TakeUp::Continue => true,
            TakeUp::Repin | TakeUp::Remove | TakeUp::Refuse(_) => swap::is_pending(&staging)?,
        };
        let (pin, is_incomplete) = (if goes_on { staging.pin()? } else { None }, staging.mode().is_incomplete());
        Ok(Self { path: Some(staging.path().to_owned()), staging: Some(staging), pin, is_incomplete })
    }
}

async fn untouched(options: &Arc<Options>, target: &Path) -> Result<Option<Snapshot>, Error> {
    let (given, target) = (Arc::clone(options), target.to_owned());
    blocking(move || {
        let Some(record) = Record::load(&*given.fs, &given.state_dir, &target)? else { return Ok(None) };
        let Ok(manifest) = Manifest::parse_stored(&record.pin.manifest.bytes, record.pin.manifest.json_bytes) else { return Ok(None) };
        let same = record.is_untouched(&*given.fs, &manifest)?;
        Ok(same.then(|| Snapshot { manifest: Arc::new(manifest), pin: record.pin }))
    })
    .await
}

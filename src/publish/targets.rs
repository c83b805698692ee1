//! The stores of a run: each goes on alone when another fails.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use super::{Error, StoreSummary, plan::StoreSet};
use crate::{
    catalog::{Proved, Sample, put_proved},
    format::{
        key,
        manifest::Totals,
        row::{Row, Stored},
    },
    sources::{PriceClass, PriceTable},
    store::{self, DynWriteStore, Put},
    types::{Form, Forms, Hash, ObjectKey},
};

/// All stores of a run.
#[derive(Debug)]
pub(super) struct Targets {
    list: Vec<Target>,
    writing: Writing,
    /// Some of the objects that are put nowhere, because the head of every store names them.
    reused: Mutex<Sample>,
    /// One line for each store that could not be opened.
    unopened: Vec<String>,
}

/// Whether puts reach the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// They do.
    Real,
    /// They do, and whatever is there already is looked at, and replaced where it is not what its name says.
    Proving,
    /// They are only counted.
    DryRun,
}

/// One store of a run.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) store: DynWriteStore,
    objects: AtomicU64,
    bytes: AtomicU64,
    failure: Mutex<Option<Arc<store::Error>>>,
    sample: Mutex<Sample>,
    /// Known once its description was read.
    forms: OnceLock<Forms>,
}

impl Targets {
    /// # Errors
    /// [`Error::NoStores`], [`Error::TooManyStores`].
    pub(super) fn new(stores: &[DynWriteStore], unopened: &[store::Error], writing: Writing) -> Result<Self, Error> {
        match stores.len() {
            0 => return Err(Error::NoStores),
            1..=StoreSet::CAPACITY => {}
            found => return Err(Error::TooManyStores { found, max: StoreSet::CAPACITY }),
        }
        let target = |store: &DynWriteStore| Target {
            store: DynWriteStore::clone(store),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
            sample: Mutex::default(),
            forms: OnceLock::new(),
        };
        let unopened = unopened.iter().map(line).collect();
        Ok(Self { list: stores.iter().map(target).collect(), writing, reused: Mutex::default(), unopened })
    }

    pub(super) fn get(&self, index: usize) -> &Target {
        &self.list[index]
    }

    pub(super) fn all(&self) -> StoreSet {
        StoreSet::first(self.list.len())
    }

    /// The stores that an object is put to when the heads of those in `held` name it.
    pub(super) fn lacking(&self, held: StoreSet) -> StoreSet {
        if self.writing == Writing::Proving { self.all() } else { self.all().without(held) }
    }

    /// Notes an object that is put nowhere.
    pub(super) fn reuse(&self, key: &ObjectKey) {
        self.reused.lock().expect("no holder of this lock panics").add(key);
    }

    /// Notes the chunk of a row that is put nowhere.
    pub(super) fn reuse_chunk(&self, row: &Row) {
        let Stored::Frame { hash, .. } = row.stored else { return };
        if !self.holding(Form::Zstd).is_empty() {
            self.reuse(&key::chunk(&hash));
        }
        if !self.holding(Form::Raw).is_empty() {
            self.reuse(&key::raw(&row.raw));
        }
    }

    /// The stores that hold chunks in this form.
    pub(super) fn holding(&self, form: Form) -> StoreSet {
        let holding = self.list.iter().enumerate().filter(|(_, target)| target.forms().contains(form));
        holding.fold(StoreSet::EMPTY, |set, (index, _)| set.with(StoreSet::only(index)))
    }

    /// Some of the objects that were put nowhere.
    pub(super) fn reused(&self) -> Sample {
        self.reused.lock().expect("no holder of this lock panics").clone()
    }

    /// The stores that have not failed.
    pub(super) fn alive(&self) -> StoreSet {
        let alive = self.list.iter().enumerate().filter(|(_, target)| !target.has_failed());
        alive.fold(StoreSet::EMPTY, |set, (index, _)| set.with(StoreSet::only(index)))
    }

    /// The stores that have.
    pub(super) fn failed(&self) -> StoreSet {
        self.all().without(self.alive())
    }

    /// Puts an object to each of `to` that has not failed. A store that fails is left out from here on.
    ///
    /// # Errors
    /// [`Error::AllStoresFailed`] when none is left.
    pub(super) async fn put(&self, to: StoreSet, key: &ObjectKey, bytes: &Bytes) -> Result<(), Error> {
        self.put_as(self.writing, to, key, bytes).await
    }

    /// The same for stores that turned out to lack the object or to have other bytes under its name, which are replaced.
    ///
    /// # Errors
    /// As [`Targets::put`].
    pub(super) async fn heal(&self, to: StoreSet, key: &ObjectKey, bytes: &Bytes) -> Result<(), Error> {
        let writing = if self.writing == Writing::DryRun { Writing::DryRun } else { Writing::Proving };
        self.put_as(writing, to, key, bytes).await
    }

    async fn put_as(&self, writing: Writing, to: StoreSet, key: &ObjectKey, bytes: &Bytes) -> Result<(), Error> {
        let alive = to.iter().map(|index| &self.list[index]).filter(|target| !target.has_failed());
        let puts = alive.map(async |target| match put_one(writing, target, key, bytes).await {
            Ok(Proved::Created | Proved::Replaced) => target.count(key, bytes.len()),
            Ok(Proved::Existed) => {}
            Err(error) => target.fail(error),
        });
        futures::future::join_all(puts).await;
        self.any_alive()
    }

    /// Reads an object from the first of `from` that has it right; `None` when none has.
    pub(super) async fn read(&self, from: StoreSet, key: &ObjectKey, max_bytes: u64, hash: Hash) -> Option<Bytes> {
        for index in from.iter() {
            match self.list[index].store.get(key, max_bytes).await {
                Ok(bytes) if Hash::of(&bytes) == hash => return Some(bytes.into()),
                Ok(_) => tracing::debug!(store = self.list[index].store.name(), %key, "an object is damaged"),
                Err(error) => tracing::debug!(%error, "an object cannot be read"),
            }
        }
        None
    }

    /// Makes all puts durable, store by store.
    ///
    /// # Errors
    /// [`Error::AllStoresFailed`] when none is left.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        for index in self.alive().iter() {
            if let Err(error) = self.list[index].store.sync().await {
                self.list[index].fail(error);
            }
        }
        self.any_alive()
    }

    /// # Errors
    /// [`Error::AllStoresFailed`] when no store is left.
    pub(super) fn any_alive(&self) -> Result<(), Error> {
        if !self.alive().is_empty() {
            return Ok(());
        }
        let failures = self.list.iter().filter_map(Target::failure);
        let lines = failures.clone().map(|error| line(&error)).chain(self.unopened.iter().cloned()).collect();
        Err(Error::AllStoresFailed { lines, first: failures.clone().next() })
    }

    /// What became of each store, for a snapshot with these totals.
    pub(super) fn summaries(&self, totals: &Totals) -> Vec<StoreSummary> {
        self.list.iter().map(|target| target.summary(totals)).collect()
    }
}

async fn put_one(writing: Writing, target: &Target, key: &ObjectKey, bytes: &Bytes) -> Result<Proved, store::Error> {
    match writing {
        Writing::Real => Ok(match target.store.put_new(key, Bytes::clone(bytes)).await? {
            Put::Created => Proved::Created,
            Put::Existed => Proved::Existed,
        }),
        Writing::Proving => put_proved(&target.store, key, bytes).await,
        Writing::DryRun => Ok(Proved::Created),
    }
}

fn line(error: &store::Error) -> String {
    format!("{}: {}", error.store, error.one_line())
}

impl Target {
    /// Notes the forms in which the store holds chunks.
    pub(super) fn describe(&self, forms: Forms) {
        // Said once in a run; a second time would say the same.
        let _ = self.forms.set(forms);
    }

    fn forms(&self) -> Forms {
        self.forms.get().copied().unwrap_or_else(|| self.store.forms().when_new())
    }

    /// Whether the store holds objects like this one at all.
    pub(super) fn holds(&self, object: &ObjectKey) -> bool {
        key::form_of(object).is_none_or(|form| self.forms().contains(form))
    }

    pub(super) fn fail(&self, error: store::Error) {
        self.failure.lock().expect("no holder of this lock panics").get_or_insert_with(|| Arc::new(error));
    }

    fn failure(&self) -> Option<Arc<store::Error>> {
        self.failure.lock().expect("no holder of this lock panics").clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.lock().expect("no holder of this lock panics").is_some()
    }

    /// Some of the objects that this run made there.
    pub(super) fn sample(&self) -> Sample {
        self.sample.lock().expect("no holder of this lock panics").clone()
    }

    fn count(&self, key: &ObjectKey, bytes: usize) {
        self.sample.lock().expect("no holder of this lock panics").add(key);
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn summary(&self, totals: &Totals) -> StoreSummary {
        let (objects, uploaded_bytes) = (self.objects.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let prices = self.store.billed_in().map(|region| PriceTable::builtin().of_region(&region));
        StoreSummary {
            store: self.store.name().to_owned(),
            objects,
            uploaded_bytes,
            put_micro_usd: prices.map(|prices| prices.put_micro_usd(objects)),
            month_micro_usd: prices.map(|prices| prices.month_micro_usd(uploaded_bytes)),
            cdn_restore_micro_usd: self.store.is_behind_cloudfront().then(|| self.cdn_restore_micro_usd(totals)),
            error: self.failure().map(|error| error.one_line()),
        }
    }

    /// What one restore through CloudFront costs at most: nobody says which edges the distribution has.
    fn cdn_restore_micro_usd(&self, totals: &Totals) -> u64 {
        let raw_bytes = totals.bytes.saturating_sub(totals.hole_bytes);
        let bytes = if self.forms().contains(Form::Zstd) { totals.frame_bytes } else { raw_bytes };
        PriceTable::builtin().cdn.restore_micro_usd(PriceClass::All, bytes, totals.chunks)
    }
}

//! The store that is copied to: what it shows, what it has, and what a run puts there.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::{Error, Options};
use crate::{
    catalog::{self, Proved, Sample, StoreHead},
    format::key,
    progress::Event,
    store::{DynWriteStore, ErrorKind, Put, Stat},
    trust::{MAX_NEW_ROOTS, RootChain},
    types::{ChannelName, Forms, Hash, ObjectKey},
};

/// The store, and what this run put there for one channel.
#[derive(Debug)]
pub(super) struct Destination {
    store: DynWriteStore,
    forms: Forms,
    rehash: bool,
    dry_run: bool,
    done: Mutex<Done>,
}

/// What was put, or would be.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    sample: Sample,
}

/// What is under the name of an object.
enum Found {
    Nothing,
    /// These bytes, which its name is the hash of.
    Right(Vec<u8>),
    Wrong {
        /// In words.
        what: String,
    },
}

/// Refuses a store of another repository, and one that holds chunks in other forms than it is asked to.
///
/// # Errors
/// As [`catalog::check_repo`] and [`catalog::forms_of`].
pub(super) async fn check(options: &Options) -> Result<(), Error> {
    catalog::check_repo(&options.to, options.repo).await?;
    catalog::forms_of(&options.to).await?;
    Ok(())
}

/// The roots of the sources, and those that continue them in the store: its readers see them too.
pub(super) async fn newest_roots(store: &DynWriteStore, mut chain: RootChain) -> Result<RootChain, Error> {
    for _ in 0..MAX_NEW_ROOTS {
        match store.get(&key::root(chain.next_version()), key::ROOT_MAX_BYTES).await {
            // What does not continue the chain counts for no reader.
            Ok(bytes) if chain.push(&bytes).is_ok() => {}
            Ok(_) => break,
            Err(error) if error.kind == ErrorKind::NotFound => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(chain)
}

impl Destination {
    /// The store, made ready for the repository unless it is a dry run.
    pub(super) async fn open(options: &Options, chain: &RootChain) -> Result<Self, Error> {
        let forms = if options.dry_run {
            catalog::forms_of(&options.to).await?
        } else {
            let info = catalog::prepare_store(&options.to, chain).await?;
            if let Some(text) = catalog::one_writer_warning(&options.to).await? {
                options.progress.event(Event::Warning { text });
            }
            info.forms()
        };
        let Options { rehash, dry_run, .. } = *options;
        Ok(Self { store: DynWriteStore::clone(&options.to), forms, rehash, dry_run, done: Mutex::default() })
    }

    /// The forms in which it holds chunks.
    pub(super) fn forms(&self) -> Forms {
        self.forms
    }

    pub(super) fn store(&self) -> &DynWriteStore {
        &self.store
    }

    /// The head that the store shows.
    pub(super) async fn head(&self, chain: &RootChain, channel: &ChannelName) -> Result<StoreHead, Error> {
        Ok(catalog::read_head(&self.store, chain, channel).await?)
    }

    /// Gives the store an object of this name and length, unless it has it; `fetch` gets it where it is needed.
    ///
    /// What a run that ended early left there is not fetched again. A store that says what is there is believed, unless everything is to be
    /// read; from another it is read and proved, and put again all the same, which writes nothing, since its name may not be durable yet.
    /// What has other bytes is replaced where that was asked for.
    pub(super) async fn place(
        &self,
        object: &ObjectKey,
        hash: Hash,
        bytes: u64,
        fetch: impl Future<Output = Result<Vec<u8>, Error>> + Send,
    ) -> Result<(), Error> {
        let told = if self.rehash { Stat::Unsaid } else { self.store.stat(object).await? };
        let found = match told {
            Stat::There { bytes: there } if there == bytes => return Ok(()),
            Stat::There { bytes: there } => Found::Wrong { what: format!("it has {there} bytes, not {bytes}") },
            Stat::Absent => Found::Nothing,
            Stat::Unsaid => self.find(object, hash, bytes).await?,
        };
        match (found, self.dry_run) {
            (Found::Wrong { what }, _) if !self.rehash => return Err(self.damaged(object, what)),
            (Found::Right(_), true) => {}
            (Found::Nothing | Found::Wrong { .. }, true) => self.count(object, bytes),
            (Found::Right(body), false) => drop(self.store.put_new(object, body.into()).await?),
            (Found::Nothing, false) => self.put(object, fetch.await?.into()).await?,
            (Found::Wrong { .. }, false) => self.replace(object, fetch.await?.into()).await?,
        }
        Ok(())
    }

    /// Whether the store has the object.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it has other bytes under its name; [`Error::Store`].
    pub(super) async fn holds(&self, object: &ObjectKey, hash: Hash, bytes: u64) -> Result<bool, Error> {
        match self.find(object, hash, bytes).await? {
            Found::Right(_) => Ok(true),
            Found::Nothing => Ok(false),
            Found::Wrong { what } => Err(self.damaged(object, what)),
        }
    }

    async fn replace(&self, object: &ObjectKey, body: Bytes) -> Result<(), Error> {
        if catalog::put_proved(&self.store, object, &body).await? != Proved::Existed {
            self.count(object, body.len() as u64);
        }
        Ok(())
    }

    fn damaged(&self, object: &ObjectKey, what: String) -> Error {
        Error::Damaged { store: self.store.name().to_owned(), object: object.to_string(), what }
    }

    async fn put(&self, object: &ObjectKey, body: Bytes) -> Result<(), Error> {
        let bytes = body.len() as u64;
        if self.store.put_new(object, body).await? == Put::Created {
            self.count(object, bytes);
        }
        Ok(())
    }

    /// What the store has under a name.
    async fn find(&self, object: &ObjectKey, hash: Hash, bytes: u64) -> Result<Found, Error> {
        let body = match self.store.get(object, bytes).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) if error.kind == ErrorKind::TooLarge => return Ok(Found::Wrong { what: error.reason }),
            got => got?,
        };
        match Hash::of(&body) {
            found if found == hash => Ok(Found::Right(body)),
            found => Ok(Found::Wrong { what: format!("its bytes hash to {found}") }),
        }
    }

    /// Makes everything durable and reads the manifests and a sample of the rest back.
    pub(super) async fn settle(&self, manifests: &[(Hash, u64)]) -> Result<(), Error> {
        self.store.sync().await?;
        for (id, bytes) in manifests {
            catalog::check_object(&self.store, &key::manifest(id), *bytes).await?;
        }
        let sample = self.done().sample;
        for object in sample.objects() {
            catalog::check_object(&self.store, object, key::MANIFEST_MAX_BYTES).await?;
        }
        Ok(())
    }

    /// What was put so far.
    pub(super) fn done(&self) -> Done {
        self.counts().clone()
    }

    fn count(&self, object: &ObjectKey, bytes: u64) {
        let mut done = self.counts();
        done.objects += 1;
        done.bytes += bytes;
        done.sample.add(object);
    }

    fn counts(&self) -> MutexGuard<'_, Done> {
        self.done.lock().expect("no holder of this lock panics")
    }
}

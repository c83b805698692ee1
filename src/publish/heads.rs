//! The heads of the stores: what they name now, and what they name after this run.

use std::sync::Arc;

use super::{Error, Options, previous::Previous, targets::Targets};
use crate::{
    catalog::{
        self, Publisher, StateDir, StoreHead,
        plan::{NextHead, Planned, dropped_warning},
    },
    format::{
        head::{Head, Newest},
        index::OnIpfs,
        key,
    },
    progress::{Event, Phase, Progress, in_one_line},
    store::{self, DynReadStore, DynWriteStore, ErrorKind, Swap},
    trust::Verified,
    types::Forms,
};

/// How long a snapshot stays fetchable after the last head that named it.
const WINDOW_HOURS: u32 = 72;

/// The publisher of the channel, and the head of each store that answers.
#[derive(Debug)]
pub(super) struct Heads {
    publisher: Publisher,
    by_store: Vec<Option<StoreHead>>,
    last_seen: Option<Verified<Head>>,
}

impl Heads {
    /// Finds the repository, adds its roots where they are missing, and reads every head.
    pub(super) async fn open(options: &Options, state: &StateDir, targets: &Targets) -> Result<Self, Error> {
        options.progress.event(Event::Phase { phase: Phase::Discover, total_bytes: None });
        fail_unreachable(options, targets).await?;
        let alive: Vec<DynWriteStore> = targets.alive().iter().map(|index| Arc::clone(&options.stores[index])).collect();
        let publisher = Publisher::open(&alive, state, options.now).await?;
        let last_seen = publisher.last_seen(&options.channel).await?;
        let mut heads = Self { publisher, by_store: vec![None; options.stores.len()], last_seen };
        for index in targets.alive().iter() {
            match heads.open_store(options, &options.stores[index]).await {
                Ok((head, forms)) => {
                    heads.by_store[index] = Some(head);
                    targets.get(index).describe(forms);
                }
                Err(catalog::Error::Store(error)) => targets.get(index).fail(error),
                Err(error) => return Err(error.into()),
            }
        }
        targets.any_alive()?;
        Ok(heads)
    }

    async fn open_store(&self, options: &Options, store: &DynWriteStore) -> Result<(StoreHead, Forms), catalog::Error> {
        let forms = if options.dry_run {
            catalog::forms_of(store).await?
        } else {
            let info = catalog::prepare_store(store, self.publisher.chain()).await?;
            warn_of_one_writer(options, store).await?;
            info.forms()
        };
        let head = catalog::read_head(store, self.publisher.chain(), &options.channel).await?;
        if let Some(reason) = &head.unusable {
            let text = format!("{}: the head that is there does not count and is replaced: {reason}", store.name());
            options.progress.event(Event::Warning { text });
        }
        Ok((head, forms))
    }

    /// The envelopes of the trust roots, from version 1 on.
    pub(super) fn trust_roots(&self) -> Vec<Vec<u8>> {
        self.publisher.chain().envelopes().map(<[u8]>::to_vec).collect()
    }

    /// The head with the highest number: what the next one follows.
    pub(super) fn newest(&self) -> Option<&Verified<Head>> {
        self.usable().map(|(_, head)| head).max_by_key(|head| head.seq)
    }

    fn usable(&self) -> impl Iterator<Item = (usize, &Verified<Head>)> {
        self.by_store.iter().enumerate().filter_map(|(index, found)| Some((index, found.as_ref()?.head.as_ref()?)))
    }

    /// Refuses a database that is older than what the channel offers.
    pub(super) fn check_height(&self, height: Option<u64>) -> Result<(), Error> {
        let head = self.newest().and_then(|head| head.snapshot.height);
        match (head, height) {
            (Some(head), Some(given)) if given < head => Err(Error::Lower { head, given }),
            _ => Ok(()),
        }
    }

    /// Another state of the same block is allowed, and rarely what was meant: the call for a snapshot whose content is new.
    pub(super) fn warn_of_same_height(&self, options: &Options, given: Option<u64>) {
        if let Some(height) = self.newest().and_then(|head| head.snapshot.height)
            && given == Some(height)
        {
            let text = format!("{} has a snapshot of height {height} already, with other data or another block hash", options.channel);
            options.progress.event(Event::Warning { text });
        }
    }

    /// The snapshots that the stores' own heads name. One whose manifest cannot be read counts as none: its objects are put again.
    pub(super) async fn previous(&self, targets: &Targets, progress: &Arc<dyn Progress>) -> Result<Previous, Error> {
        let mut previous = Previous::default();
        for (index, head) in self.usable() {
            let source: [DynReadStore; 1] = [Arc::clone(&targets.get(index).store) as DynReadStore];
            match catalog::fetch_manifest(&source, head, &head.snapshot.to_ref()).await {
                Ok(manifest) => previous.add(head.snapshot.manifest, manifest, index),
                Err(error) => {
                    let text =
                        format!("{}: its current snapshot cannot be read and is put again: {}", source[0].name(), in_one_line(&error));
                    progress.event(Event::Warning { text });
                }
            }
        }
        Ok(previous)
    }

    /// Signs one head and moves every store to it. The first one that can be moved decides: until then, a lost race ends the run,
    /// so that no two publishers show different heads with one number.
    ///
    /// # Errors
    /// [`Error::Lost`] when another publisher was faster on the deciding store; [`Error::AllStoresFailed`].
    pub(super) async fn advance(&mut self, options: &Options, targets: &Targets, newest: &Newest) -> Result<(), Error> {
        let signed = self.sign(options, targets, newest)?;
        let mut decided = false;
        for index in targets.alive().iter() {
            let store = &targets.get(index).store;
            let expected = self.by_store[index].as_ref().and_then(|found| found.tag.as_ref());
            match catalog::write_head(store, expected, &signed).await {
                Ok(Swap::Done(tag)) => {
                    decided = true;
                    self.by_store[index] = Some(StoreHead { head: Some(signed.clone()), unusable: None, tag: Some(tag) });
                }
                Ok(Swap::Lost) if !decided => return Err(lost(options, store)),
                Ok(Swap::Lost) => targets.get(index).fail(lost_race(store, options)),
                Err(catalog::Error::Store(error)) => targets.get(index).fail(error),
                Err(error) => return Err(error.into()),
            }
        }
        targets.any_alive()?;
        self.remember(options, &signed).await;
        Ok(())
    }

    /// The head is live already, so failing to remember it is a warning: the next run reads it from the stores.
    async fn remember(&self, options: &Options, signed: &Verified<Head>) {
        if let Err(error) = self.publisher.remember(signed, options.now).await {
            let text = format!("the new head is live, but this machine could not remember it: {}", in_one_line(&error));
            options.progress.event(Event::Warning { text });
        }
    }

    fn sign(&self, options: &Options, targets: &Targets, newest: &Newest) -> Result<Verified<Head>, Error> {
        let seen = self.usable().map(|(_, head)| head).chain(self.last_seen.as_ref());
        let seq = catalog::plan::next_seq(seen.map(|head| &**head)).map_err(catalog::Error::Plan)?;
        let chain = self.publisher.chain();
        let next = NextHead {
            repo: chain.repo(),
            root_version: chain.newest().version,
            channel: &options.channel,
            seq,
            now: options.now,
            lifetime_secs: options.head_lifetime_secs,
            window_hours: WINDOW_HOURS,
            keep_last: options.keep_last,
            snapshot: newest.clone(),
            previous: self.newest().map(|head| &**head),
            moved: targets.alive().iter().map(|index| self.by_store[index].as_ref()?.head.as_deref()).collect(),
        };
        let Planned { head, dropped } = catalog::plan::next_head(next).map_err(catalog::Error::Plan)?;
        dropped.iter().map(dropped_warning).for_each(|text| options.progress.event(Event::Warning { text }));
        Ok(self.publisher.sign(&head, options.now)?)
    }

    /// Tells the caches before the stores of the new head. They find out by themselves within a minute: failing to is a warning.
    pub(super) async fn announce(&self, options: &Options, targets: &Targets) {
        for index in targets.alive().iter() {
            if let Some(text) = catalog::announce(&targets.get(index).store).await {
                options.progress.event(Event::Warning { text });
            }
        }
    }

    /// Names the channel in every store's index. The index is a hint: failing to write it is a warning.
    pub(super) async fn update_index(&self, options: &Options, targets: &Targets) {
        for index in targets.alive().iter() {
            let store = &targets.get(index).store;
            if let Err(error) = catalog::update_index(store, self.publisher.chain().repo(), &options.channel).await {
                warn_of_index(options, store, &error);
            }
        }
    }
}

impl Heads {
    /// Says in every store's index where the newest snapshot is on IPFS. A hint too.
    pub(super) async fn index_on_ipfs(&self, options: &Options, targets: &Targets, place: &OnIpfs) {
        for index in targets.alive().iter() {
            let store = &targets.get(index).store;
            if let Err(error) = catalog::index_on_ipfs(store, self.publisher.chain().repo(), &options.channel, place).await {
                warn_of_index(options, store, &error);
            }
        }
    }
}

fn warn_of_index(options: &Options, store: &DynWriteStore, error: &catalog::Error) {
    let text = format!("{}: the index could not be updated: {}", store.name(), in_one_line(error));
    options.progress.event(Event::Warning { text });
}

fn lost(options: &Options, store: &DynWriteStore) -> Error {
    Error::Lost { channel: options.channel.clone(), store: store.name().to_owned() }
}

/// A store that cannot keep two publishers apart is still of use to one.
async fn warn_of_one_writer(options: &Options, store: &DynWriteStore) -> Result<(), catalog::Error> {
    if let Some(text) = catalog::one_writer_warning(store).await? {
        options.progress.event(Event::Warning { text });
    }
    Ok(())
}

/// A store that does not answer fails here, so that the others go on without it.
async fn fail_unreachable(options: &Options, targets: &Targets) -> Result<(), Error> {
    for (index, store) in options.stores.iter().enumerate() {
        if let Err(error) = catalog::check_answers(store).await {
            targets.get(index).fail(error);
        }
    }
    targets.any_alive()
}

fn lost_race(store: &DynWriteStore, options: &Options) -> store::Error {
    let object = key::head(&options.channel);
    store::Error::new(ErrorKind::Conflict, store.name(), "swap", object.as_str(), "another publisher was faster")
}

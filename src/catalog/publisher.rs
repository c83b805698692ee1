//! Who publishes: a repository's roots and the keys on this machine that sign for it.

use std::collections::BTreeSet;

use super::{
    ask::GRACE,
    error::Error,
    open::{blocking, newer_roots},
    prepare::repo_in,
    state_dir::StateDir,
};
use crate::{
    format::head::Head,
    store::{DynReadStore, DynWriteStore},
    trust::{
        Answer, Inputs, Offer, RELEASE_DATE, Reason, Refusal, RootChain, SecretKey, Verified, check_clock, check_current, check_head,
        decide, extend_chain, sign_head,
    },
    types::{ChannelName, Hash, Timestamp},
};

/// A repository together with enough of its publish keys.
#[derive(Debug)]
pub struct Publisher {
    chain: RootChain,
    keys: Vec<SecretKey>,
    state: StateDir,
}

impl Publisher {
    /// Finds the repository that the stores hold or, when they are all empty, the one that this machine has keys for;
    /// takes in newer roots that the stores have.
    ///
    /// # Errors
    /// [`Error::NoRepo`]; [`Error::OtherRepo`] when the stores hold different ones; [`Error::State`] when keys are
    /// missing or exposed; [`Error::CannotPublish`] when the newest root has expired or the clock is behind what was seen: readers would
    /// refuse what is signed.
    pub async fn open(stores: &[DynWriteStore], state: &StateDir, now: Timestamp) -> Result<Self, Error> {
        let repo = match common_repo(stores).await? {
            Some(repo) => repo,
            None => blocking(state, |state| Ok(sole_repo(state))).await??,
        };
        let seen = blocking(state, move |state| state.repo(repo)).await?.ok_or(Error::NoRepo)?;
        check_clock(now, RELEASE_DATE, seen.last_time).map_err(|refusal| Error::CannotPublish(Box::new(refusal)))?;
        let chain = newest_chain(stores, state, repo).await?;
        let root = chain.newest().clone();
        if root.expires <= now {
            let reason = Reason::RootExpired { version: root.version, expired: root.expires, now };
            return Err(Error::CannotPublish(Box::new(Refusal::alone(reason))));
        }
        let keys = blocking(state, move |state| state.publish_keys(&root)).await?;
        Ok(Self { chain, keys, state: state.clone() })
    }

    /// The repository's roots.
    #[must_use]
    pub fn chain(&self) -> &RootChain {
        &self.chain
    }

    /// The last head of the channel that this machine has seen or signed.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn last_seen(&self, channel: &ChannelName) -> Result<Option<Verified<Head>>, Error> {
        let repo = self.chain.repo();
        let known = blocking(&self.state, move |state| state.repo(repo)).await?.unwrap_or_default();
        Ok(known.heads.get(channel).and_then(|bytes| check_head(&self.chain, channel, bytes).ok()))
    }

    /// Signs a head, and reads it back as clients will.
    ///
    /// # Errors
    /// [`Error::Sign`]; [`Error::CannotPublish`] when clients would refuse it.
    pub fn sign(&self, head: &Head, now: Timestamp) -> Result<Verified<Head>, Error> {
        let keys: Vec<&SecretKey> = self.keys.iter().collect();
        let envelope = sign_head(head, &keys)?;
        check_current(&self.chain, &head.channel, now, &envelope).map_err(|reason| Error::CannotPublish(Box::new(Refusal::alone(reason))))
    }

    /// Remembers a head that is live in a store, as a client would: this machine accepts no older one any more. Durable.
    ///
    /// # Errors
    /// [`Error::CannotPublish`] when a newer one was seen meanwhile; [`Error::State`].
    pub async fn remember(&self, head: &Verified<Head>, now: Timestamp) -> Result<(), Error> {
        let (repo, channel) = (self.chain.repo(), head.channel.clone());
        let offer = Offer { source: "this machine".to_owned(), answer: Answer::Object(head.bytes().to_vec()) };
        let accept = move |stored: Option<crate::trust::RepoState>| {
            let stored = stored.unwrap_or_default();
            let heads = [offer];
            let inputs = Inputs { repo, channel: &channel, now, release_date: RELEASE_DATE, stored: &stored, roots: &[], heads: &heads };
            let decision = decide(&inputs);
            (decision.state, decision.outcome)
        };
        let outcome = blocking(&self.state, move |state| state.update(repo, accept)).await?;
        outcome.map(|_| ()).map_err(|refusal| Error::CannotPublish(Box::new(refusal)))
    }
}

/// The one repository that the stores hold, as far as they hold any. One of several that does not answer does not count: whoever
/// opens it next finds out.
async fn common_repo(stores: &[DynWriteStore]) -> Result<Option<Hash>, Error> {
    let mut common = None;
    for store in stores {
        let found = match repo_in(store).await {
            Err(Error::Store(_)) if stores.len() > 1 => continue,
            found => found?,
        };
        let Some(found) = found else { continue };
        match common {
            Some(expected) if expected != found => return Err(Error::OtherRepo { store: store.name().to_owned(), expected, found }),
            _ => common = Some(found),
        }
    }
    Ok(common)
}

/// The one repository that this machine can sign for.
pub(super) fn sole_repo(state: &StateDir) -> Result<Hash, Error> {
    let mut able = BTreeSet::new();
    for repo in state.repos()? {
        let known = state.repo(repo)?.unwrap_or_default();
        if let Ok(Some(chain)) = RootChain::from_envelopes(repo, &known.roots)
            && state.publish_keys(chain.newest()).is_ok()
        {
            able.insert(repo);
        }
    }
    let repos: Vec<Hash> = able.into_iter().collect();
    match repos.as_slice() {
        [repo] => Ok(*repo),
        [] => Err(Error::NoRepo),
        _ => Err(Error::CannotPublish(Box::new(Refusal::alone(Reason::RepoConflict { repos })))),
    }
}

/// The roots known here and in the stores. What is new is stored, durably.
async fn newest_chain(stores: &[DynWriteStore], state: &StateDir, repo: Hash) -> Result<RootChain, Error> {
    let known = blocking(state, move |state| state.repo(repo)).await?.ok_or(Error::NoRepo)?;
    let sources: Vec<DynReadStore> = stores.iter().cloned().map(|store| store as DynReadStore).collect();
    let offers = newer_roots(&sources, repo, &known, Vec::new(), GRACE).await;
    let extend = move |known: Option<crate::trust::RepoState>| {
        let mut known = known.unwrap_or_default();
        let chain = match RootChain::from_envelopes(repo, &known.roots) {
            Ok(chain) => chain.or_else(|| crate::trust::begin_chain(repo, &offers)),
            Err(_) => None,
        };
        let chain = chain.map(|mut chain| {
            extend_chain(&mut chain, &offers);
            known.roots = chain.envelopes().map(<[u8]>::to_vec).collect();
            chain
        });
        (known, chain)
    };
    blocking(state, move |state| state.update(repo, extend)).await?.ok_or(Error::NoRepo)
}

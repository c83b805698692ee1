//! Making a store ready for a repository: its roots and its description.

use super::error::Error;
use crate::{
    format::{
        key,
        store_info::{Cas, StoreInfo},
    },
    store::{self, DynWriteStore, ErrorKind, Put, Swap},
    trust::{Envelope, RootChain, Verified, repo_of},
    types::Hash,
};

/// Adds what a store lacks of the repository's roots and its description, durably. Changes nothing in a store of another repository.
///
/// # Errors
/// [`Error::OtherRepo`], [`Error::StoredRoot`] when a root there is not the one of the chain, [`Error::Store`].
pub async fn prepare_store(store: &DynWriteStore, chain: &RootChain) -> Result<(), Error> {
    check_repo(store, chain.repo()).await?;
    let mut written = false;
    for root in chain.roots() {
        let version = root.version;
        if !has_root(store, version, root.hash()).await? {
            put_root(store, version, root).await?;
            written = true;
        }
    }
    if written {
        store.sync().await?;
    }
    describe(store, chain.repo()).await
}

/// Asks a store for something, to learn whether it answers at all: one that does not is left out, and the others go on.
///
/// # Errors
/// Whatever the store says, but for that the object is absent.
pub async fn check_answers(store: &DynWriteStore) -> Result<(), store::Error> {
    match store.get(&key::store_info(), key::STORE_INFO_MAX_BYTES).await {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The repository that a store says it holds; `None` when it is empty.
///
/// # Errors
/// [`Error::StoredRoot`] when it has a first root that is none, [`Error::Store`].
pub(super) async fn repo_in(store: &DynWriteStore) -> Result<Option<Hash>, Error> {
    match store.get(&key::root(1), key::ROOT_MAX_BYTES).await {
        Ok(bytes) => match repo_of(&bytes) {
            Ok((repo, _)) => Ok(Some(repo)),
            Err(e) => Err(Error::StoredRoot { store: store.name().to_owned(), version: 1, source: Some(e) }),
        },
        Err(e) if e.kind == ErrorKind::NotFound => Ok(store_info(store).await?.map(|info| info.repo)),
        Err(e) => Err(e.into()),
    }
}

/// Refuses a store that holds another repository than `expected`.
///
/// # Errors
/// [`Error::OtherRepo`], [`Error::StoredRoot`] when its first root is none, [`Error::Store`].
pub async fn check_repo(store: &DynWriteStore, expected: Hash) -> Result<(), Error> {
    match repo_in(store).await? {
        Some(found) if found != expected => Err(Error::OtherRepo { store: store.name().to_owned(), expected, found }),
        _ => Ok(()),
    }
}

async fn has_root(store: &DynWriteStore, version: u32, payload: Hash) -> Result<bool, Error> {
    match store.get(&key::root(version), key::ROOT_MAX_BYTES).await {
        // The same payload with other signatures is the same root.
        Ok(bytes) if Envelope::parse(&bytes).is_ok_and(|envelope| envelope.payload_hash() == payload) => Ok(true),
        Ok(_) => Err(Error::StoredRoot { store: store.name().to_owned(), version, source: None }),
        Err(e) if e.kind == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e.into()),
    }
}

async fn put_root(store: &DynWriteStore, version: u32, root: &Verified<crate::format::root::Root>) -> Result<(), Error> {
    let put = store.put_new(&key::root(version), root.bytes().to_vec().into()).await?;
    if put == Put::Existed {
        // Another publisher may be about to show it; after our own sync it is there either way.
        store.sync().await?;
    }
    match put {
        Put::Created => Ok(()),
        Put::Existed if has_root(store, version, root.hash()).await? => Ok(()),
        Put::Existed => Err(Error::StoredRoot { store: store.name().to_owned(), version, source: None }),
    }
}

async fn describe(store: &DynWriteStore, repo: Hash) -> Result<(), Error> {
    if store_info(store).await?.is_some() {
        return Ok(());
    }
    let tag = store.get_tagged(&key::store_info(), key::STORE_INFO_MAX_BYTES).await?.map(|(_, tag)| tag);
    // Lost means that somebody else described it, which is as good.
    match store.swap(&key::store_info(), tag.as_ref(), StoreInfo::new(repo, Cas::None).to_bytes().into()).await? {
        Swap::Done(_) | Swap::Lost => Ok(()),
    }
}

/// What the store says of itself; `None` when it does not or cannot be read: it is only a hint.
///
/// # Errors
/// [`Error::Store`].
pub async fn store_info(store: &DynWriteStore) -> Result<Option<StoreInfo>, Error> {
    let stored = store.get_tagged(&key::store_info(), key::STORE_INFO_MAX_BYTES).await?;
    Ok(stored.and_then(|(bytes, _)| StoreInfo::from_bytes(&bytes).ok()))
}

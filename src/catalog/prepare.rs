//! Making a store ready for a repository: its roots and its description.

use super::error::Error;
use crate::{
    format::{
        key,
        store_info::{self, Cas, StoreInfo},
    },
    store::{self, DynWriteStore, ErrorKind, Exclusion, Put, Swap, WantedForms},
    trust::{Envelope, RootChain, Verified, repo_of},
    types::{Forms, Hash},
};

/// Adds what a store lacks of the repository's roots and its description, durably, and gives that description. Changes nothing in a store of
/// another repository.
///
/// # Errors
/// [`Error::OtherRepo`], [`Error::OtherForms`], [`Error::StoredRoot`] when a root there is not the one of the chain, [`Error::Store`].
pub async fn prepare_store(store: &DynWriteStore, chain: &RootChain) -> Result<StoreInfo, Error> {
    check_repo(store, chain.repo()).await?;
    if let Some(info) = store_info(store).await? {
        check_forms(store, &info)?;
    }
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
    let info = describe(store, chain.repo()).await?;
    check_forms(store, &info)?;
    Ok(info)
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

/// What the store says of itself; what it says from now on where it said nothing.
async fn describe(store: &DynWriteStore, repo: Hash) -> Result<StoreInfo, Error> {
    let stored = store.get_tagged(&key::store_info(), key::STORE_INFO_MAX_BYTES).await?;
    match stored.as_ref().map(|(bytes, _)| StoreInfo::from_bytes(bytes)) {
        Some(Ok(info)) => {
            check_exclusion(store, &info).await?;
            return Ok(info);
        }
        // Written again it could say that chunks lie there in a form in which they do not.
        Some(Err(source)) if is_newer(&source) || may_be_other_than_guessed(store).await? => {
            return Err(Error::StoreInfo { store: store.name().to_owned(), source });
        }
        Some(Err(_)) | None => {}
    }
    let info = StoreInfo::new(repo, store.forms().when_new(), cas_of(store.exclusion().await?));
    let tag = stored.map(|(_, tag)| tag);
    match store.swap(&key::store_info(), tag.as_ref(), info.to_bytes().into()).await? {
        Swap::Done(_) => Ok(info),
        // Somebody else described it, perhaps in another way.
        Swap::Lost => Ok(store_info(store).await?.unwrap_or(info)),
    }
}

/// The forms in which a store holds chunks, or will once it is made ready.
///
/// # Errors
/// [`Error::OtherForms`], [`Error::Store`].
pub async fn forms_of(store: &DynWriteStore) -> Result<Forms, Error> {
    let Some(info) = store_info(store).await? else { return Ok(store.forms().when_new()) };
    check_forms(store, &info)?;
    Ok(info.forms())
}

/// Whether nobody says in which form a store holds chunks that may hold them in any.
async fn may_be_other_than_guessed(store: &DynWriteStore) -> Result<bool, Error> {
    Ok(matches!(store.forms(), WantedForms::ByDefault(_)) && store.exclusion().await? != Exclusion::Locks)
}

fn is_newer(error: &store_info::Error) -> bool {
    matches!(error, store_info::Error::OtherFormat { .. })
}

/// A store that kept two writers apart once, and does not now, is not what it was.
async fn check_exclusion(store: &DynWriteStore, info: &StoreInfo) -> Result<(), Error> {
    if info.cas != Cas::None && store.exclusion().await? == Exclusion::None {
        let reason = "it ignores conditions now, although it honoured them when it was set up: another server may answer at its address";
        return Err(store::Error::new(ErrorKind::BadAnswer, store.name(), "probe", "", reason).into());
    }
    Ok(())
}

/// That only one publisher may write to a store, where that is so.
///
/// # Errors
/// [`Error::Store`].
pub async fn one_writer_warning(store: &DynWriteStore) -> Result<Option<String>, Error> {
    let warning = || {
        format!(
            "{} ignores If-Match and If-None-Match, so that two publishers could overwrite each other's heads: only this one may write to it",
            store.name()
        )
    };
    Ok((store.exclusion().await? == Exclusion::None).then(warning))
}

fn cas_of(exclusion: Exclusion) -> Cas {
    match exclusion {
        Exclusion::QuotedTags => Cas::Quoted,
        Exclusion::BareTags => Cas::Bare,
        Exclusion::Locks | Exclusion::None => Cas::None,
    }
}

fn check_forms(store: &DynWriteStore, info: &StoreInfo) -> Result<(), Error> {
    match store.forms() {
        WantedForms::Exactly(wanted) if wanted != info.forms() => {
            Err(Error::OtherForms { store: store.name().to_owned(), wanted, found: info.forms() })
        }
        WantedForms::Exactly(_) | WantedForms::ByDefault(_) => Ok(()),
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

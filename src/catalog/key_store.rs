//! The store of this machine that holds what names chunks, when the chunks themselves are on IPFS alone: roots, heads, manifests and lists. A node of
//! IPFS has no object that can be replaced, so heads cannot live there.

use std::{path::PathBuf, sync::Arc};

use super::{
    error::Error,
    open::blocking,
    publisher::sole_repo,
    state_dir::{StateDir, StateError},
};
use crate::{
    store::{Create, DynWriteStore, LocalStore},
    types::{Forms, Hash},
};

/// The folder of all key stores, in the state directory.
const FOLDER: &str = "key-stores";

/// The key store to publish with: the one that is there, or one for the repository that this machine has keys for.
///
/// # Errors
/// [`Error::NoRepo`]; [`Error::CannotPublish`] when there are several; [`Error::State`], [`Error::Store`].
pub async fn key_store(state: &StateDir) -> Result<DynWriteStore, Error> {
    if let Some(store) = find(state).await? {
        return Ok(store);
    }
    let repo = blocking(state, |state| Ok(sole_repo(state))).await??;
    open(state, repo).await
}

/// The one that is there, if there is just one.
pub(super) async fn find(state: &StateDir) -> Result<Option<DynWriteStore>, Error> {
    match *blocking(state, repos).await? {
        [repo] => open(state, repo).await.map(Some),
        _ => Ok(None),
    }
}

/// The one of a repository; it is made when something is written to it.
pub(super) async fn open(state: &StateDir, repo: Hash) -> Result<DynWriteStore, Error> {
    let (fs, path) = (Arc::clone(&state.fs), path(state).join(repo.to_string()));
    let opened = tokio::task::spawn_blocking(move || LocalStore::open(fs, &path, Create::Yes)).await?;
    Ok(Arc::new(opened?.with_forms(Some(Forms::Neither))))
}

fn path(state: &StateDir) -> PathBuf {
    state.path().join(FOLDER)
}

fn repos(state: &StateDir) -> Result<Vec<Hash>, StateError> {
    let path = path(state);
    match state.fs.read_dir(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(StateError::Io { action: "read", path, source }),
        Ok(entries) => Ok(entries.iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect()),
    }
}

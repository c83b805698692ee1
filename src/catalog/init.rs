//! Making a repository: one root key, one publish key, the first root.

use jiff::SignedDuration;

use super::{
    channels::create_index,
    error::Error,
    key_store,
    open::blocking,
    prepare::{prepare_store, repo_in},
    publisher::sole_repo,
    state_dir::{StateDir, StateError},
};
use crate::{
    format::{
        key,
        root::{ChannelGlob, Role, Root},
    },
    store::DynWriteStore,
    trust::{KeyId, RepoState, RootChain, SecretKey, repo_of, sign_root},
    types::{Hash, Timestamp},
};

/// How long a root is valid.
const ROOT_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);

/// What became of an [`init`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initialised {
    /// The repository is new, trusted on this machine, and its keys are in the state directory.
    Created {
        /// The repository.
        repo: Hash,
        /// The key that signs roots.
        root_key: KeyId,
        /// The key that signs heads.
        publish_key: KeyId,
        /// When the first root expires.
        expires: Timestamp,
    },
    /// The store holds a repository of this machine already; nothing was changed.
    Already {
        /// The repository.
        repo: Hash,
    },
}

/// Makes a repository in an empty store, with one root key and one publish key, and trusts it on this machine.
///
/// Whatever is interrupted, the same call completes: the keys are durable before the store names them.
///
/// # Errors
/// [`Error::AlreadyInUse`] when the store holds a repository whose keys are not here; [`Error::State`]; [`Error::Store`].
pub async fn init(store: &DynWriteStore, name: &str, state: &StateDir, now: Timestamp) -> Result<Initialised, Error> {
    if let Some(repo) = repo_in(store).await? {
        return adopt(store, state, repo).await;
    }
    let made = Made::generate(name, state, now).await?;
    made.put(store, state).await
}

/// Keys and a first root that no store has yet.
struct Made {
    chain: RootChain,
    root_key: KeyId,
    publish_key: KeyId,
    expires: Timestamp,
}

impl Made {
    async fn generate(name: &str, state: &StateDir, now: Timestamp) -> Result<Self, Error> {
        let (root_key, publish_key) = blocking(state, |state| Ok((state.generate_key()?, state.generate_key()?))).await?;
        let root = first_root(name, &root_key, &publish_key, now);
        let envelope = sign_root(&root, &[&root_key])?;
        let chain = start("the first root", &envelope)?;
        Ok(Self { chain, root_key: root_key.id(), publish_key: publish_key.id(), expires: root.expires })
    }

    async fn put(self, store: &DynWriteStore, state: &StateDir) -> Result<Initialised, Error> {
        let Self { chain, root_key, publish_key, expires } = self;
        prepare_store(store, &chain).await?;
        create_index(store, chain.repo()).await?;
        trust(state, &chain).await?;
        Ok(Initialised::Created { repo: chain.repo(), root_key, publish_key, expires })
    }
}

/// The same with a key store of this machine in place of a store, for who publishes to nodes of IPFS alone. It is that of the repository that this
/// machine has keys for already, if there is one.
///
/// # Errors
/// As [`init`].
pub async fn init_key_store(name: &str, state: &StateDir, now: Timestamp) -> Result<(DynWriteStore, Initialised), Error> {
    if let Some(store) = key_store::find(state).await? {
        let initialised = init(&store, name, state, now).await?;
        return Ok((store, initialised));
    }
    match blocking(state, |state| Ok(sole_repo(state))).await? {
        // It publishes to other stores, and from now on to a node too.
        Ok(repo) => {
            let store = key_store::open(state, repo).await?;
            let known = blocking(state, move |state| state.repo(repo)).await?.ok_or(Error::NoRepo)?;
            let chain = RootChain::from_envelopes(repo, &known.roots).ok().flatten().ok_or(Error::NoRepo)?;
            prepare_store(&store, &chain).await?;
            create_index(&store, repo).await?;
            Ok((store, Initialised::Already { repo }))
        }
        Err(Error::NoRepo) => {
            let made = Made::generate(name, state, now).await?;
            let store = key_store::open(state, made.chain.repo()).await?;
            let initialised = made.put(&store, state).await?;
            Ok((store, initialised))
        }
        Err(error) => Err(error),
    }
}

/// Says that a repository of this machine is there, and trusts it where a run was interrupted before it did.
async fn adopt(store: &DynWriteStore, state: &StateDir, repo: Hash) -> Result<Initialised, Error> {
    let in_use = || Error::AlreadyInUse { store: store.name().to_owned(), found: repo };
    let envelope = store.get(&key::root(1), key::ROOT_MAX_BYTES).await?;
    let chain = start(store.name(), &envelope)?;
    let root = chain.newest().clone();
    if !blocking(state, move |state| holds_a_root_key(state, &root)).await? {
        return Err(in_use());
    }
    prepare_store(store, &chain).await?;
    create_index(store, repo).await?;
    trust(state, &chain).await?;
    Ok(Initialised::Already { repo })
}

fn holds_a_root_key(state: &StateDir, root: &Root) -> Result<bool, StateError> {
    for key in root.keys_of(&root.root) {
        if state.key(&KeyId::of(&key))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn start(store: &str, envelope: &[u8]) -> Result<RootChain, Error> {
    repo_of(envelope).and_then(|(repo, _)| RootChain::start(repo, envelope)).map_err(|e| Error::StoredRoot {
        store: store.to_owned(),
        version: 1,
        source: Some(e),
    })
}

async fn trust(state: &StateDir, chain: &RootChain) -> Result<(), Error> {
    let roots: Vec<Vec<u8>> = chain.envelopes().map(<[u8]>::to_vec).collect();
    let learn = move |known: Option<RepoState>| {
        let mut known = known.unwrap_or_default();
        if known.roots.len() < roots.len() {
            known.roots = roots;
        }
        (known, ())
    };
    let repo = chain.repo();
    blocking(state, move |state| state.update(repo, learn)).await
}

fn first_root(name: &str, root_key: &SecretKey, publish_key: &SecretKey, now: Timestamp) -> Root {
    let id = |key: &SecretKey| key.id().to_string();
    let role = |key: &SecretKey| Role { keys: vec![id(key)], threshold: 1 };
    Root {
        name: name.to_owned(),
        version: 1,
        issued: now,
        expires: now.saturating_add(ROOT_LIFETIME).unwrap_or(Timestamp::MAX),
        keys: [root_key, publish_key].map(|key| (id(key), key.public().bytes())).into(),
        root: role(root_key),
        publish: role(publish_key),
        channels: vec![ChannelGlob::all()],
    }
}

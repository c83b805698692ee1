//! Machines in memory: what lies on their disks, and the runs on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use qsync::{
    catalog::{self, Initialised, StateDir},
    fs::{Fs, Kind, MemoryFs, Open},
    progress::{NoProgress, Stop},
    publish,
    restore::{self, Existing, Partial},
    store::{DynReadStore, DynWriteStore, MemoryStore},
    trust::RELEASE_DATE,
    types::{ChannelName, ChunkSize, Hash, Timestamp},
};

/// Length of a chunk.
pub(super) const CHUNK: usize = 65_536;
/// Where a provider's database lies.
pub(super) const DATA: &str = "/provider/data";
/// A provider's state directory.
pub(super) const PROVIDER_STATE: &str = "/provider/state";
/// What lies below it is on a file system of its own.
pub(super) const OPERATOR: &str = "/operator";
/// Where an operator restores to.
pub(super) const TARGET: &str = "/operator/node";
/// An operator's state directory.
pub(super) const OPERATOR_STATE: &str = "/state/operator";

/// The files of a database, and its empty directories as `None`.
pub(super) type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Bytes that differ from chunk to chunk and are no zeros.
pub(super) fn painted(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i / CHUNK * 31 + seed) as u8 | 1).collect()
}

fn holed(data: usize, holes: usize, seed: usize) -> Vec<u8> {
    let mut bytes = painted(data, seed);
    bytes.resize(data + holes, 0);
    bytes
}

/// A database in one of its versions: tables that stay, come and go, one with a list, one with holes, one that changes in place.
pub(super) fn database(version: usize) -> Files {
    let mut in_place = painted(3 * CHUNK, 40);
    in_place[CHUNK..CHUNK + 100].fill(version as u8);
    let files = [
        ("CURRENT", vec![version as u8; 7]),
        ("db/000001.sst", painted(5 * CHUNK + 100, 2)),
        ("db/in-place", in_place),
        ("db/none", Vec::new()),
        ("db/sparse", holed(CHUNK, 5 * CHUNK, version)),
    ];
    let table = format!("db/{version:06}.table");
    let mut files: Files = files.into_iter().map(|(path, bytes)| (path.into(), Some(bytes))).collect();
    files.insert(table.into(), Some(painted(2 * CHUNK, 10 + version)));
    files.extend([("db".into(), None), ("empty".into(), None)]);
    files
}

/// Makes `files` the content of a directory, durably.
pub(super) fn write_tree(fs: &MemoryFs, dir: &str, files: &Files) {
    let dir = Path::new(dir);
    fs.remove_tree(dir).unwrap();
    fs.create_dir_all(dir, 0o755).unwrap();
    for (path, content) in files {
        let path = dir.join(path);
        match content {
            None => fs.create_dir_all(&path, 0o755).unwrap(),
            Some(bytes) => {
                fs.create_dir_all(path.parent().unwrap(), 0o755).unwrap();
                fs.open(&path, Open::CreateNew(0o644)).unwrap().write_all_at(bytes, 0).unwrap();
            }
        }
    }
    fs.sync_fs(dir).unwrap();
    fs.sync_dir(dir.parent().unwrap()).unwrap();
}

/// Everything in a directory; `None` when it is absent.
pub(super) fn read_tree(fs: &MemoryFs, dir: impl AsRef<Path>) -> Option<Files> {
    let dir = dir.as_ref();
    fs.stat(dir).ok()?;
    let mut files = Files::new();
    walk(fs, dir, Path::new(""), &mut files);
    Some(files)
}

fn walk(fs: &MemoryFs, top: &Path, below: &Path, files: &mut Files) {
    for entry in fs.read_dir(&top.join(below)).unwrap() {
        let path = below.join(&entry.name);
        if entry.kind == Kind::Dir {
            files.insert(path.clone(), None);
            walk(fs, top, &path, files);
        } else {
            files.insert(path.clone(), Some(fs.read(&top.join(&path), 1 << 30).unwrap()));
        }
    }
}

/// The names in a directory.
pub(super) fn names(fs: &MemoryFs, dir: impl AsRef<Path>) -> Vec<String> {
    fs.read_dir(dir.as_ref()).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
}

pub(super) fn channel() -> ChannelName {
    "demo/generic".parse().unwrap()
}

/// The time of every run.
pub(super) fn now() -> Timestamp {
    RELEASE_DATE + jiff::SignedDuration::from_hours(1)
}

/// Makes a repository in a store.
pub(super) async fn init(fs: &MemoryFs, store: &DynWriteStore) -> Hash {
    let state = StateDir::open(Arc::new(fs.clone()), PROVIDER_STATE).unwrap();
    match catalog::init(store, "test", &state, now()).await.unwrap() {
        Initialised::Created { repo, .. } | Initialised::Already { repo } => repo,
    }
}

/// A run that publishes what lies in [`DATA`].
pub(super) fn publishing(fs: &MemoryFs, stores: Vec<DynWriteStore>) -> publish::Options {
    publish::Options {
        channel: channel(),
        data_dir: DATA.into(),
        node: publish::Node::default(),
        stores,
        unopened: Vec::new(),
        ipfs: None,
        ipfs_failed: None,
        height: None,
        block_hash: None,
        chunk_size: ChunkSize::try_from(CHUNK as u64).unwrap(),
        level: 1,
        allow_secrets: Vec::new(),
        assume_stopped: false,
        rehash: false,
        dry_run: false,
        head_lifetime_secs: 3600,
        keep_last: 3,
        threads: 2,
        state_dir: PROVIDER_STATE.into(),
        now: now(),
        fs: Arc::new(fs.clone()),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    }
}

/// A run that restores the newest snapshot of a source into [`TARGET`].
pub(super) fn restoring(fs: &MemoryFs, source: DynReadStore, pin: Hash) -> restore::Options {
    restore::Options {
        expected: restore::Expected::default(),
        channel: channel(),
        when: None,
        by_cid: None,
        sources: vec![source],
        target: TARGET.into(),
        existing: Existing::Refuse,
        seeds: Vec::new(),
        rehash: false,
        partial: Partial::Continue,
        check_rpc: None,
        owner: None,
        dry_run: false,
        accept_cost: false,
        read_from: qsync::sources::ReadFrom::Internet,
        memory_bytes: 64 << 20,
        threads: 2,
        engine: qsync::sources::Settings { max_wait: std::time::Duration::from_secs(60), ..Default::default() },
        pin: Some(pin),
        state_dir: OPERATOR_STATE.into(),
        home: None,
        now: now(),
        fs: Arc::new(fs.clone()),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    }
}

/// An operator's disk, on which an older database or none is in use.
pub(super) fn operator_disk(old: Option<&Files>) -> MemoryFs {
    let fs = MemoryFs::new();
    write_tree(&fs, OPERATOR, &[("neighbour".into(), Some(b"somebody else's".to_vec()))].into());
    fs.separate(Path::new(OPERATOR)).unwrap();
    if let Some(old) = old {
        write_tree(&fs, TARGET, old);
    }
    fs
}

/// A provider that publishes one version of its database after the other into a store in memory.
pub(super) struct Provider {
    fs: MemoryFs,
    pub(super) store: MemoryStore,
    pub(super) pin: Hash,
}

impl Provider {
    pub(super) async fn new() -> Self {
        let (fs, store) = (MemoryFs::new(), MemoryStore::new("store"));
        let writable: DynWriteStore = Arc::new(store.clone());
        let pin = init(&fs, &writable).await;
        Self { fs, store, pin }
    }

    pub(super) async fn publish(&self, files: &Files) {
        write_tree(&self.fs, DATA, files);
        publish::run(publishing(&self.fs, vec![Arc::new(self.store.clone())])).await.unwrap();
    }
}

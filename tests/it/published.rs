//! Stores that released versions wrote, kept in `tests/data/published/`, must restore for ever. They are never edited; a change of the
//! format adds a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use qsync::{
    catalog::{StateDir, prepare_store},
    format::root::{ChannelGlob, Role, Root},
    fs::RealFs,
    store::{Create, DynWriteStore, LocalStore},
    trust::{RootChain, repo_of, sign_root},
};

use crate::support::{CHANNEL, World, command::Qsync, tree};

/// Where the kept stores are.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/published")
}

#[test]
fn every_published_store_still_restores() {
    let folders: Vec<_> = fs::read_dir(kept()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty());
    for folder in folders {
        restores(&folder);
    }
}

/// Set `QSYNC_KEEP_STORE` to a folder's path to keep what this makes there: so the folder of a release is made.
#[test]
fn this_version_makes_a_store_that_can_be_kept() {
    let world = World::new();
    let folder = std::env::var_os("QSYNC_KEEP_STORE").map_or_else(|| world.path("kept"), PathBuf::from);
    make(&folder, &world);
    restores(&folder);
}

fn restores(folder: &Path) {
    let world = World::new();
    let pin = fs::read_to_string(folder.join("pin")).unwrap();
    world.restore_from(folder.join("store").to_str().unwrap(), pin.trim()).summary();
    let sums = fs::read_to_string(folder.join("b3sums")).unwrap();
    assert_eq!(listing(&world.target()), sums, "{}", folder.display());
}

/// A line for every entry below a directory: its BLAKE3 and path.
fn listing(dir: &Path) -> String {
    let line = |(path, hash): (PathBuf, Option<blake3::Hash>)| match hash {
        Some(hash) => format!("{hash}  {}\n", path.display()),
        None => format!("directory  {}\n", path.display()),
    };
    tree::snapshot(dir).into_iter().map(line).collect()
}

/// A store with every shape of file in a few kilobytes, signed for a hundred years.
fn make(folder: &Path, world: &World) {
    let data = world.path("data");
    fs::create_dir_all(data.join("empty/deeper")).unwrap();
    fs::write(data.join("zero-length"), "").unwrap();
    tree::write(&data.join("one-byte"), 1);
    fs::write(data.join("text"), "the same line\n".repeat(9)).unwrap();
    fs::write(data.join("one-chunk"), vec![b'x'; tree::CHUNK as usize]).unwrap();
    fs::write(data.join("six-chunks"), "block 0123456789\n".repeat(350_000)).unwrap();
    tree::make_sparse(&data.join("empty/sparse"), 9 * tree::CHUNK + 5, &[4 * tree::CHUNK - 2]);
    fs::create_dir_all(folder).unwrap();
    let pin = init_for_a_century(&folder.join("store"), &world.path("keys"));
    fs::write(folder.join("pin"), format!("{pin}\n")).unwrap();
    let publish = Qsync::with_state(world.path("keys")).args(["publish", CHANNEL, "--height", "7", "--block-hash", "0x07"]);
    publish.args(["--head-lifetime", "36500d", "--to"]).arg(folder.join("store")).arg(&data).summary();
    fs::write(folder.join("b3sums"), listing(&data)).unwrap();
}

/// As `qsync init`, but for the expiry of the root.
fn init_for_a_century(store: &Path, state: &Path) -> String {
    let state = StateDir::open(Arc::new(RealFs), state).unwrap();
    let (root_key, publish_key) = (state.generate_key().unwrap(), state.generate_key().unwrap());
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    let role = |key: &qsync::trust::SecretKey| Role { keys: vec![key.id().as_str().to_owned()], threshold: 1 };
    let root = Root {
        name: "kept".to_owned(),
        version: 1,
        issued: now,
        expires: now + jiff::SignedDuration::from_hours(100 * 365 * 24),
        keys: [&root_key, &publish_key].into_iter().map(|key| (key.id().as_str().to_owned(), key.public().bytes())).collect(),
        root: role(&root_key),
        publish: role(&publish_key),
        channels: vec![ChannelGlob::all()],
    };
    let envelope = sign_root(&root, &[&root_key]).unwrap();
    let (repo, _) = repo_of(&envelope).unwrap();
    state.pin(repo).unwrap();
    let store: DynWriteStore = Arc::new(LocalStore::open(Arc::new(RealFs), store, Create::Yes).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(prepare_store(&store, &RootChain::start(repo, &envelope).unwrap())).unwrap();
    format!("b3:{repo}")
}

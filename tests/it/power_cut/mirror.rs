//! Power cuts during mirroring. P8

use std::sync::Arc;

use qsync::{
    catalog::StateDir,
    fs::{Fs, MemoryFs},
    ops::mirror,
    progress::{NoProgress, Stop},
    sources::{Form, Settings, Sources},
    store::DynReadStore,
};
use tokio::runtime::Runtime;

use super::{
    at_every_operation,
    machine::{Files, Provider, database, now},
    publish::{check_objects, shown, writable},
    runtime,
};

const STORE: &str = "/mirror/store";
const STATE: &str = "/mirror/state";

/// Copies everything that the provider has published.
async fn copy(provider: &Provider, disk: &MemoryFs) {
    let source: DynReadStore = Arc::new(provider.store.clone());
    let chunks = Sources::new(vec![(Arc::clone(&source), Form::Framed)], Settings::default(), Arc::new(NoProgress));
    let options = mirror::Options {
        channels: Vec::new(),
        sources: vec![source],
        chunks: Arc::new(chunks),
        to: writable(disk, STORE),
        repo: provider.pin,
        state: StateDir::open(Arc::new(disk.clone()), STATE).unwrap(),
        rehash: false,
        dry_run: false,
        now: now(),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    };
    let mirrored = mirror::run(options).await.unwrap();
    assert!(mirrored.failures.is_empty(), "{:?}", mirrored.failures);
}

fn check(runtime: &Runtime, provider: &Provider, disk: &MemoryFs, old: &Option<Files>, new: &Files) {
    check_objects(disk, STORE);
    let found = runtime.block_on(shown(disk, STORE, provider.pin));
    assert!(found == *old || found.as_ref() == Some(new), "the mirror shows neither the old snapshot nor the new one");
    runtime.block_on(copy(provider, disk));
    check_objects(disk, STORE);
    assert!(runtime.block_on(shown(disk, STORE, provider.pin)).as_ref() == Some(new), "the mirror does not show the new snapshot");
}

// ST-06
#[test]
fn a_mirror_that_loses_power_at_any_operation_shows_what_it_showed_or_the_newest_snapshot() {
    let runtime = runtime();
    let provider = runtime.block_on(Provider::new());
    let disk = MemoryFs::new();
    disk.create_dir_all(STORE.as_ref(), 0o755).unwrap();
    disk.sync_fs("/".as_ref()).unwrap();
    disk.separate(STORE.as_ref()).unwrap();
    let mut old = None;
    // The first time everything is copied, the second time what is new.
    for version in [1, 2] {
        let new = database(version);
        runtime.block_on(provider.publish(&new));
        let operations = at_every_operation(&runtime, &disk, copy(&provider, &disk), |disk| check(&runtime, &provider, disk, &old, &new));
        assert!(operations >= 40, "only {operations} operations were looked at");
        old = Some(new);
    }
}

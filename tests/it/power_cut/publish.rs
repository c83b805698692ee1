//! Power cuts during publishing. P8

use std::{path::Path, sync::Arc};

use qsync::{
    fs::{Fs, MemoryFs},
    publish, restore,
    store::{Create, DynReadStore, DynWriteStore, LocalReader, LocalStore},
    types::Hash,
};
use tokio::runtime::Runtime;

use super::{
    at_every_operation,
    machine::{DATA, Files, TARGET, database, init, names, operator_disk, publishing, read_tree, restoring, write_tree},
    runtime,
};

/// A file system of its own.
const DISK: &str = "/stores";
/// Where a machine's stores lie.
const STORES: [&str; 2] = ["/stores/first", "/stores/second"];
/// Folders of objects that are named by the hash of their bytes.
const IMMUTABLE: [&str; 3] = ["chunks", "lists", "manifests"];

/// A publish that loses power.
struct Publish {
    /// The provider's disk before, with its stores.
    disk: MemoryFs,
    pin: Hash,
    /// The stores that are published to.
    stores: &'static [&'static str],
    /// What each of these stores shows before.
    old: Vec<Option<Files>>,
    /// What they show after.
    new: Files,
}

impl Publish {
    /// Publishes `versions` to the first store, and prepares the next version to be published to all of them.
    fn after(runtime: &Runtime, versions: &[usize], stores: &'static [&'static str]) -> Self {
        let disk = provider_disk();
        let pin = runtime.block_on(init(&disk, &writable(&disk, STORES[0])));
        for version in versions {
            write_tree(&disk, DATA, &database(*version));
            runtime.block_on(publish::run(publishing(&disk, vec![writable(&disk, STORES[0])]))).unwrap();
        }
        let shown = |store: &&str| versions.last().filter(|_| *store == STORES[0]).map(|version| database(*version));
        let new = database(versions.len() + 1);
        write_tree(&disk, DATA, &new);
        Self { disk, pin, stores, old: stores.iter().map(shown).collect(), new }
    }

    /// Runs it with power cuts at every operation, of which there must be at least so many.
    fn survives_power_cuts(&self, runtime: &Runtime, least_operations: u64) {
        let operations = at_every_operation(runtime, &self.disk, self.run(&self.disk), |disk| self.check(runtime, disk));
        assert!(operations >= least_operations, "only {operations} operations were looked at");
    }

    async fn run(&self, disk: &MemoryFs) {
        let stores = self.stores.iter().map(|store| writable(disk, store)).collect();
        let summary = publish::run(publishing(disk, stores)).await.unwrap();
        assert!(summary.stores.iter().all(|store| store.error.is_none()), "{:?}", summary.stores);
    }

    fn check(&self, runtime: &Runtime, disk: &MemoryFs) {
        for (store, old) in self.stores.iter().zip(&self.old) {
            check_objects(disk, store);
            let shown = runtime.block_on(shown(disk, store, self.pin));
            assert!(shown == *old || shown.as_ref() == Some(&self.new), "{store} shows neither the old nor the new snapshot");
        }
        runtime.block_on(self.run(disk));
        for store in self.stores {
            check_objects(disk, store);
            assert!(runtime.block_on(shown(disk, store, self.pin)).as_ref() == Some(&self.new), "{store} does not show the new snapshot");
            assert_eq!(names(disk, format!("{store}/.qsync-staging")), ["lock"], "{store}");
        }
        assert!(read_tree(disk, DATA).as_ref() == Some(&self.new), "the data directory is not what it was");
    }
}

/// What an operator who sees the store for the first time restores from it; `None` when there is no head.
pub(super) async fn shown(disk: &MemoryFs, store: &str, pin: Hash) -> Option<Files> {
    disk.stat(Path::new(&format!("{store}/heads/demo/generic.json"))).ok()?;
    let operator = operator_disk(None);
    restore::run(restoring(&operator, readable(disk, store), pin)).await.unwrap();
    read_tree(&operator, TARGET)
}

fn provider_disk() -> MemoryFs {
    let disk = MemoryFs::new();
    for dir in ["/provider", DISK] {
        disk.create_dir(Path::new(dir), 0o755).unwrap();
    }
    disk.sync_fs(Path::new("/")).unwrap();
    disk.separate(Path::new(DISK)).unwrap();
    disk
}

pub(super) fn writable(disk: &MemoryFs, root: &str) -> DynWriteStore {
    Arc::new(LocalStore::open(Arc::new(disk.clone()), Path::new(root), Create::Yes).unwrap())
}

fn readable(disk: &MemoryFs, root: &str) -> DynReadStore {
    Arc::new(LocalReader::open(Arc::new(disk.clone()), Path::new(root)).unwrap())
}

/// Whatever has the name of an object is one, whether a head names it or not.
pub(super) fn check_objects(disk: &MemoryFs, store: &str) {
    for folder in IMMUTABLE {
        let entries = read_tree(disk, format!("{store}/{folder}")).unwrap_or_default();
        for (path, bytes) in entries.iter().filter_map(|(path, content)| Some((path, content.as_ref()?))) {
            assert_eq!(Hash::of(bytes).to_string(), path.file_name().unwrap().to_string_lossy(), "{folder}/{}", path.display());
        }
    }
}

// ST-06, PU-04
#[test]
fn a_first_publish_that_loses_power_at_any_operation_shows_nothing_and_is_finished_by_the_next() {
    let runtime = runtime();
    Publish::after(&runtime, &[], &STORES[..1]).survives_power_cuts(&runtime, 60);
}

// ST-06, PU-04
#[test]
fn a_publish_that_loses_power_at_any_operation_shows_the_old_snapshot_or_the_new_one() {
    let runtime = runtime();
    Publish::after(&runtime, &[1], &STORES[..1]).survives_power_cuts(&runtime, 40);
}

// ST-06, PU-04
#[test]
fn a_publish_into_two_stores_that_loses_power_at_any_operation_is_completed_in_both() {
    let runtime = runtime();
    Publish::after(&runtime, &[1], &STORES).survives_power_cuts(&runtime, 100);
}

// ST-06
#[test]
fn a_repository_whose_making_loses_power_at_any_operation_is_made_by_the_next() {
    let runtime = runtime();
    let disk = provider_disk();
    let make = async |disk: &MemoryFs| init(disk, &writable(disk, STORES[0])).await;
    let run = async {
        make(&disk).await;
    };
    let operations = at_every_operation(&runtime, &disk, run, |disk| {
        let pin = runtime.block_on(make(disk));
        let new = database(1);
        write_tree(disk, DATA, &new);
        let publish = Publish { disk: MemoryFs::new(), pin, stores: &STORES[..1], old: vec![None], new };
        runtime.block_on(publish.run(disk));
        assert!(runtime.block_on(shown(disk, STORES[0], pin)) == Some(publish.new));
    });
    assert!(operations >= 30, "only {operations} operations were looked at");
}

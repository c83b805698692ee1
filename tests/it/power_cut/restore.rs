//! Power cuts during restores. P1, P2, P3

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use qsync::{
    disk::{
        have::Have,
        mode::{Mode, Phase, Purpose},
        staging::{Staging, Version},
    },
    format::manifest::Manifest,
    fs::{Fs, MemoryFs, Open, Unsynced},
    progress::{NoProgress, Stop},
    restore::{self, Error, Existing, Options, Partial, verify},
    store::{Action, Call, MemoryStore, RecordStore},
};
use tokio::runtime::Runtime;

use super::{
    at_every_operation,
    machine::{
        CHUNK, Files, OPERATOR, OPERATOR_STATE, Provider, TARGET, database, names, operator_disk, painted, read_tree, restoring, write_tree,
    },
    runtime,
};

/// Where what a change in place needs lies, in the target.
const INSIDE: &str = ".qsync-partial";

/// A restore that loses power.
struct Restore {
    provider: Provider,
    /// The operator's disk before.
    disk: MemoryFs,
    /// How this restore differs from a plain one.
    options: fn(Options) -> Options,
    /// What is in the target before it.
    old: Option<Files>,
    /// What must be there after it.
    new: Files,
    /// Chunks that an earlier run has journaled.
    journaled: u64,
    /// Chunks that lie in local directories for as long as they are needed.
    spared: u64,
}

impl Restore {
    fn options(&self, disk: &MemoryFs, source: &Arc<RecordStore<MemoryStore>>) -> Options {
        (self.options)(restoring(disk, Arc::clone(source) as _, self.provider.pin))
    }

    fn source(&self) -> Arc<RecordStore<MemoryStore>> {
        Arc::new(RecordStore::new(self.provider.store.clone()))
    }

    /// Runs it with power cuts at every operation, of which there must be at least so many.
    fn survives_power_cuts(&self, runtime: &Runtime, least_operations: u64) {
        let run = async {
            restore::run(self.options(&self.disk, &self.source())).await.unwrap();
        };
        let operations = at_every_operation(runtime, &self.disk, run, |disk| self.check(runtime, disk));
        assert!(operations >= least_operations, "only {operations} operations were looked at");
        self.check_finished(runtime, &self.disk);
    }

    fn check(&self, runtime: &Runtime, disk: &MemoryFs) {
        self.check_nothing_is_half_done(disk);
        let journaled = self.journaled_on(disk);
        assert!(journaled >= self.journaled, "chunks are lost: {journaled} are there");
        let source = self.source();
        runtime.block_on(restore::run(self.options(disk, &source))).unwrap();
        let fetched = source.calls().iter().filter(|call| is_chunk(call)).count() as u64;
        let spared = journaled.max(self.spared);
        assert!(fetched + spared <= chunks(&self.new), "{fetched} fetched, {journaled} were there, {} need not be fetched", self.spared);
        self.check_finished(runtime, disk);
    }

    /// P1, P2
    fn check_nothing_is_half_done(&self, disk: &MemoryFs) {
        let mut found = read_tree(disk, TARGET);
        let left = Staging::peek(disk, Path::new(TARGET)).unwrap();
        // P1 and P2 are not promised while it is marked: it must only be told from a database.
        let is_marked = left.is_some_and(|left| left.mode == Mode::InPlace(Purpose::Restore, Phase::Incomplete));
        if self.is_in_place() {
            found = found.map(|files| files.into_iter().filter(|(path, _)| !path.starts_with(INSIDE)).collect());
        }
        assert!(
            is_marked || found == self.old || found.as_ref() == Some(&self.new),
            "the target holds neither the old nor the new: {:?}",
            shape(&found)
        );
        assert_eq!(disk.read(Path::new("/operator/neighbour"), 100).unwrap(), b"somebody else's");
    }

    /// How many chunks the next run need not fetch: those that the journal speaks of, each of which must be there. Without a journal what is
    /// there counts, because it is hashed; and all count once the database is in place.
    fn journaled_on(&self, disk: &MemoryFs) -> u64 {
        if read_tree(disk, TARGET).as_ref() == Some(&self.new) {
            return chunks(&self.new);
        }
        if self.is_in_place() {
            return 0;
        }
        // Finding out changes the disk, so it is done on a copy.
        let disk: Arc<dyn Fs> = Arc::new(disk.power_cut_with(Unsynced::Kept));
        let Some(staging) = Staging::find(Arc::clone(&disk), Path::new(TARGET), Version::Readable).unwrap() else { return 0 };
        let Some(pin) = staging.pin().unwrap() else { return 0 };
        let manifest = Manifest::parse_stored(&pin.manifest.bytes, pin.manifest.json_bytes).unwrap();
        let have = staging.resume(&manifest, &pin.manifest.id).unwrap().map(|(_, have)| have);
        self.trusted(&*disk, &staging, &manifest, have.as_ref())
    }

    /// The chunks of the new snapshot that are there and, where there is a journal, in it.
    fn trusted(&self, disk: &dyn Fs, staging: &Staging, manifest: &Manifest, have: Option<&Have>) -> u64 {
        let mut trusted = 0;
        for (position, file) in manifest.files().iter().enumerate() {
            let path = Path::new(file.path.as_str());
            let Some(Some(expected)) = self.new.get(path) else { continue };
            let found = disk.read(&staging.data().join(path), 1 << 30).unwrap_or_default();
            for (index, chunk) in expected.chunks(CHUNK).enumerate() {
                let is_there = found.chunks(CHUNK).nth(index) == Some(chunk);
                let journaled = have.is_none_or(|have| have.contains(position, index as u64));
                // The pinned snapshot may be an older one, of which not every chunk is in the new one.
                assert!(
                    is_there || !journaled || have.is_none() || self.carries_over(),
                    "chunk {index} of {} is journaled and not there",
                    path.display()
                );
                trusted += u64::from(is_there && journaled && chunk.iter().any(|byte| *byte != 0));
            }
        }
        trusted
    }

    fn is_in_place(&self) -> bool {
        self.options(&self.disk, &self.source()).existing == Existing::InPlace
    }

    fn carries_over(&self) -> bool {
        self.options(&self.disk, &self.source()).partial == Partial::Latest
    }

    /// P3
    fn check_finished(&self, runtime: &Runtime, disk: &MemoryFs) {
        assert_eq!(shape(&read_tree(disk, TARGET)), shape(&Some(self.new.clone())));
        assert!(read_tree(disk, TARGET).as_ref() == Some(&self.new), "the target is not what was published");
        let keeps = self.options(disk, &self.source()).existing == Existing::ReplaceKeepingOld;
        let left: Vec<String> = names(disk, OPERATOR).into_iter().filter(|name| !["neighbour", "node"].contains(&&**name)).collect();
        assert_eq!(left.len(), usize::from(keeps), "{left:?}");
        if keeps {
            assert!(read_tree(disk, Path::new(OPERATOR).join(&left[0])) == self.old, "the old database is not what it was");
        }
        assert_eq!(runtime.block_on(defects(disk)), 0);
    }
}

/// What `verify` finds wrong with the target.
async fn defects(disk: &MemoryFs) -> u64 {
    let options = verify::Options {
        dir: TARGET.into(),
        whole_files: true,
        drop_cache: false,
        repair: false,
        remote: None,
        threads: 2,
        state_dir: OPERATOR_STATE.into(),
        fs: Arc::new(disk.clone()),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    };
    verify::run(options).await.unwrap().summary.defects
}

fn is_chunk(call: &Call) -> bool {
    call.key.as_ref().is_some_and(|key| key.as_str().starts_with("chunks/"))
}

/// Chunks that are no holes.
fn chunks(files: &Files) -> u64 {
    let all = files.values().flatten().flat_map(|bytes| bytes.chunks(CHUNK));
    all.filter(|chunk| chunk.iter().any(|byte| *byte != 0)).count() as u64
}

/// Chunks of `new` that are no holes and are in `old` at the same place.
fn common_chunks(old: &Files, new: &Files) -> u64 {
    let same = |(path, content): (&PathBuf, &Option<Vec<u8>>)| {
        let (Some(new), Some(Some(old))) = (content, old.get(path)) else { return 0 };
        let same = old.chunks(CHUNK).zip(new.chunks(CHUNK)).filter(|(old, new)| old == new && new.iter().any(|byte| *byte != 0));
        same.count() as u64
    };
    new.iter().map(same).sum()
}

/// Names and lengths, for messages that can be read.
fn shape(files: &Option<Files>) -> Vec<String> {
    let entry = |(path, content): (&PathBuf, &Option<Vec<u8>>)| format!("{} {:?}", path.display(), content.as_ref().map(Vec::len));
    files.iter().flatten().map(entry).collect()
}

fn published(runtime: &Runtime, versions: &[usize]) -> Provider {
    runtime.block_on(async {
        let provider = Provider::new().await;
        for version in versions {
            provider.publish(&database(*version)).await;
        }
        provider
    })
}

fn plain(options: Options) -> Options {
    options
}

/// Runs a restore that is told to stop at its `chunk`-th chunk: what it has until then is journaled. Says how much that is.
fn interrupt(runtime: &Runtime, provider: &Provider, disk: &MemoryFs, chunk: u64) -> u64 {
    let (stop, asked) = (Stop::new(), AtomicU64::new(0));
    let told = stop.clone();
    let source = RecordStore::new(provider.store.clone()).with_faults(move |call| {
        if call.action == Action::Get && is_chunk(call) && asked.fetch_add(1, Ordering::Relaxed) + 1 == chunk {
            told.request();
        }
        None
    });
    // One lane, so that the others do not finish everything meanwhile.
    let options = Options { stop, memory_bytes: 1, ..restoring(disk, Arc::new(source), provider.pin) };
    assert!(matches!(runtime.block_on(restore::run(options)), Err(Error::Interrupted)));
    chunk
}

// ST-06, CR-01
#[test]
fn a_restore_that_loses_power_at_any_operation_is_finished_by_the_next() {
    let runtime = runtime();
    let (provider, disk) = (published(&runtime, &[1]), operator_disk(None));
    let restore = Restore { provider, disk, options: plain, old: None, new: database(1), journaled: 0, spared: 0 };
    restore.survives_power_cuts(&runtime, 80);
}

// ST-06, CR-04
#[test]
fn a_replacement_that_loses_power_at_any_operation_shows_the_old_database_or_the_new_one() {
    let runtime = runtime();
    let old = database(1);
    let (provider, disk) = (published(&runtime, &[2]), operator_disk(Some(&old)));
    let options = |options| Options { existing: Existing::Replace, ..options };
    let restore = Restore { provider, disk, options, old: Some(old), new: database(2), journaled: 0, spared: 0 };
    restore.survives_power_cuts(&runtime, 90);
}

// ST-06, CR-04
#[test]
fn a_replacement_that_keeps_the_old_database_has_both_after_a_power_cut_at_any_operation() {
    let runtime = runtime();
    let old = database(1);
    let (provider, disk) = (published(&runtime, &[2]), operator_disk(Some(&old)));
    let options = |options| Options { existing: Existing::ReplaceKeepingOld, ..options };
    let restore = Restore { provider, disk, options, old: Some(old), new: database(2), journaled: 0, spared: 0 };
    restore.survives_power_cuts(&runtime, 90);
}

// ST-06, CR-01
#[test]
fn a_resumed_restore_that_loses_power_at_any_operation_keeps_what_the_first_run_had() {
    let runtime = runtime();
    let (provider, disk) = (published(&runtime, &[1]), operator_disk(None));
    let journaled = interrupt(&runtime, &provider, &disk, 6);
    let restore = Restore { provider, disk, options: plain, old: None, new: database(1), journaled, spared: 0 };
    restore.survives_power_cuts(&runtime, 60);
}

// ST-06, CR-09
#[test]
fn a_change_to_the_latest_snapshot_that_loses_power_at_any_operation_keeps_the_common_chunks() {
    let runtime = runtime();
    let (provider, disk) = (published(&runtime, &[1]), operator_disk(None));
    // CURRENT is the first of them, and the only one that is not in the next snapshot.
    let journaled = interrupt(&runtime, &provider, &disk, 6) - 1;
    runtime.block_on(provider.publish(&database(2)));
    let options = |options| Options { partial: Partial::Latest, ..options };
    let restore = Restore { provider, disk, options, old: None, new: database(2), journaled, spared: 0 };
    restore.survives_power_cuts(&runtime, 60);
}

/// A disk with a database that qsync restored, so that its files are known without being read, and the next snapshot.
fn restored_before(runtime: &Runtime) -> (Provider, MemoryFs) {
    let (provider, disk) = (published(runtime, &[1]), operator_disk(None));
    let source = Arc::new(RecordStore::new(provider.store.clone()));
    runtime.block_on(restore::run(restoring(&disk, source, provider.pin))).unwrap();
    for file_system in ["/", OPERATOR] {
        disk.sync_fs(Path::new(file_system)).unwrap();
    }
    runtime.block_on(provider.publish(&database(2)));
    (provider, disk)
}

// ST-06, CR-04
#[test]
fn an_update_that_reuses_the_old_database_and_loses_power_at_any_operation_shows_the_old_or_the_new_one() {
    let runtime = runtime();
    let (provider, disk) = restored_before(&runtime);
    let (old, new) = (database(1), database(2));
    let spared = common_chunks(&old, &new);
    assert!(spared > 5);
    let options = |options| Options { existing: Existing::Replace, ..options };
    let restore = Restore { provider, disk, options, old: Some(old), new, journaled: 0, spared };
    restore.survives_power_cuts(&runtime, 90);
}

// ST-06
#[test]
fn a_restore_from_a_seed_that_loses_power_at_any_operation_leaves_the_seed_as_it_is() {
    let runtime = runtime();
    let (provider, disk) = (published(&runtime, &[2]), operator_disk(None));
    let (seed, new) = (database(1), database(2));
    write_tree(&disk, "/seed", &seed);
    let spared = common_chunks(&seed, &new);
    let options = |options| Options { seeds: vec!["/seed".into()], ..options };
    let restore = Restore { provider, disk, options, old: None, new, journaled: 0, spared };
    restore.survives_power_cuts(&runtime, 80);
    assert!(read_tree(&restore.disk, "/seed") == Some(seed));
}

/// Runs restores that are killed ever later, until one has written so many chunks and made none of them durable; and loses its journal.
fn unsynced_partial(runtime: &Runtime, provider: &Provider, least_chunks: u64) -> MemoryFs {
    for operation in 20.. {
        let disk = operator_disk(None);
        disk.fail_after(operation, 5);
        let source = Arc::new(RecordStore::new(provider.store.clone()));
        runtime.block_on(restore::run(restoring(&disk, source, provider.pin))).unwrap_err();
        disk.heal();
        let written = read_tree(&disk, "/operator/.node.qsync-partial/data").unwrap_or_default();
        if common_chunks(&database(1), &written) >= least_chunks {
            disk.remove_file(Path::new("/operator/.node.qsync-partial/journal")).unwrap();
            return disk;
        }
    }
    unreachable!("the last one has written all")
}

// ST-06, ST-08
#[test]
fn what_is_found_without_a_journal_is_durable_before_a_journal_speaks_of_it() {
    let runtime = runtime();
    let provider = published(&runtime, &[1]);
    let disk = unsynced_partial(&runtime, &provider, 6);
    let restore = Restore { provider, disk, options: plain, old: None, new: database(1), journaled: 0, spared: 0 };
    restore.survives_power_cuts(&runtime, 50);
}

// ST-06
#[test]
fn an_update_in_place_that_loses_power_at_any_operation_is_marked_and_finished_by_the_next() {
    let runtime = runtime();
    let (provider, disk) = restored_before(&runtime);
    let (old, new) = (database(1), database(2));
    let spared = common_chunks(&old, &new);
    let options = |options| Options { existing: Existing::InPlace, ..options };
    let restore = Restore { provider, disk, options, old: Some(old), new, journaled: 0, spared };
    restore.survives_power_cuts(&runtime, 60);
}

// P4: the old node is started while a list is waited for
#[test]
fn what_is_written_to_an_old_file_before_it_is_cloned_is_in_no_new_database() {
    runtime().block_on(async {
        let files = |last: usize| -> Files {
            let mut table = painted(6 * CHUNK, 2);
            table[5 * CHUNK..].fill(last as u8);
            [("db".into(), None), ("db/table".into(), Some(table))].into()
        };
        let (provider, fs) = (Provider::new().await, operator_disk(None));
        provider.publish(&files(1)).await;
        restore::run(restoring(&fs, Arc::new(provider.store.clone()), provider.pin)).await.unwrap();
        provider.publish(&files(2)).await;
        let node = fs.clone();
        let source = RecordStore::new(provider.store.clone()).with_faults(move |call: &Call| {
            if call.key.as_ref().is_some_and(|key| key.as_str().starts_with("lists/")) {
                let table = node.open(&Path::new(TARGET).join("db/table"), Open::ReadWrite).unwrap();
                table.write_all_at(b"written by the old node", 10).unwrap();
            }
            None
        });
        let source = Arc::new(source);
        let options = restoring(&fs, Arc::clone(&source) as _, provider.pin);
        restore::run(Options { existing: Existing::ReplaceKeepingOld, ..options }).await.unwrap();
        assert_eq!(read_tree(&fs, TARGET).unwrap(), files(2));
        let asked = source.calls().into_iter().filter_map(|call| call.key).filter(|key| key.as_str().starts_with("chunks/")).count();
        assert_eq!(asked, 2, "the changed chunk and the one that was written to; the others are read and proved");
    });
}

// P2
#[test]
fn a_change_in_place_that_gives_a_linked_file_away_makes_it_anew() {
    runtime().block_on(async {
        let files = |version: u8| -> Files {
            let table = painted(6 * CHUNK, 2);
            [("db".into(), None), ("CURRENT".into(), Some(vec![version; 7])), ("db/table".into(), Some(table))].into()
        };
        let (provider, fs) = (Provider::new().await, operator_disk(Some(&files(1))));
        provider.publish(&files(2)).await;
        let (table, backup) = (Path::new(TARGET).join("db/table"), Path::new(OPERATOR).join("backup"));
        fs.hard_link(&table, &backup).unwrap();
        let options = restoring(&fs, Arc::new(provider.store.clone()), provider.pin);
        let owner = Some(restore::Owner { uid: 7, gid: 7 });
        restore::run(Options { existing: Existing::InPlace, owner, ..options }).await.unwrap();
        assert_eq!(read_tree(&fs, TARGET).unwrap(), files(2));
        let owner_of = |path: &Path| (fs.stat(path).unwrap().uid, fs.stat(path).unwrap().nlink);
        assert_eq!((owner_of(&table), owner_of(&backup).1), ((7, 1), 1));
        assert_ne!(owner_of(&backup).0, 7);
    });
}

//! Publishing again: what did not change is not read, and what cannot be proved not to have changed is.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::support::{World, tree};

/// Bytes in the database's files.
const TABLE: u64 = 6 << 20;
const BYTES: u64 = TABLE + 70_000 + 16;

/// A database whose files are all old: one with a list, one with rows, a tiny one, and an empty one.
fn prepared() -> (World, PathBuf, String) {
    let world = World::new();
    let data = world.path("data");
    fs::create_dir_all(data.join("db")).unwrap();
    for (name, bytes) in [("db/000001.sst", TABLE), ("db/000002.log", 70_000), ("db/CURRENT", 16), ("db/LOCK", 0)] {
        tree::write(&data.join(name), bytes);
        age(&data.join(name), 3600);
    }
    let pin = world.init();
    (world, data, pin)
}

/// Makes a file look as if it was last written so long ago. A file that was written within the last two seconds is always read.
fn age(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn read_and_skipped(summary: &Value) -> (u64, u64) {
    (summary["read_bytes"].as_u64().unwrap(), summary["skipped_bytes"].as_u64().unwrap())
}

/// What the last run saw.
fn record(world: &World) -> PathBuf {
    let mut files = tree::files(&world.path("provider-state/publish"));
    assert_eq!(files.len(), 1);
    files.swap_remove(0)
}

#[test]
fn nothing_of_an_unchanged_database_is_read_again() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    assert_eq!(read_and_skipped(&first), (BYTES, 0));
    let again = world.publish(&data, 1);
    assert_eq!(read_and_skipped(&again), (0, BYTES));
    assert_eq!((&again["unchanged"], &again["reused_bytes"], &again["seq"]), (&true.into(), &BYTES.into(), &2.into()));
    // A new snapshot of the same files: only its manifest is written.
    let higher = world.publish(&data, 2);
    assert_eq!((read_and_skipped(&higher), &higher["stores"][0]["objects"]), ((0, BYTES), &1.into()));
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
    world.operator().args(["verify", "--b3"]).arg(world.target()).summary();
}

#[test]
fn a_file_that_was_touched_is_read_and_one_that_changed_is_published() {
    let (world, data, pin) = prepared();
    world.publish(&data, 1);
    age(&data.join("db/000002.log"), 1800);
    let touched = world.publish(&data, 2);
    assert_eq!((read_and_skipped(&touched), &touched["stores"][0]["objects"]), ((70_000, BYTES - 70_000), &1.into()));
    fs::write(data.join("db/CURRENT"), "MANIFEST-000009\n").unwrap();
    let changed = world.publish(&data, 3);
    assert_eq!((read_and_skipped(&changed), &changed["stores"][0]["objects"]), ((16, BYTES - 16), &2.into()));
    // It is too young to be trusted.
    let young = world.publish(&data, 4);
    assert_eq!(read_and_skipped(&young), (16, BYTES - 16));
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

/// Only a memory map, or somebody who sets the clock, can change a file so that nothing shows.
#[test]
fn a_change_that_does_not_show_in_the_file_system_is_found_by_rehash() {
    let (world, data, pin) = prepared();
    let first = world.publish(&data, 1);
    let file = data.join("db/CURRENT");
    fs::write(&file, "MANIFEST-000009\n").unwrap();
    age(&file, 3600);
    let record = record(&world);
    let text = fs::read_to_string(&record).unwrap();
    let mut stamps: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let stat = fs::metadata(&file).unwrap();
    let nanoseconds = |seconds: i64, rest: i64| Value::from(seconds * 1_000_000_000 + rest);
    stamps["files"]["db/CURRENT"]["mtime_ns"] = nanoseconds(stat.mtime(), stat.mtime_nsec());
    stamps["files"]["db/CURRENT"]["ctime_ns"] = nanoseconds(stat.ctime(), stat.ctime_nsec());
    let json = stamps.to_string();
    fs::write(&record, format!("{}\n{json}", blake3::hash(json.as_bytes()))).unwrap();

    let blind = world.publish(&data, 1);
    assert_eq!((read_and_skipped(&blind), &blind["snapshot"]), ((0, BYTES), &first["snapshot"]));
    let found = world.publish_command(&data, 1).arg("--rehash").summary();
    assert_eq!(read_and_skipped(&found), (BYTES, 0));
    assert_ne!(found["snapshot"], first["snapshot"]);
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_store_that_is_behind_gets_everything() {
    let (world, data, pin) = prepared();
    world.publish(&data, 1);
    let second = world.path("second");
    let to_both = |height| world.publish_command(&data, height).arg("--to").arg(&second).summary();
    assert_eq!(read_and_skipped(&to_both(1)), (BYTES, 0));
    assert_eq!(read_and_skipped(&to_both(2)), (0, BYTES));
    // The second misses a change of one file: that one is read for it, although the first has it.
    fs::write(data.join("db/000002.log"), "other").unwrap();
    age(&data.join("db/000002.log"), 3600);
    world.publish(&data, 3);
    assert_eq!(read_and_skipped(&to_both(4)), (5, BYTES - 70_000));
    world.restore_from(second.to_str().unwrap(), &pin).summary();
    tree::assert_same(&data, &world.target());
}

#[test]
fn a_database_that_writes_through_a_memory_map_is_always_read() {
    let (world, data, _) = prepared();
    for folder in ["parity", "mdbx"] {
        fs::create_dir(data.join(folder)).unwrap();
    }
    for name in ["parity/metadata", "parity/table_00_aa", "parity/index_00_16", "mdbx/mdbx.dat", "mdbx/beside"] {
        tree::write(&data.join(name), 1_000);
        age(&data.join(name), 3600);
    }
    world.publish(&data, 1);
    assert_eq!(read_and_skipped(&world.publish(&data, 2)), (5_000, BYTES));
}

#[test]
fn without_a_sound_record_of_the_last_run_everything_is_read() {
    let (world, data, _) = prepared();
    world.publish(&data, 1);
    tree::flip(&record(&world), 200);
    let output = world.publish_command(&data, 2).arg("--json").output();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("its checksum is wrong"), "{text}");
    assert!(text.contains(&format!("\"read_bytes\":{BYTES}")), "{text}");
    assert_eq!(read_and_skipped(&world.publish(&data, 3)), (0, BYTES));
    fs::remove_dir_all(world.path("provider-state/publish")).unwrap();
    assert_eq!(read_and_skipped(&world.publish(&data, 4)), (BYTES, 0));
}

// PU-07
#[test]
fn a_file_that_is_not_read_is_looked_at_for_secrets_all_the_same() {
    let (world, data, _) = prepared();
    fs::write(data.join("db/note"), "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n").unwrap();
    age(&data.join("db/note"), 3600);
    world.publish_command(&data, 1).args(["--allow-secret", "db/note"]).summary();
    let allowed = world.publish_command(&data, 2).args(["--allow-secret", "db/note"]).summary();
    assert_eq!(allowed["read_bytes"], 0);
    assert_eq!(world.publish_command(&data, 3).json_error(18)["code"], "source-secrets");
}

#[test]
fn a_list_that_is_gone_from_the_store_is_healed() {
    let (world, data, pin) = prepared();
    world.publish(&data, 1);
    for list in tree::files(&world.store().join("lists")) {
        fs::remove_file(list).unwrap();
    }
    assert_eq!(read_and_skipped(&world.publish(&data, 2)), (TABLE, BYTES - TABLE));
    world.restore_command(&pin).summary();
    tree::assert_same(&data, &world.target());
}

//! A real ParityDB, through its crate.

use std::{fs, path::Path};

use parity_db::{CompressionType, Db, Options};

/// A ParityDB with `keys` keys at version 0.
pub(crate) fn make_parity_db(dir: &Path, keys: u64) {
    write_parity_db(dir, 0..keys, 0);
}

/// Gives some keys of a ParityDB another version.
pub(crate) fn write_parity_db(dir: &Path, keys: std::ops::Range<u64>, version: u64) {
    let mut options = parity_options(dir);
    options.columns[0].compression = CompressionType::NoCompression;
    let db = Db::open_or_create(&options).unwrap();
    let keys: Vec<u64> = keys.collect();
    for keys in keys.chunks(1_000) {
        db.commit(keys.iter().map(|key| (0, key_of(*key), Some(value_of(*key, version))))).unwrap();
    }
}

/// Opens a copy of a ParityDB and reads every key.
pub(crate) fn assert_parity_db_reads(dir: &Path, keys: u64, version_of: impl Fn(u64) -> u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir, &copy.path().join("db"));
    let db = Db::open(&parity_options(&copy.path().join("db"))).unwrap();
    for key in 0..keys {
        assert_eq!(db.get(0, &key_of(key)).unwrap().unwrap(), value_of(key, version_of(key)), "key {key}");
    }
}

/// Copies a directory.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn parity_options(dir: &Path) -> Options {
    Options::with_columns(dir, 1)
}

fn key_of(key: u64) -> Vec<u8> {
    blake3::hash(&key.to_le_bytes()).as_bytes().to_vec()
}

fn value_of(key: u64, version: u64) -> Vec<u8> {
    let mut value = vec![0; 700];
    blake3::Hasher::new().update(&key.to_le_bytes()).update(&version.to_le_bytes()).finalize_xof().fill(&mut value);
    value.extend(format!("account {key:08} version {version:04} ").repeat(10).into_bytes());
    value
}

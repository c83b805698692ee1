//! A real ParityDB, as Substrate nodes use it, filled with values that can be recomputed.

use std::path::Path;

use parity_db::{CompressionType, Db, Options};

/// Keys in the database.
pub(crate) const KEYS: u64 = 96_000;
/// Keys in one commit.
const COMMIT_KEYS: u64 = 2_000;
const COLUMN: u8 = 0;

/// Makes the database, every key at version 0.
pub(crate) fn create(dir: &Path) -> Result<(), parity_db::Error> {
    write(&Db::open_or_create(&options(dir))?, 0..KEYS, 0)
}

/// Gives the newest `count` keys a new version.
pub(crate) fn update_newest(dir: &Path, count: u64, version: u64) -> Result<(), parity_db::Error> {
    write(&Db::open(&options(dir))?, KEYS - count..KEYS, version)
}

/// Reads every key and compares: the newest `updated` keys have `version`, all others version 0. Says how many were right.
pub(crate) fn check(dir: &Path, updated: u64, version: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let db = Db::open(&options(dir))?;
    for key in 0..KEYS {
        let expected = value(key, if key >= KEYS - updated { version } else { 0 });
        if db.get(COLUMN, &key_bytes(key))?.as_deref() != Some(&expected[..]) {
            return Err(format!("key {key} does not read back").into());
        }
    }
    Ok(KEYS)
}

fn options(dir: &Path) -> Options {
    let mut options = Options::with_columns(dir, 1);
    options.columns[0].compression = CompressionType::NoCompression;
    options
}

fn write(db: &Db, keys: std::ops::Range<u64>, version: u64) -> Result<(), parity_db::Error> {
    let mut next = keys.start;
    while next < keys.end {
        let end = (next + COMMIT_KEYS).min(keys.end);
        db.commit((next..end).map(|key| (COLUMN, key_bytes(key), Some(value(key, version)))))?;
        next = end;
    }
    Ok(())
}

fn key_bytes(key: u64) -> Vec<u8> {
    blake3::hash(&key.to_le_bytes()).as_bytes().to_vec()
}

/// About 3 KiB, three quarters of it random: as compressible as state values of a real chain.
fn value(key: u64, version: u64) -> Vec<u8> {
    let mut random = vec![0; 2_300];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.to_le_bytes()).update(&version.to_le_bytes());
    hasher.finalize_xof().fill(&mut random);
    random.extend(format!("account {key:016} version {version:08} ").into_bytes().repeat(18));
    random
}

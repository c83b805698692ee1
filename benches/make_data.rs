//! Makes the data that is published and restored: a RocksDB and a ParityDB of equal length, filled with values that can be recomputed.
//!
//! `cargo bench --bench make_data -- DIR MIB` makes `DIR/rocksdb` and `DIR/paritydb`; `… -- change DIR PERCENT` gives that share of the
//! keys of the RocksDB in `DIR` new values.

use std::{
    error::Error,
    fmt::Write as _,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
};

use parity_db::{CompressionType, Db, Options};

type Outcome = Result<(), Box<dyn Error>>;

/// Random bytes in a value; the rest is text that compresses well.
const RANDOM_BYTES: usize = 2_300;
const TEXT_REPEATS: usize = 18;
/// Keys in one commit of the ParityDB.
const COMMIT_KEYS: u64 = 2_000;

fn main() -> Outcome {
    // Cargo adds an option of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["change", dir, percent] => change_rocks_db(Path::new(dir), percent.parse()?),
        [dir, mib] => make_both(Path::new(dir), mib.parse::<u64>()? * (1 << 20) / 2),
        _ => Err("usage: cargo bench --bench make_data -- DIR MIB | change DIR PERCENT".into()),
    }
}

fn make_both(dir: &Path, bytes_each: u64) -> Outcome {
    std::fs::create_dir_all(dir)?;
    make_parity_db(&dir.join("paritydb"), bytes_each / value(0).len() as u64)?;
    // LZ4 takes the text out of each value before it is stored.
    let keys = bytes_each / RANDOM_BYTES as u64;
    load(&dir.join("rocksdb"), &["--create_if_missing", "--compact"], (0..keys).map(|key| (key, key)))
}

fn change_rocks_db(dir: &Path, percent: u64) -> Outcome {
    let tables = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum::<std::io::Result<u64>>()?;
    let keys = tables / RANDOM_BYTES as u64;
    load(dir, &[], (0..keys).step_by((100 / percent.max(1)) as usize).map(|key| (key, key + keys)))
}

fn make_parity_db(dir: &Path, keys: u64) -> Outcome {
    let mut options = Options::with_columns(dir, 1);
    options.columns[0].compression = CompressionType::NoCompression;
    let db = Db::open_or_create(&options)?;
    for first in (0..keys).step_by(COMMIT_KEYS as usize) {
        let commit = first..keys.min(first + COMMIT_KEYS);
        db.commit(commit.map(|key| (0, key_bytes(key), Some(value(key)))))?;
    }
    Ok(())
}

/// Loads keys with the values of other numbers through the `ldb` tool of RocksDB's authors, with tables as a node writes them.
fn load(dir: &Path, options: &[&str], pairs: impl Iterator<Item = (u64, u64)>) -> Outcome {
    let mut ldb = Command::new("ldb")
        .arg(format!("--db={}", dir.display()))
        .args(["--compression_type=lz4", "--hex", "load"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("ldb (Debian: rocksdb-tools): {e}"))?;
    let mut lines = BufWriter::new(ldb.stdin.take().ok_or("no pipe to ldb")?);
    for (key, number) in pairs {
        writeln!(lines, "0x{} ==> 0x{}", hex(&key_bytes(key)), hex(&value(number)))?;
    }
    lines.flush()?;
    drop(lines);
    let status = ldb.wait()?;
    if status.success() { Ok(()) } else { Err(format!("ldb ended with {status}").into()) }
}

fn key_bytes(key: u64) -> Vec<u8> {
    blake3::hash(&key.to_le_bytes()).as_bytes().to_vec()
}

fn value(key: u64) -> Vec<u8> {
    let mut value = vec![0; RANDOM_BYTES];
    blake3::Hasher::new().update(&key.to_le_bytes()).finalize_xof().fill(&mut value);
    value.extend(format!("account {key:016} balance {:020} ", 0).into_bytes().repeat(TEXT_REPEATS));
    value
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("writing to memory does not fail"));
    text
}

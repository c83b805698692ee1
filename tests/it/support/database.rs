//! Real databases: ParityDB through its crate, RocksDB through the `ldb` tool of its authors.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use parity_db::{CompressionType, Db, Options};

/// A ParityDB with `keys` keys at version 0.
pub fn make_parity_db(dir: &Path, keys: u64) {
    write_parity_db(dir, 0..keys, 0);
}

/// Gives some keys of a ParityDB another version.
pub fn write_parity_db(dir: &Path, keys: std::ops::Range<u64>, version: u64) {
    let mut options = parity_options(dir);
    options.columns[0].compression = CompressionType::NoCompression;
    let db = Db::open_or_create(&options).unwrap();
    let keys: Vec<u64> = keys.collect();
    for keys in keys.chunks(1_000) {
        db.commit(keys.iter().map(|key| (0, key_of(*key), Some(value_of(*key, version))))).unwrap();
    }
}

/// Opens a copy of a ParityDB and reads every key.
pub fn assert_parity_db_reads(dir: &Path, keys: u64, version_of: impl Fn(u64) -> u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir, &copy.path().join("db"));
    let db = Db::open(&parity_options(&copy.path().join("db"))).unwrap();
    for key in 0..keys {
        assert_eq!(db.get(0, &key_of(key)).unwrap().unwrap(), value_of(key, version_of(key)), "key {key}");
    }
}

/// A RocksDB with `keys` keys in LZ4 tables.
pub fn make_rocks_db(dir: &Path, keys: u64) {
    let mut child = Command::new("ldb")
        .arg(format!("--db={}", dir.display()))
        .args(["--create_if_missing", "--compression_type=lz4", "--write_buffer_size=4194304", "--file_size=2097152", "load"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("`ldb` is installed (Debian: rocksdb-tools)");
    let mut stdin = child.stdin.take().unwrap();
    for key in 0..keys {
        writeln!(stdin, "{} ==> {}", hex(&key_of(key)), hex(&value_of(key, 0))).unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Has `ldb` open a copy of a RocksDB and scan it: it must read `keys` keys and complain about nothing.
pub fn assert_rocks_db_scans(dir: &Path, keys: u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir, &copy.path().join("db"));
    let output = Command::new("ldb").arg(format!("--db={}", copy.path().join("db").display())).arg("scan").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64, keys);
}

/// Copies a directory.
pub fn copy_tree(from: &Path, to: &Path) {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

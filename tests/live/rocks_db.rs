//! A real RocksDB, through the `ldb` tool of its authors.

use std::{
    fmt::Write as _,
    io::Write as _,
    ops::Range,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::database::copy_tree;

/// A RocksDB with `keys` keys in LZ4 tables.
pub(crate) fn make_rocks_db(dir: &Path, keys: u64) {
    write_rocks_db(dir, 0..keys, 0, &[]);
}

/// Gives some keys of a RocksDB another version, and merges its tables, so that it does not grow.
pub(crate) fn change_rocks_db(dir: &Path, keys: Range<u64>, version: u64) {
    write_rocks_db(dir, keys, version, &["--compact"]);
}

fn write_rocks_db(dir: &Path, keys: Range<u64>, version: u64, flags: &[&str]) {
    let mut child = Command::new("ldb")
        .arg(format!("--db={}", dir.display()))
        .args(["--create_if_missing", "--compression_type=lz4", "--write_buffer_size=4194304", "--file_size=2097152", "load"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("`ldb` is installed (Debian: rocksdb-tools)");
    let mut stdin = child.stdin.take().unwrap();
    for key in keys {
        writeln!(stdin, "{} ==> {}", hex(blake3::hash(&key.to_le_bytes()).as_bytes()), value_of(key, version)).unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Has `ldb` open a copy of a RocksDB and scan it: it must read `keys` keys and complain about nothing.
pub(crate) fn assert_rocks_db_scans(dir: &Path, keys: u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir, &copy.path().join("db"));
    let output = Command::new("ldb").arg(format!("--db={}", copy.path().join("db").display())).arg("scan").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64, keys);
}

fn value_of(key: u64, version: u64) -> String {
    let mut value = [0; 500];
    blake3::Hasher::new().update(b"value").update(&key.to_le_bytes()).update(&version.to_le_bytes()).finalize_xof().fill(&mut value);
    hex(&value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

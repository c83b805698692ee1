//! Directories with every awkward shape, and what is in a directory.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Length of a chunk.
pub(crate) const CHUNK: u64 = 1 << 20;

/// Makes a directory with every shape that a chunked format can get wrong, and no file larger than a few MiB of data.
pub(crate) fn make_awkward(dir: &Path) {
    fs::create_dir_all(dir.join("empty")).unwrap();
    fs::create_dir_all(dir.join("a/b/c/d/e/f/g")).unwrap();
    fs::create_dir_all(dir.join("nested/empty/deeper")).unwrap();
    write(&dir.join("zero-length"), 0);
    write(&dir.join("one-byte"), 1);
    for (name, bytes) in [("less", CHUNK - 1), ("exactly", CHUNK), ("more", CHUNK + 1)] {
        write(&dir.join(format!("one-chunk-{name}")), bytes);
    }
    for (name, bytes) in [("less", 4 * CHUNK - 1), ("exactly", 4 * CHUNK), ("more", 4 * CHUNK + 1), ("five", 5 * CHUNK)] {
        write(&dir.join(format!("a/four-chunks-{name}")), bytes);
    }
    write(&dir.join("a/b/c/d/e/f/g/Deep_file-1.2+3"), 70_000);
    write(&dir.join("LOCK"), 0);
    fs::write(dir.join("text"), "the same line\n".repeat(100_000)).unwrap();
    fs::write(dir.join("zeros-without-holes"), vec![0; 3 * CHUNK as usize]).unwrap();
    make_sparse(&dir.join("sparse-all-hole"), 10 * CHUNK + 17, &[]);
    make_sparse(&dir.join("sparse-some-data"), 64 * CHUNK, &[0, 5 * CHUNK - 3, 63 * CHUNK + 1]);
    // Neighbours by path bytes that are not neighbours by directory: "a-b" sorts between "a" and "a/…".
    write(&dir.join("a-b"), 10);
    write(&dir.join("a.b"), 10);
}

/// Makes a file of `bytes` that looks random and can be compressed a little.
pub(crate) fn write(path: &Path, bytes: u64) {
    let mut content = vec![0; bytes as usize];
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.file_name().unwrap().as_encoded_bytes()).update(&bytes.to_le_bytes());
    hasher.finalize_xof().fill(&mut content);
    content.iter_mut().skip(3).step_by(4).for_each(|byte| *byte = 0);
    fs::write(path, content).unwrap();
}

/// Makes a sparse file with 1,000 bytes of data at each offset.
pub(crate) fn make_sparse(path: &Path, bytes: u64, data_at: &[u64]) {
    let mut file = File::create_new(path).unwrap();
    file.set_len(bytes).unwrap();
    for offset in data_at {
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.write_all(&[7; 1_000]).unwrap();
    }
    assert!(file.metadata().unwrap().len() >= bytes);
}

/// Makes `count` small files in folders of 1,000.
pub(crate) fn make_small_files(dir: &Path, count: u64) {
    for folder in 0..count.div_ceil(1_000) {
        let folder_path = dir.join(format!("{folder:04}"));
        fs::create_dir_all(&folder_path).unwrap();
        for file in folder * 1_000..count.min((folder + 1) * 1_000) {
            fs::write(folder_path.join(format!("{file:06}.dat")), format!("file {file}\n").repeat((file % 40) as usize)).unwrap();
        }
    }
}

/// Every entry below a directory: directories with `None`, files with the BLAKE3 of their content.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Option<blake3::Hash>> {
    let mut found = BTreeMap::new();
    walk(dir, &mut |path, is_dir| {
        let hash = (!is_dir).then(|| hash_of(path));
        found.insert(path.strip_prefix(dir).unwrap().to_owned(), hash);
    });
    found
}

/// Every file below a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(dir, &mut |path, is_dir| {
        if !is_dir {
            found.push(path.to_owned());
        }
    });
    found
}

/// Fails unless two directories hold the same entries with the same content.
#[track_caller]
pub(crate) fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (snapshot(expected), snapshot(found));
    let missing: Vec<_> = expected.iter().filter(|(path, hash)| found.get(*path) != Some(hash)).map(|(path, _)| path).collect();
    let strange: Vec<_> = found.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert!(missing.is_empty() && strange.is_empty(), "missing or different: {missing:?}, unexpected: {strange:?}");
    assert!(!expected.is_empty());
}

/// Flips one bit of a file.
pub(crate) fn flip(path: &Path, offset: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

fn walk(dir: &Path, found: &mut dyn FnMut(&Path, bool)) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let is_dir = entry.file_type().unwrap().is_dir();
        found(&entry.path(), is_dir);
        if is_dir {
            walk(&entry.path(), found);
        }
    }
}

fn hash_of(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).unwrap()).unwrap();
    hasher.finalize()
}

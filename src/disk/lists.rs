//! List segments kept on disk by their hash. What is read back is checked, so writing them needs no care.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Error;
use crate::{
    fs::{Fs, Open},
    types::Hash,
};

const FOLDER: &str = "lists";
/// The longest segment (docs/format.md, 2.1).
const MAX_BYTES: u64 = 1 << 20;

/// Keeps a segment in `folder`. Not durable by itself: a segment that a power cut tore is not given back.
pub(super) fn put(fs: &dyn Fs, folder: &Path, id: &Hash, bytes: &[u8]) -> Result<(), Error> {
    if get(fs, folder, id)?.is_some() {
        return Ok(());
    }
    let path = path_of(folder, id);
    fs.create_dir_all(&folder.join(FOLDER), 0o700).map_err(Error::io("make", folder.join(FOLDER)))?;
    let file = fs.open(&path, Open::Create(0o600)).map_err(Error::io("make", &path))?;
    file.set_len(0).and_then(|()| file.write_all_at(bytes, 0)).map_err(Error::io("write", &path))
}

/// A segment that was kept; `None` when it is missing or is not what its name says.
pub(super) fn get(fs: &dyn Fs, folder: &Path, id: &Hash) -> Result<Option<Vec<u8>>, Error> {
    let path = path_of(folder, id);
    match fs.read(&path, MAX_BYTES) {
        Ok(bytes) => Ok((Hash::of(&bytes) == *id).then_some(bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Ok(None),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

fn path_of(folder: &Path, id: &Hash) -> PathBuf {
    folder.join(FOLDER).join(id.to_string())
}

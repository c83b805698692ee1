//! MDBX and LMDB: one file, whose first page says what it is.

use std::path::Path;

use super::head;
use crate::{disk::Error, format::manifest::Engine, fs::Fs};

/// Behind the page's header of 20 bytes: 56 bits of magic above 8 of version, little endian.
const MDBX_AT: usize = 20;
const MDBX_MAGIC: u64 = 0x0059_659D_BDEF_4C11;
/// Above the version: the order in which lists of pages are kept.
const MDBX_VERSION: u64 = 0x3f;
/// Behind the page's header of 16 bytes: magic and version, 32 bits each.
const LMDB_AT: usize = 16;
const LMDB_MAGIC: u32 = 0xBEEF_C0DE;
const FILES: [&str; 2] = ["mdbx.dat", "data.mdb"];

pub(super) fn engine(fs: &dyn Fs, dir: &Path, names: &[String]) -> Result<Option<(Engine, String)>, Error> {
    let Some(file) = FILES.iter().find(|file| names.iter().any(|name| name == *file)) else { return Ok(None) };
    let page = head(fs, &dir.join(file), 64)?.unwrap_or_default();
    Ok(of_page(&page).map(|engine| (engine, (*file).to_owned())))
}

fn of_page(page: &[u8]) -> Option<Engine> {
    let engine = |name: &str, format: u64| Engine { name: name.to_owned(), format: Some(format.to_string()) };
    let mdbx = page.get(MDBX_AT..MDBX_AT + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)?;
    if mdbx >> 8 == MDBX_MAGIC {
        return Some(engine("mdbx", mdbx & MDBX_VERSION));
    }
    let word = |at: usize| page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    (word(LMDB_AT)? == LMDB_MAGIC).then(|| engine("lmdb", u64::from(word(LMDB_AT + 4).unwrap_or_default())))
}

//! ParityDB: its file `metadata` is text.

use std::path::Path;

use super::{HEAD_BYTES, head, value_of};
use crate::{disk::Error, format::manifest::Engine, fs::Fs};

const FILE: &str = "metadata";

pub(super) fn engine(fs: &dyn Fs, dir: &Path, names: &[String]) -> Result<Option<(Engine, String)>, Error> {
    if !names.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    let text = head(fs, &dir.join(FILE), HEAD_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let version = value_of(&text, "version").filter(|version| version.bytes().all(|b| b.is_ascii_digit()));
    // Other programs have a file of that name too: theirs has no salt.
    Ok(version.filter(|_| value_of(&text, "salt").is_some()).map(|version| {
        let engine = Engine { name: "paritydb".to_owned(), format: Some(version) };
        (engine, FILE.to_owned())
    }))
}

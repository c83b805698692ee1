//! RocksDB, LevelDB and Pebble: one family, with the same names of files.
//!
//! RocksDB and Pebble write their options down beside their name, LevelDB does not. Newer Pebble has markers in place of `CURRENT`.

use std::path::Path;

use super::{HEAD_BYTES, head, value_of, word};
use crate::{disk::Error, format::manifest::Engine, fs::Fs};

pub(super) fn engine(fs: &dyn Fs, dir: &Path, names: &[String]) -> Result<Option<(Engine, String)>, Error> {
    let has = |name: &str| names.iter().any(|found| found == name);
    let manifest = names.iter().any(|name| name.starts_with("MANIFEST-"));
    let marker = names.iter().rev().find(|name| name.starts_with("marker.format-version."));
    if !manifest || (!has("CURRENT") && marker.is_none()) {
        return Ok(None);
    }
    if let Some(options) = newest(names, "OPTIONS-") {
        let text = head(fs, &dir.join(options), HEAD_BYTES)?.unwrap_or_default();
        if let Some(engine) = of_options(&String::from_utf8_lossy(&text)) {
            let format = marker.and_then(|marker| format_of_marker(marker)).or(engine.format);
            return Ok(Some((Engine { format, ..engine }, options.to_owned())));
        }
    }
    Ok(Some(match marker {
        Some(marker) => (Engine { name: "pebble".to_owned(), format: format_of_marker(marker) }, marker.clone()),
        None if has("IDENTITY") => (Engine { name: "rocksdb".to_owned(), format: None }, "IDENTITY".to_owned()),
        None => (Engine { name: "leveldb".to_owned(), format: None }, "CURRENT".to_owned()),
    }))
}

/// The file of the highest number.
fn newest<'a>(names: &'a [String], prefix: &str) -> Option<&'a str> {
    let number = |name: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let numbered = names.iter().filter_map(|name| Some((number(name)?, name.as_str())));
    numbered.max().map(|(_, name)| name)
}

/// What a file of options says: RocksDB the release that wrote it, Pebble the version of its format.
fn of_options(text: &str) -> Option<Engine> {
    if let Some(version) = value_of(text, "rocksdb_version") {
        return Some(Engine { name: "rocksdb".to_owned(), format: Some(version) });
    }
    value_of(text, "pebble_version")?;
    Some(Engine { name: "pebble".to_owned(), format: value_of(text, "format_major_version") })
}

/// `marker.format-version.000005.013`: the fifth, and it says 13.
fn format_of_marker(marker: &str) -> Option<String> {
    let version = marker.rsplit('.').next()?.trim_start_matches('0');
    word(version)
}

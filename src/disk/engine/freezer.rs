//! The ancient blocks of go-ethereum: the table of hashes begins with that of the genesis block, once any block is old enough.

use std::path::Path;

use super::head;
use crate::{disk::Error, fs::Fs};

/// Newer releases have tables of the chain in a directory of their own.
const TABLES: [&str; 2] = ["chain/hashes.0000.rdat", "hashes.0000.rdat"];
const HASH_BYTES: usize = 32;

/// Hash of the genesis block and the file that tells, relative to the freezer.
pub(super) fn genesis(fs: &dyn Fs, freezer: &Path) -> Result<Option<(String, &'static str)>, Error> {
    for table in TABLES {
        let bytes = head(fs, &freezer.join(table), HASH_BYTES)?.unwrap_or_default();
        if bytes.len() == HASH_BYTES && bytes.iter().any(|byte| *byte != 0) {
            return Ok(Some((format!("0x{}", hex::encode(bytes)), table)));
        }
    }
    Ok(None)
}

//! Bitcoin's block files: each block begins with the number of its network, which newer releases hide behind a key of eight bytes.

use std::path::Path;

use super::head;
use crate::{disk::Error, fs::Fs};

const FIRST: &str = "blocks/blk00000.dat";
const KEY: &str = "blocks/xor.dat";

/// Networks by the bytes that their blocks begin with.
const NETWORKS: [([u8; 4], &str); 5] = [
    ([0xf9, 0xbe, 0xb4, 0xd9], "bitcoin"),
    ([0x0b, 0x11, 0x09, 0x07], "bitcoin-testnet3"),
    ([0x1c, 0x16, 0x3f, 0x28], "bitcoin-testnet4"),
    ([0x0a, 0x03, 0xcf, 0x40], "bitcoin-signet"),
    ([0xfa, 0xbf, 0xb5, 0xda], "bitcoin-regtest"),
];

/// The network of a data directory and the file that tells; unknown where the first block was pruned.
pub(super) fn network(fs: &dyn Fs, root: &Path) -> Result<Option<(&'static str, &'static str)>, Error> {
    let (first, key) = (head(fs, &root.join(FIRST), 4)?, head(fs, &root.join(KEY), 8)?);
    Ok(first.and_then(|first| network_of(&first, &key.unwrap_or_default())).map(|network| (network, FIRST)))
}

fn network_of(first: &[u8], key: &[u8]) -> Option<&'static str> {
    let mut magic: [u8; 4] = first.try_into().ok()?;
    magic.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    NETWORKS.iter().find(|(known, _)| *known == magic).map(|(_, network)| *network)
}

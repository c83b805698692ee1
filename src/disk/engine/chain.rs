//! Which chain a data directory is of, where its files or their places tell.

use std::path::Path;

use super::{Facts, HEAD_BYTES, bitcoin, freezer, head, word};
use crate::{
    disk::{Error, select},
    fs::Fs,
    profile::{CHAIN, Family, NodeProfile},
};

/// What is told of the chain; the rest of the facts stays unknown.
pub(super) fn of(fs: &dyn Fs, root: &Path, profile: &NodeProfile) -> Result<Facts, Error> {
    let by_place = of_place(fs, root, profile)?;
    if by_place.chain.is_some() {
        return Ok(by_place);
    }
    if let Some(freezer) = &profile.freezer {
        return of_freezer(fs, root, freezer.as_str(), profile);
    }
    match profile.rpc.as_ref().map(|rpc| rpc.family) {
        Some(Family::Bitcoin) => Ok(named(bitcoin::network(fs, root)?.map(|(chain, file)| (chain.to_owned(), file)))),
        Some(Family::Tendermint) => Ok(named(of_genesis_file(fs, root)?.map(|chain| (chain, GENESIS_FILE)))),
        Some(Family::Substrate | Family::Ethereum | Family::Bitshares) | None => Ok(Facts::default()),
    }
}

fn named(told: Option<(String, &str)>) -> Facts {
    let (chain, file) = told.unzip();
    Facts { chain, chain_file: file.map(str::to_owned), ..Facts::default() }
}

/// A node that keeps each chain in a directory of its own name for it; the only one there is.
fn of_place(fs: &dyn Fs, root: &Path, profile: &NodeProfile) -> Result<Facts, Error> {
    let Some(part) = profile.publish.iter().find(|part| part.contains(CHAIN)) else { return Ok(Facts::default()) };
    let found = select::matches(fs, root, part)?;
    let at = part.split('/').position(|name| name == CHAIN).unwrap_or_default();
    let [path] = found.as_slice() else { return Ok(Facts::default()) };
    let id = path.split('/').nth(at).unwrap_or_default();
    let known = profile.chains.iter().find(|(_, chain)| chain.id.as_deref() == Some(id));
    Ok(Facts { chain: Some(known.map_or(id, |(name, _)| name).to_owned()), chain_file: Some(path.clone()), ..Facts::default() })
}

fn of_freezer(fs: &dyn Fs, root: &Path, freezer: &str, profile: &NodeProfile) -> Result<Facts, Error> {
    let Some((genesis, table)) = freezer::genesis(fs, &root.join(freezer))? else { return Ok(Facts::default()) };
    let known = profile.chains.iter().find(|(_, chain)| chain.genesis_hash.as_deref() == Some(&genesis));
    let chain = known.map(|(name, _)| name.clone());
    Ok(Facts { chain, genesis: Some(genesis), chain_file: Some(format!("{freezer}/{table}")), ..Facts::default() })
}

const GENESIS_FILE: &str = "config/genesis.json";

/// The file can be many gigabytes long, and is in any order: only its beginning is looked at.
fn of_genesis_file(fs: &dyn Fs, root: &Path) -> Result<Option<String>, Error> {
    let text = head(fs, &root.join(GENESIS_FILE), HEAD_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let value = text.split_once("\"chain_id\"").and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    Ok(value.and_then(|value| word(value.trim_start().strip_prefix('"')?.split('"').next()?)))
}

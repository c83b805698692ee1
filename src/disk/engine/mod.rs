//! What the files of a database tell of its engine and chain.
//!
//! A few small reads, each of a bounded length. What cannot be told is unknown; nothing here is a proof, and garbage is no error.

mod bitcoin;
mod chain;
mod freezer;
mod lsm;
mod mapped;
mod parity_db;

use std::{io, path::Path};

use super::{Error, layout::stat_if_there, select};
use crate::{
    format::manifest::Engine,
    fs::{Fs, Kind, Open},
    profile::NodeProfile,
};

/// The most bytes that are read of a file.
const HEAD_BYTES: usize = 64 << 10;
/// The longest name or version that is believed.
const MAX_WORD: usize = 64;

/// What is told of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The engine of its database and the version of its files.
    pub engine: Option<Engine>,
    /// The file that told.
    pub engine_file: Option<String>,
    /// The chain, by the name that the node profile has for it, or else by the node's own.
    pub chain: Option<String>,
    /// Hash of its genesis block, where the files tell it.
    pub genesis: Option<String>,
    /// What told the chain.
    pub chain_file: Option<String>,
}

impl Facts {
    /// Refuses a directory that is known to be of another chain than that of the channel; one of a chain that the profile does not know may
    /// be anything.
    ///
    /// # Errors
    /// [`Error::SourceChain`].
    pub fn check_chain(&self, root: &Path, profile: &NodeProfile, chain: &str) -> Result<(), Error> {
        let Some(known) = profile.chains.get(chain) else { return Ok(()) };
        let other_genesis = self.genesis.as_ref().zip(known.genesis_hash.as_ref()).is_some_and(|(found, expected)| found != expected);
        let other_chain = self.genesis.is_none() && self.chain.as_ref().is_some_and(|found| found != chain);
        if !other_genesis && !other_chain {
            return Ok(());
        }
        let found = self.chain.clone().or_else(|| Some(format!("the chain of genesis block {}", self.genesis.as_ref()?)));
        Err(Error::SourceChain { path: root.to_owned(), found: found.unwrap_or_default(), expected: chain.to_owned() })
    }
}

/// What the files of a data directory of that kind tell.
///
/// # Errors
/// When something cannot be read.
pub fn facts(fs: &dyn Fs, root: &Path, profile: &NodeProfile) -> Result<Facts, Error> {
    let (engine, engine_file) = engine(fs, root, profile)?.unzip();
    Ok(Facts { engine, engine_file, ..chain::of(fs, root, profile)? })
}

/// The engine of a profile's database: what the files at the first match of its `detect` say, or else what the profile says of all.
fn engine(fs: &dyn Fs, root: &Path, profile: &NodeProfile) -> Result<Option<(Engine, String)>, Error> {
    let first = match profile.detect.all.first() {
        Some(glob) => select::matches(fs, root, glob)?.into_iter().next(),
        None => None,
    };
    let dir = first.as_deref().map(|file| file.rsplit_once('/').map_or("", |(dir, _)| dir));
    let told = match dir {
        Some(dir) => of_dir(fs, &root.join(dir))?.map(|(engine, file)| (engine, path_of(dir, &file))),
        None => None,
    };
    let told = told.or_else(|| Some((Engine { name: profile.engine.clone()?, format: None }, first.clone()?)));
    let Some((engine, file)) = told else { return Ok(None) };
    let format = match &profile.format_file {
        Some(file) => word_of(fs, &root.join(file))?.map(|word| (word, file.to_string())),
        None => None,
    };
    Ok(Some(match format {
        Some((word, file)) => (Engine { format: Some(word), ..engine }, file),
        None => (engine, file),
    }))
}

fn path_of(dir: &str, file: &str) -> String {
    if dir.is_empty() { file.to_owned() } else { format!("{dir}/{file}") }
}

/// The engine whose database lies in a directory, and the file that tells.
///
/// # Errors
/// When something cannot be read.
pub fn of_dir(fs: &dyn Fs, dir: &Path) -> Result<Option<(Engine, String)>, Error> {
    let names = names_in(fs, dir)?;
    for told_by in [lsm::engine, parity_db::engine, mapped::engine] {
        if let Some(told) = told_by(fs, dir, &names)? {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

/// The names of the files in a directory, sorted; none where it is no directory.
fn names_in(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>, Error> {
    match fs.read_dir(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        entries => {
            let entries = entries.map_err(Error::io("read", dir))?.into_iter();
            Ok(entries.filter(|entry| entry.kind == Kind::File).filter_map(|entry| entry.name.into_string().ok()).collect())
        }
    }
}

/// The first bytes of a file; `None` where there is none.
fn head(fs: &dyn Fs, path: &Path, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
    if stat_if_there(fs, path)?.is_none_or(|stat| stat.kind != Kind::File) {
        return Ok(None);
    }
    let file = fs.open(path, Open::Read).map_err(Error::io("open", path))?;
    let (mut bytes, mut filled) = (vec![0; max_bytes.min(HEAD_BYTES)], 0);
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64).map_err(Error::io("read", path))? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(Some(bytes))
}

/// The first line of a file that holds one word.
fn word_of(fs: &dyn Fs, path: &Path) -> Result<Option<String>, Error> {
    Ok(head(fs, path, 4 * MAX_WORD)?.and_then(|bytes| word(String::from_utf8_lossy(&bytes).trim())))
}

/// A name or version that can be shown and written into a manifest.
fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= MAX_WORD && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// The value of the first line `key=value`, with or without blanks.
fn value_of(text: &str, key: &str) -> Option<String> {
    let of_line = |line: &str| word(line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim());
    text.lines().find_map(of_line)
}

#[cfg(test)]
mod tests;

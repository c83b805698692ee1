//! What was seen of a repository, as a file: two of them in turn, each with its own BLAKE3.
//!
//! A file is the hash of all that follows its first line, a newline, and JSON. A write always goes to the file that is
//! not the newest good one, so damage to one of them, by a torn write or a bad disk, leaves the other.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    format::json,
    fs::Fs,
    trust::RepoState,
    types::{ChannelName, Hash, Timestamp},
};

const FORMAT: &str = "qsync-state/1";
const MAX_BYTES: u64 = 64 << 20;
const HASH_LINE_BYTES: usize = 65;

/// The two files of a repository.
#[derive(Debug)]
pub(super) struct Generations<'a> {
    fs: &'a dyn Fs,
    folder: &'a Path,
    repo: Hash,
}

/// The newest good file.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) state: RepoState,
    generation: u64,
    slot: usize,
}

/// Files are there and none of them is good.
#[derive(Debug)]
pub(super) struct Damaged(pub(super) String);

enum Slot {
    Missing,
    Bad(String),
    Good(Newest),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    format: String,
    repo: Hash,
    generation: u64,
    roots: Vec<String>,
    heads: BTreeMap<ChannelName, String>,
    last_time: Option<Timestamp>,
}

const SLOTS: [&str; 2] = ["a", "b"];

impl<'a> Generations<'a> {
    pub(super) fn new(fs: &'a dyn Fs, folder: &'a Path, repo: Hash) -> Self {
        Self { fs, folder, repo }
    }

    /// The newest good file; `None` when there is none at all, which is not the same as none that is good.
    pub(super) fn load(&self) -> Result<Option<Newest>, Damaged> {
        let (mut best, mut problems): (Option<Newest>, Vec<String>) = (None, Vec::new());
        for slot in 0..SLOTS.len() {
            match self.read(slot) {
                Slot::Missing => {}
                Slot::Bad(problem) => problems.push(format!("{}: {problem}", self.path(slot).display())),
                Slot::Good(found) if best.as_ref().is_none_or(|best| found.generation > best.generation) => best = Some(found),
                Slot::Good(_) => {}
            }
        }
        if best.is_none() && !problems.is_empty() { Err(Damaged(problems.join("; "))) } else { Ok(best) }
    }

    /// Writes the next generation durably, over the file that is not `newest`.
    pub(super) fn store(&self, newest: Option<&Newest>, state: &RepoState) -> io::Result<()> {
        let (generation, slot) = newest.map_or((1, 0), |newest| (newest.generation.saturating_add(1), 1 - newest.slot));
        self.fs.write_durable(&self.path(slot), &encode(self.repo, generation, state), 0o600)
    }

    /// Removes both files.
    pub(super) fn remove(&self) -> io::Result<()> {
        for slot in 0..SLOTS.len() {
            match self.fs.remove_file(&self.path(slot)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.fs.sync_dir(self.folder)
    }

    fn path(&self, slot: usize) -> PathBuf {
        self.folder.join(format!("{}.{}", self.repo, SLOTS[slot]))
    }

    fn read(&self, slot: usize) -> Slot {
        match self.fs.read(&self.path(slot), MAX_BYTES) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Slot::Missing,
            Err(e) => Slot::Bad(e.to_string()),
            Ok(bytes) => match decode(self.repo, &bytes) {
                Ok((generation, state)) => Slot::Good(Newest { state, generation, slot }),
                Err(problem) => Slot::Bad(problem),
            },
        }
    }
}

/// The repository that a file in the folder is about, from its name.
pub(super) fn repo_of_file_name(name: &str) -> Option<Hash> {
    let (repo, slot) = name.split_once('.')?;
    SLOTS.contains(&slot).then(|| repo.parse().ok()).flatten()
}

fn encode(repo: Hash, generation: u64, state: &RepoState) -> Vec<u8> {
    let wire = Wire {
        format: FORMAT.to_owned(),
        repo,
        generation,
        roots: state.roots.iter().map(|bytes| STANDARD.encode(bytes)).collect(),
        heads: state.heads.iter().map(|(channel, bytes)| (channel.clone(), STANDARD.encode(bytes))).collect(),
        last_time: state.last_time,
    };
    let json = serde_json::to_vec(&wire).expect("strings, numbers and times are always JSON");
    let mut bytes = format!("{}\n", Hash::of(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    bytes
}

fn decode(repo: Hash, bytes: &[u8]) -> Result<(u64, RepoState), String> {
    let (line, json) = bytes.split_at_checked(HASH_LINE_BYTES).ok_or("cut short")?;
    if line != format!("{}\n", Hash::of(json)).as_bytes() {
        return Err("does not match its hash".to_owned());
    }
    let wire: Wire = json::from_slice_strict(json, MAX_BYTES).map_err(|e| e.to_string())?;
    if wire.format != FORMAT || wire.repo != repo {
        return Err(format!("format {:?} of b3:{}, expected {FORMAT:?} of b3:{repo}", wire.format, wire.repo));
    }
    let generation = wire.generation;
    Ok((generation, wire.into_state().map_err(|e| e.to_string())?))
}

impl Wire {
    fn into_state(self) -> Result<RepoState, base64::DecodeError> {
        let roots = self.roots.iter().map(|text| STANDARD.decode(text)).collect::<Result<_, _>>()?;
        let heads = self.heads.into_iter().map(|(channel, text)| Ok((channel, STANDARD.decode(text)?))).collect::<Result<_, _>>()?;
        Ok(RepoState { roots, heads, last_time: self.last_time })
    }
}

//! What this machine remembers of the snapshots that it has pinned: until when each is promised, and what makes the CID of the newest.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::plan::Promised;
use crate::{
    fs::Fs,
    types::{ChannelName, Cid, Hash},
};

const FORMAT: &str = "qsync-ipfs/1";
const FOLDER: &str = "ipfs";
const MAX_BYTES: u64 = 16 << 20;

/// What is remembered of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    format: String,
    channel: ChannelName,
    /// Until when each pinned snapshot is promised.
    pub(super) promised: Promised,
    /// What each of them holds.
    pub(super) contents: BTreeMap<Cid, Contents>,
    /// The snapshot that was being sent last: its guards may lie on the node.
    pub(super) sending: Option<Hash>,
    /// The newest.
    pub(super) newest: Option<Made>,
}

/// What a pinned snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Its manifest.
    pub(super) manifest: Hash,
    /// Length of the manifest's JSON, bytes.
    pub(super) manifest_json_bytes: u64,
    pub(super) archive: bool,
    pub(super) tree: bool,
}

/// What only the maker of a root knows: with it, one that the node lost is made again under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) root: Cid,
    /// The envelope of the head in it, in base 64.
    head: String,
    /// How many trust roots it has.
    pub(super) roots: usize,
}

impl Made {
    pub(super) fn new(root: Cid, head: &[u8], roots: usize) -> Self {
        Self { root, head: BASE64_STANDARD.encode(head), roots }
    }

    pub(super) fn head(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(&self.head).ok()
    }
}

impl Memory {
    pub(super) fn empty(channel: &ChannelName) -> Self {
        Self {
            format: FORMAT.to_owned(),
            channel: channel.clone(),
            promised: Promised::new(),
            contents: BTreeMap::new(),
            sending: None,
            newest: None,
        }
    }

    /// What was remembered; nothing on the first run. Blocks.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn load(fs: &dyn Fs, state_dir: &Path, repo: &Hash, channel: &ChannelName) -> Result<Self, String> {
        let path = path(state_dir, repo, channel);
        let bytes = match fs.read(&path, MAX_BYTES) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::empty(channel)),
            read => read.map_err(|e| format!("{}: {e}", path.display()))?,
        };
        let memory: Self = serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        if memory.format != FORMAT || memory.channel != *channel {
            return Err(format!("{}: it is {:?} of {}", path.display(), memory.format, memory.channel));
        }
        Ok(memory)
    }

    /// Remembers, durably. Blocks.
    pub(super) fn save(&self, fs: &dyn Fs, state_dir: &Path, repo: &Hash) -> io::Result<()> {
        let path = path(state_dir, repo, &self.channel);
        let folder = path.parent().unwrap_or(state_dir);
        fs.create_dir_all(folder, 0o700)?;
        fs.write_durable(&path, &serde_json::to_vec(self).map_err(io::Error::other)?, 0o600)
    }
}

fn path(state_dir: &Path, repo: &Hash, channel: &ChannelName) -> PathBuf {
    state_dir.join(FOLDER).join(Hash::of(format!("{repo}\0{channel}").as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fs::MemoryFs, types::Codec};

    #[test]
    fn what_is_remembered_is_of_one_channel_of_one_repository() {
        let (fs, state, repo) = (MemoryFs::new(), Path::new("/state"), Hash::of(b"repo"));
        let channel: ChannelName = "a/b".parse().unwrap();
        let root = Cid::new(Codec::DagPb, Hash::of(b"root"));
        let mut memory = Memory::load(&fs, state, &repo, &channel).unwrap();
        assert_eq!(memory, Memory::empty(&channel));
        memory.newest = Some(Made::new(root, b"head", 2));
        memory.promised.insert(root, "2026-11-20T03:00:12Z".parse().unwrap());
        memory.save(&fs, state, &repo).unwrap();
        let loaded = Memory::load(&fs, state, &repo, &channel).unwrap();
        assert_eq!(loaded, memory);
        assert_eq!(loaded.newest.unwrap().head().unwrap(), b"head");
        assert_eq!(Memory::load(&fs, state, &Hash::of(b"other"), &channel), Ok(Memory::empty(&channel)));
        assert_eq!(Memory::load(&fs, state, &repo, &"a/c".parse().unwrap()).unwrap().newest, None);
        fs.write_durable(&path(state, &repo, &channel), b"{", 0o600).unwrap();
        assert!(Memory::load(&fs, state, &repo, &channel).is_err());
    }
}

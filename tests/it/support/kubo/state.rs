//! What the node has, and what its commands do to that.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use ipld_dagpb::PbNode;
use qsync::{
    format::car,
    types::{Cid, Codec, Hash},
};

/// The longest block that a node takes.
const MAX_BLOCK_BYTES: usize = 2 << 20;

/// A node's memory.
pub(crate) struct State {
    pub(crate) version: String,
    pub(crate) online: bool,
    pub(crate) blocks: HashMap<Cid, Vec<u8>>,
    pub(crate) pins: BTreeMap<Cid, String>,
    pub(crate) files: BTreeMap<String, Cid>,
    pub(crate) commands: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        let (blocks, pins, files) = Default::default();
        Self { version: "0.43.0".to_owned(), online: false, blocks, pins, files, commands: Vec::new() }
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum No {
    /// In words.
    Because(String),
    /// This block is not here.
    Lacks(Cid),
}

fn because<T>(words: impl Into<String>) -> Result<T, No> {
    Err(No::Because(words.into()))
}

impl State {
    /// Takes the blocks of an archive: all or, when something is wrong with it, none. At most `most`.
    pub(crate) fn import(&mut self, archive: &[u8], most: usize) -> Result<usize, No> {
        let blocks = read_archive(archive)?;
        let count = blocks.len();
        self.blocks.extend(blocks.into_iter().take(most));
        Ok(count)
    }

    /// Everything below `root`, itself included.
    pub(crate) fn walk(&self, root: Cid) -> Result<HashSet<Cid>, No> {
        let (mut seen, mut open) = (HashSet::new(), vec![root]);
        while let Some(cid) = open.pop() {
            let block = self.blocks.get(&cid).ok_or(No::Lacks(cid))?;
            if seen.insert(cid) {
                open.extend(links(&cid, block).into_iter().rev());
            }
        }
        Ok(seen)
    }

    pub(crate) fn pin(&mut self, root: Cid, name: &str) -> Result<(), No> {
        self.walk(root)?;
        self.pins.insert(root, name.to_owned());
        Ok(())
    }

    pub(crate) fn hand_pin_over(&mut self, from: Cid, to: Cid) -> Result<(), No> {
        let Some(name) = self.pins.get(&from).cloned() else {
            return because("'from' cid was not recursively pinned already");
        };
        self.pin(to, &name)
    }

    pub(crate) fn unpin(&mut self, root: Cid) -> Result<(), No> {
        self.pins.remove(&root).map(drop).map_or_else(|| because("not pinned or pinned indirectly"), Ok)
    }

    pub(crate) fn copy_file(&mut self, cid: Cid, to: &str) -> Result<(), No> {
        if !self.blocks.contains_key(&cid) {
            return Err(No::Lacks(cid));
        }
        if self.is_there(to) {
            return because(format!("cp: cannot put node in path {to}: directory already has entry by that name"));
        }
        self.files.insert(to.to_owned(), cid);
        Ok(())
    }

    /// A path and all below it.
    pub(crate) fn remove_file(&mut self, path: &str) {
        self.files.retain(|other, _| other != path && !other.starts_with(&format!("{path}/")));
    }

    fn is_there(&self, path: &str) -> bool {
        self.files.keys().any(|other| other == path || other.starts_with(&format!("{path}/")))
    }

    pub(crate) fn file(&self, path: &str) -> Result<Cid, No> {
        if self.files.keys().any(|other| path.starts_with(&format!("{other}/"))) {
            return because(format!("cannot access {path}: Not a directory"));
        }
        self.files.get(path).copied().map_or_else(|| because("file does not exist"), Ok)
    }

    /// Of a file only what is there must be kept; of a pin all is.
    pub(crate) fn collect_garbage(&mut self) {
        let kept = self.pins.keys().chain(self.files.values()).flat_map(|root| self.reachable(*root)).collect::<HashSet<_>>();
        self.blocks.retain(|cid, _| kept.contains(cid));
    }

    fn reachable(&self, root: Cid) -> HashSet<Cid> {
        let (mut seen, mut open) = (HashSet::new(), vec![root]);
        while let Some(cid) = open.pop() {
            if let Some(block) = self.blocks.get(&cid).filter(|_| seen.insert(cid)) {
                open.extend(links(&cid, block));
            }
        }
        seen
    }
}

fn links(cid: &Cid, block: &[u8]) -> Vec<Cid> {
    match cid.codec() {
        Codec::Raw => Vec::new(),
        Codec::DagPb => {
            let node = PbNode::from_bytes(Bytes::copy_from_slice(block)).unwrap();
            node.links.into_iter().map(|link| link.cid.try_into().unwrap()).collect()
        }
    }
}

/// Every block of an archive, checked against its name.
fn read_archive(mut archive: &[u8]) -> Result<Vec<(Cid, Vec<u8>)>, No> {
    let Some(rest) = archive.strip_prefix(&car::HEADER[..]) else { return because("invalid header: unexpected EOF") };
    archive = rest;
    let mut blocks = Vec::new();
    while !archive.is_empty() {
        let Ok(bytes) = prost::encoding::decode_varint(&mut archive) else { return because("import failed: unexpected EOF") };
        let Some((section, rest)) = archive.split_at_checked(bytes as usize) else { return because("import failed: unexpected EOF") };
        blocks.push(read_block(section)?);
        archive = rest;
    }
    Ok(blocks)
}

fn read_block(section: &[u8]) -> Result<(Cid, Vec<u8>), No> {
    let (name, bytes) = section.split_at(Cid::BYTES);
    let cid = Cid::try_from(cid::Cid::try_from(name).unwrap()).unwrap();
    if bytes.len() > MAX_BLOCK_BYTES {
        return because(format!(
            "import failed at block \"{cid}\": produced block is over 2MiB: big blocks can't be exchanged with other peers"
        ));
    }
    if cid.hash() != Hash::of(bytes) {
        return because(format!("import failed: mismatch in content integrity, name: {cid}"));
    }
    Ok((cid, bytes.to_vec()))
}

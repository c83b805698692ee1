//! A snapshot on IPFS, put together from a store, and trustless gateways that have its blocks and answer as a test tells them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use qsync::{
    format::unixfs::{Block, Dag, Entry, FileBuilder, directory},
    types::{Cid, Codec, Hash},
};

use super::{
    evil::{Answer, EvilMirror},
    tree,
};

/// The length of a manifest's blocks here: so short that every manifest is a tree of several.
const MANIFEST_BLOCK: usize = 300;

/// The blocks of one or more snapshots, as files named by what a gateway is asked for.
pub(crate) struct Blocks {
    folder: PathBuf,
}

impl Blocks {
    /// None, in a new folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let blocks = Self { folder };
        fs::create_dir_all(blocks.folder.join("ipfs")).unwrap();
        fs::write(blocks.path("bafkqaaa"), b"").unwrap();
        blocks
    }

    /// The blocks of the newest snapshot of a store of one channel; gives its root.
    pub(crate) fn add_snapshot(&self, store: &Path) -> Cid {
        for folder in ["chunks", "raw", "lists"].into_iter().filter(|folder| store.join(folder).exists()) {
            for object in tree::files(&store.join(folder)) {
                self.add_leaf(fs::read(object).unwrap());
            }
        }
        let mut entries = vec![self.entry("head.json", self.add_file(&only_file(&store.join("heads")), 1 << 20))];
        let trust = tree::files(&store.join("root")).into_iter().map(|root| {
            let name = root.file_name().unwrap().to_str().unwrap().to_owned();
            Entry { name, dag: self.add_leaf(fs::read(root).unwrap()) }
        });
        entries.push(self.entry("trust", self.add_directory(trust.collect())));
        let manifest = tree::files(&store.join("manifests")).into_iter().max_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
        entries.push(self.entry("manifest", self.add_file(&manifest.unwrap(), MANIFEST_BLOCK)));
        // What is in them is for other tools.
        let forms = [("chunks", "archive.tar.zst"), ("raw", "tree")].into_iter().filter(|(folder, _)| store.join(folder).exists());
        forms.for_each(|(_, name)| entries.push(self.entry(name, self.add_leaf(name.as_bytes().to_vec()))));
        self.add_directory(entries).cid
    }

    /// A directory with these entries.
    pub(crate) fn add_directory(&self, entries: Vec<Entry>) -> Dag {
        directory(entries, &mut |block| self.add(block))
    }

    /// A block of content.
    pub(crate) fn add_leaf(&self, bytes: Vec<u8>) -> Dag {
        let block = Block::leaf(bytes);
        let dag = block.as_leaf();
        self.add(block);
        dag
    }

    /// A file in blocks of this length.
    pub(crate) fn add_file(&self, file: &Path, block_bytes: usize) -> Dag {
        let mut builder = FileBuilder::default();
        for part in fs::read(file).unwrap().chunks(block_bytes) {
            builder.push(self.add_leaf(part.to_vec()), &mut |block| self.add(block));
        }
        builder.finish(&mut |block| self.add(block))
    }

    /// An entry of a directory.
    pub(crate) fn entry(&self, name: &str, dag: Dag) -> Entry {
        Entry { name: name.to_owned(), dag }
    }

    fn add(&self, block: Block) {
        fs::write(self.path(&block.cid.to_string()), block.bytes).unwrap();
    }

    /// Where a block lies.
    pub(crate) fn path(&self, cid: &str) -> PathBuf {
        self.folder.join("ipfs").join(format!("{cid}?format=raw"))
    }

    /// A gateway that has all of them.
    pub(crate) fn gateway(&self) -> EvilMirror {
        self.evil_gateway(|_| Answer::Whole)
    }

    /// A gateway that answers so; asked for a block by its CID.
    pub(crate) fn evil_gateway(&self, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> EvilMirror {
        EvilMirror::start(self.folder.clone(), move |key| {
            let cid = key.trim_start_matches("ipfs/").trim_end_matches("?format=raw");
            if cid == "bafkqaaa" { Answer::Whole } else { answer(cid) }
        })
    }
}

/// The CID of a chunk in a store.
pub(crate) fn chunk_cid(chunk: &Path) -> String {
    let hash: Hash = chunk.file_name().unwrap().to_str().unwrap().parse().unwrap();
    Cid::new(Codec::Raw, hash).to_string()
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = tree::files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

//! `tree`: the database directory as IPFS has directories. Its name is the one that Kubo gives to the restored directory.

use std::collections::BTreeMap;

use super::{ChunkPiece, Piece};
use crate::{
    format::{
        row::{Row, Stored},
        unixfs::{Block, Dag, Entry, FileBuilder, directory, empty_file},
    },
    types::{Form, RelPath},
};

/// Puts the tree together, file by file. Holds the name of every file.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    chunks: FileBuilder,
    is_empty: bool,
    /// The entries of each directory.
    dirs: BTreeMap<String, Vec<Entry>>,
}

impl TreeBuilder {
    /// A tree with these directories, each with its parents among them.
    #[must_use]
    pub fn new(dirs: &[RelPath]) -> Self {
        let top = std::iter::once(String::new());
        let dirs = top.chain(dirs.iter().map(ToString::to_string)).map(|dir| (dir, Vec::new())).collect();
        Self { chunks: FileBuilder::default(), is_empty: true, dirs }
    }

    /// The next chunk of the file that [`TreeBuilder::end_file`] ends.
    pub fn chunk(&mut self, file: usize, index: u64, row: Row, raw_bytes: u32, emit: &mut impl FnMut(Piece)) {
        let piece = match row.stored {
            Stored::Hole => Piece::Zeros { hash: row.raw, bytes: u64::from(raw_bytes) },
            Stored::Frame { .. } => Piece::Chunk(ChunkPiece { form: Form::Raw, file, index, row, raw_bytes }),
        };
        self.leaf(piece.leaf(), &mut |node| emit(Piece::Block(node)));
        emit(piece);
    }

    /// The next block of the file that [`TreeBuilder::end_file`] ends, whoever has it.
    pub fn leaf(&mut self, leaf: Dag, emit: &mut impl FnMut(Block)) {
        self.chunks.push(leaf, emit);
        self.is_empty = false;
    }

    /// Ends a file.
    pub fn end_file(&mut self, path: &RelPath, emit: &mut impl FnMut(Block)) {
        let chunks = std::mem::take(&mut self.chunks);
        let dag = if std::mem::replace(&mut self.is_empty, true) { empty_file(emit) } else { chunks.finish(emit) };
        self.name(path.as_str(), dag);
    }

    fn name(&mut self, path: &str, dag: Dag) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.dirs.entry(dir.to_owned()).or_default().push(Entry { name: name.to_owned(), dag });
    }

    /// The tree.
    pub fn finish(mut self, emit: &mut impl FnMut(Block)) -> Dag {
        // What is below another sorts behind it.
        while let Some((path, entries)) = self.dirs.pop_last() {
            let dag = directory(entries, emit);
            if path.is_empty() {
                return dag;
            }
            self.name(&path, dag);
        }
        directory(Vec::new(), emit)
    }
}

//! Blocks that are sent together, and the node that keeps them until all have arrived.

use crate::format::{
    ipfs::Piece,
    unixfs::{Block, Dag, Entry, directory},
};

/// The most bytes of a batch: what a connection that breaks makes the node receive again.
const MAX_BYTES: u64 = 128 << 20;
/// The most blocks of a batch: its guard is one block, which names them all.
const MAX_PIECES: usize = 4000;

/// Blocks that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Its position among those of the run.
    pub(super) number: u64,
    pub(super) pieces: Vec<Piece>,
    pub(super) bytes: u64,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES || self.pieces.len() >= MAX_PIECES
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.bytes += piece.bytes();
        self.pieces.push(piece);
    }

    /// This batch, and in its place an empty one that follows it.
    pub(super) fn take(&mut self) -> Self {
        let next = Self { number: self.number + 1, ..Self::default() };
        std::mem::replace(self, next)
    }

    /// Takes out what is more than a batch may have.
    pub(super) fn split(&mut self) -> Self {
        let mut more = Self::default();
        let (mut bytes, mut count) = (0, 0);
        while count < self.pieces.len() && count < MAX_PIECES && bytes < MAX_BYTES {
            bytes += self.pieces[count].bytes();
            count += 1;
        }
        more.pieces = self.pieces.split_off(count);
        more.bytes = self.bytes - bytes;
        self.bytes = bytes;
        more
    }

    /// A directory that names every block: as long as the node's own tree of files names it, its garbage collection leaves them alone. It
    /// depends on nothing but the blocks' names, so a later run finds out that the node has them.
    pub(super) fn guard(&self) -> Block {
        let entry = |(index, piece): (usize, &Piece)| {
            let dag = Dag { cid: piece.cid(), dag_bytes: piece.bytes(), content_bytes: 0 };
            Entry { name: format!("{index:04}"), dag }
        };
        let mut blocks = Vec::new();
        directory(self.pieces.iter().enumerate().map(entry).collect(), &mut |block| blocks.push(block));
        debug_assert_eq!(blocks.len(), 1, "so few names fit into one block");
        blocks.pop().expect("a directory has a block")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_of_the_most_and_longest_blocks_is_one_block() {
        let mut batch = Batch::default();
        while batch.pieces.len() < MAX_PIECES - 1 {
            batch.push(Piece::Zeros { hash: crate::types::Hash::of(&batch.pieces.len().to_le_bytes()), bytes: 2 << 20 });
            batch.bytes = 0;
        }
        assert!(!batch.is_full());
        batch.push(Piece::Zeros { hash: crate::types::Hash::of(b"last"), bytes: 2 << 20 });
        assert!(batch.is_full());
        assert!(batch.guard().bytes.len() < 256 << 10);
        let taken = batch.take();
        assert_eq!((taken.number, taken.pieces.len(), batch.number, batch.pieces.len()), (0, MAX_PIECES, 1, 0));
    }
}

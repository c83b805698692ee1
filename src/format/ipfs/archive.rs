//! `archive.tar.zst`: the tar view as one file, whose blocks are the stored frames and what stands between them.

use super::{ChunkPiece, Piece};
use crate::{
    format::{
        archive::Joint,
        frame::by_hand,
        row::{Row, Stored},
        unixfs::{Block, Dag, FileBuilder},
    },
    types::Form,
};

/// Puts the archive together, in the order of the tar. A joint is a block; the frames of a file are a tree of their own, so that a large file that
/// did not change keeps its name.
#[derive(Debug, Default)]
pub struct ArchiveBuilder {
    members: FileBuilder,
    frames: FileBuilder,
    /// Whether `frames` has any.
    has_frames: bool,
}

impl ArchiveBuilder {
    /// The frame of a joint: the first thing after what came before.
    pub fn joint(&mut self, joint: &Joint, emit: &mut impl FnMut(Piece)) {
        let block = Block::leaf(by_hand::plain(&joint.bytes));
        self.members.push(block.as_leaf(), &mut |node| emit(Piece::Block(node)));
        emit(Piece::Block(block));
    }

    /// The next chunk of the file whose joint was the last.
    pub fn chunk(&mut self, file: usize, index: u64, row: Row, raw_bytes: u32, emit: &mut impl FnMut(Piece)) {
        let piece = match row.stored {
            Stored::Hole => Piece::Block(Block::leaf(by_hand::zeros(raw_bytes))),
            Stored::Frame { .. } => Piece::Chunk(ChunkPiece { form: Form::Zstd, file, index, row, raw_bytes }),
        };
        self.frames.push(piece.leaf(), &mut |node| emit(Piece::Block(node)));
        self.has_frames = true;
        emit(piece);
    }

    /// Ends the file. An empty one has no data and so no frames. The nodes of the file come apart from those that hold other members too.
    pub fn end_file(&mut self, emit_of_file: &mut impl FnMut(Block), emit: &mut impl FnMut(Block)) {
        if std::mem::take(&mut self.has_frames) {
            let file = std::mem::take(&mut self.frames).finish(emit_of_file);
            self.members.push(file, emit);
        }
    }

    /// The archive.
    pub fn finish(self, emit: &mut impl FnMut(Piece)) -> Dag {
        self.members.finish(&mut |node| emit(Piece::Block(node)))
    }
}

//! Every block of a snapshot that the node may lack, in the order of the archive.

use std::collections::HashSet;

use super::{Error, baseline::Baseline, rows::Rows, sender::Sender};
use crate::{
    format::{
        archive::{Joint, joints},
        ipfs::{ArchiveBuilder, Piece, TreeBuilder},
        list::{FileShape, SEGMENT_ROWS},
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
        unixfs::{Dag, FileBuilder},
    },
    types::{Cid, Form, Forms},
};

/// What was made of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) lists: Dag,
    pub(super) archive: Option<Dag>,
    pub(super) tree: Option<Dag>,
}

/// A walk through a snapshot.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    manifest: &'a Manifest,
    rows: &'a Rows,
    baseline: Option<&'a Baseline>,
    lists: FileBuilder,
    archive: Option<ArchiveBuilder>,
    tree: Option<TreeBuilder>,
    /// Blocks that many chunks share: those of holes.
    shared: HashSet<Cid>,
}

/// What of a file the node has.
struct Known<'a> {
    /// The whole file as it is.
    file: Option<&'a Baseline>,
    /// These rows of the segment.
    rows: Vec<Row>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(manifest: &'a Manifest, rows: &'a Rows, baseline: Option<&'a Baseline>, forms: Forms) -> Self {
        Self {
            manifest,
            rows,
            baseline,
            lists: FileBuilder::default(),
            archive: forms.contains(Form::Zstd).then(ArchiveBuilder::default),
            tree: forms.contains(Form::Raw).then(|| TreeBuilder::new(manifest.dirs())),
            shared: HashSet::new(),
        }
    }

    /// Gives every block that the baseline lacks to the sender.
    pub(super) async fn run(mut self, sender: &mut Sender<'_>) -> Result<Parts, Error> {
        for joint in joints(self.manifest) {
            self.joint(&joint, sender);
            sender.send_if_full().await?;
            if let Some(index) = joint.file {
                self.file(index, sender).await?;
            }
        }
        let mut node = |block| sender.push(Piece::Block(block));
        let (lists, tree) = (self.lists.finish(&mut node), self.tree.map(|tree| tree.finish(&mut node)));
        let archive = self.archive.map(|archive| archive.finish(&mut |piece| sender.push(piece)));
        Ok(Parts { lists, archive, tree })
    }

    fn joint(&mut self, joint: &Joint, sender: &mut Sender<'_>) {
        let Some(archive) = &mut self.archive else { return };
        let baseline = self.baseline;
        let is_known = |piece: &Piece| baseline.is_some_and(|baseline| baseline.has_joint(&piece.cid().hash()));
        archive.joint(joint, &mut |piece| {
            if !is_known(&piece) {
                sender.push(piece);
            }
        });
    }

    async fn file(&mut self, index: usize, sender: &mut Sender<'_>) -> Result<(), Error> {
        let file = &self.manifest.files()[index];
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        let whole = self.baseline.filter(|baseline| baseline.has_file(file));
        for segment in 0..shape.segments() {
            let rows = self.rows.of(file, shape, segment).await?;
            let known = match (whole, self.baseline) {
                (None, Some(baseline)) => baseline.rows(self.rows, &file.path, segment).await,
                _ => Vec::new(),
            };
            let known = Known { file: whole, rows: known };
            self.list(file, segment, rows.len(), sender);
            for (place, row) in rows.iter().enumerate() {
                let chunk = segment * SEGMENT_ROWS + place as u64;
                let is_same = known.rows.get(place) == Some(row);
                self.chunk(index, chunk, *row, shape.raw_len(chunk), (&known, is_same), sender);
                sender.send_if_full().await?;
            }
        }
        self.end_file(file, whole, sender);
        Ok(())
    }

    fn list(&mut self, file: &FileEntry, segment: u64, rows: usize, sender: &mut Sender<'_>) {
        let Layout::Lists(lists) = &file.layout else { return };
        let (hash, bytes) = (lists[segment as usize], (rows * Row::BYTES) as u64);
        self.lists.push(Dag::leaf(hash, bytes), &mut |block| sender.push(Piece::Block(block)));
        if self.baseline.and_then(|baseline| baseline.list(&file.path, segment)) != Some(hash) {
            sender.push(Piece::List { hash, bytes });
        }
    }

    fn chunk(&mut self, file: usize, index: u64, row: Row, raw_bytes: u32, known: (&Known<'_>, bool), sender: &mut Sender<'_>) {
        let (known, is_same) = known;
        let (baseline, shared) = (self.baseline, &mut self.shared);
        let mut emit = |form: Form, piece: Piece| {
            let has_form = baseline.is_some_and(|baseline| baseline.has(form));
            let is_known = has_form && (known.file.is_some() || (is_same && matches!(piece, Piece::Chunk(_))));
            if !is_known && (!is_shared(&piece, &row) || shared.insert(piece.cid())) {
                sender.push(piece);
            }
        };
        if let Some(archive) = &mut self.archive {
            archive.chunk(file, index, row, raw_bytes, &mut |piece| emit(Form::Zstd, piece));
        }
        if let Some(tree) = &mut self.tree {
            tree.chunk(file, index, row, raw_bytes, &mut |piece| emit(Form::Raw, piece));
        }
    }

    fn end_file(&mut self, file: &FileEntry, whole: Option<&Baseline>, sender: &mut Sender<'_>) {
        let has = |form| whole.is_some_and(|baseline| baseline.has(form));
        if let Some(archive) = &mut self.archive {
            let mut of_file = Vec::new();
            archive.end_file(&mut |block| of_file.push(block), &mut |block| sender.push(Piece::Block(block)));
            of_file.into_iter().for_each(|block| push_unless(has(Form::Zstd), Piece::Block(block), sender));
        }
        if let Some(tree) = &mut self.tree {
            tree.end_file(&file.path, &mut |block| push_unless(has(Form::Raw), Piece::Block(block), sender));
        }
    }
}

fn push_unless(is_known: bool, piece: Piece, sender: &mut Sender<'_>) {
    if !is_known {
        sender.push(piece);
    }
}

/// Whether other holes have the same block.
fn is_shared(piece: &Piece, row: &Row) -> bool {
    row.is_hole() && !matches!(piece, Piece::Chunk(_))
}

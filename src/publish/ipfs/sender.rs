//! Gives blocks to the node, batch by batch, and keeps its garbage collection off them until the snapshot is pinned.

use std::{io, sync::Arc, time::Duration};

use async_channel::Sender as Channel;
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{Error, batch::Batch, material::Material};
use crate::{
    format::{car, ipfs::Piece, unixfs::Block},
    kubo::{Completeness, ErrorKind, Kubo},
    progress::{Event, Progress},
    types::Cid,
};

/// Blocks that are read and made at once.
const AHEAD: usize = 8;
/// Pieces of the archive between making and sending.
const QUEUED: usize = 8;
/// How often a batch is sent that was collected before it was guarded.
const TRIES: u32 = 3;
/// How long the node may take to look through one batch.
const LOOK: Duration = Duration::from_secs(120);

/// Whether what an earlier round sent is believed to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// Yes, where its guard is there.
    Guarded,
    /// Only after the node has looked.
    Proved,
}

/// Sends blocks.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    node: &'a Kubo,
    /// Where the guards lie in the node's own tree of files.
    folder: String,
    material: Arc<Material>,
    belief: Belief,
    batch: Batch,
    progress: Arc<dyn Progress>,
    /// Bytes of all blocks of the run that the snapshot before does not have, sent or there already.
    pub(super) new_bytes: u64,
    /// Blocks sent.
    pub(super) blocks: u64,
    /// Bytes of these blocks.
    pub(super) bytes: u64,
}

impl<'a> Sender<'a> {
    pub(super) fn new(node: &'a Kubo, folder: &str, material: &Arc<Material>, belief: Belief, progress: &Arc<dyn Progress>) -> Self {
        Self {
            node,
            folder: folder.to_owned(),
            material: Arc::clone(material),
            belief,
            batch: Batch::default(),
            progress: Arc::clone(progress),
            new_bytes: 0,
            blocks: 0,
            bytes: 0,
        }
    }

    /// Adds a block to the batch.
    pub(super) fn push(&mut self, piece: Piece) {
        self.new_bytes += piece.bytes();
        self.batch.push(piece);
    }

    /// Sends the batch once it is large enough. To be called after every few blocks.
    pub(super) async fn send_if_full(&mut self) -> Result<(), Error> {
        if self.batch.is_full() { self.send().await } else { Ok(()) }
    }

    /// Sends what is left.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        while !self.batch.pieces.is_empty() {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Error> {
        let mut batch = self.batch.take();
        // The nodes above many files come at once.
        let more = batch.split();
        self.batch.pieces.extend(more.pieces);
        self.batch.bytes += more.bytes;
        let (guard, path) = (batch.guard(), format!("{}/{}", self.folder, batch.number));
        if self.has(&guard.cid, &path).await? {
            return Ok(());
        }
        let (blocks, bytes) = (batch.pieces.len() as u64, batch.bytes);
        for tried in 1.. {
            self.import(&batch, &guard).await?;
            match self.node.files_cp(&guard.cid, &path).await {
                // Collected between the two calls.
                Err(error) if matches!(error.kind, ErrorKind::Missing | ErrorKind::TimedOut) && tried < TRIES => {}
                guarded => {
                    guarded?;
                    break;
                }
            }
        }
        self.blocks += blocks;
        self.bytes += bytes;
        Ok(())
    }

    /// Whether an earlier call has sent exactly these blocks, and they are still there.
    async fn has(&self, guard: &Cid, path: &str) -> Result<bool, Error> {
        if self.node.files_cid(path).await? != Some(*guard) {
            return Ok(false);
        }
        match self.belief {
            Belief::Guarded => Ok(true),
            Belief::Proved => Ok(self.node.completeness(guard, LOOK).await? == Completeness::Complete),
        }
    }

    async fn import(&self, batch: &Batch, guard: &Block) -> Result<(), Error> {
        let (archive, arriving) = async_channel::bounded(QUEUED);
        let made = async {
            let made = self.make(batch, guard, &archive).await;
            if made.is_err() {
                // An archive that ends early is not taken for a whole one.
                let _ = archive.send(Err(io::Error::other("not made"))).await;
            }
            archive.close();
            made
        };
        let (made, imported) = futures::join!(made, self.node.import(arriving));
        // Whatever the node says of an archive that broke off, the reason is here.
        made?;
        imported?;
        Ok(())
    }

    async fn make(&self, batch: &Batch, guard: &Block, archive: &Channel<Result<Bytes, io::Error>>) -> Result<(), Error> {
        if archive.send(Ok(Bytes::from_static(&car::HEADER))).await.is_err() {
            return Ok(());
        }
        let guard = Piece::Block(guard.clone());
        let pieces = stream::iter(batch.pieces.iter().chain([&guard]).cloned());
        let mut made = pieces.map(async |piece| (piece.cid(), self.material.bytes(piece).await)).buffered(AHEAD);
        while let Some((cid, bytes)) = made.next().await {
            let bytes = bytes?;
            self.progress.event(Event::Done { bytes: bytes.len() as u64 });
            for part in [car::section_header(&cid, bytes.len()), bytes] {
                if archive.send(Ok(part.into())).await.is_err() {
                    // The node is not listening any more, and says why.
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

//! `qsync export`: a snapshot as a tar, plain or of its stored frames, every chunk verified before a byte of it is written (docs/format.md, 2.7).

use std::{
    io::{self, Write},
    sync::Arc,
    time::Instant,
};

use async_channel::{Receiver, Sender};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use thiserror::Error;

use super::frames::{self, NoFrame};
use crate::{
    catalog::{self, OpenSnapshot},
    format::{
        archive,
        chunk::ChunkError,
        frame::by_hand,
        list::{FileShape, SEGMENT_ROWS},
        manifest::{FileEntry, Manifest},
        row::Row,
        tar,
    },
    progress::{Event, Phase, Progress, Stop},
    sources::{Exhausted, Report, RowsError, Sources},
    types::{ChannelName, Hash, RelPath},
};

/// Chunks fetched ahead of the one that is written.
const AHEAD: usize = 8;
/// Pieces between fetching and writing.
const QUEUED_PIECES: usize = 4;

/// How the tar is written. Its names are a promise (docs/scripting.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Format {
    /// As it is.
    #[serde(rename = "tar")]
    Tar,
    /// As zstd frames: those of the chunks as they are stored, and small ones for what stands between them. Nothing is compressed again, and
    /// everybody gets the same bytes.
    #[serde(rename = "tar.zst")]
    TarZst,
}

/// What was exported. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The channel.
    pub channel: ChannelName,
    /// Id of the snapshot.
    pub snapshot: Hash,
    /// Block height, if known.
    pub height: Option<u64>,
    /// Number of files.
    pub files: u64,
    /// How it was written.
    pub format: Format,
    /// Length of the tar, bytes.
    pub tar_bytes: u64,
    /// Bytes written; the same for a plain tar.
    pub written_bytes: u64,
    /// What came from each source: lists and chunks.
    pub sources: Vec<Report>,
    /// How long it took.
    pub seconds: f64,
}

/// Why an export ended early. What was written until then is a prefix of the tar, and every byte of it is verified.
#[derive(Debug, Error)]
pub enum Error {
    /// The snapshot could not be opened.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The rows of a file could not be had.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A chunk could not be had.
    #[error("the sources do not deliver {path}")]
    Chunk {
        /// The file.
        path: RelPath,
        /// Why.
        #[source]
        source: Exhausted,
    },
    /// The sources have the chunk only as it is, and its frame made here is another than the one that was published.
    #[error("{path}: no source has frames, and this qsync makes another frame of a chunk than the publisher's did")]
    Forms {
        /// The file.
        path: RelPath,
    },
    /// The signed row of a chunk contradicts itself: no source can heal it.
    #[error("a chunk of {path} is not what its row says in its other form")]
    Contradiction {
        /// The file.
        path: RelPath,
        /// Why.
        #[source]
        source: ChunkError,
    },
    /// The tar could not be written.
    #[error("cannot write the tar")]
    Write(#[source] io::Error),
    /// Somebody asked it to stop.
    #[error("stopped before the end of the tar")]
    Interrupted,
    /// A thread panicked.
    #[error("a worker of this run died")]
    WorkerDied,
}

/// Writes the snapshot as a tar to `out`.
///
/// # Errors
/// [`enum@Error`]
pub async fn export(
    snapshot: &OpenSnapshot,
    sources: &Arc<Sources>,
    format: Format,
    out: impl Write + Send + 'static,
    stop: &Stop,
    progress: &Arc<dyn Progress>,
) -> Result<Summary, Error> {
    let started = Instant::now();
    let manifest = &snapshot.manifest;
    progress.event(Event::Phase { phase: Phase::Transfer, total_bytes: Some(manifest.totals().bytes) });
    let (pieces, waiting) = async_channel::bounded(QUEUED_PIECES);
    let writer = tokio::task::spawn_blocking(move || write_all(out, &waiting));
    let exporting = Exporting { manifest, sources, format, pieces, progress };
    let sent = tokio::select! {
        sent = exporting.send_all() => sent,
        // The writer is not waited for: it may hang at a pipe that nobody reads.
        () = stop.wait() => return Err(Error::Interrupted),
    };
    // A writer that failed closed the channel; its reason comes first.
    let written_bytes = writer.await.map_err(|_| Error::WorkerDied)?.map_err(Error::Write)?;
    sent?;
    Ok(Summary {
        channel: manifest.about().channel.clone(),
        snapshot: snapshot.id(),
        height: manifest.about().height,
        files: manifest.totals().files,
        format,
        tar_bytes: tar::total_bytes(manifest),
        written_bytes,
        sources: sources.reports(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Gives the number of bytes written.
fn write_all(mut out: impl Write, pieces: &Receiver<Vec<u8>>) -> io::Result<u64> {
    let mut written = 0;
    while let Ok(piece) = pieces.recv_blocking() {
        if let Err(error) = out.write_all(&piece) {
            pieces.close();
            return Err(error);
        }
        written += piece.len() as u64;
    }
    out.flush().map(|()| written)
}

/// A snapshot on its way to the writer.
struct Exporting<'a> {
    manifest: &'a Manifest,
    sources: &'a Arc<Sources>,
    format: Format,
    pieces: Sender<Vec<u8>>,
    progress: &'a Arc<dyn Progress>,
}

impl Exporting<'_> {
    /// Ends the writer's work when it is dropped.
    async fn send_all(self) -> Result<(), Error> {
        for joint in archive::joints(self.manifest) {
            self.send(self.joint(joint.bytes)).await?;
            if let Some(index) = joint.file {
                self.send_file(&self.manifest.files()[index]).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, piece: Vec<u8>) -> Result<(), Error> {
        self.pieces.send(piece).await.map_err(|_| Error::Write(io::ErrorKind::BrokenPipe.into()))
    }

    fn joint(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.format {
            Format::Tar => bytes,
            Format::TarZst => by_hand::plain(&bytes),
        }
    }

    async fn send_file(&self, file: &FileEntry) -> Result<(), Error> {
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        for segment in 0..shape.segments() {
            let rows = self.sources.rows(file, shape, segment).await?;
            let numbered = (segment * SEGMENT_ROWS..).zip(rows);
            let chunks = stream::iter(numbered).map(|(index, row)| self.chunk(file, row, shape.raw_len(index))).buffered(AHEAD);
            chunks
                .try_for_each(async |(raw_bytes, chunk)| {
                    self.progress.event(Event::Done { bytes: u64::from(raw_bytes) });
                    self.send(chunk).await
                })
                .await?;
        }
        Ok(())
    }

    /// A chunk as it is written, and its length before.
    async fn chunk(&self, file: &FileEntry, row: Row, raw_bytes: u32) -> Result<(u32, Vec<u8>), Error> {
        let chunk = match self.format {
            Format::Tar => self.sources.chunk(row, raw_bytes).await.map_err(|source| lost(file, source))?,
            Format::TarZst => self.frame(file, row, raw_bytes).await?,
        };
        Ok((raw_bytes, chunk))
    }

    async fn frame(&self, file: &FileEntry, row: Row, raw_bytes: u32) -> Result<Vec<u8>, Error> {
        let fetched = frames::fetch(self.sources, &self.manifest.about().encoder, &row, raw_bytes).await;
        let frame = fetched.map_err(|no_frame| match no_frame {
            NoFrame::Sources(source) => lost(file, source),
            NoFrame::Otherwise => Error::Forms { path: file.path.clone() },
        })?;
        if row.is_hole() {
            return Ok(frame);
        }
        // Whoever unpacks it gets what the row says, or nothing.
        let decoded = frames::decode(row, raw_bytes, frame).await;
        decoded.map(|(frame, _)| frame).map_err(|source| Error::Contradiction { path: file.path.clone(), source })
    }
}

fn lost(file: &FileEntry, source: Exhausted) -> Error {
    Error::Chunk { path: file.path.clone(), source }
}

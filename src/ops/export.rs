//! `qsync export`: a snapshot as a plain tar, every chunk verified before a byte of it is written.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Instant,
};

use async_channel::{Receiver, Sender};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use thiserror::Error;

use crate::{
    catalog::{self, OpenSnapshot},
    format::{
        list::{FileShape, SEGMENT_ROWS},
        manifest::{FileEntry, Manifest},
        row::Row,
        tar::{self, Content},
    },
    progress::{Event, Phase, Progress, Stop},
    sources::{Exhausted, Report, RowsError, Sources},
    types::{ChannelName, Hash, RelPath},
};

/// Chunks fetched ahead of the one that is written.
const AHEAD: usize = 8;
/// Pieces between fetching and writing.
const QUEUED_PIECES: usize = 4;

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
    /// Length of the tar, bytes.
    pub tar_bytes: u64,
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
    out: impl Write + Send + 'static,
    stop: &Stop,
    progress: &Arc<dyn Progress>,
) -> Result<Summary, Error> {
    let started = Instant::now();
    let manifest = &snapshot.manifest;
    progress.event(Event::Phase { phase: Phase::Transfer, total_bytes: Some(manifest.totals().bytes) });
    let (pieces, waiting) = async_channel::bounded(QUEUED_PIECES);
    let writer = tokio::task::spawn_blocking(move || write_all(out, &waiting));
    let work = send_all(manifest, sources, pieces, progress);
    let sent = tokio::select! {
        sent = work => sent,
        // The writer is not waited for: it may hang at a pipe that nobody reads.
        () = stop.wait() => return Err(Error::Interrupted),
    };
    // A writer that failed closed the channel; its reason comes first.
    writer.await.map_err(|_| Error::WorkerDied)?.map_err(Error::Write)?;
    sent?;
    Ok(Summary {
        channel: manifest.about().channel.clone(),
        snapshot: snapshot.id(),
        height: manifest.about().height,
        files: manifest.totals().files,
        tar_bytes: tar::total_bytes(manifest),
        sources: sources.reports(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn write_all(mut out: impl Write, pieces: &Receiver<Vec<u8>>) -> io::Result<()> {
    while let Ok(piece) = pieces.recv_blocking() {
        if let Err(error) = out.write_all(&piece) {
            pieces.close();
            return Err(error);
        }
    }
    out.flush()
}

async fn send_all(manifest: &Manifest, sources: &Arc<Sources>, pieces: Sender<Vec<u8>>, progress: &Arc<dyn Progress>) -> Result<(), Error> {
    for member in tar::members(manifest) {
        send(&pieces, member.header).await?;
        if let Content::File { index, padding_bytes } = member.content {
            send_file(manifest, &manifest.files()[index], sources, &pieces, progress).await?;
            send(&pieces, vec![0; padding_bytes as usize]).await?;
        }
    }
    send(&pieces, vec![0; tar::END_BYTES as usize]).await
}

async fn send(pieces: &Sender<Vec<u8>>, piece: Vec<u8>) -> Result<(), Error> {
    pieces.send(piece).await.map_err(|_| Error::Write(io::ErrorKind::BrokenPipe.into()))
}

async fn send_file(
    manifest: &Manifest,
    file: &FileEntry,
    sources: &Arc<Sources>,
    pieces: &Sender<Vec<u8>>,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let shape = FileShape::new(file.bytes, manifest.about().chunk_size);
    for segment in 0..shape.segments() {
        let rows = sources.rows(file, shape, segment).await?;
        let numbered = (segment * SEGMENT_ROWS..).zip(rows);
        let fetch = |(index, row): (u64, Row)| {
            let (sources, raw_len) = (Arc::clone(sources), shape.raw_len(index));
            async move { sources.chunk(row, raw_len).await }
        };
        let lost = |source| Error::Chunk { path: file.path.clone(), source };
        let chunks = stream::iter(numbered).map(fetch).buffered(AHEAD).map_err(lost);
        chunks
            .try_for_each(|chunk| async move {
                progress.event(Event::Done { bytes: chunk.len() as u64 });
                send(pieces, chunk).await
            })
            .await?;
    }
    Ok(())
}

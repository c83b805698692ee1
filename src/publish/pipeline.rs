//! Reads, encodes and stores every chunk of a data directory with bounded memory.
//!
//! Four stages joined by bounded channels: one task says what to read, threads read and encode, tasks put, one task puts
//! the rows together. Peak memory is (chunks in the channels and stages) × chunk size, whatever the size of the database.

use std::{collections::HashMap, sync::Arc};

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    Error, Options,
    assemble::{Assembler, FinishedSegment},
    buffers::Buffers,
    encode::{ChunkEncoder, EncodedChunk, Job, Upload},
    plan::StoreSet,
    previous::Previous,
    targets::Targets,
    unchanged::Unchanged,
};
use crate::{
    disk::{
        read::FileReader,
        scan::{Scan, ScannedFile},
    },
    format::{
        file_hash::SubtreeValue,
        key,
        list::{FileShape, segment_of},
        manifest::{FileEntry, Layout, RowSums},
        row::{Row, Stored},
    },
    fs::Fs,
    progress::{Event, Phase, Progress},
    types::{ChunkSize, Form, Hash, RelPath},
};

/// Chunks between two stages.
const QUEUED_CHUNKS: usize = 4;
/// Puts under way at once.
const PUTS: usize = 8;
/// The most threads: they are taken from the runtime's pool of 512, which must have some left for the disk.
const MAX_THREADS: usize = 256;

/// What the stages need to know.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) targets: Arc<Targets>,
    pub(super) previous: Arc<Previous>,
    /// Files that are not read.
    pub(super) unchanged: Unchanged,
    pub(super) chunk_size: ChunkSize,
    pub(super) level: i32,
    pub(super) threads: usize,
    pub(super) buffers: Buffers,
    pub(super) progress: Arc<dyn Progress>,
}

/// A file while its chunks are in the pipeline.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) position: usize,
    pub(super) shape: FileShape,
    pub(super) reader: FileReader,
}

/// One chunk that every store has which needs it.
#[derive(Debug)]
struct StoredChunk {
    file: Arc<OpenFile>,
    index: u64,
    row: Row,
    value: SubtreeValue,
    /// Whether the heads of all stores name it already.
    is_reused: bool,
}

/// What the pipeline made of a data directory.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// One entry for each scanned file, in their order.
    pub(super) files: Vec<FileEntry>,
    /// Sums over all rows.
    pub(super) sums: RowSums,
    /// Bytes read, holes left out.
    pub(super) read_bytes: u64,
    /// Bytes of chunks that no store needed.
    pub(super) reused_bytes: u64,
    /// Bytes of files that were not read, holes included.
    pub(super) skipped_bytes: u64,
}

/// Publishes the content of every scanned file, chunks before the lists that name them.
///
/// # Errors
/// A file that cannot be read or changed meanwhile, a chunk that was computed wrongly, or no store left.
pub(super) async fn publish_chunks(
    options: &Options,
    targets: &Arc<Targets>,
    previous: &Arc<Previous>,
    unchanged: Unchanged,
    scan: &Scan,
) -> Result<Content, Error> {
    let total_bytes = Some(scan.files.iter().map(|file| file.stat.len).sum());
    options.progress.event(Event::Phase { phase: Phase::Transfer, total_bytes });
    let context = Context {
        fs: Arc::clone(&options.fs),
        targets: Arc::clone(targets),
        previous: Arc::clone(previous),
        unchanged,
        chunk_size: options.chunk_size,
        level: options.level,
        threads: options.threads.clamp(1, MAX_THREADS),
        buffers: Buffers::default(),
        progress: Arc::clone(&options.progress),
    };
    run(&Arc::new(context), scan).await
}

async fn run(context: &Arc<Context>, scan: &Scan) -> Result<Content, Error> {
    let (jobs, waiting_jobs) = async_channel::bounded(QUEUED_CHUNKS);
    let (encoded, waiting_encoded) = async_channel::bounded(QUEUED_CHUNKS);
    let (stored, waiting_stored) = async_channel::bounded(QUEUED_CHUNKS);
    let mut stages = JoinSet::new();
    for _ in 0..context.threads {
        let (context, waiting_jobs, encoded) = (Arc::clone(context), waiting_jobs.clone(), encoded.clone());
        stages.spawn_blocking(move || encode_all(&context, &waiting_jobs, &encoded));
    }
    for _ in 0..PUTS {
        stages.spawn(put_all(Arc::clone(context), waiting_encoded.clone(), stored.clone()));
    }
    drop((waiting_jobs, encoded, waiting_encoded, stored));
    let ends = async { tokio::try_join!(dispatch(context, scan, jobs), collect(context, scan, waiting_stored)) };
    let outcome = ends.await;
    // A stage that failed has closed its channels, so the others have ended; its error is the reason, theirs only "channel closed".
    while let Some(stage) = stages.join_next().await {
        stage.map_err(|_| Error::WorkerDied)??;
    }
    outcome.map(|((), content)| content)
}

/// Says what to read, file by file; ends early when the stages behind it have.
async fn dispatch(context: &Context, scan: &Scan, jobs: Sender<Job>) -> Result<(), Error> {
    let to_read = |(position, file): &(usize, &ScannedFile)| file.stat.len > 0 && !context.unchanged.contains_key(position);
    for (position, file) in scan.files.iter().enumerate().filter(to_read) {
        let open = Arc::new(open(context, scan, position, file).await?);
        let mut known = Arc::default();
        for index in 0..open.shape.chunks() {
            if let (segment, 0) = segment_of(index) {
                let previous = &context.previous;
                known = Arc::new(previous.segment(&file.path, segment, context.chunk_size, &context.targets, &context.progress).await);
            }
            let job = Job { file: Arc::clone(&open), index, known: Arc::clone(&known) };
            if jobs.send(job).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn open(context: &Context, scan: &Scan, position: usize, file: &ScannedFile) -> Result<OpenFile, Error> {
    let shape = FileShape::new(file.stat.len, context.chunk_size);
    let (fs, root, file, chunk_size) = (Arc::clone(&context.fs), scan.root.clone(), file.clone(), context.chunk_size);
    let opened = tokio::task::spawn_blocking(move || FileReader::open(&*fs, &root, &file, chunk_size)).await;
    Ok(OpenFile { position, shape, reader: opened.map_err(|_| Error::WorkerDied)?? })
}

fn encode_all(context: &Context, jobs: &Receiver<Job>, encoded: &Sender<EncodedChunk>) -> Result<(), Error> {
    let _last_out = Closing(jobs);
    let mut encoder = ChunkEncoder::new(context.level, &context.targets, context.buffers.clone())?;
    while let Ok(job) = jobs.recv_blocking() {
        if encoded.send_blocking(encoder.encode(job)?).is_err() {
            break;
        }
    }
    Ok(())
}

async fn put_all(context: Arc<Context>, encoded: Receiver<EncodedChunk>, stored: Sender<StoredChunk>) -> Result<(), Error> {
    let _last_out = Closing(&encoded);
    while let Ok(EncodedChunk { file, index, row: planned, value, upload, raw, is_reused }) = encoded.recv().await {
        let row = put(&context.targets, planned, upload, raw.as_ref()).await?;
        let is_reused = is_reused && row == planned;
        if stored.send(StoredChunk { file, index, row, value, is_reused }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Closes a channel for all who send to it or wait at it when one of them ends. Whoever ends well does so because it is closed and
/// empty; whoever fails or panics must not leave the others to work through a whole database first.
struct Closing<'a, T>(&'a Receiver<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Gives the stores what they need of a chunk; gives back the row that counts.
async fn put(targets: &Targets, row: Row, upload: Upload, raw: Option<&Bytes>) -> Result<Row, Error> {
    match upload {
        Upload::None => targets.reuse_chunk(&row),
        Upload::Frame { to, bytes } => put_chunk(targets, to, row, Some(&bytes), raw).await?,
        Upload::Copy { to, .. } if to.and(targets.holding(Form::Zstd)).is_empty() => put_chunk(targets, to, row, None, raw).await?,
        Upload::Copy { from, to, instead } => match fetch_frame(targets, from, row).await {
            Some(bytes) => put_chunk(targets, to, row, Some(&bytes), raw).await?,
            None => {
                put_chunk(targets, targets.all(), instead.0, Some(&instead.1), raw).await?;
                return Ok(instead.0);
            }
        },
    }
    Ok(row)
}

/// Puts a chunk in the forms that each store holds.
async fn put_chunk(targets: &Targets, to: StoreSet, row: Row, frame: Option<&Bytes>, raw: Option<&Bytes>) -> Result<(), Error> {
    let Stored::Frame { hash, .. } = row.stored else { return Ok(()) };
    if let Some(frame) = frame {
        targets.put(to.and(targets.holding(Form::Zstd)), &key::chunk(&hash), frame).await?;
    }
    if let Some(raw) = raw {
        targets.put(to.and(targets.holding(Form::Raw)), &key::raw(&row.raw), raw).await?;
    }
    Ok(())
}

async fn fetch_frame(targets: &Targets, from: StoreSet, row: Row) -> Option<Bytes> {
    let Stored::Frame { hash, bytes } = row.stored else { return None };
    targets.read(from.and(targets.holding(Form::Zstd)), &key::chunk(&hash), u64::from(bytes), hash).await
}

/// Puts rows together to files and their lists to the stores.
async fn collect(context: &Context, scan: &Scan, stored: Receiver<StoredChunk>) -> Result<Content, Error> {
    let mut files: Vec<Option<FileEntry>> = scan.files.iter().map(empty_entry).collect();
    let mut content = Content::default();
    keep(context, &mut files, &mut content);
    let mut assemblers: HashMap<usize, Assembler> = HashMap::new();
    while let Ok(chunk) = stored.recv().await {
        let position = chunk.file.position;
        let path = &scan.files[position].path;
        count(&mut content, &chunk, &context.progress);
        let assembler = assemblers.entry(position).or_insert_with(|| Assembler::new(chunk.file.shape));
        for segment in assembler.push(chunk.index, chunk.row, chunk.value) {
            put_list(context, path, segment).await?;
        }
        if assembler.is_complete() {
            let assembler = assemblers.remove(&position).expect("it was there a line ago");
            check_unchanged(chunk.file).await?;
            let (b3, layout, sums) = assembler.finish();
            content.sums.frame_bytes += sums.frame_bytes;
            content.sums.hole_bytes += sums.hole_bytes;
            files[position] = Some(FileEntry { path: path.clone(), bytes: scan.files[position].stat.len, b3, layout });
        }
    }
    // Fewer files than scanned: a stage failed, and its error is the one that counts.
    content.files = files.into_iter().collect::<Option<_>>().ok_or(Error::WorkerDied)?;
    Ok(content)
}

/// Takes over the entries of the files that are not read.
fn keep(context: &Context, files: &mut [Option<FileEntry>], content: &mut Content) {
    for (position, kept) in &context.unchanged {
        let bytes = kept.entry.bytes;
        content.sums.frame_bytes += kept.sums.frame_bytes;
        content.sums.hole_bytes += kept.sums.hole_bytes;
        content.reused_bytes += bytes - kept.sums.hole_bytes;
        content.skipped_bytes += bytes;
        context.progress.event(Event::Done { bytes });
        if let Layout::Lists(lists) = &kept.entry.layout {
            lists.iter().for_each(|list| context.targets.reuse(&key::list(list)));
        }
        files[*position] = Some(kept.entry.clone());
    }
}

fn empty_entry(file: &ScannedFile) -> Option<FileEntry> {
    let entry = || FileEntry { path: file.path.clone(), bytes: 0, b3: Hash::of(&[]), layout: Layout::Rows(Box::default()) };
    (file.stat.len == 0).then(entry)
}

fn count(content: &mut Content, chunk: &StoredChunk, progress: &Arc<dyn Progress>) {
    let bytes = u64::from(chunk.file.shape.raw_len(chunk.index));
    progress.event(Event::Done { bytes });
    if chunk.row.is_hole() {
        return;
    }
    content.read_bytes += bytes;
    if chunk.is_reused {
        content.reused_bytes += bytes;
    }
}

async fn put_list(context: &Context, path: &RelPath, segment: FinishedSegment) -> Result<(), Error> {
    let held = context.previous.stores_with_list(path, segment.index, segment.hash);
    let lost = context.previous.stores_that_lost(&segment.hash);
    let (to, object) = (context.targets.lacking(held), key::list(&segment.hash));
    if to.is_empty() {
        context.targets.reuse(&object);
    }
    let bytes = Bytes::from(segment.bytes);
    context.targets.heal(lost, &object, &bytes).await?;
    context.targets.put(to.without(lost), &object, &bytes).await
}

async fn check_unchanged(file: Arc<OpenFile>) -> Result<(), Error> {
    tokio::task::spawn_blocking(move || file.reader.finish()).await.map_err(|_| Error::WorkerDied)??;
    Ok(())
}

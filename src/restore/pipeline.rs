//! Fetches, verifies and writes every missing chunk with bounded memory.
//!
//! One task plans file by file (`route.rs`), lanes (tasks) fetch, threads verify and write. A lane holds at most one body at a time and a thread
//! one chunk, so memory is (lanes + threads) × chunk size, whatever the size of the snapshot. There are as many lanes as the memory allows, and
//! most of them wait: how many bodies each source is asked for at a time is decided in `sources`. A chunk that no source can
//! deliver does not stop the others: they are written and journaled first. Chunks that local files may have go to as many threads more,
//! and on to the lanes where they do not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_channel::{Receiver, Sender};
use tokio::{sync::oneshot, task::JoinSet};

use super::{
    Error, found,
    lists::Lists,
    local::Local,
    route::{self, Routes},
};
use crate::{
    disk::{self, have::Have, writer::Writer},
    format::{
        chunk::{self, ChunkError},
        frame::Decoder,
        manifest::Manifest,
        row::Row,
    },
    progress::{Event, Progress, Stop},
    sources::{Attempts, Exhausted, Form, Origin, Sources, Want},
};

/// Of the files that this process may open, one in so many can be a source's: a connection, or an object on a disk.
const HANDLES_PER_LANE: u64 = 4;
/// Threads at most: more than a machine's disk can use, and far fewer than the runtime has for all blocking work.
const MAX_THREADS: usize = 64;
/// How often it is looked whether a batch is due that no write ends, because the sources are slow.
const TICK: Duration = Duration::from_millis(250);
/// Chunks that no source could deliver and that an error names.
const NAMED_LOSSES: usize = 10;
/// Chunks that no source has or can read before no more are asked for: the snapshot has left the sources, or a disk is dying, and each costs
/// the time in which a cache may forget an old answer.
const MISSING_TO_END: u64 = 64;

/// What the stages need to know.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) manifest: Arc<Manifest>,
    pub(super) have: Have,
    pub(super) lists: Lists,
    pub(super) local: Arc<Local>,
    pub(super) sources: Arc<Sources>,
    pub(super) writer: Arc<Writer>,
    pub(super) threads: usize,
    pub(super) memory_bytes: u64,
    pub(super) stop: Stop,
    pub(super) progress: Arc<dyn Progress>,
}

/// What a run moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Raw bytes that were there already.
    pub(super) reused_bytes: u64,
    /// Raw bytes written.
    pub(super) written_bytes: u64,
    /// Bytes in holes.
    pub(super) hole_bytes: u64,
    /// Bodies asked for again.
    pub(super) retries: u64,
}

/// One chunk to be fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) file: usize,
    pub(super) index: u64,
    pub(super) row: Row,
    pub(super) raw_len: u32,
}

/// A body on its way to the threads, and the way back.
#[derive(Debug)]
struct Delivery {
    job: Job,
    form: Form,
    body: Vec<u8>,
    verdict: oneshot::Sender<(Vec<u8>, Verdict)>,
}

/// What a thread says of a body.
#[derive(Debug)]
enum Verdict {
    Written,
    Wrong(ChunkError),
    Failed(disk::Error),
}

/// Counts and losses that all lanes share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    written_bytes: AtomicU64,
    /// Of local files.
    pub(super) reused_bytes: AtomicU64,
    retries: AtomicU64,
    losses: Mutex<Losses>,
    /// Ends all lanes when one fails for a reason that another source cannot heal.
    pub(super) failed: Stop,
}

/// Chunks that no source could deliver.
#[derive(Debug, Default)]
struct Losses {
    count: u64,
    missing: u64,
    unreadable: u64,
    named: Vec<String>,
}

/// Brings every missing chunk of the manifest into staging. On return what was written is durable and journaled, also when
/// the run was stopped or chunks could not be had.
///
/// # Errors
/// [`Error::Chunks`] when chunks could not be had, after all others; [`Error::Interrupted`]; disk and network trouble.
pub(super) async fn run(context: Context) -> Result<Moved, Error> {
    let (context, shared, ended) = (Arc::new(context), Arc::new(Shared::default()), Stop::new());
    let ticker = tokio::spawn(tick(Arc::clone(&context), Arc::clone(&shared), ended.clone()));
    context.sources.begin(lanes(&context));
    let (routes, stages) = start_stages(&context, &shared);
    let planned = tokio::select! {
        planned = route::all(&context, routes) => planned,
        () = context.stop.wait() => Err(Error::Interrupted),
        () = shared.failed.wait() => Ok(Moved::default()),
    };
    context.sources.nothing_follows(lanes(&context));
    if planned.is_err() {
        shared.failed.request();
    }
    let joined = stages.join_all().await.into_iter().fold(Ok(()), first_cause);
    ended.request();
    let ticked = ticker.await.unwrap_or(Err(Error::WorkerDied));
    // Whatever went wrong, what was verified is kept.
    let flushed = flush(&context).await;
    let failures = [joined, ticked, flushed].into_iter().fold(Ok(()), first_cause);
    let mut moved = first_cause(failures, planned)?;
    shared.refuse_losses()?;
    moved.written_bytes = shared.written_bytes.load(Ordering::Relaxed);
    moved.retries = shared.retries.load(Ordering::Relaxed);
    moved.reused_bytes += shared.reused_bytes.load(Ordering::Relaxed);
    // A chunk that went astray between two stages must not look like a complete snapshot.
    let accounted = moved.reused_bytes + moved.written_bytes + moved.hole_bytes;
    if accounted == context.manifest.totals().bytes { Ok(moved) } else { Err(Error::WorkerDied) }
}

/// Starts the lanes and the threads behind them; they end when no job comes any more.
fn start_stages(context: &Arc<Context>, shared: &Arc<Shared>) -> (Routes, Stages) {
    let threads = context.threads.clamp(1, MAX_THREADS);
    let (jobs, waiting_jobs) = async_channel::bounded(lanes(context));
    let (deliveries, waiting_deliveries) = async_channel::bounded(threads);
    let (takings, waiting_takings) = async_channel::bounded(threads);
    let mut stages = JoinSet::new();
    for _ in 0..threads {
        let (context, waiting) = (Arc::clone(context), waiting_deliveries.clone());
        stages.spawn_blocking(move || {
            write_all(&context, &waiting);
            Ok(())
        });
    }
    for _ in (0..threads).filter(|_| !context.local.is_empty()) {
        let (context, shared, waiting, jobs) = (Arc::clone(context), Arc::clone(shared), waiting_takings.clone(), jobs.clone());
        stages.spawn_blocking(move || found::take_all(&context, &shared, &waiting, &jobs));
    }
    for _ in 0..lanes(context) {
        stages.spawn(lane(Arc::clone(context), Arc::clone(shared), waiting_jobs.clone(), deliveries.clone()));
    }
    (Routes { jobs, takings }, Stages(stages))
}

/// The lanes and threads of a run.
struct Stages(JoinSet<Result<(), Error>>);

impl Stages {
    /// What each of them came to.
    async fn join_all(mut self) -> Vec<Result<(), Error>> {
        let mut ended = Vec::new();
        while let Some(stage) = self.0.join_next().await {
            ended.push(stage.unwrap_or(Err(Error::WorkerDied)));
        }
        ended
    }
}

/// Makes due batches durable until the run has `ended`: where sources are slow, no write does it.
async fn tick(context: Arc<Context>, shared: Arc<Shared>, ended: Stop) -> Result<(), Error> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = ended.wait() => return Ok(()),
        }
        let writer = Arc::clone(&context.writer);
        let flushed = tokio::task::spawn_blocking(move || writer.flush_if_due()).await.map_err(|_| Error::WorkerDied)?;
        if let Err(error) = flushed {
            shared.failed.request();
            return Err(Error::Disk(error));
        }
    }
}

/// Of what two parts of a run came to, the failure that explains the other: a writer that refuses to go on says only that another
/// thread has failed, and a signal says nothing of a full disk.
fn first_cause<T>(first: Result<(), Error>, second: Result<T, Error>) -> Result<T, Error> {
    match (first, second) {
        (Ok(()), second) => second,
        (Err(Error::Interrupted | Error::Disk(disk::Error::Stopped)), Err(cause)) => Err(cause),
        (Err(cause), _) => Err(cause),
    }
}

/// Bodies in flight that the memory budget allows: each may be a frame here and its chunk in a thread.
fn lanes(context: &Context) -> usize {
    let pair = 2 * u64::from(context.manifest.about().chunk_size.bytes());
    let handles = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = (context.memory_bytes / pair).min(handles / HANDLES_PER_LANE);
    usize::try_from(most).unwrap_or(usize::MAX).clamp(1, Sources::MOST_IN_FLIGHT)
}

async fn lane(context: Arc<Context>, shared: Arc<Shared>, jobs: Receiver<Job>, deliveries: Sender<Delivery>) -> Result<(), Error> {
    while let Ok(job) = jobs.recv().await {
        let one = bring(&context, &shared, &deliveries, job);
        let ended = tokio::select! {
            ended = one => ended,
            () = context.stop.wait() => Err(Error::Interrupted),
            () = shared.failed.wait() => return Ok(()),
        };
        match ended {
            Ok(GoOn::Yes) => {}
            // Nothing more is planned; what other lanes are fetching is fetched.
            Ok(GoOn::No) => drop(jobs.close()),
            Err(error) => {
                jobs.close();
                if !is_of_means(&error) {
                    shared.failed.request();
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Whether somebody has to pay or to renew credentials before anything more can be had. What is on its way may be paid already, and is
/// awaited.
fn is_of_means(error: &Error) -> bool {
    matches!(error, Error::Sources(Exhausted::Refused { .. } | Exhausted::NoConsent { .. } | Exhausted::Cap { .. }))
}

/// Fetches one chunk until a thread finds it right, or no source can deliver it.
async fn bring(context: &Context, shared: &Shared, deliveries: &Sender<Delivery>, job: Job) -> Result<GoOn, Error> {
    let mut body = Vec::new();
    let want = Want::chunk(&job.row, job.raw_len).expect("a hole is planned as a hole");
    let mut attempts = Attempts::default();
    loop {
        let origin = match context.sources.fetch(&want, &mut attempts, &mut body).await {
            Ok(origin) => origin,
            Err(all @ (Exhausted::Silent { .. } | Exhausted::Refused { .. } | Exhausted::NoConsent { .. } | Exhausted::Cap { .. })) => {
                return Err(Error::Sources(all));
            }
            Err(lost) => return Ok(shared.lose(&context.manifest, &job, &lost)),
        };
        let verdict = deliver(deliveries, job, origin, &mut body).await?;
        context.sources.give_back(std::mem::take(&mut body));
        shared.retries.fetch_add(attempts.take_retries(), Ordering::Relaxed);
        match verdict {
            Verdict::Written => {
                shared.written_bytes.fetch_add(u64::from(job.raw_len), Ordering::Relaxed);
                context.progress.event(Event::Done { bytes: u64::from(job.raw_len) });
                return Ok(GoOn::Yes);
            }
            Verdict::Wrong(reason) => context.sources.reject(origin, &mut attempts, &name_of(&context.manifest, &job, &reason)),
            Verdict::Failed(error) => return Err(Error::Disk(error)),
        }
    }
}

async fn deliver(deliveries: &Sender<Delivery>, job: Job, origin: Origin, body: &mut Vec<u8>) -> Result<Verdict, Error> {
    let (verdict, answer) = oneshot::channel();
    let delivery = Delivery { job, form: origin.form, body: std::mem::take(body), verdict };
    deliveries.send(delivery).await.map_err(|_| Error::WorkerDied)?;
    let (returned, verdict) = answer.await.map_err(|_| Error::WorkerDied)?;
    *body = returned;
    Ok(verdict)
}

/// The blocking half: verifies and writes until nobody delivers any more.
fn write_all(context: &Context, deliveries: &Receiver<Delivery>) {
    let mut decoder = Decoder::new();
    let mut raw = Vec::new();
    while let Ok(Delivery { job, form, body, verdict }) = deliveries.recv_blocking() {
        let found = write_one(context, &job, form, &body, &mut decoder, &mut raw);
        // Nobody waits for the verdict when the run was stopped; the chunk is written all the same.
        let _ = verdict.send((body, found));
    }
}

/// Nothing reaches the disk but what this proves: the hash of the frame, then of the chunk.
fn write_one(context: &Context, job: &Job, form: Form, body: &[u8], decoder: &mut Decoder, raw: &mut Vec<u8>) -> Verdict {
    let verified = match form {
        Form::Framed => chunk::verify_frame(&job.row, job.raw_len, body, decoder, raw),
        Form::Raw => chunk::verify_raw(&job.row, job.raw_len, body),
    };
    match verified.map(|chunk| context.writer.write(job.file, job.index, &chunk)) {
        Ok(Ok(())) => Verdict::Written,
        Ok(Err(error)) => Verdict::Failed(error),
        Err(error) => Verdict::Wrong(error),
    }
}

async fn flush(context: &Arc<Context>) -> Result<(), Error> {
    let writer = Arc::clone(&context.writer);
    tokio::task::spawn_blocking(move || writer.flush()).await.map_err(|_| Error::WorkerDied)??;
    Ok(())
}

fn name_of(manifest: &Manifest, job: &Job, reason: &dyn std::fmt::Display) -> String {
    format!("chunk {} of {}: {reason}", job.index, manifest.files()[job.file].path)
}

impl Shared {
    /// Notes a chunk that no source could deliver; says whether to go on with others.
    fn lose(&self, manifest: &Manifest, job: &Job, lost: &Exhausted) -> GoOn {
        let mut losses = self.losses.lock().expect("no holder of this lock panics");
        losses.count += 1;
        losses.missing += u64::from(matches!(lost, Exhausted::Missing { .. }));
        losses.unreadable += u64::from(matches!(lost, Exhausted::Unreadable { .. }));
        if losses.named.len() < NAMED_LOSSES {
            losses.named.push(name_of(manifest, job, lost));
        }
        if losses.missing + losses.unreadable < MISSING_TO_END { GoOn::Yes } else { GoOn::No }
    }

    fn refuse_losses(&self) -> Result<(), Error> {
        let Losses { count, missing, unreadable, named } = std::mem::take(&mut *self.losses.lock().expect("no holder of this lock panics"));
        if count == 0 { Ok(()) } else { Err(Error::Chunks { count, missing, unreadable, named }) }
    }
}

/// Whether chunks are still worth asking for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoOn {
    Yes,
    No,
}

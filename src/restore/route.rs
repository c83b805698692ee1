//! Says of each chunk of a snapshot, in the manifest's order, where it comes from, and sends it there: holes are written at once, what a
//! local file may have goes to the threads that read, everything else to the lanes that fetch.

use std::{ops::Range, sync::Arc};

use async_channel::Sender;

use super::{
    Error,
    found::{Found, Taking},
    pipeline::{Context, Job, Moved},
    plan::{ChunkPlan, TakenFrom, plan_chunk},
};
use crate::{
    format::{
        list::{FileShape, SEGMENT_ROWS},
        row::Row,
    },
    progress::Event,
};

/// Where planned chunks go.
pub(super) struct Routes {
    /// To the lanes.
    pub(super) jobs: Sender<Job>,
    /// To the threads that read local files.
    pub(super) takings: Sender<Taking>,
}

/// Walks the manifest and says what to fetch; lists are fetched as their files come up.
pub(super) async fn all(context: &Context, routes: Routes) -> Result<Moved, Error> {
    let mut moved = Moved::default();
    for (position, file) in context.manifest.files().iter().enumerate() {
        let shape = FileShape::new(file.bytes, context.manifest.about().chunk_size);
        let is_complete = context.have.is_complete(position);
        let mut found = if is_complete { Found::nothing(shape) } else { context.local.look_for(context, position).await? };
        if is_complete || found.is_whole {
            moved.reused_bytes += file.bytes;
            context.progress.event(Event::Done { bytes: file.bytes });
            context.lists.keep_all(file).await?;
            continue;
        }
        for first in (0..shape.chunks()).step_by(SEGMENT_ROWS as usize) {
            let rows = context.lists.rows(file, shape, first / SEGMENT_ROWS).await?;
            found.enter(context, position, first / SEGMENT_ROWS, &rows).await?;
            let segment = SegmentJobs { file: position, shape, first, rows: &rows };
            if !plan_segment(context, &segment, &found, &mut moved, &routes).await? {
                return Ok(moved);
            }
        }
    }
    Ok(moved)
}

/// The chunks of one list segment.
struct SegmentJobs<'a> {
    file: usize,
    shape: FileShape,
    /// Index of the first row's chunk.
    first: u64,
    rows: &'a [Row],
}

impl SegmentJobs<'_> {
    fn plan(&self, context: &Context, index: u64) -> ChunkPlan {
        plan_chunk(&self.rows[(index - self.first) as usize], context.have.contains(self.file, index))
    }

    /// The chunks from `index` on that have the same plan, as far as the segment goes.
    fn run(&self, context: &Context, index: u64) -> Range<u64> {
        let (plan, end) = (self.plan(context, index), self.first + self.rows.len() as u64);
        let same = (index + 1..end).find(|next| self.plan(context, *next) != plan);
        index..same.unwrap_or(end)
    }

    fn job(&self, index: u64) -> Job {
        Job { file: self.file, index, row: self.rows[(index - self.first) as usize], raw_len: self.shape.raw_len(index) }
    }

    fn bytes(&self, chunks: &Range<u64>) -> u64 {
        chunks.clone().map(|index| u64::from(self.shape.raw_len(index))).sum()
    }
}

/// Plans the chunks of a segment, run by run: a sparse file of terabytes is a few runs. Says `false` when nobody fetches any more.
async fn plan_segment(
    context: &Context,
    segment: &SegmentJobs<'_>,
    found: &Found,
    moved: &mut Moved,
    routes: &Routes,
) -> Result<bool, Error> {
    let mut index = segment.first;
    while index < segment.first + segment.rows.len() as u64 {
        let run = segment.run(context, index);
        index = run.end;
        let bytes = segment.bytes(&run);
        match segment.plan(context, run.start) {
            ChunkPlan::Have => moved.reused_bytes += bytes,
            ChunkPlan::Hole => {
                write_holes(context, segment.file, run).await?;
                moved.hole_bytes += bytes;
            }
            ChunkPlan::Bring => {
                if !bring_run(context, run.map(|index| segment.job(index)), found, moved, routes).await? {
                    return Ok(false);
                }
                continue;
            }
        }
        context.progress.event(Event::Done { bytes });
    }
    Ok(true)
}

/// Says where each chunk of a run comes from; `false` when nobody brings any more.
async fn bring_run(
    context: &Context,
    run: impl Iterator<Item = Job>,
    found: &Found,
    moved: &mut Moved,
    routes: &Routes,
) -> Result<bool, Error> {
    for job in run {
        let sent = match found.plan(&job) {
            TakenFrom::Clone => {
                moved.reused_bytes += u64::from(job.raw_len);
                context.progress.event(Event::Done { bytes: u64::from(job.raw_len) });
                true
            }
            TakenFrom::Local(order) => sent(context, routes.takings.send(found.take(&job, order))).await?,
            TakenFrom::Source => sent(context, routes.jobs.send(job)).await?,
        };
        if !sent {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until a stage takes a chunk; says `false` when the stage has ended.
async fn sent<T>(context: &Context, sending: impl Future<Output = Result<(), async_channel::SendError<T>>>) -> Result<bool, Error> {
    tokio::select! {
        sent = sending => Ok(sent.is_ok()),
        () = context.stop.wait() => Err(Error::Interrupted),
    }
}

async fn write_holes(context: &Context, file: usize, chunks: Range<u64>) -> Result<(), Error> {
    let writer = Arc::clone(&context.writer);
    tokio::task::spawn_blocking(move || writer.write_holes(file, chunks)).await.map_err(|_| Error::WorkerDied)??;
    Ok(())
}

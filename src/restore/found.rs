//! What local files hold of one file of a snapshot, and taking it from there.

use std::sync::{Arc, atomic::Ordering};

use async_channel::{Receiver, Sender};

use super::{
    Error, blocking,
    local::tell,
    pipeline::{Context, Job, Shared},
    plan::{self, Evidence, Recorded, TakenFrom},
};
use crate::{
    disk::{
        self,
        reuse::{self, Candidate},
    },
    format::{
        list::{FileShape, SEGMENT_ROWS},
        row::Row,
    },
    progress::Event,
};

/// What local files may hold of one file of the snapshot.
#[derive(Debug)]
pub(super) struct Found {
    candidates: Arc<[Candidate]>,
    /// The recorded rows of each candidate, of the segment that is planned.
    rows: Vec<Option<Vec<Row>>>,
    shape: FileShape,
    /// The candidate that the staged file is a clone of.
    clone: Option<usize>,
    /// Whether all of the file is in the staging directory.
    pub(super) is_whole: bool,
}

impl Found {
    /// No local file at all.
    pub(super) fn nothing(shape: FileShape) -> Self {
        Self::new(shape, Arc::default(), false)
    }

    /// These local files; `is_whole` when one of them got its second name already.
    pub(super) fn new(shape: FileShape, candidates: Arc<[Candidate]>, is_whole: bool) -> Self {
        Self { candidates, rows: Vec::new(), shape, clone: None, is_whole }
    }

    /// Reads what is recorded of the next segment, whose rows in the snapshot are `rows`. Before the first one the staged file becomes a
    /// clone of a local one, if that is worth it and can be; of a clone, the chunks that are right are journaled.
    pub(super) async fn enter(&mut self, context: &Context, position: usize, segment: u64, rows: &[Row]) -> Result<(), Error> {
        if self.candidates.is_empty() {
            return Ok(());
        }
        let (fs, candidates) = (Arc::clone(&context.local.fs), Arc::clone(&self.candidates));
        let recorded = move || Ok(candidates.iter().map(|candidate| candidate.recorded_rows(&*fs, segment)).collect());
        self.rows = blocking(recorded).await?;
        let first = segment * SEGMENT_ROWS;
        if segment == 0 {
            self.clone = self.make_clone(context, position, rows).await?;
        }
        let Some(clone) = self.clone else { return Ok(()) };
        let wanted = (first..).zip(rows).filter(|(index, row)| !row.is_hole() && !context.have.contains(position, *index));
        let right: Vec<u64> =
            wanted.filter(|(index, row)| self.evidence(clone, *index, row) == Evidence::Same).map(|(index, _)| index).collect();
        let writer = Arc::clone(&context.writer);
        blocking(move || writer.adopt(position, &right)).await
    }

    async fn make_clone(&self, context: &Context, position: usize, rows: &[Row]) -> Result<Option<usize>, Error> {
        let known: Vec<_> = (0..).zip(rows).filter(|(_, row)| !row.is_hole()).map(|(index, row)| self.all_evidence(index, row)).collect();
        let Some(number) = plan::plan_clone(&known, !context.have.ranges(position).is_empty()) else { return Ok(None) };
        let (writer, candidates) = (Arc::clone(&context.writer), Arc::clone(&self.candidates));
        let cloned = blocking(move || {
            let source = &candidates[number];
            // In this order: what was written to it before it was cloned is in the clone, and the record says nothing of it. Its chunks are
            // read and proved then, like those of a file of which nothing is recorded.
            Ok(writer.clone_file(position, &**source.file())? && source.is_as_opened())
        })
        .await?;
        Ok(cloned.then_some(number))
    }

    /// Where a chunk comes from that is neither there nor a hole.
    pub(super) fn plan(&self, job: &Job) -> TakenFrom {
        plan::plan_taking(&self.all_evidence(job.index, &job.row), self.clone)
    }

    /// The chunk as work for the threads that read local files.
    pub(super) fn take(&self, job: &Job, order: Vec<usize>) -> Taking {
        Taking { job: *job, shape: self.shape, candidates: Arc::clone(&self.candidates), order }
    }

    fn all_evidence(&self, index: u64, row: &Row) -> Vec<Evidence> {
        (0..self.candidates.len()).map(|number| self.evidence(number, index, row)).collect()
    }

    fn evidence(&self, number: usize, index: u64, row: &Row) -> Evidence {
        let (candidate, raw_len) = (&self.candidates[number], self.shape.raw_len(index));
        let end = self.shape.chunk_size.offset_of(index) + u64::from(raw_len);
        let recorded = match (candidate.recorded(), &self.rows[number]) {
            (Some(recorded), Some(rows)) if recorded.shape.chunk_size == self.shape.chunk_size => {
                let found = rows.get((index % SEGMENT_ROWS) as usize);
                found.map_or(Recorded::End, |row| Recorded::Chunk(row, recorded.shape.raw_len(index)))
            }
            _ => Recorded::Nothing,
        };
        plan::evidence((row, raw_len), candidate.stat().len >= end, recorded)
    }
}

/// A chunk that local files may have.
#[derive(Debug)]
pub(super) struct Taking {
    job: Job,
    shape: FileShape,
    candidates: Arc<[Candidate]>,
    order: Vec<usize>,
}

/// The blocking half: reads, proves and writes chunks of local files until none comes any more. What is not there is fetched: `jobs` is
/// where the lanes wait, which never wait for this thread.
pub(super) fn take_all(context: &Context, shared: &Shared, takings: &Receiver<Taking>, jobs: &Sender<Job>) -> Result<(), Error> {
    let mut buffer = Vec::new();
    while let Ok(taking) = takings.recv_blocking() {
        if context.stop.requested() {
            return Err(Error::Interrupted);
        }
        let bytes = u64::from(taking.shape.raw_len(taking.job.index));
        match taking.take(context, &mut buffer) {
            Ok(true) => {
                shared.reused_bytes.fetch_add(bytes, Ordering::Relaxed);
                context.progress.event(Event::Done { bytes });
            }
            // Nobody fetches any more: whoever ended the lanes says why.
            Ok(false) if jobs.send_blocking(taking.job).is_err() => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                shared.failed.request();
                return Err(Error::Disk(error));
            }
        }
    }
    Ok(())
}

impl Taking {
    /// Writes the chunk if one of the files has it.
    fn take(&self, context: &Context, buffer: &mut Vec<u8>) -> Result<bool, disk::Error> {
        let job = &self.job;
        for candidate in self.order.iter().map(|number| &self.candidates[*number]) {
            match reuse::read_chunk(&**candidate.file(), self.shape, job.index, &job.row, buffer) {
                Ok(Some(chunk)) => return context.writer.write(job.file, job.index, &chunk).map(|()| true),
                Ok(None) => {}
                Err(error) => {
                    let path = context.manifest.files()[job.file].path.to_string();
                    tell(&*context.progress, candidate.origin(), &path, &error);
                }
            }
        }
        Ok(false)
    }
}

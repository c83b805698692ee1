//! What the current snapshots of the stores already hold, looked up by path and position as files come up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use super::{
    plan::{KnownRow, StoreSet},
    targets::Targets,
};
use crate::{
    format::{
        key,
        list::{FileShape, SEGMENT_ROWS, Segment, segment_of},
        manifest::{FileEntry, Layout, Manifest, RowSums},
        row::Row,
    },
    progress::{Event, Progress},
    trust::Verified,
    types::{ChunkSize, Hash, RelPath},
};

/// The current snapshots of all stores; stores with the same one share it.
#[derive(Debug, Default)]
pub(super) struct Previous {
    snapshots: BTreeMap<Hash, PreviousSnapshot>,
    /// Lists that the snapshots name and that no store gave back: nobody holds them.
    gone: Gone,
}

type Gone = Mutex<BTreeSet<Hash>>;

/// One snapshot and the stores whose verified head names it.
#[derive(Debug)]
pub(super) struct PreviousSnapshot {
    pub(super) manifest: Verified<Manifest>,
    pub(super) at: StoreSet,
}

/// The rows that previous snapshots have for one segment of a file.
#[derive(Debug, Default)]
pub(super) struct KnownSegment {
    parts: Vec<(StoreSet, Vec<Row>)>,
}

impl KnownSegment {
    /// The rows that are known for chunk `index` of the file.
    pub(super) fn rows(&self, index: u64) -> Vec<KnownRow> {
        let (_, place) = segment_of(index);
        let row = |(at, rows): &(StoreSet, Vec<Row>)| rows.get(place as usize).map(|row| KnownRow { row: *row, at: *at });
        self.parts.iter().filter_map(row).collect()
    }
}

impl Previous {
    pub(super) fn add(&mut self, id: Hash, manifest: Verified<Manifest>, store: usize) {
        let entry = self.snapshots.entry(id).or_insert(PreviousSnapshot { manifest, at: StoreSet::EMPTY });
        entry.at = entry.at.with(StoreSet::only(store));
    }

    pub(super) fn get(&self, id: &Hash) -> Option<&PreviousSnapshot> {
        self.snapshots.get(id)
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, BTreeSet<Hash>> {
        self.gone.lock().expect("no holder of this lock panics")
    }

    /// The stores whose snapshot has segment `hash` at this place of this file.
    pub(super) fn stores_with_list(&self, path: &RelPath, segment: u64, hash: Hash) -> StoreSet {
        if self.gone().contains(&hash) {
            return StoreSet::EMPTY;
        }
        let has_it = |snapshot: &&PreviousSnapshot| match snapshot.manifest.find(path.as_str()) {
            Some((_, FileEntry { layout: Layout::Lists(lists), .. })) => lists.get(segment as usize) == Some(&hash),
            _ => false,
        };
        self.snapshots.values().filter(has_it).fold(StoreSet::EMPTY, |set, snapshot| set.with(snapshot.at))
    }

    /// The stores whose snapshot has exactly this file, cut in the same way.
    pub(super) fn stores_with_file(&self, entry: &FileEntry, chunk_size: ChunkSize) -> StoreSet {
        let has_it = |snapshot: &&PreviousSnapshot| {
            snapshot.manifest.about().chunk_size == chunk_size
                && snapshot.manifest.find(entry.path.as_str()).is_some_and(|(_, there)| there == entry)
        };
        self.snapshots.values().filter(has_it).fold(StoreSet::EMPTY, |set, snapshot| set.with(snapshot.at))
    }

    /// Sums over the rows of a file of snapshot `id`; `None`, with a warning, when a list of it cannot be read.
    pub(super) async fn sums(&self, id: &Hash, file: &FileEntry, targets: &Targets, progress: &Arc<dyn Progress>) -> Option<RowSums> {
        match self.snapshots.get(id)?.sums(file, targets, &self.gone).await {
            Ok(sums) => Some(sums),
            Err(reason) => {
                let text = format!("a list of {} cannot be used and the file is read: {reason}", file.path);
                progress.event(Event::Warning { text });
                None
            }
        }
    }

    /// The rows that are known for segment `segment` of the file at `path`. A snapshot whose list cannot be read counts as
    /// knowing nothing: its chunks are put again, which heals the store.
    pub(super) async fn segment(
        &self,
        path: &RelPath,
        segment: u64,
        chunk_size: ChunkSize,
        targets: &Targets,
        progress: &Arc<dyn Progress>,
    ) -> KnownSegment {
        let mut known = KnownSegment::default();
        for snapshot in self.snapshots.values().filter(|snapshot| snapshot.manifest.about().chunk_size == chunk_size) {
            let Some((_, file)) = snapshot.manifest.find(path.as_str()) else { continue };
            match snapshot.rows(file, segment, targets, &self.gone).await {
                Ok(rows) => known.parts.push((snapshot.at, rows)),
                Err(reason) => {
                    let text = format!("the previous list of {path} cannot be used and its chunks are put again: {reason}");
                    progress.event(Event::Warning { text });
                }
            }
        }
        known
    }
}

impl PreviousSnapshot {
    async fn rows(&self, file: &FileEntry, segment: u64, targets: &Targets, gone: &Gone) -> Result<Vec<Row>, String> {
        let lists = match &file.layout {
            Layout::Rows(rows) if segment == 0 => return Ok(rows.to_vec()),
            Layout::Rows(_) => return Ok(Vec::new()),
            Layout::Lists(lists) => lists,
        };
        let Some(hash) = lists.get(segment as usize) else { return Ok(Vec::new()) };
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        let bytes = self.read_list(*hash, targets).await.inspect_err(|_| {
            gone.lock().expect("no holder of this lock panics").insert(*hash);
        })?;
        let segment = Segment::parse(&bytes, shape, segment).map_err(|error| error.to_string())?;
        debug_assert!(segment.len() as u64 <= SEGMENT_ROWS);
        Ok(segment.rows().collect())
    }

    async fn sums(&self, file: &FileEntry, targets: &Targets, gone: &Gone) -> Result<RowSums, String> {
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        let mut sums = RowSums { frame_bytes: 0, hole_bytes: 0 };
        let mut index = 0;
        while index < shape.chunks() {
            for row in self.rows(file, segment_of(index).0, targets, gone).await? {
                targets.reuse_frame(&row);
                sums.frame_bytes += u64::from(row.frame_bytes());
                sums.hole_bytes += if row.is_hole() { u64::from(shape.raw_len(index)) } else { 0 };
                index += 1;
            }
        }
        Ok(sums)
    }

    async fn read_list(&self, hash: Hash, targets: &Targets) -> Result<Vec<u8>, String> {
        let mut reason = "no store that has it is left".to_owned();
        for index in self.at.iter() {
            match targets.get(index).store.get(&key::list(&hash), key::LIST_MAX_BYTES).await {
                Ok(bytes) if Hash::of(&bytes) == hash => return Ok(bytes),
                Ok(bytes) => reason = format!("expected {hash}, found {}", Hash::of(&bytes)),
                Err(error) => reason = error.one_line(),
            }
        }
        Err(reason)
    }
}

//! What the current snapshots of the stores already hold, looked up by path and position as files come up.

use std::{
    collections::BTreeMap,
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
    gone: Gone,
}

/// The stores that did not give a list back which their own head names: it is lost or damaged there.
#[derive(Debug, Default)]
struct Gone(Mutex<BTreeMap<Hash, StoreSet>>);

impl Gone {
    fn add(&self, list: Hash, store: usize) {
        let mut gone = self.0.lock().expect("no holder of this lock panics");
        let stores = gone.entry(list).or_default();
        *stores = stores.with(StoreSet::only(store));
    }

    fn at(&self, list: &Hash) -> StoreSet {
        self.0.lock().expect("no holder of this lock panics").get(list).copied().unwrap_or_default()
    }
}

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

    /// The stores that turned out to lack list `hash`, or to have other bytes under its name.
    pub(super) fn stores_that_lost(&self, hash: &Hash) -> StoreSet {
        self.gone.at(hash)
    }

    /// The stores whose snapshot has segment `hash` at this place of this file, and that did not turn out to have lost it.
    pub(super) fn stores_with_list(&self, path: &RelPath, segment: u64, hash: Hash) -> StoreSet {
        let has_it = |snapshot: &&PreviousSnapshot| match snapshot.manifest.find(path.as_str()) {
            Some((_, FileEntry { layout: Layout::Lists(lists), .. })) => lists.get(segment as usize) == Some(&hash),
            _ => false,
        };
        let named = self.snapshots.values().filter(has_it).fold(StoreSet::EMPTY, |set, snapshot| set.with(snapshot.at));
        named.without(self.gone.at(&hash))
    }

    /// The stores whose snapshot has exactly this file, cut in the same way.
    pub(super) fn stores_with_file(&self, entry: &FileEntry, chunk_size: ChunkSize) -> StoreSet {
        let has_it = |snapshot: &&PreviousSnapshot| {
            snapshot.manifest.about().chunk_size == chunk_size
                && snapshot.manifest.find(entry.path.as_str()).is_some_and(|(_, there)| there == entry)
        };
        self.snapshots.values().filter(has_it).fold(StoreSet::EMPTY, |set, snapshot| set.with(snapshot.at))
    }

    /// Sums over the rows of a file of snapshot `id`; `None`, with a warning, when a list of it cannot be read from one of the stores: reading
    /// the file puts it there again.
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
        let bytes = self.read_list(*hash, targets, gone).await?;
        let segment = Segment::parse(&bytes, shape, segment).map_err(|error| error.to_string())?;
        debug_assert!(segment.len() as u64 <= SEGMENT_ROWS);
        Ok(segment.rows().collect())
    }

    async fn sums(&self, file: &FileEntry, targets: &Targets, gone: &Gone) -> Result<RowSums, String> {
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        let mut sums = RowSums { frame_bytes: 0, hole_bytes: 0 };
        let mut index = 0;
        while index < shape.chunks() {
            let rows = self.rows(file, segment_of(index).0, targets, gone).await?;
            self.check_lists(file, segment_of(index).0, gone)?;
            for row in rows {
                targets.reuse_chunk(&row);
                sums.frame_bytes += u64::from(row.frame_bytes());
                sums.hole_bytes += if row.is_hole() { u64::from(shape.raw_len(index)) } else { 0 };
                index += 1;
            }
        }
        Ok(sums)
    }

    /// Refuses a list that a store did not give back.
    fn check_lists(&self, file: &FileEntry, segment: u64, gone: &Gone) -> Result<(), String> {
        match &file.layout {
            Layout::Lists(lists) if !gone.at(&lists[segment as usize]).is_empty() => Err("a store has lost or damaged it".to_owned()),
            Layout::Lists(_) | Layout::Rows(_) => Ok(()),
        }
    }

    /// Reads a list, from every store, so that one that lost it is found out. Gives the bytes that are right, wherever they come from.
    async fn read_list(&self, hash: Hash, targets: &Targets, gone: &Gone) -> Result<Vec<u8>, String> {
        let (mut right, mut reason) = (None, "no store that has it is left".to_owned());
        for index in self.at.without(targets.failed()).iter() {
            match targets.get(index).store.get(&key::list(&hash), key::LIST_MAX_BYTES).await {
                Ok(bytes) if Hash::of(&bytes) == hash => {
                    right.get_or_insert(bytes);
                    continue;
                }
                Ok(bytes) => reason = format!("expected {hash}, found {}", Hash::of(&bytes)),
                Err(error) => reason = error.one_line(),
            }
            gone.add(hash, index);
        }
        right.ok_or(reason)
    }
}

//! Copies the chunks and lists of one snapshot with bounded memory: chunks under way × their length, and a few segments of rows.

use std::sync::{Arc, OnceLock};

use futures::{StreamExt, TryStreamExt, stream};

use super::{Error, destination::Destination};
use crate::{
    format::{
        key,
        list::{FileShape, SEGMENT_ROWS},
        manifest::{FileEntry, Layout, Manifest},
        row::{Row, Stored},
    },
    ops::frames::{self, NoFrame},
    progress::{Event, Progress},
    sources::{Exhausted, Sources},
    trust::Verified,
    types::{Form, Forms, Hash, RelPath},
};

/// Chunks and lists under way at once.
const WIDTH: usize = 16;
/// Segments of rows that are fetched ahead.
const SEGMENTS_AHEAD: usize = 2;

/// A snapshot whose objects are all at the destination, or were put there by this run.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) manifest: Arc<Verified<Manifest>>,
    /// Where its lists can be read.
    pub(super) lists: Arc<Sources>,
}

/// A snapshot that is copied.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) manifest: Arc<Verified<Manifest>>,
    pub(super) bases: Vec<Base>,
    pub(super) sources: Arc<Sources>,
    pub(super) destination: Arc<Destination>,
    pub(super) progress: Arc<dyn Progress>,
}

/// A segment of a file: up to 15,360 chunks.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    segment: u64,
}

/// A chunk that the destination may lack.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    file: usize,
    row: Row,
    /// Of its frame.
    hash: Hash,
    frame_bytes: u32,
    raw_bytes: u32,
}

/// Copies all chunks, then all lists.
///
/// # Errors
/// What the sources do not deliver, and what the destination does not take.
pub(super) async fn snapshot(copying: &Arc<Copying>) -> Result<(), Error> {
    let rows = |place| {
        let copying = Arc::clone(copying);
        async move { Ok::<_, Error>(stream::iter(copying.wanted(place).await?.into_iter().map(Ok::<_, Error>))) }
    };
    let chunks = stream::iter(copying.places()).map(rows).buffered(SEGMENTS_AHEAD).try_flatten();
    chunks
        .try_for_each_concurrent(WIDTH, |wanted| {
            let copying = Arc::clone(copying);
            async move { copying.copy_chunk(wanted).await }
        })
        .await?;
    let lists = stream::iter(copying.places()).map(Ok::<_, Error>);
    lists
        .try_for_each_concurrent(WIDTH, |place| {
            let copying = Arc::clone(copying);
            async move { copying.copy_list(place).await }
        })
        .await
}

impl Copying {
    /// Every segment of every file, in order.
    fn places(self: &Arc<Self>) -> impl Iterator<Item = Place> + Send + use<> {
        let copying = Arc::clone(self);
        (0..copying.manifest.files().len()).flat_map(move |file| {
            let segments = copying.shape(copying.file(file)).segments();
            (0..segments).map(move |segment| Place { file, segment })
        })
    }

    fn file(&self, index: usize) -> &FileEntry {
        &self.manifest.files()[index]
    }

    fn shape(&self, file: &FileEntry) -> FileShape {
        FileShape::new(file.bytes, self.manifest.about().chunk_size)
    }

    /// The chunks of a segment that no base has; holes are stored nowhere. A segment that a base shares is not even read.
    async fn wanted(&self, place: Place) -> Result<Vec<Wanted>, Error> {
        let file = self.file(place.file);
        let shape = self.shape(file);
        if self.is_shared(file, place.segment) {
            let bytes = (place.segment * SEGMENT_ROWS..).take(shape.rows_in(place.segment) as usize).map(|index| shape.raw_len(index));
            self.progress.event(Event::Done { bytes: bytes.map(u64::from).sum() });
            return Ok(Vec::new());
        }
        let rows = self.sources.rows(file, shape, place.segment).await?;
        let known = self.known(file, place.segment).await;
        let mut wanted = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let raw_bytes = shape.raw_len(place.segment * SEGMENT_ROWS + at as u64);
            match row.stored {
                Stored::Frame { hash, bytes } if !known.iter().any(|rows| rows.get(at) == Some(&row)) => {
                    wanted.push(Wanted { file: place.file, row, hash, frame_bytes: bytes, raw_bytes });
                }
                Stored::Hole | Stored::Frame { .. } => self.progress.event(Event::Done { bytes: u64::from(raw_bytes) }),
            }
        }
        Ok(wanted)
    }

    /// Whether a base has the very same list at this place of this file, and so all its chunks.
    fn is_shared(&self, file: &FileEntry, segment: u64) -> bool {
        let Layout::Lists(lists) = &file.layout else { return false };
        let list = lists.get(segment as usize);
        self.bases.iter().any(|base| match base.manifest.find(file.path.as_str()) {
            Some((_, FileEntry { layout: Layout::Lists(known), .. })) => known.get(segment as usize) == list,
            _ => false,
        })
    }

    /// The rows that the bases have for a segment of a file. What cannot be read counts as unknown: its chunks are looked for one by one.
    async fn known(&self, file: &FileEntry, segment: u64) -> Vec<Vec<Row>> {
        let mut known = Vec::new();
        for base in &self.bases {
            let Some((_, before)) = base.manifest.find(file.path.as_str()) else { continue };
            let shape = FileShape::new(before.bytes, base.manifest.about().chunk_size);
            if segment >= shape.segments() {
                continue;
            }
            match base.lists.rows(before, shape, segment).await {
                Ok(rows) => known.push(rows),
                Err(error) => tracing::debug!(%error, "a list of a snapshot that is there cannot be read"),
            }
        }
        known
    }

    async fn copy_chunk(&self, wanted: Wanted) -> Result<(), Error> {
        let (forms, raw_bytes) = (self.destination.forms(), wanted.raw_bytes);
        let fetched = OnceLock::new();
        if forms.contains(Form::Zstd) {
            let Wanted { hash, frame_bytes, .. } = wanted;
            let fetch = async {
                let frame = self.frame(&wanted).await?;
                if forms == Forms::Both {
                    // Its other form is made of it, and not fetched again.
                    let _ = fetched.set(frame.clone());
                }
                Ok(frame)
            };
            self.destination.place(&key::chunk(&hash), hash, u64::from(frame_bytes), fetch).await?;
        }
        if forms.contains(Form::Raw) {
            let raw = wanted.row.raw;
            let fetch = async {
                match fetched.get() {
                    Some(frame) => self.decoded(&wanted, frame).await,
                    None => self.chunk(&wanted).await,
                }
            };
            self.destination.place(&key::raw(&raw), raw, u64::from(raw_bytes), fetch).await?;
        }
        self.progress.event(Event::Done { bytes: u64::from(raw_bytes) });
        Ok(())
    }

    async fn frame(&self, wanted: &Wanted) -> Result<Vec<u8>, Error> {
        let fetched = frames::fetch(&self.sources, &self.manifest.about().encoder, &wanted.row, wanted.raw_bytes).await;
        fetched.map_err(|lost| match lost {
            NoFrame::Sources(source) => self.not_delivered(wanted, source),
            NoFrame::Otherwise => Error::Forms { path: self.path(wanted) },
        })
    }

    async fn chunk(&self, wanted: &Wanted) -> Result<Vec<u8>, Error> {
        self.sources.chunk(wanted.row, wanted.raw_bytes).await.map_err(|source| self.not_delivered(wanted, source))
    }

    async fn decoded(&self, wanted: &Wanted, frame: &[u8]) -> Result<Vec<u8>, Error> {
        let decoded = frames::decode(wanted.row, wanted.raw_bytes, frame.to_vec()).await;
        decoded.map(|(_, raw)| raw).map_err(|source| Error::Chunk { path: self.path(wanted), source })
    }

    fn path(&self, wanted: &Wanted) -> RelPath {
        self.file(wanted.file).path.clone()
    }

    fn not_delivered(&self, wanted: &Wanted, source: Exhausted) -> Error {
        Error::Object { path: self.path(wanted), source }
    }

    async fn copy_list(&self, place: Place) -> Result<(), Error> {
        let file = self.file(place.file);
        let Layout::Lists(lists) = &file.layout else { return Ok(()) };
        if self.is_shared(file, place.segment) {
            return Ok(());
        }
        let id = lists[place.segment as usize];
        let fetch = async {
            let fetched = self.sources.list(id, self.shape(file).rows_in(place.segment)).await;
            fetched.map_err(|source| Error::Object { path: file.path.clone(), source })
        };
        let bytes = self.shape(file).rows_in(place.segment) * Row::BYTES as u64;
        self.destination.place(&key::list(&id), id, bytes, fetch).await
    }
}

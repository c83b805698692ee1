//! The list segments of a snapshot: from staging when an earlier run fetched them, else from the sources.

use std::sync::Arc;

use super::{Error, blocking};
use crate::{
    disk::staging::Staging,
    format::{
        list::{FileShape, SEGMENT_ROWS, Segment},
        manifest::{FileEntry, Layout},
        row::Row,
    },
    sources::Sources,
    types::Hash,
};

/// Reads list segments and keeps each in staging, so that a resume and an offline `verify` have it.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    pub(super) staging: Arc<Staging>,
    pub(super) sources: Arc<Sources>,
}

impl Lists {
    /// The rows of one segment of a file, or all of a file that has no lists.
    pub(super) async fn rows(&self, file: &FileEntry, shape: FileShape, segment: u64) -> Result<Vec<Row>, Error> {
        let lists = match &file.layout {
            Layout::Rows(rows) => return Ok(rows.to_vec()),
            Layout::Lists(lists) => lists,
        };
        let id = lists[segment as usize];
        let bytes = self.bytes(id, shape.rows_in(segment)).await?;
        let segment = Segment::parse(&bytes, shape, segment);
        let defect = |source| Error::ListDefect { path: file.path.clone(), id, source: Box::new(source) };
        Ok(segment.map_err(defect)?.rows().collect())
    }

    /// Makes sure that every segment of a file is kept.
    pub(super) async fn keep_all(&self, file: &FileEntry) -> Result<(), Error> {
        if let Layout::Lists(lists) = &file.layout {
            for id in lists {
                self.bytes(*id, SEGMENT_ROWS).await?;
            }
        }
        Ok(())
    }

    /// A segment of at most so many rows.
    async fn bytes(&self, id: Hash, rows: u64) -> Result<Vec<u8>, Error> {
        let staging = Arc::clone(&self.staging);
        if let Some(bytes) = blocking(move || staging.list(&id)).await? {
            return Ok(bytes);
        }
        let bytes = self.sources.list(id, rows).await.map_err(Error::Sources)?;
        let (staging, kept) = (Arc::clone(&self.staging), bytes.clone());
        blocking(move || staging.put_list(&id, &kept)).await?;
        Ok(bytes)
    }
}

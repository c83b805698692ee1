//! The rows of files, from the manifest or from the lists that the stores of the run have.

use std::sync::Arc;

use super::Error;
use crate::{
    format::{
        key,
        list::{FileShape, Segment},
        manifest::{FileEntry, Layout},
        row::Row,
    },
    publish::targets::Targets,
};

/// Reads rows.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) targets: Arc<Targets>,
}

impl Rows {
    /// The rows of segment `segment` of a file.
    ///
    /// # Errors
    /// [`Error::List`], [`Error::OtherList`].
    pub(super) async fn of(&self, file: &FileEntry, shape: FileShape, segment: u64) -> Result<Vec<Row>, Error> {
        let lists = match &file.layout {
            Layout::Rows(rows) => return Ok(rows.to_vec()),
            Layout::Lists(lists) => lists,
        };
        let hash = lists[segment as usize];
        let bytes = self.targets.read(self.targets.alive(), &key::list(&hash), key::LIST_MAX_BYTES, hash).await;
        let bytes = bytes.ok_or(Error::List { hash })?;
        let segment = Segment::parse(&bytes, shape, segment).map_err(|_| Error::OtherList { hash })?;
        Ok(segment.rows().collect())
    }
}

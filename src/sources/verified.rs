//! Objects that are proved before they are handed out: lists by their name, chunks by their row.

use std::sync::Arc;

use thiserror::Error;

use super::{Attempts, Exhausted, Form, Sources, Want};
use crate::{
    format::{
        chunk::{self, ChunkError},
        frame::Decoder,
        key,
        list::{FileShape, ListError, Segment},
        manifest::{FileEntry, Layout},
        row::Row,
    },
    types::{Hash, ObjectKey, RelPath},
};

/// The rows of a file that cannot be had.
#[derive(Debug, Error)]
pub enum RowsError {
    /// No source delivers the list.
    #[error("the sources do not deliver the chunk list {id} of {path}")]
    Sources {
        /// The file.
        path: RelPath,
        /// The list.
        id: Hash,
        /// Why.
        #[source]
        source: Exhausted,
    },
    /// The signed list does not fit the signed manifest: the publisher's mistake, no source can heal it.
    #[error("the chunk list {id} of {path} is refused")]
    Defect {
        /// The file.
        path: RelPath,
        /// The list.
        id: Hash,
        /// Why.
        #[source]
        source: ListError,
    },
}

impl Sources {
    /// The rows of segment `segment` of a file, or all of a file that has no lists.
    ///
    /// # Errors
    /// [`RowsError`]
    pub async fn rows(&self, file: &FileEntry, shape: FileShape, segment: u64) -> Result<Vec<Row>, RowsError> {
        let lists = match &file.layout {
            Layout::Rows(rows) => return Ok(rows.to_vec()),
            Layout::Lists(lists) => lists,
        };
        let id = lists[segment as usize];
        let bytes =
            self.list(id, shape.rows_in(segment)).await.map_err(|source| RowsError::Sources { path: file.path.clone(), id, source })?;
        let parsed = Segment::parse(&bytes, shape, segment);
        Ok(parsed.map_err(|source| RowsError::Defect { path: file.path.clone(), id, source })?.rows().collect())
    }

    /// A list segment that should have so many rows, whose bytes hash to its name. One that is twice as long is not taken: where bytes
    /// cost money, as many are set aside as may come.
    ///
    /// # Errors
    /// As [`Sources::fetch`].
    pub async fn list(&self, id: Hash, rows: u64) -> Result<Vec<u8>, Exhausted> {
        let most_bytes = (2 * (rows + 1) * Row::BYTES as u64).min(key::LIST_MAX_BYTES);
        self.named(key::list(&id), most_bytes, id).await
    }

    /// The frame of a chunk as it is stored, whose bytes hash to its name. It is not decoded: for whoever passes it on.
    ///
    /// # Errors
    /// As [`Sources::fetch`].
    pub async fn frame(&self, id: Hash, bytes: u32) -> Result<Vec<u8>, Exhausted> {
        self.named(key::chunk(&id), u64::from(bytes), id).await
    }

    /// An object of one form whose name is the hash of its bytes.
    async fn named(&self, object: ObjectKey, max_bytes: u64, id: Hash) -> Result<Vec<u8>, Exhausted> {
        let want = Want::plain(object, max_bytes);
        let mut attempts = Attempts::default();
        loop {
            let mut body = Vec::new();
            let origin = self.fetch(&want, &mut attempts, &mut body).await?;
            match tokio::task::spawn_blocking(move || (Hash::of(&body), body)).await {
                Ok((found, body)) if found == id => return Ok(body),
                Ok((found, _)) => self.reject(origin, &mut attempts, &format!("object {id} does not match its hash: found {found}")),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
    }

    /// The bytes of a chunk, proved against its row; zeros for a hole. For readers that want one chunk after the other:
    /// a restore has buffers and threads of its own.
    ///
    /// # Errors
    /// As [`Sources::fetch`].
    pub async fn chunk(self: &Arc<Self>, row: Row, raw_len: u32) -> Result<Vec<u8>, Exhausted> {
        let Some(want) = Want::chunk(&row, raw_len) else { return Ok(vec![0; raw_len as usize]) };
        let mut attempts = Attempts::default();
        loop {
            let mut body = Vec::new();
            let origin = self.fetch(&want, &mut attempts, &mut body).await?;
            match tokio::task::spawn_blocking(move || verify(&row, raw_len, origin.form, body)).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(wrong)) => self.reject(origin, &mut attempts, &wrong.to_string()),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
    }
}

fn verify(row: &Row, raw_len: u32, form: Form, body: Vec<u8>) -> Result<Vec<u8>, ChunkError> {
    match form {
        Form::Raw => chunk::verify_raw(row, raw_len, &body).map(drop).map(|()| body),
        Form::Framed => {
            let mut raw = Vec::with_capacity(raw_len as usize);
            chunk::verify_frame(row, raw_len, &body, &mut Decoder::new(), &mut raw)?;
            Ok(raw)
        }
    }
}

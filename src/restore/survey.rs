//! What local directories spare a restore, told from the records of those directories without reading one of their files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Error, blocking, local::Local};
use crate::format::{
    list::FileShape,
    manifest::{FileEntry, Manifest},
};

impl Local {
    /// Disk space of the files that need no second copy, bytes; `data` is where an earlier run has built. Clones do not count: whether
    /// the file system can is not known yet.
    pub(super) async fn linked_bytes(self: &Arc<Self>, manifest: &Arc<Manifest>, data: Option<PathBuf>) -> Result<u64, Error> {
        if !self.has_links() {
            return Ok(0);
        }
        let (local, manifest) = (Arc::clone(self), Arc::clone(manifest));
        blocking(move || Ok(manifest.files().iter().map(|file| local.linked_bytes_of(&manifest, file, data.as_deref())).sum())).await
    }

    fn linked_bytes_of(&self, manifest: &Manifest, file: &FileEntry, data: Option<&Path>) -> u64 {
        let shape = FileShape::new(file.bytes, manifest.about().chunk_size);
        let staged = data.and_then(|data| self.fs.stat(&data.join(&file.path)).ok());
        let is_begun = staged.is_some_and(|staged| staged.nlink == 1 && staged.allocated_bytes > 0);
        let linkable = self.open(file).into_iter().find(|(number, candidate)| self.may_link(*number, candidate, file, shape, is_begun));
        linkable.map_or(0, |(_, candidate)| candidate.stat().allocated_bytes.min(file.bytes))
    }

    /// The most that sources will have to send, as frames, bytes: all but the chunks that are recorded to be here. What an earlier run has
    /// fetched is not looked at.
    pub(super) async fn most_to_fetch(self: &Arc<Self>, manifest: &Arc<Manifest>) -> Result<u64, Error> {
        let (local, manifest) = (Arc::clone(self), Arc::clone(manifest));
        blocking(move || {
            let here: u64 = manifest.files().iter().map(|file| local.frame_bytes_here(&manifest, file)).sum();
            Ok(manifest.totals().frame_bytes.saturating_sub(here))
        })
        .await
    }

    fn frame_bytes_here(&self, manifest: &Manifest, file: &FileEntry) -> u64 {
        let chunk_size = manifest.about().chunk_size;
        let candidates = self.open(file).into_iter();
        candidates.map(|(_, candidate)| candidate.recorded_frame_bytes(&*self.fs, file, chunk_size)).max().unwrap_or(0)
    }
}

//! What the node holds already: an earlier snapshot that it has pinned whole.

use std::{collections::HashSet, sync::Arc};

use super::{Error, rows::Rows};
use crate::{
    catalog,
    format::{
        archive::joints,
        frame::by_hand,
        head::{Head, Ipfs, SnapshotRef},
        list::FileShape,
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
    },
    kubo::Kubo,
    progress::{Event, Progress, in_one_line},
    store::DynReadStore,
    trust::Verified,
    types::{ChunkSize, Cid, Form, Hash, RelPath},
};

/// A snapshot that the node has whole.
#[derive(Debug)]
pub(super) struct Baseline {
    pub(super) root: Cid,
    manifest: Verified<Manifest>,
    has_archive: bool,
    has_tree: bool,
    joints: HashSet<Hash>,
}

impl Baseline {
    /// The newest of the head's snapshots that the node has pinned. One whose manifest cannot be read counts as none: everything is sent.
    ///
    /// # Errors
    /// [`Error::Node`]
    pub(super) async fn find(
        node: &Kubo,
        head: &Verified<Head>,
        stores: &[DynReadStore],
        chunk_size: ChunkSize,
        progress: &Arc<dyn Progress>,
    ) -> Result<Option<Self>, Error> {
        for (snapshot, ipfs) in on_ipfs(head) {
            let Ok(root) = ipfs.root.parse::<Cid>() else { continue };
            if !node.is_pinned(&root).await? {
                continue;
            }
            match catalog::fetch_manifest(stores, head, &snapshot).await {
                Ok(manifest) if manifest.about().chunk_size == chunk_size => return Ok(Some(Self::new(root, manifest, ipfs))),
                Ok(_) => {}
                Err(error) => {
                    let text =
                        format!("what {} has pinned cannot be told, and all of the snapshot is sent: {}", node.name(), in_one_line(&error));
                    progress.event(Event::Warning { text });
                }
            }
        }
        Ok(None)
    }

    fn new(root: Cid, manifest: Verified<Manifest>, ipfs: &Ipfs) -> Self {
        let (has_archive, has_tree) = (ipfs.archive.is_some(), ipfs.tree.is_some());
        let joint_hashes = || joints(&manifest).map(|joint| Hash::of(&by_hand::plain(&joint.bytes))).collect();
        let joints = if has_archive { joint_hashes() } else { HashSet::new() };
        Self { root, manifest, has_archive, has_tree, joints }
    }

    /// Whether it has chunks in this form.
    pub(super) fn has(&self, form: Form) -> bool {
        match form {
            Form::Zstd => self.has_archive,
            Form::Raw => self.has_tree,
        }
    }

    pub(super) fn has_joint(&self, hash: &Hash) -> bool {
        self.joints.contains(hash)
    }

    /// Whether it has exactly this file at the same path, and so every block of it.
    pub(super) fn has_file(&self, file: &FileEntry) -> bool {
        self.manifest.find(file.path.as_str()).is_some_and(|(_, there)| there == file)
    }

    /// The list that it has in this place.
    pub(super) fn list(&self, path: &RelPath, segment: u64) -> Option<Hash> {
        match &self.manifest.find(path.as_str())?.1.layout {
            Layout::Lists(lists) => lists.get(segment as usize).copied(),
            Layout::Rows(_) => None,
        }
    }

    /// The rows that it has in this place; none where that cannot be told.
    pub(super) async fn rows(&self, rows: &Rows, path: &RelPath, segment: u64) -> Vec<Row> {
        let Some((_, file)) = self.manifest.find(path.as_str()) else { return Vec::new() };
        let shape = FileShape::new(file.bytes, self.manifest.about().chunk_size);
        if segment >= shape.segments() {
            return Vec::new();
        }
        rows.of(file, shape, segment).await.unwrap_or_default()
    }
}

/// The snapshots of a head that are on IPFS, the newest first.
fn on_ipfs(head: &Head) -> impl Iterator<Item = (SnapshotRef, &Ipfs)> {
    let newest = head.snapshot.ipfs.as_ref().map(|ipfs| (head.snapshot.to_ref(), ipfs));
    let older = head.older.iter().filter_map(|older| Some((older.to_ref(), older.ipfs.as_ref()?)));
    newest.into_iter().chain(older)
}

//! What the node holds already: an earlier snapshot that it has pinned whole.

use std::{cmp::Reverse, collections::HashSet};

use super::{
    Error,
    memory::{Contents, Memory},
    rows::Rows,
};
use crate::{
    format::{
        archive::joints,
        frame::by_hand,
        head::{Head, Ipfs, SnapshotRef},
        key,
        list::FileShape,
        manifest::{FileEntry, Layout, Manifest},
        row::Row,
    },
    kubo::Kubo,
    publish::targets::Targets,
    types::{ChunkSize, Cid, Form, Hash, RelPath},
};

/// A snapshot that the node has whole.
#[derive(Debug)]
pub(super) struct Baseline {
    pub(super) root: Cid,
    manifest: Manifest,
    contents: Contents,
    joints: HashSet<Hash>,
}

/// Where to look for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) node: &'a Kubo,
    pub(super) head: &'a Head,
    pub(super) memory: &'a Memory,
    pub(super) targets: &'a Targets,
    pub(super) chunk_size: ChunkSize,
}

impl Baseline {
    /// The newest snapshot that the node has pinned: of those that the head names, or else of those that this machine remembers. One whose manifest
    /// no store gives back counts as none: everything is sent.
    ///
    /// # Errors
    /// [`Error::Node`]
    pub(super) async fn find(search: Search<'_>) -> Result<Option<Self>, Error> {
        let mut candidates: Vec<(Cid, Contents)> = on_ipfs(search.head).collect();
        let mut remembered: Vec<_> = search.memory.contents.iter().map(|(root, contents)| (*root, *contents)).collect();
        remembered.sort_by_key(|(root, _)| Reverse(search.memory.promised.get(root).copied()));
        candidates.extend(remembered);
        for (root, contents) in candidates {
            if search.node.is_pinned(&root).await?
                && let Some(manifest) = search.manifest(&contents).await
            {
                return Ok(Some(Self::new(root, manifest, contents)));
            }
        }
        Ok(None)
    }

    fn new(root: Cid, manifest: Manifest, contents: Contents) -> Self {
        let joint_hashes = || joints(&manifest).map(|joint| Hash::of(&by_hand::plain(&joint.bytes))).collect();
        let joints = if contents.archive { joint_hashes() } else { HashSet::new() };
        Self { root, manifest, contents, joints }
    }

    /// Whether it has chunks in this form.
    pub(super) fn has(&self, form: Form) -> bool {
        match form {
            Form::Zstd => self.contents.archive,
            Form::Raw => self.contents.tree,
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

impl Search<'_> {
    /// The manifest of a snapshot, if it is cut like the one that is published.
    async fn manifest(&self, contents: &Contents) -> Option<Manifest> {
        let (object, id) = (key::manifest(&contents.manifest), contents.manifest);
        let stored = self.targets.read(self.targets.alive(), &object, key::MANIFEST_MAX_BYTES, id).await?;
        let json_bytes = contents.manifest_json_bytes;
        let parsed = tokio::task::spawn_blocking(move || Manifest::parse_stored(&stored, json_bytes)).await.ok()?;
        parsed.ok().filter(|manifest| manifest.about().chunk_size == self.chunk_size)
    }
}

/// The snapshots of a head that are on IPFS, the newest first.
fn on_ipfs(head: &Head) -> impl Iterator<Item = (Cid, Contents)> {
    let newest = head.snapshot.ipfs.as_ref().map(|ipfs| (head.snapshot.to_ref(), ipfs));
    let older = head.older.iter().filter_map(|older| Some((older.to_ref(), older.ipfs.as_ref()?)));
    newest.into_iter().chain(older).filter_map(|(snapshot, ipfs)| Some((ipfs.root.parse().ok()?, contents(&snapshot, ipfs))))
}

/// What a snapshot on IPFS holds.
pub(super) fn contents(snapshot: &SnapshotRef, ipfs: &Ipfs) -> Contents {
    Contents {
        manifest: snapshot.manifest,
        manifest_json_bytes: snapshot.manifest_json_bytes,
        archive: ipfs.archive.is_some(),
        tree: ipfs.tree.is_some(),
    }
}

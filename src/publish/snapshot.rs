//! The manifest of a run: made, compared with the one before, and stored.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Error, Options, Summary, facts::Facts, heads::Heads, pipeline::Content, plan::is_unchanged, previous::Previous, source::ScannedSource,
    targets::Targets,
};
use crate::{
    format::{
        frame::Encoder,
        head::{Newest, SnapshotRef},
        key,
        manifest::{About, Client, Manifest, StoredManifest},
    },
    types::Hash,
};

/// Level of the manifest itself: it is small, and every reader fetches it.
const MANIFEST_LEVEL: i32 = 9;

/// A manifest that this run made.
#[derive(Debug)]
pub(super) struct Made {
    manifest: Manifest,
    stored: StoredManifest,
    read_bytes: u64,
    reused_bytes: u64,
    skipped_bytes: u64,
}

/// The snapshot that the next head names: the one that this run made, or the previous one where nothing changed.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) newest: Newest,
    /// Its manifest as it is stored.
    stored: Bytes,
    unchanged: bool,
    made: Made,
}

/// Makes the manifest, and reads it with the code that clients read it with.
///
/// # Errors
/// [`Error::Manifest`] when what was scanned breaks a rule of the format.
pub(super) fn make(options: &Options, facts: &Facts, source: &ScannedSource, content: Content) -> Result<Made, Error> {
    let manifest =
        Manifest::new(about(options, facts, source)?, source.scan.dirs.clone(), content.files, content.sums).map_err(Error::Manifest)?;
    let stored = manifest.to_stored(MANIFEST_LEVEL).map_err(Error::Manifest)?;
    if Manifest::parse_stored(&stored.bytes, stored.json_bytes).map_err(Error::Manifest)? != manifest {
        return Err(Error::Miscomputed);
    }
    let Content { read_bytes, reused_bytes, skipped_bytes, .. } = content;
    Ok(Made { manifest, stored, read_bytes, reused_bytes, skipped_bytes })
}

fn about(options: &Options, facts: &Facts, source: &ScannedSource) -> Result<About, Error> {
    Ok(About {
        channel: options.channel.clone(),
        height: facts.height,
        block_hash: facts.block_hash.clone(),
        genesis: facts.genesis.clone(),
        finalized: facts.finalized.clone(),
        labels: options.node.labels.clone(),
        encoder: Encoder::new(options.level).map_err(Error::Encode)?.name(),
        taken_at: options.now,
        client: facts.client.clone().or_else(|| options.node.profile.client.clone().map(|name| Client { name, version: None })),
        engine: source.facts.engine.clone(),
        chunk_size: options.chunk_size,
        subtrees: source.scan.subtrees.clone(),
    })
}

/// Decides between the manifest that was made and the previous one, and gives it to the stores that lack it.
///
/// # Errors
/// [`Error::AllStoresFailed`].
pub(super) async fn put(options: &Options, targets: &Targets, previous: &Previous, heads: &Heads, made: Made) -> Result<Chosen, Error> {
    let current = heads.newest().and_then(|head| Some((head, previous.get(&head.snapshot.manifest)?)));
    let (chosen, held) = match current {
        Some((head, old)) if is_unchanged(&old.manifest, &made.manifest) => {
            let bytes = Bytes::copy_from_slice(old.manifest.bytes());
            (Chosen { newest: head.snapshot.clone(), stored: bytes, unchanged: true, made }, old.at)
        }
        _ => {
            heads.warn_of_same_height(options, made.manifest.about().height);
            let stored = Bytes::copy_from_slice(&made.stored.bytes);
            (Chosen { newest: made.newest(), stored, unchanged: false, made }, super::plan::StoreSet::EMPTY)
        }
    };
    targets.put(targets.lacking(held), &key::manifest(&chosen.id()), &chosen.stored).await?;
    Ok(chosen)
}

impl Made {
    fn newest(&self) -> Newest {
        let about = self.manifest.about();
        let snapshot = SnapshotRef {
            manifest: self.stored.id,
            manifest_bytes: self.stored.bytes.len() as u64,
            manifest_json_bytes: self.stored.json_bytes,
            height: about.height,
            taken_at: about.taken_at,
            bytes: self.manifest.totals().bytes,
        };
        Newest::of(&snapshot, &self.manifest, None)
    }
}

impl Chosen {
    /// Id of the snapshot.
    pub(super) fn id(&self) -> Hash {
        self.newest.manifest
    }

    /// What is in it: equal in the previous manifest, where that stays.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.made.manifest
    }

    /// Its manifest as it is stored.
    pub(super) fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// Length of its stored manifest.
    pub(super) fn manifest_bytes(&self) -> u64 {
        self.newest.manifest_bytes
    }

    pub(super) fn summary(&self, options: &Arc<Options>, source: &ScannedSource) -> Summary {
        let totals = self.made.manifest.totals();
        Summary {
            channel: options.channel.clone(),
            snapshot: self.id(),
            seq: None,
            height: self.newest.height,
            taken_at: self.newest.taken_at,
            head_expires: None,
            unchanged: self.unchanged,
            dry_run: options.dry_run,
            files: totals.files,
            bytes: totals.bytes,
            frame_bytes: totals.frame_bytes,
            read_bytes: self.made.read_bytes,
            skipped_bytes: self.made.skipped_bytes,
            reused_bytes: self.made.reused_bytes,
            hole_bytes: totals.hole_bytes,
            freeze: None,
            allowed_secrets: source.allowed.clone(),
            stores: Vec::new(),
            ipfs: None,
            seconds: 0.0,
        }
    }
}

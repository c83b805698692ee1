//! A manifest that a verified head vouches for.

use thiserror::Error;

use super::verified::Verified;
use crate::{
    format::{
        head::{Head, SnapshotRef},
        manifest::{Manifest, ManifestError},
    },
    types::Hash,
};

/// Bytes that are not the manifest that the head names.
#[derive(Debug, Error)]
pub enum ManifestDefect {
    /// The head does not name this snapshot.
    #[error("the head does not name snapshot b3:{snapshot}")]
    NotNamed {
        /// The snapshot that was asked for.
        snapshot: Hash,
    },
    /// The bytes are others than those that were signed: damaged or false.
    #[error(
        "the manifest does not match its hash: expected b3:{expected} ({expected_bytes} bytes), found b3:{found} ({found_bytes} bytes)"
    )]
    OtherBytes {
        /// The signed hash.
        expected: Hash,
        /// The signed length, bytes.
        expected_bytes: u64,
        /// The hash of the bytes.
        found: Hash,
        /// Their length.
        found_bytes: u64,
    },
    /// The right bytes break a rule of the format: the publisher's fault.
    #[error("manifest b3:{snapshot} is not valid")]
    Invalid {
        /// The snapshot.
        snapshot: Hash,
        /// The rule.
        source: Box<ManifestError>,
    },
    /// The manifest contradicts the head: the publisher's fault.
    #[error("manifest b3:{snapshot} contradicts its head in {field}: the head says {expected}, the manifest {found}")]
    Contradiction {
        /// The snapshot.
        snapshot: Hash,
        /// In which field.
        field: &'static str,
        /// What the head says.
        expected: String,
        /// What the manifest says.
        found: String,
    },
}

impl ManifestDefect {
    /// Whether another source may have the right bytes.
    #[must_use]
    pub const fn is_of_the_source(&self) -> bool {
        matches!(self, Self::OtherBytes { .. })
    }

    /// Whether a newer release may read it: then nobody made a mistake.
    #[must_use]
    pub fn is_of_a_newer_release(&self) -> bool {
        matches!(self, Self::Invalid { source, .. } if matches!(**source, ManifestError::NewerFormat { .. }))
    }
}

/// Reads a stored manifest that `head` names as `which`. Not a byte is parsed before length and hash are those that were signed.
///
/// # Errors
/// [`ManifestDefect`].
pub fn verify_manifest(head: &Verified<Head>, which: &SnapshotRef, stored: Vec<u8>) -> Result<Verified<Manifest>, ManifestDefect> {
    let snapshot = which.manifest;
    if !head.snapshots().any(|named| named == *which) {
        return Err(ManifestDefect::NotNamed { snapshot });
    }
    let (found, found_bytes) = (Hash::of(&stored), stored.len() as u64);
    if found != snapshot || found_bytes != which.manifest_bytes {
        return Err(ManifestDefect::OtherBytes { expected: snapshot, expected_bytes: which.manifest_bytes, found, found_bytes });
    }
    let manifest = Manifest::parse_stored(&stored, which.manifest_json_bytes)
        .map_err(|source| ManifestDefect::Invalid { snapshot, source: Box::new(source) })?;
    check_agreement(head, which, &manifest)?;
    Ok(Verified::new(manifest, stored, snapshot))
}

fn check_agreement(head: &Head, which: &SnapshotRef, manifest: &Manifest) -> Result<(), ManifestDefect> {
    let about = manifest.about();
    let snapshot = which.manifest;
    agree(snapshot, "channel", &head.channel, &about.channel)?;
    agree(snapshot, "height", &which.height, &about.height)?;
    agree(snapshot, "taken_at", &which.taken_at, &about.taken_at)?;
    agree(snapshot, "bytes", &which.bytes, &manifest.totals().bytes)?;
    if head.snapshot.manifest == snapshot {
        agree(snapshot, "frame_bytes", &head.snapshot.frame_bytes, &manifest.totals().frame_bytes)?;
        agree(snapshot, "block_hash", &head.snapshot.block_hash, &about.block_hash)?;
        agree(snapshot, "genesis", &head.snapshot.genesis, &about.genesis)?;
    }
    Ok(())
}

fn agree<T: PartialEq + std::fmt::Debug>(snapshot: Hash, field: &'static str, head: &T, manifest: &T) -> Result<(), ManifestDefect> {
    if head == manifest {
        return Ok(());
    }
    Err(ManifestDefect::Contradiction { snapshot, field, expected: format!("{head:?}"), found: format!("{manifest:?}") })
}

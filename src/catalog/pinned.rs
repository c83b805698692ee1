//! A snapshot that a partial restore is pinned to: proved again from what was kept, without any source.

use super::{Error, StateDir};
use crate::{
    format::{head::SnapshotRef, manifest::Manifest},
    trust::{self, ManifestDefect, Reason, Refusal, RepoState, RootChain, Verified, check_head, verify_manifest},
    types::{ChannelName, Hash},
};

/// What was kept of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Envelopes of the roots, oldest first.
    pub roots: &'a [Vec<u8>],
    /// Envelope of the head.
    pub head: &'a [u8],
    /// The manifest as it is stored.
    pub manifest: &'a [u8],
}

/// Checks signatures, repository, channel and manifest again; not the expiry of the head, which was judged when the restore began.
/// Keys that were replaced since, as far as this machine knows, do not count any more. Blocks.
///
/// # Errors
/// [`Error::Refused`] when the repository is not the pinned or a trusted one, or the head is not signed by keys that count;
/// [`Error::Manifest`].
pub fn check_pinned(state: &StateDir, channel: &ChannelName, pin: Option<Hash>, kept: Kept<'_>) -> Result<Verified<Manifest>, Error> {
    let refused = |reason| Error::Refused { channel: channel.clone(), source: Box::new(Refusal::alone(reason)) };
    let chain = chain(state, pin, kept.roots)?.map_err(refused)?;
    let head = check_head(&chain, channel, kept.head).map_err(refused)?;
    let id = Hash::of(kept.manifest);
    let named: Option<SnapshotRef> = head.snapshots().find(|snapshot| snapshot.manifest == id);
    let named = named.ok_or(Error::Manifest(Box::new(ManifestDefect::NotNamed { snapshot: id })))?;
    verify_manifest(&head, &named, kept.manifest.to_vec()).map_err(|defect| Error::Manifest(Box::new(defect)))
}

/// The kept chain of roots, or the longer one that this machine has seen since.
fn chain(state: &StateDir, pin: Option<Hash>, roots: &[Vec<u8>]) -> Result<Result<RootChain, Reason>, Error> {
    let Some(Ok((found, root))) = roots.first().map(|first| trust::repo_of(first)) else {
        return Ok(Err(Reason::NotAHead { what: "the partial restore was pinned without a root".to_owned() }));
    };
    if let Some(pinned) = pin.filter(|pinned| *pinned != found) {
        return Ok(Err(Reason::PinMismatch { pinned, found }));
    }
    let known = match state.repo(found)? {
        Some(known) => known,
        // Named for this run: enough for a machine whose state directory is lost.
        None if pin == Some(found) => RepoState::default(),
        None => return Ok(Err(Reason::UnknownRepo { found: vec![(found, root.name)] })),
    };
    let newest = if known.roots.len() > roots.len() { &known.roots } else { roots };
    let damaged = |problem: String| Reason::State { repo: found, problem };
    Ok(match RootChain::from_envelopes(found, newest) {
        Ok(Some(chain)) => Ok(chain),
        Ok(None) => Err(damaged("it holds no root".to_owned())),
        Err(defect) => Err(damaged(defect.to_string())),
    })
}

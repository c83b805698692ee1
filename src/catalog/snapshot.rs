//! From the name of a channel to a verified manifest: what restore, show and export all begin with.

use super::{Error, OpenChannel, StateDir, fetch_manifest, open_channel, select};
use crate::{
    format::manifest::Manifest,
    store::DynReadStore,
    trust::Verified,
    types::{ChannelName, Hash, Timestamp, When},
};

/// A snapshot whose manifest is verified, and the channel it was found in.
#[derive(Clone, Debug)]
pub struct OpenSnapshot {
    /// The channel's head and the roots it rests on.
    pub channel: OpenChannel,
    /// The manifest; [`Verified::bytes`] is its stored form.
    pub manifest: Verified<Manifest>,
    /// Length of the manifest as JSON, bytes.
    pub manifest_json_bytes: u64,
}

impl OpenSnapshot {
    /// The snapshot's id.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.manifest.hash()
    }
}

/// Opens a channel and fetches the manifest of one of its snapshots.
///
/// # Errors
/// As [`open_channel`], [`select`] and [`fetch_manifest`].
pub async fn open_snapshot(
    sources: &[DynReadStore],
    name: &ChannelName,
    when: &When,
    state: &StateDir,
    pin: Option<Hash>,
    now: Timestamp,
) -> Result<OpenSnapshot, Error> {
    let channel = open_channel(sources, name, state, pin, now).await?;
    let chosen = select(&channel.head, when)?;
    let manifest = fetch_manifest(sources, &channel.head, &chosen).await?;
    Ok(OpenSnapshot { channel, manifest, manifest_json_bytes: chosen.manifest_json_bytes })
}

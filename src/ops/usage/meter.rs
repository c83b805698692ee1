//! Who says what was downloaded from a store.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::{
    error::SourceError,
    event::StoreName,
    plan::{Reading, open_months},
    state::{Counter, State},
};
use crate::{kubo::Kubo, types::Timestamp};

/// Who says what was downloaded.
#[async_trait]
pub trait Meter: Debug + Send + Sync {
    /// What was downloaded since `from`, which is the beginning of a month.
    ///
    /// # Errors
    /// [`SourceError`]
    async fn read(&self, from: Timestamp, now: Timestamp) -> Result<Reading, SourceError>;
}

/// A store, and who says what was downloaded from it.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the store is called.
    pub store: StoreName,
    /// Who says it.
    pub meter: Arc<dyn Meter>,
}

/// What one source said.
#[derive(Debug)]
pub struct Read {
    /// Whose source.
    pub store: StoreName,
    /// What it said, or why it did not.
    pub said: Result<Reading, SourceError>,
}

/// Asks all sources at once for what may still change.
pub(super) async fn read_all(sources: &[Source], known: &State, now: Timestamp) -> Vec<Read> {
    let asked = sources.iter().map(async |source| {
        let open = open_months(known.stores.get(&source.store), now);
        let from = open.first().map_or(now, |month| month.start());
        Read { store: source.store.clone(), said: source.meter.read(from, now).await }
    });
    futures::future::join_all(asked).await
}

/// What a node of IPFS has sent to other nodes since it was started.
#[derive(Debug)]
pub struct KuboMeter {
    node: Kubo,
}

impl KuboMeter {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(node: Kubo) -> Self {
        Self { node }
    }
}

#[async_trait]
impl Meter for KuboMeter {
    async fn read(&self, _: Timestamp, _: Timestamp) -> Result<Reading, SourceError> {
        let sent = self.node.sent().await?;
        Ok(Reading::Counter(Counter { last: sent.bytes, since: sent.since }))
    }
}

//! Who is told of a terabyte that was crossed.
//!
//! Each event goes to each sink at least once, in order: a sink that fails is told nothing more until the next tick, which begins with what it
//! missed. Whoever is told twice knows it by the event's id.

mod sns;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use async_trait::async_trait;
use thiserror::Error;

use super::{
    aws::AwsError,
    event::{Event, EventId, StoreName},
    month::Month,
    state::{Pending, SinkName, State},
};
use crate::types::Timestamp;
pub use sns::{InvalidTopic, Topic, TopicSink};
pub use webhook::{InvalidWebhook, Webhook, WebhookError};

/// Somebody who is told of one event after the other.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// Who it is.
    fn name(&self) -> SinkName;

    /// Tells it; when done it has taken it.
    ///
    /// # Errors
    /// [`SinkError`]
    async fn tell(&self, event: &Event) -> Result<(), SinkError>;
}

/// Where the numbers of all stores are shown.
#[async_trait]
pub trait Board: Debug + Send + Sync {
    /// Shows of each store the bytes of this month, and how many terabytes were crossed that were not shown before.
    ///
    /// # Errors
    /// [`AwsError`]
    async fn put(&self, values: &[(StoreName, u64, u64)]) -> Result<(), AwsError>;
}

/// All who are told.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// Those who are told of each event.
    pub each: Vec<Arc<dyn Sink>>,
    /// Where numbers are shown.
    pub board: Option<Arc<dyn Board>>,
}

/// Why a sink could not be told.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The web address does not take it.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// AWS does not take it.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// A sink that was not told everything.
#[derive(Debug)]
pub struct Missed {
    /// Which one.
    pub sink: SinkName,
    /// How many events it has yet to be told.
    pub events: usize,
    /// Why.
    pub error: SinkError,
}

/// Who was told what.
#[derive(Debug, Default)]
pub struct Delivered {
    /// What is done.
    pub done: Vec<(EventId, SinkName)>,
    /// What is not.
    pub missed: Vec<Missed>,
}

impl Sinks {
    /// All who must be told before an event is forgotten.
    #[must_use]
    pub fn names(&self) -> BTreeSet<SinkName> {
        let each = self.each.iter().map(|sink| sink.name());
        each.chain(self.board.iter().map(|_| SinkName::CloudWatch)).chain([SinkName::Output]).collect()
    }

    /// Tells everybody what waits, and shows the numbers.
    pub(super) async fn deliver(&self, state: &State, now: Timestamp) -> Delivered {
        let mut delivered = Delivered::default();
        for sink in &self.each {
            deliver_to(&**sink, &state.outbox, &mut delivered).await;
        }
        if let Some(board) = &self.board {
            show_on(&**board, state, now, &mut delivered).await;
        }
        delivered
    }
}

fn waiting(outbox: &[Pending], sink: SinkName) -> Vec<&Pending> {
    outbox.iter().filter(|pending| !pending.sinks_done.contains(&sink)).collect()
}

async fn deliver_to(sink: &dyn Sink, outbox: &[Pending], delivered: &mut Delivered) {
    let name = sink.name();
    let waiting = waiting(outbox, name);
    for (done, pending) in waiting.iter().enumerate() {
        if let Err(error) = sink.tell(&pending.event()).await {
            delivered.missed.push(Missed { sink: name, events: waiting.len() - done, error });
            return;
        }
        delivered.done.push((pending.id.clone(), name));
    }
}

async fn show_on(board: &dyn Board, state: &State, now: Timestamp, delivered: &mut Delivered) {
    let waiting = waiting(&state.outbox, SinkName::CloudWatch);
    let mut crossed = BTreeMap::<&StoreName, u64>::new();
    for pending in &waiting {
        *crossed.entry(&pending.id.store).or_default() += 1;
    }
    let of = |(name, store): (&StoreName, &super::state::Store)| {
        let month_bytes = store.months.get(&Month::of(now)).map_or(0, |tally| tally.bytes);
        (name.clone(), month_bytes, crossed.get(name).copied().unwrap_or(0))
    };
    match board.put(&state.stores.iter().map(of).collect::<Vec<_>>()).await {
        Ok(()) => delivered.done.extend(waiting.iter().map(|pending| (pending.id.clone(), SinkName::CloudWatch))),
        Err(error) => delivered.missed.push(Missed { sink: SinkName::CloudWatch, events: waiting.len(), error: error.into() }),
    }
}

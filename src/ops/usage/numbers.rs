//! What the last tick counted, as numbers for Prometheus: kept in the state directory, so that one file of metrics can tell of everything.

use std::io;

use serde::{Deserialize, Serialize};

use super::{event::StoreName, month::Month, state::State};
use crate::{catalog::StateDir, fs::Fs, ops::metrics::Metrics, types::Timestamp};

const FILE: &str = "usage.json";
const FORMAT: &str = "qsync-egress/1";
const MAX_BYTES: u64 = 1 << 16;

/// What the last tick counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    format: String,
    /// When anything was counted last; `None`: never.
    pub at: Option<Timestamp>,
    /// Events that wait to be told to somebody.
    pub pending: usize,
    /// Of each store.
    pub stores: Vec<StoreNumbers>,
}

/// What the last tick counted of one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreNumbers {
    /// The store.
    pub store: StoreName,
    /// Bytes since its first tick.
    pub total_bytes: u64,
    /// Terabytes that were told since then.
    pub terabytes: u64,
    /// Bytes of this month.
    pub month_bytes: u64,
}

impl Numbers {
    /// Those of a state, with the bytes of the month of `now`.
    #[must_use]
    pub fn of(state: &State, now: Timestamp) -> Self {
        let month = Month::of(now);
        let stores = state.stores.iter().map(|(name, store)| StoreNumbers {
            store: name.clone(),
            total_bytes: store.total_bytes,
            terabytes: store.total_told,
            month_bytes: store.months.get(&month).map_or(0, |tally| tally.bytes),
        });
        Self { format: FORMAT.to_owned(), at: state.last_tick, pending: state.outbox.len(), stores: stores.collect() }
    }

    /// Keeps them durably.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn save(&self, fs: &dyn Fs, state: &StateDir) -> io::Result<()> {
        fs.write_durable(&state.path().join(FILE), &serde_json::to_vec(self).map_err(io::Error::other)?, 0o600)
    }

    /// Those of the last tick of this machine; `None` when there was none, or what was kept of it is damaged or of another version.
    #[must_use]
    pub fn load(fs: &dyn Fs, state: &StateDir) -> Option<Self> {
        let bytes = fs.read(&state.path().join(FILE), MAX_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|numbers: &Self| numbers.format == FORMAT)
    }

    /// Adds them to others.
    pub fn add_to(&self, metrics: &mut Metrics) {
        for numbers in &self.stores {
            let store = [("store", numbers.store.as_str())];
            for (name, help, value) in [
                ("qsync_egress_bytes_total", "Bytes that were downloaded since the first tick", numbers.total_bytes),
                ("qsync_egress_terabytes_crossed_total", "Terabytes of months that were crossed since the first tick", numbers.terabytes),
                ("qsync_egress_month_to_date_bytes", "Bytes that were downloaded this month", numbers.month_bytes),
            ] {
                metrics.set(name, help, &store, value as f64);
            }
        }
        if let Some(at) = self.at {
            metrics.set("qsync_usage_last_tick_timestamp_seconds", "When downloads were last counted", &[], at.as_second() as f64);
        }
        metrics.set("qsync_usage_pending_events", "Terabytes that somebody was not told of yet", &[], self.pending as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            TB_BYTES,
            plan::{Reading, advance},
            state::Counter,
        },
        *,
    };

    #[test]
    fn a_tick_that_can_read_nothing_does_not_make_the_numbers_newer() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let counted = time("2026-11-20T03:00:00Z");
        let reading = [("ipfs".parse().unwrap(), Reading::Counter(Counter { last: 5, since: None }))];
        let state = advance(State::default(), &reading, counted, TB_BYTES).unwrap().state;
        assert_eq!(Numbers::of(&state, time("2026-11-22T03:00:00Z")).at, Some(counted));
        assert_eq!(Numbers::of(&State::default(), counted).at, None);
    }
}

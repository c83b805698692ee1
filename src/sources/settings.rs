//! How patient the engine is, how fast, and what it may cost.

use std::{num::NonZeroU64, time::Duration};

use super::{Paid, Prices};

/// How patient the engine is, how fast, and what it may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first pause after every source failed once; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long to go on while no source delivers anything at all.
    pub max_wait: Duration,
    /// Bytes a second that all sources together may send; `None`: as many as they can.
    pub limit_rate: Option<NonZeroU64>,
    /// Whether sources that cost money may be asked for lists and chunks.
    pub paid: Paid,
    /// The most that they may cost, millionths of a US dollar; `None`: whatever it takes.
    pub cap_micro_usd: Option<u64>,
    /// What they cost.
    pub prices: Prices,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            max_wait: Duration::from_secs(24 * 3600),
            limit_rate: None,
            paid: Paid::Refused,
            cap_micro_usd: None,
            prices: Prices::default(),
        }
    }
}

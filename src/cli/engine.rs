//! Options of every command that fetches lists and chunks: how long to wait for them, and how fast they may come.

use clap::Args;

use super::values::{Rate, Span};
use crate::sources::Settings;

/// How lists and chunks are fetched.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct EngineArgs {
    /// Give up after this long without any progress
    #[arg(long, value_name = "TIME", default_value = "24h")]
    max_wait: Span,
    /// Bytes a second that all sources together may send [default: as many as they can]
    #[arg(long, value_name = "SIZE")]
    limit_rate: Option<Rate>,
}

impl EngineArgs {
    /// The engine's settings.
    pub(crate) fn settings(self) -> Settings {
        Settings { max_wait: self.max_wait.0, limit_rate: self.limit_rate.map(|rate| rate.0), ..Settings::default() }
    }
}

//! Options of every command that fetches lists and chunks: how long to wait for them, how fast they may come, and what
//! they may cost.

use clap::{Args, ValueEnum};

use super::values::{Dollars, Rate, Span};
use crate::sources::{A_CENT, Allowance, Paid, PriceTable, ReadFrom, Settings};

/// How lists and chunks are fetched.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct EngineArgs {
    /// Give up after this long without any progress
    #[arg(long, value_name = "TIME", default_value = "24h")]
    max_wait: Span,
    /// Bytes a second that all sources together may send [default: as many as they can]
    #[arg(long, value_name = "SIZE")]
    limit_rate: Option<Rate>,
    /// Pay sources that cost money at most this much, for what the free ones do not deliver
    #[arg(long, value_name = "USD")]
    max_cost: Option<Dollars>,
    /// Ask sources that cost money like all others, not only for what the free ones do not deliver
    #[arg(long, value_name = "HOW")]
    use_paid: Option<UsePaid>,
    /// This machine is in the bucket's region, where bytes cost nothing: count requests only
    #[arg(long)]
    same_region: bool,
}

/// How sources that cost money are used once somebody has agreed to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UsePaid {
    /// For what the free ones do not deliver
    Last,
    /// Like all others
    Together,
}

impl EngineArgs {
    /// The engine's settings.
    pub(crate) fn settings(self) -> Settings {
        Settings {
            max_wait: self.max_wait.0,
            limit_rate: self.limit_rate.map(|rate| rate.0),
            paid: self.paid(self.max_cost.is_some()),
            cap_micro_usd: self.max_cost.map(|cap| cap.0),
            prices: PriceTable::builtin().prices(self.read_from()),
            ..Settings::default()
        }
    }

    /// The same for somebody who agrees to pay what it takes.
    pub(crate) fn settings_of_payer(self) -> Settings {
        Settings { paid: self.paid(true), ..self.settings() }
    }

    /// What heads, roots and manifests may cost: a cent, or what is agreed to for everything else.
    pub(crate) fn allowance(self, is_accepted: bool) -> Allowance {
        let cap = if is_accepted { None } else { Some(self.max_cost.map_or(A_CENT, |cap| cap.0.max(A_CENT))) };
        Allowance::new(cap, PriceTable::builtin().prices(self.read_from()))
    }

    fn paid(self, is_agreed: bool) -> Paid {
        match (is_agreed, self.use_paid) {
            (false, _) => Paid::Refused,
            (true, Some(UsePaid::Together)) => Paid::Together,
            (true, Some(UsePaid::Last) | None) => Paid::LastResort,
        }
    }

    /// Where this machine is.
    pub(crate) fn read_from(self) -> ReadFrom {
        if self.same_region { ReadFrom::SameRegion } else { ReadFrom::Internet }
    }
}

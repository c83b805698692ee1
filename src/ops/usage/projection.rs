//! What a month is going to be at its end, and what it costs: from what is known so far, the price table, and what is agreed to. Pure.
//!
//! A month goes on as it went: bytes so far, and the same rate for the rest of it. In its first days, when a few hours say little, the rate
//! of the month before fills what is missing; without one nothing is said for a day.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Serialize;

use super::{Month, StoreName, state::State};
use crate::{
    sources::{CostRange, Plan, PriceClass, PriceTable, ServerPrice},
    types::Timestamp,
};

/// How long a month must have gone on before it alone says how it goes on.
const ENOUGH: SignedDuration = SignedDuration::from_hours(72);
/// How long it must have gone on before it says anything, where nothing is known of the month before.
const LEAST: SignedDuration = SignedDuration::from_hours(24);
/// How long objects are taken to be where requests are to be told from bytes: chunks that do not compress.
const OBJECT_BYTES: u64 = 1 << 20;

/// Who pays for what is read from a store, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tariff {
    /// CloudFront, by what is delivered.
    Delivered(PriceClass),
    /// CloudFront, a flat rate.
    Plan(Plan),
    /// A bucket in this region whose owner pays.
    Bucket(String),
    /// A bucket whose readers pay.
    ReadersPay,
    /// A server of one's own.
    Server(ServerPrice),
}

/// What is agreed for one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billing {
    /// What it costs; `None` where nobody said it.
    pub tariff: Option<Tariff>,
    /// How many bytes a month are agreed to.
    pub quota_bytes: Option<u64>,
}

/// What the end of the month is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// This month so far.
    ThisMonth,
    /// This month so far, and the rate of the month before.
    LastMonth,
    /// Nothing: the month has hardly begun, and nothing is known of the one before.
    TooEarly,
}

/// One store. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Projected {
    /// The store.
    pub store: StoreName,
    /// The month, UTC.
    pub month: Month,
    /// Bytes so far.
    pub bytes: u64,
    /// Until when that is known.
    pub data_until: Option<Timestamp>,
    /// What the end is told from.
    pub basis: Basis,
    /// Bytes at the end; `None` when it is too early.
    pub month_end_bytes: Option<u64>,
    /// What reads cost so far; `None` where they have no price.
    pub cost: Option<CostRange>,
    /// What they cost at the end; `None` when it is too early, too.
    pub month_end_cost: Option<CostRange>,
    /// How many bytes are agreed to.
    pub quota_bytes: Option<u64>,
}

/// Which limit is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// What the configuration agrees to.
    Quota,
    /// The bytes of a flat rate.
    PlanBytes,
    /// The requests of a flat rate, if objects have 1 MiB.
    PlanRequests,
}

/// A limit that is passed before the month ends, or was. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The store; `None` for all together.
    pub store: Option<StoreName>,
    /// The month, UTC.
    pub month: Month,
    /// Which limit.
    pub limit: Limit,
    /// How many bytes it is.
    pub limit_bytes: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes at the end; `None` when it is too early to say.
    pub month_end_bytes: Option<u64>,
    /// When it is passed if the month goes on as it went; `None` when it is passed already.
    pub passes_at: Option<Timestamp>,
}

/// All stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Each of them.
    pub stores: Vec<Projected>,
    /// The limits that are passed.
    pub breaches: Vec<Breach>,
    /// All together, under no name.
    pub all: Sum,
}

/// All stores together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes at the end; `None` when it is too early for one of them.
    pub month_end_bytes: Option<u64>,
    /// What reads cost at the end, of the stores that have a price; `None` when it is too early for one of them, or none has.
    pub month_end_cost: Option<CostRange>,
}

/// What is known of a month so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoFar {
    /// The month.
    pub month: Month,
    /// Until when anything is known of it. Before it begins: nothing; after it ends: all.
    pub until: Timestamp,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of the whole month before, where they are known.
    pub last_month_bytes: Option<u64>,
}

impl SoFar {
    /// Bytes at the end of the month, never fewer than there are.
    #[must_use]
    pub fn month_end(&self) -> (Option<u64>, Basis) {
        let length = self.month.end().duration_since(self.month.start());
        let elapsed = self.elapsed();
        match self.last_month_bytes {
            _ if elapsed >= ENOUGH => (Some(part(self.bytes, length, elapsed)), Basis::ThisMonth),
            Some(last) => {
                let before = length_before(self.month);
                let first_days = self.bytes.saturating_add(part(last, ENOUGH - elapsed, before));
                (Some(self.bytes.saturating_add(part(first_days, length - elapsed, ENOUGH))), Basis::LastMonth)
            }
            None if elapsed >= LEAST => (Some(part(self.bytes, length, elapsed)), Basis::ThisMonth),
            None => (None, Basis::TooEarly),
        }
    }

    /// When a number of bytes that the month ends above is passed; `None` when it is already.
    #[must_use]
    pub fn passes_at(&self, limit_bytes: u64, month_end_bytes: u64) -> Option<Timestamp> {
        let (missing, to_come) = (limit_bytes.checked_sub(self.bytes)?, month_end_bytes.checked_sub(self.bytes)?);
        let from = self.month.start() + self.elapsed();
        let left = self.month.end().duration_since(from);
        let seconds = i128::from(left.as_secs()) * i128::from(missing) / i128::from(to_come.max(1));
        Some(from + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX).clamp(0, left.as_secs())))
    }

    fn elapsed(&self) -> SignedDuration {
        self.until.clamp(self.month.start(), self.month.end()).duration_since(self.month.start())
    }
}

/// `bytes` × `time` ÷ `of`, for times that are not negative and an `of` that is not 0.
fn part(bytes: u64, time: SignedDuration, of: SignedDuration) -> u64 {
    let seconds = |time: SignedDuration| u128::from(time.as_secs().unsigned_abs());
    let product = u128::from(bytes) * seconds(time);
    u64::try_from(product.div_ceil(seconds(of).max(1))).unwrap_or(u64::MAX)
}

/// How long the month before is.
fn length_before(month: Month) -> SignedDuration {
    let last = Month::of(month.start() - SignedDuration::from_secs(1));
    last.end().duration_since(last.start())
}

impl Tariff {
    /// What so many bytes of a month cost.
    #[must_use]
    pub fn cost(&self, bytes: u64, table: &PriceTable) -> CostRange {
        let requests = bytes.div_ceil(OBJECT_BYTES);
        match self {
            Self::Delivered(class) => table.cdn.month(*class, bytes, requests),
            Self::Plan(plan) => CostRange::exactly(plan.micro_usd_per_month),
            Self::Bucket(region) => {
                let prices = table.of_region(region);
                CostRange::exactly(prices.out.micro_usd(bytes).saturating_add(prices.get_micro_usd(requests)))
            }
            Self::ReadersPay => CostRange::exactly(0),
            Self::Server(price) => CostRange::exactly(price.month_micro_usd(bytes)),
        }
    }

    /// The limits that it has of its own.
    fn limits(&self) -> Vec<(Limit, u64)> {
        match self {
            Self::Plan(plan) => {
                vec![(Limit::PlanBytes, plan.bytes()), (Limit::PlanRequests, plan.requests.saturating_mul(OBJECT_BYTES))]
            }
            Self::Delivered(_) | Self::Bucket(_) | Self::ReadersPay | Self::Server(_) => Vec::new(),
        }
    }
}

/// Projects the month of `now` for the stores in `billing`. `quota_bytes` is what is agreed to for all of them together.
#[must_use]
pub fn project(
    state: &State,
    billing: &BTreeMap<StoreName, Billing>,
    quota_bytes: Option<u64>,
    now: Timestamp,
    table: &PriceTable,
) -> Projection {
    let month = Month::of(now);
    let known: Vec<_> = billing.iter().map(|(store, billing)| (store, billing, so_far(state, store, month, now))).collect();
    let stores: Vec<_> = known.iter().map(|(store, billing, so_far)| projected(state, store, billing, so_far, table)).collect();
    let mut breaches = Vec::new();
    for ((store, billing, so_far), projected) in known.iter().zip(&stores) {
        let quota = billing.quota_bytes.map(|bytes| (Limit::Quota, bytes));
        let limits = quota.into_iter().chain(billing.tariff.iter().flat_map(Tariff::limits));
        breaches.extend(limits.filter_map(|limit| breach(Some(store), limit, so_far, projected.month_end_bytes)));
    }
    let all = sum(&stores);
    // A store of which too little is known counts with what it has so far: it must not hide what the others do.
    let told: Vec<_> = known.iter().zip(&stores).filter(|(_, projected)| projected.month_end_bytes.is_some()).collect();
    let until = told.iter().map(|((_, _, so_far), _)| so_far.until).min().unwrap_or(now);
    let together = SoFar { month, until, bytes: all.bytes, last_month_bytes: None };
    let least_end = stores.iter().map(|store| store.month_end_bytes.unwrap_or(store.bytes)).fold(0, u64::saturating_add);
    let month_end_bytes = (!told.is_empty()).then_some(least_end);
    breaches.extend(quota_bytes.and_then(|bytes| breach(None, (Limit::Quota, bytes), &together, month_end_bytes)));
    Projection { stores, breaches, all }
}

fn so_far(state: &State, store: &StoreName, month: Month, now: Timestamp) -> SoFar {
    let known = state.stores.get(store);
    let tally = |month: Month| known.and_then(|known| known.months.get(&month));
    let last = Month::of(month.start() - SignedDuration::from_secs(1));
    // The first month of which anything is known may have begun long before that.
    let is_whole = known.is_some_and(|known| known.months.keys().next().is_some_and(|first| *first < last));
    let until = known.and_then(|known| known.data_until);
    SoFar {
        month,
        until: until.unwrap_or(month.start()).min(now),
        bytes: tally(month).map_or(0, |tally| tally.bytes),
        last_month_bytes: tally(last).filter(|_| is_whole).map(|tally| tally.bytes),
    }
}

fn projected(state: &State, store: &StoreName, billing: &Billing, so_far: &SoFar, table: &PriceTable) -> Projected {
    let (month_end_bytes, basis) = so_far.month_end();
    let cost = |bytes: u64| billing.tariff.as_ref().map(|tariff| tariff.cost(bytes, table));
    let is_known = state.stores.get(store).is_some_and(|store| store.data_until.is_some());
    Projected {
        store: store.clone(),
        month: so_far.month,
        bytes: so_far.bytes,
        data_until: is_known.then_some(so_far.until),
        basis,
        month_end_bytes,
        cost: cost(so_far.bytes),
        month_end_cost: month_end_bytes.and_then(cost),
        quota_bytes: billing.quota_bytes,
    }
}

fn breach(store: Option<&StoreName>, (limit, limit_bytes): (Limit, u64), so_far: &SoFar, month_end_bytes: Option<u64>) -> Option<Breach> {
    let end = month_end_bytes.unwrap_or(so_far.bytes).max(so_far.bytes);
    (end > limit_bytes).then(|| Breach {
        store: store.cloned(),
        month: so_far.month,
        limit,
        limit_bytes,
        bytes: so_far.bytes,
        month_end_bytes,
        passes_at: so_far.passes_at(limit_bytes, end),
    })
}

fn sum(stores: &[Projected]) -> Sum {
    let add = |a: u64, b: u64| a.saturating_add(b);
    let costs: Vec<_> = stores.iter().filter(|store| store.cost.is_some()).map(|store| store.month_end_cost).collect();
    let plus = |sum: CostRange, cost: CostRange| CostRange {
        least_micro_usd: add(sum.least_micro_usd, cost.least_micro_usd),
        most_micro_usd: add(sum.most_micro_usd, cost.most_micro_usd),
    };
    let month_end_cost = costs.iter().try_fold(CostRange::default(), |sum, cost| Some(plus(sum, (*cost)?)));
    Sum {
        bytes: stores.iter().map(|store| store.bytes).fold(0, add),
        month_end_bytes: stores.iter().map(|store| store.month_end_bytes).try_fold(0, |sum, bytes| Some(add(sum, bytes?))),
        month_end_cost: month_end_cost.filter(|_| !costs.is_empty()),
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;

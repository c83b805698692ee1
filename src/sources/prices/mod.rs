//! What AWS asks, from a dated table (docs/costs.md): buckets here, the CDN before them in `cdn.rs`.
//!
//! An estimate of what somebody is about to pay is rather too much than too little: first tier, no free tier, a GB of 10⁹ bytes. What a month
//! costs a provider is counted as AWS counts it: all tiers, a GB of 2³⁰ bytes.

mod cdn;
mod server;
mod tiers;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

pub use cdn::{Cdn, CostRange, InvalidPriceClass, Plan, PriceClass};
pub use server::ServerPrice;
pub use tiers::{GB_BYTES, InvalidPrice, InvalidTiers, TB_BYTES, Tiers, micro_usd};

use super::{Price, Prices};

/// Prices of S3 Standard by region and of CloudFront, without tax.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    regions: BTreeMap<String, RegionPrices>,
    otherwise: RegionPrices,
    /// The CDN.
    pub cdn: Cdn,
}

/// What a bucket costs in one region.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionPrices {
    /// The day of the list that these prices were compared with.
    pub checked: String,
    /// What goes to the internet.
    pub out: Tiers,
    /// What is stored for a month.
    pub storage: Tiers,
    #[serde(rename = "get_usd_per_1000", deserialize_with = "tiers::written")]
    get_micro_usd_per_1000: u64,
    #[serde(rename = "put_usd_per_1000", deserialize_with = "tiers::written")]
    put_micro_usd_per_1000: u64,
}

/// From where a bucket is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// Bytes are paid for, too.
    Internet,
    /// A machine of AWS in the bucket's region: requests only.
    SameRegion,
}

impl PriceTable {
    /// The table that this release was made with.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static TABLE: LazyLock<PriceTable> =
            LazyLock::new(|| toml::from_str(include_str!("../prices.toml")).expect("the table of this release is read by a test"));
        &TABLE
    }

    /// The prices of a region, of one that is not in the table too.
    #[must_use]
    pub fn of_region(&self, region: &str) -> &RegionPrices {
        self.regions.get(region).unwrap_or(&self.otherwise)
    }

    /// The day of the oldest list that prices were compared with.
    #[must_use]
    pub fn oldest_checked(&self) -> &str {
        let buckets = self.regions.values().chain([&self.otherwise]).map(|prices| prices.checked.as_str());
        buckets.min().unwrap_or_default().min(&self.cdn.checked)
    }

    /// All prices for the engine.
    #[must_use]
    pub fn prices(&self, from: ReadFrom) -> Prices {
        let by_region = self.regions.iter().map(|(region, prices)| (region.clone(), prices.to_read(from))).collect();
        Prices { by_region, otherwise: self.otherwise.to_read(from) }
    }
}

impl RegionPrices {
    /// What so many writes cost, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn put_micro_usd(&self, requests: u64) -> u64 {
        share(requests, self.put_micro_usd_per_1000, 1_000)
    }

    /// What so many reads cost, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn get_micro_usd(&self, requests: u64) -> u64 {
        share(requests, self.get_micro_usd_per_1000, 1_000)
    }

    /// What holding so many bytes for a month costs at most, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn month_micro_usd(&self, bytes: u64) -> u64 {
        share(bytes, self.storage.first_micro_usd_per_gb(), 1_000_000_000)
    }

    /// What reading costs at most.
    #[must_use]
    pub fn to_read(&self, from: ReadFrom) -> Price {
        let micro_usd_per_gb = if from == ReadFrom::SameRegion { 0 } else { self.out.first_micro_usd_per_gb() };
        Price { micro_usd_per_gb, micro_usd_per_1000_requests: self.get_micro_usd_per_1000 }
    }
}

/// What `count` costs when `per` of it cost so much, rounded up.
fn share(count: u64, micro_usd: u64, per: u64) -> u64 {
    let cost = u128::from(count) * u128::from(micro_usd);
    u64::try_from(cost.div_ceil(u128::from(per))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod doc_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_this_release_is_dated_and_no_region_is_dearer_than_an_unknown_one() {
        let table = PriceTable::builtin();
        let mut dates = table.regions.values().map(|prices| &prices.checked).chain([&table.otherwise.checked, &table.cdn.checked]);
        assert!(dates.all(|date| date.parse::<jiff::civil::Date>().is_ok()));
        let asked = |prices: &RegionPrices| {
            let per_gb = [&prices.out, &prices.storage].map(Tiers::first_micro_usd_per_gb);
            [per_gb[0], per_gb[1], prices.get_micro_usd_per_1000, prices.put_micro_usd_per_1000]
        };
        let dearest = asked(table.of_region("nowhere-1"));
        for prices in table.regions.values() {
            assert!(asked(prices).iter().zip(dearest).all(|(price, most)| *price > 0 && *price <= most), "{prices:?}");
        }
    }

    #[test]
    fn within_the_region_only_requests_cost_something() {
        let prices = PriceTable::builtin().of_region("us-east-1");
        assert_eq!(prices.to_read(ReadFrom::Internet), Price { micro_usd_per_gb: 90_000, micro_usd_per_1000_requests: 400 });
        assert_eq!(prices.to_read(ReadFrom::SameRegion), Price { micro_usd_per_gb: 0, micro_usd_per_1000_requests: 400 });
        // A snapshot of 100 GiB in chunks of 1 MiB.
        assert_eq!((prices.put_micro_usd(102_400), prices.month_micro_usd(100 << 30)), (512_000, 2_469_607));
        assert_eq!((prices.get_micro_usd(0), prices.get_micro_usd(1), prices.get_micro_usd(1_000)), (0, 1, 400));
    }

    #[test]
    fn a_month_is_counted_as_it_is_billed_and_an_estimate_is_more() {
        let prices = PriceTable::builtin().of_region("eu-central-1");
        assert_eq!((prices.storage.micro_usd(TB_BYTES), prices.month_micro_usd(TB_BYTES)), (25_088_000, 26_938_035));
    }
}

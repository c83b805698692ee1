//! What a bucket whose readers pay asks for, from a dated table (docs/costs.md).

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::{Price, Prices};

/// Prices of S3 Standard by region, without tax and free tiers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// The day on which the table was compared with its source.
    pub checked: String,
    regions: BTreeMap<String, RegionPrices>,
    otherwise: RegionPrices,
}

/// US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionPrices {
    /// For 10⁹ bytes that go to the internet.
    pub out_usd_per_gb: f64,
    /// For a thousand reads.
    pub get_usd_per_1000: f64,
    /// For a thousand writes.
    pub put_usd_per_1000: f64,
    /// For 10⁹ bytes that are stored for a month.
    pub storage_usd_per_gb_month: f64,
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
            LazyLock::new(|| toml::from_str(include_str!("prices.toml")).expect("the table of this release is read by a test"));
        &TABLE
    }

    /// The prices of a region, of one that is not in the table too.
    #[must_use]
    pub fn of_region(&self, region: &str) -> RegionPrices {
        self.regions.get(region).copied().unwrap_or(self.otherwise)
    }

    /// The same for the engine.
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
        micro(self.put_usd_per_1000 * requests as f64 / 1e3)
    }

    /// What holding so many bytes for a month costs, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn month_micro_usd(&self, bytes: u64) -> u64 {
        micro(self.storage_usd_per_gb_month * bytes as f64 / 1e9)
    }

    /// What reading costs.
    #[must_use]
    pub fn to_read(&self, from: ReadFrom) -> Price {
        let out_usd_per_gb = if from == ReadFrom::SameRegion { 0.0 } else { self.out_usd_per_gb };
        Price { micro_usd_per_gb: micro(out_usd_per_gb), micro_usd_per_1000_requests: micro(self.get_usd_per_1000) }
    }
}

/// Millionths of a US dollar, rounded up.
fn micro(usd: f64) -> u64 {
    // Decimal fractions are not exact: without the cut one of them would be a millionth too much.
    (usd * 1e6 - 1e-6).ceil().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_this_release_is_dated_and_no_region_is_dearer_than_an_unknown_one() {
        let table = PriceTable::builtin();
        table.checked.parse::<jiff::civil::Date>().unwrap();
        let dearest = table.of_region("nowhere-1");
        for prices in table.regions.values() {
            assert!(prices.out_usd_per_gb > 0.0 && prices.out_usd_per_gb <= dearest.out_usd_per_gb);
            assert!(prices.get_usd_per_1000 > 0.0 && prices.get_usd_per_1000 <= dearest.get_usd_per_1000);
            assert!(prices.put_usd_per_1000 > 0.0 && prices.put_usd_per_1000 <= dearest.put_usd_per_1000);
            assert!(prices.storage_usd_per_gb_month > 0.0 && prices.storage_usd_per_gb_month <= dearest.storage_usd_per_gb_month);
        }
    }

    #[test]
    fn within_the_region_only_requests_cost_something() {
        let prices = PriceTable::builtin().of_region("us-east-1");
        assert_eq!(prices.to_read(ReadFrom::Internet), Price { micro_usd_per_gb: 90_000, micro_usd_per_1000_requests: 400 });
        assert_eq!(prices.to_read(ReadFrom::SameRegion), Price { micro_usd_per_gb: 0, micro_usd_per_1000_requests: 400 });
        // A snapshot of 100 GiB in chunks of 1 MiB.
        assert_eq!((prices.put_micro_usd(102_400), prices.month_micro_usd(100 << 30)), (512_000, 2_469_607));
        assert_eq!([0.0004, 0.1, 0.0000001, 0.0].map(micro), [400, 100_000, 1, 0]);
    }
}

//! What the configuration says of what downloads may be and cost: `quota_tb_month` and `[usage.billing.STORE]`.

use std::num::NonZeroU64;

use serde::Deserialize;

use super::schema::Shape;
use crate::{
    ops::usage::projection::Tariff,
    sources::{Plan, PriceClass, PriceTable, ServerPrice, micro_usd},
};

/// The keys of a store.
pub(super) const KEYS: &[(&str, Shape)] = &[
    ("quota_tb_month", Shape::Leaf),
    ("price_class", Shape::Leaf),
    ("plan", Shape::Leaf),
    ("region", Shape::Leaf),
    ("readers_pay", Shape::Leaf),
    ("usd_month", Shape::Leaf),
    ("usd_tb", Shape::Leaf),
];

/// What is agreed for one store.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Billing {
    /// How much a month.
    pub(crate) quota: Option<Quota>,
    /// What it costs.
    pub(crate) tariff: Option<Tariff>,
}

/// A number of terabytes, not always a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Quota(f64);

impl Quota {
    /// The same in bytes, where a terabyte is so long.
    pub(crate) fn bytes(self, tb_bytes: NonZeroU64) -> u64 {
        // What is more than there can be becomes the most that there can be.
        (self.0 * tb_bytes.get() as f64).round() as u64
    }
}

impl TryFrom<f64> for Quota {
    type Error = String;

    fn try_from(tb: f64) -> Result<Self, String> {
        if tb > 0.0 && tb.is_finite() {
            Ok(Self(tb))
        } else {
            Err(format!("quota_tb_month is {tb}: expected a number of terabytes above 0"))
        }
    }
}

/// The keys as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    quota_tb_month: Option<Quota>,
    price_class: Option<String>,
    plan: Option<String>,
    region: Option<String>,
    #[serde(default)]
    readers_pay: bool,
    usd_month: Option<f64>,
    usd_tb: Option<f64>,
}

impl TryFrom<Written> for Billing {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let class = written.price_class.map(|class| class.parse::<PriceClass>().map_err(|error| error.to_string())).transpose()?;
        let plan = written.plan.map(|name| plan(&name)).transpose()?;
        let has_server = written.usd_month.is_some() || written.usd_tb.is_some();
        let server = has_server.then(|| server(written.usd_month, written.usd_tb)).transpose()?;
        let said = [
            class.map(Tariff::Delivered),
            plan.map(Tariff::Plan),
            written.region.map(Tariff::Bucket),
            written.readers_pay.then_some(Tariff::ReadersPay),
            server.map(Tariff::Server),
        ];
        let mut tariffs = said.into_iter().flatten();
        let (tariff, another) = (tariffs.next(), tariffs.next());
        if another.is_some() {
            return Err("a store has one price: expected one of price_class, plan, region, readers_pay, or usd_month with usd_tb".into());
        }
        Ok(Self { quota: written.quota_tb_month, tariff })
    }
}

fn plan(name: &str) -> Result<Plan, String> {
    let plans = &PriceTable::builtin().cdn.plans;
    let names = || plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ");
    plans.iter().find(|plan| plan.name == name).cloned().ok_or_else(|| format!("not a plan of CloudFront: {name:?}; there are {}", names()))
}

fn server(usd_month: Option<f64>, usd_tb: Option<f64>) -> Result<ServerPrice, String> {
    let price = |usd: Option<f64>| micro_usd(usd.unwrap_or(0.0)).map_err(|error| error.to_string());
    Ok(ServerPrice { micro_usd_per_month: price(usd_month)?, micro_usd_per_tb: price(usd_tb)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Billing, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn each_way_to_pay_has_its_keys() {
        let tariff = |text: &str| read(text).unwrap().tariff;
        assert_eq!(tariff("price_class = '200'"), Some(Tariff::Delivered(PriceClass::Class200)));
        assert!(matches!(tariff("plan = 'business'"), Some(Tariff::Plan(plan)) if plan.micro_usd_per_month == 200_000_000));
        assert_eq!(tariff("region = 'eu-central-1'"), Some(Tariff::Bucket("eu-central-1".into())));
        assert_eq!(tariff("readers_pay = true"), Some(Tariff::ReadersPay));
        let server = ServerPrice { micro_usd_per_month: 50_000_000, micro_usd_per_tb: 1_500_000 };
        assert_eq!(tariff("usd_month = 50\nusd_tb = 1.5"), Some(Tariff::Server(server)));
        assert_eq!((tariff("readers_pay = false"), tariff("")), (None, None));
    }

    #[test]
    fn a_quota_counts_in_terabytes_as_long_as_they_are_configured() {
        let quota = read("quota_tb_month = 1.5").unwrap().quota.unwrap();
        assert_eq!(quota.bytes(NonZeroU64::new(1 << 40).unwrap()), 3 << 39);
        assert_eq!(quota.bytes(NonZeroU64::new(1_000_000_000_000).unwrap()), 1_500_000_000_000);
        assert_eq!(read("quota_tb_month = 1e300").unwrap().quota.unwrap().bytes(NonZeroU64::MAX), u64::MAX);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (text, why) in [
            ("quota_tb_month = 0", "quota_tb_month is 0: expected a number of terabytes above 0"),
            ("quota_tb_month = nan", "expected a number of terabytes above 0"),
            ("price_class = '300'", "there are 100, 200 and all"),
            ("plan = 'gold'", "there are free, pro, business, premium"),
            ("usd_tb = -1", "-1 is no price"),
            ("plan = 'pro'\nreaders_pay = true", "a store has one price"),
            ("readers_pays = true", "unknown field"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

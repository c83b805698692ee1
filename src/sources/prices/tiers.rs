//! A price that falls the more of a thing there is in a month. Exact: whole millionths of a US dollar for each GB, and no fractions before
//! the end. Pure.

use serde::{Deserialize, Deserializer, de::Error};
use thiserror::Error;

/// A GB as AWS bills it, bytes.
pub const GB_BYTES: u64 = 1 << 30;
/// A TB as AWS bills it, bytes.
pub const TB_BYTES: u64 = 1 << 40;

/// The first so many bytes of a month at one price, the next at another. There is always a price for more, and none is higher than the one
/// before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<WrittenTier>")]
pub struct Tiers {
    tiers: Vec<Tier>,
    rest_micro_usd_per_gb: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tier {
    bytes: u64,
    micro_usd_per_gb: u64,
}

/// A tier as the table has it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTier {
    tb: Option<u64>,
    #[serde(deserialize_with = "written")]
    usd_per_gb: u64,
}

/// Tiers that make no price list.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidTiers {
    /// Nothing says what more costs.
    #[error("the last tier must have no end, and only the last")]
    Open,
    /// A tier is dearer than the one before it.
    #[error("a tier is dearer than the one before it")]
    Rising,
    /// More bytes than there can be.
    #[error("a tier of more than 2^24 TB")]
    TooLong,
}

/// Money that is written with a fraction of a millionth, is negative, or more than there is.
#[derive(Debug, Error, PartialEq)]
#[error("{0} is no price in whole millionths of a US dollar")]
pub struct InvalidPrice(f64);

/// Money as people write it, as whole millionths.
///
/// # Errors
/// [`InvalidPrice`].
pub fn micro_usd(usd: f64) -> Result<u64, InvalidPrice> {
    let micro = (usd * 1e6).round();
    // Decimal fractions are not exact, but far nearer than this.
    let is_whole = (usd * 1e6 - micro).abs() < 1e-3;
    if (0.0..1e15).contains(&micro) && is_whole { Ok(micro as u64) } else { Err(InvalidPrice(usd)) }
}

/// The same in the table.
pub(super) fn written<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    micro_usd(f64::deserialize(from)?).map_err(D::Error::custom)
}

impl TryFrom<Vec<WrittenTier>> for Tiers {
    type Error = InvalidTiers;

    fn try_from(mut written: Vec<WrittenTier>) -> Result<Self, InvalidTiers> {
        let Some(WrittenTier { tb: None, usd_per_gb: rest_micro_usd_per_gb }) = written.pop() else { return Err(InvalidTiers::Open) };
        let tier = |tier: WrittenTier| {
            let tb = tier.tb.ok_or(InvalidTiers::Open)?;
            let bytes = tb.checked_mul(TB_BYTES).ok_or(InvalidTiers::TooLong)?;
            Ok(Tier { bytes, micro_usd_per_gb: tier.usd_per_gb })
        };
        let tiers: Vec<_> = written.into_iter().map(tier).collect::<Result<_, _>>()?;
        let prices: Vec<_> = tiers.iter().map(|tier| tier.micro_usd_per_gb).chain([rest_micro_usd_per_gb]).collect();
        if prices.is_sorted_by(|a, b| a >= b) { Ok(Self { tiers, rest_micro_usd_per_gb }) } else { Err(InvalidTiers::Rising) }
    }
}

impl Tiers {
    /// The highest price, which is that of the first bytes: millionths of a US dollar for a GB.
    #[must_use]
    pub fn first_micro_usd_per_gb(&self) -> u64 {
        self.tiers.first().map_or(self.rest_micro_usd_per_gb, |tier| tier.micro_usd_per_gb)
    }

    /// What so many bytes of one month cost, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn micro_usd(&self, bytes: u64) -> u64 {
        let (mut left, mut cost) = (bytes, 0_u128);
        for tier in &self.tiers {
            let here = left.min(tier.bytes);
            cost += u128::from(here) * u128::from(tier.micro_usd_per_gb);
            left -= here;
        }
        cost += u128::from(left) * u128::from(self.rest_micro_usd_per_gb);
        u64::try_from(cost.div_ceil(u128::from(GB_BYTES))).unwrap_or(u64::MAX)
    }

    /// The most that bytes can cost of which each has one of these lists, whichever: as if every dear tier were filled before a cheaper one.
    #[must_use]
    pub fn dearest_of<'a>(lists: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut tiers, mut rest_micro_usd_per_gb) = (Vec::<Tier>::new(), 0);
        for list in lists {
            tiers.extend(&list.tiers);
            rest_micro_usd_per_gb = rest_micro_usd_per_gb.max(list.rest_micro_usd_per_gb);
        }
        // What never ends takes all that the dearer ones leave.
        tiers.retain(|tier| tier.micro_usd_per_gb > rest_micro_usd_per_gb);
        tiers.sort_by_key(|tier| std::cmp::Reverse(tier.micro_usd_per_gb));
        Self { tiers, rest_micro_usd_per_gb }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tiers(text: &str) -> Result<Tiers, String> {
        #[derive(Deserialize)]
        struct File {
            out: Tiers,
        }
        toml::from_str::<File>(&format!("out = [{text}]")).map(|file| file.out).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn each_tier_has_its_price() {
        let out = tiers("{ tb = 10, usd_per_gb = 0.09 }, { tb = 40, usd_per_gb = 0.085 }, { usd_per_gb = 0.05 }").unwrap();
        let usd = |tb: u64| out.micro_usd(tb * TB_BYTES) as f64 / 1e6;
        assert_eq!([usd(0), usd(1), usd(10), usd(11), usd(50)], [0.0, 92.16, 921.6, 1008.64, 4403.2]);
        assert_eq!(usd(51), 4454.4);
        assert_eq!((out.micro_usd(1), out.first_micro_usd_per_gb()), (1, 90_000), "a part of a millionth is one");
        assert_eq!(out.micro_usd(u64::MAX), (921_600_000 + 3_481_600_000) + (((1 << 34) - 50 * 1024) * 50_000), "nothing overflows");
    }

    #[test]
    fn tiers_that_make_no_price_list_are_refused() {
        for (text, why) in [
            ("", "must have no end"),
            ("{ tb = 1, usd_per_gb = 1 }", "must have no end"),
            ("{ usd_per_gb = 1 }, { usd_per_gb = 1 }", "must have no end"),
            ("{ tb = 1, usd_per_gb = 1 }, { usd_per_gb = 2 }", "dearer"),
            ("{ tb = 17000000, usd_per_gb = 1 }, { usd_per_gb = 1 }", "2^24 TB"),
            ("{ usd_per_gb = -1 }", "no price"),
            ("{ usd_per_gb = 0.00000012 }", "no price"),
            ("{ usd_per_gb = nan }", "no price"),
            ("{ usd = 1 }", "unknown field"),
        ] {
            let error = tiers(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn any_tiers() -> impl Strategy<Value = Tiers> {
        let tier = (1_u64..5_000, 0_u64..200_000);
        (prop::collection::vec(tier, 0..5), 0_u64..200_000).prop_map(|(tiers, rest)| {
            let mut prices: Vec<_> = tiers.iter().map(|(_, price)| *price).chain([rest]).collect();
            prices.sort_by(|a, b| b.cmp(a));
            let tier = |((gb, _), price): (&(u64, u64), &u64)| Tier { bytes: gb * GB_BYTES, micro_usd_per_gb: *price };
            Tiers { tiers: tiers.iter().zip(&prices).map(tier).collect(), rest_micro_usd_per_gb: prices[prices.len() - 1] }
        })
    }

    proptest! {
        #[test]
        fn more_never_costs_less_and_never_more_than_at_the_first_price(tiers in any_tiers(), a in any::<u64>(), b in any::<u64>()) {
            let (less, more) = (a.min(b) >> 8, a.max(b) >> 8);
            prop_assert!(tiers.micro_usd(less) <= tiers.micro_usd(more));
            let at_first = u128::from(more) * u128::from(tiers.first_micro_usd_per_gb());
            prop_assert!(u128::from(tiers.micro_usd(more)) <= at_first.div_ceil(u128::from(GB_BYTES)));
        }

        #[test]
        fn no_mix_costs_more_than_the_dearest(lists in prop::collection::vec(any_tiers(), 1..4), gb in prop::collection::vec(0_u64..20_000, 4)) {
            let bytes = |index: usize| gb[index] * GB_BYTES;
            let mix: u64 = lists.iter().enumerate().map(|(index, list)| list.micro_usd(bytes(index))).sum();
            let total = (0..lists.len()).map(bytes).sum();
            let dearest = Tiers::dearest_of(&lists);
            prop_assert!(mix <= dearest.micro_usd(total));
            prop_assert!(lists.iter().all(|list| list.micro_usd(total) <= dearest.micro_usd(total)));
        }
    }
}

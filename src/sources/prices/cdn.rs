//! What CloudFront asks: by what was delivered, or a flat rate. Pure.
//!
//! The price of a byte depends on the edge that delivers it, and what is known is the sum over all edges. So a cost is a range: if all
//! readers were where it is cheapest, or all where it is dearest.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{GB_BYTES, TB_BYTES, Tiers, share, tiers};

/// The prices of CloudFront.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cdn {
    /// The day of the list that these prices were compared with.
    pub checked: String,
    free_tb: u64,
    free_requests: u64,
    groups: BTreeMap<String, Group>,
    /// The flat rates, the cheapest first.
    pub plans: Vec<Plan>,
}

/// Edges with the same prices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "where")]
    place: String,
    price_class: PriceClass,
    out: Tiers,
    #[serde(rename = "https_usd_per_10000", deserialize_with = "tiers::written")]
    https_micro_usd_per_10000: u64,
}

/// A flat rate for one distribution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name, in lower case.
    pub name: String,
    /// What it costs, millionths of a US dollar a month.
    #[serde(rename = "usd_per_month", deserialize_with = "tiers::written")]
    pub micro_usd_per_month: u64,
    /// How many requests a month it allows.
    pub requests: u64,
    gb: u64,
}

/// Which edges a distribution uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum PriceClass {
    /// North America, Europe and Israel.
    #[serde(rename = "100")]
    Class100,
    /// All but South America, Australia and New Zealand.
    #[serde(rename = "200")]
    Class200,
    /// All.
    #[default]
    #[serde(rename = "all")]
    All,
}

/// Text that names no price class.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a price class: {0:?}; there are 100, 200 and all")]
pub struct InvalidPriceClass(String);

impl FromStr for PriceClass {
    type Err = InvalidPriceClass;

    fn from_str(text: &str) -> Result<Self, InvalidPriceClass> {
        match text {
            "100" => Ok(Self::Class100),
            "200" => Ok(Self::Class200),
            "all" => Ok(Self::All),
            other => Err(InvalidPriceClass(other.chars().take(40).collect())),
        }
    }
}

/// Between what a thing costs, millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CostRange {
    /// No less than this.
    pub least_micro_usd: u64,
    /// No more than this.
    pub most_micro_usd: u64,
}

impl CostRange {
    /// A cost that is known.
    #[must_use]
    pub fn exactly(micro_usd: u64) -> Self {
        Self { least_micro_usd: micro_usd, most_micro_usd: micro_usd }
    }
}

impl Cdn {
    /// What a month of deliveries costs pay-as-you-go, when nothing else of the account uses up what is free.
    #[must_use]
    pub fn month(&self, class: PriceClass, bytes: u64, requests: u64) -> CostRange {
        let (bytes, requests) = self.billed(bytes, requests);
        let outs = || self.groups_of(class).map(|group| &group.out);
        let per_request = || self.groups_of(class).map(|group| group.https_micro_usd_per_10000);
        let least_out = outs().map(|out| out.micro_usd(bytes)).min().unwrap_or(0);
        let least_requests = share(requests, per_request().min().unwrap_or(0), 10_000);
        let most_out = Tiers::dearest_of(outs()).micro_usd(bytes);
        let most_requests = share(requests, per_request().max().unwrap_or(0), 10_000);
        CostRange { least_micro_usd: least_out.saturating_add(least_requests), most_micro_usd: most_out.saturating_add(most_requests) }
    }

    /// What one restore costs the provider at most, wherever its reader is: first tier, nothing free, a GB of 10⁹ bytes.
    #[must_use]
    pub fn restore_micro_usd(&self, class: PriceClass, bytes: u64, requests: u64) -> u64 {
        let dearest = self.groups_of(class).map(|group| group.out.first_micro_usd_per_gb()).max().unwrap_or(0);
        let per_request = self.groups_of(class).map(|group| group.https_micro_usd_per_10000).max().unwrap_or(0);
        share(bytes, dearest, 1_000_000_000).saturating_add(share(requests, per_request, 10_000))
    }

    /// The plan of that name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// From how many bytes of a month on a plan costs less than pay-as-you-go does where that is cheapest, in whole GB, if objects are so
    /// large on average; `None` where that is more than the plan allows.
    #[must_use]
    pub fn break_even_bytes(&self, plan: &Plan, class: PriceClass, object_bytes: u64) -> Option<u64> {
        let is_dearer = |gb: u64| {
            let bytes = gb * GB_BYTES;
            self.month(class, bytes, bytes.div_ceil(object_bytes.max(1))).least_micro_usd > plan.micro_usd_per_month
        };
        let most = plan.most_bytes(object_bytes) / GB_BYTES;
        // What more costs never falls: halve what is open.
        let (mut below, mut above) = (0, most + 1);
        while below < above {
            let middle = below + (above - below) / 2;
            if is_dearer(middle) { above = middle } else { below = middle + 1 }
        }
        (below <= most).then_some(below * GB_BYTES)
    }

    fn billed(&self, bytes: u64, requests: u64) -> (u64, u64) {
        (bytes.saturating_sub(self.free_tb.saturating_mul(TB_BYTES)), requests.saturating_sub(self.free_requests))
    }

    fn groups_of(&self, class: PriceClass) -> impl Iterator<Item = &Group> {
        self.groups.values().filter(move |group| group.price_class <= class)
    }
}

impl Plan {
    /// How many bytes a month it allows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.gb.saturating_mul(GB_BYTES)
    }

    /// How many bytes a month both of its allowances let through, if objects are so large on average.
    #[must_use]
    pub fn most_bytes(&self, object_bytes: u64) -> u64 {
        self.bytes().min(self.requests.saturating_mul(object_bytes))
    }

    /// The average length of objects that uses up both allowances at once, bytes: below it requests are what runs out.
    #[must_use]
    pub fn balanced_object_bytes(&self) -> u64 {
        self.bytes() / self.requests.max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sources::PriceTable;

    const MIB: u64 = 1 << 20;

    fn cdn() -> &'static Cdn {
        &PriceTable::builtin().cdn
    }

    #[test]
    fn the_first_tb_is_free_and_then_the_place_of_the_readers_counts() {
        let month = |class, tb: u64| {
            let CostRange { least_micro_usd, most_micro_usd } = cdn().month(class, tb * TB_BYTES, tb * TB_BYTES / MIB);
            (least_micro_usd, most_micro_usd)
        };
        assert_eq!(month(PriceClass::Class100, 1), (0, 0));
        assert_eq!(month(PriceClass::Class100, 2), (87_040_000, 87_040_000), "two million requests are free");
        // 19 TB, of which the first ten may be Europe's and the rest North America's, all in first tiers; 10,971,520 requests.
        assert_eq!(month(PriceClass::Class100, 20).1, 19 * 87_040_000 + 13_165_824);
        assert_eq!(month(PriceClass::Class100, 20).0, 870_400_000 + 9 * 81_920_000 + 10_971_520);
        assert_eq!(month(PriceClass::Class200, 2), (87_040_000, 122_880_000));
        assert_eq!(month(PriceClass::All, 2), (87_040_000, 122_880_000));
    }

    #[test]
    fn there_are_as_many_groups_as_the_list_has_columns_and_each_class_has_more() {
        let groups = |class| cdn().groups_of(class).map(|group| group.place.as_str()).collect::<Vec<_>>();
        assert_eq!([PriceClass::Class100, PriceClass::Class200, PriceClass::All].map(|class| groups(class).len()), [2, 6, 8]);
        assert_eq!(groups(PriceClass::Class100), ["Europe, Israel, Türkiye", "United States, Mexico, Canada"]);
    }

    #[test]
    fn plans_are_sorted_and_the_smaller_of_their_allowances_is_what_they_allow() {
        let plans = &cdn().plans;
        assert!(plans.is_sorted_by_key(|plan| (plan.micro_usd_per_month, plan.requests, plan.bytes())));
        let pro = cdn().plan("pro").unwrap();
        assert_eq!((pro.bytes(), pro.most_bytes(MIB), pro.balanced_object_bytes()), (50 * TB_BYTES, 10_000_000 * MIB, 5_497_558));
        let business = cdn().plan("business").unwrap();
        assert_eq!((business.most_bytes(MIB), business.balanced_object_bytes()), (50 * TB_BYTES, 439_804));
        assert_eq!(cdn().plan("gold"), None);
    }

    #[test]
    fn a_plan_is_cheaper_from_where_its_price_is_passed() {
        let even = |plan: &str| cdn().break_even_bytes(cdn().plan(plan).unwrap(), PriceClass::Class100, MIB).map(|bytes| bytes / GB_BYTES);
        // The free TB and 177 GB at 8.5 cents are more than 15 dollars; 2,353 GB are more than 200.
        assert_eq!((even("pro"), even("business")), (Some(1024 + 177), Some(1024 + 2353)));
        assert_eq!(even("free"), None, "what it allows is free anyhow");
    }

    #[test]
    fn price_classes_have_names() {
        assert_eq!(
            ["100", "200", "all"].map(|text| text.parse().ok()),
            [PriceClass::Class100, PriceClass::Class200, PriceClass::All].map(Some)
        );
        assert_eq!(
            "PriceClass_300".parse::<PriceClass>().unwrap_err().to_string(),
            "not a price class: \"PriceClass_300\"; there are 100, 200 and all"
        );
    }

    proptest! {
        #[test]
        fn a_range_has_its_ends_in_order_and_more_never_costs_less(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            let (less, more) = ((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
            for class in [PriceClass::Class100, PriceClass::Class200, PriceClass::All] {
                let (less, more) = (cdn().month(class, less.0, less.1), cdn().month(class, more.0, more.1));
                prop_assert!(less.least_micro_usd <= less.most_micro_usd);
                prop_assert!(less.least_micro_usd <= more.least_micro_usd && less.most_micro_usd <= more.most_micro_usd);
            }
        }

        #[test]
        fn one_gb_less_than_the_break_even_costs_no_more_than_the_plan(object_bytes in 1_000_u64..10_000_000, index in 0_usize..9) {
            let plan = &cdn().plans[index];
            let cost = |bytes: u64| cdn().month(PriceClass::Class100, bytes, bytes.div_ceil(object_bytes)).least_micro_usd;
            if let Some(bytes) = cdn().break_even_bytes(plan, PriceClass::Class100, object_bytes) {
                prop_assert!(bytes <= plan.most_bytes(object_bytes) && cost(bytes) > plan.micro_usd_per_month);
                prop_assert!(bytes == 0 || cost(bytes - GB_BYTES) <= plan.micro_usd_per_month);
            }
        }
    }
}

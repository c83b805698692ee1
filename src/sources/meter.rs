//! What reading costs, and that it never costs more than was agreed. Pure.
//!
//! Before a request the most that it can cost is reserved; afterwards what arrived is accounted, whether it was of use or not. What is
//! spent and what is reserved together never pass the cap.

use std::collections::BTreeMap;

use crate::store::Charge;

/// What a source with requester pays costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For 10⁹ bytes that leave it, millionths of a US dollar.
    pub micro_usd_per_gb: u64,
    /// For a thousand requests, millionths of a US dollar.
    pub micro_usd_per_1000_requests: u64,
}

impl Price {
    /// More than any region of AWS asked for when this was written: for a region of which nobody knows the price.
    pub const DEAREST: Self = Self { micro_usd_per_gb: 200_000, micro_usd_per_1000_requests: 1_000 };

    /// What so many requests cost that bring so many bytes together, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn micro_usd(self, bytes: u64, requests: u64) -> u64 {
        let per_request = u128::from(self.micro_usd_per_1000_requests) * 1_000_000;
        Cost(u128::from(bytes) * u128::from(self.micro_usd_per_gb) + u128::from(requests) * per_request).micro_usd()
    }

    /// What one request costs that brings so many bytes.
    fn of_request(self, bytes: u64) -> Cost {
        Cost(u128::from(bytes) * u128::from(self.micro_usd_per_gb) + u128::from(self.micro_usd_per_1000_requests) * 1_000_000)
    }
}

/// Prices by region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Of the regions that are known.
    pub by_region: BTreeMap<String, Price>,
    /// Of any other.
    pub otherwise: Price,
}

impl Default for Prices {
    fn default() -> Self {
        Self { by_region: BTreeMap::new(), otherwise: Price::DEAREST }
    }
}

impl Prices {
    /// What a source costs; `None` when it costs nothing.
    pub(super) fn of(&self, charge: &Charge) -> Option<Price> {
        match charge {
            Charge::Free => None,
            Charge::RequesterPays { region } => Some(self.by_region.get(region).copied().unwrap_or(self.otherwise)),
        }
    }
}

/// Whether sources that cost money may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paid {
    /// Never.
    #[default]
    Refused,
    /// For what no free source delivers.
    LastResort,
    /// Like all others.
    Together,
}

/// Money, in 10⁻⁹ millionths of a US dollar: a byte costs whole ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(u128);

impl Cost {
    const PER_MICRO_USD: u128 = 1_000_000_000;

    fn from_micro_usd(micro_usd: u64) -> Self {
        Self(u128::from(micro_usd) * Self::PER_MICRO_USD)
    }

    /// In whole millionths of a US dollar, never less than it is.
    pub(super) fn micro_usd(self) -> u64 {
        u64::try_from(self.0.div_ceil(Self::PER_MICRO_USD)).unwrap_or(u64::MAX)
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Money that is set aside for one request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Held {
    price: Price,
    most_bytes: u64,
}

/// Whether a request can be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// Yes.
    Enough,
    /// Only if others turn out to cost less than was set aside for them.
    HeldForOthers,
    /// No.
    Spent,
}

/// What was spent, and what is set aside.
#[derive(Debug)]
pub(super) struct Meter {
    cap: Option<Cost>,
    spent: Cost,
    held: Cost,
}

impl Meter {
    pub(super) fn new(cap_micro_usd: Option<u64>) -> Self {
        Self { cap: cap_micro_usd.map(Cost::from_micro_usd), spent: Cost::default(), held: Cost::default() }
    }

    /// From now on there is no limit.
    pub(super) fn lift_cap(&mut self) {
        self.cap = None;
    }

    /// Counts what was spent elsewhere.
    pub(super) fn spend(&mut self, micro_usd: u64) {
        self.spent = self.spent.plus(Cost::from_micro_usd(micro_usd));
    }

    /// Whether a request for at most `most_bytes` can be paid.
    pub(super) fn means_for(&self, price: Price, most_bytes: u64) -> Means {
        let (Some(cap), cost) = (self.cap, price.of_request(most_bytes)) else { return Means::Enough };
        let spent = self.spent.plus(cost);
        if spent > cap {
            Means::Spent
        } else if spent.plus(self.held) > cap {
            Means::HeldForOthers
        } else {
            Means::Enough
        }
    }

    /// Sets aside the most that a request can cost; `None` when the cap would be passed.
    pub(super) fn hold(&mut self, price: Price, most_bytes: u64) -> Option<Held> {
        if self.means_for(price, most_bytes) != Means::Enough {
            return None;
        }
        self.held = self.held.plus(price.of_request(most_bytes));
        Some(Held { price, most_bytes })
    }

    /// Accounts a request that brought so many bytes, and says what it cost. Nobody bills more than an object's length for it.
    pub(super) fn settle(&mut self, held: Held, arrived_bytes: u64) -> Cost {
        let cost = held.price.of_request(arrived_bytes.min(held.most_bytes));
        self.release(held);
        self.spent = self.spent.plus(cost);
        cost
    }

    /// Accounts a request of which nobody knows how much arrived: all of it.
    pub(super) fn settle_in_full(&mut self, held: Held) -> Cost {
        let most = held.most_bytes;
        self.settle(held, most)
    }

    /// Takes back what was set aside for a request that was never made.
    pub(super) fn release(&mut self, held: Held) {
        self.held = self.held.minus(held.price.of_request(held.most_bytes));
    }

    pub(super) fn spent(&self) -> Cost {
        self.spent
    }

    pub(super) fn cap_micro_usd(&self) -> u64 {
        self.cap.map_or(u64::MAX, Cost::micro_usd)
    }
}

/// Adds to what one source cost.
pub(super) fn add(to: &mut Cost, cost: Cost) {
    *to = to.plus(cost);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 9 cents a gigabyte and 0.04 cents a thousand requests.
    const PRICE: Price = Price { micro_usd_per_gb: 90_000, micro_usd_per_1000_requests: 400 };
    const MIB: u64 = 1 << 20;

    // AW-02
    #[test]
    fn bytes_and_requests_cost_what_the_price_says() {
        let mut meter = Meter::new(None);
        for _ in 0..1000 {
            let held = meter.hold(PRICE, 1_000_000).unwrap();
            meter.settle(held, 1_000_000);
        }
        assert_eq!(meter.spent().micro_usd(), 90_000 + 400);
    }

    // AW-02
    #[test]
    fn a_request_that_would_pass_the_cap_is_refused_before_it_is_made() {
        let mut meter = Meter::new(Some(200));
        // A MiB costs 94.4 + 0.4 millionths.
        let (one, other) = (meter.hold(PRICE, MIB).unwrap(), meter.hold(PRICE, MIB).unwrap());
        assert_eq!((meter.hold(PRICE, MIB), meter.means_for(PRICE, MIB)), (None, Means::HeldForOthers));
        meter.settle(one, MIB);
        meter.settle(other, MIB / 2);
        assert_eq!(meter.means_for(PRICE, MIB), Means::Spent);
        assert_eq!(meter.means_for(PRICE, MIB / 2), Means::Enough);
        assert_eq!(meter.spent().micro_usd(), 143);
    }

    // AW-02
    #[test]
    fn a_body_that_broke_off_costs_what_arrived_and_one_that_was_dropped_all_of_it() {
        let mut meter = Meter::new(None);
        let held = [(); 3].map(|()| meter.hold(PRICE, 1_000_000_000).unwrap());
        let [broken, dropped, unused] = held;
        assert_eq!(meter.settle(broken, 500_000_000).micro_usd(), 45_001);
        assert_eq!(meter.settle_in_full(dropped).micro_usd(), 90_001);
        meter.release(unused);
        assert_eq!((meter.spent().micro_usd(), meter.held), (135_001, Cost::default()));
    }

    #[test]
    fn a_region_without_a_price_costs_the_dearest() {
        let prices = Prices { by_region: BTreeMap::from([("eu-central-1".to_owned(), PRICE)]), ..Prices::default() };
        let in_region = |region: &str| prices.of(&Charge::RequesterPays { region: region.to_owned() });
        assert_eq!((in_region("eu-central-1"), in_region("mars-1")), (Some(PRICE), Some(Price::DEAREST)));
        assert_eq!(prices.of(&Charge::Free), None);
    }

    proptest! {
        // AW-02
        #[test]
        fn what_is_spent_and_set_aside_never_passes_the_cap(
            cap in 0_u64..2_000,
            steps in prop::collection::vec((0_u64..4 * MIB, 0_u64..4 * MIB, 0_u8..4), 1..60),
        ) {
            let (mut meter, mut held) = (Meter::new(Some(cap)), Vec::new());
            for (most, arrived, what) in steps {
                match (what, held.pop()) {
                    (0 | 1, last) => held.extend(last.into_iter().chain(meter.hold(PRICE, most))),
                    (2, Some(last)) => _ = meter.settle(last, arrived),
                    (_, Some(last)) => _ = meter.settle_in_full(last),
                    (_, None) => {}
                }
                prop_assert!(meter.spent.plus(meter.held) <= Cost::from_micro_usd(cap));
            }
            for last in held.drain(..) {
                meter.settle_in_full(last);
            }
            prop_assert!(meter.spent().micro_usd() <= cap);
        }
    }
}

//! What a server of one's own costs, which no table knows: its owner says it. Pure.

use super::{TB_BYTES, share};

/// What a server costs a month, and what leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerPrice {
    /// The server itself, millionths of a US dollar a month.
    pub micro_usd_per_month: u64,
    /// A TB that leaves it, millionths of a US dollar.
    pub micro_usd_per_tb: u64,
}

impl ServerPrice {
    /// What a month costs in which so many bytes left it, millionths of a US dollar, rounded up.
    #[must_use]
    pub fn month_micro_usd(&self, bytes: u64) -> u64 {
        self.micro_usd_per_month.saturating_add(share(bytes, self.micro_usd_per_tb, TB_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_costs_its_rent_and_what_leaves_it() {
        let price = ServerPrice { micro_usd_per_month: 50_000_000, micro_usd_per_tb: 1_500_000 };
        assert_eq!([0, TB_BYTES, 3 * TB_BYTES + 1].map(|bytes| price.month_micro_usd(bytes)), [50_000_000, 51_500_000, 54_500_001]);
        assert_eq!(ServerPrice::default().month_micro_usd(u64::MAX), 0);
    }
}

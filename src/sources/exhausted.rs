//! Why no source can deliver an object.

use std::time::Duration;

use thiserror::Error;

use crate::types::CredentialFault;

/// No source can deliver an object.
#[derive(Debug, Error)]
pub enum Exhausted {
    /// Every source says it has no such object.
    #[error("no source has {key}: {}", lines.join("; "))]
    Missing {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Sources deliver it, but what they deliver is wrong.
    #[error("every source delivers wrong bytes for {key}: {}", lines.join("; "))]
    Wrong {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Every source lacks it or holds it on a disk of this machine that cannot read it: it is not gone.
    #[error("{key} cannot be read: {}", lines.join("; "))]
    Unreadable {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Nothing was delivered for so long that waiting makes no sense.
    #[error("no source delivered anything for {}: {}", humantime::format_duration(*waited), lines.join("; "))]
    Silent {
        /// How long nothing came.
        waited: Duration,
        /// One line per source.
        lines: Vec<String>,
    },
    /// The sources that may have it do not believe who this user is.
    #[error("{key} is refused: {}", lines.join("; "))]
    Refused {
        /// The object.
        key: String,
        /// What is wrong with the credentials.
        fault: CredentialFault,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Only sources that cost money are left to be asked, and nobody agreed to that.
    #[error("only sources that cost money are left for {key}: {}", lines.join("; "))]
    NoConsent {
        /// The object.
        key: String,
        /// One line per source.
        lines: Vec<String>,
    },
    /// Only sources that cost money are left to be asked, and the next request could cost more than was agreed.
    #[error(
        "only sources that cost money are left for {key}, and more than {} would be passed, of which {} is spent: {}",
        usd(*cap_micro_usd),
        usd(*spent_micro_usd),
        lines.join("; ")
    )]
    Cap {
        /// The object.
        key: String,
        /// What was spent, millionths of a US dollar.
        spent_micro_usd: u64,
        /// What was agreed, millionths of a US dollar.
        cap_micro_usd: u64,
        /// One line per source.
        lines: Vec<String>,
    },
}

/// Millionths of a US dollar as people read them, to the hundredth of a cent, rounded up.
#[must_use]
pub fn usd(micro_usd: u64) -> String {
    let hundredths = micro_usd.div_ceil(100);
    format!("${}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_in_dollars_and_never_less_than_it_is() {
        assert_eq!([0, 1, 100, 101, 1_234_567].map(usd), ["$0.0000", "$0.0001", "$0.0001", "$0.0002", "$1.2346"]);
    }
}

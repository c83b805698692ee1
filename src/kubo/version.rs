//! Which nodes are new enough.

/// The least that is known to work: `dag/import` without roots and large directories as they are published.
pub(super) const LEAST: (u64, u64) = (0, 40);

/// Whether a node of this version will do; `None` when it is no version of Kubo.
pub(super) fn will_do(version: &str) -> Option<bool> {
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().ok());
    let found = (numbers.next()??, numbers.next()??);
    Some(found >= LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_0_40_on() {
        for version in ["0.40.0", "0.40.0-rc1", "0.43.0", "0.100.1", "1.0.0"] {
            assert_eq!(will_do(version), Some(true), "{version}");
        }
        for version in ["0.39.9", "0.4.23"] {
            assert_eq!(will_do(version), Some(false), "{version}");
        }
        for version in ["", "0", "v0.43.0", "helia"] {
            assert_eq!(will_do(version), None, "{version}");
        }
    }
}

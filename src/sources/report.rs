//! What came from one source.

use serde::Serialize;

use crate::store::ErrorKind;

/// What came from one source. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its name.
    pub source: String,
    /// Objects it delivered.
    pub objects: u64,
    /// Bytes it delivered, as sent.
    pub bytes: u64,
    /// Bytes that it delivered in a second, while it was asked for any; `None` when it never was.
    pub bytes_per_second: Option<u64>,
    /// How often it failed.
    pub errors: u64,
    /// The same, by what failed.
    pub failures: Failures,
    /// How often it delivered wrong bytes.
    pub strikes: u64,
    /// The last failure, in one line.
    pub last_error: Option<String>,
    /// What lists and chunks of it cost, millionths of a US dollar, requests that failed included; `None` when it costs nothing.
    pub cost_micro_usd: Option<u64>,
    /// What heads, roots and manifests of it cost beside that, millionths of a US dollar; `None` when they cost nothing.
    pub metadata_micro_usd: Option<u64>,
}

/// How often a source failed, by what failed. Field names are a promise (docs/scripting.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// The connection was refused or broke, or there was no answer.
    pub network: u64,
    /// The source said that it is overloaded or broken for now.
    pub busy: u64,
    /// It was too slow, or another source was faster by far.
    pub slow: u64,
    /// It said that it has no such object.
    pub absent: u64,
    /// It refused.
    pub denied: u64,
    /// It answered with something else than an object, or with too much.
    pub answer: u64,
    /// A disk of this machine could not be read.
    pub disk: u64,
}

impl Failures {
    /// Each kind that happened, with how often.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let Self { network, busy, slow, absent, denied, answer, disk } = *self;
        let all = [
            ("network", network),
            ("busy", busy),
            ("slow", slow),
            ("absent", absent),
            ("denied", denied),
            ("answer", answer),
            ("disk", disk),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn count(&mut self, kind: ErrorKind) {
        *match kind {
            ErrorKind::Interrupted | ErrorKind::Unreachable => &mut self.network,
            ErrorKind::Unavailable { .. } => &mut self.busy,
            ErrorKind::TooSlow => &mut self.slow,
            ErrorKind::NotFound | ErrorKind::NoSuchStore => &mut self.absent,
            ErrorKind::Denied | ErrorKind::Credentials(_) => &mut self.denied,
            ErrorKind::TooLarge | ErrorKind::BadAnswer | ErrorKind::WrongBytes | ErrorKind::Conflict => &mut self.answer,
            ErrorKind::NoSpace | ErrorKind::Io => &mut self.disk,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_counts_in_one_place() {
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::Denied,
            ErrorKind::NoSuchStore,
            ErrorKind::Credentials(crate::types::CredentialFault::Expired),
            ErrorKind::TooLarge,
            ErrorKind::Interrupted,
            ErrorKind::TooSlow,
            ErrorKind::Unreachable,
            ErrorKind::Unavailable { retry_after: None },
            ErrorKind::BadAnswer,
            ErrorKind::WrongBytes,
            ErrorKind::Io,
        ];
        let mut failures = Failures::default();
        kinds.into_iter().for_each(|kind| failures.count(kind));
        let expected = [("network", 2), ("busy", 1), ("slow", 1), ("absent", 2), ("denied", 2), ("answer", 3), ("disk", 1)];
        assert_eq!(failures.named(), expected);
    }
}

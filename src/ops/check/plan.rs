//! What a check makes of what it found: one finding for each thing, each fine, a warning, critical or unknown. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::{
    format::head::Head,
    node::gate::{
        Report,
        plan::{Condition, Verdict},
    },
    types::Timestamp,
};

/// How well something is; the order is from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It cannot be told.
    Unknown,
    /// Somebody should look at it in working hours.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// One thing that was looked at. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// How well it is.
    pub state: State,
    /// What was found, in words.
    pub text: String,
}

impl Finding {
    pub(super) fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, text: text.into() }
    }
}

/// The worst of all.
#[must_use]
pub fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Unknown)
}

/// The node, as the gate of a publish would find it.
pub(super) fn of_node(report: &Report) -> Vec<Finding> {
    report.conditions.iter().map(of_condition).collect()
}

fn of_condition(condition: &Condition) -> Finding {
    let value = condition.value.as_deref().unwrap_or("not told");
    let (state, text) = match condition.verdict {
        Verdict::Met => (State::Ok, value.to_owned()),
        Verdict::Unknown => (State::Unknown, format!("{value}, wanted {}", condition.wanted)),
        // A node finds peers again by itself, more often than not.
        Verdict::NotMet if condition.name == "peers" => (State::Warning, format!("{value}, wanted {}", condition.wanted)),
        Verdict::NotMet => (State::Critical, format!("{value}, wanted {}", condition.wanted)),
    };
    Finding::new(condition.name, state, text)
}

/// What the stores show, and which of them do not.
pub(super) fn of_stores(head: Option<&Head>, behind: &[String], failures: &[String]) -> Finding {
    let told = |text: &str| [&[text.to_owned()], behind, failures].concat().join("; ");
    match head {
        None if failures.is_empty() => {
            Finding::new("head", State::Critical, told("no store has a head of the channel: nothing is published"))
        }
        None => Finding::new("head", State::Critical, told("no store shows a head of the channel")),
        Some(head) => {
            let state = if behind.is_empty() && failures.is_empty() { State::Ok } else { State::Warning };
            Finding::new("head", state, told(&format!("number {}", head.seq)))
        }
    }
}

// GC-15
/// How long the head is still valid. A living provider signs it again every day: before half of its life is over, somebody hears of it.
pub(super) fn of_expiry(head: &Head, now: Timestamp) -> Finding {
    let (life, left) = (seconds(head.issued, head.expires), seconds(now, head.expires));
    if left <= 0 {
        let text = format!("expired at {}: clients refuse it. The publisher is silent since {}", head.expires, head.issued);
        return Finding::new("head-expiry", State::Critical, text);
    }
    let state = match left.saturating_mul(100) / life.max(1) {
        0..=25 => State::Critical,
        26..=60 => State::Warning,
        _ => State::Ok,
    };
    let silent = if state == State::Ok { String::new() } else { format!(", signed last at {}", head.issued) };
    Finding::new("head-expiry", state, format!("valid for {}{silent}", span(left)))
}

/// How old the data are, however fresh the signature is.
pub(super) fn of_snapshot_age(head: &Head, most: Duration, now: Timestamp) -> Finding {
    let age = seconds(head.snapshot.taken_at, now);
    let state = if age > i64::try_from(most.as_secs()).unwrap_or(i64::MAX) { State::Warning } else { State::Ok };
    Finding::new("snapshot-age", state, format!("taken {} ago, wanted at most {}", span(age), span(most.as_secs() as i64)))
}

/// Room on the file system of the data directory.
pub(super) fn of_disk(free_bytes: u64, total_bytes: u64) -> Finding {
    let percent = free_bytes.saturating_mul(100) / total_bytes.max(1);
    let state = match percent {
        0..=4 => State::Critical,
        5..=9 => State::Warning,
        _ => State::Ok,
    };
    Finding::new("disk", state, format!("{percent} % free, {}", bytesize::ByteSize(free_bytes)))
}

/// How long a run may hold a node stopped before that alarms anybody.
const STOPPED_MOST_SECS: i64 = 900;

/// Whether a run has stopped the node and not started it again. `since`: seconds since 1970; 0 when the marker cannot be read.
pub(super) fn of_stopped(since: Option<f64>, now: Timestamp) -> Finding {
    let Some(since) = since else { return Finding::new("stopped", State::Ok, "no") };
    let age = now.as_second().saturating_sub(since as i64);
    let state = if age <= STOPPED_MOST_SECS { State::Warning } else { State::Critical };
    let when = Timestamp::from_second(since as i64).ok().filter(|_| since > 0.0);
    let when = when.map_or_else(|| "a time that its marker does not tell".to_owned(), |when| when.to_string());
    Finding::new("stopped", state, format!("node stopped since {when}; qsync thaw starts it"))
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

fn span(seconds: i64) -> String {
    let (seconds, hours) = (seconds.max(0), 3600);
    if seconds >= 48 * hours {
        format!("{} d", seconds / (24 * hours))
    } else if seconds >= 2 * hours {
        format!("{} h", seconds / hours)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::head::Newest, types::Hash};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    /// Signed at hour 0, valid for 100.
    fn head() -> Head {
        let snapshot = Newest {
            manifest: Hash::of(b"m"),
            manifest_bytes: 1,
            manifest_json_bytes: 1,
            height: Some(7),
            block_hash: None,
            genesis: None,
            taken_at: at(0),
            bytes: 1,
            frame_bytes: 1,
            engine: None,
            client: None,
            ipfs: None,
            min_qsync: None,
        };
        Head {
            repo: Hash::of(b"r"),
            root_version: 1,
            channel: "a/b".parse().unwrap(),
            seq: 4,
            issued: at(0),
            expires: at(100),
            window_hours: 72,
            snapshot,
            older: Vec::new(),
        }
    }

    // GC-15
    #[test]
    fn a_head_that_nobody_signs_again_is_told_of_before_half_of_its_life_is_over() {
        let state = |hour| of_expiry(&head(), at(hour)).state;
        assert_eq!([0, 24, 38].map(state), [State::Ok; 3]);
        assert_eq!([40, 49, 73].map(state), [State::Warning; 3]);
        assert_eq!([75, 99, 100, 1000].map(state), [State::Critical; 4]);
        let expired = of_expiry(&head(), at(101)).text;
        assert!(expired.contains("clients refuse it. The publisher is silent since 2027-01-15T08:00:00Z"), "{expired}");
    }

    #[test]
    fn the_age_of_the_data_is_another_thing() {
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(of_snapshot_age(&head(), day, at(24)).state, State::Ok);
        assert_eq!(
            of_snapshot_age(&head(), day, at(25)),
            Finding::new("snapshot-age", State::Warning, "taken 25 h ago, wanted at most 24 h")
        );
    }

    #[test]
    fn a_store_that_lags_or_fails_is_a_warning_and_no_head_at_all_is_critical() {
        let text = vec!["b: down".to_owned()];
        assert_eq!(of_stores(Some(&head()), &[], &[]), Finding::new("head", State::Ok, "number 4"));
        assert_eq!(of_stores(Some(&head()), &[], &text), Finding::new("head", State::Warning, "number 4; b: down"));
        assert_eq!(of_stores(Some(&head()), &text, &[]).state, State::Warning);
        assert_eq!((of_stores(None, &[], &[]).state, of_stores(None, &[], &text).state), (State::Critical, State::Critical));
    }

    #[test]
    fn disk_and_a_stopped_node_have_limits() {
        let disk = |free| of_disk(free, 1000).state;
        assert_eq!([100, 99, 50, 49, 0].map(disk), [State::Ok, State::Warning, State::Warning, State::Critical, State::Critical]);
        let now = at(0);
        let stopped = |seconds: i64| of_stopped(Some((now.as_second() - seconds) as f64), now).state;
        assert_eq!((of_stopped(None, now).state, stopped(900), stopped(901)), (State::Ok, State::Warning, State::Critical));
        let unread = of_stopped(Some(0.0), now);
        assert!(unread.state == State::Critical && unread.text.contains("does not tell"), "{unread:?}");
    }

    #[test]
    fn the_worst_counts_and_nothing_is_unknown() {
        let of = |states: &[State]| worst(&states.iter().map(|state| Finding::new("x", *state, "")).collect::<Vec<_>>());
        assert_eq!(of(&[State::Ok, State::Unknown]), State::Unknown);
        assert_eq!(of(&[State::Unknown, State::Warning, State::Ok]), State::Warning);
        assert_eq!(of(&[State::Critical, State::Warning]), State::Critical);
        assert_eq!(of(&[]), State::Unknown);
    }
}

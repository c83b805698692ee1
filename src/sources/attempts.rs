//! What was tried for one object.

use std::{collections::BTreeMap, time::Duration};

use super::source::Source;

/// A wrong body is asked for once more at the same source (a bad cache may heal), then no more.
const WRONG_BODIES_ALLOWED: u32 = 2;
/// "Absent" is believed at once from all but a cache that may still hold an old answer: it is asked for twice.
const ABSENT_ANSWERS_ALLOWED: u32 = 2;

/// A disk of this machine that cannot read an object is asked a few times more: it may only have run out of file handles.
const UNREADABLE_ANSWERS_ALLOWED: u32 = 5;

/// What each source did when asked for one object.
#[derive(Debug, Default)]
pub struct Attempts {
    by_source: BTreeMap<usize, Tries>,
    pause: Duration,
    total: u64,
}

#[derive(Debug, Default)]
struct Tries {
    asked_this_round: bool,
    wrong: u32,
    absent: u32,
    unreadable: u32,
}

impl Tries {
    fn are_hopeless(&self) -> bool {
        self.wrong >= WRONG_BODIES_ALLOWED || self.absent >= ABSENT_ANSWERS_ALLOWED || self.unreadable >= UNREADABLE_ANSWERS_ALLOWED
    }
}

impl Attempts {
    /// How often a source was asked beyond the first time, since this was asked last.
    pub fn take_retries(&mut self) -> u64 {
        let retries = self.total.saturating_sub(1);
        self.total = self.total.min(1);
        retries
    }

    pub(super) fn may_ask(&self, source: usize) -> bool {
        self.by_source.get(&source).is_none_or(|tries| !tries.asked_this_round) && !self.is_hopeless(source)
    }

    pub(super) fn is_hopeless(&self, source: usize) -> bool {
        self.by_source.get(&source).is_some_and(Tries::are_hopeless)
    }

    pub(super) fn any_wrong(&self) -> bool {
        self.by_source.values().any(|tries| tries.wrong > 0)
    }

    pub(super) fn asked(&mut self, source: usize) {
        self.total += 1;
        self.by_source.entry(source).or_default().asked_this_round = true;
    }

    pub(super) fn wrong(&mut self, source: usize) {
        self.by_source.entry(source).or_default().wrong += 1;
    }

    pub(super) fn missing(&mut self, source: usize) {
        self.by_source.entry(source).or_default().absent += 1;
    }

    pub(super) fn unreadable(&mut self, source: usize) {
        self.by_source.entry(source).or_default().unreadable += 1;
    }

    pub(super) fn wait_for(&mut self, asked_for: Option<Duration>) {
        self.pause = self.pause.max(asked_for.unwrap_or_default());
    }

    /// The pause before the next round: the engine's own, or what a source asked for if that is longer.
    pub(super) fn at_least(&self, pause: Duration) -> Duration {
        self.pause.max(pause)
    }

    pub(super) fn begin_round(&mut self) {
        self.pause = Duration::ZERO;
        for tries in self.by_source.values_mut() {
            tries.asked_this_round = false;
        }
    }

    pub(super) fn describe(&self, index: usize, source: &Source) -> String {
        let last = || source.report().last_error.unwrap_or_else(|| "no answer".to_owned());
        match self.by_source.get(&index) {
            None if source.dropped() => "dropped after too many wrong bytes".to_owned(),
            None => "not asked".to_owned(),
            Some(tries) if tries.wrong > 0 => format!("wrong bytes {} times ({})", tries.wrong, last()),
            Some(tries) if tries.absent > 0 => "has no such object, or does not show it to us".to_owned(),
            Some(_) => last(),
        }
    }
}

//! What was tried for one object.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::source::Source;
use crate::{
    store::ReadStore as _,
    types::{CredentialFault, ObjectKey},
};

/// A wrong body is asked for once more at the same source (a bad cache may heal), then no more.
const WRONG_BODIES_ALLOWED: u32 = 2;
/// A disk of this machine that cannot read an object is asked a few times more: it may only have run out of file handles.
const UNREADABLE_ANSWERS_ALLOWED: u32 = 5;
/// Who answered so often with something else than the object is not waited for when all others say that they lack it.
const BAD_ANSWERS_WAITED_FOR: u32 = 5;

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
    absent: Absent,
    unreadable: u32,
    bad_answers: u32,
    /// Why the source does not believe who we are.
    refused: Option<CredentialFault>,
}

/// Whether a source has the object at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Absent {
    /// It did not say that it lacks it.
    #[default]
    No,
    /// It said so, but may have remembered an old answer: it is asked again at that time.
    AskAgainAt(Instant),
    /// It said so, and is believed.
    Yes,
}

/// Why an object cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worst {
    /// Somebody delivers it, wrongly.
    Wrong,
    /// Somebody has it and cannot read it.
    Unreadable,
    /// Somebody may have it and does not believe who we are.
    Refused(CredentialFault),
    /// Nobody has it.
    Absent,
}

impl Tries {
    fn are_hopeless(&self) -> bool {
        self.wrong >= WRONG_BODIES_ALLOWED
            || self.absent == Absent::Yes
            || self.unreadable >= UNREADABLE_ANSWERS_ALLOWED
            || self.refused.is_some()
    }

    /// When it makes sense to ask again, if not now.
    fn wait_until(&self, now: Instant) -> Option<Instant> {
        match self.absent {
            Absent::AskAgainAt(time) => Some(time).filter(|time| *time > now),
            Absent::No | Absent::Yes => None,
        }
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
        let now = Instant::now();
        let worth_it = |tries: &Tries| !tries.asked_this_round && !tries.are_hopeless() && tries.wait_until(now).is_none();
        self.by_source.get(&source).is_none_or(worth_it)
    }

    /// When the first of `sources` can be asked again, if all of them said a moment ago that they lack the object.
    pub(super) fn all_wait_until(&self, sources: impl Iterator<Item = usize>) -> Option<Instant> {
        let now = Instant::now();
        let times: Option<Vec<Instant>> = sources.map(|source| self.by_source.get(&source)?.wait_until(now)).collect();
        times?.into_iter().min()
    }

    pub(super) fn is_hopeless(&self, source: usize) -> bool {
        self.by_source.get(&source).is_some_and(Tries::are_hopeless)
    }

    /// Why no source can deliver the object, when all are hopeless: what may be healed elsewhere outweighs that others lack it.
    pub(super) fn worst(&self) -> Worst {
        let any = |is: fn(&Tries) -> bool| self.by_source.values().any(is);
        if any(|tries| tries.wrong > 0) {
            Worst::Wrong
        } else if any(|tries| tries.unreadable > 0 && tries.absent != Absent::Yes) {
            Worst::Unreadable
        } else {
            self.by_source.values().find_map(|tries| tries.refused).map_or(Worst::Absent, Worst::Refused)
        }
    }

    pub(super) fn asked(&mut self, source: usize) {
        self.total += 1;
        self.by_source.entry(source).or_default().asked_this_round = true;
    }

    pub(super) fn wrong(&mut self, source: usize) {
        self.by_source.entry(source).or_default().wrong += 1;
    }

    /// Notes that a source says it has no such object. It is believed the second time, or at once when no cache on the way can
    /// remember an answer from before the object was there: `remembered` says for how long one can.
    pub(super) fn missing(&mut self, source: usize, remembered: Duration) {
        let tries = self.by_source.entry(source).or_default();
        tries.absent = match tries.absent {
            Absent::No if remembered > Duration::ZERO => Absent::AskAgainAt(Instant::now() + remembered),
            Absent::No | Absent::AskAgainAt(_) | Absent::Yes => Absent::Yes,
        };
    }

    pub(super) fn refused(&mut self, source: usize, fault: CredentialFault) {
        self.by_source.entry(source).or_default().refused = Some(fault);
    }

    pub(super) fn unreadable(&mut self, source: usize) {
        self.by_source.entry(source).or_default().unreadable += 1;
    }

    pub(super) fn wait_for(&mut self, asked_for: Option<Duration>) {
        self.pause = self.pause.max(asked_for.unwrap_or_default());
    }

    /// The pause before the next round for whoever has one source only: the engine's own, or what that source asked for if it is longer.
    pub(super) fn at_least(&self, pause: Duration) -> Duration {
        self.pause.max(pause)
    }

    pub(super) fn bad_answer(&mut self, source: usize) {
        self.by_source.entry(source).or_default().bad_answers += 1;
    }

    /// Whether all of `left`, the sources that may still deliver the object, only ever answer with something else.
    pub(super) fn only_bad_answers(&self, mut left: impl Iterator<Item = usize>) -> bool {
        let is_bad = |source| self.by_source.get(&source).is_some_and(|tries| tries.bad_answers >= BAD_ANSWERS_WAITED_FOR);
        let others_lack_it = self.by_source.values().any(|tries| tries.absent == Absent::Yes);
        others_lack_it && left.all(is_bad)
    }

    /// Whether one of these sources was asked in this round already, and could be asked in another.
    pub(super) fn was_asked(&self, mut sources: impl Iterator<Item = usize>) -> bool {
        sources.any(|source| self.by_source.get(&source).is_some_and(|tries| tries.asked_this_round))
    }

    /// Lets every source be asked again in this round but those that are being asked.
    pub(super) fn allow_again_all_but(&mut self, asked: &[usize]) {
        for (_, tries) in self.by_source.iter_mut().filter(|(source, _)| !asked.contains(source)) {
            tries.asked_this_round = false;
        }
    }

    pub(super) fn begin_round(&mut self) {
        self.pause = Duration::ZERO;
        for tries in self.by_source.values_mut() {
            tries.asked_this_round = false;
        }
    }

    /// What a source did when it was asked; `None` when it was not.
    pub(super) fn describe(&self, index: usize, source: &Source, object: &ObjectKey) -> Option<String> {
        let tries = self.by_source.get(&index)?;
        let last = source.report().last_error.unwrap_or_else(|| "no answer".to_owned());
        Some(match tries {
            Tries { wrong: 1.., .. } => format!("wrong bytes {} times ({last})", tries.wrong),
            Tries { absent: Absent::Yes | Absent::AskAgainAt(_), .. } => match source.store().address(object) {
                None => "has no such object, or does not show it to us".to_owned(),
                Some(address) => format!("has no {address}, or does not show it to us"),
            },
            Tries { .. } => last,
        })
    }
}

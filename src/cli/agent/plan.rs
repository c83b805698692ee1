//! When what is due. Pure.

use std::{cmp::Reverse, str::FromStr, time::Duration};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, tz::TimeZone};
use serde::Deserialize;

use crate::types::{ChannelName, Hash, Timestamp};

/// How often nodes that an interrupted run left stopped are looked for.
pub(crate) const THAW_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// How old a head may get before it is signed again.
pub(crate) const REFRESH_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How long after a refresh that failed the next is tried.
pub(crate) const REFRESH_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How long after a publish that may succeed later the next is tried, if the schedule does not come first.
pub(crate) const PUBLISH_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// Exit codes of such a publish: another qsync was at work, or the network failed.
const WORTH_RETRYING: [i32; 2] = [11, 16];

/// Five fields of cron.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Schedule(Cron);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &dyn std::fmt::Display| format!("not a schedule of five fields such as \"0 3 * * *\": {text:?}: {why}");
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|e| refuse(&e))?;
        // A day that never comes, such as 30 February, is found out now and not at night.
        cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false).map_err(|_| refuse(&"that time never comes"))?;
        Ok(Self(cron))
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A name of the time zone database, for example `Europe/Sofia`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Zone(pub(crate) TimeZone);

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        TimeZone::get(&text).map(Self).map_err(|e| e.to_string())
    }
}

/// A channel that is published on a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The channel.
    pub(crate) channel: ChannelName,
    /// When it is published.
    pub(crate) schedule: Schedule,
    /// In which time zone.
    pub(crate) zone: TimeZone,
    /// The most that a run is put off, so that not all machines come at once.
    pub(crate) jitter: Duration,
}

/// What is known of a job's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// When the schedule was first seen: earlier times were not missed.
    pub(crate) known_since: Timestamp,
    /// When the last publish began.
    pub(crate) published: Option<Timestamp>,
    /// How it ended.
    pub(crate) exit: Option<i32>,
    /// When the head was last signed.
    pub(crate) signed: Option<Timestamp>,
    /// When signing it again was last tried.
    pub(crate) tried_to_sign: Option<Timestamp>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Start nodes that an interrupted run left stopped.
    Thaw,
    /// Publish the channel.
    Publish(ChannelName),
    /// Sign its head again.
    Refresh(ChannelName),
}

/// The task that comes next, and when: the earliest; of several that are due, the one that brings nodes back, then a publish.
///
/// A clock that went back leaves nothing waiting for the time that it showed before: what lies in the future counts as now. Any number of
/// missed runs is one run.
pub(crate) fn next(jobs: &[(Job, Past)], thawed: Option<Timestamp>, now: Timestamp) -> (Timestamp, Task) {
    let thaw = (after(thawed, THAW_EVERY, now), Task::Thaw);
    let publish = jobs.iter().map(|(job, past)| (publish_at(job, past, now), Task::Publish(job.channel.clone())));
    let refresh = jobs.iter().map(|(job, past)| (refresh_at(past, now), Task::Refresh(job.channel.clone())));
    let all = std::iter::once(thaw).chain(publish).chain(refresh);
    all.min_by_key(|(at, task)| ((*at).max(now), Reverse(urgency(task)))).expect("there is always the thaw")
}

fn urgency(task: &Task) -> u8 {
    match task {
        Task::Thaw => 2,
        Task::Publish(_) => 1,
        Task::Refresh(_) => 0,
    }
}

/// So long after the last time; now if there was none.
fn after(last: Option<Timestamp>, pause: SignedDuration, now: Timestamp) -> Timestamp {
    last.map_or(now, |last| later(last.min(now), pause))
}

/// When a job's channel is to be published.
pub(crate) fn publish_at(job: &Job, past: &Past, now: Timestamp) -> Timestamp {
    let since = past.published.unwrap_or(past.known_since).min(now);
    let scheduled = occurrence_after(job, since);
    let retried = past.exit.is_some_and(|exit| WORTH_RETRYING.contains(&exit)).then(|| later(since, PUBLISH_AGAIN));
    retried.map_or(scheduled, |retried| retried.min(scheduled))
}

/// The first scheduled time after `since`, put off by this job's share of the jitter.
fn occurrence_after(job: &Job, since: Timestamp) -> Timestamp {
    // What was put off belongs to the time it was scheduled for: a run that began within the jitter has served it.
    let next = job.schedule.0.find_next_occurrence(&since.to_zoned(job.zone.clone()), false);
    next.map_or(Timestamp::MAX, |next| later(next.timestamp(), put_off(job)))
}

/// Always the same for a channel on a schedule, so that a restart does not draw again.
fn put_off(job: &Job) -> SignedDuration {
    let millis = u64::try_from(job.jitter.as_millis()).unwrap_or(u64::MAX);
    let drawn = Hash::of(job.channel.as_str().as_bytes());
    let number = u64::from_le_bytes(drawn.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
    let part = u128::from(millis) * u128::from(number) / (u128::from(u64::MAX) + 1);
    SignedDuration::from_millis(i64::try_from(part).unwrap_or(i64::MAX))
}

fn refresh_at(past: &Past, now: Timestamp) -> Timestamp {
    let due = later(past.signed.unwrap_or(past.known_since).min(now), REFRESH_EVERY);
    past.tried_to_sign.map_or(due, |tried| due.max(later(tried.min(now), REFRESH_AGAIN)))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn job(schedule: &str, zone: &str, jitter: Duration) -> Job {
        let zone = TimeZone::get(zone).unwrap();
        Job { channel: "kusama/pruned".parse().unwrap(), schedule: schedule.parse().unwrap(), zone, jitter }
    }

    fn daily() -> Job {
        job("0 3 * * *", "UTC", Duration::ZERO)
    }

    fn known_since(text: &str) -> Past {
        Past { known_since: at(text), ..Past::default() }
    }

    #[test]
    fn a_schedule_has_five_fields_and_comes_some_time() {
        for good in ["0 3 * * *", "*/5 * * * *", "0 3 * * MON", "0 0 29 2 *"] {
            assert!(good.parse::<Schedule>().is_ok(), "{good}");
        }
        for bad in ["", "0 3 * *", "0 0 3 * * *", "61 3 * * *", "daily", "0 0 30 2 *"] {
            assert!(bad.parse::<Schedule>().unwrap_err().contains("five fields"), "{bad}");
        }
    }

    #[test]
    fn a_publish_is_due_at_the_next_scheduled_time_after_the_last_began() {
        let now = at("2026-11-20T12:00:00Z");
        let past = known_since("2026-11-20T10:00:00Z");
        assert_eq!(publish_at(&daily(), &past, now), at("2026-11-21T03:00:00Z"));
        let ran = Past { published: Some(at("2026-11-20T03:00:02Z")), exit: Some(0), ..past };
        assert_eq!(publish_at(&daily(), &ran, now), at("2026-11-21T03:00:00Z"));
    }

    #[test]
    fn any_number_of_missed_runs_is_one_run() {
        let now = at("2026-11-20T12:00:00Z");
        let past = Past { published: Some(at("2026-11-10T03:00:00Z")), ..known_since("2026-11-01T00:00:00Z") };
        assert!(publish_at(&daily(), &past, now) < now);
        let ran = Past { published: Some(now), ..past };
        assert_eq!(publish_at(&daily(), &ran, now), at("2026-11-21T03:00:00Z"));
    }

    #[test]
    fn a_day_of_23_or_25_hours_has_its_run_once() {
        let job = job("30 2 * * *", "Europe/Berlin", Duration::ZERO);
        let runs = |from: &str, days: usize| {
            let mut since = at(from);
            let step = |_| {
                since = publish_at(&job, &Past { known_since: since, ..Past::default() }, Timestamp::MAX);
                since
            };
            (0..days).map(step).collect::<Vec<_>>()
        };
        // 29 March 2026: 02:30 does not exist. 25 October 2026: it comes twice.
        let spring = runs("2026-03-28T12:00:00Z", 2);
        assert!(spring[0] >= at("2026-03-29T00:00:00Z") && spring[0] <= at("2026-03-29T01:30:00Z"), "{spring:?}");
        assert_eq!(spring[1], at("2026-03-30T00:30:00Z"));
        let autumn = runs("2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn, [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
    }

    #[test]
    fn a_clock_that_went_back_leaves_nothing_waiting_for_the_time_it_showed() {
        let now = at("2026-11-20T12:00:00Z");
        let future = at("2030-01-01T00:00:00Z");
        let past =
            Past { published: Some(future), signed: Some(future), tried_to_sign: Some(future), ..known_since("2030-01-01T00:00:00Z") };
        assert_eq!(publish_at(&daily(), &past, now), at("2026-11-21T03:00:00Z"));
        assert_eq!(refresh_at(&past, now), at("2026-11-21T12:00:00Z"));
        assert_eq!(after(Some(future), THAW_EVERY, now), at("2026-11-20T12:05:00Z"));
    }

    #[test]
    fn what_may_succeed_later_is_tried_again_before_the_next_scheduled_time() {
        let now = at("2026-11-20T03:00:10Z");
        let ended = |exit| Past { published: Some(at("2026-11-20T03:00:00Z")), exit: Some(exit), ..known_since("2026-11-01T00:00:00Z") };
        for (exit, due) in [(16, "2026-11-20T03:10:00Z"), (11, "2026-11-20T03:10:00Z"), (18, "2026-11-21T03:00:00Z")] {
            assert_eq!(publish_at(&daily(), &ended(exit), now), at(due), "{exit}");
        }
        let often = job("* * * * *", "UTC", Duration::ZERO);
        assert_eq!(publish_at(&often, &ended(16), now), at("2026-11-20T03:01:00Z"));
    }

    #[test]
    fn a_head_is_signed_again_a_day_after_it_was_signed_and_an_hour_after_that_failed() {
        let now = at("2026-11-20T12:00:00Z");
        let past = Past { signed: Some(at("2026-11-19T13:00:00Z")), ..known_since("2026-11-01T00:00:00Z") };
        assert_eq!(refresh_at(&past, now), at("2026-11-20T13:00:00Z"));
        let failed = Past { signed: Some(at("2026-11-19T11:00:00Z")), tried_to_sign: Some(at("2026-11-20T11:30:00Z")), ..past };
        assert_eq!(refresh_at(&failed, now), at("2026-11-20T12:30:00Z"));
    }

    #[test]
    fn nodes_come_back_first_then_a_publish_then_a_refresh() {
        let now = at("2026-11-20T12:00:00Z");
        let late = Past {
            published: Some(at("2026-11-01T00:00:00Z")),
            signed: Some(at("2026-11-01T00:00:00Z")),
            ..known_since("2026-11-01T00:00:00Z")
        };
        let jobs = [(daily(), late.clone())];
        assert_eq!(next(&jobs, None, now).1, Task::Thaw);
        assert_eq!(next(&jobs, Some(now), now).1, Task::Publish(daily().channel));
        let published = [(daily(), Past { published: Some(now), ..late })];
        assert_eq!(next(&published, Some(now), now).1, Task::Refresh(daily().channel));
        assert_eq!(next(&[], Some(now), now), (at("2026-11-20T12:05:00Z"), Task::Thaw));
    }

    #[test]
    fn a_run_is_put_off_by_less_than_the_jitter_and_always_as_much() {
        let jittered = job("0 3 * * *", "UTC", Duration::from_secs(600));
        let (past, now) = (known_since("2026-11-20T10:00:00Z"), at("2026-11-20T12:00:00Z"));
        let due = publish_at(&jittered, &past, now);
        assert!(due > at("2026-11-21T03:00:00Z") && due < at("2026-11-21T03:10:00Z"), "{due}");
        assert_eq!(publish_at(&jittered, &past, now), due);
        // It began when it was due: the next is tomorrow's.
        let ran = Past { published: Some(due), ..past };
        assert_eq!(publish_at(&jittered, &ran, due), later(due, SignedDuration::from_hours(24)));
    }
}

//! A unit of systemd.

use std::{fs::File, time::Duration};

use super::{ASK, State, Stop, argv};
use crate::node::{
    Error,
    call::{Call, Late, Listen},
};

/// What `systemctl show` says of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    active: String,
    result: String,
    /// `None` when it never kills.
    pub(super) kills_after: Option<Duration>,
}

pub(super) fn show(unit: &str) -> Result<Shown, Error> {
    let argv = argv(&["systemctl", "show", "--no-pager", "-p", "LoadState,ActiveState,Result,TimeoutStopUSec", "--", unit]);
    let text = Call::ask(&argv, ASK).succeed()?;
    parse(&text).map_err(|why| Error::Answer { what: argv.join(" "), why })
}

fn parse(text: &str) -> Result<Shown, String> {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(str::trim).ok_or_else(|| format!("it has no {key}"))
    };
    match value("LoadState")? {
        "loaded" => {}
        other => return Err(format!("the unit is {other}, not loaded")),
    }
    let time = value("TimeoutStopUSec")?;
    let kills_after = match time {
        "infinity" => None,
        time => Some(humantime::parse_duration(time).map_err(|_| format!("TimeoutStopUSec is {time:?}"))?),
    };
    Ok(Shown { active: value("ActiveState")?.to_owned(), result: value("Result")?.to_owned(), kills_after })
}

impl Shown {
    pub(super) fn state(&self) -> State {
        match self.active.as_str() {
            "deactivating" => State::Stopping,
            "inactive" | "failed" => State::Stopped,
            // A unit that is started again and again is one that somebody wants to run.
            "active" | "activating" | "reloading" | "refreshing" => State::Running,
            _ => State::Unknown,
        }
    }

    /// systemd forgets units that are at rest, but for those that failed: one that never ran looks like one that stopped well.
    pub(super) fn last_stop(&self) -> Stop {
        if self.active == "inactive" && self.result == "success" {
            Stop::Clean
        } else {
            Stop::Unclean(format!("systemd says ActiveState={} and Result={}", self.active, self.result))
        }
    }
}

pub(super) fn stop(unit: &str, limit: Duration, held: Option<File>) -> Result<Stop, Error> {
    let argv = argv(&["systemctl", "stop", "--", unit]);
    Call { argv: &argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: held }.succeed()?;
    Ok(show(unit)?.last_stop())
}

/// A start while the unit stops is queued behind the stop by systemd itself.
pub(super) fn start(unit: &str, limit: Duration, again: bool) -> Result<(), Error> {
    if again {
        // A unit that failed too often in a row is not started before it is told to forget that.
        let _best_effort = Call::ask(&argv(&["systemctl", "reset-failed", "--", unit]), ASK).run();
    }
    let argv = argv(&["systemctl", "start", "--", unit]);
    Call { argv: &argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: None }.succeed().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(active: &str, result: &str, time: &str) -> Result<Shown, String> {
        parse(&format!("Result={result}\nLoadState=loaded\nActiveState={active}\nTimeoutStopUSec={time}\n"))
    }

    #[test]
    fn only_an_inactive_unit_with_a_good_result_stopped_cleanly() {
        assert_eq!(shown("inactive", "success", "1min 30s").unwrap().last_stop(), Stop::Clean);
        for (active, result) in [("failed", "timeout"), ("failed", "signal"), ("inactive", "oom-kill"), ("deactivating", "success")] {
            assert!(matches!(shown(active, result, "15min").unwrap().last_stop(), Stop::Unclean(_)), "{active} {result}");
        }
    }

    #[test]
    fn states_and_times_are_read_as_systemd_prints_them() {
        let state = |active| shown(active, "success", "15min").unwrap().state();
        assert_eq!((state("active"), state("activating"), state("reloading")), (State::Running, State::Running, State::Running));
        assert_eq!((state("deactivating"), state("inactive"), state("failed")), (State::Stopping, State::Stopped, State::Stopped));
        assert_eq!(state("maintenance"), State::Unknown);
        let kills = |time| shown("active", "success", time).map(|shown| shown.kills_after);
        assert_eq!(kills("1min 30s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!((kills("infinity"), kills("1h 5min 500ms")), (Ok(None), Ok(Some(Duration::from_millis(3_900_500)))));
        assert!(kills("soon").is_err());
        assert!(parse("LoadState=not-found\nActiveState=inactive\n").unwrap_err().contains("not-found"));
    }
}

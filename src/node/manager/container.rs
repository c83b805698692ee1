//! A container of Docker, Podman, or another engine with their command line.

use std::{fs::File, time::Duration};

use serde::Deserialize;

use super::{ASK, State, Stop, argv};
use crate::node::{
    Error,
    call::{Call, Late, Listen},
};

/// What an engine gives a container that asks for nothing, before it kills it.
const DEFAULT_KILL: Duration = Duration::from_secs(10);
/// Exit codes of a program that ended by itself when it was asked: its own good end, and what SIGINT and SIGTERM make of one that does not
/// handle them. 137 is a kill, 134 and 139 are crashes.
const ASKED: [i64; 3] = [0, 130, 143];

/// What `inspect` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Inspected {
    #[serde(rename = "State")]
    state: InspectedState,
    #[serde(rename = "Config", default)]
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    running: bool,
    #[serde(default)]
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    stop_timeout: Option<i64>,
}

/// A container as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    state: State,
    exit_code: i64,
    oom_killed: bool,
    pub(super) kills_after: Duration,
}

pub(super) fn inspect(engine: &str, name: &str) -> Result<Container, Error> {
    let argv = argv(&[engine, "container", "inspect", name]);
    let text = Call::ask(&argv, ASK).succeed()?;
    parse(&text).map_err(|why| Error::Answer { what: argv.join(" "), why })
}

fn parse(text: &str) -> Result<Container, String> {
    let mut all: Vec<Inspected> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let (Some(found), true) = (all.pop(), all.is_empty()) else { return Err("it is not of one container".to_owned()) };
    let state = match (found.state.running, found.state.status.as_str()) {
        (_, "stopping" | "removing") => State::Stopping,
        (true, _) | (_, "restarting") => State::Running,
        (false, _) => State::Stopped,
    };
    // A negative time is "never" to Docker: as good as any.
    let kills_after = found.config.stop_timeout.map_or(DEFAULT_KILL, |s| u64::try_from(s).map_or(Duration::MAX, Duration::from_secs));
    Ok(Container { state, exit_code: found.state.exit_code, oom_killed: found.state.oom_killed, kills_after })
}

impl Container {
    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn last_stop(&self) -> Stop {
        match (self.state, self.exit_code, self.oom_killed) {
            (State::Stopped, code, false) if ASKED.contains(&code) => Stop::Clean,
            (State::Stopped, code, true) => Stop::Unclean(format!("it was killed for want of memory, exit code {code}")),
            (State::Stopped, code, false) => Stop::Unclean(format!("it was killed or failed, exit code {code}")),
            (State::Running | State::Stopping | State::Unknown, ..) => Stop::Unclean("the container runs".to_owned()),
        }
    }
}

pub(super) fn stop(engine: &str, name: &str, limit: Duration, held: Option<File>) -> Result<Stop, Error> {
    let argv = argv(&[engine, "stop", name]);
    Call { argv: &argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: held }.succeed()?;
    Ok(inspect(engine, name)?.last_stop())
}

pub(super) fn start(engine: &str, name: &str, limit: Duration) -> Result<(), Error> {
    let argv = argv(&[engine, "start", name]);
    Call { argv: &argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: None }.succeed().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: &str, config: &str) -> Container {
        parse(&format!(r#"[{{"Id":"x","State":{state},"Config":{config}}}]"#)).unwrap()
    }

    #[test]
    fn a_container_that_was_killed_did_not_stop_cleanly() {
        let last = |state: &str| container(state, "{}").last_stop();
        assert_eq!(last(r#"{"Running":false,"Status":"exited","ExitCode":0}"#), Stop::Clean);
        assert_eq!(last(r#"{"Running":false,"Status":"exited","ExitCode":143}"#), Stop::Clean);
        assert!(matches!(last(r#"{"Running":false,"ExitCode":137}"#), Stop::Unclean(why) if why.contains("137")));
        assert!(matches!(last(r#"{"Running":false,"ExitCode":1,"OOMKilled":true}"#), Stop::Unclean(_)));
        for code in [1, 134, 139, 255] {
            assert!(matches!(last(&format!(r#"{{"Running":false,"ExitCode":{code}}}"#)), Stop::Unclean(_)), "{code}");
        }
        assert!(matches!(last(r#"{"Running":true,"ExitCode":0}"#), Stop::Unclean(_)));
    }

    #[test]
    fn the_time_to_the_kill_is_ten_seconds_unless_it_is_said() {
        let kills = |config| container(r#"{"Running":true}"#, config).kills_after;
        assert_eq!(kills("{}"), DEFAULT_KILL);
        assert_eq!(kills(r#"{"StopTimeout":null}"#), DEFAULT_KILL);
        assert_eq!(kills(r#"{"StopTimeout":900}"#), Duration::from_secs(900));
        assert_eq!(kills(r#"{"StopTimeout":-1}"#), Duration::MAX);
    }

    #[test]
    fn states_are_those_of_the_engines() {
        let state = |text: &str| container(text, "{}").state();
        assert_eq!(state(r#"{"Running":true,"Status":"running"}"#), State::Running);
        assert_eq!(state(r#"{"Running":true,"Status":"stopping"}"#), State::Stopping);
        assert_eq!(state(r#"{"Running":false,"Status":"created"}"#), State::Stopped);
        assert!(parse("[]").is_err() && parse("<html>").is_err());
    }
}

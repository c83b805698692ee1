//! Commands of the operator.

use std::{fs::File, time::Duration};

use super::{ASK, State, Stop};
use crate::node::{
    Error,
    call::{Call, Late, Listen},
};

pub(super) fn state(status: Option<&[String]>) -> Result<State, Error> {
    let Some(argv) = status else { return Ok(State::Unknown) };
    let ended = Call { listen: Listen::No, ..Call::ask(argv, ASK) }.run()?;
    match ended.status.code() {
        Some(0) => Ok(State::Running),
        // A shell that has no such command, or may not run it, and a program that was killed say nothing of the node.
        Some(126 | 127) | None => Err(Error::Failed { what: argv.join(" "), how: ended.how() }),
        Some(_) => Ok(State::Stopped),
    }
}

/// The command is the node's own way to stop; what it says with its exit status is the proof.
pub(super) fn stop(argv: &[String], limit: Duration, held: Option<File>) -> Result<Stop, Error> {
    let ended = Call { argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: held }.run()?;
    Ok(if ended.status.success() { Stop::Clean } else { Stop::Unclean(format!("{}: {}", argv.join(" "), ended.how())) })
}

pub(super) fn start(argv: &[String], limit: Duration) -> Result<(), Error> {
    Call { argv, limit, late: Late::Leave, listen: Listen::No, stdin: None }.succeed().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_could_not_be_asked_is_not_that_of_a_stopped_node() {
        let state = |script: &str| state(Some(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]));
        assert_eq!((state("exit 0").unwrap(), state("exit 3").unwrap()), (State::Running, State::Stopped));
        for script in ["exit 127", "exit 126", "no-such-program-of-qsync", "kill -9 $$"] {
            assert!(matches!(state(script), Err(Error::Failed { .. })), "{script}");
        }
        assert_eq!(super::state(None).unwrap(), State::Unknown);
    }
}

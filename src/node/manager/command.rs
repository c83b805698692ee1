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
    Ok(if ended.status.success() { State::Running } else { State::Stopped })
}

/// The command is the node's own way to stop; what it says with its exit status is the proof.
pub(super) fn stop(argv: &[String], limit: Duration, held: Option<File>) -> Result<Stop, Error> {
    let ended = Call { argv, limit, late: Late::Leave, listen: Listen::Yes, stdin: held }.run()?;
    Ok(if ended.status.success() { Stop::Clean } else { Stop::Unclean(format!("{}: {}", argv.join(" "), ended.how())) })
}

pub(super) fn start(argv: &[String], limit: Duration) -> Result<(), Error> {
    Call { argv, limit, late: Late::Leave, listen: Listen::No, stdin: None }.succeed().map(drop)
}

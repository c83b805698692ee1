//! One command of the agent: qsync itself in a process of its own, so that whatever becomes of a publish, the agent lives.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::progress::Stop;

/// This program, also after its file was replaced by a new release.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// How long a command that was asked to stop may take: a node may have to be started again first.
const GRACE: Duration = Duration::from_secs(15 * 60);

/// Runs `qsync` with these words to its end and gives back its exit code; one that a signal ended has 128 and the signal's number.
/// When the agent is asked to stop, so is the command, and it is waited for.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn run(words: impl IntoIterator<Item = OsString>, stop: &Stop) -> io::Result<i32> {
    // What puts the agent itself off is not for its commands. A group of its own: ^C on a terminal reaches the agent alone, which passes it on once.
    let mut child =
        Command::new(OWN_PROGRAM).arg0("qsync").args(words).env_remove("QSYNC_JITTER").stdin(Stdio::null()).process_group(0).spawn()?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = stop.wait() => {
            ask_to_stop(&child);
            match tokio::time::timeout(GRACE, child.wait()).await {
                Ok(status) => status?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    };
    Ok(std::os::unix::process::ExitStatusExt::signal(&status).map_or_else(|| status.code().unwrap_or(1), |signal| 128 + signal))
}

fn ask_to_stop(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself just now.
        let _gone = kill_process(pid, Signal::TERM);
    }
}

//! Runs the qsync command as a process of its own: this very program, which then hands over to the command line.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
};

use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::Value;

use crate::Outcome;

/// First argument that makes this program the qsync command.
pub(crate) const AS_QSYNC: &str = "as-qsync";

/// Hands the remaining arguments to the command line of qsync. It does not outlive the demo, however that ends.
pub(crate) fn run_as_qsync() -> ExitCode {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("this command may outlive the demo: {error}");
    }
    qsync::cli::main(std::env::args_os().enumerate().filter(|(index, _)| *index != 1).map(|(_, word)| word))
}

/// The command with a state directory of its own, as on a machine of its own.
pub(crate) struct Qsync {
    state_dir: PathBuf,
}

/// A running `qsync serve`; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Qsync {
    /// The command on a machine whose state lies in `state_dir`.
    pub(crate) fn with_state(state_dir: PathBuf) -> Self {
        Self { state_dir }
    }

    /// Runs a command to its end and gives its summary.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome<Value> {
        let (mut child, lines) = self.start(arguments)?;
        let mut last = Value::Null;
        for line in lines.lines() {
            last = serde_json::from_str(&line?)?;
        }
        let status = child.wait()?;
        if status.success() { Ok(last) } else { Err(format!("qsync {} ended with {status}: {last}", arguments.join(" ")).into()) }
    }

    /// Runs a command, kills it with SIGKILL when it has done `bytes`, and says how much it had done.
    pub(crate) fn run_and_kill(&self, arguments: &[&str], bytes: u64) -> Outcome<u64> {
        let (mut child, lines) = self.start(arguments)?;
        for line in lines.lines() {
            let event: Value = serde_json::from_str(&line?)?;
            let done = event["done_bytes"].as_u64().unwrap_or_default();
            if event["type"] == "progress" && done >= bytes {
                child.kill()?;
                child.wait()?;
                return Ok(done);
            }
        }
        Err(format!("qsync {} ended before it could be killed: {}", arguments.join(" "), child.wait()?).into())
    }

    /// Serves a store on a free port of loopback.
    pub(crate) fn serve(&self, store: &Path) -> Outcome<Server> {
        let store = store.to_str().ok_or("the store's path is not UTF-8")?;
        let (child, lines) = self.start(&["serve", store, "--listen", "127.0.0.1:0"])?;
        let first = lines.lines().next().ok_or("serve says nothing")??;
        let event: Value = serde_json::from_str(&first)?;
        let address = event["address"].as_str().ok_or("serve names no address")?.parse()?;
        Ok(Server { child, address })
    }

    fn start(&self, arguments: &[&str]) -> Outcome<(Child, BufReader<ChildStdout>)> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(AS_QSYNC)
            .args(arguments)
            .args(["--json", "--config", "/dev/null", "--state-dir"])
            .arg(&self.state_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe to the command")?;
        Ok((child, BufReader::new(stdout)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

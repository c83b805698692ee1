//! `qsync serve` as a source over HTTP.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::command::Qsync;

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    /// Its process.
    pub(crate) child: Child,
    /// Where it listens, as a source.
    pub(crate) url: String,
}

impl Server {
    /// Serves a store on a free port of loopback.
    pub(crate) fn start(command: Qsync, store: &Path) -> Self {
        let mut child = command.arg("serve").arg(store).args(["--listen", "127.0.0.1:0", "--json"]).spawn();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let event: Value = serde_json::from_str(&first).unwrap_or_else(|e| panic!("{e}: {first}"));
        Self { child, url: format!("http://{}/", event["address"].as_str().unwrap()) }
    }
}

impl Server {
    /// Sends it a signal and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

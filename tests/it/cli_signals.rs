//! How a command ends when it is told to.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::Qsync;

/// Starts a command that waits for a server which never answers, sends it a signal, and gives exit code and standard error.
fn end_with(signal: Signal) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let pin = format!("b3:{}", "0".repeat(64));
    let child = Qsync::with_state(home.path().to_owned()).args(["head", "show", "a/b", "--trust", &pin, "--from", &address]).spawn();
    // It listens for signals before it connects.
    let _connection = silent.accept().unwrap();
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

// CR-03
#[test]
fn an_interrupted_command_ends_soon_and_says_by_which_signal() {
    let (exit, text) = end_with(Signal::INT);
    assert_eq!(exit, Some(130), "{text}");
    assert!(text.contains("error: interrupted by SIGINT\n"), "{text}");
    let (exit, text) = end_with(Signal::TERM);
    assert_eq!(exit, Some(143), "{text}");
    assert!(text.contains("error: interrupted by SIGTERM\n"), "{text}");
}

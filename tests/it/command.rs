//! The `qsync` binary in a world of its own: no configuration, variables or state of the machine.

use std::path::Path;

use assert_cmd::{Command, assert::Assert};

/// `qsync` with its home in `home`.
pub(crate) fn qsync(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("qsync").expect("cargo builds the binary before the tests");
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home).args(args);
    command
}

/// What a command printed to standard output.
pub(crate) fn stdout(ran: &Assert) -> String {
    String::from_utf8_lossy(&ran.get_output().stdout).into_owned()
}

/// What a command printed to standard error.
pub(crate) fn stderr(ran: &Assert) -> String {
    String::from_utf8_lossy(&ran.get_output().stderr).into_owned()
}

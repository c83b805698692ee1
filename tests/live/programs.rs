//! Programs that `tests/run` installs.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::support::command::text;

/// A call of an installed program.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    // Servers lie in sbin, which is not on every user's path.
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()));
    command
}

/// Runs a program to its end; it must be there and succeed.
#[track_caller]
pub(crate) fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs what is needed"));
    assert!(output.status.success(), "{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

/// Runs a script as the documentation prints it, in a directory.
#[track_caller]
pub(crate) fn shell(script: &str, dir: &Path) -> String {
    let mut bash = program("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(dir);
    text(&succeed(bash).stdout)
}

/// Has `diff` compare two directories: it must find nothing.
#[track_caller]
pub(crate) fn assert_diff_finds_nothing(expected: &Path, found: &Path) {
    let mut diff = program("diff");
    diff.args(["-r", "--no-dereference"]).args([expected, found]);
    assert_eq!(text(&succeed(diff).stdout), "");
}

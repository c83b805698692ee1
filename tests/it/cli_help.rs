//! Help, usage errors and completions.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::command::{qsync, stderr, stdout};

#[test]
fn help_shows_examples_first_and_the_commands_below() {
    let home = tempfile::tempdir().unwrap();
    let help = stdout(&qsync(home.path(), &["--help"]).assert().success());
    assert!(help.starts_with("Examples:\n"), "{help}");
    let (examples, usage) = (help.find("Examples:").unwrap(), help.find("Usage: qsync").unwrap());
    assert!(examples < usage);
    for verb in
        ["init", "publish", "restore", "verify", "list", "show", "export", "serve", "key", "root", "head", "trust", "config", "completions"]
    {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is missing in\n{help}");
    }
}

#[test]
fn help_of_a_verb_shows_its_examples_first_and_names_the_variables() {
    let home = tempfile::tempdir().unwrap();
    let help = stdout(&qsync(home.path(), &["restore", "--help"]).assert().success());
    assert!(help.starts_with("Examples:\n  qsync restore "), "{help}");
    assert!(help.contains("[env: QSYNC_MEMORY]") && help.contains("[env: QSYNC_FROM, separated by white space]"), "{help}");
}

#[test]
fn version_is_that_of_the_package() {
    let home = tempfile::tempdir().unwrap();
    let version = stdout(&qsync(home.path(), &["--version"]).assert().success());
    assert_eq!(version, format!("qsync {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_flag_is_refused_with_the_one_that_was_meant() {
    let home = tempfile::tempdir().unwrap();
    let ran = qsync(home.path(), &["list", "--form", "./store"]).assert().code(2);
    insta::assert_snapshot!(stderr(&ran), @r"
    error: unexpected argument '--form' found

      tip: a similar argument exists: '--from'

    Usage: qsync list --from <SOURCE>

    For more information, try '--help'.
    ");
}

#[test]
fn a_usage_error_is_a_json_line_too() {
    let home = tempfile::tempdir().unwrap();
    let ran = qsync(home.path(), &["--json", "list", "--form", "x"]).assert().code(2);
    let line: serde_json::Value = serde_json::from_str(stdout(&ran).lines().last().unwrap()).unwrap();
    assert_eq!((&line["type"], &line["code"], &line["exit"]), (&"error".into(), &"usage".into(), &2.into()));
}

#[test]
fn bash_can_parse_its_completions() {
    let home = tempfile::tempdir().unwrap();
    let script = stdout(&qsync(home.path(), &["completions", "bash"]).assert().success());
    assert!(script.contains("_qsync"));
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

// CR-06
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("qsync"))
        .args(["completions", "bash"])
        .env("HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

// OP-13
#[test]
fn a_destructive_step_is_refused_where_nobody_can_be_asked() {
    let home = tempfile::tempdir().unwrap();
    let repo = format!("b3:{}", "0".repeat(64));
    let ran = qsync(home.path(), &["trust", "reset", &repo]).assert().code(2);
    let text = stderr(&ran);
    assert!(text.contains("not confirmed") && text.ends_with("hint: add --yes to confirm it\n"), "{text}");
}

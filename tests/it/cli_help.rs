//! Help, usage errors and completions.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::command::Qsync;

#[test]
fn help_shows_examples_first_and_the_commands_below() {
    let home = tempfile::tempdir().unwrap();
    let help = Qsync::at_home(home.path(), &["--help"]).stdout();
    assert!(help.starts_with("Examples:\n"), "{help}");
    let (examples, usage) = (help.find("Examples:").unwrap(), help.find("Usage: qsync").unwrap());
    assert!(examples < usage);
    for verb in [
        "init",
        "publish",
        "restore",
        "verify",
        "list",
        "show",
        "diff",
        "export",
        "mirror",
        "serve",
        "key",
        "root",
        "head",
        "trust",
        "usage",
        "config",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is missing in\n{help}");
    }
}

#[test]
fn help_of_a_verb_shows_its_examples_first_and_names_the_variables() {
    let home = tempfile::tempdir().unwrap();
    let help = Qsync::at_home(home.path(), &["restore", "--help"]).stdout();
    assert!(help.starts_with("Examples:\n  qsync restore "), "{help}");
    assert!(help.contains("[env: QSYNC_MEMORY]") && help.contains("[env: QSYNC_FROM, separated by white space]"), "{help}");
}

#[test]
fn version_is_that_of_the_package() {
    let home = tempfile::tempdir().unwrap();
    let version = Qsync::at_home(home.path(), &["--version"]).stdout();
    assert_eq!(version, format!("qsync {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_flag_is_refused_with_the_one_that_was_meant() {
    let home = tempfile::tempdir().unwrap();
    let refused = Qsync::at_home(home.path(), &["list", "--form", "./store"]).fails_with(2);
    insta::assert_snapshot!(refused, @r"
    error: unexpected argument '--form' found

      tip: a similar argument exists: '--from'

    Usage: qsync list --from <SOURCE>

    For more information, try '--help'.
    ");
}

#[test]
fn a_usage_error_is_a_json_line_too() {
    let home = tempfile::tempdir().unwrap();
    let line = Qsync::at_home(home.path(), &["list", "--form", "x"]).json_error(2);
    assert_eq!((&line["type"], &line["code"], &line["exit"]), (&"error".into(), &"usage".into(), &2.into()));
}

#[test]
fn bash_can_parse_its_completions() {
    let home = tempfile::tempdir().unwrap();
    let script = Qsync::at_home(home.path(), &["completions", "bash"]).stdout();
    assert!(script.contains("_qsync"));
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn the_manual_has_a_page_for_the_whole_and_one_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let page = Qsync::at_home(home.path(), &["man"]).stdout();
    assert!(page.contains(".TH qsync 1") && page.contains("qsync\\-mirror(1)"), "{page}");
    assert_eq!(Qsync::at_home(home.path(), &["man", "deep/pages"]).stdout(), "");
    let mut pages: Vec<_> =
        std::fs::read_dir(home.path().join("deep/pages")).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for name in ["qsync.1", "qsync-diff.1", "qsync-mirror.1", "qsync-trust-reset.1"] {
        assert!(pages.iter().any(|page| page == name), "{name} is missing: {pages:?}");
    }
    let restore = std::fs::read_to_string(home.path().join("deep/pages/qsync-restore.1")).unwrap();
    assert!(restore.contains(".SH EXAMPLES\n.nf\n  qsync restore "), "{restore}");
    assert!(restore.contains("QSYNC_MEMORY") && restore.contains(".TH qsync-restore 1"), "{restore}");
    std::fs::write(home.path().join("file"), "").unwrap();
    let refused = Qsync::at_home(home.path(), &["man", "file"]).fails_with(1);
    assert!(refused.contains("cannot write manual pages to file"), "{refused}");
}

// CR-06
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Qsync::at_home(home.path(), &["completions", "bash"]).spawn();
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
    let text = Qsync::at_home(home.path(), &["trust", "reset", &repo]).fails_with(2);
    assert!(text.contains("not confirmed") && text.ends_with("hint: add --yes to confirm it\n"), "{text}");
}

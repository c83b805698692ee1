//! What a machine trusts, changed by hand.

use crate::command::{qsync, stderr, stdout};

// OP-07
#[test]
fn a_pin_is_added_shown_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let repo = format!("b3:{}", "5".repeat(64));
    let trust = |args: &[&str]| qsync(home.path(), &[&["trust"], args, &["--state-dir", "state"]].concat());
    assert_eq!(stdout(&trust(&["list"]).assert().success()), "");
    trust(&["add", &repo]).assert().success();
    assert_eq!(stdout(&trust(&["list"]).assert().success()), format!("{repo}\n"));
    assert_eq!(stdout(&trust(&["show", &repo]).assert().success()), format!("{repo}\n"));
    trust(&["reset", &repo, "--yes"]).assert().success();
    let gone = trust(&["show", &repo]).assert().code(10);
    assert_eq!(stderr(&gone), format!("error: this machine does not trust {repo}\nhint: qsync trust list shows what it trusts\n"));
}

#[test]
fn init_makes_a_repository_once_and_pins_it() {
    let home = tempfile::tempdir().unwrap();
    let init = || qsync(home.path(), &["init", "--json", "--to", "./store", "--name", "x", "--state-dir", "state"]).assert().success();
    let line = |text: String| serde_json::from_str::<serde_json::Value>(text.trim()).unwrap();
    let (first, second) = (line(stdout(&init())), line(stdout(&init())));
    assert_eq!((&first["command"], &first["existed"], &second["existed"]), (&"init".into(), &false.into(), &true.into()));
    assert_eq!(first["repo"], second["repo"]);
    let listed = stdout(&qsync(home.path(), &["trust", "list", "--state-dir", "state"]).assert().success());
    assert!(listed.starts_with(&format!("b3:{}", first["repo"].as_str().unwrap())), "{listed}");
}

//! What a machine trusts, changed by hand.

use crate::support::command::Qsync;

// OP-07
#[test]
fn a_pin_is_added_shown_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let repo = format!("b3:{}", "5".repeat(64));
    let trust = |args: &[&str]| Qsync::at_home(home.path(), &[&["trust"], args, &["--state-dir", "state"]].concat());
    assert_eq!(trust(&["list"]).stdout(), "");
    trust(&["add", &repo]).stdout();
    assert_eq!(trust(&["list"]).stdout(), format!("{repo}\n"));
    assert_eq!(trust(&["show", &repo]).stdout(), format!("{repo}\n"));
    trust(&["reset", &repo, "--yes"]).stdout();
    let gone = trust(&["show", &repo]).fails_with(10);
    assert_eq!(gone, format!("error: this machine does not trust {repo}\nhint: qsync trust list shows what it trusts\n"));
}

#[test]
fn init_makes_a_repository_once_and_pins_it() {
    let home = tempfile::tempdir().unwrap();
    let init = || Qsync::at_home(home.path(), &["init", "--to", "./store", "--name", "x", "--state-dir", "state"]).summary();
    let (first, second) = (init(), init());
    assert_eq!((&first["command"], &first["existed"], &second["existed"]), (&"init".into(), &false.into(), &true.into()));
    assert_eq!(first["repo"], second["repo"]);
    let listed = Qsync::at_home(home.path(), &["trust", "list", "--state-dir", "state"]).stdout();
    assert!(listed.starts_with(&format!("b3:{}", first["repo"].as_str().unwrap())), "{listed}");
}

//! Configuration files, variables and flags: which counts, and what is refused.

use std::{fs, path::Path};

use crate::support::command::Qsync;

/// A home directory with this configuration.
fn home(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(".config/qsync")).unwrap();
    fs::write(home.path().join(".config/qsync/config.toml"), config).unwrap();
    home
}

/// The name of the store that `list` would read: it is refused, and the refusal names it.
fn store_that_list_reads(home: &Path, variable: Option<&str>, flag: Option<&str>) -> String {
    let flags: Vec<_> = flag.iter().flat_map(|store| ["--from", store]).collect();
    let mut command = Qsync::at_home(home, &[["list"].as_slice(), &flags].concat());
    if let Some(stores) = variable {
        command = command.env("QSYNC_FROM", stores);
    }
    let text = command.fails_with(2);
    let named = text.strip_prefix("error: no store named ").unwrap_or_else(|| panic!("{text}"));
    named.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_configuration() {
    let home = home("[channels.'a/b']\nfrom = ['configured']");
    let home = home.path();
    assert_eq!(store_that_list_reads(home, None, None), "configured");
    assert_eq!(store_that_list_reads(home, Some("variable second"), None), "variable");
    assert_eq!(store_that_list_reads(home, Some("variable"), Some("flag")), "flag");
}

#[test]
fn a_single_option_is_read_from_its_variable_when_there_is_no_flag() {
    let home = home("");
    let other = home.path().join("other.toml");
    fs::write(&other, "state_dir = '/other'").unwrap();
    let flagged = home.path().join("flagged.toml");
    fs::write(&flagged, "state_dir = '/flagged'").unwrap();
    let shown = |args: &[&str]| Qsync::at_home(home.path(), args).env("QSYNC_CONFIG", &other).stdout();
    assert_eq!(shown(&["config", "show"]), "state_dir = \"/other\"\n");
    assert_eq!(shown(&["--config", flagged.to_str().unwrap(), "config", "show"]), "state_dir = \"/flagged\"\n");
}

#[test]
fn a_named_file_counts_alone() {
    let home = home("state_dir = '/user'\n[stores.a]\nurl = '/a'");
    let only = home.path().join("only.toml");
    fs::write(&only, "[stores.b]\nurl = '/b'").unwrap();
    let shown = Qsync::at_home(home.path(), &["config", "show", "--origin", "--config", only.to_str().unwrap()]).stdout();
    assert_eq!(shown, format!("stores.b.url = \"/b\"  # {}\n", only.display()));
}

#[test]
fn an_unknown_key_is_refused_with_file_key_and_guess() {
    let home = home("[channels.\"kusama/pruned\"]\ndata_dri = '/srv/db'");
    let ran = Qsync::at_home(home.path(), &["config", "check"]).fails_with(2);
    let file = home.path().join(".config/qsync/config.toml");
    let expected = format!("error: unknown key channels.\"kusama/pruned\".data_dri in {}\nhint: did you mean data_dir?\n", file.display());
    assert_eq!(ran, expected);
}

#[test]
fn a_missing_named_file_is_refused() {
    let home = home("");
    let line = Qsync::at_home(home.path(), &["--config", "/no/such/file", "config", "show"]).json_error(2);
    assert_eq!(line["code"], "config");
}

#[test]
fn a_file_in_the_working_directory_is_never_read() {
    let home = tempfile::tempdir().unwrap();
    for name in ["config.toml", "qsync.toml", ".qsync.toml"] {
        fs::write(home.path().join(name), "no_such_key = 1").unwrap();
    }
    assert_eq!(Qsync::at_home(home.path(), &["config", "check"]).stdout(), "no configuration file\n");
}

#[test]
fn an_unknown_store_is_refused_with_the_names_there_are() {
    let home = home("[stores.mirror]\nurl = '/a'");
    fs::create_dir(home.path().join("miror")).unwrap();
    let ran = Qsync::at_home(home.path(), &["list", "--from", "miror"]).fails_with(2);
    let expected = "error: no store named miror in the configuration (it names mirror)\n\
                    hint: did you mean mirror?\nhint: write ./miror for the directory of that name\n";
    assert_eq!(ran, expected);
}

//! What the environment says: `QSYNC_…` lists and the XDG directories.

use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// A list option: what the flags say, else the variable (split at white space), else the configuration.
pub(crate) fn list(flags: Vec<String>, variable: &str, configured: &[String]) -> Vec<String> {
    if !flags.is_empty() {
        return flags;
    }
    let words = split(std::env::var(variable).ok());
    if words.is_empty() { configured.to_vec() } else { words }
}

/// The words of a variable; none when it is unset or blank.
fn split(variable: Option<String>) -> Vec<String> {
    variable.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The user's home directory, if the environment names one.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

/// A base directory: `variable` if it is set to an absolute path, else `below_home` in the home directory.
pub(crate) fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // The XDG base directory specification tells programs to ignore relative paths.
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

/// Where qsync keeps what it must remember, unless told otherwise.
pub(crate) fn default_state_dir() -> Option<PathBuf> {
    if geteuid().is_root() {
        return Some(Path::new("/var/lib/qsync").to_owned());
    }
    directory("XDG_STATE_HOME", ".local/state").map(|state| state.join("qsync"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_variables_are_split_at_white_space() {
        assert_eq!(split(Some(" cdn  https://a/b\tx\n".into())), ["cdn", "https://a/b", "x"]);
        assert!(split(Some("  ".into())).is_empty() && split(None).is_empty());
    }

    #[test]
    fn flags_win_over_the_configuration() {
        let configured = ["cdn".to_owned()];
        assert_eq!(list(vec!["raw".into()], "QSYNC_NO_SUCH_VARIABLE", &configured), ["raw"]);
        assert_eq!(list(Vec::new(), "QSYNC_NO_SUCH_VARIABLE", &configured), ["cdn"]);
    }
}

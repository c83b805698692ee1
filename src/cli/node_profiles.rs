//! Node profiles by name: the user's own files, and those that are built in.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    code::Code,
    config::{self, nearest},
    context::Context,
    env,
    exit::Failure,
    values::Label,
};
use crate::{profile::NodeProfile, publish::Node};

/// The most bytes a file of a node profile may have.
const MAX_BYTES: u64 = 1 << 20;

/// A node profile, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The profile.
    pub(crate) profile: NodeProfile,
    /// The user's file; `None` for one that is built in.
    pub(crate) file: Option<PathBuf>,
}

/// The node of a channel: flags over the configuration over the defaults.
///
/// # Errors
/// When there is no such profile, its file is none, or a label is not one that it may have.
pub(crate) fn node(name: Option<&str>, flags: &[String], configured: &config::Channel, context: &Context) -> Result<Node, Failure> {
    let name = name.or(configured.node.as_deref()).unwrap_or(NodeProfile::GENERIC);
    let profile = named(name, &context.config.node_dirs())?.profile;
    let labels = labels(flags, &configured.labels)?;
    match profile.check_labels(&labels) {
        Ok(()) => Ok(Node { profile, labels, ..Node::default() }),
        Err(why) => Err(Failure::usage(why).hint(format!("qsync node show {name} tells what it knows"))),
    }
}

/// Labels: flags or else the variable, each over what is configured for its key.
///
/// # Errors
/// The one that is none.
pub(crate) fn labels(flags: &[String], configured: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let given = env::list(flags.to_vec(), "QSYNC_LABEL", &[]);
    let parse = |text: &String| text.parse::<Label>().map_err(|why| Failure::usage(format!("--label {text}: {why}")));
    let mut labels = configured.clone();
    for label in given.iter().map(parse) {
        let Label { key, value } = label?;
        labels.insert(key, value);
    }
    Ok(labels)
}

/// The profile of that name: the user's own file before the machine's before what is built in.
///
/// # Errors
/// When there is none, or the file is none.
pub(crate) fn named(name: &str, dirs: &[PathBuf]) -> Result<Known, Failure> {
    // A name is never a way to another directory.
    let files = dirs.iter().filter(|_| is_file_name(name)).map(|dir| dir.join(format!("{name}.toml")));
    for file in files {
        if let Some(profile) = read_if_there(&file)? {
            return Ok(Known { profile, file: Some(file) });
        }
    }
    let built_in = NodeProfile::builtin(name).map(|profile| Known { profile, file: None });
    built_in.ok_or_else(|| unknown(name, dirs))
}

/// Every profile by its name, the user's own in place of those they have the name of.
///
/// # Errors
/// When a file is none.
pub(crate) fn all(dirs: &[PathBuf]) -> Result<Vec<Known>, Failure> {
    let mut names: Vec<String> = NodeProfile::builtin_names().map(str::to_owned).collect();
    for dir in dirs {
        names.extend(names_in(dir)?);
    }
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| named(name, dirs)).collect()
}

fn names_in(dir: &Path) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(|e| unreadable(dir, &e))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| -> io::Result<Option<String>> {
        Ok(entry?.file_name().to_str().and_then(|name| name.strip_suffix(".toml")).filter(|name| is_file_name(name)).map(str::to_owned))
    };
    entries.filter_map(|entry| name(entry).transpose()).collect::<Result<_, _>>().map_err(|e| unreadable(dir, &e))
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

fn read_if_there(file: &Path) -> Result<Option<NodeProfile>, Failure> {
    match fs::metadata(file) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Ok(meta) if !meta.is_file() => {
            return Err(Failure::new(Code::Config, format!("the node profile {} is no file", file.display())));
        }
        Ok(meta) if meta.len() > MAX_BYTES => {
            return Err(Failure::new(Code::Config, format!("the node profile {} is larger than {MAX_BYTES} bytes", file.display())));
        }
        meta => meta.map_err(|e| unreadable(file, &e))?,
    };
    let text = fs::read_to_string(file).map_err(|e| unreadable(file, &e))?;
    let profile = NodeProfile::parse(&text).map_err(|e| Failure::from_error(Code::Config, &e).context(format!("in {}", file.display())))?;
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if profile.name == name {
        return Ok(Some(profile));
    }
    let message = format!("{} calls itself {}: a node profile has the name of its file", file.display(), profile.name);
    Err(Failure::new(Code::Config, message))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::from_error(Code::Config, error).context(format!("{} cannot be read", path.display()))
}

fn unknown(name: &str, dirs: &[PathBuf]) -> Failure {
    let known: Vec<String> = all(dirs).map_or_else(|_| Vec::new(), |all| all.into_iter().map(|known| known.profile.name).collect());
    let failure = Failure::new(Code::NotFound, format!("there is no node profile {name}"));
    let failure = match nearest(name, &known) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure,
    };
    let own: Vec<String> = dirs.iter().map(|dir| dir.join(format!("{name}.toml")).display().to_string()).collect();
    failure.hint("qsync node list shows all there are").hint(format!("one of your own goes to {}", own.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(name: &str, text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        dir
    }

    #[test]
    fn the_users_own_profile_stands_before_the_machines_and_the_built_in_one() {
        let machine = dir_with("geth.toml", "name = 'geth'\ntitle = 'machine'");
        let user = dir_with("geth.toml", "name = 'geth'\ntitle = 'user'");
        let dirs = [user.path().to_owned(), machine.path().to_owned()];
        assert_eq!(named("geth", &dirs).unwrap().profile.title, "user");
        assert_eq!(named("geth", &dirs[1..]).unwrap().profile.title, "machine");
        assert!(named("geth", &[]).unwrap().file.is_none());
        assert_eq!(all(&dirs).unwrap().len(), NodeProfile::builtin_names().count());
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest_and_with_where_to_put_it() {
        let failure = named("polkadot-rocksd", &[PathBuf::from("/etc/qsync/nodes")]).unwrap_err();
        assert_eq!((failure.code, failure.messages[0].as_str()), (Code::NotFound, "there is no node profile polkadot-rocksd"));
        assert_eq!(failure.hints[0], "did you mean polkadot-rocksdb?");
        assert!(failure.hints[2].ends_with("/etc/qsync/nodes/polkadot-rocksd.toml"));
        let dir = dir_with("secret.toml", "name = 'secret'\ntitle = ''");
        let above = dir.path().join("nodes");
        assert_eq!(named("../secret", &[above]).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn a_file_that_is_no_profile_is_named() {
        let wrong = dir_with("mine.toml", "name = 'mine'");
        let failure = named("mine", &[wrong.path().to_owned()]).unwrap_err();
        assert!(failure.code == Code::Config && failure.messages[0].contains("mine.toml"), "{failure:?}");
        let other = dir_with("mine.toml", "name = 'yours'\ntitle = ''");
        assert!(named("mine", &[other.path().to_owned()]).unwrap_err().messages[0].ends_with("a node profile has the name of its file"));
    }

    #[test]
    fn a_flag_overrides_the_configured_label_of_its_key() {
        let configured = BTreeMap::from([("mode".to_owned(), "full".to_owned()), ("network".to_owned(), "mainnet".to_owned())]);
        let labels = labels(&["mode=archive".to_owned()], &configured).unwrap();
        assert_eq!(labels.into_iter().map(|(k, v)| k + "=" + &v).collect::<Vec<_>>(), ["mode=archive", "network=mainnet"]);
    }
}

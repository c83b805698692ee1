//! One configuration file, and how several become one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Values, schema};
use crate::cli::{code::Code, exit::Failure};

/// The most bytes a configuration file may have.
const MAX_BYTES: u64 = 1 << 20;

/// A file that was read and whose keys and values are all right.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Where it lies.
    pub(super) file: PathBuf,
    table: Table,
}

/// One value and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// The path of keys that leads to it.
    pub(crate) path: Vec<String>,
    /// The value.
    pub(crate) value: Value,
    /// The file that sets it.
    pub(crate) file: PathBuf,
}

impl Setting {
    /// The setting as a line of TOML with a dotted key.
    pub(crate) fn to_line(&self) -> String {
        let keys: Vec<_> = self.path.iter().map(|key| schema::quoted(key)).collect();
        format!("{} = {}", keys.join("."), self.value)
    }
}

/// What toml says, without the line where that may have a password: `https://user:password@…`.
fn without_secrets(error: &toml::de::Error, text: &str) -> String {
    let said = error.to_string();
    if !(said.contains("://") && said.contains('@')) {
        return said.trim_end().to_owned();
    }
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

impl Layer {
    /// Reads a file that must be there.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let unreadable =
            |e: io::Error| Failure::from_error(Code::Config, &e).context(format!("the configuration {} cannot be read", file.display()));
        if fs::metadata(file).map_err(unreadable)?.len() > MAX_BYTES {
            return Err(Failure::new(Code::Config, format!("the configuration {} is larger than {MAX_BYTES} bytes", file.display())));
        }
        Self::parse(file, &fs::read_to_string(file).map_err(unreadable)?)
    }

    /// Reads a file that may be absent.
    pub(super) fn read_if_there(file: &Path) -> Result<Option<Self>, Failure> {
        match fs::metadata(file) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            _ => Self::read(file).map(Some),
        }
    }

    /// Reads the text of a file.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, Failure> {
        // toml's errors show the line and end with one; the chain of messages does its own line ends.
        let refuse = |e: toml::de::Error| Failure::new(Code::Config, format!("in {}: {}", file.display(), without_secrets(&e, text)));
        let table: Table = text.parse().map_err(refuse)?;
        if let Some(unknown) = schema::unknown_key(&table, &schema::FILE) {
            return Err(unknown_key(file, &unknown));
        }
        // Each file by itself too, so that an error of type names file and line.
        toml::from_str::<Values>(text).map_err(refuse)?;
        Ok(Self { file: file.to_owned(), table })
    }
}

fn unknown_key(file: &Path, unknown: &schema::Unknown) -> Failure {
    let failure = Failure::new(Code::Config, format!("unknown key {} in {}", unknown.key, file.display()));
    match unknown.meant {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure,
    }
}

/// Lays each layer over those before it, key by key.
pub(super) fn merge(layers: &[Layer]) -> Result<(Vec<Setting>, Values), Failure> {
    let mut merged = BTreeMap::new();
    for layer in layers {
        for (path, value) in schema::leaves(&layer.table) {
            merged.insert(path.clone(), Setting { path, value, file: layer.file.clone() });
        }
    }
    let settings: Vec<_> = merged.into_values().collect();
    let values = unflatten(&settings).try_into().map_err(|e: toml::de::Error| Failure::new(Code::Config, e.to_string().trim_end()))?;
    Ok((settings, values))
}

/// The table that has these settings.
fn unflatten(settings: &[Setting]) -> Table {
    let mut top = Table::new();
    for setting in settings {
        let Some((last, above)) = setting.path.split_last() else { continue };
        let mut at = &mut top;
        for key in above {
            let entry = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
            at = entry.as_table_mut().expect("the types of every file were checked, so tables are tables in all of them");
        }
        at.insert(last.clone(), setting.value.clone());
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_stands_where_it_must_not_is_not_repeated() {
        let text = "[usage]\nsources = [{ store = \"ipfs\", kubo = \"http://user:hunter2@127.0.0.1:5001\" }]\n";
        let refused = Layer::parse(Path::new("f"), text).unwrap_err().messages.join(" ");
        assert!(refused.contains("in f: line 2: ") && !refused.contains("hunter2"), "{refused}");
    }

    fn layer(name: &str, text: &str) -> Layer {
        Layer::parse(Path::new(name), text).unwrap()
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        let machine = layer("/etc/q", "state_dir = '/a'\n[stores.cdn]\nurl = '/old'\n[stores.raw]\nurl = '/raw'");
        let user = layer("/home/q", "[stores.cdn]\nurl = '/new'");
        let (settings, values) = merge(&[machine, user]).unwrap();
        let lines: Vec<_> = settings.iter().map(|s| (s.to_line(), s.file.to_str().unwrap())).collect();
        let expected = [
            ("state_dir = \"/a\"".to_owned(), "/etc/q"),
            ("stores.cdn.url = \"/new\"".to_owned(), "/home/q"),
            ("stores.raw.url = \"/raw\"".to_owned(), "/etc/q"),
        ];
        assert_eq!(lines, expected);
        assert_eq!(values.state_dir.as_deref(), Some(Path::new("/a")));
    }

    #[test]
    fn a_refused_file_is_named_with_the_key_and_a_guess() {
        let failure = Layer::parse(Path::new("/etc/q"), "[channels.'a/b']\ndata_dri = '/x'").unwrap_err();
        assert_eq!(failure.messages, ["unknown key channels.\"a/b\".data_dri in /etc/q"]);
        assert_eq!(failure.hints, ["did you mean data_dir?"]);
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused_with_the_file() {
        for text in ["state_dir = 3", "stores = 3", "[stores.a]", "[channels.'A b']", "[channels.'a/b']\ntrust = 'b3:12'", "= 3"] {
            let failure = Layer::parse(Path::new("/etc/q"), text).unwrap_err();
            assert!(failure.messages[0].starts_with("in /etc/q: "), "{text}: {:?}", failure.messages);
        }
    }
}

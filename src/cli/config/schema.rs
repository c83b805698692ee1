//! The keys that a configuration file may have, and what to say of any other.

use toml::{Table, Value};

/// What may stand at a place of the file.
pub(super) enum Shape {
    /// A value; its type is checked when it is read.
    Leaf,
    /// A table with these keys.
    Keys(&'static [(&'static str, Shape)]),
    /// A list of tables with these keys.
    List(&'static [(&'static str, Shape)]),
    /// A table whose keys are the user's, each with this below it.
    Each(&'static Shape),
}

/// The whole file.
pub(super) const FILE: Shape = Shape::Keys(&[
    ("state_dir", Shape::Leaf),
    ("metrics_file", Shape::Leaf),
    ("gateways", Shape::Leaf),
    ("agent", Shape::Keys(&[("listen", Shape::Leaf)])),
    ("stores", Shape::Each(&STORE)),
    ("channels", Shape::Each(&CHANNEL)),
    ("usage", Shape::Keys(super::usage::KEYS)),
]);

const STORE: Shape = Shape::Keys(&[("url", Shape::Leaf)]);

const CHANNEL: Shape = Shape::Keys(&[
    ("trust", Shape::Leaf),
    ("from", Shape::Leaf),
    ("to", Shape::Leaf),
    ("data_dir", Shape::Leaf),
    ("node", Shape::Leaf),
    ("labels", Shape::Each(&Shape::Leaf)),
    ("rpc", Shape::Leaf),
    ("rpc_url_file", Shape::Leaf),
    ("rpc_cookie_file", Shape::Leaf),
    ("gate", Shape::Keys(super::gate::KEYS)),
    ("freeze", Shape::Keys(super::freeze::KEYS)),
    ("head_lifetime", Shape::Leaf),
    ("keep_last", Shape::Leaf),
    ("chunk_size", Shape::Leaf),
    ("level", Shape::Leaf),
    ("schedule", Shape::Leaf),
    ("time_zone", Shape::Leaf),
    ("jitter", Shape::Leaf),
    ("ping_file", Shape::Leaf),
]);

/// A key that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Where it stands, for example `channels."kusama/pruned".form`.
    pub(super) key: String,
    /// The key that may have been meant.
    pub(super) meant: Option<&'static str>,
}

/// Finds the first key of `table` that `shape` does not know.
pub(super) fn unknown_key(table: &Table, shape: &Shape) -> Option<Unknown> {
    table.iter().find_map(|(key, value)| {
        let inner = match shape {
            Shape::Leaf => return None,
            Shape::Each(inner) => inner,
            Shape::Keys(keys) | Shape::List(keys) => match keys.iter().find(|(name, _)| name == key) {
                Some((_, inner)) => inner,
                None => return Some(Unknown { key: quoted(key), meant: nearest(key, keys.iter().map(|(name, _)| *name)) }),
            },
        };
        let below = tables(value, inner).find_map(|below| unknown_key(below, inner))?;
        Some(Unknown { key: format!("{}.{}", quoted(key), below.key), ..below })
    })
}

/// The tables in which a value of this shape has keys.
fn tables<'a>(value: &'a Value, shape: &Shape) -> impl Iterator<Item = &'a Table> {
    let list = value.as_array().filter(|_| matches!(shape, Shape::List(_)));
    value.as_table().into_iter().chain(list.into_iter().flatten().filter_map(Value::as_table))
}

/// Flattens a file into its values, each with the path of keys that leads to it.
pub(super) fn leaves(table: &Table) -> Vec<(Vec<String>, Value)> {
    table
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Table(below) => {
                leaves(below).into_iter().map(|(path, value)| (std::iter::once(key.clone()).chain(path).collect(), value)).collect()
            }
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
                vec![(vec![key.clone()], value.clone())]
            }
        })
        .collect()
}

/// A key as TOML writes it.
pub(super) fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

/// The candidate that `word` may be a misspelling of.
pub(crate) fn nearest<T: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(word, candidate.as_ref()), candidate));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(text: &str) -> Option<Unknown> {
        unknown_key(&text.parse().unwrap(), &FILE)
    }

    #[test]
    fn finds_unknown_keys_at_every_depth_and_guesses_what_was_meant() {
        assert_eq!(unknown("state_dri = '/x'"), Some(Unknown { key: "state_dri".into(), meant: Some("state_dir") }));
        assert_eq!(unknown("[stores.a]\nurll = 'x'"), Some(Unknown { key: "stores.a.urll".into(), meant: Some("url") }));
        let deep = unknown("[channels.\"kusama/pruned\"]\nform = []").unwrap();
        assert_eq!((deep.key.as_str(), deep.meant), ("channels.\"kusama/pruned\".form", Some("from")));
        assert_eq!(unknown("zzz = 1").unwrap().meant, None);
    }

    #[test]
    fn names_of_stores_and_channels_are_the_users() {
        assert_eq!(unknown("[stores.anything]\nurl = 'x'\n[channels.\"a/b\"]\nfrom = []"), None);
    }
}

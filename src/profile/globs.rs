//! Sets of paths below a data directory, by globs.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::types::RelPath;

/// Paths by globs. One with a slash counts from the data directory; one without is a name at any depth. What lies below a directory that
/// matches, matches too. `*` matches no slash, `**` any number of directories.
#[derive(Clone, Debug)]
pub struct Globs {
    texts: Vec<String>,
    set: GlobSet,
}

impl Globs {
    /// Reads globs.
    ///
    /// # Errors
    /// The glob that is none, and why.
    pub fn new(texts: Vec<String>) -> Result<Self, (String, String)> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            set.add(glob(text).map_err(|e| (text.clone(), e.kind().to_string()))?);
        }
        let set = set.build().map_err(|e| (texts.join(" "), e.kind().to_string()))?;
        Ok(Self { texts, set })
    }

    /// The globs, as they are written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether the path itself matches. For who walks down from the top and never goes below what matches; any name will do.
    #[must_use]
    pub fn matches_entry(&self, path: &str) -> bool {
        !self.texts.is_empty() && self.set.is_match(path)
    }

    /// Whether the path, or a directory that it lies in, matches.
    #[must_use]
    pub fn matches(&self, path: &RelPath) -> bool {
        !self.texts.is_empty() && (self.set.is_match(path.as_path()) || path.parent().is_some_and(|above| self.matches(&above)))
    }
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    let anywhere = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
    GlobBuilder::new(&anywhere).literal_separator(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        Globs::new(vec![glob.to_owned()]).unwrap().matches(&path.parse().unwrap())
    }

    #[test]
    fn a_name_matches_at_any_depth_and_a_path_from_the_top() {
        assert!(matches("*.sst", "a.sst") && matches("*.sst", "db/full/000012.sst"));
        assert!(matches("geth/nodekey", "geth/nodekey") && !matches("geth/nodekey", "old/geth/nodekey"));
        assert!(matches("data/*.db", "data/state.db") && !matches("data/*.db", "data/cs.wal"));
        assert!(!matches("chains/*/keystore", "chains/a/b/keystore"));
    }

    #[test]
    fn what_lies_below_a_directory_that_matches_matches_too() {
        assert!(matches("chains/*/keystore", "chains/ksmcc3/keystore/00/ff"));
        assert!(matches("keyring-*", "keyring-file/validator.info"));
        assert!(!matches("keystore", "keystore.sst"));
    }

    #[test]
    fn a_glob_that_is_none_is_named() {
        assert_eq!(Globs::new(vec!["a".into(), "b[".into()]).unwrap_err().0, "b[");
    }
}

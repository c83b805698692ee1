//! The path of a file or directory inside a snapshot (docs/format.md, 2.4).

use std::{borrow::Borrow, fmt, path::Path, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// 1 to 16 components of `[A-Za-z0-9._+-]`, each 1 to 255 bytes and neither `.` nor `..`; at most 1,024 bytes.
/// It cannot leave the directory that it is joined to. Clones share the text: where a whole database is wrong, every chunk names its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(Arc<str>);

impl RelPath {
    /// The most bytes a path may have.
    pub const MAX_BYTES: usize = 1024;
    /// The most components a path may have.
    pub const MAX_COMPONENTS: usize = 16;

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as a relative file-system path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path without its last component; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Checks `text` against the grammar without copying it.
    ///
    /// # Errors
    /// [`InvalidRelPath`] with the rule that is broken.
    pub fn check(text: &str) -> Result<(), InvalidRelPath> {
        let refuse = |rule| Err(InvalidRelPath { path: text.chars().take(200).collect(), rule });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > Self::MAX_BYTES {
            return refuse("it is longer than 1,024 bytes");
        }
        let mut components = 0;
        for component in text.split('/') {
            components += 1;
            match component {
                "" => return refuse("a component is empty (leading, trailing or doubled slash)"),
                "." | ".." => return refuse("a component is . or .."),
                c if c.len() > 255 => return refuse("a component is longer than 255 bytes"),
                c if !c.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b)) => {
                    return refuse("only A-Z a-z 0-9 . _ + - are allowed in a component");
                }
                _ => {}
            }
        }
        if components > Self::MAX_COMPONENTS {
            return refuse("it has more than 16 components");
        }
        Ok(())
    }
}

/// A path outside the grammar, with the rule it breaks.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("path {path:?} is refused: {rule}")]
pub struct InvalidRelPath {
    /// The path, at most 200 characters of it.
    pub path: String,
    /// The rule, as a clause.
    pub rule: &'static str,
}

impl FromStr for RelPath {
    type Err = InvalidRelPath;

    fn from_str(text: &str) -> Result<Self, InvalidRelPath> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for RelPath {
    type Error = InvalidRelPath;

    fn try_from(text: String) -> Result<Self, InvalidRelPath> {
        Self::check(&text)?;
        Ok(Self(text.into()))
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.as_str().to_owned()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl Borrow<str> for RelPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // MF-01
    #[test]
    fn refuses_every_path_trick() {
        let deep = vec!["a"; 17].join("/");
        let long = vec!["a".repeat(200); 6].join("/");
        let wide = "a".repeat(256);
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/../x",
            "/etc/x",
            "a//b",
            "a/./b",
            "a/",
            "/",
            "a\0b",
            "a\nb",
            "a\\b",
            "C:x",
            "a b",
            "~/x",
            "ä",
            "a\u{202e}b",
            &deep,
            &long,
            &wide,
        ] {
            assert!(bad.parse::<RelPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn clones_share_their_text() {
        let path: RelPath = "db/000012.sst".parse().unwrap();
        assert_eq!(path.as_str().as_ptr(), path.clone().as_str().as_ptr());
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_what_it_is_joined_to(text in "[./a-z\\\\]{0,40}") {
            if let Ok(path) = text.parse::<RelPath>() {
                let joined = Path::new("/base").join(&path);
                prop_assert!(joined.components().all(|c| !matches!(c, std::path::Component::ParentDir | std::path::Component::CurDir)));
                prop_assert!(joined.starts_with("/base") && joined != Path::new("/base"));
            }
        }
    }
}

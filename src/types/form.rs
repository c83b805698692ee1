//! In which form a store holds chunks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How chunks are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As zstd frames, below `chunks/`.
    Zstd,
    /// As they are, below `raw/`.
    Raw,
}

/// The forms that one store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// No chunks at all: they are somewhere else, and it holds what names them.
    Neither,
    /// Frames only.
    Zstd,
    /// Raw chunks only.
    Raw,
    /// Every chunk in both forms.
    Both,
}

/// Text that names no forms.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the forms of a store: expected zstd, raw or zstd,raw, found {0:?}")]
pub struct InvalidForms(String);

impl Forms {
    /// Whether chunks are held in this form.
    #[must_use]
    pub fn contains(self, form: Form) -> bool {
        matches!((self, form), (Self::Both, _) | (Self::Zstd, Form::Zstd) | (Self::Raw, Form::Raw))
    }

    /// Each form, frames first.
    pub fn iter(self) -> impl Iterator<Item = Form> {
        [Form::Zstd, Form::Raw].into_iter().filter(move |form| self.contains(*form))
    }

    /// The forms in a list.
    #[must_use]
    pub fn of(list: &[Form]) -> Self {
        match (list.contains(&Form::Zstd), list.contains(&Form::Raw)) {
            (true, true) => Self::Both,
            (true, false) => Self::Zstd,
            (false, true) => Self::Raw,
            (false, false) => Self::Neither,
        }
    }
}

impl fmt::Display for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zstd => "zstd",
            Self::Raw => "raw",
            Self::Both => "zstd,raw",
            Self::Neither => "none",
        })
    }
}

impl FromStr for Forms {
    type Err = InvalidForms;

    fn from_str(text: &str) -> Result<Self, InvalidForms> {
        match text {
            "zstd" => Ok(Self::Zstd),
            "raw" => Ok(Self::Raw),
            "zstd,raw" | "raw,zstd" => Ok(Self::Both),
            other => Err(InvalidForms(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows_and_nothing_else() {
        for forms in [Forms::Zstd, Forms::Raw, Forms::Both] {
            assert_eq!(forms.to_string().parse(), Ok(forms));
            assert_eq!(Forms::of(&forms.iter().collect::<Vec<_>>()), forms);
        }
        assert_eq!("raw,zstd".parse(), Ok(Forms::Both));
        for wrong in ["", "gzip", "zstd,", "zstd,zstd", "ZSTD", "none"] {
            assert_eq!(wrong.parse::<Forms>(), Err(InvalidForms(wrong.into())));
        }
        assert_eq!(Forms::of(&[]), Forms::Neither);
    }
}

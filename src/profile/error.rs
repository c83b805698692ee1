//! Why a text is no node profile.

use thiserror::Error;

/// Why a text is no node profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// It is no TOML, or has keys or types that mean nothing.
    #[error("not a node profile: {0}")]
    Toml(String),
    /// A value that cannot be.
    #[error("{key} of the node profile is {value:?}: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
        /// Why that cannot be.
        why: String,
    },
}

//! What the two signed payloads, root and head, have in common: how they are told apart, and their bounds.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::json;

/// Longest root or head, as an envelope and so as a payload too, bytes.
pub const MAX_BYTES: u64 = 64 << 10;

/// The one version of either payload that this program reads and writes.
pub const VERSION: u64 = 1;

/// A value that is signed: a root or a head.
pub trait Payload: Serialize + DeserializeOwned {
    /// Its `type`.
    const TYPE: &'static str;
    /// The `payloadType` of its envelope.
    const MEDIA_TYPE: &'static str;

    /// Checks the rules that the types of the fields do not hold already.
    ///
    /// # Errors
    /// [`Error::Rule`] with the first rule that is broken.
    fn check(&self) -> Result<(), Error>;

    /// Reads a payload: strict JSON of at most [`MAX_BYTES`], `type` and `v` exact, every rule checked. Unknown fields are ignored.
    ///
    /// # Errors
    /// When it is anything else.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_length(bytes.len())?;
        check_tag::<Self>(&json::from_slice_strict(bytes, MAX_BYTES)?)?;
        let payload: Self = json::from_slice_strict(bytes, MAX_BYTES)?;
        payload.check()?;
        Ok(payload)
    }

    /// Writes a payload that [`Payload::from_bytes`] reads.
    ///
    /// # Errors
    /// When it breaks a rule or is too long.
    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let bytes = serde_json::to_vec(&Tagged { kind: Self::TYPE, v: VERSION, payload: self }).map_err(Error::Write)?;
        check_length(bytes.len())?;
        Ok(bytes)
    }
}

/// Bytes that are not a payload of the kind that was expected.
#[derive(Debug, Error)]
pub enum Error {
    /// Longer than any payload.
    #[error("{bytes} bytes, at most {MAX_BYTES} expected")]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Not JSON, or not of this shape.
    #[error("not the expected JSON")]
    Json(#[from] json::JsonError),
    /// Of another kind.
    #[error("type {found:?}, expected {expected:?}")]
    OtherType {
        /// The type that was asked for.
        expected: &'static str,
        /// The type that it names.
        found: String,
    },
    /// Of a version that this program does not know.
    #[error("version {found} of {kind}, this qsync reads version {VERSION}: a newer release is needed")]
    OtherVersion {
        /// Its type.
        kind: &'static str,
        /// The version that it names.
        found: u64,
    },
    /// It contradicts itself or leaves the format's bounds.
    #[error("{field}: {problem}")]
    Rule {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It cannot be written as JSON.
    #[error("cannot be written as JSON")]
    Write(#[source] serde_json::Error),
}

/// Fails with [`Error::Rule`] unless `holds`.
pub(super) fn require(holds: bool, field: &'static str, problem: impl Into<String>) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Rule { field, problem: problem.into() }) }
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: String,
    v: u64,
}

// Written only: what is read takes its two tags apart from the rest, so that a future version is named as such.
#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    v: u64,
    #[serde(flatten)]
    payload: &'a T,
}

fn check_length(bytes: usize) -> Result<(), Error> {
    let bytes = bytes as u64;
    if bytes <= MAX_BYTES { Ok(()) } else { Err(Error::TooLong { bytes }) }
}

fn check_tag<T: Payload>(tag: &Tag) -> Result<(), Error> {
    if tag.kind != T::TYPE {
        return Err(Error::OtherType { expected: T::TYPE, found: tag.kind.chars().take(100).collect() });
    }
    if tag.v != VERSION {
        return Err(Error::OtherVersion { kind: T::TYPE, found: tag.v });
    }
    Ok(())
}

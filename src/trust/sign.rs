//! Making signed roots and heads.

use thiserror::Error;

use super::{
    envelope::{Envelope, InvalidEnvelope},
    key::SecretKey,
};
use crate::format::{
    head::Head,
    payload::{self, Payload},
    root::Root,
};

/// A payload that cannot be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// It breaks a rule that its readers check.
    #[error("the {kind} is not valid")]
    Payload {
        /// Its type.
        kind: &'static str,
        /// The rule.
        source: payload::Error,
    },
    /// The envelope would not be read by anybody.
    #[error("the envelope of the {kind} is not valid")]
    Envelope {
        /// The payload's type.
        kind: &'static str,
        /// The rule.
        source: InvalidEnvelope,
    },
}

/// Signs a root with all of `keys` and gives the envelope.
///
/// # Errors
/// When readers would refuse the root or its envelope for their shape. Whether these keys suffice is not checked.
pub fn sign_root(root: &Root, keys: &[&SecretKey]) -> Result<Vec<u8>, SignError> {
    sign(root, keys)
}

/// Signs a head with all of `keys` and gives the envelope.
///
/// # Errors
/// As [`sign_root`].
pub fn sign_head(head: &Head, keys: &[&SecretKey]) -> Result<Vec<u8>, SignError> {
    sign(head, keys)
}

fn sign<T: Payload>(payload: &T, keys: &[&SecretKey]) -> Result<Vec<u8>, SignError> {
    let bytes = payload.to_bytes().map_err(|source| SignError::Payload { kind: T::TYPE, source })?;
    let mut envelope = Envelope::unsigned::<T>(bytes);
    let pae = envelope.pae();
    for key in keys {
        envelope.push(key.sign(&pae));
    }
    envelope.to_bytes().map_err(|source| SignError::Envelope { kind: T::TYPE, source })
}

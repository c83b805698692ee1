//! The envelope around everything that is signed: DSSE v1 (github.com/secure-systems-lab/dsse).
//!
//! The exact payload bytes are signed, so no canonical JSON is needed. An envelope proves nothing by itself:
//! [`Envelope::signers`] counts, `policy` and `roots` judge.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::key::PublicKey;
use crate::{
    format::{
        json,
        payload::{self, MAX_BYTES, Payload},
        root::KeyBytes,
    },
    types::Hash,
};

/// Most signatures that an envelope may carry.
pub(super) const MAX_SIGNATURES: usize = 16;

/// A payload with signatures over its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose it says it is: a hint, never believed.
    pub keyid: String,
    /// The signature; 64 bytes if it is one of Ed25519.
    pub sig: Vec<u8>,
}

/// Bytes that are not an envelope of the kind that was expected.
#[derive(Debug, Error)]
pub enum InvalidEnvelope {
    /// Not JSON, or not of this shape.
    #[error("not a signed envelope")]
    Json(#[from] json::JsonError),
    /// Base64 that is not standard, padded base64.
    #[error("{field} is not base64")]
    Base64 {
        /// The field.
        field: &'static str,
        /// Where it fails.
        source: base64::DecodeError,
    },
    /// More signatures than anybody needs.
    #[error("{found} signatures, at most {MAX_SIGNATURES} expected")]
    TooManySignatures {
        /// How many there are.
        found: usize,
    },
    /// Signed for another purpose.
    #[error("payload type {found:?}, expected {expected:?}")]
    OtherPayloadType {
        /// The type that was asked for.
        expected: &'static str,
        /// The type that it names.
        found: String,
    },
    /// What it carries is not a payload of that type.
    #[error("the payload is not valid")]
    Payload(#[from] payload::Error),
    /// The finished envelope is longer than readers accept.
    #[error("{bytes} bytes, at most {MAX_BYTES} expected")]
    TooLong {
        /// Its length.
        bytes: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// An envelope that nobody has signed yet.
    #[must_use]
    pub fn unsigned<T: Payload>(payload: Vec<u8>) -> Self {
        Self { payload_type: T::MEDIA_TYPE.to_owned(), payload, signatures: Vec::new() }
    }

    /// Reads an envelope of at most 64 KiB with at most 16 signatures. Checks none of them.
    ///
    /// # Errors
    /// [`InvalidEnvelope`] when it is anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidEnvelope> {
        let wire: Wire = json::from_slice_strict(bytes, MAX_BYTES)?;
        if wire.signatures.len() > MAX_SIGNATURES {
            return Err(InvalidEnvelope::TooManySignatures { found: wire.signatures.len() });
        }
        let payload = decode("payload", &wire.payload)?;
        let signatures = wire.signatures.into_iter().map(Signature::from_wire).collect::<Result<_, _>>()?;
        Ok(Self { payload_type: wire.payload_type, payload, signatures })
    }

    /// Writes the envelope.
    ///
    /// # Errors
    /// [`InvalidEnvelope::TooLong`] or [`InvalidEnvelope::TooManySignatures`] when nobody would read it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidEnvelope> {
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(InvalidEnvelope::TooManySignatures { found: self.signatures.len() });
        }
        let bytes = serde_json::to_vec(&self.to_wire()).expect("strings are always JSON");
        if bytes.len() as u64 > MAX_BYTES {
            return Err(InvalidEnvelope::TooLong { bytes: bytes.len() as u64 });
        }
        Ok(bytes)
    }

    /// The payload's exact bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// BLAKE3 of the payload's exact bytes.
    #[must_use]
    pub fn payload_hash(&self) -> Hash {
        Hash::of(&self.payload)
    }

    /// The signatures, none of them checked.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature.
    pub fn push(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// The bytes that signatures are over.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// Reads the payload, which nobody needs to have signed.
    ///
    /// # Errors
    /// [`InvalidEnvelope`] when the payload type or the payload is another than `T`'s.
    pub fn read<T: Payload>(&self) -> Result<T, InvalidEnvelope> {
        if self.payload_type != T::MEDIA_TYPE {
            return Err(InvalidEnvelope::OtherPayloadType {
                expected: T::MEDIA_TYPE,
                found: self.payload_type.chars().take(100).collect(),
            });
        }
        Ok(T::from_bytes(&self.payload)?)
    }

    /// How many *distinct* keys of `keys` have signed: the one loop that counts towards k of n, for roots and heads alike.
    ///
    /// A key counts once however often it signed and whatever ids it goes by; a key that is no curve point never counts.
    #[must_use]
    pub fn signers(&self, keys: impl IntoIterator<Item = KeyBytes>) -> usize {
        let pae = self.pae();
        let distinct: BTreeSet<KeyBytes> = keys.into_iter().collect();
        let has_signed = |key: &PublicKey| self.signatures.iter().any(|signature| key.verifies(&pae, &signature.sig));
        distinct.iter().filter_map(PublicKey::from_bytes).filter(has_signed).count()
    }

    fn to_wire(&self) -> Wire {
        let signatures = self.signatures.iter().map(|s| WireSignature { keyid: s.keyid.clone(), sig: STANDARD.encode(&s.sig) }).collect();
        Wire { payload_type: self.payload_type.clone(), payload: STANDARD.encode(&self.payload), signatures }
    }
}

impl Signature {
    fn from_wire(wire: WireSignature) -> Result<Self, InvalidEnvelope> {
        Ok(Self { keyid: wire.keyid, sig: decode("sig", &wire.sig)? })
    }
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, InvalidEnvelope> {
    STANDARD.decode(text).map_err(|source| InvalidEnvelope::Base64 { field, source })
}

/// DSSE's pre-authentication encoding: what is really signed.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::{head::Head, root::Root},
        trust::fixture::{head, secret, signed_head, signed_root, simple_root},
    };

    #[test]
    fn signs_the_bytes_that_the_specification_says() {
        // The test vector of DSSE v1.
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn reads_what_it_writes() {
        let bytes = signed_root(&simple_root(1), &[1, 2]);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.to_bytes().unwrap(), bytes);
        assert_eq!(envelope.read::<Root>().unwrap(), simple_root(1));
        assert_eq!(envelope.signatures().len(), 2);
    }

    #[test]
    fn counts_distinct_keys_whatever_the_ids_say() {
        let mut envelope = Envelope::parse(&signed_root(&simple_root(1), &[1, 1, 2])).unwrap();
        for signature in &mut envelope.signatures {
            signature.keyid = "anything".to_owned();
        }
        let key = |n| secret(n).public().bytes();
        assert_eq!(envelope.signers([key(1), key(1), key(3)]), 1);
        assert_eq!(envelope.signers([key(1), key(2), key(3)]), 2);
        assert_eq!(envelope.signers([key(3)]), 0);
    }

    #[test]
    fn a_key_that_is_no_point_or_a_weak_one_never_counts() {
        let envelope = Envelope::parse(&signed_root(&simple_root(1), &[1])).unwrap();
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(envelope.signers([KeyBytes([0xff; 32]), KeyBytes([0; 32]), KeyBytes(identity)]), 0);
    }

    #[test]
    fn a_signature_is_for_one_purpose_only() {
        let envelope = Envelope::parse(&signed_root(&simple_root(1), &[1])).unwrap();
        assert!(matches!(envelope.read::<Head>(), Err(InvalidEnvelope::OtherPayloadType { .. })));
        let mut relabelled = envelope;
        relabelled.payload_type = Head::MEDIA_TYPE.to_owned();
        assert_eq!(relabelled.signers([secret(1).public().bytes()]), 0);
    }

    #[test]
    fn refuses_more_than_the_bounds_allow() {
        let many: Vec<u8> = (1..=17).collect();
        let sign = |keys: &[u8]| {
            let keys: Vec<_> = keys.iter().map(|n| secret(*n)).collect();
            crate::trust::sign_root(&simple_root(1), &keys.iter().collect::<Vec<_>>())
        };
        assert!(sign(&many[..16]).is_ok());
        assert!(sign(&many).is_err());
        let long = [signed_root(&simple_root(1), &[1]), vec![b' '; 64 << 10]].concat();
        assert!(matches!(Envelope::parse(&long), Err(InvalidEnvelope::Json(json::JsonError::TooLong { .. }))));
    }

    proptest! {
        #[test]
        fn no_changed_byte_keeps_the_signature(at in 0..2000_usize, bit in 0..8_u8) {
            let bytes = signed_head(&head(Hash::of(b"repo"), 1), &[2]);
            let mut changed = bytes.clone();
            let at = at % changed.len();
            changed[at] ^= 1 << bit;
            // Changing the id or the spelling of the envelope is harmless, as long as the payload is the signed one.
            if let Ok(envelope) = Envelope::parse(&changed)
                && envelope.signers([secret(2).public().bytes()]) == 1
            {
                prop_assert_eq!(envelope.payload_hash(), Envelope::parse(&bytes).unwrap().payload_hash());
            }
        }
    }
}

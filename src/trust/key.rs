//! Ed25519 keys (RFC 8032): what signs and what verifies, and the text forms of both.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::envelope::Signature;
use crate::{format::root::KeyBytes, types::Hash};

/// Longest key file, bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 10;

const FORMAT: &str = "qsync-key/1";

/// What precedes the 32 bytes of a key in DER (RFC 8410): SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Short name of a key: the first 16 hex digits of the BLAKE3 of its public half.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id of a public key.
    #[must_use]
    pub fn of(key: &KeyBytes) -> Self {
        Self(hex::encode(&Hash::of(&key.0).as_bytes()[..8]))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public half of a key: a point on the curve, and not one of the weak ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// `None` when the bytes are no point or a weak one, for which anybody can make signatures.
    #[must_use]
    pub fn from_bytes(bytes: &KeyBytes) -> Option<Self> {
        VerifyingKey::from_bytes(&bytes.0).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// Whether `sig` is this key's signature of exactly `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], sig: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(sig).is_ok_and(|sig| self.0.verify_strict(message, &sig).is_ok())
    }

    /// The key as bytes.
    #[must_use]
    pub fn bytes(&self) -> KeyBytes {
        KeyBytes(self.0.to_bytes())
    }

    /// The key as PEM (`SubjectPublicKeyInfo`, RFC 8410), as stock tools read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SPKI_PREFIX[..], self.0.as_bytes()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }
}

/// A key that signs. Wiped from memory when dropped, and never shown.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed, which should come from a source fit for keys. The caller wipes the seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.public().bytes())
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature { keyid: self.id().to_string(), sig: self.0.sign(message).to_bytes().to_vec() }
    }

    /// The text of a key file: one line of JSON, `{"format":"qsync-key/1","algorithm":"ed25519","encryption":"none","public":…,"seed":…}`.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let seed = Zeroizing::new(hex::encode(self.0.as_bytes()));
        let public = hex::encode(self.0.verifying_key().as_bytes());
        let wire = FileWire { format: FORMAT, algorithm: "ed25519", encryption: "none", public: &public, seed: &seed };
        // Of the final size from the start: growing would leave copies of the seed behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(512));
        serde_json::to_writer(&mut *bytes, &wire).expect("strings are always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`InvalidKeyFile`] when it is not one, or one that this program cannot use.
    pub fn from_file(bytes: &[u8]) -> Result<Self, InvalidKeyFile> {
        // Borrowed from `bytes`: no copy of the seed is made that nobody wipes. The error is dropped, since it could quote the seed.
        let wire: FileWire<'_> = serde_json::from_slice(bytes).map_err(|_| InvalidKeyFile::Json)?;
        wire.check()?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(wire.seed, &mut *seed).map_err(|_| InvalidKeyFile::Seed)?;
        let key = Self::from_seed(&seed);
        seed.zeroize();
        if hex::encode(key.public().bytes().0) == wire.public { Ok(key) } else { Err(InvalidKeyFile::OtherPublic) }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id())
    }
}

/// Text that is not a usable key file. Never quotes it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidKeyFile {
    /// Not JSON, or not of this shape.
    #[error("not a key file")]
    Json,
    /// Of a format that this program does not know.
    #[error("format {0:?}, this qsync reads {FORMAT:?}: a newer release is needed")]
    OtherFormat(String),
    /// Of an algorithm that this program does not know.
    #[error("algorithm {0:?}, expected \"ed25519\"")]
    OtherAlgorithm(String),
    /// Encrypted in a way that this program does not know.
    #[error("encryption {0:?}, this qsync reads \"none\": a newer release is needed")]
    Encrypted(String),
    /// The seed is not 64 hex digits.
    #[error("the seed is not 64 hex digits")]
    Seed,
    /// The two halves do not belong together.
    #[error("the public key is not that of the seed")]
    OtherPublic,
}

#[derive(Serialize, Deserialize)]
struct FileWire<'a> {
    format: &'a str,
    algorithm: &'a str,
    encryption: &'a str,
    public: &'a str,
    seed: &'a str,
}

impl FileWire<'_> {
    fn check(&self) -> Result<(), InvalidKeyFile> {
        match (self.format, self.algorithm, self.encryption) {
            (FORMAT, "ed25519", "none") => Ok(()),
            (FORMAT, "ed25519", other) => Err(InvalidKeyFile::Encrypted(other.to_owned())),
            (FORMAT, other, _) => Err(InvalidKeyFile::OtherAlgorithm(other.to_owned())),
            (other, ..) => Err(InvalidKeyFile::OtherFormat(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    #[test]
    fn reads_the_key_file_it_writes() {
        let file = secret().to_file();
        assert_eq!(SecretKey::from_file(&file).unwrap().id(), secret().id());
        assert!(file.len() <= 512);
    }

    // AW-11
    #[test]
    fn never_shows_the_seed() {
        let seed = hex::encode([7; 32]);
        assert_eq!(format!("{:?}", secret()), format!("SecretKey({})", secret().id()));
        let damaged = String::from_utf8(secret().to_file().to_vec()).unwrap().replace("ed25519", "rsa");
        let error = SecretKey::from_file(damaged.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&seed));
        let cut = SecretKey::from_file(&damaged.as_bytes()[..damaged.len() - 3]).unwrap_err();
        assert!(!format!("{cut} {cut:?}").contains(&seed));
    }

    #[test]
    fn refuses_what_it_cannot_use_and_says_what() {
        let text = String::from_utf8(secret().to_file().to_vec()).unwrap();
        let other = hex::encode(SecretKey::from_seed(&[8; 32]).public().bytes().0);
        let own = hex::encode(secret().public().bytes().0);
        let refused = |from: &str, to: &str| SecretKey::from_file(text.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(refused("qsync-key/1", "qsync-key/2"), InvalidKeyFile::OtherFormat("qsync-key/2".to_owned()));
        assert_eq!(refused("\"none\"", "\"age\""), InvalidKeyFile::Encrypted("age".to_owned()));
        assert_eq!(refused("ed25519", "rsa"), InvalidKeyFile::OtherAlgorithm("rsa".to_owned()));
        assert_eq!(refused(&own, &other), InvalidKeyFile::OtherPublic);
        assert_eq!(refused(&hex::encode([7; 32]), "zz"), InvalidKeyFile::Seed);
        assert_eq!(SecretKey::from_file(b"").unwrap_err(), InvalidKeyFile::Json);
    }

    #[test]
    fn signs_as_the_standard_says() {
        // RFC 8032, 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let key = SecretKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        assert_eq!(hex::encode(key.sign(b"").sig), expected);
        assert!(key.public().verifies(b"", &hex::decode(expected).unwrap()));
        assert!(!key.public().verifies(b"x", &hex::decode(expected).unwrap()));
        assert!(!key.public().verifies(b"", &hex::decode(expected).unwrap()[..63]));
    }
}

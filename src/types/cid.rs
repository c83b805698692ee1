//! The name of a block on IPFS: a BLAKE3 value, and how the block's bytes are to be read.

use std::{fmt, str::FromStr};

use cid::{Cid as AnyCid, Version, multihash::Multihash};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Hash;

/// The multicodec of BLAKE3 with 32 bytes.
const BLAKE3: u64 = 0x1e;

/// How the bytes of a block are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// They are content.
    Raw,
    /// They are a node with links: of a file's tree, or a directory.
    DagPb,
}

impl Codec {
    const fn multicodec(self) -> u64 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
        }
    }
}

/// A content identifier as qsync makes them: version 1, codec raw or dag-pb, BLAKE3 with 32 bytes. Written in base 32, like `bafkr4i…`.
///
/// Source: the CID specification of multiformats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cid {
    codec: Codec,
    hash: Hash,
}

/// Text or bytes that are not a [`Cid`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidCid {
    /// Not a CID at all.
    #[error("not a CID: {text:?}: {reason}")]
    Malformed {
        /// What was given, cut.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A CID of version 0, which is SHA-256 by definition.
    #[error("a CID of version 0 ({0}): snapshots have version 1, with BLAKE3")]
    Version0(String),
    /// Of a codec that no snapshot has.
    #[error("a CID with codec 0x{found:x}: snapshots have dag-pb (0x70), their chunks raw (0x55)")]
    OtherCodec {
        /// The codec.
        found: u64,
    },
    /// Of another hash function.
    #[error("a CID with hash function 0x{found:x} of {bytes} bytes: snapshots have BLAKE3 (0x1e) of 32 bytes")]
    OtherHash {
        /// The hash function.
        found: u64,
        /// The length of its value, bytes.
        bytes: u8,
    },
}

impl Cid {
    /// Length in bytes.
    pub const BYTES: usize = 36;

    /// The name of a block whose bytes have this hash.
    #[must_use]
    pub const fn new(codec: Codec, hash: Hash) -> Self {
        Self { codec, hash }
    }

    /// How the block is to be read.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// BLAKE3 of the block's bytes.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.any().to_bytes()
    }

    /// The same for code that knows CIDs of every kind.
    #[must_use]
    pub fn any(&self) -> AnyCid {
        let hash = Multihash::wrap(BLAKE3, self.hash.as_bytes()).expect("32 bytes fit into 64");
        AnyCid::new_v1(self.codec.multicodec(), hash)
    }
}

impl TryFrom<AnyCid> for Cid {
    type Error = InvalidCid;

    fn try_from(any: AnyCid) -> Result<Self, InvalidCid> {
        if any.version() == Version::V0 {
            return Err(InvalidCid::Version0(any.to_string()));
        }
        let codec = [Codec::Raw, Codec::DagPb].into_iter().find(|codec| codec.multicodec() == any.codec());
        let codec = codec.ok_or(InvalidCid::OtherCodec { found: any.codec() })?;
        let other_hash = || InvalidCid::OtherHash { found: any.hash().code(), bytes: any.hash().size() };
        let digest: [u8; Hash::BYTES] = any.hash().digest().try_into().map_err(|_| other_hash())?;
        if any.hash().code() != BLAKE3 {
            return Err(other_hash());
        }
        Ok(Self { codec, hash: Hash::from_bytes(digest) })
    }
}

impl FromStr for Cid {
    type Err = InvalidCid;

    fn from_str(text: &str) -> Result<Self, InvalidCid> {
        let any = AnyCid::try_from(text)
            .map_err(|error| InvalidCid::Malformed { text: text.chars().take(100).collect(), reason: error.to_string() })?;
        any.try_into()
    }
}

impl TryFrom<String> for Cid {
    type Error = InvalidCid;

    fn try_from(text: String) -> Result<Self, InvalidCid> {
        text.parse()
    }
}

impl From<Cid> for String {
    fn from(cid: Cid) -> Self {
        cid.to_string()
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any().fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for codec in [Codec::Raw, Codec::DagPb] {
            let cid = Cid::new(codec, Hash::of(b"block"));
            assert_eq!(cid.to_string().parse(), Ok(cid));
            assert_eq!(cid.to_bytes().len(), Cid::BYTES);
            assert_eq!(AnyCid::try_from(cid.to_bytes()).unwrap().try_into(), Ok(cid));
        }
        assert!(Cid::new(Codec::Raw, Hash::of(b"")).to_string().starts_with("bafkr4i"));
        assert!(Cid::new(Codec::DagPb, Hash::of(b"")).to_string().starts_with("bafyb4i"));
    }

    #[test]
    fn any_base_names_the_same_block() {
        let cid = Cid::new(Codec::Raw, Hash::of(b"block"));
        let base58 = cid.any().to_string_of_base(cid::multibase::Base::Base58Btc).unwrap();
        assert_eq!(base58.parse(), Ok(cid));
    }

    #[test]
    fn refuses_what_no_snapshot_has_and_says_what_it_is() {
        let parse = |text: &str| text.parse::<Cid>().unwrap_err();
        assert!(matches!(parse("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"), InvalidCid::Version0(_)));
        assert_eq!(parse("bafybeifx7yeb55armcsxwwitkymga5xf53dxiarykms3ygqic223w5sk3m"), InvalidCid::OtherHash { found: 0x12, bytes: 32 });
        assert_eq!(parse("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"), InvalidCid::OtherCodec { found: 0x71 });
        for text in ["", "cat.jpg", "bafkr4i", &"b".repeat(1000)] {
            assert!(matches!(parse(text), InvalidCid::Malformed { .. }), "{text}");
        }
    }
}

//! The chain of roots: from the pinned repository to the keys that count now (rules 1 and 2).

use thiserror::Error;

use super::{
    envelope::{Envelope, InvalidEnvelope},
    verified::Verified,
};
use crate::{
    format::root::{Role, Root},
    types::Hash,
};

/// Roots 1 to n of a repository, each signed by its own keys and by those of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootChain {
    repo: Hash,
    earlier: Vec<Verified<Root>>,
    newest: Verified<Root>,
}

/// A root that does not continue a chain.
#[derive(Debug, Error)]
pub enum RootDefect {
    /// It is no root at all.
    #[error("not a root")]
    Envelope(#[from] InvalidEnvelope),
    /// It is the first root of another repository.
    #[error("the first root of b3:{found}, expected b3:{expected}")]
    OtherRepo {
        /// The pinned repository.
        expected: Hash,
        /// The one it starts.
        found: Hash,
    },
    /// A root is missing in between, or it is an old one.
    #[error("root version {found}, expected {expected}")]
    OtherVersion {
        /// The version that comes next.
        expected: u32,
        /// Its version.
        found: u32,
    },
    /// Too few keys of the root before it have signed it.
    #[error("signed by {found} keys of root {version}, {expected} expected")]
    TooFewSigners {
        /// Which root's keys were counted.
        version: u32,
        /// That root's threshold.
        expected: u32,
        /// How many of its keys have signed.
        found: usize,
    },
}

/// The repository that begins with this root: BLAKE3 of its payload.
///
/// # Errors
/// When it is no root, not version 1, or not signed by its own keys.
pub fn repo_of(envelope: &[u8]) -> Result<(Hash, Root), RootDefect> {
    let root = read_first(envelope)?;
    Ok((root.hash(), root.into_inner()))
}

impl RootChain {
    /// The chain that begins with this root.
    ///
    /// # Errors
    /// When it is not root 1 of `repo`, signed by its own keys.
    pub fn start(repo: Hash, envelope: &[u8]) -> Result<Self, RootDefect> {
        let newest = read_first(envelope)?;
        match newest.hash() {
            found if found == repo => Ok(Self { repo, earlier: Vec::new(), newest }),
            found => Err(RootDefect::OtherRepo { expected: repo, found }),
        }
    }

    /// The chain of these roots, oldest first; `None` when there are none.
    ///
    /// # Errors
    /// When one of them does not continue the chain.
    pub fn from_envelopes(repo: Hash, envelopes: &[Vec<u8>]) -> Result<Option<Self>, RootDefect> {
        let Some((first, rest)) = envelopes.split_first() else { return Ok(None) };
        let mut chain = Self::start(repo, first)?;
        for envelope in rest {
            chain.push(envelope)?;
        }
        Ok(Some(chain))
    }

    /// Adds the next root.
    ///
    /// # Errors
    /// When it is not the next version, signed by the keys of both the newest root and itself. The chain is then unchanged.
    pub fn push(&mut self, envelope: &[u8]) -> Result<(), RootDefect> {
        let next = self.read_next(envelope)?;
        self.earlier.push(std::mem::replace(&mut self.newest, next));
        Ok(())
    }

    /// Reads the root that would come next.
    pub(super) fn read_next(&self, bytes: &[u8]) -> Result<Verified<Root>, RootDefect> {
        let envelope = Envelope::parse(bytes)?;
        let root: Root = envelope.read()?;
        check_version(&root, self.next_version())?;
        check_signers(&envelope, &self.newest, &self.newest.root)?;
        check_signers(&envelope, &root, &root.root)?;
        Ok(Verified::new(root, bytes.to_vec(), envelope.payload_hash()))
    }

    /// The repository: BLAKE3 of the payload of root 1.
    #[must_use]
    pub fn repo(&self) -> Hash {
        self.repo
    }

    /// The root whose keys count now.
    #[must_use]
    pub fn newest(&self) -> &Verified<Root> {
        &self.newest
    }

    /// The version that would come next.
    #[must_use]
    pub fn next_version(&self) -> u32 {
        self.newest.version.saturating_add(1)
    }

    /// The exact envelopes, oldest first.
    pub fn envelopes(&self) -> impl Iterator<Item = &[u8]> {
        self.roots().map(Verified::bytes)
    }

    /// All roots, oldest first.
    pub fn roots(&self) -> impl Iterator<Item = &Verified<Root>> {
        self.earlier.iter().chain([&self.newest])
    }
}

fn read_first(bytes: &[u8]) -> Result<Verified<Root>, RootDefect> {
    let envelope = Envelope::parse(bytes)?;
    let root: Root = envelope.read()?;
    check_version(&root, 1)?;
    check_signers(&envelope, &root, &root.root)?;
    Ok(Verified::new(root, bytes.to_vec(), envelope.payload_hash()))
}

fn check_version(root: &Root, expected: u32) -> Result<(), RootDefect> {
    if root.version == expected { Ok(()) } else { Err(RootDefect::OtherVersion { expected, found: root.version }) }
}

fn check_signers(envelope: &Envelope, root: &Root, role: &Role) -> Result<(), RootDefect> {
    let found = envelope.signers(root.keys_of(role));
    if found >= role.threshold as usize {
        return Ok(());
    }
    Err(RootDefect::TooFewSigners { version: root.version, expected: role.threshold, found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::fixture::{head, repo, role, root, secret, signed_head, signed_root, simple_root};

    fn two_of_three(version: u32) -> Root {
        root(version, role(&[1, 2, 3], 2), role(&[4], 1), &[1, 2, 3, 4])
    }

    fn chain(first: &Root, keys: &[u8]) -> RootChain {
        let envelope = signed_root(first, keys);
        RootChain::start(repo(&envelope), &envelope).unwrap()
    }

    #[test]
    fn begins_with_the_pinned_root_only() {
        let envelope = signed_root(&simple_root(1), &[1]);
        assert!(RootChain::start(repo(&envelope), &envelope).is_ok());
        assert!(matches!(RootChain::start(Hash::of(b"other"), &envelope), Err(RootDefect::OtherRepo { .. })));
        let unsigned = signed_root(&simple_root(1), &[2]);
        assert!(matches!(RootChain::start(repo(&unsigned), &unsigned), Err(RootDefect::TooFewSigners { found: 0, .. })));
        let second = signed_root(&simple_root(2), &[1]);
        assert!(matches!(RootChain::start(repo(&second), &second), Err(RootDefect::OtherVersion { expected: 1, found: 2 })));
        let head = signed_head(&head(Hash::of(b"r"), 1), &[1]);
        assert!(matches!(RootChain::start(repo(&head), &head), Err(RootDefect::Envelope(_))));
    }

    // AW-10, HM-16
    #[test]
    fn a_rotation_needs_the_thresholds_of_both_roots() {
        let new = root(2, role(&[3, 5, 6], 2), role(&[4], 1), &[3, 4, 5, 6]);
        let table: [(&[u8], bool); 7] = [
            (&[1, 2, 5, 6], true),
            (&[1, 3, 5], true), // key 3 counts for both
            (&[5, 6], false),   // the new keys alone
            (&[1, 2], false),   // the old keys alone
            (&[1, 5, 6], false),
            (&[1, 1, 5, 6], false), // one old key twice
            (&[1, 2, 5, 5], false),
        ];
        for (signers, expected) in table {
            let mut chain = chain(&two_of_three(1), &[1, 2]);
            assert_eq!(chain.push(&signed_root(&new, signers)).is_ok(), expected, "{signers:?}");
            assert_eq!(chain.newest().version, if expected { 2 } else { 1 });
        }
    }

    // HM-16
    #[test]
    fn refuses_a_version_that_is_not_the_next() {
        for version in [1, 3, u32::MAX] {
            let defect = chain(&two_of_three(1), &[1, 2]).push(&signed_root(&two_of_three(version), &[1, 2])).unwrap_err();
            assert!(matches!(defect, RootDefect::OtherVersion { expected: 2, .. }), "{version}");
        }
    }

    // HM-16
    #[test]
    fn two_signatures_of_one_key_under_two_ids_count_once() {
        let payload = crate::format::payload::Payload::to_bytes(&two_of_three(2)).unwrap();
        let mut envelope = Envelope::unsigned::<Root>(payload);
        let mut signature = secret(1).sign(&envelope.pae());
        envelope.push(signature.clone());
        signature.keyid = secret(2).id().to_string();
        envelope.push(signature);
        let defect = chain(&two_of_three(1), &[1, 2]).push(&envelope.to_bytes().unwrap()).unwrap_err();
        assert!(matches!(defect, RootDefect::TooFewSigners { expected: 2, found: 1, .. }));
    }

    #[test]
    fn is_read_again_from_its_envelopes() {
        let mut chain = chain(&two_of_three(1), &[1, 2]);
        chain.push(&signed_root(&two_of_three(2), &[2, 3])).unwrap();
        let envelopes: Vec<_> = chain.envelopes().map(<[u8]>::to_vec).collect();
        assert_eq!(RootChain::from_envelopes(chain.repo(), &envelopes).unwrap(), Some(chain.clone()));
        assert!(RootChain::from_envelopes(chain.repo(), &envelopes[1..]).is_err());
        assert_eq!(RootChain::from_envelopes(chain.repo(), &[]).unwrap(), None);
    }
}

//! Who may publish: keys, signed envelopes, the chain of roots, and the rules by which a head is accepted or refused.
//!
//! Pure: the time, what was seen before and what is on offer are passed in; [`decide`] says what follows.
//! [`Verified`] is made here only, so a value of that type *is* the proof that the signatures were checked.
//! `docs/trust.md` states the rules for people; their numbers are the same.

mod envelope;
#[cfg(test)]
pub(crate) mod fixture;
mod key;
mod manifest;
mod offer;
mod policy;
mod refusal;
mod roots;
mod sign;
mod state;
mod verified;

pub use envelope::{Envelope, InvalidEnvelope, Signature};
pub use key::{InvalidKeyFile, KeyId, MAX_FILE_BYTES as MAX_KEY_FILE_BYTES, PublicKey, SecretKey};
pub use manifest::{ManifestDefect, verify_manifest};
pub use offer::{Answer, Offer};
pub use policy::{
    Accepted, Decision, Inputs, MAX_NEW_ROOTS, RELEASE_DATE, Standing, begin_chain, check_clock, check_current, check_head, choose_repo,
    decide, extend_chain,
};
pub use refusal::{ClockProof, Distrust, Reason, Refusal, SourceReason};
pub use roots::{RootChain, RootDefect, repo_of};
pub use sign::{SignError, sign_head, sign_root};
pub use state::RepoState;
pub use verified::Verified;

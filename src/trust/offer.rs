//! What sources answer when they are asked for a root or a head.

use super::refusal::{Reason, SourceReason};
use crate::types::CredentialFault;

/// What a source answered when it was asked for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The source's name.
    pub source: String,
    /// Its answer.
    pub answer: Answer,
}

/// An answer to the question for a root or a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Bytes.
    Object(Vec<u8>),
    /// It has no such object.
    Absent,
    /// It has one that cannot be what was asked for, for example for its length.
    Unfit(String),
    /// It refuses this user.
    Denied(String),
    /// It does not learn, or does not believe, who this user is.
    Credentials {
        /// What is wrong with them.
        fault: CredentialFault,
        /// What it said.
        what: String,
    },
    /// There is no such source at all.
    NoStore(String),
    /// It could not be reached, or not in time.
    Failed(String),
}

impl Answer {
    /// The bytes, or the reason why there are none; `unfit` says what it was that did not do.
    pub(super) fn object(&self, unfit: fn(String) -> Reason) -> Result<&[u8], Reason> {
        match self {
            Self::Object(bytes) => Ok(bytes),
            Self::Absent => Err(Reason::Absent),
            Self::Unfit(what) => Err(unfit(what.clone())),
            Self::Denied(what) => Err(Reason::Denied { what: what.clone() }),
            Self::Credentials { fault, what } => Err(Reason::Credentials { fault: *fault, what: what.clone() }),
            Self::NoStore(what) => Err(Reason::NoStore { what: what.clone() }),
            Self::Failed(what) => Err(Reason::Network { what: what.clone() }),
        }
    }
}

/// The bytes on offer.
pub(super) fn objects(offers: &[Offer]) -> impl Iterator<Item = &[u8]> {
    offers.iter().filter_map(|offer| offer.answer.object(|what| Reason::NotARoot { what }).ok())
}

/// Why no offer of a root will do, where `of_object` judges the bytes.
pub(super) fn reasons(offers: &[Offer], of_object: impl Fn(&[u8]) -> Reason) -> Vec<SourceReason> {
    let reason = |offer: &Offer| offer.answer.object(|what| Reason::NotARoot { what }).map_or_else(|reason| reason, &of_object);
    offers.iter().map(|offer| SourceReason { source: offer.source.clone(), reason: reason(offer) }).collect()
}

/// What bytes that cannot be read are, as far as one can see: captive portals and directory listings answer everything with a page.
pub(super) fn describe(error: &dyn std::error::Error, bytes: &[u8]) -> String {
    let looks = if bytes.trim_ascii_start().starts_with(b"<") { "looks like a web page, " } else { "" };
    format!("{looks}{} bytes; {}", bytes.len(), chain_text(error))
}

/// An error with all that lies below it, for the one line that a source gets.
pub(super) fn chain_text(error: &dyn std::error::Error) -> String {
    let below = std::iter::successors(error.source(), |error| error.source());
    below.fold(error.to_string(), |text, below| format!("{text}: {below}"))
}

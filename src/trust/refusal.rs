//! Why a head is refused: one variant, one code, one text and one hint for each reason (rule 7).

use std::fmt;

use thiserror::Error;

use crate::types::{CredentialFault, Hash, Timestamp};

/// No head could be accepted: the gravest reason, and the reason of each source.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct Refusal {
    /// The gravest of all reasons.
    pub reason: Reason,
    /// What each source offered, in the order of the sources; empty where no source is to blame.
    pub sources: Vec<SourceReason>,
}

/// Why nothing of one source could be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReason {
    /// The source's name.
    pub source: String,
    /// The reason.
    pub reason: Reason,
}

impl fmt::Display for SourceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

/// One reason to refuse.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    /// The local clock is behind a moment that is certainly past.
    #[error("the clock of this machine is wrong: it says {now}, but it is later than {not_before} ({proof})")]
    Clock {
        /// What the clock says.
        now: Timestamp,
        /// A moment that is past.
        not_before: Timestamp,
        /// How that is known.
        proof: ClockProof,
    },
    /// What this machine has stored about the repository does not hold together.
    #[error("the stored trust state of b3:{repo} is damaged: {problem}")]
    State {
        /// The repository.
        repo: Hash,
        /// What is wrong.
        problem: String,
    },
    /// The sources offer repositories, but none that is pinned.
    #[error("no repository on offer is trusted on this machine: found {}", list_repos(found))]
    UnknownRepo {
        /// What is on offer: id and name.
        found: Vec<(Hash, String)>,
    },
    /// The sources offer more than one pinned repository.
    #[error("the sources offer more than one trusted repository: {}", list_ids(repos))]
    RepoConflict {
        /// Those that are pinned and on offer.
        repos: Vec<Hash>,
    },
    /// The pinned repository is not on offer, another one is.
    #[error("another repository than the pinned one: expected b3:{pinned}, found b3:{found}")]
    PinMismatch {
        /// The pinned repository.
        pinned: Hash,
        /// The one on offer.
        found: Hash,
    },
    /// Two different payloads are validly signed under one number.
    #[error("equivocation: two different, validly signed {what}s with number {number}: payloads b3:{} and b3:{}", payloads.0.short(), payloads.1.short())]
    Equivocation {
        /// `head` or `root`.
        what: &'static str,
        /// The number.
        number: u64,
        /// BLAKE3 of both payloads, the smaller first.
        payloads: (Hash, Hash),
    },
    /// An older head than one that was accepted before.
    #[error("rolled back: head {offered} on offer, head {seen} was seen before")]
    Rollback {
        /// The offered number.
        offered: u64,
        /// The number that was accepted before.
        seen: u64,
    },
    /// The head needs a root that no source delivers.
    #[error("the head belongs to root version {needed}, but no source delivers a root newer than {known}")]
    RootWithheld {
        /// The version that the head names.
        needed: u32,
        /// The newest version known.
        known: u32,
    },
    /// The head is not signed by the right keys, or for something else.
    #[error("untrusted: {why}")]
    Untrusted {
        /// In what way.
        why: Distrust,
    },
    /// The newest root has expired.
    #[error("root version {version} expired on {expired}, {} ago", Span(*expired, *now))]
    RootExpired {
        /// Its version.
        version: u32,
        /// When it expired.
        expired: Timestamp,
        /// The time now.
        now: Timestamp,
    },
    /// The head claims to be signed later than now.
    #[error("head {seq} was issued {}, {} after the time of this machine", issued, Span(*now, *issued))]
    FromFuture {
        /// Its number.
        seq: u64,
        /// When it says that it was signed.
        issued: Timestamp,
        /// The time now.
        now: Timestamp,
    },
    /// The head has expired.
    #[error("head {seq} expired on {expired}, {} ago", Span(*expired, *now))]
    Expired {
        /// Its number.
        seq: u64,
        /// When it expired.
        expired: Timestamp,
        /// The time now.
        now: Timestamp,
    },
    /// What the source sent is no head.
    #[error("not a qsync head: {what}")]
    NotAHead {
        /// What it is instead.
        what: String,
    },
    /// What the source sent is no root.
    #[error("not a qsync root: {what}")]
    NotARoot {
        /// What it is instead.
        what: String,
    },
    /// The source refuses this user.
    #[error("access denied: {what}")]
    Denied {
        /// What the source said.
        what: String,
    },
    /// The source does not learn, or does not believe, who this user is.
    #[error("{what}")]
    Credentials {
        /// What is wrong with the credentials.
        fault: CredentialFault,
        /// What the source said.
        what: String,
    },
    /// There is no such source.
    #[error("{what}")]
    NoStore {
        /// What was found in its place.
        what: String,
    },
    /// The source could not be read.
    #[error("not reachable: {what}")]
    Network {
        /// What went wrong.
        what: String,
    },
    /// The source has none.
    #[error("no such channel there")]
    Absent,
}

/// In what way a head is untrusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Distrust {
    /// Too few of the root's publish keys have signed it.
    #[error("signed by {found} publish keys of root version {version}, {expected} expected")]
    TooFewSigners {
        /// The root.
        version: u32,
        /// Its threshold.
        expected: u32,
        /// How many have signed.
        found: usize,
    },
    /// It is a head of another repository.
    #[error("a head of repository b3:{found}")]
    OtherRepo {
        /// Which.
        found: Hash,
    },
    /// It is a head of another channel.
    #[error("a head of channel {found}")]
    OtherChannel {
        /// Which.
        found: String,
    },
    /// The root does not allow this channel.
    #[error("root version {version} does not allow heads of this channel")]
    ChannelNotAllowed {
        /// The root.
        version: u32,
    },
}

/// How it is known that a moment is past.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ClockProof {
    /// This program did not exist before.
    #[error("the release date of this qsync")]
    Release,
    /// A head that was accepted had been signed then.
    #[error("the newest signed time seen so far, less ten minutes")]
    Seen,
}

impl Reason {
    /// The stable code of the reason (docs/scripting.md).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Clock { .. } => "clock",
            Self::State { .. } => "state",
            Self::UnknownRepo { .. } => "unknown-repo",
            Self::RepoConflict { .. } => "repo-conflict",
            Self::PinMismatch { .. } => "pin-mismatch",
            Self::Equivocation { .. } => "equivocation",
            Self::Rollback { .. } => "rollback",
            Self::RootWithheld { .. } => "root-withheld",
            Self::Untrusted { .. } => "untrusted",
            Self::RootExpired { .. } => "root-expired",
            Self::FromFuture { .. } => "from-future",
            Self::Expired { .. } => "expired",
            Self::NotAHead { .. } => "not-a-head",
            Self::NotARoot { .. } => "not-a-root",
            Self::Denied { .. } => "denied",
            Self::Credentials { fault, .. } => fault.code(),
            Self::NoStore { .. } => "no-such-store",
            Self::Network { .. } => "network",
            Self::Absent => "absent",
        }
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Clock { .. } => "set the clock (for example: timedatectl set-ntp true) and run the same command again".to_owned(),
            Self::State { repo, .. } => {
                format!(
                    "qsync trust reset b3:{repo} forgets what was seen, and with it the protection from old data; then: qsync trust add b3:{repo}"
                )
            }
            Self::UnknownRepo { found } => match found.as_slice() {
                [(repo, _)] => format!("compare the id with the one the publisher announces, then add: --trust b3:{repo}"),
                _ => "compare the ids with the one the publisher announces, then add --trust with that one".to_owned(),
            },
            Self::RepoConflict { .. } => "say which one is meant: --trust b3:…, or, to publish, name a store of it with --to".to_owned(),
            Self::PinMismatch { .. } => "check the address of the source and the pinned id: qsync trust list".to_owned(),
            Self::Equivocation { .. } => {
                "the publisher's keys may be in other hands: do not go on, and tell the publisher both payload hashes".to_owned()
            }
            Self::Rollback { .. } => "the source serves old data: use another source, or try again later".to_owned(),
            Self::RootWithheld { .. } => "use another source: this one does not deliver the newest keys".to_owned(),
            Self::Untrusted { .. } => "the source serves something else than the pinned repository signed: use another source".to_owned(),
            Self::RootExpired { .. } => "the publisher has to sign a new root: tell the publisher".to_owned(),
            Self::FromFuture { .. } => "check the clock of this machine; if it is right, the publisher's is wrong".to_owned(),
            Self::Expired { .. } => {
                "the publisher is silent or the source is out of date: use another source, or try again later".to_owned()
            }
            Self::NotAHead { .. } | Self::NotARoot { .. } => {
                "check the address of the source, and that no login page is in between".to_owned()
            }
            Self::Denied { .. } => {
                "check the credentials; if the readers of a bucket pay, add requester_pays=true to its URL; some stores answer the same for an \
                 object that does not exist"
                    .to_owned()
            }
            Self::Credentials { fault, .. } => fault.hint().to_owned(),
            Self::NoStore { .. } => "check the name of the bucket, and endpoint=… if it is not of AWS; or the CID".to_owned(),
            Self::Network { .. } => "check the connection and run the same command again".to_owned(),
            Self::Absent => "qsync list shows the channels of a source".to_owned(),
        }
    }

    /// How grave a reason is against others: the gravest is the answer (rule 7).
    pub(super) const fn gravity(&self) -> u8 {
        match self {
            Self::Clock { .. } | Self::State { .. } | Self::RepoConflict { .. } => 12,
            Self::Equivocation { .. } => 11,
            Self::Rollback { .. } => 10,
            Self::RootWithheld { .. } => 9,
            Self::Untrusted { .. } => 8,
            Self::RootExpired { .. } => 7,
            Self::PinMismatch { .. } | Self::UnknownRepo { .. } => 6,
            Self::FromFuture { .. } => 5,
            Self::Expired { .. } => 4,
            Self::NotAHead { .. } | Self::NotARoot { .. } => 3,
            Self::Denied { .. } | Self::Credentials { .. } | Self::NoStore { .. } => 2,
            Self::Network { .. } => 1,
            Self::Absent => 0,
        }
    }
}

impl Refusal {
    /// A refusal that no source is to blame for.
    #[must_use]
    pub fn alone(reason: Reason) -> Self {
        Self { reason, sources: Vec::new() }
    }

    /// The gravest of what the sources offered and of `also`. Which of equally grave ones does not depend on the order of the sources.
    pub(super) fn gravest(sources: Vec<SourceReason>, also: Option<Reason>) -> Self {
        let reasons = sources.iter().map(|s| s.reason.clone()).chain(also);
        let reason = reasons.max_by_key(|reason| (reason.gravity(), reason.to_string())).unwrap_or(Reason::Absent);
        Self { reason, sources }
    }

    /// The stable code of the refusal (docs/scripting.md).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        self.reason.hint()
    }

    /// One line per source: what it offered and why that does not do.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.sources.iter().map(ToString::to_string).collect()
    }
}

fn list_ids(repos: &[Hash]) -> String {
    repos.iter().map(|repo| format!("b3:{repo}")).collect::<Vec<_>>().join(", ")
}

fn list_repos(found: &[(Hash, String)]) -> String {
    found.iter().map(|(repo, name)| format!("b3:{repo} ({name:?})")).collect::<Vec<_>>().join(", ")
}

/// The time from one moment to a later one, in its two largest units.
struct Span(Timestamp, Timestamp);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.1.duration_since(self.0).as_secs().max(0) / 60;
        match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
            (0, 0, minutes) => write!(f, "{minutes} min"),
            (0, hours, minutes) => write!(f, "{hours} h {minutes} min"),
            (days, hours, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

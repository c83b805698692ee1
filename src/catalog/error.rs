//! What can go wrong with a published store: one variant for each thing a caller can act on.

use thiserror::Error;

use super::state_dir::StateError;
use crate::{
    format::{
        head::{Release, SnapshotRef},
        store_info,
    },
    store,
    trust::{ManifestDefect, Reason, Refusal, RootDefect, SignError},
    types::{ChannelName, Cid, Forms, Hash, Timestamp, When},
};

/// A failure of the catalog. [`Error::code`] is stable (docs/scripting.md).
#[derive(Debug, Error)]
pub enum Error {
    /// No head may be used; or the repository is unknown, absent or in conflict.
    #[error("no usable head of channel {channel}")]
    Refused {
        /// The channel.
        channel: ChannelName,
        /// Why, and what each source offered.
        source: Box<Refusal>,
    },
    /// No source has the roots of a repository that is trusted.
    #[error("no usable root")]
    NoRoots(#[source] Box<Refusal>),
    /// The publisher's own roots or heads would be refused by everybody.
    #[error("nothing can be published")]
    CannotPublish(#[source] Box<Refusal>),
    /// No source has the channel.
    #[error("no such channel: {channel}")]
    UnknownChannel {
        /// The channel.
        channel: ChannelName,
        /// Channels with similar names that the sources have.
        nearest: Vec<ChannelName>,
        /// What each source answered.
        lines: Vec<String>,
    },
    /// The head names no such snapshot.
    #[error("no snapshot {when} in channel {channel}")]
    NoSuchSnapshot {
        /// The channel.
        channel: ChannelName,
        /// What was asked for.
        when: When,
        /// What there is.
        available: Vec<SnapshotRef>,
    },
    /// The newest snapshot is too old for its head to be signed again.
    #[error(
        "the newest snapshot of {channel} was taken {age_hours} h ago, at {taken_at}: after {} it shall not look new",
        humantime::format_duration(*max_age)
    )]
    TooOldToRefresh {
        /// The channel.
        channel: ChannelName,
        /// When the copy was taken.
        taken_at: Timestamp,
        /// How long ago that is.
        age_hours: u64,
        /// How old it may be.
        max_age: std::time::Duration,
    },
    /// There is no older snapshot to go back to.
    #[error("channel {channel} cannot go back: an older snapshot than the newest is needed")]
    NothingOlder {
        /// The channel.
        channel: ChannelName,
        /// What there is beside the newest.
        available: Vec<SnapshotRef>,
    },
    /// More than one snapshot has this prefix.
    #[error("{} snapshots of channel {channel} begin with {when}", found.len())]
    AmbiguousSnapshot {
        /// The channel.
        channel: ChannelName,
        /// What was asked for.
        when: When,
        /// Those that fit.
        found: Vec<SnapshotRef>,
    },
    /// The snapshot was made for a newer qsync.
    #[error("the snapshot needs qsync {needed}, this is {running}")]
    NeedsNewer {
        /// The oldest release that can restore it.
        needed: Release,
        /// This release.
        running: Release,
    },
    /// No source has a good copy of an object.
    #[error("no source has a good copy of {object}")]
    Object {
        /// The object's key.
        object: String,
        /// The gravest trouble.
        trouble: ObjectTrouble,
        /// What each source answered.
        lines: Vec<String>,
    },
    /// What a CID names is something else.
    #[error("{cid} is {why}")]
    NotASnapshot {
        /// The CID.
        cid: Cid,
        /// Not what, and what it is.
        why: String,
    },
    /// The manifest is the one that was signed, and not valid.
    #[error("the signed manifest is not valid")]
    Manifest(#[source] Box<ManifestDefect>),
    /// The store holds another repository.
    #[error("{store} holds another repository: expected b3:{expected}, found b3:{found}")]
    OtherRepo {
        /// The store.
        store: String,
        /// The repository that was expected.
        expected: Hash,
        /// The one it holds.
        found: Hash,
    },
    /// What the store says of itself cannot be read.
    #[error("{store}: store.json cannot be used")]
    StoreInfo {
        /// The store.
        store: String,
        /// Why.
        #[source]
        source: store_info::Error,
    },
    /// The store holds chunks in other forms than the user names.
    #[error("{store} holds chunks as {found}, not as {wanted}")]
    OtherForms {
        /// The store.
        store: String,
        /// What the user asks for.
        wanted: Forms,
        /// What it holds.
        found: Forms,
    },
    /// The store holds a repository whose keys are not on this machine.
    #[error("{store} already holds repository b3:{found}")]
    AlreadyInUse {
        /// The store.
        store: String,
        /// The repository it holds.
        found: Hash,
    },
    /// A root in the store is damaged or of another chain.
    #[error("{store}: root version {version} is not the one of this repository")]
    StoredRoot {
        /// The store.
        store: String,
        /// The version.
        version: u32,
        /// What is wrong with it, where it can be read at all.
        source: Option<RootDefect>,
    },
    /// There is no repository that this machine can publish to.
    #[error("no repository on this machine that these stores belong to and whose publish keys are here")]
    NoRepo,
    /// A mutable object changes faster than it can be replaced.
    #[error("{store}: {object} is being changed by others all the time")]
    Contended {
        /// The store.
        store: String,
        /// The object's key.
        object: String,
    },
    /// A head or root cannot be signed.
    #[error("cannot sign")]
    Sign(#[from] SignError),
    /// A head cannot be put together.
    #[error("cannot make the next head")]
    Plan(#[from] super::plan::PlanError),
    /// The state directory.
    #[error("the state directory cannot be used")]
    State(#[from] StateError),
    /// A store failed.
    #[error("a store failed")]
    Store(#[from] store::Error),
    /// A task of this program ended early.
    #[error("a task of qsync ended early")]
    Task(#[from] tokio::task::JoinError),
}

/// Why no source has a good copy of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectTrouble {
    /// No source has it.
    Missing,
    /// At least one could not be asked.
    Unreachable,
    /// At least one has other bytes under that name.
    Wrong,
}

impl Error {
    /// The stable code (docs/scripting.md).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { source: refusal, .. } | Self::CannotPublish(refusal) | Self::NoRoots(refusal) => refusal.code(),
            Self::UnknownChannel { .. } => "unknown-channel",
            Self::NoSuchSnapshot { .. } | Self::NothingOlder { .. } => "no-such-snapshot",
            Self::TooOldToRefresh { .. } => "snapshot-too-old",
            Self::AmbiguousSnapshot { .. } => "ambiguous-snapshot",
            Self::NeedsNewer { .. } => "needs-newer-qsync",
            Self::Manifest(defect) if defect.is_of_a_newer_release() => "needs-newer-qsync",
            Self::Object { trouble: ObjectTrouble::Missing, .. } => "object-missing",
            Self::Object { trouble: ObjectTrouble::Unreachable, .. } => "network",
            Self::Object { trouble: ObjectTrouble::Wrong, .. } => "object-wrong",
            Self::NotASnapshot { .. } => "not-a-snapshot",
            Self::Manifest(_) => "manifest-invalid",
            Self::OtherRepo { .. } => "other-repo",
            Self::OtherForms { .. } => "other-forms",
            Self::StoreInfo { source: store_info::Error::OtherFormat { .. }, .. } => "needs-newer-qsync",
            Self::StoreInfo { .. } => "store-info",
            Self::AlreadyInUse { .. } => "store-in-use",
            Self::StoredRoot { .. } => "stored-root",
            Self::NoRepo => "no-repo",
            Self::Contended { .. } => "contended",
            Self::Sign(_) | Self::Plan(_) => "cannot-sign",
            Self::State(error) => error.code(),
            Self::Store(_) => "store",
            Self::Task(_) => "internal",
        }
    }

    /// Id and name of the repository that the sources hold, when it is the only one and this machine trusts none of theirs.
    #[must_use]
    pub fn unknown_repo(&self) -> Option<(Hash, &str)> {
        let (Self::Refused { source: refusal, .. } | Self::NoRoots(refusal)) = self else { return None };
        let Reason::UnknownRepo { found } = &refusal.reason else { return None };
        let [(repo, name)] = found.as_slice() else { return None };
        Some((*repo, name))
    }

    /// What each source offered or answered, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Refused { source: refusal, .. } | Self::CannotPublish(refusal) | Self::NoRoots(refusal) => refusal.lines(),
            Self::UnknownChannel { lines, .. } | Self::Object { lines, .. } => lines.clone(),
            Self::NoSuchSnapshot { available: list, .. }
            | Self::NothingOlder { available: list, .. }
            | Self::AmbiguousSnapshot { found: list, .. } => list.iter().map(snapshot_line).collect(),
            Self::NeedsNewer { .. }
            | Self::TooOldToRefresh { .. }
            | Self::NotASnapshot { .. }
            | Self::Manifest(_)
            | Self::OtherRepo { .. }
            | Self::OtherForms { .. }
            | Self::StoreInfo { .. }
            | Self::AlreadyInUse { .. }
            | Self::StoredRoot { .. }
            | Self::NoRepo
            | Self::Contended { .. }
            | Self::Sign(_)
            | Self::Plan(_)
            | Self::State(_)
            | Self::Store(_)
            | Self::Task(_) => Vec::new(),
        }
    }

    /// What to do about it, in one line, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { source: refusal, .. } | Self::CannotPublish(refusal) | Self::NoRoots(refusal) => Some(refusal.hint()),
            Self::UnknownChannel { nearest, .. } if nearest.is_empty() => Some("qsync list shows the channels of a source".to_owned()),
            Self::UnknownChannel { nearest, .. } => {
                Some(format!("did you mean {}?", nearest.iter().map(ChannelName::as_str).collect::<Vec<_>>().join(", ")))
            }
            Self::NoSuchSnapshot { .. } => Some("only the snapshots above can still be fetched".to_owned()),
            Self::TooOldToRefresh { channel, .. } => {
                Some(format!("qsync publish {channel} makes a new one; --refresh-max-age TIME signs the old one all the same"))
            }
            Self::NothingOlder { .. } => Some("publish a good snapshot: it takes the place of the bad one".to_owned()),
            Self::AmbiguousSnapshot { .. } => Some("give more digits of the id".to_owned()),
            Self::NeedsNewer { needed, .. } => Some(format!("install qsync {needed} or newer")),
            Self::Object { .. } => Some("add another source, or try again later".to_owned()),
            Self::NotASnapshot { .. } => Some("qsync list and qsync show say which CID a snapshot has".to_owned()),
            Self::Manifest(defect) if defect.is_of_a_newer_release() => Some("install a newer qsync".to_owned()),
            Self::Manifest(_) => Some("tell the publisher".to_owned()),
            Self::OtherRepo { .. } | Self::AlreadyInUse { .. } => Some("one store holds one repository: use an empty one".to_owned()),
            Self::StoreInfo { source: store_info::Error::OtherFormat { .. }, .. } => Some("install a newer qsync".to_owned()),
            Self::StoreInfo { .. } => {
                Some("put a good copy back; or say with forms= in the URL how the store holds chunks, and it is written again".to_owned())
            }
            Self::OtherForms { .. } => {
                Some("leave out forms=, or name an empty prefix: a store keeps the forms that it began with".to_owned())
            }
            Self::StoredRoot { .. } => Some("somebody else writes to this store, or its disk is bad".to_owned()),
            Self::NoRepo => Some("qsync init makes a repository and its keys".to_owned()),
            Self::Contended { .. } => Some("another publisher is at work: run the same command again later".to_owned()),
            Self::State(error) => error.hint(),
            Self::Sign(_) | Self::Plan(_) | Self::Store(_) | Self::Task(_) => None,
        }
    }
}

fn snapshot_line(snapshot: &SnapshotRef) -> String {
    let height = snapshot.height.map_or_else(|| "no height".to_owned(), |height| format!("height {height}"));
    format!("b3:{}  {height}  {}  {}", snapshot.manifest.short(), snapshot.taken_at, crate::types::ByteSize(snapshot.bytes))
}

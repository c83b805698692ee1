//! What goes wrong with directories on this machine, as far as somebody can act on it.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use super::{mode::Purpose, secrets::Finding};
use crate::types::{ByteSize, ChannelName, Hash, InvalidRelPath, RelPath};

/// The kind of an [`enum@Error`], from which the command line takes its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reading or writing failed (1).
    Io,
    /// Another qsync is at work there (11).
    Locked,
    /// What is on disk is not what was signed (13).
    Verification,
    /// The file system is full (14).
    NoSpace,
    /// The target is not fit to be restored to (15).
    Target,
    /// The data directory is not fit to be published (18).
    Source,
}

/// A directory that cannot be used as it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The system refused an operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system, a quota or its inodes ran out while writing.
    #[error("no space left to {action} {}", path.display())]
    NoSpace {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is less room than the snapshot needs.
    #[error("{} needs {} more, and {} are free", path.display(), ByteSize(*need_bytes), ByteSize(*have_bytes))]
    TooSmall {
        /// Where.
        path: PathBuf,
        /// Bytes that are missing there, with a margin.
        need_bytes: u64,
        /// Bytes that are free there.
        have_bytes: u64,
    },
    /// There are fewer free inodes than the snapshot has files.
    #[error("{} needs {need} more files, and the file system has room for {have}", path.display())]
    TooFewInodes {
        /// Where.
        path: PathBuf,
        /// Files and directories that are missing.
        need: u64,
        /// Files that the file system can still hold.
        have: u64,
    },
    /// Another qsync holds the directory.
    #[error("{} is in use by another qsync{}", path.display(), pid_text(*holder))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, where it can be told.
        holder: Option<u32>,
    },

    /// There is no data directory of that name.
    #[error("there is no data directory {}", path.display())]
    SourceAbsent {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name in the data directory is outside the path grammar.
    #[error("{} cannot be published", path.display())]
    SourceName {
        /// The entry.
        path: PathBuf,
        /// The rule that is broken.
        source: InvalidRelPath,
    },
    /// A part of the data directory that is to be published is not there as a whole.
    #[error("{} {why}", path.display())]
    SourcePart {
        /// The part, where it is or should be.
        path: PathBuf,
        /// What is wrong with it, as what is said of it.
        why: String,
    },
    /// The data directory is of another chain than the channel.
    #[error("{} is of {found}, and the channel is of {expected}", path.display())]
    SourceChain {
        /// The data directory.
        path: PathBuf,
        /// The chain that its files tell.
        found: String,
        /// The chain of the channel.
        expected: String,
    },
    /// An entry of the data directory is neither a file nor a directory.
    #[error("{} is a {what}, and only files and directories can be published", path.display())]
    SourceKind {
        /// The entry.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Two names in the data directory differ only in case.
    #[error("{first} and {second} differ only in case, so that they cannot lie side by side everywhere")]
    SourceTwins {
        /// The one.
        first: RelPath,
        /// The other.
        second: RelPath,
    },
    /// A file of the data directory changed or went away while it was read: what was read is not one state.
    #[error("{path} {what} while it was read")]
    SourceChanged {
        /// The file.
        path: RelPath,
        /// What happened to it, as a verb.
        what: &'static str,
    },
    /// The data directory holds what looks like key material.
    #[error("{} of the files look like secrets, the first is {}", findings.len(), first_finding(findings))]
    SourceSecrets {
        /// Every one of them.
        findings: Vec<Finding>,
    },
    /// A process has the data directory open.
    #[error("{} is in use: {what}{}", path.display(), pid_text(*pid))]
    SourceInUse {
        /// The directory.
        path: PathBuf,
        /// The process, where it can be told.
        pid: Option<u32>,
        /// What it holds.
        what: String,
    },
    /// It cannot be told whether a process has the data directory open.
    #[error("cannot tell whether {} is in use: {why}", path.display())]
    SourceUseUnknown {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },

    /// A restore left the data directory, or a part of it, incomplete.
    #[error("{} is there: a restore or repair of what lies beside it is not finished", path.display())]
    SourceIncomplete {
        /// The staging directory that says so.
        path: PathBuf,
    },

    /// The target must never be replaced by a database.
    #[error("{} is refused as a target: {why}", path.display())]
    TargetRefused {
        /// The target.
        path: PathBuf,
        /// Why, as a clause.
        why: String,
    },
    /// The target holds a database, and nobody asked for it to be replaced.
    #[error("{} is not empty: it holds {found}", path.display())]
    TargetNotEmpty {
        /// The target.
        path: PathBuf,
        /// The first entry that is in the way.
        found: String,
    },
    /// A process has the target open.
    #[error("{} is in use: {what}{}", path.display(), pid_text(*pid))]
    TargetInUse {
        /// The target.
        path: PathBuf,
        /// The process, where it can be told.
        pid: Option<u32>,
        /// What it holds.
        what: String,
    },
    /// What is to be replaced holds a node's identity or keys, which no snapshot can bring back.
    #[error("{path} in {} is {rule}, and would be replaced", target.display())]
    TargetIdentity {
        /// The target.
        target: PathBuf,
        /// The file.
        path: RelPath,
        /// What it is.
        rule: &'static str,
    },

    /// The target was being changed in place, and that is not finished.
    #[error("{} is incomplete: {} in place was interrupted", path.display(), purpose_text(*purpose))]
    TargetIncomplete {
        /// The target.
        path: PathBuf,
        /// What was being done.
        purpose: Purpose,
        /// The channel that it was to be a snapshot of, where it is known.
        channel: Option<ChannelName>,
    },
    /// The target is to be changed in place, and a partial restore that is not goes on elsewhere.
    #[error("{} holds a partial restore that is built there, not in place", path.display())]
    OtherWay {
        /// The staging directory.
        path: PathBuf,
    },

    /// The staging directory is not ours alone.
    #[error("{} is not safe to write to: {why}", path.display())]
    StagingUnsafe {
        /// The directory.
        path: PathBuf,
        /// Why, as a clause.
        why: &'static str,
    },
    /// The staging directory was removed while it was in use.
    #[error("{} was removed during the run", path.display())]
    StagingGone {
        /// The directory.
        path: PathBuf,
    },
    /// A file that qsync itself wrote cannot be read by this version.
    #[error("{} is not readable by this version of qsync: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, as a clause.
        why: String,
    },
    /// What is in the staging directory is not what the manifest lists.
    #[error("{} is {what}, so the snapshot is not put in place", path.display())]
    NotAsListed {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A list of chunks that is needed to check a directory is missing or is not what the manifest names.
    #[error("the chunk list {id} of {path} is missing or damaged")]
    List {
        /// The file whose chunks it lists.
        path: RelPath,
        /// The list.
        id: Hash,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something lies where a clone would go, and it is not ours to remove.
    #[error("{} is in the way of a clone: {why}", path.display())]
    CloneForeign {
        /// What lies there.
        path: PathBuf,
        /// Why it is not removed, as a clause.
        why: &'static str,
    },
    /// A clone takes longer than the node may be down.
    #[error(
        "copying to {} took longer than freeze.max_downtime, which is {} ({} were copied)",
        path.display(),
        humantime::format_duration(*allowed),
        ByteSize(*copied_bytes)
    )]
    CloneTooSlow {
        /// The clone.
        path: PathBuf,
        /// Bytes that were copied in that time.
        copied_bytes: u64,
        /// How long it may take.
        allowed: Duration,
    },
    /// The caller asked the work to stop.
    #[error("stopped before the end")]
    Stopped,
}

impl Error {
    /// The stable name of this refusal (docs/scripting.md).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "disk-io",
            Self::NoSpace { .. } => "disk-full",
            Self::TooSmall { .. } => "not-enough-space",
            Self::TooFewInodes { .. } => "not-enough-inodes",
            Self::Locked { .. } => "locked",
            Self::SourceAbsent { .. } => "source-absent",
            Self::SourceName { .. } => "source-name",
            Self::SourcePart { .. } => "source-part",
            Self::SourceChain { .. } => "source-chain",
            Self::SourceKind { .. } => "source-kind",
            Self::SourceTwins { .. } => "source-case-twins",
            Self::SourceChanged { .. } => "source-changed",
            Self::SourceSecrets { .. } => "source-secrets",
            Self::SourceInUse { .. } => "source-in-use",
            Self::SourceUseUnknown { .. } => "source-use-unknown",
            Self::SourceIncomplete { .. } => "source-incomplete",
            Self::TargetRefused { .. } => "target-refused",
            Self::TargetNotEmpty { .. } => "target-not-empty",
            Self::TargetInUse { .. } => "target-in-use",
            Self::TargetIdentity { .. } => "target-identity",
            Self::TargetIncomplete { .. } => "target-incomplete",
            Self::OtherWay { .. } => "other-snapshot",
            Self::StagingUnsafe { .. } => "staging-unsafe",
            Self::StagingGone { .. } => "staging-gone",
            Self::Unreadable { .. } => "state-unreadable",
            Self::NotAsListed { .. } => "not-as-listed",
            Self::List { .. } => "chunk-list",
            Self::CloneForeign { .. } => "clone-foreign",
            Self::CloneTooSlow { .. } => "downtime-too-long",
            Self::Stopped => "stopped",
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::Unreadable { .. } | Self::StagingGone { .. } | Self::Stopped => Class::Io,
            Self::NoSpace { .. } | Self::TooSmall { .. } | Self::TooFewInodes { .. } => Class::NoSpace,
            Self::Locked { .. } => Class::Locked,
            Self::SourceAbsent { .. }
            | Self::SourceName { .. }
            | Self::SourcePart { .. }
            | Self::SourceChain { .. }
            | Self::SourceKind { .. }
            | Self::SourceTwins { .. }
            | Self::SourceChanged { .. }
            | Self::SourceSecrets { .. }
            | Self::SourceInUse { .. }
            | Self::SourceUseUnknown { .. }
            | Self::SourceIncomplete { .. }
            | Self::CloneForeign { .. }
            | Self::CloneTooSlow { .. } => Class::Source,
            Self::TargetRefused { .. }
            | Self::TargetNotEmpty { .. }
            | Self::TargetInUse { .. }
            | Self::TargetIdentity { .. }
            | Self::TargetIncomplete { .. }
            | Self::OtherWay { .. }
            | Self::StagingUnsafe { .. } => Class::Target,
            Self::NotAsListed { .. } | Self::List { .. } => Class::Verification,
        }
    }

    /// For `map_err`: an operation on `path` that the system refused.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.into();
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                Self::NoSpace { action, path, source }
            } else {
                Self::Io { action, path, source }
            }
        }
    }
}

fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Restore => "a restore",
        Purpose::Repair => "a repair",
    }
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

fn first_finding(findings: &[Finding]) -> String {
    findings.first().map_or_else(String::new, |f| format!("{} ({})", f.path, f.rule))
}

//! The promises to scripts: exit codes, and the string code of every refusal (docs/scripting.md).

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Anything that has no code of its own.
    Error = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Some targets failed.
    Partial = 3,
    /// There is no such thing.
    NotFound = 10,
    /// Another qsync works on it.
    Locked = 11,
    /// Credentials are missing or do not suffice.
    Denied = 12,
    /// Something does not match its hash, its signature or the format.
    Verification = 13,
    /// The disk is full.
    NoSpace = 14,
    /// The target is not empty, or is in use.
    Target = 15,
    /// The network failed; the same command may succeed later.
    Network = 16,
    /// Expired, rolled back or untrusted.
    Trust = 17,
    /// The data directory is not fit to be published.
    Source = 18,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

/// Declares the string codes: each has one name in scripts and one exit code.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal => $exit:ident,)+) => {
        /// Why a command refused or failed, as scripts see it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The exit code that goes with it.
            #[must_use]
            pub const fn exit(self) -> Exit {
                match self {
                    $(Self::$variant => Exit::$exit,)+
                }
            }
        }
    };
}

codes! {
    /// Anything that has no code of its own.
    Error = "error" => Error,
    /// Reading or writing failed on this machine.
    Io = "disk-io" => Error,
    /// A file that qsync wrote itself cannot be read by this version.
    StateUnreadable = "state-unreadable" => Error,
    /// The staging directory was removed during the run.
    StagingGone = "staging-gone" => Error,
    /// The command line is wrong.
    Usage = "usage" => Usage,
    /// A configuration file is wrong.
    Config = "config" => Usage,
    /// A destructive step was not confirmed.
    NotConfirmed = "not-confirmed" => Usage,
    /// Standard output is a terminal where binary data would go.
    Terminal = "terminal" => Usage,
    /// Some stores have the new snapshot, others failed.
    Partial = "partial" => Partial,
    /// There is no such object, channel or snapshot.
    NotFound = "not-found" => NotFound,
    /// Another qsync works on this directory or channel.
    Locked = "locked" => Locked,
    /// Another publisher moved the head first.
    LostRace = "lost-race" => Locked,
    /// A store refuses this user.
    Denied = "denied" => Denied,
    /// A manifest, list or chunk breaks the format or does not match its hash.
    Defect = "defect" => Verification,
    /// Files on disk do not match their manifest.
    Corrupt = "corrupt" => Verification,
    /// What was restored is not what the manifest lists.
    NotAsListed = "not-as-listed" => Verification,
    /// A list of chunks that is needed to check a directory is missing or damaged.
    ChunkList = "chunk-list" => Verification,
    /// A disk ran full while it was written.
    DiskFull = "disk-full" => NoSpace,
    /// There is less room than the snapshot needs.
    NotEnoughSpace = "not-enough-space" => NoSpace,
    /// There are fewer free inodes than the snapshot has files.
    NotEnoughInodes = "not-enough-inodes" => NoSpace,
    /// The target holds something already.
    TargetNotEmpty = "target-not-empty" => Target,
    /// A process has files in the target open.
    TargetInUse = "target-in-use" => Target,
    /// The target is a place where no database may go.
    TargetRefused = "target-refused" => Target,
    /// The snapshot would write a file that holds a node's identity.
    TargetIdentity = "target-identity" => Target,
    /// The staging directory is not this user's alone.
    StagingUnsafe = "staging-unsafe" => Target,
    /// The partial restore in the target is of another channel or snapshot.
    OtherSnapshot = "other-snapshot" => Target,
    /// The network or the other side failed for now.
    Network = "network" => Network,
    /// A source answers with something that is not an object.
    BadAnswer = "bad-answer" => Network,
    /// The clock of this machine is wrong.
    Clock = "clock" => Trust,
    /// What this machine remembers of earlier heads is damaged.
    State = "state" => Trust,
    /// No repository is pinned for the channel.
    UnknownRepo = "unknown-repo" => Trust,
    /// The signed root has expired.
    RootExpired = "root-expired" => Trust,
    /// A newer root exists that the sources keep back.
    RootWithheld = "root-withheld" => Trust,
    /// Signatures of keys that the root does not name.
    Untrusted = "untrusted" => Trust,
    /// The head has expired.
    Expired = "expired" => Trust,
    /// Older than what was seen before.
    Rollback = "rollback" => Trust,
    /// Two different heads with one number.
    Equivocation = "equivocation" => Trust,
    /// The data directory holds what looks like key material.
    SourceSecrets = "source-secrets" => Source,
    /// A process has the data directory open.
    SourceInUse = "source-in-use" => Source,
    /// It cannot be told whether a process has the data directory open.
    SourceUseUnknown = "source-use-unknown" => Source,
    /// A file changed while it was read.
    SourceChanged = "source-changed" => Source,
    /// A name in the data directory is outside the path grammar.
    SourceName = "source-name" => Source,
    /// An entry of the data directory is neither a file nor a directory.
    SourceKind = "source-kind" => Source,
    /// Two names in the data directory differ only in case.
    SourceCaseTwins = "source-case-twins" => Source,
    /// The block height is below that of the published snapshot.
    HeightBelowHead = "height-below-head" => Source,
    /// Ended by SIGINT.
    Interrupted = "interrupted" => Interrupted,
    /// Ended by SIGTERM.
    Terminated = "terminated" => Terminated,
}

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
    Io = "io" => Error,
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
    /// A disk is full, or would be.
    NoSpace = "no-space" => NoSpace,
    /// The target holds something already.
    TargetNotEmpty = "target-not-empty" => Target,
    /// A process has files in the target open.
    TargetInUse = "target-in-use" => Target,
    /// The target is a place where no database may go.
    TargetUnsafe = "target-unsafe" => Target,
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
    /// The data directory holds key material.
    Secret = "secret" => Source,
    /// A process has the data directory open, or it cannot be seen whether one has.
    SourceInUse = "source-in-use" => Source,
    /// A file changed while it was read.
    SourceChanged = "source-changed" => Source,
    /// The data directory holds a link, a device or a name that cannot be published.
    SourceUnfit = "source-unfit" => Source,
    /// The block height is below that of the published snapshot.
    HeightBelowHead = "height-below-head" => Source,
    /// Ended by SIGINT.
    Interrupted = "interrupted" => Interrupted,
    /// Ended by SIGTERM.
    Terminated = "terminated" => Terminated,
}

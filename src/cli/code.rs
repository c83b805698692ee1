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
    /// Credentials are missing or do not suffice, or what it costs was not agreed to.
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
    /// A node is stopped and could not be started again.
    NodeStopped = 19,
    /// A terabyte was crossed or a limit is passed, and `usage` was asked to say so.
    Crossed = 20,
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

            /// The code of that name; the library's errors carry theirs as text.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
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
    /// `check` found something to look at in working hours.
    CheckWarning = "check-warning" => Error,
    /// `check` found something to look at now.
    CheckCritical = "check-critical" => Usage,
    /// `check` could not tell.
    CheckUnknown = "check-unknown" => Partial,
    /// The node that was to confirm the snapshot's block knows another one at that height.
    OtherBlock = "other-block" => Verification,
    /// The node that was to confirm the snapshot's block cannot be asked.
    CheckRpc = "check-rpc" => Network,
    /// Reading or writing failed on this machine.
    Io = "disk-io" => Error,
    /// The state directory cannot be written.
    StateNotWritable = "state-not-writable" => Error,
    /// A file of the state directory cannot be read or written.
    StateIo = "state-io" => Error,
    /// Others can read a secret key.
    KeyExposed = "key-exposed" => Error,
    /// A key file is damaged.
    KeyFile = "key-file" => Error,
    /// The publish keys are not on this machine.
    NoKeys = "no-keys" => Error,
    /// No repository on this machine belongs to these stores.
    NoRepo = "no-repo" => Trust,
    /// A head or root cannot be signed as asked.
    CannotSign = "cannot-sign" => Error,
    /// The snapshot, or a file in a store, needs a newer qsync.
    NeedsNewer = "needs-newer-qsync" => Error,
    /// This machine's clock cannot be right.
    WrongClock = "wrong-clock" => Error,
    /// A file that qsync wrote itself cannot be read by this version.
    StateUnreadable = "state-unreadable" => Error,
    /// `doctor` found what would keep a publish from working.
    Unwell = "unwell" => Error,
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
    /// Some stores or channels are complete, others failed.
    Partial = "partial" => Partial,
    /// There is no such object, channel or snapshot.
    NotFound = "not-found" => NotFound,
    /// There is no such channel.
    UnknownChannel = "unknown-channel" => NotFound,
    /// There is no such snapshot in the channel, or no longer.
    NoSuchSnapshot = "no-such-snapshot" => NotFound,
    /// Several snapshots begin with these digits.
    AmbiguousSnapshot = "ambiguous-snapshot" => Usage,
    /// What a CID names is no snapshot.
    NotASnapshot = "not-a-snapshot" => NotFound,
    /// The files of a data directory do not tell what kind of node it belongs to.
    UnknownNode = "unknown-node" => NotFound,
    /// No source has the channel.
    Absent = "absent" => NotFound,
    /// No source has an object that the snapshot needs.
    ObjectMissing = "object-missing" => Verification,
    /// The sources no longer have all of the snapshot, and its channel offers no other to go on with.
    SnapshotGone = "snapshot-gone" => Verification,
    /// Every copy of an object is damaged.
    ObjectWrong = "object-wrong" => Verification,
    /// The signed manifest breaks the format: the publisher's mistake.
    ManifestInvalid = "manifest-invalid" => Verification,
    /// A root that a store holds is not that of its repository.
    StoredRoot = "stored-root" => Verification,
    /// What a store says of itself cannot be read.
    StoreInfo = "store-info" => Verification,
    /// Another qsync works on this directory or channel.
    Locked = "locked" => Locked,
    /// Somebody else moved the head first.
    LostRace = "lost-race" => Locked,
    /// Others change the object all the time.
    Contended = "contended" => Locked,
    /// A store refuses this user.
    Denied = "denied" => Denied,
    /// Only sources that cost money are left, and nobody agreed to pay.
    CostNotAccepted = "cost-not-accepted" => Denied,
    /// Going on could cost more than was agreed.
    CostLimit = "cost-limit" => Denied,
    /// A manifest, list or chunk breaks the format or does not match its hash.
    Defect = "defect" => Verification,
    /// Files on disk do not match their manifest.
    Corrupt = "corrupt" => Verification,
    /// The directory is incomplete: a change in place was interrupted.
    Incomplete = "incomplete" => Verification,
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
    /// The target was being changed in place, and that is not finished.
    TargetIncomplete = "target-incomplete" => Target,
    /// The staging directory is not this user's alone.
    StagingUnsafe = "staging-unsafe" => Target,
    /// The partial restore of the target is of another channel or snapshot, or is built beside it and not in place.
    OtherSnapshot = "other-snapshot" => Target,
    /// The snapshot has another label than was asked for, or none.
    OtherMode = "other-mode" => Target,
    /// The snapshot is of another database engine than was asked for, or than what lies in the target.
    OtherEngine = "other-engine" => Target,
    /// The network or the other side failed for now.
    Network = "network" => Network,
    /// A source answers with something that is not an object.
    BadAnswer = "bad-answer" => Network,
    /// What a source calls a head is none.
    NotAHead = "not-a-head" => Network,
    /// What a source calls a root is none.
    NotARoot = "not-a-root" => Network,
    /// The clock of this machine is wrong.
    Clock = "clock" => Trust,
    /// What this machine remembers of earlier heads is damaged.
    State = "state" => Trust,
    /// No repository is pinned for the channel.
    UnknownRepo = "unknown-repo" => Trust,
    /// The sources offer more than one trusted repository.
    RepoConflict = "repo-conflict" => Trust,
    /// The sources offer another repository than the pinned one.
    PinMismatch = "pin-mismatch" => Trust,
    /// The head was issued after the time of this machine.
    FromFuture = "from-future" => Trust,
    /// A store holds another repository.
    OtherRepo = "other-repo" => Trust,
    /// A store holds chunks in other forms than were asked for.
    OtherForms = "other-forms" => Usage,
    /// There is no such bucket.
    NoSuchStore = "no-such-store" => NotFound,
    /// A store needs credentials and there are none.
    CredentialsMissing = "credentials-missing" => Denied,
    /// A store does not accept the credentials.
    CredentialsWrong = "credentials-wrong" => Denied,
    /// The credentials have expired.
    CredentialsExpired = "credentials-expired" => Denied,
    /// What gives the credentials fails.
    CredentialsNotLoaded = "credentials-not-loaded" => Denied,
    /// A store does not accept the credentials because this machine's clock differs from its own.
    CredentialsClock = "credentials-clock" => Denied,
    /// A store that should be empty holds a repository.
    StoreInUse = "store-in-use" => Target,
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
    /// There is no data directory of that name.
    SourceAbsent = "source-absent" => Source,
    /// A name in the data directory is outside the path grammar.
    SourceName = "source-name" => Source,
    /// A part of the data directory that is to be published is not there as a whole.
    SourcePart = "source-part" => Source,
    /// The data directory is of another chain than the channel.
    SourceChain = "source-chain" => Source,
    /// An entry of the data directory is neither a file nor a directory.
    SourceKind = "source-kind" => Source,
    /// Two names in the data directory differ only in case.
    SourceCaseTwins = "source-case-twins" => Source,
    /// A restore left the data directory incomplete.
    SourceIncomplete = "source-incomplete" => Source,
    /// The block height is below that of the published snapshot.
    HeightBelowHead = "height-below-head" => Source,
    /// The newest snapshot is too old for its head to be signed again.
    SnapshotTooOld = "snapshot-too-old" => Source,
    /// The node is not fit to be published, or cannot be asked.
    GateNotMet = "gate-not-met" => Source,
    /// What runs the node would kill it before it had the time to stop.
    StopTimeShort = "stop-time-short" => Source,
    /// The copy would keep the node down for longer than it may be.
    DowntimeTooLong = "downtime-too-long" => Source,
    /// The node did not stop cleanly, or nothing proves that it did; it runs again.
    StopNotClean = "stop-not-clean" => Source,
    /// The node cannot be frozen as it is configured, or its script failed.
    FreezeFailed = "freeze-failed" => Source,
    /// Something lies where a clone would go, and it is not ours to remove.
    CloneForeign = "clone-foreign" => Source,
    /// The clone took the room that the node needs, and was removed.
    CloneDropped = "clone-dropped" => NoSpace,
    /// A node is stopped and could not be started again.
    NodeStopped = "node-stopped" => NodeStopped,
    /// A marker that says that a node may be stopped cannot be used.
    FreezeMarker = "freeze-marker" => NodeStopped,
    /// A terabyte was crossed, and `usage tick` was asked to say so.
    TerabyteCrossed = "terabyte-crossed" => Crossed,
    /// A limit of a month is passed or going to be, and `usage projection` was asked to say so.
    LimitPassed = "limit-passed" => Crossed,
    /// Ended by SIGINT.
    Interrupted = "interrupted" => Interrupted,
    /// Ended by SIGTERM.
    Terminated = "terminated" => Terminated,
}

//! The codes and hints of what publish, restore, verify, list, show, diff, export, mirror and serve can refuse.

use super::{
    code::Code,
    exit::{Classify, finish, named, one},
};
use crate::{
    node,
    ops::{cid, diff, export, list, mirror, serve::ServeError, show},
    publish::{self, HeadKept},
    restore::{self, NoSuccessor},
    sources::Exhausted,
};

const AGAIN: &str = "run the same command again: everything verified is kept";
const MORE_SOURCES: &str = "add another source with --from and run the same command again: everything verified is kept";
const ACCEPT_COST: &str =
    "run the same command with --accept-cost to pay for what only they have, or with --max-cost USD to pay no more than that";
const NOT_COMPLETE: &str = "the archive is not complete: do not use it";
const PAY: &str = "run the same command with --max-cost USD to pay for what only they have, and no more than that";
const FREE_SOURCE: &str = "or name a source that costs nothing with --from: a CDN, IPFS or a mirror";
const MORE_MONEY: &str = "run the same command with a greater --max-cost: it goes on where this run ended, and everything verified is kept";

impl Classify for Exhausted {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Missing { .. } => (Code::ObjectMissing, one(MORE_SOURCES)),
            Self::Wrong { .. } => (Code::ObjectWrong, one(MORE_SOURCES)),
            Self::Unreadable { .. } => (Code::Io, unreadable_source()),
            Self::Silent { .. } => (Code::Network, one(AGAIN)),
            Self::Refused { fault, .. } => (named(fault.code()), vec![fault.hint().to_owned(), MORE_SOURCES.to_owned()]),
            Self::NoConsent { .. } => (Code::CostNotAccepted, vec![PAY.to_owned(), MORE_SOURCES.to_owned()]),
            Self::Cap { .. } => (Code::CostLimit, vec![MORE_MONEY.to_owned(), MORE_SOURCES.to_owned()]),
        }
    }
}

/// What to do when a source's own disk cannot read what it holds.
fn unreadable_source() -> Vec<String> {
    vec!["look after the disk of the source that is named above".to_owned(), MORE_SOURCES.to_owned()]
}

impl Classify for publish::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Disk(error) => error.classify(),
            Self::Catalog(error) => error.classify(),
            Self::AllStoresFailed { first: Some(error), .. } if error.action == "read back" => {
                (Code::Defect, one("run the same command with --rehash: it puts again what a store lost or holds damaged"))
            }
            Self::AllStoresFailed { first: Some(error), .. } => error.classify(),
            Self::NoStores | Self::AllStoresFailed { first: None, .. } => (Code::Usage, one("add --to with a store")),
            Self::TooManyStores { .. } => (Code::Usage, one("publish to some of them, and to the others in another run")),
            Self::Lower { .. } => (Code::HeightBelowHead, one("wait until the node has caught up, or publish another channel")),
            Self::Gate { .. } => (Code::GateNotMet, gate()),
            Self::Encode(_) => (Code::Error, Vec::new()),
            Self::Miscomputed => (Code::Error, one("test this machine's memory before it publishes anything")),
            Self::Manifest(_) => (Code::Error, one("publish a directory that fits the limits in docs/format.md")),
            Self::Lost { .. } => (Code::LostRace, one("run the same command again: it goes on from the new head")),
            Self::Interrupted => (Code::Interrupted, Vec::new()),
            Self::Node(error) | Self::NodeDown { node: error, .. } => error.classify(),
            Self::NoManager => {
                (Code::Config, one("set unit, container, or stop and start in the freeze table of the channel (docs/agent.md)"))
            }
            Self::CloneDropped { .. } => {
                (Code::CloneDropped, one("free space there, or name another file system with freeze.clone_dir, or lower freeze.reserve"))
            }
            Self::WorkerDied => (Code::Error, one("this is a mistake in qsync: please report it")),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Gate { report, head } = self {
            return report.lines().into_iter().chain(head_kept(head)).collect();
        }
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

/// What to do when the node is not fit.
fn gate() -> Vec<String> {
    vec![
        "run the same command again when the node has caught up; --gate-only asks it and changes nothing".to_owned(),
        "docs/operations.md says what each condition means, and where what is wanted can be changed".to_owned(),
    ]
}

/// What became of the head when nothing was published.
fn head_kept(head: &HeadKept) -> Option<String> {
    match head {
        HeadKept::None => None,
        HeadKept::Refreshed { seq, expires } => Some(format!("the head was signed again: number {seq}, valid until {expires}")),
        HeadKept::Left(why) => Some(format!("the head was left as it is: {why}")),
    }
}

impl Classify for node::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        let code = match self {
            Self::KillsEarly { .. } => Code::StopTimeShort,
            Self::DownTooLong { .. } => Code::DowntimeTooLong,
            Self::NotClean { .. } => Code::StopNotClean,
            Self::Down { .. } => Code::NodeStopped,
            Self::Marker { .. } => Code::FreezeMarker,
            Self::Busy { .. } => Code::Locked,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Io { .. } => Code::StateIo,
            Self::Interrupted => Code::Interrupted,
            Self::Call { .. }
            | Self::Late { .. }
            | Self::Failed { .. }
            | Self::Answer { .. }
            | Self::StateUnknown { .. }
            | Self::Watchdog(_)
            | Self::NoSubvolume { .. } => Code::FreezeFailed,
        };
        (code, self.hint().into_iter().collect())
    }
}

impl Classify for restore::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Catalog(error) => error.classify(),
            Self::Disk(error) => error.classify(),
            Self::Sources(Exhausted::NoConsent { .. }) => (Code::CostNotAccepted, vec![ACCEPT_COST.to_owned(), MORE_SOURCES.to_owned()]),
            Self::Sources(error) => error.classify(),
            Self::NoSources => (Code::Usage, one("add --from with a source")),
            Self::Seed { .. } => (Code::Usage, one("name another directory with --seed, or leave it out")),
            Self::Chunks { count, missing: 0, unreadable, .. } if count == unreadable => (Code::Io, unreadable_source()),
            Self::Chunks { .. } => (Code::ObjectWrong, one(MORE_SOURCES)),
            Self::Incomplete { .. } => (Code::ObjectMissing, one(MORE_SOURCES)),
            Self::Gone { why, .. } => (Code::SnapshotGone, gone(why)),
            Self::ListDefect { .. } => (Code::Defect, one("tell the publisher, and restore an older snapshot: qsync list shows them")),
            Self::PinDefect(_) => (Code::StateUnreadable, one("add --discard to start over")),
            Self::OtherChannel { .. } => {
                (Code::OtherSnapshot, one("add --discard to delete it and start over, or restore to another directory"))
            }
            Self::OtherSnapshot { .. } => {
                let latest = "add --latest to go on with the newest snapshot, keeping every verified chunk";
                (Code::OtherSnapshot, vec![latest.to_owned(), "add --discard to delete it and start over".to_owned()])
            }
            Self::OtherMode { .. } => (
                Code::OtherMode,
                one(
                    "qsync list shows which other channels there are; without --label, and without labels of the channel, any mode is taken",
                ),
            ),
            Self::OtherEngine { path: None, .. } => (Code::OtherEngine, one("qsync list shows which other channels there are")),
            Self::OtherEngine { path: Some(_), found, .. } => {
                (Code::OtherEngine, vec![format!("add --engine {found} if the node is to change to it, or restore another channel")])
            }
            Self::OtherBlock { .. } => {
                (Code::OtherBlock, vec!["ask another node that you trust: if it says the same, tell the publisher".to_owned()])
            }
            Self::CheckRpc(_) => (Code::CheckRpc, one("name another node with --check-rpc, or leave it out")),
            Self::CostNotAccepted { .. } => (Code::CostNotAccepted, vec![ACCEPT_COST.to_owned(), FREE_SOURCE.to_owned()]),
            Self::Interrupted => (Code::Interrupted, one(AGAIN)),
            Self::WorkerDied => (Code::Error, one("this is a mistake in qsync: please report it")),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::CostNotAccepted { estimates } = self {
            return estimates.iter().map(ToString::to_string).collect();
        }
        if let Self::Gone { why, .. } = self
            && let NoSuccessor::Closed(error) = &**why
        {
            return error.details();
        }
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

/// What to do when a snapshot has left the sources.
fn gone(why: &NoSuccessor) -> Vec<String> {
    match why {
        NoSuccessor::AskedFor => {
            one("leave out what follows @ and add --latest to go on with the newest snapshot, keeping every verified chunk")
        }
        NoSuccessor::ByCid => {
            vec![
                "add another gateway with --gateway and run the same command again: everything verified is kept".to_owned(),
                MORE_SOURCES.to_owned(),
            ]
        }
        NoSuccessor::SameHead => vec![MORE_SOURCES.to_owned(), "tell the publisher, or wait for the next snapshot".to_owned()],
        NoSuccessor::Closed(error) => vec![AGAIN.to_owned()].into_iter().chain(error.classify().1).collect(),
        NoSuccessor::TooMany => one(AGAIN),
    }
}

impl Classify for restore::verify::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::NoRecord { dir } => {
                let told = format!("name the snapshot that it should be: qsync verify {} CHANNEL --from SOURCE", dir.display());
                (Code::NotFound, vec!["name the state directory that restored it with --state-dir".to_owned(), told])
            }
            Self::Incomplete { dir, purpose, channel } => (Code::Incomplete, vec![finish(dir, *purpose, channel.as_ref())]),
            Self::NoSources => (Code::Usage, one("add --from with a source")),
            Self::Restore(error) => error.classify(),
            Self::RecordDefect { .. } => (Code::StateUnreadable, one("restore the directory again")),
            Self::Disk(error) => error.classify(),
            Self::WorkerDied => (Code::Error, one("this is a mistake in qsync: please report it")),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Restore(error) = self { error.details() } else { Vec::new() }
    }
}

impl Classify for list::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::NoChannels { sources } if sources.iter().any(|source| source.starts_with("ipfs://")) => {
                (Code::NotFound, one("a CID names one snapshot and no channels: qsync show --from ipfs://CID"))
            }
            Self::NoChannels { .. } => (Code::NotFound, one("check the address: a store has an index.json once something is published")),
            Self::Catalog(error) => error.classify(),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

impl Classify for show::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        let Self::Rows(error) = self;
        error.classify()
    }
}

impl Classify for diff::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Catalog(error) => error.classify(),
            Self::Rows(error) => error.classify(),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

impl Classify for crate::sources::RowsError {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Sources { source, .. } => source.classify(),
            Self::Defect { .. } => (Code::Defect, one("tell the publisher")),
        }
    }
}

impl Classify for export::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Catalog(error) => error.classify(),
            Self::Rows(error) => error.classify(),
            Self::Chunk { source, .. } => source.classify(),
            Self::Forms { .. } => (
                Code::Usage,
                vec!["add a source with frames (chunks/) with --from, or write a plain tar: --format tar".into(), NOT_COMPLETE.into()],
            ),
            Self::Contradiction { .. } => {
                (Code::Defect, vec!["tell the publisher, and export another snapshot".into(), NOT_COMPLETE.into()])
            }
            Self::Write(_) => (Code::Io, one(NOT_COMPLETE)),
            Self::Interrupted => (Code::Interrupted, one(NOT_COMPLETE)),
            Self::WorkerDied => (Code::Error, one("this is a mistake in qsync: please report it")),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

impl Classify for cid::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            // What is to be done to publish it is not what was asked.
            Self::Disk(error) => (error.classify().0, one("no snapshot can have that: what cannot be published has no CID as one")),
            Self::WorkerDied => (Code::Error, one("this is a mistake in qsync: please report it")),
        }
    }
}

impl Classify for mirror::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::NoChannels => (Code::NotFound, one("check the address: a store has an index.json once something is published")),
            Self::Catalog(error) => error.classify(),
            Self::Rows(error) => error.classify(),
            Self::Object { source, .. } => source.classify(),
            Self::Store(error) => error.classify(),
            Self::Damaged { .. } => (Code::Defect, one("run the same command with --rehash: it replaces what is damaged")),
            Self::Forms { .. } => (Code::Usage, one("add a source with frames (chunks/) with --from, or mirror to a store with forms=raw")),
            Self::Chunk { .. } => (Code::Defect, one("tell the publisher, and mirror another snapshot")),
            Self::Lost { .. } => (Code::LostRace, one("run the same command again: it goes on from the new head")),
            Self::Interrupted => (Code::Interrupted, Vec::new()),
        }
    }

    fn details(&self) -> Vec<String> {
        if let Self::Catalog(error) = self { error.details() } else { Vec::new() }
    }
}

impl Classify for ServeError {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::NotADirectory { .. } => (Code::NotFound, one("name the directory of a store")),
            Self::Listen { .. } => (Code::Io, one("name another address with --listen")),
            Self::Serve(_) => (Code::Io, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Failure;

    // AW-02
    #[test]
    fn money_that_nobody_agreed_to_is_refused_with_the_command_that_continues() {
        let (key, lines) = ("chunks/aa".to_owned(), vec!["s3://b: not asked, because it costs money".to_owned()]);
        let refused = Failure::from(restore::Error::Sources(Exhausted::NoConsent { key: key.clone(), lines: lines.clone() }));
        assert_eq!((refused.code, refused.exit() as u8), (Code::CostNotAccepted, 12));
        assert!(refused.hints[0].contains("--accept-cost") && refused.hints[0].contains("--max-cost"), "{:?}", refused.hints);
        let capped = Exhausted::Cap { key, spent_micro_usd: 1_990_000, cap_micro_usd: 2_000_000, lines };
        let capped = Failure::from(restore::Error::Sources(capped));
        assert_eq!((capped.code, capped.exit() as u8), (Code::CostLimit, 12));
        assert!(capped.messages[1].contains("$2.0000") && capped.messages[1].contains("$1.9900"), "{:?}", capped.messages);
        assert!(capped.hints[0].contains("--max-cost") && capped.hints[0].contains("goes on"), "{:?}", capped.hints);
    }
}

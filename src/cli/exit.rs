//! From errors to what the user and scripts get: one code, one exit code, the chain of messages, and hints.
//!
//! Every error of the library that can reach the command line is matched here and nowhere else.

use std::error::Error as StdError;

use serde::Serialize;

use super::code::{Code, Exit};
use crate::{
    catalog,
    disk::{self, mode::Purpose},
    sources::Exhausted,
    store::{self, ErrorKind, InvalidStoreUrl},
    types::ChannelName,
};

/// A command that did not do what it was asked to, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Why, for scripts.
    pub(crate) code: Code,
    /// The message, then that of its cause, and so on.
    pub(crate) messages: Vec<String>,
    /// What each source or store said, one line each.
    pub(crate) details: Vec<String>,
    /// What to do next, one line each.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// A failure without a cause below it.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, messages: vec![message.into()], details: Vec::new(), hints: Vec::new() }
    }

    /// A failure that says what an error and its causes say.
    pub(crate) fn from_error(code: Code, error: &dyn StdError) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut below = error.source();
        while let Some(cause) = below {
            failure.messages.push(cause.to_string());
            below = cause.source();
        }
        failure
    }

    /// A command line that cannot be carried out.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// The same, with one more hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with what was being done put before it.
    #[must_use]
    pub(crate) fn context(mut self, message: impl Into<String>) -> Self {
        self.messages.insert(0, message.into());
        self
    }

    /// The exit code of the process.
    pub(crate) fn exit(&self) -> Exit {
        self.code.exit()
    }

    /// The failure as the last line of `--json`.
    pub(crate) fn to_json(&self) -> ErrorLine {
        ErrorLine {
            kind: "error",
            code: self.code.as_str(),
            exit: self.exit() as u8,
            message: self.messages.join(": "),
            details: self.details.clone(),
            hints: self.hints.clone(),
        }
    }

    /// The failure as people read it: `error:` and `caused by:` lines, indented details, `hint:` lines.
    pub(crate) fn to_text(&self) -> String {
        let heads = std::iter::once("error").chain(std::iter::repeat("caused by"));
        let messages = heads.zip(&self.messages).map(|(head, message)| format!("{head}: {message}\n"));
        let details = self.details.iter().map(|detail| format!("  {detail}\n"));
        messages.chain(details).chain(self.hints.iter().map(|hint| format!("hint: {hint}\n"))).collect()
    }
}

/// The last line of `--json` when a command fails. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErrorLine {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    exit: u8,
    message: String,
    details: Vec<String>,
    hints: Vec<String>,
}

/// An error of the library that has a code and hints of its own.
pub(super) trait Classify: StdError + Sized {
    /// The code, and what to do next.
    fn classify(&self) -> (Code, Vec<String>);

    /// What each source or store said, one line each.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }

    /// The error with its causes, its code, its details and its hints.
    fn into_failure(self) -> Failure {
        let (code, hints) = self.classify();
        Failure { details: self.details(), hints, ..Failure::from_error(code, &self) }
    }
}

/// A hint list of one line.
pub(super) fn one(hint: &str) -> Vec<String> {
    vec![hint.to_owned()]
}

impl Classify for store::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self.kind {
            ErrorKind::NotFound => (Code::NotFound, one("check the address of the store and the name of the channel")),
            ErrorKind::NoSuchStore => (Code::NoSuchStore, no_such_store(&self.store)),
            ErrorKind::Denied => (Code::Denied, denied(&self.store)),
            ErrorKind::Credentials(fault) => (named(fault.code()), one(fault.hint())),
            ErrorKind::TooLarge | ErrorKind::WrongBytes | ErrorKind::Conflict => {
                (Code::Defect, one("the store is damaged or serves something else: name another with --from"))
            }
            ErrorKind::Interrupted | ErrorKind::TooSlow | ErrorKind::Unreachable | ErrorKind::Unavailable { .. } => {
                (Code::Network, one("run the same command again later, or add another source with --from"))
            }
            ErrorKind::BadAnswer => (Code::BadAnswer, one("check the address: a proxy, a login page or another server may answer there")),
            ErrorKind::NoSpace => (Code::DiskFull, one("free space where the store is and run the same command again")),
            ErrorKind::Io => (Code::Io, Vec::new()),
        }
    }
}

/// What to do when there is no store of that name.
fn no_such_store(store: &str) -> Vec<String> {
    let is_snapshot = store.starts_with("ipfs://");
    one(if is_snapshot {
        "check the CID: qsync show says which a snapshot has"
    } else {
        "check the name of the bucket, and endpoint=… if it is not of AWS"
    })
}

/// What to do when a store refuses this user.
fn denied(store: &str) -> Vec<String> {
    let mut hints = one("check that this user may read or write the store");
    if store.starts_with("s3://") {
        hints.push("if the readers of the bucket pay, add requester_pays=true to its URL".to_owned());
        hints.push("to publish, s3:GetObject, s3:PutObject and s3:ListBucket are needed (docs/s3.md)".to_owned());
    }
    hints
}

impl Classify for catalog::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        if let Self::Store(error) = self {
            return error.classify();
        }
        (named(self.code()), self.hint().into_iter().collect())
    }

    fn details(&self) -> Vec<String> {
        self.lines()
    }
}

impl Classify for catalog::StateError {
    fn classify(&self) -> (Code, Vec<String>) {
        (named(self.code()), self.hint().into_iter().collect())
    }
}

/// The code of that name. A name that the table lacks is a mistake that the tests below find.
pub(super) fn named(name: &str) -> Code {
    Code::named(name).unwrap_or(Code::Error)
}

impl Classify for InvalidStoreUrl {
    fn classify(&self) -> (Code, Vec<String>) {
        let hints = match self {
            Self::Empty | Self::Unsupported { .. } | Self::Malformed { .. } => Vec::new(),
            Self::Ipns => vec![
                "restore the channel from a store: its signed head shows what is newest, and when that is too old".to_owned(),
                "or look up what the name stands for now, with ipfs name resolve, and restore that: ipfs://CID".to_owned(),
            ],
            Self::Block { .. } | Self::Cid(_) => one("name the root of a snapshot: qsync show says which CID that is"),
        };
        (Code::Usage, hints)
    }
}

impl Classify for disk::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Io { .. } => (Code::Io, Vec::new()),
            Self::NoSpace { .. } => (Code::DiskFull, one("free space there and run the same command again: what is verified is kept")),
            Self::TooSmall { .. } => (Code::NotEnoughSpace, one("free space there, or name a directory on another file system")),
            Self::TooFewInodes { .. } => (Code::NotEnoughInodes, one("delete files there, or name a directory on another file system")),
            Self::Locked { .. } => (Code::Locked, one("wait for the other run to end, or stop it and run the same command again")),
            Self::SourceAbsent { .. } => (Code::SourceAbsent, one("check the path of the data directory")),
            Self::SourceName { .. } => (Code::SourceName, one("rename it, or publish a directory without it")),
            Self::SourcePart { .. } => (
                Code::SourcePart,
                one("check data directory and node profile with qsync node detect DATA_DIR: half a database is of no use to anybody"),
            ),
            Self::SourceChain { .. } => (Code::SourceChain, one("name the data directory or the channel that is meant")),
            Self::SourceKind { .. } => (Code::SourceKind, one("publish a directory that holds the files themselves")),
            Self::SourceTwins { .. } => (Code::SourceCaseTwins, one("rename one of them, or publish a directory without it")),
            Self::SourceChanged { .. } => (Code::SourceChanged, one("stop the node, or publish a copy that nothing writes to")),
            Self::SourceSecrets { findings } => (Code::SourceSecrets, secrets(findings)),
            Self::SourceInUse { .. } => (Code::SourceInUse, one("stop the node and run the same command again")),
            Self::SourceUseUnknown { .. } => {
                (Code::SourceUseUnknown, one("run as the node's user or as root, or add --assume-stopped if the node is stopped for sure"))
            }
            Self::SourceIncomplete { .. } => {
                (Code::SourceIncomplete, one("finish it first: qsync restore, or qsync verify, with that directory says how"))
            }
            Self::TargetRefused { .. } => (Code::TargetRefused, one("name a directory of the database's own with --to")),
            Self::TargetNotEmpty { .. } => {
                (Code::TargetNotEmpty, one("add --replace to put the new database in its place when it is complete"))
            }
            Self::TargetInUse { .. } => (Code::TargetInUse, one("stop the node and run the same command again")),
            Self::TargetIdentity { .. } => (
                Code::TargetIdentity,
                one("move it out of that directory first; if the snapshot itself has such a file, tell the publisher"),
            ),
            Self::TargetIncomplete { path, purpose, channel } => (Code::TargetIncomplete, vec![finish(path, *purpose, channel.as_ref())]),
            Self::OtherWay { .. } => {
                (Code::OtherSnapshot, one("finish it without --in-place, or add --discard to delete it and start over in place"))
            }
            Self::StagingUnsafe { .. } => (Code::StagingUnsafe, one("remove it, or run as the user who owns it")),
            Self::StagingGone { .. } => (Code::StagingGone, one("run the same command again; it starts over")),
            Self::Unreadable { .. } => {
                (Code::StateUnreadable, one("use the release of qsync that wrote it, or add --discard to start over"))
            }
            Self::NotAsListed { .. } => (Code::NotAsListed, one("run the same command again with --discard")),
            Self::List { source, .. } => match below(&**source) {
                Some(cost @ (Exhausted::NoConsent { .. } | Exhausted::Cap { .. })) => cost.classify(),
                _ => (Code::ChunkList, one("name a source with --from, or restore again")),
            },
            Self::CloneTooSlow { .. } => (
                Code::DowntimeTooLong,
                one("put the data directory on a file system with reflinks (xfs, btrfs), or raise freeze.max_downtime"),
            ),
            Self::CloneForeign { .. } => (Code::CloneForeign, one("move it away, or name another directory with freeze.clone_dir")),
            Self::Stopped => (Code::Interrupted, Vec::new()),
        }
    }
}

/// Why the sources did not deliver what was read through them like a file.
fn below<'a>(error: &'a (dyn StdError + Send + Sync + 'static)) -> Option<&'a Exhausted> {
    error.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref()
}

/// The command that completes a directory of which a change in place was interrupted.
pub(super) fn finish(path: &std::path::Path, purpose: Purpose, channel: Option<&ChannelName>) -> String {
    let channel = channel.map_or("CHANNEL", ChannelName::as_str);
    match purpose {
        Purpose::Restore => format!("only this completes it: qsync restore {channel} --in-place --to {}", path.display()),
        Purpose::Repair => format!("this completes it: qsync verify {} --repair --from SOURCE", path.display()),
    }
}

/// What to do about each of the first findings.
fn secrets(findings: &[disk::secrets::Finding]) -> Vec<String> {
    let shown = findings.iter().take(20).map(|f| format!("{} ({}): move it away, or add --allow-secret {}", f.path, f.rule, f.path));
    let rest = (findings.len() > 20).then(|| format!("and {} more", findings.len() - 20));
    shown.chain(rest).collect()
}

impl<E: Classify> From<E> for Failure {
    fn from(error: E) -> Self {
        error.into_failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_error(kind: ErrorKind) -> store::Error {
        let below = std::io::Error::other("connection reset");
        store::Error {
            kind,
            store: "https://a".into(),
            action: "get",
            key: "chunks/aa".into(),
            reason: "it broke".into(),
            source: Some(below.into()),
        }
    }

    #[test]
    fn every_code_is_a_row_of_the_documentation_with_its_exit_code() {
        let page = include_str!("../../docs/scripting.md");
        for code in Code::ALL {
            let start = format!("| `{}` | {} |", code.as_str(), code.exit() as u8);
            assert!(page.lines().any(|line| line.starts_with(&start)), "no row starts with {start}");
        }
    }

    #[test]
    fn every_code_of_the_library_is_in_the_table() {
        let sources = [
            include_str!("../catalog/error.rs"),
            include_str!("../catalog/state_dir.rs"),
            include_str!("../trust/refusal.rs"),
            include_str!("../types/credential_fault.rs"),
            include_str!("../disk/error.rs"),
        ];
        for source in sources {
            let body = source.split("fn code(").nth(1).unwrap().split("\n    }\n").next().unwrap();
            let names: Vec<_> = body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(names.len() > 3, "{names:?}");
            // What a store says and what ended early have codes of their own.
            for name in names.iter().filter(|name| !["store", "internal", "stopped"].contains(name)) {
                assert!(Code::named(name).is_some(), "{name} is not in the table");
            }
        }
    }

    // AW-02
    #[test]
    fn a_list_that_costs_money_is_not_said_to_be_damaged() {
        let (path, id) = ("db/a".parse().unwrap(), crate::types::Hash::of(b"list"));
        let list = |source: Exhausted| disk::Error::List { path, id, source: Box::new(std::io::Error::other(source)) };
        let failure = Failure::from(list(Exhausted::NoConsent { key: "lists/aa".into(), lines: Vec::new() }));
        assert_eq!((failure.code, failure.exit()), (Code::CostNotAccepted, Exit::Denied));
    }

    #[test]
    fn no_two_codes_share_a_name() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn the_documentation_has_no_row_for_a_code_that_is_not_there() {
        let page = include_str!("../../docs/scripting.md");
        let rows = page.split("## Codes").nth(1).unwrap().split("\n## ").next().unwrap();
        let documented = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        for name in documented {
            assert!(Code::ALL.iter().any(|code| code.as_str() == name), "{name} is documented but cannot happen");
        }
    }

    #[test]
    fn the_chain_of_causes_is_printed_once_and_hints_come_last() {
        let failure = Failure::from(store_error(ErrorKind::Unreachable));
        let expected = "error: https://a: get chunks/aa: it broke\ncaused by: connection reset\n\
                        hint: run the same command again later, or add another source with --from\n";
        assert_eq!(failure.to_text(), expected);
        assert_eq!(failure.exit(), Exit::Network);
    }

    #[test]
    fn scripts_get_code_exit_message_and_hints() {
        let line = serde_json::to_value(Failure::from(store_error(ErrorKind::NotFound)).to_json()).unwrap();
        assert_eq!((&line["type"], &line["code"], &line["exit"]), (&"error".into(), &"not-found".into(), &10.into()));
        assert_eq!(line["message"], "https://a: get chunks/aa: it broke: connection reset");
        assert_eq!(line["hints"].as_array().unwrap().len(), 1);
    }
}

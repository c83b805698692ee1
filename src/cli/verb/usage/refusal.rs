//! The codes and hints of what counting can refuse.

use crate::{
    cli::{
        Code,
        exit::{Classify, one},
    },
    ops::usage::{AwsError, AwsErrorKind, Error, SourceError, sinks::SinkError},
    types::CredentialFault,
};

const FROM_THE_BEGINNING: &str =
    "or delete usage/state.json there: what was crossed this month is told again under the same ids, and a node of IPFS is counted anew";

impl Classify for Error {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Store(error) => error.classify(),
            Self::StateNewer { .. } => (Code::NeedsNewer, one("update qsync on this machine; nothing was changed")),
            Self::StateUnreadable { .. } => (
                Code::StateUnreadable,
                vec!["name another store with store in [usage], if something else lies there".to_owned(), FROM_THE_BEGINNING.to_owned()],
            ),
            Self::StateTooLong { .. } => (Code::Error, one("count fewer stores, or keep some of them in another store")),
            Self::Contended { .. } => (Code::Contended, one("run the same command again later; one tick an hour is enough")),
            Self::Clock(_) => (
                Code::WrongClock,
                vec![
                    "set the clock (for example: timedatectl set-ntp true) and run the same command again; nothing was counted".to_owned(),
                    format!(
                        "if it was another clock that was wrong when the state was written, wait until that time, {FROM_THE_BEGINNING}"
                    ),
                ],
            ),
        }
    }
}

impl Classify for SourceError {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Aws(error) => error.classify(),
            Self::Kubo(error) => error.classify(),
        }
    }
}

impl Classify for SinkError {
    fn classify(&self) -> (Code, Vec<String>) {
        match self {
            Self::Webhook(_) => {
                (Code::Network, one("mend the webhook, or its address in webhook_file: the next tick tells it what it missed"))
            }
            Self::Aws(error) => error.classify(),
        }
    }
}

impl Classify for AwsError {
    fn classify(&self) -> (Code, Vec<String>) {
        match self.kind {
            AwsErrorKind::Denied => (Code::Denied, vec![format!("allow this user {} (docs/usage.md has the policy)", self.call.action())]),
            AwsErrorKind::Credentials(fault) => (of_credentials(fault), one(about_credentials(fault))),
            AwsErrorKind::NotFound => (Code::NotFound, one("check its name, and its region and account")),
            AwsErrorKind::Unreachable => (Code::Network, one("run the same command again later; what is missed is counted then")),
            AwsErrorKind::BadAnswer => (Code::BadAnswer, one("check AWS_ENDPOINT_URL: another server may answer there")),
        }
    }
}

fn of_credentials(fault: CredentialFault) -> Code {
    Code::named(fault.code()).unwrap_or(Code::Denied)
}

fn about_credentials(fault: CredentialFault) -> &'static str {
    match fault {
        CredentialFault::Missing => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role",
        CredentialFault::Wrong => "check the access key and its secret",
        CredentialFault::Expired => "renew them (aws sso login, or a new session token), and run the same command again",
        CredentialFault::NotLoaded => "log in again (aws sso login) or mend what gives them, and run the same command again",
        CredentialFault::Clock => "set the clock (for example: timedatectl set-ntp true) and run the same command again",
    }
}

//! What is wrong with the credentials that a store needs.

/// What is wrong with the credentials that a store needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialFault {
    /// There are none.
    Missing,
    /// The store does not know them, or the signature made with them does not fit.
    Wrong,
    /// They were good once.
    Expired,
    /// Whoever gives them fails.
    NotLoaded,
    /// They are signed with a time that is not the store's.
    Clock,
}

impl CredentialFault {
    /// The stable code (docs/scripting.md).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "credentials-missing",
            Self::Wrong => "credentials-wrong",
            Self::Expired => "credentials-expired",
            Self::NotLoaded => "credentials-not-loaded",
            Self::Clock => "credentials-clock",
        }
    }

    /// What to do about it, in one line.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Missing => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add profile=NAME to the URL; without an AWS account use a CDN or IPFS source"
            }
            Self::Wrong => "check the access key and its secret, and region and endpoint in the URL",
            Self::Expired => {
                "renew them (aws sso login, or a new session token) and run the same command again: everything verified is kept"
            }
            Self::NotLoaded => {
                "log in again (aws sso login) or mend what gives them, and run the same command again: everything verified is kept"
            }
            Self::Clock => "set the clock (for example: timedatectl set-ntp true) and run the same command again",
        }
    }
}

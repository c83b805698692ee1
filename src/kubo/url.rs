//! Where a node is, as the user writes it.

use std::{fmt, str::FromStr};

use thiserror::Error;
use url::{Host, Url};

use crate::types::Forms;

/// Where the RPC of a node is: `ipfs+http://host:port` or `ipfs+https://host:port`, and what is to be made there
/// (`?forms=zstd,raw`, `?tree=false`, `?ipns=KEY`).
///
/// Shown without what is to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct KuboUrl {
    base: Url,
    shown: String,
    /// The forms of chunks that are wanted, where the user names them.
    pub forms: Option<Forms>,
    /// Whether the plain directory is wanted.
    pub tree: bool,
    /// The key of the node whose name is to point to the newest snapshot.
    pub ipns: Option<String>,
}

/// Text that names no node. The text itself is not repeated: it may hold a password.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidKuboUrl {
    /// Another scheme.
    #[error("not the address of a node: expected ipfs+http:// or ipfs+https://")]
    OtherScheme,
    /// Not a URL.
    #[error("not the address of a node: {0}")]
    Malformed(String),
    /// Without a port.
    #[error("the address of a node has a port, mostly 5001: ipfs+http://127.0.0.1:5001")]
    NoPort,
    /// With a path.
    #[error("the address of a node has no path (found {0:?})")]
    Path(String),
    /// With a user name or password.
    #[error("user name and password do not belong in the address of a node: set QSYNC_IPFS_AUTH=basic:USER:PASSWORD")]
    Secret,
    /// An unknown setting.
    #[error("unknown setting {0} in the address of a node (known: forms, ipns, tree)")]
    UnknownSetting(String),
    /// A setting without meaning.
    #[error("setting {name} in the address of a node: {reason}")]
    BadSetting {
        /// Which.
        name: &'static str,
        /// Why not.
        reason: String,
    },
}

impl KuboUrl {
    /// Whether the node is asked on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// The address of one command.
    pub(super) fn command(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/api/v0/{path}"));
        url
    }

    /// The address of the node's metrics.
    pub(super) fn metrics(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path("/debug/metrics/prometheus");
        url
    }

    fn read_settings(&mut self, given: &Url) -> Result<(), InvalidKuboUrl> {
        for (name, value) in given.query_pairs() {
            match name.as_ref() {
                "forms" => self.forms = Some(value.parse().map_err(|e| bad("forms", &e))?),
                "ipns" if value.is_empty() => return Err(bad("ipns", &"expected the name of a key of the node")),
                "ipns" => self.ipns = Some(value.into_owned()),
                "tree" => self.tree = value.parse().map_err(|_| bad("tree", &"expected true or false"))?,
                _ => return Err(InvalidKuboUrl::UnknownSetting(name.into_owned())),
            }
        }
        Ok(())
    }
}

fn bad(name: &'static str, reason: &dyn fmt::Display) -> InvalidKuboUrl {
    InvalidKuboUrl::BadSetting { name, reason: reason.to_string() }
}

/// Whether a port is written down; a URL does not tell it from the one that its scheme has anyway.
fn names_port(text: &str) -> bool {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()))
}

impl FromStr for KuboUrl {
    type Err = InvalidKuboUrl;

    fn from_str(text: &str) -> Result<Self, InvalidKuboUrl> {
        let (scheme, _) = text.split_once("://").ok_or(InvalidKuboUrl::OtherScheme)?;
        if !["ipfs+http", "ipfs+https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(InvalidKuboUrl::OtherScheme);
        }
        let plain = &text["ipfs+".len()..];
        let given = Url::parse(plain).map_err(|error| InvalidKuboUrl::Malformed(error.to_string()))?;
        if !given.username().is_empty() || given.password().is_some() {
            return Err(InvalidKuboUrl::Secret);
        }
        if given.path() != "/" {
            return Err(InvalidKuboUrl::Path(given.path().to_owned()));
        }
        if given.fragment().is_some() {
            return Err(InvalidKuboUrl::Malformed("it has a fragment (#…)".to_owned()));
        }
        if !names_port(plain) {
            return Err(InvalidKuboUrl::NoPort);
        }
        let mut base = given.clone();
        base.set_query(None);
        let port = given.port_or_known_default().ok_or(InvalidKuboUrl::NoPort)?;
        let shown = format!("ipfs+{}://{}:{port}", given.scheme(), given.host_str().unwrap_or_default());
        let mut url = Self { base, shown, forms: None, tree: true, ipns: None };
        url.read_settings(&given)?;
        Ok(url)
    }
}

impl fmt::Display for KuboUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for KuboUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KuboUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KuboUrl, InvalidKuboUrl> {
        text.parse()
    }

    #[test]
    fn reads_addresses_and_settings() {
        for text in ["ipfs+http://127.0.0.1:5001", "ipfs+https://node.example:443", "ipfs+http://[::1]:80"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
            assert_eq!(parse(&format!("{text}/")).unwrap().to_string(), text);
        }
        let url = parse("IPFS+HTTP://node.example:5001?forms=raw&tree=false").unwrap();
        assert_eq!((url.to_string().as_str(), url.forms, url.tree), ("ipfs+http://node.example:5001", Some(Forms::Raw), false));
        let url = parse("ipfs+http://node.example:5001").unwrap();
        assert_eq!((url.forms, url.tree), (None, true));
        assert_eq!(url.command("pin/ls").as_str(), "http://node.example:5001/api/v0/pin/ls");
    }

    #[test]
    fn knows_this_machine() {
        for text in ["ipfs+http://127.0.0.1:1", "ipfs+http://127.1.2.3:1", "ipfs+http://[::1]:1", "ipfs+http://localhost:1"] {
            assert!(parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["ipfs+http://192.0.2.1:1", "ipfs+http://localhost.example:1", "ipfs+http://[2001:db8::1]:1"] {
            assert!(!parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_in_words() {
        use InvalidKuboUrl as Why;
        for text in ["", "http://127.0.0.1:5001", "ipfs://bafkqaaa", "ipfs+ftp://host:1", "ipfs+", "ïpfs+http://host:1"] {
            assert_eq!(parse(text), Err(Why::OtherScheme), "{text}");
        }
        for text in ["ipfs+http://", "ipfs+http://host:99999", "ipfs+http://host:5001#x", "ipfs+http://a b:5001"] {
            assert!(matches!(parse(text), Err(Why::Malformed(_))), "{text}");
        }
        for text in ["ipfs+http://host", "ipfs+http://host:", "ipfs+http://[::1]", "ipfs+http://host?tree=false"] {
            assert_eq!(parse(text), Err(Why::NoPort), "{text}");
        }
        assert_eq!(parse("ipfs+http://host:5001/api/v0"), Err(Why::Path("/api/v0".into())));
        assert_eq!(parse("ipfs+http://host:5001?form=raw"), Err(Why::UnknownSetting("form".into())));
        for text in ["ipfs+http://host:5001?forms=gzip", "ipfs+http://host:5001?tree=no"] {
            assert!(matches!(parse(text), Err(Why::BadSetting { .. })), "{text}");
        }
    }

    // AW-11
    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["ipfs+http://user:hunter2@host:5001", "ipfs+http://hunter2@host:5001", "ipfs+http://user:hunter2@host:99999"] {
            let refused = parse(text).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
        assert_eq!(parse("ipfs+http://user:hunter2@host:5001"), Err(InvalidKuboUrl::Secret));
    }
}

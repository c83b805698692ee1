//! Blocks of IPFS from one trustless gateway, which is asked for nothing but single blocks (the trustless gateway specification).
//!
//! A block is proved against its name before anybody sees a byte of it. What the blocks mean is not known here.

use std::{fmt, net::Ipv4Addr, time::Duration};

use ::url::{Host, Url};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};

use super::{
    Error, ErrorKind, Timeouts,
    url::without_secrets,
    web::{Fault, Redirects, WebClient},
};
use crate::types::{Cid, Hash};

/// The longest block that nodes pass on.
pub const MAX_BLOCK_BYTES: u64 = 2 << 20;
/// What every gateway has: a name that holds its own content, which is empty.
const EMPTY: &str = "bafkqaaa";
/// How long a gateway may take to say that it is one; it has nothing to look up for that.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// The type of a single block.
const BLOCK_TYPE: &str = "application/vnd.ipld.raw";

/// A trustless gateway. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub struct Gateway {
    web: WebClient,
    base: Url,
    name: String,
}

/// What answers at the address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// A gateway.
    Gateway,
    /// Nothing now. It may be one all the same.
    Nothing {
        /// Why, as a clause.
        reason: String,
    },
    /// Something else.
    Other {
        /// What, as a clause.
        what: String,
    },
}

impl Timeouts {
    /// As usual, but for the first byte: gateways look for a block for 30 s before they say that nobody has it.
    #[must_use]
    pub fn of_gateways() -> Self {
        Self { first_byte: Duration::from_secs(45), ..Self::default() }
    }
}

impl Gateway {
    /// The gateway at `url`, with or without `/ipfs` at its end. Does not connect.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when that is no http or https URL; [`ErrorKind::Io`] when no TLS client can be made.
    pub fn open(url: &Url, timeouts: Timeouts) -> Result<Self, Error> {
        let base = base(url);
        let name = without_secrets(&base).trim_end_matches('/').to_owned();
        let Some(host) = base.host().filter(|_| matches!(base.scheme(), "http" | "https")) else {
            return Err(Error::new(ErrorKind::BadAnswer, &name, "open", "", "not an http or https URL"));
        };
        // Gateways with subdomains send their clients there, where every snapshot is an origin of its own.
        let web = WebClient::new(&host.to_owned(), Redirects::SameHost, timeouts).map_err(|fault| fault.into_error(&name, "open", ""))?;
        Ok(Self { web, base, name })
    }

    /// Its URL without secrets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        }
    }

    /// From now on a block is given up only when nothing of it arrives any more.
    pub fn be_patient(&self) {
        self.web.be_patient();
    }

    /// Reads a block of at most `max_bytes` into `into`, which is empty, and proves it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::TooLarge`] and the network kinds; [`ErrorKind::WrongBytes`] when what arrives is not the block.
    pub async fn block_into(&self, cid: &Cid, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        self.fetch(cid, max_bytes, into).await.map_err(|fault| fault.into_error(&self.name, "get", &cid.to_string()))
    }

    async fn fetch(&self, cid: &Cid, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        let request = self.web.get(self.url(&cid.to_string())).header(ACCEPT, BLOCK_TYPE);
        let response = self.web.send(request).await?;
        // A node that is asked for what it has only answers so.
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Err(Fault::new(ErrorKind::NotFound, "the gateway does not have the block"));
        }
        let content_type = content_type(&response);
        self.web.body(response, max_bytes.min(MAX_BLOCK_BYTES), into).await?;
        match Hash::of(into) {
            found if found == cid.hash() => Ok(()),
            found => Err(Fault::new(ErrorKind::WrongBytes, what_it_is(into, content_type.as_deref(), cid, &found))),
        }
    }

    /// Looks what answers at the address, within a few seconds.
    pub async fn probe(&self) -> Probed {
        let request = self.web.get(self.url(EMPTY)).header(ACCEPT, BLOCK_TYPE);
        let response = match self.web.send_within(request, PROBE_PATIENCE).await {
            Err(fault) if fault.kind == ErrorKind::BadAnswer => return Probed::Other { what: fault.reason },
            Err(fault) => return Probed::Nothing { reason: fault.reason },
            Ok(response) => response,
        };
        match response.status() {
            StatusCode::OK => self.judge_empty(response).await,
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Probed::Nothing { reason: format!("the server answers {status}") }
            }
            status if self.is_rpc().await => Probed::Other {
                what: format!("this is Kubo's RPC, which answers {status}, and not its gateway, which listens on port 8080"),
            },
            status => Probed::Other { what: format!("no gateway: it answers {status} to what every gateway has") },
        }
    }

    async fn judge_empty(&self, response: Response) -> Probed {
        let content_type = content_type(&response).map(|found| format!(" ({found})")).unwrap_or_default();
        match self.web.body(response, 0, &mut Vec::new()).await {
            Ok(()) => Probed::Gateway,
            Err(fault) if fault.kind == ErrorKind::TooLarge => {
                Probed::Other { what: format!("no gateway: it answers with something else{content_type} to what every gateway has") }
            }
            Err(fault) => Probed::Nothing { reason: fault.reason },
        }
    }

    /// Kubo's RPC takes no GET at all.
    async fn is_rpc(&self) -> bool {
        let mut url = self.base.clone();
        url.set_path("/api/v0/version");
        let answer = self.web.send_within(self.web.get(url), PROBE_PATIENCE).await;
        answer.is_ok_and(|response| response.status() == StatusCode::METHOD_NOT_ALLOWED)
    }

    /// Whether it has this block without asking others; a gateway that does not know this question says no.
    pub async fn has_at_hand(&self, cid: &Cid) -> bool {
        let request = self.web.head(self.url(&cid.to_string())).header(ACCEPT, BLOCK_TYPE).header(CACHE_CONTROL, "only-if-cached");
        self.web.send_within(request, PROBE_PATIENCE).await.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    fn url(&self, cid: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/ipfs/{cid}", self.base.path().trim_end_matches('/')));
        url.query_pairs_mut().append_pair("format", "raw");
        url
    }
}

/// Where the paths of a gateway begin. Kubo sends whoever calls it `localhost` to subdomains of that.
fn base(url: &Url) -> Url {
    let mut base = url.clone();
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix("/ipfs").unwrap_or(path).to_owned();
    base.set_path(&path);
    if base.host_str() == Some("localhost") {
        base.set_ip_host(Ipv4Addr::LOCALHOST.into()).expect("a URL with a host can have another one");
    }
    base
}

fn content_type(response: &Response) -> Option<String> {
    Some(response.headers().get(CONTENT_TYPE)?.to_str().ok()?.chars().take(100).collect())
}

/// What came instead of a block, as far as one can see.
fn what_it_is(bytes: &[u8], content_type: Option<&str>, cid: &Cid, found: &Hash) -> String {
    let kind = match content_type {
        Some(found) if !found.starts_with(BLOCK_TYPE) => format!("{found}, which nobody asked for"),
        _ if bytes.trim_ascii_start().starts_with(b"<") => "it looks like a web page".to_owned(),
        _ => format!("expected b3:{}, found b3:{}", cid.hash().short(), found.short()),
    };
    format!("not the block: {} bytes, {kind}", bytes.len())
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("name", &self.name).field("timeouts", &self.web.timeouts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

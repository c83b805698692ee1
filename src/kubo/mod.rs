//! The RPC of a Kubo node (`/api/v0`): the commands that publishing needs, typed.
//!
//! The node is believed in what it says of itself; blocks are named by their hashes, so it cannot give wrong ones. That it says "done" is not
//! enough: an error inside an answer with status 200, in its trailer, or a connection that ends early is an error here. Every answer has
//! a greatest length and every command a time. Nothing is tried twice: a caller knows better what that would mean.
//!
//! Source: Kubo's `core/commands`, release 0.43.

mod answer;
mod auth;
mod call;
mod dag;
mod error;
mod files;
mod import;
mod node;
mod pins;
mod traffic;
mod url;
mod version;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, header, redirect::Policy};

pub use auth::{Auth, InvalidAuth};
pub use dag::Completeness;
use error::Fault;
pub use error::{Error, ErrorKind};
pub use node::{Node, RepoStat};
pub use pins::Pinned;
pub use traffic::Sent;
pub use url::{InvalidKuboUrl, KuboUrl};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A node that takes commands. Clones share their connections.
#[derive(Clone)]
pub struct Kubo {
    client: Client,
    url: Arc<KuboUrl>,
    name: Arc<str>,
}

impl Kubo {
    /// A node at this address, which is not asked yet: [`Kubo::check`] does.
    ///
    /// Redirects are not followed. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`), but not for this machine.
    ///
    /// # Errors
    /// When no TLS client can be made.
    pub fn open(url: &KuboUrl, auth: Option<Auth>) -> Result<Self, Error> {
        let name = url.to_string();
        let client = client(url, auth)
            .map_err(|error| Fault::new(ErrorKind::Unreachable, "cannot make a TLS client").caused_by(error).of(&name, "open"))?;
        Ok(Self { client, url: Arc::new(url.clone()), name: name.into() })
    }

    /// How the node is named to people: its address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn client(url: &KuboUrl, auth: Option<Auth>) -> Result<Client, reqwest::Error> {
    let mut headers = header::HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
    // What went wrong late is told in a trailer, which whatever stands between may drop unless it is asked for (RFC 9110 6.5.1).
    headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("te"));
    headers.extend(auth.map(|auth| (header::AUTHORIZATION, auth.header())));
    let builder = Client::builder()
        .http1_only()
        .user_agent(concat!("qsync/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(CONNECT)
        .redirect(Policy::none())
        .referer(false);
    if url.is_loopback() { builder.no_proxy().build() } else { builder.build() }
}

/// Without the secret, which is among the headers of the client.
impl fmt::Debug for Kubo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubo").field("name", &self.name).finish_non_exhaustive()
    }
}

//! What a node says of itself, and the name that it gives to what it has.

use serde::Deserialize;

use super::{Error, ErrorKind, Kubo, call::Call, error::Fault, version};
use crate::types::Cid;

/// A node that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The release that it runs.
    pub version: String,
    /// Its name among nodes.
    pub peer_id: String,
    /// Where other nodes reach it; none while it is offline.
    pub addresses: Vec<String>,
}

/// What a node's repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct RepoStat {
    /// Its length on disk.
    #[serde(rename = "RepoSize")]
    pub repo_bytes: u64,
    /// The length from which on the node's own cleaning begins; writing does not end there.
    #[serde(rename = "StorageMax")]
    pub max_bytes: u64,
    /// Number of blocks.
    #[serde(rename = "NumObjects")]
    pub blocks: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Addresses")]
    addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

impl Kubo {
    /// Asks the node who it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotAnRpc`] when something else answers, [`ErrorKind::TooOld`], [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn check(&self) -> Result<Node, Error> {
        let told: Version = self.ask_one(Call::new("version", "version")).await?;
        self.judge_version(&told.version).map_err(|fault| self.error("version", fault))?;
        let told_id: Id = self.ask_one(Call::new("id", "id")).await?;
        Ok(Node { version: told.version, peer_id: told_id.id, addresses: told_id.addresses.unwrap_or_default() })
    }

    /// What the node's repository holds.
    ///
    /// # Errors
    /// As [`Kubo::check`].
    pub async fn repo_stat(&self) -> Result<RepoStat, Error> {
        self.ask_one(Call::new("repo/stat", "repo stat")).await
    }

    /// Lets the IPNS name of a key of the node lead to `cid`, and gives that name. Works offline too; others learn of it once the node is online.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when there is no such key.
    pub async fn name_publish(&self, key: &str, cid: &Cid) -> Result<String, Error> {
        let call = Call::new("name/publish", "name publish");
        // The node may ask the network for what the name led to before, and wait for it.
        let call = call.with("arg", format!("/ipfs/{cid}")).with("key", key).with("allow-offline", true).with("resolve", false);
        self.ask_one(call).await.map(|named: Named| named.name)
    }

    pub(super) async fn ask_one<T: serde::de::DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let action = call.action();
        self.call(call).await?.one().map_err(|fault| self.error(action, fault))
    }

    fn judge_version(&self, found: &str) -> Result<(), Fault> {
        let (major, minor) = version::LEAST;
        match version::will_do(found) {
            Some(true) => Ok(()),
            Some(false) => Err(Fault::new(
                ErrorKind::TooOld { found: found.to_owned() },
                format!("the node is Kubo {found}, at least {major}.{minor} is needed"),
            )),
            None => Err(Fault::new(ErrorKind::NotAnRpc, format!("not a Kubo node: its version is {found:?}"))),
        }
    }
}

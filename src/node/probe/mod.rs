//! What a node says of itself: whether it is synced, its peers, its newest block, its chain. One file for each family of nodes.
//!
//! What a node does not tell is `None`: unknown, never a guess. An error object is such an unknown, with the node's words kept; an answer that
//! nodes of the family never give is an error.

mod bitcoin;
mod bitshares;
mod ethereum;
mod substrate;
mod tendermint;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::rpc::{Rpc, RpcError, RpcErrorKind};
use crate::{profile::Family, types::Timestamp};

/// A block as a node names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its hash, as the node prints it.
    pub hash: Option<String>,
    /// When it was made, as it says itself.
    pub time: Option<Timestamp>,
}

/// The node software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

/// What a node said; `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it says that it has caught up.
    pub synced: Option<bool>,
    /// Whether nodes of its family say that at all.
    pub tells_synced: bool,
    /// How many other nodes it is connected to.
    pub peers: Option<u64>,
    /// Its newest block.
    pub head: Option<Block>,
    /// The newest block that it will not go back behind.
    pub finalized: Option<Block>,
    /// The highest block that it has heard of.
    pub best_known: Option<u64>,
    /// What names its chain: the hash of the genesis block, or the chain's id where nodes of the family know no such hash.
    pub genesis: Option<String>,
    /// The chain's id, where that is something else.
    pub chain_id: Option<String>,
    /// What it is.
    pub client: Option<Client>,
    /// What it refused to tell, in its own words.
    pub refused: Vec<String>,
}

impl Status {
    /// The height of its newest block.
    #[must_use]
    pub fn height(&self) -> Option<u64> {
        self.head.as_ref().map(|head| head.height)
    }
}

/// A node that is asked in the words of its family.
#[derive(Debug)]
pub struct Probe {
    rpc: Rpc,
    family: OnceCell<Family>,
}

impl Probe {
    /// A node of this family; `None`: it is asked which.
    #[must_use]
    pub fn new(rpc: Rpc, family: Option<Family>) -> Self {
        Self { rpc, family: OnceCell::new_with(family) }
    }

    /// How the node is named to people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.rpc.name()
    }

    /// Asks for everything.
    ///
    /// # Errors
    /// [`RpcError`] when it cannot be asked, or does not answer like a node of its family.
    pub async fn status(&self) -> Result<Status, RpcError> {
        let family = self.family().await?;
        let mut asker = Asker { rpc: &self.rpc, refused: Vec::new() };
        let status = match family {
            Family::Substrate => substrate::status(&mut asker).await?,
            Family::Ethereum => ethereum::status(&mut asker).await?,
            Family::Bitshares => bitshares::status(&mut asker).await?,
            Family::Bitcoin => bitcoin::status(&mut asker).await?,
            Family::Tendermint => tendermint::status(&mut asker).await?,
        };
        Ok(Status { tells_synced: family != Family::Bitshares, refused: asker.refused, ..status })
    }

    /// The hash of the block at `height`; `None` when the node does not have that block, or not any more.
    ///
    /// # Errors
    /// As [`Probe::status`].
    pub async fn block_hash(&self, height: u64) -> Result<Option<String>, RpcError> {
        let mut asker = Asker { rpc: &self.rpc, refused: Vec::new() };
        match self.family().await? {
            Family::Substrate => substrate::block_hash(&mut asker, height).await,
            Family::Ethereum => ethereum::block_hash(&mut asker, height).await,
            Family::Bitshares => bitshares::block_hash(&mut asker, height).await,
            Family::Bitcoin => bitcoin::block_hash(&mut asker, height).await,
            Family::Tendermint => tendermint::block_hash(&mut asker, height).await,
        }
    }

    async fn family(&self) -> Result<Family, RpcError> {
        self.family.get_or_try_init(|| guess(&self.rpc)).await.copied()
    }
}

/// The family whose questions the node understands.
async fn guess(rpc: &Rpc) -> Result<Family, RpcError> {
    let get_chain_id = bitshares::of_database("get_chain_id", Value::Array(Vec::new()));
    let questions = [
        (Family::Ethereum, "eth_chainId", "eth_chainId", Value::Array(Vec::new())),
        (Family::Substrate, "system_health", "system_health", Value::Array(Vec::new())),
        (Family::Bitcoin, "getblockchaininfo", "getblockchaininfo", Value::Array(Vec::new())),
        (Family::Tendermint, "status", "status", Value::Object(serde_json::Map::new())),
        (Family::Bitshares, "get_chain_id", "call", get_chain_id),
    ];
    for (family, named, method, params) in questions {
        match rpc.call(named, method, &params).await {
            Ok(Value::Null) | Err(RpcError { kind: RpcErrorKind::Answered { .. }, .. }) => {}
            Ok(_) => return Ok(family),
            Err(error) => return Err(error),
        }
    }
    Err(rpc.strange("any question", "it understands the questions of no family of nodes that is known"))
}

/// Asks one question after the other, and remembers what was refused.
struct Asker<'a> {
    rpc: &'a Rpc,
    refused: Vec<String>,
}

impl Asker<'_> {
    /// The answer; `None` where there is none, or the node refuses to tell.
    async fn ask<T: DeserializeOwned>(&mut self, method: &str, params: Value) -> Result<Option<T>, RpcError> {
        self.ask_as(method, method, params).await
    }

    async fn ask_as<T: DeserializeOwned>(&mut self, named: &str, method: &str, params: Value) -> Result<Option<T>, RpcError> {
        match self.rpc.call(named, method, &params).await {
            Ok(value) => serde_json::from_value(value).map_err(|e| self.strange(named, &e)),
            Err(RpcError { kind: RpcErrorKind::Answered { .. }, method, reason, .. }) => {
                self.refused.push(format!("{method}: {reason}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn strange(&self, named: &str, error: &serde_json::Error) -> RpcError {
        self.rpc.strange(named, format!("its answer is another than expected: {error}"))
    }
}

/// A number as `0x1f`, which is how two families write theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
struct Hex(u64);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").ok_or_else(|| format!("{text:?} is no number in hexadecimal"))?;
        u64::from_str_radix(digits, 16).map(Self).map_err(|e| format!("{text:?} is no number in hexadecimal: {e}"))
    }
}

/// A number as `"17"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
struct Decimal(u64);

impl TryFrom<String> for Decimal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|e| format!("{text:?} is no number: {e}"))
    }
}

/// A time in seconds since 1970.
fn of_seconds(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

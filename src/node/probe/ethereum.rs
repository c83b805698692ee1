//! Nodes of Ethereum and of what has the same RPC.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asker, Block, Client, Hex, Status, of_seconds};
use crate::node::rpc::RpcError;

#[derive(Deserialize)]
struct Header {
    number: Hex,
    hash: String,
    timestamp: Hex,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syncing {
    highest_block: Option<Hex>,
}

pub(super) async fn status(asker: &mut Asker<'_>) -> Result<Status, RpcError> {
    let (synced, best_known) = syncing(asker).await?;
    let peers: Option<Hex> = asker.ask("net_peerCount", json!([])).await?;
    let chain_id: Option<Hex> = asker.ask("eth_chainId", json!([])).await?;
    let client: Option<String> = asker.ask("web3_clientVersion", json!([])).await?;
    Ok(Status {
        synced,
        peers: peers.map(|Hex(peers)| peers),
        head: block(asker, "latest").await?,
        finalized: block(asker, "finalized").await?.map(|block| Block { time: None, ..block }),
        best_known,
        genesis: block(asker, "0x0").await?.and_then(|genesis| genesis.hash),
        chain_id: chain_id.map(|Hex(id)| id.to_string()),
        client: client.as_deref().and_then(client_of),
        ..Status::default()
    })
}

pub(super) async fn block_hash(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    Ok(block(asker, &format!("{height:#x}")).await?.and_then(|block| block.hash))
}

/// Whether it is synced, and the highest block that it has heard of. `false` is the answer of a node that has nothing to catch up with,
/// also of one that has stalled.
async fn syncing(asker: &mut Asker<'_>) -> Result<(Option<bool>, Option<u64>), RpcError> {
    match asker.ask::<Value>("eth_syncing", json!([])).await? {
        Some(Value::Bool(syncing)) => Ok((Some(!syncing), None)),
        Some(state @ Value::Object(_)) => {
            let state: Syncing = serde_json::from_value(state).map_err(|e| asker.strange("eth_syncing", &e))?;
            Ok((Some(false), state.highest_block.map(|Hex(height)| height)))
        }
        None => Ok((None, None)),
        Some(other) => Err(asker.rpc.strange("eth_syncing", format!("its answer is another than expected: {other}"))),
    }
}

async fn block(asker: &mut Asker<'_>, which: &str) -> Result<Option<Block>, RpcError> {
    let header: Option<Header> = asker.ask("eth_getBlockByNumber", json!([which, false])).await?;
    Ok(header.map(|header| Block { height: header.number.0, hash: Some(header.hash), time: of_seconds(header.timestamp.0) }))
}

/// `Geth/v1.16.7-stable/linux-amd64/go1.24.1` begins with the name and the version.
fn client_of(text: &str) -> Option<Client> {
    let mut parts = text.split('/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some(Client { name: name.to_owned(), version: parts.find(|part| part.starts_with('v')).map(|part| part[1..].to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_names_itself_and_its_version() {
        let client = |text: &str| client_of(text).map(|client| (client.name, client.version));
        assert_eq!(client("Geth/v1.16.7-stable/linux-amd64/go1.24.1"), Some(("Geth".into(), Some("1.16.7-stable".into()))));
        assert_eq!(client("Geth/mynode/v1.16.7/linux-amd64/go1.24.1"), Some(("Geth".into(), Some("1.16.7".into()))));
        assert_eq!(client("other"), Some(("other".into(), None)));
        assert_eq!(client(""), None);
    }
}

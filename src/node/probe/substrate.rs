//! Nodes of the Polkadot SDK.

use serde::Deserialize;
use serde_json::json;

use super::{Asker, Block, Client, Hex, Status};
use crate::{node::rpc::RpcError, types::Timestamp};

/// Where every chain with blocks of its own keeps the time of its newest one: the hashes of `Timestamp` and `Now`.
const TIMESTAMP_NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    peers: u64,
    is_syncing: bool,
}

#[derive(Deserialize)]
struct Header {
    number: Hex,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncState {
    highest_block: Option<u64>,
}

pub(super) async fn status(asker: &mut Asker<'_>) -> Result<Status, RpcError> {
    let health: Option<Health> = asker.ask("system_health", json!([])).await?;
    let sync: Option<SyncState> = asker.ask("system_syncState", json!([])).await?;
    let name: Option<String> = asker.ask("system_name", json!([])).await?;
    let version = asker.ask("system_version", json!([])).await?;
    Ok(Status {
        synced: health.as_ref().map(|health| !health.is_syncing),
        peers: health.map(|health| health.peers),
        head: head(asker).await?,
        finalized: finalized(asker).await?,
        best_known: sync.and_then(|sync| sync.highest_block),
        genesis: block_hash(asker, 0).await?,
        client: name.map(|name| Client { name, version }),
        ..Status::default()
    })
}

pub(super) async fn block_hash(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    asker.ask("chain_getBlockHash", json!([height])).await
}

async fn head(asker: &mut Asker<'_>) -> Result<Option<Block>, RpcError> {
    let Some(Header { number: Hex(height) }) = asker.ask("chain_getHeader", json!([])).await? else { return Ok(None) };
    let hash = block_hash(asker, height).await?;
    let time = match &hash {
        Some(hash) => time(asker, hash).await?,
        None => None,
    };
    Ok(Some(Block { height, hash, time }))
}

async fn time(asker: &mut Asker<'_>, hash: &str) -> Result<Option<Timestamp>, RpcError> {
    let stored: Option<String> = asker.ask("state_getStorage", json!([TIMESTAMP_NOW, hash])).await?;
    Ok(stored.as_deref().and_then(of_storage))
}

/// The time as it is stored: milliseconds, eight bytes, the lowest first.
fn of_storage(text: &str) -> Option<Timestamp> {
    let bytes: [u8; 8] = hex::decode(text.strip_prefix("0x")?).ok()?.try_into().ok()?;
    Timestamp::from_millisecond(i64::try_from(u64::from_le_bytes(bytes)).ok()?).ok()
}

async fn finalized(asker: &mut Asker<'_>) -> Result<Option<Block>, RpcError> {
    let Some(hash) = asker.ask::<String>("chain_getFinalizedHead", json!([])).await? else { return Ok(None) };
    let header: Option<Header> = asker.ask("chain_getHeader", json!([hash])).await?;
    Ok(header.map(|header| Block { height: header.number.0, hash: Some(hash), time: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_block_is_read_from_its_storage() {
        assert_eq!(of_storage("0x80e06cb793010000").unwrap().as_millisecond(), 0x0193_b76c_e080);
        for bad in ["", "0x", "80e06cb793010000", "0x80e0", "0xffffffffffffffff", "0xzz"] {
            assert_eq!(of_storage(bad), None, "{bad}");
        }
    }
}

//! The `witness_node` of BitShares. It does not say whether it is synced: the age of its newest block does.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asker, Block, Status};
use crate::{node::rpc::RpcError, types::Timestamp};

#[derive(Deserialize)]
struct Properties {
    head_block_number: u64,
    head_block_id: String,
    time: String,
    last_irreversible_block_num: u64,
}

#[derive(Deserialize)]
struct Header {
    previous: String,
}

pub(super) async fn status(asker: &mut Asker<'_>) -> Result<Status, RpcError> {
    let properties = properties(asker).await?;
    let peers: Option<Vec<Value>> = asker.ask_as("get_connected_peers", "call", json!(["network_node", "get_connected_peers", []])).await?;
    let finalized = match &properties {
        Some(properties) => finalized(asker, properties).await?,
        None => None,
    };
    Ok(Status {
        peers: peers.map(|peers| peers.len() as u64),
        head: properties.map(|properties| Block {
            height: properties.head_block_number,
            hash: Some(properties.head_block_id),
            time: time_of(&properties.time),
        }),
        finalized,
        genesis: ask_database(asker, "get_chain_id", json!([])).await?,
        ..Status::default()
    })
}

/// Blocks name the one before them, so the hash of a block stands in the next one.
pub(super) async fn block_hash(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    let Some(head) = properties(asker).await? else { return Ok(None) };
    if head.head_block_number <= height {
        return Ok((head.head_block_number == height).then_some(head.head_block_id));
    }
    next_says(asker, height).await
}

async fn next_says(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    let header: Option<Header> = ask_database(asker, "get_block_header", json!([height.saturating_add(1)])).await?;
    Ok(header.map(|header| header.previous))
}

async fn finalized(asker: &mut Asker<'_>, head: &Properties) -> Result<Option<Block>, RpcError> {
    let height = head.last_irreversible_block_num;
    let hash = if height < head.head_block_number { next_says(asker, height).await? } else { Some(head.head_block_id.clone()) };
    Ok(Some(Block { height, hash, time: None }))
}

async fn properties(asker: &mut Asker<'_>) -> Result<Option<Properties>, RpcError> {
    ask_database(asker, "get_dynamic_global_properties", json!([])).await
}

async fn ask_database<T: serde::de::DeserializeOwned>(asker: &mut Asker<'_>, what: &str, arguments: Value) -> Result<Option<T>, RpcError> {
    asker.ask_as(what, "call", of_database(what, arguments)).await
}

/// The parameters of a call of the database's API.
pub(super) fn of_database(what: &str, arguments: Value) -> Value {
    json!(["database", what, arguments])
}

/// Times are UTC and do not say so.
fn time_of(text: &str) -> Option<Timestamp> {
    format!("{}Z", text.trim_end_matches('Z')).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_whether_they_say_so_or_not() {
        let expected: Timestamp = "2026-11-20T03:00:12Z".parse().unwrap();
        assert_eq!((time_of("2026-11-20T03:00:12"), time_of("2026-11-20T03:00:12Z")), (Some(expected), Some(expected)));
        assert_eq!(time_of("yesterday"), None);
    }
}

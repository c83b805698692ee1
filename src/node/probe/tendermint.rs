//! Nodes of CometBFT: chains of the Cosmos SDK. A block is final as soon as it is there.

use serde::Deserialize;
use serde_json::json;

use super::{Asker, Block, Client, Decimal, Status};
use crate::{node::rpc::RpcError, types::Timestamp};

#[derive(Deserialize)]
struct NodeStatus {
    node_info: NodeInfo,
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_hash: String,
    latest_block_height: Decimal,
    latest_block_time: Timestamp,
    catching_up: bool,
}

#[derive(Deserialize)]
struct NetInfo {
    n_peers: Decimal,
}

#[derive(Deserialize)]
struct AbciInfo {
    response: AppInfo,
}

#[derive(Deserialize)]
struct AppInfo {
    data: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct BlockAnswer {
    block_id: BlockId,
}

#[derive(Deserialize)]
struct BlockId {
    hash: String,
}

pub(super) async fn status(asker: &mut Asker<'_>) -> Result<Status, RpcError> {
    let status: Option<NodeStatus> = asker.ask("status", json!({})).await?;
    let net: Option<NetInfo> = asker.ask("net_info", json!({})).await?;
    let app: Option<AbciInfo> = asker.ask("abci_info", json!({})).await?;
    let head = status.as_ref().map(|status| head_of(&status.sync_info));
    Ok(Status {
        synced: status.as_ref().map(|status| !status.sync_info.catching_up),
        peers: net.map(|net| net.n_peers.0),
        finalized: head.clone().map(|head| Block { time: None, ..head }),
        head,
        genesis: status.map(|status| status.node_info.network),
        client: app.and_then(|app| client_of(app.response)),
        ..Status::default()
    })
}

pub(super) async fn block_hash(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    let block: Option<BlockAnswer> = asker.ask("block", json!({"height": height.to_string()})).await?;
    Ok(block.map(|block| block.block_id.hash).filter(|hash| !hash.is_empty()))
}

fn head_of(sync: &SyncInfo) -> Block {
    let hash = Some(sync.latest_block_hash.clone()).filter(|hash| !hash.is_empty());
    Block { height: sync.latest_block_height.0, hash, time: Some(sync.latest_block_time) }
}

fn client_of(app: AppInfo) -> Option<Client> {
    let name = app.data.filter(|name| !name.is_empty())?;
    Some(Client { name, version: app.version.filter(|version| !version.is_empty()) })
}

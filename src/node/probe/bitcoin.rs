//! `bitcoind`, and others that answer the same questions.

use serde::Deserialize;
use serde_json::json;

use super::{Asker, Block, Client, Status, of_seconds};
use crate::node::rpc::RpcError;

#[derive(Deserialize)]
struct Info {
    blocks: u64,
    headers: Option<u64>,
    bestblockhash: String,
    initialblockdownload: Option<bool>,
    time: Option<u64>,
}

#[derive(Deserialize)]
struct Network {
    subversion: String,
}

#[derive(Deserialize)]
struct Header {
    time: u64,
}

pub(super) async fn status(asker: &mut Asker<'_>) -> Result<Status, RpcError> {
    let info: Option<Info> = asker.ask("getblockchaininfo", json!([])).await?;
    let network: Option<Network> = asker.ask("getnetworkinfo", json!([])).await?;
    let head = match &info {
        Some(info) => Some(head(asker, info).await?),
        None => None,
    };
    Ok(Status {
        synced: info.as_ref().and_then(|info| info.initialblockdownload).map(|downloading| !downloading),
        peers: asker.ask("getconnectioncount", json!([])).await?,
        head,
        best_known: info.and_then(|info| info.headers),
        genesis: block_hash(asker, 0).await?,
        client: network.as_ref().and_then(|network| client_of(&network.subversion)),
        ..Status::default()
    })
}

pub(super) async fn block_hash(asker: &mut Asker<'_>, height: u64) -> Result<Option<String>, RpcError> {
    asker.ask("getblockhash", json!([height])).await
}

/// The time of the newest block; versions before 23 tell it only with the block.
async fn head(asker: &mut Asker<'_>, info: &Info) -> Result<Block, RpcError> {
    let time = match info.time {
        Some(time) => Some(time),
        None => asker.ask::<Header>("getblockheader", json!([info.bestblockhash])).await?.map(|header| header.time),
    };
    Ok(Block { height: info.blocks, hash: Some(info.bestblockhash.clone()), time: time.and_then(of_seconds) })
}

/// `/Satoshi:27.0.0/` is the name and the version.
fn client_of(text: &str) -> Option<Client> {
    let first = text.trim_matches('/').split('/').next()?;
    let (name, version) = first.split_once(':').map_or((first, None), |(name, version)| (name, Some(version.to_owned())));
    (!name.is_empty()).then(|| Client { name: name.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_names_itself_and_its_version() {
        let client = |text: &str| client_of(text).map(|client| (client.name, client.version));
        assert_eq!(client("/Satoshi:27.0.0/"), Some(("Satoshi".into(), Some("27.0.0".into()))));
        assert_eq!(client("/btcwire:0.5.0/btcd:0.24.0/"), Some(("btcwire".into(), Some("0.5.0".into()))));
        assert_eq!(client("//"), None);
    }
}

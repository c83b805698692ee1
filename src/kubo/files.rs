//! The node's own directory of files (MFS): what is named there survives its cleaning.

use serde::Deserialize;

use super::{
    Error, ErrorKind, Kubo,
    call::{Call, PATIENCE},
    error::Fault,
};
use crate::types::{Cid, InvalidCid};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stat {
    hash: String,
}

impl Kubo {
    /// Names what `cid` names also `to`, in place of whatever is there; folders on the way are made. Only the topmost block need be there.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] or [`ErrorKind::TimedOut`] when the node does not have that block.
    pub async fn files_cp(&self, cid: &Cid, to: &str) -> Result<(), Error> {
        self.files_rm(to).await?;
        let call = Call::new("files/cp", "files cp").with("arg", format!("/ipfs/{cid}")).with("arg", to).with("parents", true);
        // An online node would look for an absent block for ever.
        self.call(call.within(PATIENCE)).await.map(drop)
    }

    /// What lies at a path; `None` when nothing does.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when what lies there is not of a kind that qsync makes.
    pub async fn files_cid(&self, path: &str) -> Result<Option<Cid>, Error> {
        let call = Call::new("files/stat", "files stat").with("arg", path).with("hash", true).within(PATIENCE);
        let stat: Stat = match self.ask_one(call).await {
            Err(error) if is_absent(&error) => return Ok(None),
            other => other?,
        };
        let other = |error: InvalidCid| Fault::new(ErrorKind::Refused, format!("{path} is nothing of ours")).caused_by(error);
        stat.hash.parse().map(Some).map_err(|error| self.error("files stat", other(error)))
    }

    /// Removes the name `path` and everything below it; the blocks stay until the node cleans up. Nothing being there is fine.
    ///
    /// # Errors
    /// As every command.
    pub async fn files_rm(&self, path: &str) -> Result<(), Error> {
        let call = Call::new("files/rm", "files rm").with("arg", path).with("recursive", true).with("force", true);
        match self.call(call.within(PATIENCE)).await {
            Err(error) if is_absent(&error) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The last are the words for a path that leads through a file.
fn is_absent(error: &Error) -> bool {
    let words = ["file does not exist", "no link by that name", "Not a directory", "not a directory"];
    error.kind == ErrorKind::Refused && words.iter().any(|word| error.reason.contains(word))
}

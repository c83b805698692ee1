//! Pins: what the node keeps whole, for good.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, ErrorKind, Kubo, call::Call};
use crate::types::Cid;

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The node has every block and keeps it.
    Done,
    /// It does not have every block: it says so, or was still looking for one when its time was over. Nothing is pinned;
    /// [`Kubo::completeness`] says which block is missing.
    Incomplete,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pin {
    cid: String,
    #[serde(default)]
    name: String,
}

impl Kubo {
    /// What is pinned under exactly this name. What is not of a kind that qsync makes is left out.
    ///
    /// # Errors
    /// As every command.
    pub async fn pin_names(&self, name: &str) -> Result<Vec<Cid>, Error> {
        // The node looks for names that contain the text.
        let call = Call::new("pin/ls", "pin ls").with("type", "recursive").with("names", true).with("name", name).with("stream", true);
        let pins = self.call(call).await?.each().filter(|pin: &Pin| pin.name == name);
        Ok(pins.filter_map(|pin| pin.cid.parse().ok()).collect())
    }

    /// Whether `cid` itself is pinned, with everything below it.
    ///
    /// # Errors
    /// As every command.
    pub async fn is_pinned(&self, cid: &Cid) -> Result<bool, Error> {
        match self.call(Call::new("pin/ls", "pin ls").with("arg", cid).with("type", "recursive")).await {
            Err(error) if says(&error, "is not pinned") => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Pins `cid` with everything below it, under a name. Reads every block.
    ///
    /// # Errors
    /// As every command; a block that is missing is [`Pinned::Incomplete`].
    pub async fn pin_add(&self, cid: &Cid, name: &str, timeout: Duration) -> Result<Pinned, Error> {
        self.pin(Call::new("pin/add", "pin add").with("arg", cid).with("name", name).within(timeout)).await
    }

    /// Pins `to`, knowing that `from` is pinned: reads only what differs. The new pin has the name of the old one, which stays.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when `from` is not pinned; a block that is missing is [`Pinned::Incomplete`].
    pub async fn pin_update(&self, from: &Cid, to: &Cid, timeout: Duration) -> Result<Pinned, Error> {
        let call = Call::new("pin/update", "pin update").with("arg", from).with("arg", to).with("unpin", false);
        self.pin(call.within(timeout)).await
    }

    /// Takes a pin back. That it is not pinned is fine.
    ///
    /// # Errors
    /// As every command.
    pub async fn pin_rm(&self, cid: &Cid) -> Result<(), Error> {
        match self.call(Call::new("pin/rm", "pin rm").with("arg", cid)).await {
            Err(error) if says(&error, "not pinned") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn pin(&self, call: Call) -> Result<Pinned, Error> {
        match self.call(call).await {
            Err(error) if matches!(error.kind, ErrorKind::Missing | ErrorKind::TimedOut) => {
                tracing::debug!(node = %self.name, reason = %error.reason, "the pin is incomplete");
                Ok(Pinned::Incomplete)
            }
            other => other.map(|_| Pinned::Done),
        }
    }
}

fn says(error: &Error, words: &str) -> bool {
    error.kind == ErrorKind::Refused && error.reason.contains(words)
}

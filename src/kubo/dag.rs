//! Whether a node has everything below a name.

use std::time::Duration;

use super::{Error, ErrorKind, Kubo, answer::missing_block, call::Call};
use crate::types::Cid;

/// Whether every block is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Yes.
    Complete,
    /// No: this one is not, where the node names it. There may be more.
    Missing(Option<String>),
}

impl Kubo {
    /// Whether the node itself has every block below `cid`. It reads them all, and does not ask other nodes: a missing block is found when its
    /// turn comes.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when it is not through after `timeout`.
    pub async fn completeness(&self, cid: &Cid, timeout: Duration) -> Result<Completeness, Error> {
        let call = Call::new("dag/stat", "dag stat").with("arg", cid).with("offline", true).with("progress", false);
        match self.call(call.within(timeout)).await {
            Ok(_) => Ok(Completeness::Complete),
            Err(error) if error.kind == ErrorKind::Missing => Ok(Completeness::Missing(missing_block(&error.reason))),
            Err(error) => Err(error),
        }
    }
}

//! Replacing the head of a channel in a store.

use super::error::Error;
use crate::{
    format::{head::Head, key},
    store::{DynWriteStore, Swap, Tag},
    trust::{Reason, RootChain, Verified, check_head},
    types::ChannelName,
};

/// The head of a channel as a publisher finds it in a store.
#[derive(Clone, Debug)]
pub struct StoreHead {
    /// The head, if there is one that the present keys have signed; it may have expired.
    pub head: Option<Verified<Head>>,
    /// Why the one that is there does not count.
    pub unusable: Option<Reason>,
    /// What must still be there when it is replaced; `None` when nothing is.
    pub tag: Option<Tag>,
}

/// Reads the head of a channel, to go on from it.
///
/// # Errors
/// [`Error::Store`]. A head that is not ours is no error: [`StoreHead::unusable`] says so.
pub async fn read_head(store: &DynWriteStore, chain: &RootChain, channel: &ChannelName) -> Result<StoreHead, Error> {
    let Some((bytes, tag)) = store.get_tagged(&key::head(channel), key::HEAD_MAX_BYTES).await? else {
        return Ok(StoreHead { head: None, unusable: None, tag: None });
    };
    let (head, unusable) = match check_head(chain, channel, &bytes) {
        Ok(head) => (Some(head), None),
        Err(reason) => (None, Some(reason)),
    };
    Ok(StoreHead { head, unusable, tag: Some(tag) })
}

/// Replaces the head of a channel if it is still what `expected` names. Durable and visible when done.
///
/// A call that fails on its way back, or is repeated after such a failure, counts as done when the store holds this very head.
///
/// # Errors
/// [`Error::Store`].
pub async fn write_head(store: &DynWriteStore, expected: Option<&Tag>, head: &Verified<Head>) -> Result<Swap, Error> {
    let object = key::head(&head.channel);
    let swapped = store.swap(&object, expected, head.bytes().to_vec().into()).await;
    let unsure = match &swapped {
        Ok(Swap::Done(_)) => false,
        Ok(Swap::Lost) => true,
        Err(error) => error.kind.worth_retrying(),
    };
    if unsure
        && let Ok(Some((bytes, tag))) = store.get_tagged(&object, key::HEAD_MAX_BYTES).await
        && bytes == head.bytes()
    {
        return Ok(Swap::Done(tag));
    }
    Ok(swapped?)
}

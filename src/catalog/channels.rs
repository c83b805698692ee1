//! The channels of a store, as its index names them. A hint: each of them is checked through its signed head.

use std::collections::BTreeSet;

use super::{
    ask::{Asking, GRACE},
    error::Error,
};
use crate::{
    format::{
        index::{Index, OnIpfs},
        key,
    },
    store::{DynReadStore, DynWriteStore, Swap},
    trust::Answer,
    types::{ChannelName, Hash},
};

/// How often to try to replace an index that others change at the same time.
const ATTEMPTS: usize = 16;
/// How many addresses of nodes are worth showing.
const MOST_ADDRESSES: usize = 4;
/// How many similar names to suggest.
const SUGGESTIONS: usize = 3;
/// How similar a name must be to be suggested, from 0 to 1.
const SIMILAR: f64 = 0.6;

/// The channels that the sources name, of one repository or of any. A source that has no index names none, and so does one that is silent
/// for a while after another has answered.
pub async fn list_channels(sources: &[DynReadStore], repo: Option<Hash>) -> BTreeSet<ChannelName> {
    let wanted = |bytes: &[u8]| Index::from_bytes(bytes).ok().filter(|index| repo.is_none_or(|repo| repo == index.repo));
    let answered = |answer: &Answer| matches!(answer, Answer::Object(bytes) if wanted(bytes).is_some());
    let answers = Asking::start(sources, &key::index(), key::INDEX_MAX_BYTES).collect(GRACE, answered).await;
    let indexes = answers.iter().filter_map(|offer| if let Answer::Object(bytes) = &offer.answer { wanted(bytes) } else { None });
    indexes.flat_map(|index| index.channels).collect()
}

/// Addresses of nodes of IPFS that have the newest snapshot of a channel, as the sources' indexes say.
pub async fn addresses_on_ipfs(sources: &[DynReadStore], channel: &ChannelName) -> BTreeSet<String> {
    let place = |bytes: &[u8]| Index::from_bytes(bytes).ok().and_then(|mut index| index.ipfs.remove(channel));
    let answered = |answer: &Answer| matches!(answer, Answer::Object(_));
    let answers = Asking::start(sources, &key::index(), key::INDEX_MAX_BYTES).collect(GRACE, answered).await;
    let places = answers.iter().filter_map(|offer| if let Answer::Object(bytes) = &offer.answer { place(bytes) } else { None });
    // Whoever wrote the index is not proved: what is shown must not do anything to a terminal or a shell.
    let is_plain = |address: &String| address.len() < 300 && address.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.:-_".contains(&b));
    places.flat_map(|place| place.addresses).filter(is_plain).take(MOST_ADDRESSES).collect()
}

/// The channels whose names are most like this one, the most similar first.
#[must_use]
pub fn nearest(channel: &ChannelName, known: &BTreeSet<ChannelName>) -> Vec<ChannelName> {
    let similarity = |name: &ChannelName| strsim::normalized_damerau_levenshtein(channel.as_str(), name.as_str());
    let mut similar: Vec<_> = known.iter().map(|name| (similarity(name), name)).filter(|(s, _)| *s >= SIMILAR).collect();
    similar.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    similar.into_iter().take(SUGGESTIONS).map(|(_, name)| name.clone()).collect()
}

/// Adds a channel to a store's index, unless it is there. An index that cannot be read is replaced: it is only a hint.
///
/// # Errors
/// [`Error::Contended`] when others change it all the time; [`Error::Store`].
pub async fn update_index(store: &DynWriteStore, repo: Hash, channel: &ChannelName) -> Result<(), Error> {
    change_index(store, repo, |index| index.channels.insert(channel.clone())).await
}

/// Says in a store's index where the newest snapshot of a channel is on IPFS.
///
/// # Errors
/// As [`update_index`].
pub async fn index_on_ipfs(store: &DynWriteStore, repo: Hash, channel: &ChannelName, place: &OnIpfs) -> Result<(), Error> {
    change_index(store, repo, |index| index.ipfs.insert(channel.clone(), place.clone()).as_ref() != Some(place)).await
}

/// Makes an index without channels, unless there is one.
pub(super) async fn create_index(store: &DynWriteStore, repo: Hash) -> Result<(), Error> {
    change_index(store, repo, |_| false).await
}

async fn change_index(store: &DynWriteStore, repo: Hash, change: impl Fn(&mut Index) -> bool) -> Result<(), Error> {
    let object = key::index();
    for _ in 0..ATTEMPTS {
        let current = store.get_tagged(&object, key::INDEX_MAX_BYTES).await?;
        let readable = current.as_ref().and_then(|(bytes, _)| Index::from_bytes(bytes).ok()).filter(|index| index.repo == repo);
        let is_good = readable.is_some();
        let mut index = readable.unwrap_or_else(|| Index::new(repo));
        if !change(&mut index) && is_good {
            return Ok(());
        }
        let tag = current.as_ref().map(|(_, tag)| tag);
        if let Swap::Done(_) = store.swap(&object, tag, index.to_bytes().into()).await? {
            return Ok(());
        }
    }
    Err(Error::Contended { store: store.name().to_owned(), object: object.to_string() })
}

//! From the CID of a snapshot to its verified manifest. The CID is a hash that the user holds, so that nobody needs to be trusted for it:
//! head, roots and manifest are reached through it alone, and it names the same snapshot for ever.

use futures::{StreamExt, stream::FuturesUnordered};

use super::{Error, ObjectTrouble, OpenChannel, OpenSnapshot, StateDir, fetch_manifest, manifest::trouble, open::blocking};
use crate::{
    format::{head::Head, key},
    store::{self, DynReadStore, ErrorKind},
    trust::{self, Envelope, Reason, Refusal, RootChain},
    types::{ChannelName, Cid, Hash, ObjectKey},
};

/// The most roots that are read of a snapshot: the first, and as many more as one run goes on by.
const MAX_ROOTS: u32 = 65;

/// Opens the snapshot that `cid` names; all of `sources` are of that CID. Nothing is remembered of it.
///
/// The head is checked for signatures, repository, channel and manifest, never for expiry or number: a CID does not change. `pin` says
/// which repository a channel must be of, where the user said so; without that the CID is what everything rests on.
///
/// # Errors
/// [`Error::NotASnapshot`]; [`Error::Object`] when no source has a part of it, with a line for each; [`Error::Refused`]; [`Error::Manifest`].
pub async fn open_by_cid(
    sources: &[DynReadStore],
    cid: &Cid,
    state: &StateDir,
    pin: impl Fn(&ChannelName) -> Option<Hash> + Send + Sync,
) -> Result<OpenSnapshot, Error> {
    let envelope = needed(first(sources, &key::snapshot_head(), key::HEAD_MAX_BYTES).await, cid, "head.json")?;
    let (channel, root_version) = claims(&envelope, cid)?;
    let refused = |reason| Error::Refused { channel: channel.clone(), source: Box::new(Refusal::alone(reason)) };
    let inside = roots(sources, root_version, cid).await?;
    let chain = chain(state, inside, pin(&channel), cid).await?.map_err(refused)?;
    let head = trust::check_head(&chain, &channel, &envelope).map_err(refused)?;
    let snapshot = head.snapshot.to_ref();
    let manifest = fetch_manifest(sources, &head, &snapshot).await?;
    let channel = OpenChannel { repo: chain.repo(), head, chain, standings: Vec::new() };
    Ok(OpenSnapshot { channel, manifest, manifest_json_bytes: snapshot.manifest_json_bytes })
}

/// The channel that a head says it is of, and the root that it says its keys are of. Both are proved with the head.
fn claims(envelope: &[u8], cid: &Cid) -> Result<(ChannelName, u32), Error> {
    let head = Envelope::parse(envelope).and_then(|envelope| envelope.read::<Head>());
    head.map(|head| (head.channel, head.root_version))
        .map_err(|invalid| not_a_snapshot(cid, format!("its head.json cannot be read: {invalid}")))
}

fn not_a_snapshot(cid: &Cid, why: impl std::fmt::Display) -> Error {
    Error::NotASnapshot { cid: *cid, why: format!("not a qsync snapshot: {why}") }
}

/// The envelopes of the roots in the snapshot up to this version, oldest first. No more are asked for than one run ever goes on by.
async fn roots(sources: &[DynReadStore], newest: u32, cid: &Cid) -> Result<Vec<Vec<u8>>, Error> {
    let mut roots = Vec::new();
    for version in 1..=newest.min(MAX_ROOTS) {
        let read = first(sources, &key::root(version), key::ROOT_MAX_BYTES).await;
        roots.push(needed(read, cid, &format!("trust/{version}.json"))?);
    }
    Ok(roots)
}

/// The chain of these roots. Of a pinned repository it is the longer one that this machine has seen, so that replaced keys do not count.
async fn chain(state: &StateDir, inside: Vec<Vec<u8>>, pin: Option<Hash>, cid: &Cid) -> Result<Result<RootChain, Reason>, Error> {
    let first = inside.first().map(|first| trust::repo_of(first));
    let (found, _) = match first {
        Some(Ok(found)) => found,
        Some(Err(defect)) => return Err(not_a_snapshot(cid, format!("its trust/1.json is no root: {defect}"))),
        None => return Err(not_a_snapshot(cid, "it has no root")),
    };
    let known = match pin {
        Some(pinned) if pinned != found => return Ok(Err(Reason::PinMismatch { pinned, found })),
        Some(_) => blocking(state, move |state| state.repo(found)).await?.unwrap_or_default().roots,
        None => Vec::new(),
    };
    let longest = if known.len() > inside.len() { known } else { inside };
    Ok(match RootChain::from_envelopes(found, &longest) {
        Ok(Some(chain)) => Ok(chain),
        Ok(None) => Err(Reason::Absent),
        Err(defect) => Err(Reason::NotARoot { what: defect.to_string() }),
    })
}

/// What the first source answers that has the object. All of them prove what they have, so that it is the same everywhere.
async fn first(sources: &[DynReadStore], object: &ObjectKey, max_bytes: u64) -> Result<Vec<u8>, Vec<store::Error>> {
    let mut asking: FuturesUnordered<_> = sources.iter().map(|source| source.get(object, max_bytes)).collect();
    let mut errors = Vec::new();
    while let Some(answer) = asking.next().await {
        match answer {
            Ok(bytes) => return Ok(bytes),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

/// The object, or why it cannot be had: what the CID names may be something else, or parts of it may be at no source.
fn needed(read: Result<Vec<u8>, Vec<store::Error>>, cid: &Cid, name: &str) -> Result<Vec<u8>, Error> {
    let errors = match read {
        Ok(bytes) => return Ok(bytes),
        Err(errors) => errors,
    };
    if let Some(other) = errors.iter().find(|error| error.kind == ErrorKind::NoSuchStore) {
        return Err(Error::NotASnapshot { cid: *cid, why: other.reason.clone() });
    }
    let trouble = errors.iter().map(trouble).max().unwrap_or(ObjectTrouble::Missing);
    let mut lines: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.store, error.reason)).collect();
    lines.sort();
    Err(Error::Object { object: format!("{name} of ipfs://{cid}"), trouble, lines })
}

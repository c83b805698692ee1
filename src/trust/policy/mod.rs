//! The client's rules 0 to 8 (docs/trust.md) as one pure function: what was seen, the time and what is on offer
//! go in, and out come what was seen from now on and either one verified head or one refusal.
//!
//! The answer does not depend on the order of the sources, and nothing on offer ever lowers what was seen.

use std::collections::BTreeMap;

use super::{
    envelope::Envelope,
    offer::{Offer, chain_text, describe, objects, reasons},
    refusal::{ClockProof, Distrust, Reason, Refusal, SourceReason},
    roots::{self, RootChain},
    state::RepoState,
    verified::Verified,
};
use crate::{
    format::{head::Head, root::Root},
    types::{ChannelName, Hash, Timestamp},
};

/// No qsync of this version ran before this moment, so no clock that says so is right (rule 0). Raised with every release.
pub const RELEASE_DATE: Timestamp = Timestamp::constant(1_793_491_200, 0); // 2026-11-01

/// Most roots that one run goes on by (rule 2).
pub const MAX_NEW_ROOTS: usize = 64;

/// How far clocks may be apart.
const CLOCK_TOLERANCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Everything that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pinned repository.
    pub repo: Hash,
    /// The channel.
    pub channel: &'a ChannelName,
    /// The time.
    pub now: Timestamp,
    /// No clock before this is right: [`RELEASE_DATE`].
    pub release_date: Timestamp,
    /// What was seen of the repository.
    pub stored: &'a RepoState,
    /// Answers to the question for roots; a source may be there several times, once for each version it was asked for.
    pub roots: &'a [Offer],
    /// Answers to the question for the channel's head, one for each source.
    pub heads: &'a [Offer],
}

/// What follows from [`Inputs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was seen, from now on. To be made durable before the head is used (rule 8), and also after a refusal, since
    /// it may hold newer roots.
    pub state: RepoState,
    /// The head, or why there is none.
    pub outcome: Result<Accepted, Refusal>,
}

/// A head that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The head.
    pub head: Verified<Head>,
    /// The roots it rests on.
    pub chain: RootChain,
    /// Where each source stands.
    pub standings: Vec<(String, Standing)>,
}

/// Where a source stands against the accepted head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It offers that head.
    Current,
    /// It offers an older one, which would be acceptable too.
    Behind {
        /// Number of the head that it offers.
        seq: u64,
    },
    /// It offers nothing acceptable.
    Refused(Reason),
}

/// Decides by the rules 0 to 7. Never fails: a refusal is an answer.
#[must_use]
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    match clock(inputs).and_then(|()| current_roots(inputs)) {
        Err(refusal) => Decision { state: inputs.stored.clone(), outcome: Err(refusal) },
        Ok(chain) => {
            let mut state = inputs.stored.clone();
            state.roots = chain.envelopes().map(<[u8]>::to_vec).collect();
            let outcome = match conflicting_root(&chain, inputs.roots) {
                Some(reason) => Err(Refusal::alone(reason)),
                None => choose_head(inputs, chain),
            };
            if let Ok(accepted) = &outcome {
                state.heads.insert(inputs.channel.clone(), accepted.head.bytes().to_vec());
                state.last_time = state.last_time.max(Some(accepted.head.issued));
            }
            Decision { state, outcome }
        }
    }
}

/// Which pinned repository the sources hold, judged by their first roots: the one that is both pinned and on offer.
///
/// # Errors
/// [`Reason::UnknownRepo`] and [`Reason::RepoConflict`]; when nothing is on offer and several are pinned, the gravest reason.
pub fn choose_repo(pinned: &[Hash], first_roots: &[Offer]) -> Result<Hash, Refusal> {
    let found: BTreeMap<Hash, String> =
        objects(first_roots).filter_map(|bytes| roots::repo_of(bytes).ok()).map(|(id, root)| (id, root.name)).collect();
    let both: Vec<Hash> = found.keys().filter(|repo| pinned.contains(repo)).copied().collect();
    match (both.as_slice(), found.is_empty(), pinned) {
        ([repo], ..) | ([], true, [repo]) => Ok(*repo),
        ([], true, _) => Err(Refusal::gravest(reasons(first_roots, first_root_reason), None)),
        ([], false, _) => Err(Refusal::alone(Reason::UnknownRepo { found: found.into_iter().collect() })),
        _ => Err(Refusal::alone(Reason::RepoConflict { repos: both })),
    }
}

/// Reads a head that the publish keys of the newest root have signed for this repository and channel; its times and number
/// are not judged. So are heads read that were accepted before, or that the publisher is about to replace.
///
/// # Errors
/// [`Reason::NotAHead`], [`Reason::RootWithheld`], [`Reason::Untrusted`].
pub fn check_head(chain: &RootChain, channel: &ChannelName, bytes: &[u8]) -> Result<Verified<Head>, Reason> {
    let envelope = Envelope::parse(bytes).map_err(|e| not_a_head(&e, bytes))?;
    let head: Head = envelope.read().map_err(|e| not_a_head(&e, bytes))?;
    let root = chain.newest();
    // Before the signatures: under a root that is withheld the head is signed by keys that are not known here.
    if head.repo == chain.repo() && head.root_version > root.version {
        return Err(Reason::RootWithheld { needed: head.root_version, known: root.version });
    }
    distrust(&envelope, &head, chain.repo(), channel, root).map_or(Ok(()), |why| Err(Reason::Untrusted { why }))?;
    Ok(Verified::new(head, bytes.to_vec(), envelope.payload_hash()))
}

/// Whether the head may be used on its own merits: signed rightly, not from the future, not expired. The rest of rule 6 needs
/// what was seen before.
///
/// # Errors
/// The gravest reason against it.
pub fn check_current(chain: &RootChain, channel: &ChannelName, now: Timestamp, bytes: &[u8]) -> Result<Verified<Head>, Reason> {
    let head = check_head(chain, channel, bytes)?;
    match time_reason(chain, &head, now) {
        Some(reason) => Err(reason),
        None => Ok(head),
    }
}

// Rule 0.
fn clock(inputs: &Inputs<'_>) -> Result<(), Refusal> {
    check_clock(inputs.now, inputs.release_date, inputs.stored.last_time)
}

/// Refuses a clock that is behind a moment which is certainly past: this release, or the newest signed time that was seen.
///
/// # Errors
/// [`Reason::Clock`].
pub fn check_clock(now: Timestamp, release_date: Timestamp, last_time: Option<Timestamp>) -> Result<(), Refusal> {
    let seen = last_time.map(|time| time.saturating_sub(CLOCK_TOLERANCE).unwrap_or(Timestamp::MIN));
    let proofs = [(Some(release_date), ClockProof::Release), (seen, ClockProof::Seen)];
    let wrong = proofs.into_iter().filter_map(|(time, proof)| Some((time?, proof))).find(|(time, _)| now < *time);
    wrong.map_or(Ok(()), |(not_before, proof)| Err(Refusal::alone(Reason::Clock { now, not_before, proof })))
}

// Rules 1 and 2.
fn current_roots(inputs: &Inputs<'_>) -> Result<RootChain, Refusal> {
    let stored = RootChain::from_envelopes(inputs.repo, &inputs.stored.roots)
        .map_err(|e| Refusal::alone(Reason::State { repo: inputs.repo, problem: chain_text(&e) }))?;
    let mut chain = stored.map_or_else(|| first_root(inputs), Ok)?;
    extend_chain(&mut chain, inputs.roots);
    Ok(chain)
}

/// Begins the chain of `repo` with its first root, if that is on offer.
#[must_use]
pub fn begin_chain(repo: Hash, offers: &[Offer]) -> Option<RootChain> {
    let chains = objects(offers).filter_map(|bytes| RootChain::start(repo, bytes).ok());
    chains.min_by(|a, b| a.newest().bytes().cmp(b.newest().bytes()))
}

fn first_root(inputs: &Inputs<'_>) -> Result<RootChain, Refusal> {
    begin_chain(inputs.repo, inputs.roots).ok_or_else(|| {
        let reason = |bytes: &[u8]| match roots::repo_of(bytes) {
            Ok((found, _)) if found != inputs.repo => Reason::PinMismatch { pinned: inputs.repo, found },
            _ => first_root_reason(bytes),
        };
        Refusal::gravest(reasons(inputs.roots, reason), None)
    })
}

/// Goes on by every root on offer that the chain leads to, unless two different ones fit.
///
/// What does not fit is left aside: whether it is an attack or nonsense, the newest root known stays in force until it expires.
pub fn extend_chain(chain: &mut RootChain, offers: &[Offer]) {
    let by_version = by_version(offers);
    for _ in 0..MAX_NEW_ROOTS {
        match next_roots(chain, &by_version).as_slice() {
            [next] => chain.push(next.bytes()).expect("it was read as the next root of this chain"),
            _ => return,
        }
    }
}

/// Two roots on offer that both continue the chain: the root keys have signed two futures, and no order of sources may pick one.
fn conflicting_root(chain: &RootChain, offers: &[Offer]) -> Option<Reason> {
    let next = next_roots(chain, &by_version(offers));
    match next.as_slice() {
        [a, b, ..] => Some(equivocation("root", u64::from(a.version), a.hash(), b.hash())),
        _ => None,
    }
}

fn by_version(offers: &[Offer]) -> BTreeMap<u32, Vec<&[u8]>> {
    let mut by_version: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
    for bytes in objects(offers) {
        if let Ok(root) = Envelope::parse(bytes).and_then(|envelope| envelope.read::<Root>()) {
            by_version.entry(root.version).or_default().push(bytes);
        }
    }
    by_version
}

/// The roots on offer that continue the chain, one for each payload.
fn next_roots(chain: &RootChain, by_version: &BTreeMap<u32, Vec<&[u8]>>) -> Vec<Verified<Root>> {
    let offered = by_version.get(&chain.next_version()).map_or(&[][..], Vec::as_slice);
    let mut next: Vec<_> = offered.iter().filter_map(|bytes| chain.read_next(bytes).ok()).collect();
    next.sort_by(|a, b| (a.hash(), a.bytes()).cmp(&(b.hash(), b.bytes())));
    next.dedup_by_key(|root| root.hash());
    next
}

// Rules 3 to 7.
fn choose_head(inputs: &Inputs<'_>, chain: RootChain) -> Result<Accepted, Refusal> {
    // Rule 4: a head that the present keys did not sign is no floor, so that a thief's high number ends with his key.
    let floor = inputs.stored.heads.get(inputs.channel).and_then(|bytes| check_head(&chain, inputs.channel, bytes).ok());
    let judged: Vec<_> = inputs.heads.iter().map(|offer| (&offer.source, judge(inputs, &chain, floor.as_ref(), offer))).collect();
    let best = judged.iter().filter_map(|(_, head)| head.as_ref().ok()).max_by_key(|head| (head.seq, head.hash(), head.bytes()));
    let Some(best) = best.cloned() else {
        let sources = judged.into_iter().filter_map(|(source, head)| Some(SourceReason { source: source.clone(), reason: head.err()? }));
        return Err(Refusal::gravest(sources.collect(), root_expired(&chain, inputs.now)));
    };
    let others = judged.iter().filter_map(|(_, head)| head.as_ref().ok()).filter(|head| head.seq == best.seq && head.hash() != best.hash());
    // Of several, one that does not depend on the order of the sources.
    if let Some(rival) = others.min_by_key(|head| head.hash()) {
        return Err(two_heads(&judged, &best, equivocation("head", best.seq, best.hash(), rival.hash())));
    }
    let standings = judged.into_iter().map(|(source, head)| (source.clone(), standing(&best, head))).collect();
    Ok(Accepted { head: best, chain, standings })
}

fn standing(best: &Verified<Head>, head: Result<Verified<Head>, Reason>) -> Standing {
    match head {
        Err(reason) => Standing::Refused(reason),
        Ok(head) if head.seq == best.seq => Standing::Current,
        Ok(head) => Standing::Behind { seq: head.seq },
    }
}

fn two_heads(judged: &[(&String, Result<Verified<Head>, Reason>)], best: &Verified<Head>, reason: Reason) -> Refusal {
    let involved = judged.iter().filter(|(_, head)| head.as_ref().is_ok_and(|head| head.seq == best.seq));
    let sources = involved.map(|(source, _)| SourceReason { source: (*source).clone(), reason: reason.clone() }).collect();
    Refusal { reason, sources }
}

/// Rule 6 for one answer. A head that fails in several ways is refused for the gravest.
fn judge(inputs: &Inputs<'_>, chain: &RootChain, floor: Option<&Verified<Head>>, offer: &Offer) -> Result<Verified<Head>, Reason> {
    let bytes = offer.answer.object(|what| Reason::NotAHead { what })?;
    let head = check_head(chain, inputs.channel, bytes)?;
    let against = [floor.and_then(|floor| floor_reason(floor, &head)), time_reason(chain, &head, inputs.now)];
    match against.into_iter().flatten().max_by_key(Reason::gravity) {
        Some(reason) => Err(reason),
        None => Ok(head),
    }
}

fn floor_reason(floor: &Verified<Head>, head: &Verified<Head>) -> Option<Reason> {
    match head.seq.cmp(&floor.seq) {
        std::cmp::Ordering::Less => Some(Reason::Rollback { offered: head.seq, seen: floor.seq }),
        std::cmp::Ordering::Equal if head.hash() != floor.hash() => Some(equivocation("head", head.seq, head.hash(), floor.hash())),
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => None,
    }
}

fn time_reason(chain: &RootChain, head: &Head, now: Timestamp) -> Option<Reason> {
    let latest = now.saturating_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
    if let Some(reason) = root_expired(chain, now) {
        return Some(reason);
    }
    if head.issued > latest {
        return Some(Reason::FromFuture { seq: head.seq, issued: head.issued, now });
    }
    (head.expires <= now).then_some(Reason::Expired { seq: head.seq, expired: head.expires, now })
}

// Rule 3.
fn root_expired(chain: &RootChain, now: Timestamp) -> Option<Reason> {
    let root = chain.newest();
    (root.expires <= now).then_some(Reason::RootExpired { version: root.version, expired: root.expires, now })
}

fn distrust(envelope: &Envelope, head: &Head, repo: Hash, channel: &ChannelName, root: &Root) -> Option<Distrust> {
    let found = envelope.signers(root.keys_of(&root.publish));
    if found < root.publish.threshold as usize {
        return Some(Distrust::TooFewSigners { version: root.version, expected: root.publish.threshold, found });
    }
    if head.repo != repo {
        return Some(Distrust::OtherRepo { found: head.repo });
    }
    if head.channel != *channel {
        return Some(Distrust::OtherChannel { found: head.channel.to_string() });
    }
    (!root.allows(channel)).then_some(Distrust::ChannelNotAllowed { version: root.version })
}

fn first_root_reason(bytes: &[u8]) -> Reason {
    match roots::repo_of(bytes) {
        Ok((found, _)) => Reason::NotARoot { what: format!("the first root of b3:{found}, not asked for") },
        Err(e) => Reason::NotARoot { what: describe(&e, bytes) },
    }
}

fn not_a_head(error: &dyn std::error::Error, bytes: &[u8]) -> Reason {
    Reason::NotAHead { what: describe(error, bytes) }
}

fn equivocation(what: &'static str, number: u64, a: Hash, b: Hash) -> Reason {
    Reason::Equivocation { what, number, payloads: (a.min(b), a.max(b)) }
}

#[cfg(test)]
mod tests;

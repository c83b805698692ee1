//! Opening a channel: which head of all those on offer may be used (docs/trust.md, rules 0 to 8).

use std::time::Duration;

use tokio::time::Instant;

use super::{
    ask::{Asking, GRACE},
    channels,
    error::Error,
    state_dir::{StateDir, StateError},
};
use crate::{
    format::{head::Head, key},
    store::DynReadStore,
    trust::{self, Accepted, Answer, Decision, Inputs, Offer, RELEASE_DATE, Reason, Refusal, RepoState, RootChain, Standing, Verified},
    types::{ChannelName, Hash, Timestamp},
};

/// How long to wait for roots in a second round, after a head that needs one newer than any that came in the first.
const LONG_GRACE: Duration = Duration::from_secs(60);
/// How long to ask for one newer root after the other; the next run goes on from there.
const ROOTS_PATIENCE: Duration = Duration::from_secs(120);

/// A channel whose head may be used.
#[derive(Clone, Debug)]
pub struct OpenChannel {
    /// The repository.
    pub repo: Hash,
    /// The head; [`Verified::bytes`] is its exact envelope.
    pub head: Verified<Head>,
    /// The roots it rests on; [`RootChain::envelopes`] are their exact envelopes.
    pub chain: RootChain,
    /// Where each source stands.
    pub standings: Vec<(String, Standing)>,
}

impl OpenChannel {
    /// One line for each source that lags behind or offers nothing acceptable.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |(source, standing): &(String, Standing)| match standing {
            Standing::Current => None,
            Standing::Behind { seq } => Some(format!("{source}: lags behind: head {seq}, the newest is {}", self.head.seq)),
            Standing::Refused(reason) => Some(format!("{source}: {reason}")),
        };
        self.standings.iter().filter_map(note).collect()
    }
}

/// Asks all sources for roots and heads, accepts the freshest valid head, and has remembered it durably when it returns.
///
/// `pin` says which repository is meant; without it, it is the trusted one that the sources hold. A pin that is given is
/// trusted from then on.
///
/// # Errors
/// [`Error::Refused`] with the gravest reason and one line per source; [`Error::UnknownChannel`] when it is absent
/// everywhere; [`Error::State`].
pub async fn open_channel(
    sources: &[DynReadStore],
    channel: &ChannelName,
    state: &StateDir,
    pin: Option<Hash>,
    now: Timestamp,
) -> Result<OpenChannel, Error> {
    let heads = Asking::start(sources, &key::head(channel), key::HEAD_MAX_BYTES);
    let refused = |source| Error::Refused { channel: channel.clone(), source: Box::new(source) };
    let (repo, first_roots) = which_repo(sources, state, pin).await?.map_err(refused)?;
    let stored = load(state, repo).await?;
    let mut roots = newer_roots(sources, repo, &stored, first_roots, GRACE).await;
    let heads = collect_heads(heads, repo, channel, now, &stored, &roots).await;
    let mut decision = settle(state, repo, channel, now, &roots, &heads).await?;
    if is_withheld(&decision) && roots.iter().any(|offer| matches!(offer.answer, Answer::Failed(_))) {
        roots.extend(newer_roots(sources, repo, &stored, Vec::new(), LONG_GRACE).await);
        decision = settle(state, repo, channel, now, &roots, &heads).await?;
    }
    match decision.outcome {
        Ok(Accepted { head, chain, standings }) => Ok(OpenChannel { repo, head, chain, standings }),
        Err(refusal) if refusal.reason == Reason::Absent => Err(unknown_channel(sources, repo, channel, &refusal).await),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// The roots of a repository: those known here and those that continue them at the sources. Nothing is remembered.
///
/// # Errors
/// As [`open_channel`], as far as roots go.
pub async fn open_roots(sources: &[DynReadStore], state: &StateDir, pin: Option<Hash>) -> Result<RootChain, Error> {
    let (repo, first_roots) = which_repo(sources, state, pin).await?.map_err(|refusal| Error::NoRoots(Box::new(refusal)))?;
    let stored = load(state, repo).await?;
    let offers = newer_roots(sources, repo, &stored, first_roots, GRACE).await;
    let chain = RootChain::from_envelopes(repo, &stored.roots).ok().flatten().or_else(|| trust::begin_chain(repo, &offers));
    let mut chain = chain.ok_or_else(|| Error::NoRoots(Box::new(Refusal::alone(Reason::Absent))))?;
    trust::extend_chain(&mut chain, &offers);
    Ok(chain)
}

/// The repository that is meant, and what the sources answered to the question for its first root, if they were asked.
async fn which_repo(sources: &[DynReadStore], state: &StateDir, pin: Option<Hash>) -> Result<Result<(Hash, Vec<Offer>), Refusal>, Error> {
    if let Some(repo) = pin {
        return Ok(Ok((repo, Vec::new())));
    }
    let pinned = blocking(state, StateDir::repos).await?;
    let first_roots = ask_for_root(sources, 1, GRACE).await;
    Ok(trust::choose_repo(&pinned, &first_roots).map(|repo| (repo, first_roots)))
}

/// Everything on offer that may continue the chain (rule 2): version after version, all sources each time.
///
/// A source that lacks a version is asked for the next one all the same, since another may have it.
pub(super) async fn newer_roots(
    sources: &[DynReadStore],
    repo: Hash,
    stored: &RepoState,
    first_roots: Vec<Offer>,
    grace: Duration,
) -> Vec<Offer> {
    let mut offers = first_roots;
    // A stored chain that does not hold is no reason to ask: the decision will say so.
    let Ok(stored) = RootChain::from_envelopes(repo, &stored.roots) else { return offers };
    if stored.is_none() && offers.is_empty() {
        offers = ask_for_root(sources, 1, grace).await;
    }
    let Some(mut chain) = stored.or_else(|| trust::begin_chain(repo, &offers)) else { return offers };
    let end = Instant::now() + ROOTS_PATIENCE;
    for _ in 0..trust::MAX_NEW_ROOTS {
        if Instant::now() >= end {
            break;
        }
        let version = chain.next_version();
        let round = ask_for_root(sources, version, grace).await;
        trust::extend_chain(&mut chain, &round);
        offers.extend(round);
        if chain.next_version() == version {
            break;
        }
    }
    offers
}

async fn ask_for_root(sources: &[DynReadStore], version: u32, grace: Duration) -> Vec<Offer> {
    let answered = |answer: &Answer| matches!(answer, Answer::Object(_) | Answer::Absent);
    Asking::start(sources, &key::root(version), key::ROOT_MAX_BYTES).collect(grace, answered).await
}

/// Rule 5: the answers that come until a while after the first valid one. Only validity counts, so that a liar cannot cut the others off.
async fn collect_heads(
    heads: Asking,
    repo: Hash,
    channel: &ChannelName,
    now: Timestamp,
    stored: &RepoState,
    roots: &[Offer],
) -> Vec<Offer> {
    let chain = RootChain::from_envelopes(repo, &stored.roots).ok().flatten().or_else(|| trust::begin_chain(repo, roots));
    let chain = chain.map(|mut chain| {
        trust::extend_chain(&mut chain, roots);
        chain
    });
    let valid = |answer: &Answer| match (answer, &chain) {
        (Answer::Object(bytes), Some(chain)) => trust::check_current(chain, channel, now, bytes).is_ok(),
        _ => false,
    };
    heads.collect(GRACE, valid).await
}

/// Decides against what is stored *now*, whatever other processes did meanwhile, and stores the outcome before anybody sees it (rule 8).
async fn settle(
    state: &StateDir,
    repo: Hash,
    channel: &ChannelName,
    now: Timestamp,
    roots: &[Offer],
    heads: &[Offer],
) -> Result<Decision, Error> {
    let (channel, roots, heads) = (channel.clone(), roots.to_vec(), heads.to_vec());
    let decide = move |stored: Option<RepoState>| {
        let stored = stored.unwrap_or_default();
        let inputs = Inputs { repo, channel: &channel, now, release_date: RELEASE_DATE, stored: &stored, roots: &roots, heads: &heads };
        let decision = trust::decide(&inputs);
        (decision.state.clone(), decision)
    };
    blocking(state, move |state| state.update(repo, decide)).await
}

fn is_withheld(decision: &Decision) -> bool {
    decision.outcome.as_ref().is_err_and(|refusal| matches!(refusal.reason, Reason::RootWithheld { .. }))
}

async fn unknown_channel(sources: &[DynReadStore], repo: Hash, channel: &ChannelName, refusal: &Refusal) -> Error {
    let known = channels::list_channels(sources, Some(repo)).await;
    Error::UnknownChannel { channel: channel.clone(), nearest: channels::nearest(channel, &known), lines: refusal.lines() }
}

async fn load(state: &StateDir, repo: Hash) -> Result<RepoState, Error> {
    Ok(blocking(state, move |state| state.repo(repo)).await?.unwrap_or_default())
}

/// Does something with the state directory on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    state: &StateDir,
    work: impl FnOnce(&StateDir) -> Result<T, StateError> + Send + 'static,
) -> Result<T, Error> {
    let state = state.clone();
    Ok(tokio::task::spawn_blocking(move || work(&state)).await??)
}

//! What `show`, `diff` and `export` share: a snapshot opened as the command line names it, and its sources as one.

use std::sync::Arc;

use crate::{
    catalog::{self, OpenSnapshot},
    cli::{
        context::Context,
        exit::Failure,
        first_contact::introduced,
        stores::OpenSources,
        values::{Pin, SnapshotRef},
    },
    sources::{Settings, Sources, forms},
    store::{DynReadStore, RetryPolicy, RetryStore},
    types::{ChannelName, When},
};

/// The snapshot that the user names, by its channel or by its CID, verified.
///
/// # Errors
/// When it cannot be had or may not be used, or the user asked to stop.
pub(super) async fn opened(
    context: &Context,
    snapshot: Option<&SnapshotRef>,
    pin: Option<Pin>,
    sources: &OpenSources,
) -> Result<OpenSnapshot, Failure> {
    match snapshot {
        Some(snapshot) => of_channel(context, snapshot, pin, &sources.all).await,
        None => by_cid(context, sources, pin, RetryPolicy::default()).await,
    }
}

/// The snapshot that the only CID among the sources names. A channel's configured pin counts as that of the command line.
///
/// # Errors
/// When there is not one CID, the snapshot cannot be had or is not of the pinned repository, or the user asked to stop.
pub(super) async fn by_cid(
    context: &Context,
    sources: &OpenSources,
    pin: Option<Pin>,
    policy: RetryPolicy,
) -> Result<OpenSnapshot, Failure> {
    let (cid, sources) = sources.only_cid()?;
    let (sources, state) = (patient_within(sources, policy), context.open_state()?);
    let pin_of = |channel: &ChannelName| pin.or_else(|| context.config.channel(channel).trust).map(|pin| pin.0);
    context.until_stopped(async { Ok(catalog::open_by_cid(&sources, cid, &state, pin_of).await?) }).await
}

async fn of_channel(
    context: &Context,
    snapshot: &SnapshotRef,
    pin: Option<Pin>,
    sources: &[DynReadStore],
) -> Result<OpenSnapshot, Failure> {
    let sources = patient(sources);
    let (state, pin) = (context.open_state()?, pin.map(|pin| pin.0));
    let when = snapshot.when.clone().unwrap_or(When::Latest);
    let open =
        introduced(context, pin, async |pin| catalog::open_snapshot(&sources, &snapshot.channel, &when, &state, pin, context.now).await);
    context.until_stopped(open).await
}

/// Sources whose passing faults are waited out: for the few small objects at the start of a command.
pub(super) fn patient(sources: &[DynReadStore]) -> Vec<DynReadStore> {
    patient_within(sources, RetryPolicy::default())
}

fn patient_within(sources: &[DynReadStore], policy: RetryPolicy) -> Vec<DynReadStore> {
    let patient = |store: &DynReadStore| -> DynReadStore { Arc::new(RetryStore::new(Arc::clone(store), policy)) };
    sources.iter().map(patient).collect()
}

/// All sources as one, each asked for chunks in the form it has.
pub(super) async fn as_one(sources: &[DynReadStore], settings: Settings, context: &Context) -> Arc<Sources> {
    Arc::new(Sources::new(forms::with_forms(sources).await, settings, context.progress()))
}

//! What `show`, `diff` and `export` share: a snapshot opened as the command line names it, and its sources as one.

use std::sync::Arc;

use crate::{
    catalog::{self, OpenSnapshot},
    cli::{
        context::Context,
        exit::Failure,
        first_contact::introduced,
        values::{Pin, SnapshotRef},
    },
    sources::{Settings, Sources, forms},
    store::{DynReadStore, RetryPolicy, RetryStore},
    types::When,
};

/// The snapshot that the user names, verified.
///
/// # Errors
/// When it cannot be had or may not be used, or the user asked to stop.
pub(super) async fn opened(
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
    let patient = |store: &DynReadStore| -> DynReadStore { Arc::new(RetryStore::new(Arc::clone(store), RetryPolicy::default())) };
    sources.iter().map(patient).collect()
}

/// All sources as one, each asked for chunks in the form it has.
pub(super) async fn as_one(sources: &[DynReadStore], settings: Settings, context: &Context) -> Arc<Sources> {
    Arc::new(Sources::new(forms::with_forms(sources).await, settings, context.progress()))
}

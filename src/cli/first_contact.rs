//! The first time a machine meets a repository: on a terminal the user is shown its id and asked, once; elsewhere it is refused.

use super::{
    ask,
    context::Context,
    exit::{Classify, Failure},
    output,
};
use crate::{catalog, ops::list, restore, types::Hash};

/// An error that may mean: this machine trusts nobody yet whose repository the sources hold.
pub(crate) trait FirstContact: Classify {
    /// Id and name of the repository, when it is the only one on offer.
    fn unknown_repo(&self) -> Option<(Hash, &str)>;
}

impl FirstContact for catalog::Error {
    fn unknown_repo(&self) -> Option<(Hash, &str)> {
        self.unknown_repo()
    }
}

impl FirstContact for restore::Error {
    fn unknown_repo(&self) -> Option<(Hash, &str)> {
        if let Self::Catalog(error) = self { error.unknown_repo() } else { None }
    }
}

impl FirstContact for restore::verify::Error {
    fn unknown_repo(&self) -> Option<(Hash, &str)> {
        if let Self::Restore(error) = self { error.unknown_repo() } else { None }
    }
}

impl FirstContact for list::Error {
    fn unknown_repo(&self) -> Option<(Hash, &str)> {
        if let Self::Catalog(error) = self { error.unknown_repo() } else { None }
    }
}

/// Does `work` with the pin that was given. Where the repository is unknown and somebody is there to say that it is the right one, does
/// it again with that pin, which is trusted from then on.
///
/// # Errors
/// Those of the work; the first one when the answer is no.
pub(crate) async fn introduced<T, E: FirstContact>(
    context: &Context,
    pin: Option<Hash>,
    work: impl AsyncFn(Option<Hash>) -> Result<T, E>,
) -> Result<T, Failure> {
    let error = match work(pin).await {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    match error.unknown_repo().filter(|_| output::can_ask()) {
        Some((repo, name)) if agrees(context, repo, name) => Ok(work(Some(repo)).await?),
        _ => Err(error.into_failure()),
    }
}

fn agrees(context: &Context, repo: Hash, name: &str) -> bool {
    context.finish_progress();
    output::stderr(&format!(
        "This machine trusts no repository of these sources yet. They hold:\n  b3:{repo}  {name:?}\n\
         The name can be anybody's: compare the id with the one that the publisher announces.\n"
    ));
    ask::confirm("trust this repository from now on?", false).is_ok()
}

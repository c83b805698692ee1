//! What becomes of a restore whose snapshot leaves the sources before it is complete.

use std::sync::Arc;

use jiff::SignedDuration;
use thiserror::Error;

use super::{Error, Options, Partial, snapshot};
use crate::{
    catalog::{self, StateDir},
    progress::Event,
    types::{Hash, Timestamp, When},
};

/// How often one run goes on with another snapshot. Each time it keeps what is verified, so that a machine slower than this is
/// served better by the next run than by one that never ends.
const MOST_SNAPSHOTS: u32 = 8;

/// Why there is no snapshot to go on with.
#[derive(Debug, Error)]
pub enum NoSuccessor {
    /// The user wants this one and no other.
    #[error("it was asked for by name")]
    AskedFor,
    /// The channel still offers the same.
    #[error("the channel offers no other")]
    SameHead,
    /// It cannot be told what the channel offers now.
    #[error("its channel cannot be opened now: {0}")]
    Closed(catalog::Error),
    /// The sources dropped one snapshot after the other.
    #[error("so were {} others before it", MOST_SNAPSHOTS - 1)]
    TooMany,
}

/// The time of a run: given once, and moved on by the machine's clock, which also runs while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunTime {
    given: Timestamp,
    begun: Timestamp,
}

impl RunTime {
    pub(super) fn begin(given: Timestamp) -> Self {
        Self { given, begun: Timestamp::now() }
    }

    fn now(self) -> Timestamp {
        let passed = Timestamp::now().duration_since(self.begun).as_secs().max(0);
        self.given.checked_add(SignedDuration::from_secs(passed)).unwrap_or(self.given)
    }
}

/// Runs `attempt`; when the sources lack parts of its snapshot and the channel has moved on meanwhile, runs it again for the newer one.
pub(super) async fn outlive<T>(
    options: Options,
    state: &StateDir,
    attempt: impl AsyncFn(&Arc<Options>) -> Result<T, Error>,
) -> Result<T, Error> {
    let time = RunTime::begin(options.now);
    let (mut options, mut snapshots) = (Arc::new(options), 1);
    loop {
        let (snapshot, source) = match attempt(&options).await {
            Err(Error::Incomplete { snapshot, source }) => (snapshot, source),
            done => return done,
        };
        let next = match snapshots {
            MOST_SNAPSHOTS => Err(NoSuccessor::TooMany),
            _ => successor(&options, state, &snapshot, time.now()).await,
        };
        options = next.map_err(|why| Error::Gone { snapshot, why: Box::new(why), source })?;
        snapshots += 1;
    }
}

/// How to go on with what the channel offers now, if that is another snapshot than `gone`.
async fn successor(options: &Options, state: &StateDir, gone: &Hash, now: Timestamp) -> Result<Arc<Options>, NoSuccessor> {
    if options.when.as_ref().is_some_and(|when| *when != When::Latest) {
        return Err(NoSuccessor::AskedFor);
    }
    let opened = catalog::open_channel(&snapshot::patient_sources(options), &options.channel, state, options.pin, now).await;
    let newest = opened.map_err(NoSuccessor::Closed)?.head.snapshot.to_ref();
    if newest.manifest == *gone {
        return Err(NoSuccessor::SameHead);
    }
    let (gone, next) = (gone.short(), newest.manifest.short());
    let text = format!("the sources no longer have all of snapshot {gone}: going on with {next}, keeping every verified chunk");
    options.progress.event(Event::Warning { text });
    Ok(Arc::new(Options { partial: Partial::Latest, now, ..options.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    // NW-11
    #[test]
    fn the_time_of_a_run_goes_on_while_the_machine_sleeps() {
        let given: Timestamp = "2026-11-20T03:00:00Z".parse().unwrap();
        let days_ago = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
        let after = |days| RunTime { given, begun: days_ago(days) }.now().duration_since(given).as_hours();
        assert_eq!(after(3), 72);
        assert_eq!(after(-3), 0, "a clock that went back does not make the run younger than it was");
    }
}

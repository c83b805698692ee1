//! What becomes of a restore whose snapshot leaves the sources before it is complete.

use std::sync::Arc;

use jiff::SignedDuration;
use thiserror::Error;

use super::{Error, Options, Partial, snapshot, until_stopped};
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
    /// The user named it by its CID, which names no other.
    #[error("it was asked for by its CID")]
    ByCid,
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

/// Runs `attempt`; when no source has all of its snapshot, runs it again as `successor` says.
#[expect(clippy::future_not_send, reason = "a bound of an async closure cannot say it of its future; `restore::run` is not spawned")]
pub(super) async fn outlive<T>(
    options: Options,
    attempt: impl AsyncFn(&Arc<Options>) -> Result<T, Error>,
    successor: impl AsyncFn(&Options, &Hash) -> Result<Options, NoSuccessor>,
) -> Result<T, Error> {
    let (mut options, mut snapshots) = (Arc::new(options), 1);
    loop {
        let (snapshot, source) = match attempt(&options).await {
            Err(Error::Incomplete { snapshot, source }) => (snapshot, source),
            done => return done,
        };
        let next = match snapshots {
            MOST_SNAPSHOTS => Err(NoSuccessor::TooMany),
            _ => until_stopped(&options, async { Ok(successor(&options, &snapshot).await) }).await?,
        };
        options = Arc::new(next.map_err(|why| Error::Gone { snapshot, why: Box::new(why), source })?);
        snapshots += 1;
    }
}

/// How to go on with what the channel offers now, if that is another snapshot than `gone`.
pub(super) async fn successor(options: &Options, state: &StateDir, gone: &Hash, time: RunTime) -> Result<Options, NoSuccessor> {
    let now = time.now();
    if options.by_cid.is_some() {
        return Err(NoSuccessor::ByCid);
    }
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
    Ok(Options { partial: Partial::Latest, now, ..options.clone() })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::{
        fs::MemoryFs,
        progress::{NoProgress, Stop},
        restore::Existing,
    };

    fn options() -> Options {
        Options {
            expected: crate::restore::Expected::default(),
            channel: "demo/generic".parse().unwrap(),
            when: None,
            by_cid: None,
            sources: Vec::new(),
            target: "/restored".into(),
            existing: Existing::Refuse,
            seeds: Vec::new(),
            rehash: false,
            partial: Partial::Continue,
            check_rpc: None,
            owner: None,
            dry_run: false,
            accept_cost: false,
            read_from: crate::sources::ReadFrom::Internet,
            memory_bytes: 0,
            threads: 1,
            engine: crate::sources::Settings { max_wait: Duration::from_secs(1), ..Default::default() },
            pin: None,
            state_dir: "/state".into(),
            home: None,
            now: "2026-11-20T03:00:00Z".parse().unwrap(),
            fs: Arc::new(MemoryFs::new()),
            stop: Stop::new(),
            progress: Arc::new(NoProgress),
        }
    }

    // NW-06
    #[tokio::test]
    async fn a_channel_that_drops_one_snapshot_after_the_other_ends_the_run() {
        let attempts = AtomicU32::new(0);
        let attempt = async |_: &Arc<Options>| -> Result<(), Error> {
            let snapshot = Hash::of(&attempts.fetch_add(1, Ordering::Relaxed).to_le_bytes());
            Err(Error::Incomplete { snapshot, source: Box::new(Error::NoSources) })
        };
        let ended = outlive(options(), attempt, async |options, _| Ok(options.clone())).await;
        assert!(matches!(ended, Err(Error::Gone { why, .. }) if matches!(*why, NoSuccessor::TooMany)));
        assert_eq!(attempts.into_inner(), MOST_SNAPSHOTS);
    }

    // CR-03
    #[tokio::test]
    async fn a_channel_that_does_not_answer_holds_nobody_up_who_wants_to_stop() {
        let asked = options();
        asked.stop.request();
        let gone = async |_: &Arc<Options>| -> Result<(), Error> {
            Err(Error::Incomplete { snapshot: Hash::of(b"gone"), source: Box::new(Error::NoSources) })
        };
        let ended = tokio::time::timeout(Duration::from_secs(2), outlive(asked, gone, async |_, _| std::future::pending().await)).await;
        assert!(matches!(ended, Ok(Err(Error::Interrupted))), "{ended:?}");
    }

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

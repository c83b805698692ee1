//! Asking many sources for the same object at once.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    store::{DynReadStore, Error, ErrorKind},
    trust::{Answer, Offer},
    types::ObjectKey,
};

/// How long to wait for the others once one source has answered well (rule 5).
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How long to wait for any source at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// A question under way to all sources. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Asking {
    tasks: JoinSet<(usize, Answer, Instant)>,
    sources: Vec<String>,
}

impl Asking {
    /// Asks all sources for an object of at most `max_bytes`.
    pub(super) fn start(sources: &[DynReadStore], object: &ObjectKey, max_bytes: u64) -> Self {
        let mut tasks = JoinSet::new();
        for (i, source) in sources.iter().cloned().enumerate() {
            let object = object.clone();
            tasks.spawn(async move {
                let answer = answer(source.get(&object, max_bytes).await);
                (i, answer, Instant::now())
            });
        }
        Self { tasks, sources: sources.iter().map(|source| source.name().to_owned()).collect() }
    }

    /// The answers, in the order of the sources: of all of them, or of those that came until `grace` after the first that is `good` came,
    /// whenever this is called.
    pub(super) async fn collect(mut self, grace: Duration, good: impl Fn(&Answer) -> bool) -> Vec<Offer> {
        let mut answers: Vec<Option<Answer>> = vec![None; self.sources.len()];
        let mut end = Instant::now() + PATIENCE;
        while let Ok(Some(joined)) = timeout_at(end, self.tasks.join_next()).await {
            let Ok((i, answer, at)) = joined else { continue };
            if good(&answer) {
                end = end.min(at + grace);
            }
            answers[i] = Some(answer);
        }
        let late = || Answer::Failed("no answer in time".to_owned());
        self.sources.into_iter().zip(answers).map(|(source, answer)| Offer { source, answer: answer.unwrap_or_else(late) }).collect()
    }
}

/// What an attempt to read an object tells about the source.
pub(super) fn answer(result: Result<Vec<u8>, Error>) -> Answer {
    match result {
        Ok(bytes) => Answer::Object(bytes),
        Err(error) => match error.kind {
            ErrorKind::NotFound => Answer::Absent,
            ErrorKind::Denied => Answer::Denied(error.reason),
            ErrorKind::Credentials(fault) => Answer::Credentials { fault, what: error.reason },
            ErrorKind::NoSuchStore => Answer::NoStore(error.reason),
            ErrorKind::TooLarge | ErrorKind::BadAnswer | ErrorKind::WrongBytes | ErrorKind::Conflict => Answer::Unfit(error.reason),
            ErrorKind::Interrupted
            | ErrorKind::TooSlow
            | ErrorKind::Unreachable
            | ErrorKind::Unavailable { .. }
            | ErrorKind::NoSpace
            | ErrorKind::Io => Answer::Failed(error.reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Fault, MemoryStore, RecordStore};

    #[tokio::test(start_paused = true)]
    async fn who_was_silent_while_something_else_was_waited_for_is_not_waited_for_again() {
        let object: ObjectKey = "heads/a.json".parse().unwrap();
        let sources = [0, 3600].map(|delay| -> DynReadStore {
            let store = MemoryStore::new("source");
            store.overwrite(&object, b"head".as_slice());
            Arc::new(RecordStore::new(store).with_faults(move |_| Some(Fault::Delay(Duration::from_secs(delay)))))
        });
        for (meanwhile, waited) in [(0, 5), (3, 2), (60, 0)] {
            let asking = Asking::start(&sources, &object, 9);
            tokio::time::sleep(Duration::from_secs(meanwhile)).await;
            let begin = Instant::now();
            let offers = asking.collect(GRACE, |answer| matches!(answer, Answer::Object(_))).await;
            assert_eq!(begin.elapsed().as_secs(), waited, "after {meanwhile} s");
            assert!(matches!((&offers[0].answer, &offers[1].answer), (Answer::Object(_), Answer::Failed(_))), "{offers:?}");
        }
    }
}

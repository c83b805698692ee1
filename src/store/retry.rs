//! Asks again when a little later may be better.

use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;

use super::{Charge, Error, ErrorKind, Exclusion, Put, ReadStore, Stat, Swap, Tag, WantedForms, WriteStore};
use crate::types::ObjectKey;

/// The longest that a store is left alone because it asks for it.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How often and how patiently a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most calls made in all.
    pub max_attempts: usize,
    /// The first pause; each later one is twice as long. Up to as much again is added by chance, so that many clients do not
    /// come back at once.
    pub first_pause: Duration,
    /// The longest pause of our own, before chance; a longer one that the store asks for is honoured up to a minute.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 8, first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// The same, with as many pauses as fit into `wait`, chance left aside.
    #[must_use]
    pub fn within(self, wait: Duration) -> Self {
        let pauses = std::iter::successors(Some(self.first_pause), |pause| Some((*pause * 2).min(self.longest_pause)));
        let ends = pauses.scan(Duration::ZERO, |end, pause| {
            *end += pause;
            Some(*end)
        });
        let fitting = ends.take(self.max_attempts.saturating_sub(1)).take_while(|end| *end <= wait).count();
        Self { max_attempts: 1 + fitting, ..self }
    }

    fn patience(&self) -> Patience {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.max_attempts.saturating_sub(1))
            .with_jitter();
        Patience(pauses.build())
    }
}

/// The pauses that are left for one call.
struct Patience(ExponentialBackoff);

impl Patience {
    /// Waits if another attempt makes sense, else gives the error back.
    async fn wait_or_give_up(&mut self, error: Error) -> Result<(), Error> {
        if !error.kind.worth_retrying() {
            return Err(error);
        }
        let Some(pause) = self.0.next() else {
            return Err(error);
        };
        let asked = if let ErrorKind::Unavailable { retry_after } = error.kind { retry_after } else { None };
        let pause = pause.max(asked.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        tracing::debug!(%error, ?pause, "asking again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// A store that repeats calls which may succeed a little later.
#[derive(Debug)]
pub struct RetryStore<S> {
    inner: S,
    policy: RetryPolicy,
}

impl<S> RetryStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, policy: RetryPolicy) -> Self {
        Self { inner, policy }
    }
}

#[async_trait]
impl<S: ReadStore> ReadStore for RetryStore<S> {
    fn remembers_absence(&self) -> Duration {
        self.inner.remembers_absence()
    }

    fn charge(&self) -> Charge {
        self.inner.charge()
    }

    fn metadata_micro_usd(&self) -> u64 {
        self.inner.metadata_micro_usd()
    }

    fn address(&self, key: &ObjectKey) -> Option<String> {
        self.inner.address(key)
    }

    fn be_patient(&self) {
        self.inner.be_patient();
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let mut patience = self.policy.patience();
        loop {
            match self.inner.get_into(key, max_bytes, into).await {
                Err(error) => patience.wait_or_give_up(error).await?,
                done => return done,
            }
        }
    }
}

#[async_trait]
impl<S: WriteStore> WriteStore for RetryStore<S> {
    /// An attempt whose answer was lost makes the next one find the object: [`Put::Existed`] then.
    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        let mut patience = self.policy.patience();
        loop {
            match self.inner.put_new(key, bytes.clone()).await {
                Err(error) => patience.wait_or_give_up(error).await?,
                done => return done,
            }
        }
    }

    fn billed_in(&self) -> Option<String> {
        self.inner.billed_in()
    }

    fn is_behind_cloudfront(&self) -> bool {
        self.inner.is_behind_cloudfront()
    }

    async fn announce(&self) -> Result<(), Error> {
        self.inner.announce().await
    }

    fn forms(&self) -> WantedForms {
        self.inner.forms()
    }

    async fn stat(&self, key: &ObjectKey) -> Result<Stat, Error> {
        let mut patience = self.policy.patience();
        loop {
            match self.inner.stat(key).await {
                Err(error) => patience.wait_or_give_up(error).await?,
                done => return done,
            }
        }
    }

    async fn exclusion(&self) -> Result<Exclusion, Error> {
        let mut patience = self.policy.patience();
        loop {
            match self.inner.exclusion().await {
                Err(error) => patience.wait_or_give_up(error).await?,
                done => return done,
            }
        }
    }

    /// Asked once: after a sync that failed nobody knows what is durable, and a second one that succeeds does not tell either.
    async fn sync(&self) -> Result<(), Error> {
        self.inner.sync().await
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        let mut patience = self.policy.patience();
        loop {
            match self.inner.get_tagged(key, max_bytes).await {
                Err(error) => patience.wait_or_give_up(error).await?,
                done => return done,
            }
        }
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        let mut patience = self.policy.patience();
        let mut asked_before = false;
        loop {
            match self.inner.swap(key, expected, bytes.clone()).await {
                Err(error) => patience.wait_or_give_up(error).await?,
                Ok(Swap::Lost) if asked_before => return self.whose(key, &bytes).await,
                done => return done,
            }
            asked_before = true;
        }
    }
}

impl<S: WriteStore> RetryStore<S> {
    /// Finds out whether a swap was lost to ourselves: to an earlier attempt whose answer got lost.
    async fn whose(&self, key: &ObjectKey, bytes: &Bytes) -> Result<Swap, Error> {
        match self.get_tagged(key, bytes.len() as u64).await {
            Ok(Some((there, tag))) if there == *bytes => Ok(Swap::Done(tag)),
            Ok(_) => Ok(Swap::Lost),
            Err(error) if error.kind == ErrorKind::TooLarge => Ok(Swap::Lost),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::store::{Call, Fault, MemoryStore, RecordStore, conformance};

    fn key() -> ObjectKey {
        "heads/c/p.json".parse().unwrap()
    }

    fn policy(max_attempts: usize) -> RetryPolicy {
        RetryPolicy { max_attempts, first_pause: Duration::from_millis(2), longest_pause: Duration::from_millis(4) }
    }

    fn store(fault: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) -> (MemoryStore, RetryStore<Arc<RecordStore<MemoryStore>>>) {
        let memory = MemoryStore::new("memory");
        memory.overwrite(&key(), &b"old"[..]);
        let record = Arc::new(RecordStore::new(memory.clone()).with_faults(fault));
        (memory, RetryStore::new(record, policy(4)))
    }

    #[tokio::test]
    async fn conforms() {
        let inner = MemoryStore::new("memory");
        conformance::run_write(|| Arc::new(RetryStore::new(inner.clone(), policy(2)))).await;
    }

    #[test]
    fn no_more_pauses_than_fit_into_a_wait() {
        let attempts = |wait| RetryPolicy::default().within(Duration::from_millis(wait)).max_attempts;
        assert_eq!([0, 199, 200, 1_000, 1_400, 24 * 3_600_000].map(attempts), [1, 1, 2, 3, 4, 8]);
    }

    // NW-05
    #[tokio::test]
    async fn asks_again_until_it_works() {
        let (_, store) = store(|call| (call.index < 3).then_some(Fault::Fail(ErrorKind::Unavailable { retry_after: None })));
        assert_eq!(store.get(&key(), 9).await.unwrap(), b"old");
        assert_eq!(store.inner.calls().len(), 4);
    }

    #[tokio::test]
    async fn gives_up_after_the_last_attempt() {
        let (_, store) = store(|_| Some(Fault::Fail(ErrorKind::Unreachable)));
        assert_eq!(store.get(&key(), 9).await.unwrap_err().kind, ErrorKind::Unreachable);
        assert_eq!(store.inner.calls().len(), 4);
    }

    #[tokio::test]
    async fn does_not_repeat_what_will_not_change() {
        let (_, store) = store(|_| Some(Fault::Fail(ErrorKind::Denied)));
        assert_eq!(store.get(&key(), 9).await.unwrap_err().kind, ErrorKind::Denied);
        assert_eq!(store.inner.calls().len(), 1);
    }

    #[tokio::test]
    async fn a_sync_that_failed_is_not_made_to_succeed() {
        let (_, store) = store(|call| (call.index == 0).then_some(Fault::Fail(ErrorKind::Interrupted)));
        assert_eq!(store.sync().await.unwrap_err().kind, ErrorKind::Interrupted);
        assert_eq!(store.inner.calls().len(), 1);
    }

    // NW-04
    #[tokio::test]
    async fn leaves_a_store_alone_for_as_long_as_it_asks() {
        let asked = Duration::from_millis(80);
        let (_, store) = store(move |call| (call.index == 0).then_some(Fault::Fail(ErrorKind::Unavailable { retry_after: Some(asked) })));
        let begin = Instant::now();
        store.get(&key(), 9).await.unwrap();
        assert!(begin.elapsed() >= asked);
    }

    // GC-07
    #[tokio::test]
    async fn a_swap_whose_answer_was_lost_is_done_and_not_lost() {
        let (memory, store) = store(|call| (call.index == 0).then_some(Fault::LoseAnswer(ErrorKind::Interrupted)));
        let tag = Tag::of(b"old");
        let swapped = store.swap(&key(), Some(&tag), Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(swapped, Swap::Done(Tag::of(b"new")));
        assert_eq!(memory.get(&key(), 9).await.unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_swap_that_somebody_else_won_meanwhile_is_lost() {
        let (memory, store) = store(|call| (call.index == 0).then_some(Fault::Fail(ErrorKind::Interrupted)));
        memory.overwrite(&key(), &b"theirs, and longer"[..]);
        let swapped = store.swap(&key(), Some(&Tag::of(b"old")), Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(swapped, Swap::Lost);
    }
}

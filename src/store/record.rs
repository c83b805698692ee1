//! Writes down every call, and injects faults: for tests of what asks a store, and how often.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Charge, Error, ErrorKind, Exclusion, Put, ReadStore, Stat, Swap, Tag, WantedForms, WriteStore};
use crate::types::ObjectKey;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`ReadStore::get_into`] or [`ReadStore::get`].
    Get,
    /// [`WriteStore::put_new`].
    Put,
    /// [`WriteStore::sync`].
    Sync,
    /// [`WriteStore::get_tagged`].
    GetTagged,
    /// [`WriteStore::swap`].
    Swap,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Get | Self::GetTagged => "get",
            Self::Put => "put",
            Self::Sync => "sync",
            Self::Swap => "swap",
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many calls came before.
    pub index: usize,
    /// What was called.
    pub action: Action,
    /// The key; `None` for a sync.
    pub key: Option<ObjectKey>,
    /// Bytes given (put, swap) or received (get; 0 until it has succeeded).
    pub bytes: u64,
}

/// Changes an object that was read.
pub type Change = Box<dyn FnOnce(&mut Vec<u8>) + Send + Sync>;

/// What goes wrong with a call.
pub enum Fault {
    /// The call is not made and fails.
    Fail(ErrorKind),
    /// The call is made, and then fails: its answer is lost.
    LoseAnswer(ErrorKind),
    /// What a get has read is changed; other calls are not.
    Change(Change),
    /// The call is made after a pause.
    Delay(Duration),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(kind) => f.debug_tuple("Fail").field(kind).finish(),
            Self::LoseAnswer(kind) => f.debug_tuple("LoseAnswer").field(kind).finish(),
            Self::Change(_) => f.write_str("Change"),
            Self::Delay(pause) => f.debug_tuple("Delay").field(pause).finish(),
        }
    }
}

type Faults = Box<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// A store that writes down every call.
pub struct RecordStore<S> {
    inner: S,
    calls: Mutex<Vec<Call>>,
    faults: Faults,
}

impl<S> RecordStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, calls: Mutex::default(), faults: Box::new(|_| None) }
    }

    /// Asks `fault` before every call what goes wrong with it.
    #[must_use]
    pub fn with_faults(self, fault: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { faults: Box::new(fault), ..self }
    }

    /// The calls so far, in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.recorded().clone()
    }

    fn recorded(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().expect("no holder of this lock panics")
    }

    fn begin(&self, action: Action, key: Option<&ObjectKey>, bytes: usize) -> Call {
        let mut calls = self.recorded();
        let call = Call { index: calls.len(), action, key: key.cloned(), bytes: bytes as u64 };
        calls.push(call.clone());
        call
    }

    fn received(&self, call: &Call, bytes: usize) {
        self.recorded()[call.index].bytes = bytes as u64;
    }
}

impl<S: ReadStore> RecordStore<S> {
    /// Notes a call and lets happen what happens before it is made.
    async fn before(&self, action: Action, key: Option<&ObjectKey>, bytes: usize) -> Result<Pending<'_>, Error> {
        let call = self.begin(action, key, bytes);
        let mut pending = Pending { store: self.inner.name(), call, lost: None, change: None };
        match (self.faults)(&pending.call) {
            None => {}
            Some(Fault::Fail(kind)) => return Err(pending.error(kind)),
            Some(Fault::LoseAnswer(kind)) => pending.lost = Some(kind),
            Some(Fault::Change(change)) => pending.change = Some(change),
            Some(Fault::Delay(pause)) => tokio::time::sleep(pause).await,
        }
        Ok(pending)
    }
}

/// A call that is being made, and what will go wrong with its answer.
struct Pending<'a> {
    store: &'a str,
    call: Call,
    lost: Option<ErrorKind>,
    change: Option<Change>,
}

impl Pending<'_> {
    fn error(&self, kind: ErrorKind) -> Error {
        let key = self.call.key.as_ref().map_or("", ObjectKey::as_str);
        Error::new(kind, self.store, self.call.action.name(), key, "injected fault")
    }

    fn answer<T>(&self, answer: T) -> Result<T, Error> {
        self.lost.map_or(Ok(answer), |kind| Err(self.error(kind)))
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if let Some(change) = self.change.take() {
            change(bytes);
        }
    }
}

#[async_trait]
impl<S: ReadStore> ReadStore for RecordStore<S> {
    fn remembers_absence(&self) -> Duration {
        self.inner.remembers_absence()
    }

    fn charge(&self) -> Charge {
        self.inner.charge()
    }

    fn metadata_micro_usd(&self) -> u64 {
        self.inner.metadata_micro_usd()
    }

    fn be_patient(&self) {
        self.inner.be_patient();
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let mut pending = self.before(Action::Get, Some(key), 0).await?;
        self.inner.get_into(key, max_bytes, into).await?;
        pending.change(into);
        self.received(&pending.call, into.len());
        pending.answer(())
    }
}

#[async_trait]
impl<S: WriteStore> WriteStore for RecordStore<S> {
    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        let pending = self.before(Action::Put, Some(key), bytes.len()).await?;
        pending.answer(self.inner.put_new(key, bytes).await?)
    }

    fn billed_in(&self) -> Option<String> {
        self.inner.billed_in()
    }

    fn is_behind_cloudfront(&self) -> bool {
        self.inner.is_behind_cloudfront()
    }

    async fn stat(&self, key: &ObjectKey) -> Result<Stat, Error> {
        self.inner.stat(key).await
    }

    async fn announce(&self) -> Result<(), Error> {
        self.inner.announce().await
    }

    fn forms(&self) -> WantedForms {
        self.inner.forms()
    }

    async fn exclusion(&self) -> Result<Exclusion, Error> {
        self.inner.exclusion().await
    }

    async fn sync(&self) -> Result<(), Error> {
        let pending = self.before(Action::Sync, None, 0).await?;
        self.inner.sync().await?;
        pending.answer(())
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        let mut pending = self.before(Action::GetTagged, Some(key), 0).await?;
        let mut found = self.inner.get_tagged(key, max_bytes).await?;
        if let Some((bytes, _)) = &mut found {
            pending.change(bytes);
            self.received(&pending.call, bytes.len());
        }
        pending.answer(found)
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        let pending = self.before(Action::Swap, Some(key), bytes.len()).await?;
        pending.answer(self.inner.swap(key, expected, bytes).await?)
    }
}

impl<S: fmt::Debug> fmt::Debug for RecordStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStore").field("inner", &self.inner).field("calls", &self.recorded().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{MemoryStore, conformance};

    fn key(text: &str) -> ObjectKey {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn conforms() {
        let inner = MemoryStore::new("memory");
        conformance::run_write(|| Arc::new(RecordStore::new(inner.clone()))).await;
    }

    #[tokio::test]
    async fn remembers_calls_and_what_they_moved() {
        let store = RecordStore::new(MemoryStore::new("memory"));
        store.put_new(&key("a"), Bytes::from_static(b"123")).await.unwrap();
        store.get(&key("a"), 9).await.unwrap();
        store.get(&key("b"), 9).await.unwrap_err();
        let seen: Vec<_> = store.calls().into_iter().map(|call| (call.action, call.key.unwrap().to_string(), call.bytes)).collect();
        assert_eq!(seen, [(Action::Put, "a".into(), 3), (Action::Get, "a".into(), 3), (Action::Get, "b".into(), 0)]);
    }

    #[tokio::test]
    async fn injects_what_it_is_told_to() {
        let inner = MemoryStore::new("memory");
        let store = RecordStore::new(inner.clone()).with_faults(|call| match call.index {
            0 => Some(Fault::Fail(ErrorKind::Denied)),
            1 => Some(Fault::LoseAnswer(ErrorKind::Interrupted)),
            2 => Some(Fault::Change(Box::new(|bytes| bytes.truncate(1)))),
            _ => None,
        });
        let a = key("a");
        let put = || store.put_new(&a, Bytes::from_static(b"123"));
        assert_eq!(put().await.unwrap_err().kind, ErrorKind::Denied);
        assert!(inner.keys().is_empty());
        assert_eq!(put().await.unwrap_err().kind, ErrorKind::Interrupted);
        assert_eq!(inner.keys(), [key("a")]);
        assert_eq!(store.get(&key("a"), 9).await.unwrap(), b"1");
        assert_eq!(store.get(&key("a"), 9).await.unwrap(), b"123");
    }
}

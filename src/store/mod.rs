//! Where objects live: one contract for every kind of store, and wrappers that add one thing each.
//!
//! A store knows keys and bytes, never manifests or heads. What it can do is its type: a [`ReadStore`] cannot be
//! written to. [`conformance`] is the contract as tests, which every store and wrapper passes.

pub mod conformance;
mod gateway;
mod http;
mod local;
mod memory;
mod patience;
mod record;
mod retry;
mod s3;
mod url;
mod web;

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::types::{CredentialFault, Forms, Hash, ObjectKey};

pub use gateway::{Gateway, MAX_BLOCK_BYTES, Probed};
pub use http::HttpStore;
pub use local::{Create, LocalReader, LocalStore};
pub use memory::MemoryStore;
pub use patience::Timeouts;
pub use record::{Action, Call, Change, Fault, RecordStore};
pub use retry::{RetryPolicy, RetryStore};
pub use s3::{Cdn, S3Location, S3Store};
pub use url::{InvalidStoreUrl, IpfsLocation, StoreUrl};

/// A store that can be read from.
pub type DynReadStore = Arc<dyn ReadStore>;
/// A store that can be written to.
pub type DynWriteStore = Arc<dyn WriteStore>;

/// Where objects can be read.
#[async_trait]
pub trait ReadStore: Debug + Send + Sync + 'static {
    /// How the store is named to people: its URL without secrets.
    fn name(&self) -> &str;

    /// Reads a whole object into `into`, whose former content is dropped and whose capacity is reused.
    ///
    /// Never holds more than `max_bytes` + 1 bytes of it, whatever the other side announces or sends.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such object, [`ErrorKind::TooLarge`] when it is longer than `max_bytes`,
    /// [`ErrorKind::Interrupted`] when it ended early. `into` then holds nothing of use, but as many bytes as had arrived: who pays for
    /// them counts them.
    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error>;

    /// For how long after an object was stored this store may still say that it is absent, because something on the way to it
    /// remembers an older answer.
    fn remembers_absence(&self) -> Duration {
        Duration::ZERO
    }

    /// What reading from this store costs whoever reads.
    fn charge(&self) -> Charge {
        Charge::Free
    }

    /// What was paid for reading its metadata, millionths of a US dollar, where somebody counts that.
    fn metadata_micro_usd(&self) -> u64 {
        0
    }

    /// What the store itself calls the object of this key, where that is something else.
    fn address(&self, _key: &ObjectKey) -> Option<String> {
        None
    }

    /// Says that nobody else delivers anything: from now on a body is given up only when nothing of it arrives any more, however slow it is.
    fn be_patient(&self) {}

    /// Reads a whole object of at most `max_bytes`.
    ///
    /// # Errors
    /// As [`ReadStore::get_into`].
    async fn get(&self, key: &ObjectKey, max_bytes: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.get_into(key, max_bytes, &mut bytes).await?;
        Ok(bytes)
    }
}

/// What reading from a store costs whoever reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Nothing.
    Free,
    /// Requests and bytes are billed to the reader's account.
    RequesterPays {
        /// The region of the bucket, which decides the price.
        region: String,
    },
}

/// Identifies one version of a mutable object, for [`WriteStore::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

impl Tag {
    /// The tag for stores that have none of their own: the hash of the content.
    fn of(bytes: &[u8]) -> Self {
        Self(Hash::of(bytes).to_string())
    }
}

/// What became of a [`WriteStore::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object was not there and is now.
    Created,
    /// An object of that name and length was there already; nothing was written.
    Existed,
}

/// What became of a [`WriteStore::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The object is now what was given.
    Done(Tag),
    /// Somebody else was faster: the object is not the version that was expected. Nothing was written.
    Lost,
}

/// What a store says of an object without sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// There is no such object.
    Absent,
    /// It is there, durable, and so many bytes long.
    There {
        /// Its length.
        bytes: u64,
    },
    /// Nothing, or nothing that can be relied on: it must be read.
    Unsaid,
}

/// How a store makes sure that one of two writers wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// By locks on the machine that holds it.
    Locks,
    /// By entity tags in quotes, as the standard has it (RFC 9110 13.1.1).
    QuotedTags,
    /// By entity tags without quotes.
    BareTags,
    /// Not at all: it ignores conditions. Nobody but this process may write to it.
    None,
}

/// The forms in which a store is to hold chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedForms {
    /// The user names them.
    Exactly(Forms),
    /// What suits a new store of this kind; one that has others already keeps them.
    ByDefault(Forms),
}

impl WantedForms {
    /// The forms of a new store.
    #[must_use]
    pub fn when_new(self) -> Forms {
        match self {
            Self::Exactly(forms) | Self::ByDefault(forms) => forms,
        }
    }
}

/// Where objects can be read and written.
#[async_trait]
pub trait WriteStore: ReadStore {
    /// Makes an immutable object, unless one of that name exists. Of any number of concurrent callers, in any number
    /// of processes, exactly one gets [`Put::Created`]. It may be volatile and invisible until [`WriteStore::sync`], but is never
    /// visible in part.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when an object of that name but another length is there;
    /// [`ErrorKind::Denied`], [`ErrorKind::NoSpace`] and the network kinds.
    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error>;

    /// The forms in which it is to hold chunks.
    fn forms(&self) -> WantedForms {
        WantedForms::ByDefault(Forms::Zstd)
    }

    /// How this store makes sure that one of two writers wins. May try it out on an object of its own.
    ///
    /// # Errors
    /// As [`WriteStore::put_new`].
    async fn exclusion(&self) -> Result<Exclusion, Error> {
        Ok(Exclusion::Locks)
    }

    /// What it says of an immutable object without sending it.
    ///
    /// # Errors
    /// As [`ReadStore::get_into`], but for `NotFound`.
    async fn stat(&self, _key: &ObjectKey) -> Result<Stat, Error> {
        Ok(Stat::Unsaid)
    }

    /// Makes all earlier puts of this store value durable and visible.
    ///
    /// # Errors
    /// When any of them could not be; they must then be put again.
    async fn sync(&self) -> Result<(), Error>;

    /// The region of AWS in which writes and storage are billed to the owner; `None` where they have no list of prices.
    fn billed_in(&self) -> Option<String> {
        None
    }

    /// Whether readers get its objects from CloudFront, which its owner pays.
    fn is_behind_cloudfront(&self) -> bool {
        false
    }

    /// Says to whatever remembers objects on the way to readers that mutable ones have changed. Without it they find out within a minute.
    ///
    /// # Errors
    /// What the other side says.
    async fn announce(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads a mutable object together with its tag; `None` when it is absent.
    ///
    /// # Errors
    /// As [`ReadStore::get_into`], but for `NotFound`.
    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error>;

    /// Replaces a mutable object, or an immutable one whose bytes are proved not to be what its name says, if it still is the version `expected` (`None`: absent), durably and at once. Of
    /// concurrent callers with one `expected` exactly one gets [`Swap::Done`].
    ///
    /// # Errors
    /// As [`WriteStore::put_new`].
    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error>;
}

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such object.
    NotFound,
    /// There is no such store at all: its bucket is gone or was never there.
    NoSuchStore,
    /// The store refuses this user.
    Denied,
    /// The store does not learn, or does not believe, who this user is.
    Credentials(CredentialFault),
    /// The object is longer than the caller allows.
    TooLarge,
    /// It ended before its end, or the connection broke.
    Interrupted,
    /// It arrived more slowly than any body may, and was given up.
    TooSlow,
    /// The other side could not be reached or did not answer in time.
    Unreachable,
    /// The other side is overloaded or broken for now (429, 5xx).
    Unavailable {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is not an object: another status, an encoding nobody asked for, a redirect that is not followed.
    BadAnswer,
    /// What arrived is not what its name says, where the store itself can tell.
    WrongBytes,
    /// An object of that name with another content is there.
    Conflict,
    /// The store is full.
    NoSpace,
    /// Anything else: reading or writing failed on this machine.
    Io,
}

impl ErrorKind {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub const fn worth_retrying(self) -> bool {
        match self {
            Self::Interrupted | Self::TooSlow | Self::Unreachable | Self::Unavailable { .. } => true,
            Self::NotFound
            | Self::NoSuchStore
            | Self::Denied
            | Self::Credentials(_)
            | Self::TooLarge
            | Self::BadAnswer
            | Self::WrongBytes
            | Self::Conflict
            | Self::NoSpace
            | Self::Io => false,
        }
    }
}

/// A call to a store that failed: what was asked where, and why it failed.
#[derive(Debug, Error)]
#[error("{store}: {action}{}{key}: {reason}", if key.is_empty() { "" } else { " " })]
pub struct Error {
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// The store's name.
    pub store: String,
    /// What was tried: `get`, `put`, `swap`, `sync`, `open`.
    pub action: &'static str,
    /// The key; empty where the call has none.
    pub key: String,
    /// Why, in words, without the source's text.
    pub reason: String,
    /// What lies below, if anything.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failed call, without a cause below it.
    #[must_use]
    pub fn new(kind: ErrorKind, store: &str, action: &'static str, key: &str, reason: impl Into<String>) -> Self {
        Self { kind, store: store.to_owned(), action, key: key.to_owned(), reason: reason.into(), source: None }
    }

    /// An object of that name but another length is there already.
    fn conflict(store: &str, key: &ObjectKey, existing_bytes: u64, given_bytes: u64) -> Self {
        let reason = format!("an object of {existing_bytes} bytes is there already, not of {given_bytes} bytes");
        Self::new(ErrorKind::Conflict, store, "put", key.as_str(), reason)
    }

    /// The same with what lies below.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error with everything below it, in one line, without the store's name.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = format!("{} {}: {}", self.action, self.key, self.reason);
        let mut source = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(cause) = source {
            line.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        line
    }
}

#[async_trait]
impl<S: ReadStore + ?Sized> ReadStore for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        (**self).get_into(key, max_bytes, into).await
    }

    fn remembers_absence(&self) -> Duration {
        (**self).remembers_absence()
    }

    fn charge(&self) -> Charge {
        (**self).charge()
    }

    fn metadata_micro_usd(&self) -> u64 {
        (**self).metadata_micro_usd()
    }

    fn address(&self, key: &ObjectKey) -> Option<String> {
        (**self).address(key)
    }

    fn be_patient(&self) {
        (**self).be_patient();
    }
}

#[async_trait]
impl<S: WriteStore + ?Sized> WriteStore for Arc<S> {
    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        (**self).put_new(key, bytes).await
    }

    fn forms(&self) -> WantedForms {
        (**self).forms()
    }

    async fn exclusion(&self) -> Result<Exclusion, Error> {
        (**self).exclusion().await
    }

    async fn stat(&self, key: &ObjectKey) -> Result<Stat, Error> {
        (**self).stat(key).await
    }

    async fn sync(&self) -> Result<(), Error> {
        (**self).sync().await
    }

    fn billed_in(&self) -> Option<String> {
        (**self).billed_in()
    }

    fn is_behind_cloudfront(&self) -> bool {
        (**self).is_behind_cloudfront()
    }

    async fn announce(&self) -> Result<(), Error> {
        (**self).announce().await
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        (**self).get_tagged(key, max_bytes).await
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        (**self).swap(key, expected, bytes).await
    }
}

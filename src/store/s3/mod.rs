//! A store in an S3 bucket, of AWS or of another server.
//!
//! One request for one whole object; no listing. Immutable objects are made with `If-None-Match: *`, mutable ones replaced with `If-Match`;
//! a server that ignores these is found out before the first write (`exclusion.rs`). Where the user agreed to pay for requests every one
//! says so. Nothing is retried here but a request to the wrong region,
//! one whose credentials have just expired, and the steps of that probe.

mod client;
mod cloudfront;
mod exclusion;
mod fault;
mod read;
mod url;
mod write;

use std::{
    fmt,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    config::{SharedCredentialsProvider, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use super::{Error, ErrorKind, Exclusion, Timeouts};
use crate::types::{CredentialFault, ObjectKey};
use client::{Payer, Session};
use fault::{Fault, Meaning};
pub use url::{Cdn, S3Location};

/// Credentials that were loaded this short a time ago and have expired are not loaded again.
const FRESH: Duration = Duration::from_secs(60);
/// Regions that a bucket may be looked for in before something is wrong with the answers.
const MOST_REGIONS: usize = 3;

/// A store in an S3 bucket. Credentials are looked for at the first call, in the environment, the user's AWS configuration, and the metadata
/// services of containers and machines.
pub struct S3Store {
    location: S3Location,
    name: String,
    timeouts: Timeouts,
    payer: Payer,
    session: Mutex<Option<Begun>>,
    whereabouts: StdMutex<Whereabouts>,
    /// Whether an object of it was read: who may read one may read all, so that a refusal means "absent" from then on.
    has_read: AtomicBool,
    /// Whether nobody else delivers anything.
    is_patient: AtomicBool,
    /// Whether the last object that was to be made was there already.
    finds_objects: AtomicBool,
    exclusion: OnceCell<Exclusion>,
    /// Damaged objects that were replaced and of which a cache may keep what was there before: it was told that they never change.
    healed: StdMutex<Vec<ObjectKey>>,
    /// Where credentials come from, when not from the user's environment and configuration.
    credentials: Option<SharedCredentialsProvider>,
}

/// Whether a refusal may stand for "absent".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// Once an object was read.
    Guessed,
    /// Never.
    OnlySaid,
}

/// Where a bucket is, as far as is known.
#[derive(Clone, Debug, Default)]
struct Whereabouts {
    /// Where it is asked.
    region: Option<String>,
    /// Whether it has answered there.
    is_sure: bool,
}

#[derive(Debug)]
struct Begun {
    session: Arc<Session>,
    at: Instant,
}

impl S3Store {
    /// Opens the store. Does not connect.
    ///
    /// # Errors
    /// [`CredentialFault::Missing`] when nobody would pay for requests that somebody must pay for.
    pub fn open(location: &S3Location, timeouts: Timeouts) -> Result<Self, Error> {
        let name = location.name();
        if location.requester_pays && location.anonymous {
            let reason = "a requester-pays bucket needs an AWS account that is charged: anonymous=true cannot go with requester_pays=true";
            return Err(Error::new(ErrorKind::Credentials(CredentialFault::Missing), &name, "open", "", reason));
        }
        Ok(Self {
            payer: Payer::new(location),
            whereabouts: StdMutex::new(Whereabouts { region: location.region.clone(), is_sure: false }),
            location: location.clone(),
            name,
            timeouts,
            session: Mutex::new(None),
            has_read: AtomicBool::new(false),
            is_patient: AtomicBool::new(false),
            finds_objects: AtomicBool::new(false),
            exclusion: OnceCell::new(),
            healed: StdMutex::default(),
            credentials: None,
        })
    }

    /// The same store with credentials of the caller's, whatever the environment says.
    #[must_use]
    pub fn with_credentials(self, credentials: SharedCredentialsProvider) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Answers so far that said that this user was charged.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.payer.charged()
    }

    /// Sends a request, again where the first answer says how: in another region, or with credentials that are loaded anew.
    async fn send<T, E, F>(&self, patience: Duration, request: impl Fn(Client) -> F + Send + Sync) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let (mut regions, mut renewed) = (0, false);
        loop {
            let session = self.session().await?;
            let answer = tokio::time::timeout(patience, request(session.client.clone())).await;
            let Ok(answer) = answer else {
                return Err(Fault::new(ErrorKind::Unreachable, format!("no answer within {} s", patience.as_secs_f32())));
            };
            let fault = match answer.map_err(Fault::of) {
                Ok(answer) => {
                    self.with_whereabouts(|whereabouts| whereabouts.is_sure = true);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            match &fault.meaning {
                Meaning::OtherRegion(region) if regions < MOST_REGIONS && *region != session.region => {
                    regions += 1;
                    self.move_to(region, &session).await;
                }
                Meaning::Elsewhere if regions < MOST_REGIONS => match self.region_of_bucket(&session, patience).await {
                    Some(region) if region != session.region => {
                        regions += 1;
                        self.move_to(&region, &session).await;
                    }
                    _ => return Err(fault),
                },
                Meaning::Kind(ErrorKind::Credentials(CredentialFault::Expired)) if !renewed && self.renew(&session).await => {
                    renewed = true;
                }
                Meaning::Kind(ErrorKind::NotFound) | Meaning::Precondition => {
                    // Only where the bucket is anybody knows what is in it.
                    self.with_whereabouts(|whereabouts| whereabouts.is_sure = true);
                    return Err(fault);
                }
                Meaning::OtherRegion(_) | Meaning::Elsewhere | Meaning::Kind(_) | Meaning::NotImplemented => return Err(fault),
            }
        }
    }

    /// Asks where the bucket is. Whoever may not know what is in it is told that all the same.
    async fn region_of_bucket(&self, session: &Session, patience: Duration) -> Option<String> {
        let asked = session.client.head_bucket().bucket(&self.location.bucket).send();
        match tokio::time::timeout(patience, asked).await.ok()? {
            Ok(found) => found.bucket_region,
            Err(refused) => Fault::region_told(&refused),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Fault> {
        let mut session = self.session.lock().await;
        if let Some(begun) = &*session {
            return Ok(Arc::clone(&begun.session));
        }
        let region = self.known_region();
        let new = Session::begin(&self.location, region.as_deref(), self.timeouts.connect, &self.payer, self.credentials.as_ref()).await?;
        let new = Arc::new(new);
        self.with_whereabouts(|whereabouts| whereabouts.region = Some(new.region.clone()));
        *session = Some(Begun { session: Arc::clone(&new), at: Instant::now() });
        Ok(new)
    }

    fn with_whereabouts<T>(&self, work: impl FnOnce(&mut Whereabouts) -> T) -> T {
        work(&mut self.whereabouts.lock().expect("no holder of this lock panics"))
    }

    /// The region to ask in, right or not.
    fn known_region(&self) -> Option<String> {
        self.with_whereabouts(|whereabouts| whereabouts.region.clone())
    }

    /// The region in which the bucket has answered: prices depend on it.
    fn sure_region(&self) -> Option<String> {
        self.with_whereabouts(|whereabouts| whereabouts.region.clone().filter(|_| whereabouts.is_sure))
    }

    /// Leaves the session that asked in the wrong region, unless another request did so already.
    async fn move_to(&self, region: &str, wrong: &Arc<Session>) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|begun| Arc::ptr_eq(&begun.session, wrong)) {
            tracing::debug!(store = self.name, region, "the bucket is in another region");
            self.with_whereabouts(|whereabouts| whereabouts.region = Some(region.to_owned()));
            *session = None;
        }
    }

    /// Has credentials loaded anew, unless that was done a moment ago; whether it makes sense to ask again.
    async fn renew(&self, expired: &Arc<Session>) -> bool {
        let mut session = self.session.lock().await;
        match &*session {
            Some(begun) if Arc::ptr_eq(&begun.session, expired) && begun.at.elapsed() < FRESH => false,
            Some(begun) if Arc::ptr_eq(&begun.session, expired) => {
                *session = None;
                true
            }
            _ => true,
        }
    }

    fn error(&self, action: &'static str, key: &str, fault: Fault) -> Error {
        let kind = match fault.meaning {
            Meaning::Kind(kind) => kind,
            Meaning::OtherRegion(_) | Meaning::Elsewhere | Meaning::Precondition | Meaning::NotImplemented => ErrorKind::BadAnswer,
        };
        let mut reason = fault.reason;
        if kind == ErrorKind::Denied && !self.location.requester_pays {
            reason.push_str("; if its readers pay, add requester_pays=true to the URL");
        }
        if let (ErrorKind::Denied, Some(owner)) = (kind, &self.location.owner) {
            reason.push_str(&format!("; or the bucket is not of account {owner}, as owner= says"));
        }
        let error = Error::new(kind, &self.name, action, key, reason);
        match fault.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }

    /// What a refused or absent object means: who has read one object may read all, and S3 says "denied" for "absent" to those who may
    /// not list.
    fn as_absence(&self, fault: Fault, absence: Absence) -> Fault {
        let guessed = absence == Absence::Guessed && fault.may_mean_absent() && self.has_read.load(Ordering::Relaxed);
        if guessed { Fault::new(ErrorKind::NotFound, fault.reason) } else { fault }
    }

    /// Where nothing but a look keeps two writers apart, a refusal must not pass for "absent".
    fn absence_for_writers(&self) -> Absence {
        if self.exclusion.get() == Some(&Exclusion::None) { Absence::OnlySaid } else { Absence::Guessed }
    }
}

/// Without anything that could be a secret.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("name", &self.name).field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

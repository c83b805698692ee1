//! Making and replacing objects.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use aws_sdk_s3::{Client, operation::head_object::HeadObjectOutput, primitives::ByteStream, types::StorageClass};
use bytes::Bytes;

use super::{
    Absence, Cdn, S3Store, cloudfront,
    exclusion::Condition,
    fault::{Fault, Meaning},
};
use crate::{
    store::{Error, ErrorKind, Exclusion, Put, Stat, Swap, Tag, WantedForms, WriteStore},
    types::ObjectKey,
};

/// For objects whose bytes follow from their name.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For heads, the index and what was counted: a CDN may keep them for a minute, a browser must ask again.
const MUTABLE: &str = "public, max-age=0, s-maxage=60";

#[async_trait]
impl WriteStore for S3Store {
    async fn put_new(&self, key: &ObjectKey, bytes: Bytes) -> Result<Put, Error> {
        match self.create(key, &bytes).await {
            Ok(Created::Now) => Ok(Put::Created),
            Ok(Created::Before { bytes: there }) if there == bytes.len() as u64 => Ok(Put::Existed),
            Ok(Created::Before { bytes: there }) => Err(Error::conflict(&self.name, key, there, bytes.len() as u64)),
            Err(fault) => Err(self.error("put", key.as_str(), fault)),
        }
    }

    fn forms(&self) -> WantedForms {
        match self.location.forms {
            Some(forms) => WantedForms::Exactly(forms),
            None => WantedForms::ByDefault(self.location.forms()),
        }
    }

    async fn exclusion(&self) -> Result<Exclusion, Error> {
        let probed = self.exclusion.get_or_try_init(|| self.probe()).await;
        probed.copied().map_err(|fault| self.error("probe", "", fault))
    }

    async fn stat(&self, key: &ObjectKey) -> Result<Stat, Error> {
        let there = self.length(key, self.absence_for_writers()).await.map_err(|fault| self.error("stat", key.as_str(), fault))?;
        Ok(there.map_or(Stat::Absent, |bytes| Stat::There { bytes }))
    }

    /// An object is durable when its put is answered.
    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn billed_in(&self) -> Option<String> {
        if self.location.endpoint.is_some() { None } else { self.sure_region() }
    }

    fn is_behind_cloudfront(&self) -> bool {
        self.location.cdn.as_ref().is_some_and(|cdn| cdn.distribution.is_some())
    }

    async fn announce(&self) -> Result<(), Error> {
        let Some(cdn) = &self.location.cdn else { return Ok(()) };
        let healed = std::mem::take(&mut *self.healed.lock().expect("no holder of this lock panics"));
        let told = match &cdn.distribution {
            Some(distribution) => self.have_forgotten(cdn, distribution, &healed).await,
            None if healed.is_empty() => Ok(()),
            None => Err(Fault::new(ErrorKind::BadAnswer, "without distribution=ID no CDN can be told")),
        };
        told.map_err(|fault| {
            let mut error = self.error("announce", "", fault);
            if !healed.is_empty() {
                // The names of these objects promise that they never change.
                let all = cloudfront::everything_below(cdn);
                error.reason.push_str(&format!(
                    "; what it keeps of the {} damaged objects that were put again it may serve for a year: invalidate {all}",
                    healed.len()
                ));
            }
            error
        })
    }

    async fn get_tagged(&self, key: &ObjectKey, max_bytes: u64) -> Result<Option<(Vec<u8>, Tag)>, Error> {
        let mut bytes = Vec::new();
        match self.fetch(key, max_bytes, &mut bytes).await.map_err(|fault| self.as_absence(fault, self.absence_for_writers())) {
            Ok(tag) => {
                let tag = tag_of(tag, &bytes);
                Ok(Some((bytes, tag)))
            }
            Err(fault) if fault.kind() == Some(ErrorKind::NotFound) => Ok(None),
            Err(fault) => Err(self.error("get", key.as_str(), fault)),
        }
    }

    async fn swap(&self, key: &ObjectKey, expected: Option<&Tag>, bytes: Bytes) -> Result<Swap, Error> {
        let exclusion = self.exclusion().await?;
        if exclusion == Exclusion::None && !self.is_version(key, expected).await? {
            return Ok(Swap::Lost);
        }
        match self.put(key, bytes.clone(), Condition::of(expected, exclusion)).await {
            Ok(tag) => {
                if expected.is_some() && cache_control(key) == IMMUTABLE {
                    self.healed.lock().expect("no holder of this lock panics").push(key.clone());
                }
                Ok(Swap::Done(tag_of(tag, &bytes)))
            }
            Err(Fault { meaning: Meaning::Precondition | Meaning::Kind(ErrorKind::NotFound), .. }) => Ok(Swap::Lost),
            Err(fault) => Err(self.error("swap", key.as_str(), fault)),
        }
    }
}

/// When an object came to be there.
enum Created {
    Now,
    Before { bytes: u64 },
}

impl S3Store {
    async fn have_forgotten(&self, cdn: &Cdn, distribution: &str, healed: &[ObjectKey]) -> Result<(), Fault> {
        cloudfront::forget(&self.session().await?.shared, cdn, distribution, healed, &self.timeouts).await
    }

    async fn create(&self, key: &ObjectKey, bytes: &Bytes) -> Result<Created, Fault> {
        let exclusion = *self.exclusion.get_or_try_init(|| self.probe()).await?;
        // A run that goes on where another was cut off finds one object after the other: a question costs less than a body.
        if exclusion == Exclusion::None || self.finds_objects.load(Ordering::Relaxed) {
            if let Some(there) = self.length(key, self.absence_for_writers()).await? {
                return Ok(Created::Before { bytes: there });
            }
            self.finds_objects.store(false, Ordering::Relaxed);
        }
        match self.put(key, bytes.clone(), Condition::of(None, exclusion)).await {
            Ok(_) => Ok(Created::Now),
            Err(Fault { meaning: Meaning::Precondition, .. }) => {
                self.finds_objects.store(true, Ordering::Relaxed);
                // It is there: a refusal is one.
                let gone = || Fault::new(ErrorKind::Unavailable { retry_after: None }, "the object was there and is gone");
                Ok(Created::Before { bytes: self.length(key, Absence::OnlySaid).await?.ok_or_else(gone)? })
            }
            Err(fault) => Err(fault),
        }
    }

    /// The length of an object; `None` when there is none.
    async fn length(&self, key: &ObjectKey, absence: Absence) -> Result<Option<u64>, Fault> {
        let found = self.head(key, absence).await?;
        Ok(found.and_then(|found| u64::try_from(found.content_length()?).ok()))
    }

    /// The entity tag of an object, without quotes; `None` when there is none.
    pub(super) async fn tag(&self, key: &ObjectKey, absence: Absence) -> Result<Option<String>, Fault> {
        let found = self.head(key, absence).await?;
        Ok(found.and_then(|found| found.e_tag().map(|tag| bare(tag).to_owned())))
    }

    async fn head(&self, key: &ObjectKey, absence: Absence) -> Result<Option<HeadObjectOutput>, Fault> {
        let object = self.location.object(key.as_str());
        let head = |client: Client| client.head_object().bucket(&self.location.bucket).key(&object).send();
        let fault = match self.send(self.timeouts.answer(0), head).await {
            Ok(found) => return Ok(Some(found)),
            // Such an answer has no body, in which it would stand what is wrong: one byte of the object, or the refusal of it, tells.
            Err(fault) if fault.code.is_none() && matches!(fault.kind(), Some(ErrorKind::Denied | ErrorKind::BadAnswer)) => {
                self.why_not(&object).await.unwrap_or(fault)
            }
            Err(fault) => fault,
        };
        match self.as_absence(fault, absence) {
            fault if fault.kind() == Some(ErrorKind::NotFound) => Ok(None),
            fault => Err(fault),
        }
    }

    /// Why an object is refused; `None` when it is not.
    async fn why_not(&self, object: &str) -> Option<Fault> {
        let get = |client: Client| client.get_object().bucket(&self.location.bucket).key(object).range("bytes=0-0").send();
        self.send(self.timeouts.answer(0), get).await.err()
    }

    /// Whether an object is the expected version, for servers that do not compare by themselves.
    async fn is_version(&self, key: &ObjectKey, expected: Option<&Tag>) -> Result<bool, Error> {
        let there = self.tag(key, Absence::OnlySaid).await.map_err(|fault| self.error("swap", key.as_str(), fault))?;
        Ok(there.as_deref() == expected.map(|tag| tag.0.as_str()))
    }

    /// Puts an object and says what its entity tag is.
    pub(super) async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: Condition) -> Result<Option<String>, Fault> {
        let object = self.location.object(key.as_str());
        let put = |client: Client| {
            let request = client
                .put_object()
                .bucket(&self.location.bucket)
                .key(&object)
                .cache_control(cache_control(key))
                .content_type("application/octet-stream")
                .set_storage_class(self.location.storage_class.as_deref().map(StorageClass::from))
                .body(ByteStream::from(bytes.clone()));
            condition.clone().apply(request).send()
        };
        Ok(self.send(self.timeouts.answer(bytes.len() as u64), put).await?.e_tag)
    }
}

/// How long a cache may keep an object.
fn cache_control(key: &ObjectKey) -> &'static str {
    let folder = ["heads/", "usage/"].iter().any(|folder| key.as_str().starts_with(folder));
    let changes = folder || ["index.json", "store.json", "probe"].contains(&key.as_str());
    if changes { MUTABLE } else { IMMUTABLE }
}

/// An entity tag without its quotes: servers differ in whether they take it with or without.
pub(super) fn bare(tag: &str) -> &str {
    tag.trim_matches('"')
}

fn tag_of(tag: Option<String>, bytes: &[u8]) -> Tag {
    tag.map_or_else(|| Tag::of(bytes), |tag| Tag(bare(&tag).to_owned()))
}

//! How a bucket keeps two writers apart: found out by trying, because many servers take conditions and ignore them.

use std::time::Duration;

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;

use super::{
    Absence, S3Store,
    fault::{Fault, Meaning},
};
use crate::{
    store::{ErrorKind, Exclusion, Tag},
    types::ObjectKey,
};

/// How often it is tried whether a store accepts a tag that it has just given.
const ROUNDS: usize = 3;

/// How often a step is tried again, and the first pause before that.
const STEP_RETRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What must hold for an object to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    None,
    /// It is absent.
    Absent,
    /// It is the version with this entity tag, which is sent as it is.
    Version(String),
}

impl Condition {
    /// The condition that an object is the expected version, as a server that works like this understands it.
    pub(super) fn of(expected: Option<&Tag>, exclusion: Exclusion) -> Self {
        match (expected, exclusion) {
            (_, Exclusion::None | Exclusion::Locks) => Self::None,
            (None, Exclusion::QuotedTags | Exclusion::BareTags) => Self::Absent,
            (Some(tag), Exclusion::QuotedTags) => Self::Version(quoted(&tag.0)),
            (Some(tag), Exclusion::BareTags) => Self::Version(tag.0.clone()),
        }
    }

    pub(super) fn apply(self, request: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        match self {
            Self::None => request,
            Self::Absent => request.if_none_match("*"),
            Self::Version(tag) => request.if_match(tag),
        }
    }
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// What became of a write under a condition.
enum Tried {
    Written,
    Refused,
    /// The server answers that it knows no such request.
    Unknown,
}

impl S3Store {
    /// Writes an object of its own, always the same bytes, under conditions that hold and under such that do not. Others may do so at the
    /// same time.
    pub(super) async fn probe(&self) -> Result<Exclusion, Fault> {
        let found = self.probe_all().await?;
        tracing::debug!(store = self.name, ?found, "how the store keeps two writers apart");
        Ok(found)
    }

    async fn probe_all(&self) -> Result<Exclusion, Fault> {
        if let Tried::Unknown = self.attempt(Condition::Absent).await? {
            return Ok(Exclusion::None);
        }
        // Now it is there, this run's or an earlier one's.
        for _ in 0..ROUNDS {
            let Some(tag) = self.tag(&probe_key(), Absence::OnlySaid).await? else { return Ok(Exclusion::None) };
            let wrong: String = tag.chars().rev().chain("0".chars()).collect();
            for refused in [Condition::Absent, Condition::Version(quoted(&wrong)), Condition::Version(wrong.clone())] {
                if !matches!(self.attempt(refused).await?, Tried::Refused) {
                    return Ok(Exclusion::None);
                }
            }
            for (condition, exclusion) in [(quoted(&tag), Exclusion::QuotedTags), (tag, Exclusion::BareTags)] {
                if let Tried::Written = self.attempt(Condition::Version(condition)).await? {
                    return Ok(exclusion);
                }
            }
            // Where equal bytes get another tag each time, somebody else has just written the object.
        }
        Ok(Exclusion::None)
    }

    /// Again after passing faults: the steps build on each other, and one that was done and not answered may be done twice.
    async fn attempt(&self, condition: Condition) -> Result<Tried, Fault> {
        let passes = |fault: &Fault| fault.kind().is_some_and(ErrorKind::worth_retrying);
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_jitter().with_max_times(STEP_RETRIES);
        (|| self.attempt_once(condition.clone())).retry(pauses).when(passes).await
    }

    async fn attempt_once(&self, condition: Condition) -> Result<Tried, Fault> {
        match self.put(&probe_key(), Bytes::from_static(b"probe"), condition).await {
            Ok(_) => Ok(Tried::Written),
            Err(fault) => match fault.meaning {
                // An object that is there and not found under a condition is not the version asked for.
                Meaning::Precondition | Meaning::Kind(ErrorKind::NotFound) => Ok(Tried::Refused),
                Meaning::NotImplemented => Ok(Tried::Unknown),
                Meaning::Kind(_) | Meaning::OtherRegion(_) | Meaning::Elsewhere => Err(fault),
            },
        }
    }
}

/// The object that is written to try a store out. It stays: who may write may not always delete.
fn probe_key() -> ObjectKey {
    "probe".parse().expect("letters are a key")
}

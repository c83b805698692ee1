//! The account at AWS that is asked, and what a call that failed means.
//!
//! Credentials, region and endpoints (`AWS_ENDPOINT_URL…`) come from where every tool of AWS finds them. They are looked for when the first
//! call needs them: who counts by other means needs none.

use std::{error::Error as StdError, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{ConnectorError, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::types::CredentialFault;

/// Where metrics of CloudFront are, and what is asked where nothing says where to ask.
pub(super) const FIRST_REGION: &str = "us-east-1";
/// The longest that a program or service may take to give credentials.
const LOADING: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// The longest that a call may take, with all its attempts.
const CALL: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;
/// How much of a server's own words is repeated.
const QUOTED_CHARS: usize = 300;

/// A call to AWS that failed.
#[derive(Debug, Error)]
#[error("{call} {subject}: {reason}")]
pub struct AwsError {
    /// What a caller can act on.
    pub kind: AwsErrorKind,
    /// The call, as AWS names it.
    pub call: Call,
    /// What it was about.
    pub subject: String,
    /// Why, in words, without the source's text.
    pub reason: String,
    /// What lies below, if anything.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsErrorKind {
    /// This user may not make this call.
    Denied,
    /// AWS does not learn, or does not believe, who this user is.
    Credentials(CredentialFault),
    /// There is no such thing.
    NotFound,
    /// It could not be reached, is overloaded or broken for now.
    Unreachable,
    /// An answer that makes no sense.
    BadAnswer,
}

/// The calls that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Bytes of hours.
    GetMetricData,
    /// Metrics of our own.
    PutMetricData,
    /// An event to a topic.
    Publish,
}

impl Call {
    /// What a policy must allow.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::GetMetricData => "cloudwatch:GetMetricData",
            Self::PutMetricData => "cloudwatch:PutMetricData",
            Self::Publish => "sns:Publish",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::GetMetricData => "GetMetricData",
            Self::PutMetricData => "PutMetricData",
            Self::Publish => "Publish",
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The account, and how it is asked.
#[derive(Debug, Default)]
pub struct Account {
    loaded: OnceCell<SdkConfig>,
}

impl Account {
    /// Nothing is looked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Credentials and settings for the clients of all services.
    ///
    /// # Errors
    /// When there are no credentials or they cannot be loaded.
    pub(super) async fn config(&self) -> Result<&SdkConfig, Fault> {
        self.loaded.get_or_try_init(load).await
    }
}

async fn load() -> Result<SdkConfig, Fault> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CALL).build();
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(regions())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    let config = loader.load().await;
    let Some(provider) = config.credentials_provider() else {
        return Err(Fault::new(AwsErrorKind::Credentials(CredentialFault::Missing), "no AWS credentials were found"));
    };
    let late = || CredentialsError::provider_timed_out(LOADING);
    let loaded = tokio::time::timeout(LOADING, provider.provide_credentials()).await.unwrap_or_else(|_| Err(late()));
    loaded.map_err(|error| {
        let (kind, why) = of_provider(&error);
        Fault { source: Some(Box::new(error)), ..Fault::new(kind, why) }
    })?;
    Ok(config)
}

/// Without the metadata service of a cloud machine, which costs seconds where there is none.
fn regions() -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(FIRST_REGION))
}

/// Why a call failed, before it is known what it was about.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: AwsErrorKind,
    reason: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Fault {
    pub(super) fn new(kind: AwsErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    pub(super) fn of_call(self, call: Call, subject: &str) -> AwsError {
        AwsError { kind: self.kind, call, subject: subject.to_owned(), reason: self.reason, source: self.source }
    }

    /// What the library says of a call.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(answer) => {
                let (status, told) = (answer.raw().status().as_u16(), answer.err());
                of_answer(status, told.code().unwrap_or_default(), told.message().unwrap_or_default())
            }
            SdkError::DispatchFailure(failure) => {
                let (kind, why) = failure.as_connector_error().map_or((AwsErrorKind::Unreachable, "no answer"), of_connector);
                below(kind, why, error)
            }
            SdkError::TimeoutError(_) => below(AwsErrorKind::Unreachable, "no answer in time", error),
            SdkError::ResponseError(_) => below(AwsErrorKind::BadAnswer, "the answer is not one of AWS", error),
            // What else there may be in later versions of the library never reached a server.
            SdkError::ConstructionFailure(_) | _ => below(AwsErrorKind::BadAnswer, "the request cannot be made", error),
        }
    }
}

fn below<E>(kind: AwsErrorKind, reason: &str, error: SdkError<E, HttpResponse>) -> Fault
where
    E: StdError + Send + Sync + 'static,
{
    // The library's own words for the kind of failure say less than ours: what lies below them counts.
    Fault { source: error.into_source().ok(), ..Fault::new(kind, reason) }
}

fn of_connector(error: &ConnectorError) -> (AwsErrorKind, &'static str) {
    let mut causes = std::iter::successors(Some(error as &(dyn StdError + 'static)), |cause| (*cause).source());
    match causes.find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        Some(lost) => of_provider(lost),
        None if error.is_user() => (AwsErrorKind::BadAnswer, "the request cannot be made"),
        None => (AwsErrorKind::Unreachable, "no answer"),
    }
}

fn of_provider(error: &CredentialsError) -> (AwsErrorKind, &'static str) {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (AwsErrorKind::Credentials(CredentialFault::Missing), "no AWS credentials were found"),
        CredentialsError::ProviderTimedOut(_) => (AwsErrorKind::Unreachable, "whoever gives the AWS credentials does not answer in time"),
        CredentialsError::InvalidConfiguration(_) | CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) | _ => {
            (AwsErrorKind::Credentials(CredentialFault::NotLoaded), "the AWS credentials cannot be loaded")
        }
    }
}

/// What an answer means that is no success.
fn of_answer(status: u16, code: &str, message: &str) -> Fault {
    let (kind, words) = meaning(status, code, message);
    let plain = |text: &str, most: usize| text.chars().filter(|c| !c.is_control()).take(most).collect::<String>();
    let told = [format!("HTTP {status}"), plain(code, 60), plain(message, QUOTED_CHARS)];
    let told: Vec<_> = told.into_iter().filter(|part| !part.is_empty()).collect();
    Fault::new(kind, format!("{words} ({})", told.join(" ")))
}

fn meaning(status: u16, code: &str, message: &str) -> (AwsErrorKind, &'static str) {
    let credentials = |fault, words| (AwsErrorKind::Credentials(fault), words);
    // AWS has one code for a signature that is wrong and for one of another time.
    let off_time = message.contains("Signature expired") || message.contains("Signature not yet current");
    match (status, code) {
        (_, "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture") => {
            credentials(CredentialFault::Clock, "this machine's clock differs too much from that of AWS")
        }
        (_, "SignatureDoesNotMatch" | "InvalidSignatureException") if off_time => {
            credentials(CredentialFault::Clock, "this machine's clock differs too much from that of AWS")
        }
        (_, "ExpiredToken" | "ExpiredTokenException") => credentials(CredentialFault::Expired, "the credentials have expired"),
        (
            _,
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException",
        ) => credentials(CredentialFault::Wrong, "the credentials are not accepted"),
        (_, "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "AuthorizationErrorException" | "UnauthorizedOperation") => {
            (AwsErrorKind::Denied, "this user may not do that")
        }
        (_, "NotFound" | "NotFoundException" | "ResourceNotFound" | "ResourceNotFoundException") => {
            (AwsErrorKind::NotFound, "there is no such thing")
        }
        (_, "Throttling" | "ThrottlingException" | "Throttled" | "ThrottledException" | "RequestLimitExceeded" | "LimitExceeded")
        | (408 | 429 | 500..=599, _) => (AwsErrorKind::Unreachable, "AWS is overloaded or broken for now"),
        (401 | 403, _) => (AwsErrorKind::Denied, "this user may not do that"),
        _ => (AwsErrorKind::BadAnswer, "an answer that was not expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_meaning() {
        use AwsErrorKind as Kind;
        let credentials = Kind::Credentials;
        for (status, code, message, expected) in [
            (403, "AccessDenied", "", Kind::Denied),
            (403, "AuthorizationError", "", Kind::Denied),
            (403, "", "", Kind::Denied),
            (403, "InvalidClientTokenId", "", credentials(CredentialFault::Wrong)),
            (403, "SignatureDoesNotMatch", "The request signature we calculated", credentials(CredentialFault::Wrong)),
            (403, "SignatureDoesNotMatch", "Signature expired: 20261122T080000Z is now", credentials(CredentialFault::Clock)),
            (403, "SignatureDoesNotMatch", "Signature not yet current: 2026", credentials(CredentialFault::Clock)),
            (403, "ExpiredToken", "", credentials(CredentialFault::Expired)),
            (404, "NotFound", "Topic does not exist", Kind::NotFound),
            (400, "Throttling", "Rate exceeded", Kind::Unreachable),
            (500, "InternalServiceFault", "", Kind::Unreachable),
            (400, "InvalidParameterValue", "", Kind::BadAnswer),
        ] {
            assert_eq!(of_answer(status, code, message).kind, expected, "{status} {code} {message}");
        }
    }

    #[test]
    fn what_aws_says_is_shown_without_control_characters_and_not_at_any_length() {
        let error = of_answer(403, "Access\u{1b}Denied", &"x\n".repeat(5000)).of_call(Call::Publish, "arn:aws:sns:x");
        let text = error.to_string();
        assert!(text.starts_with("Publish arn:aws:sns:x: this user may not do that (HTTP 403 AccessDenied xxx"), "{text}");
        assert!(text.len() < 500 && !text.contains(['\u{1b}', '\n']), "{text}");
    }
}

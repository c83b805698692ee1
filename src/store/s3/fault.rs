//! What a failed request to S3 means.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
};

use crate::{
    store::{ErrorKind, patience::retry_after},
    types::CredentialFault,
};

/// A request that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) meaning: Meaning,
    pub(super) reason: String,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
    /// The code of S3, where the answer had one: that to a HEAD has no body to hold it.
    pub(super) code: Option<String>,
}

/// What can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What every store can say.
    Kind(ErrorKind),
    /// The bucket is in this region: ask there.
    OtherRegion(String),
    /// The bucket is in another region, and the answer does not say in which.
    Elsewhere,
    /// A condition of the request does not hold.
    Precondition,
    /// The server does not know conditions.
    NotImplemented,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { meaning: Meaning::Kind(kind), reason: reason.into(), source: None, code: None }
    }

    pub(super) fn kind(&self) -> Option<ErrorKind> {
        if let Meaning::Kind(kind) = self.meaning { Some(kind) } else { None }
    }

    /// There are no credentials, or they could not be loaded.
    pub(super) fn of_credentials(error: CredentialsError) -> Self {
        let (kind, why) = of_provider(&error);
        Self { source: Some(Box::new(error)), ..Self::new(kind, why) }
    }

    /// Whether the answer may stand for "absent": S3 says so to those who may not list.
    pub(super) fn may_mean_absent(&self) -> bool {
        self.kind() == Some(ErrorKind::Denied) && self.code.as_deref().is_none_or(|code| code == "AccessDenied")
    }

    /// The region of the bucket, which AWS writes above every answer to the question for it, refused or not.
    pub(super) fn region_told<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
        Some(error.raw_response()?.headers().get("x-amz-bucket-region")?.to_owned())
    }

    /// What the library says of a request.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(answer) => {
                let (response, told) = (answer.raw(), answer.err());
                let answer = Answer {
                    status: response.status().as_u16(),
                    code: told.code(),
                    message: told.message(),
                    region: response.headers().get("x-amz-bucket-region"),
                    retry_after: response.headers().get("retry-after").and_then(|text| retry_after(text, SystemTime::now())),
                };
                answer.fault()
            }
            SdkError::DispatchFailure(failure) => {
                let (kind, why) = failure.as_connector_error().map_or((ErrorKind::Unreachable, "no answer"), of_connector);
                below(kind, why, error)
            }
            SdkError::TimeoutError(_) => below(ErrorKind::Unreachable, "no answer", error),
            SdkError::ResponseError(_) => below(ErrorKind::BadAnswer, "the answer is not one of S3", error),
            // What else there may be in later versions of the library never reached a server.
            SdkError::ConstructionFailure(_) | _ => below(ErrorKind::BadAnswer, "the request cannot be made", error),
        }
    }
}

/// Why a request was not sent or not answered. Credentials that have run out are loaded anew before one is sent.
fn of_connector(error: &ConnectorError) -> (ErrorKind, &'static str) {
    match provider_error(error) {
        Some(lost) => of_provider(lost),
        None if error.is_timeout() => (ErrorKind::Unreachable, "no connection in time"),
        None if error.is_user() => (ErrorKind::BadAnswer, "the request cannot be made"),
        None => (ErrorKind::Unreachable, "no answer"),
    }
}

/// What lies below a request that was not sent, if that is about credentials.
fn provider_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CredentialsError> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref())
}

fn of_provider(error: &CredentialsError) -> (ErrorKind, &'static str) {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (ErrorKind::Credentials(CredentialFault::Missing), "no AWS credentials were found"),
        CredentialsError::ProviderTimedOut(_) => {
            (ErrorKind::Unavailable { retry_after: None }, "whoever gives the AWS credentials does not answer in time")
        }
        CredentialsError::InvalidConfiguration(_) | CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) | _ => {
            (ErrorKind::Credentials(CredentialFault::NotLoaded), "the AWS credentials cannot be loaded")
        }
    }
}

fn below<E>(kind: ErrorKind, reason: &str, error: SdkError<E, HttpResponse>) -> Fault
where
    E: StdError + Send + Sync + 'static,
{
    // The library's own words for the kind of failure say less than ours: what lies below them counts.
    let source = error.into_source().ok();
    Fault { source, ..Fault::new(kind, reason) }
}

/// An answer that is no success.
#[derive(Clone, Copy, Debug)]
struct Answer<'a> {
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    region: Option<&'a str>,
    retry_after: Option<Duration>,
}

impl Answer<'_> {
    fn fault(&self) -> Fault {
        let (meaning, words) = self.meaning();
        // What a server writes is shown, but not at any length.
        let told: String = self.message.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        let code = self.code.map(|code| format!(" {}", code.chars().filter(|c| !c.is_control()).take(60).collect::<String>()));
        let status = format!("HTTP {}{}", self.status, code.unwrap_or_default());
        let told = if told.is_empty() { status } else { format!("{status}: {told}") };
        Fault { meaning, reason: format!("{words} ({told})"), source: None, code: self.code.map(str::to_owned) }
    }

    fn meaning(&self) -> (Meaning, &'static str) {
        let kind = |kind, words| (Meaning::Kind(kind), words);
        let credentials = |fault, words| kind(ErrorKind::Credentials(fault), words);
        let unavailable = ErrorKind::Unavailable { retry_after: self.retry_after };
        let code = self.code.unwrap_or_default();
        if let (301 | 307 | 400 | 403, Some(region)) = (self.status, self.region)
            && (self.status < 400
                || matches!(code, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect"))
        {
            return (Meaning::OtherRegion(region.to_owned()), "the bucket is in another region");
        }
        if self.status == 301 || matches!(code, "AuthorizationHeaderMalformed" | "PermanentRedirect") {
            return (Meaning::Elsewhere, "the bucket is in another region, and the answer does not say in which");
        }
        match (self.status, code) {
            (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => {
                credentials(CredentialFault::Expired, "the credentials have expired")
            }
            (_, "RequestTimeTooSkewed" | "RequestExpired") => {
                credentials(CredentialFault::Clock, "this machine's clock differs too much from the server's")
            }
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "InvalidSecurity" | "NotSignedUp" | "AccountProblem") => {
                credentials(CredentialFault::Wrong, "the credentials are not accepted")
            }
            (_, "NoSuchBucket") => kind(ErrorKind::NoSuchStore, "there is no such bucket"),
            (501, _) | (400, "NotImplemented" | "InvalidArgument" | "InvalidRequest") => {
                (Meaning::NotImplemented, "the server does not know such a request")
            }
            (_, "IncompleteBody" | "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
                kind(ErrorKind::Interrupted, "the object did not arrive as it was sent")
            }
            (
                _,
                "SlowDown" | "RequestLimitExceeded" | "BandwidthLimitExceeded" | "RequestTimeout" | "Throttling" | "ThrottlingException",
            ) => kind(unavailable, "the server is overloaded"),
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => kind(ErrorKind::NoSpace, "the store is full"),
            (307, _) => kind(ErrorKind::BadAnswer, "the server sends the request elsewhere and does not say where"),
            (404, _) => kind(ErrorKind::NotFound, "no such object"),
            (401 | 403, _) => kind(ErrorKind::Denied, "access is denied"),
            (409, _) => kind(unavailable, "somebody else writes the same object"),
            (412, _) => (Meaning::Precondition, "a condition does not hold"),
            (408 | 429 | 500..=599, _) => kind(unavailable, "the server is overloaded or broken for now"),
            _ => kind(ErrorKind::BadAnswer, "an answer that was not expected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &'static str) -> Answer<'static> {
        Answer { status, code: (!code.is_empty()).then_some(code), message: None, region: None, retry_after: None }
    }

    // AW-03, AW-04, AW-05, AW-07, NW-04, NW-05, NW-07
    #[test]
    fn every_answer_has_its_meaning() {
        let busy = ErrorKind::Unavailable { retry_after: None };
        let credentials = ErrorKind::Credentials;
        for (status, code, expected) in [
            (404, "NoSuchKey", ErrorKind::NotFound),
            (404, "", ErrorKind::NotFound),
            (404, "NoSuchBucket", ErrorKind::NoSuchStore),
            (403, "AccessDenied", ErrorKind::Denied),
            (403, "", ErrorKind::Denied),
            (401, "Unauthorized", ErrorKind::Denied),
            (403, "InvalidAccessKeyId", credentials(CredentialFault::Wrong)),
            (403, "SignatureDoesNotMatch", credentials(CredentialFault::Wrong)),
            (400, "InvalidToken", credentials(CredentialFault::Wrong)),
            (403, "RequestTimeTooSkewed", credentials(CredentialFault::Clock)),
            (400, "ExpiredToken", credentials(CredentialFault::Expired)),
            (403, "ExpiredToken", credentials(CredentialFault::Expired)),
            (503, "SlowDown", busy),
            (429, "", busy),
            (500, "InternalError", busy),
            (400, "RequestTimeout", busy),
            (409, "ConditionalRequestConflict", busy),
            (507, "", ErrorKind::NoSpace),
            (403, "QuotaExceeded", ErrorKind::NoSpace),
            (307, "TemporaryRedirect", ErrorKind::BadAnswer),
            (400, "MalformedXML", ErrorKind::BadAnswer),
            (400, "BadDigest", ErrorKind::Interrupted),
            (400, "ThrottlingException", busy),
            (520, "", busy),
            (403, "InvalidObjectState", ErrorKind::Denied),
            (418, "", ErrorKind::BadAnswer),
        ] {
            assert_eq!(answer(status, code).fault().kind(), Some(expected), "{status} {code}");
        }
        assert_eq!(answer(412, "PreconditionFailed").fault().meaning, Meaning::Precondition);
        for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument")] {
            assert_eq!(answer(status, code).fault().meaning, Meaning::NotImplemented);
        }
    }

    // NW-07
    #[test]
    fn only_a_plain_refusal_may_mean_that_the_object_is_absent() {
        assert!(answer(403, "AccessDenied").fault().may_mean_absent() && answer(403, "").fault().may_mean_absent());
        for (status, code) in [(403, "InvalidObjectState"), (403, "AllAccessDisabled"), (403, "InvalidAccessKeyId"), (404, "NoSuchKey")] {
            assert!(!answer(status, code).fault().may_mean_absent(), "{code}");
        }
    }

    // AW-06
    #[test]
    fn the_region_of_the_bucket_is_taken_from_the_answer() {
        let there = |status, code| Answer { region: Some("eu-west-1"), ..answer(status, code) };
        let elsewhere = Meaning::OtherRegion("eu-west-1".into());
        for (status, code) in [(301, "PermanentRedirect"), (301, ""), (307, ""), (400, "AuthorizationHeaderMalformed")] {
            assert_eq!(there(status, code).fault().meaning, elsewhere, "{status} {code}");
        }
        for (status, code) in [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")] {
            assert_eq!(answer(status, code).fault().meaning, Meaning::Elsewhere, "{status} {code}");
        }
        // The header is there in every answer of AWS, and says nothing of why access is denied.
        assert_eq!(there(403, "AccessDenied").fault().kind(), Some(ErrorKind::Denied));
        assert_eq!(there(400, "ExpiredToken").fault().kind(), Some(ErrorKind::Credentials(CredentialFault::Expired)));
    }

    #[test]
    fn what_a_server_writes_is_shown_without_control_characters_and_not_at_any_length() {
        let long = "x".repeat(5000);
        let told = Answer { message: Some(&long), ..answer(403, "Access\u{1b}[31mDenied") }.fault();
        assert!(told.reason.len() < 400 && !told.reason.contains('\u{1b}'), "{}", told.reason);
    }
}

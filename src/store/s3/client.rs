//! The client of one bucket: who asks, where, and on whose bill.
//!
//! Retries and time-outs of the library are off: whoever reads or writes through a store has one engine for them, and two would multiply.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    Client,
    config::{
        AppName, ConfigBag, Intercept, ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents,
        SharedCredentialsProvider, StalledStreamProtectionConfig,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
        },
        retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::BoxError,
    primitives::SdkBody,
};
use backon::{ExponentialBuilder, Retryable};
use http_body_util::Limited;

use super::{fault::Fault, url::S3Location};
use crate::{store::ErrorKind, types::CredentialFault};

/// The longest that a program or service may take to give credentials.
const LOADING: Duration = Duration::from_secs(60);
/// The pause before it is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest body that is read of an answer that is no object, bytes: the library collects it.
const LONGEST_TOLD: usize = 64 << 10;
/// Where a bucket is looked for when nothing says where it is. A wrong guess is answered with the right region.
const FIRST_GUESS: &str = "us-east-1";

/// A client with credentials that were there when it was made.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) region: String,
    /// Credentials and region, for clients of other services.
    pub(super) shared: SdkConfig,
}

impl Session {
    /// Finds credentials and makes a client for `region`, else for the one that the user's configuration names.
    pub(super) async fn begin(
        location: &S3Location,
        region: Option<&str>,
        connect: Duration,
        payer: &Payer,
        credentials: Option<&SharedCredentialsProvider>,
    ) -> Result<Self, Fault> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(regions(location, region));
        if let Some(profile) = &location.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(credentials.clone());
        } else if location.anonymous {
            loader = loader.no_credentials();
        }
        let shared = loader.load().await;
        if let Some(provider) = shared.credentials_provider() {
            load(&provider).await.map_err(|error| why_an_account(error, location))?;
        }
        let region = shared.region().map_or_else(|| FIRST_GUESS.to_owned(), ToString::to_string);
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .app_name(AppName::new("qsync").expect("letters are an app name"))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(connect).build())
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(location.path_style)
            .interceptor(payer.clone());
        if let Some(endpoint) = &location.endpoint {
            // Servers that are not AWS may refuse checksums that they do not know; the signature covers the body's SHA-256 all the same.
            config = config.endpoint_url(endpoint.as_str()).request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        }
        Ok(Self { client: Client::from_conf(config.build()), region, shared })
    }
}

/// Loads credentials for the first time. Whoever gives them may be overloaded for a moment.
async fn load(provider: &SharedCredentialsProvider) -> Result<(), Fault> {
    let once = || async {
        let late = || CredentialsError::provider_timed_out(LOADING);
        let loaded = tokio::time::timeout(LOADING, provider.provide_credentials()).await.unwrap_or_else(|_| Err(late()));
        loaded.map(drop).map_err(Fault::of_credentials)
    };
    let passes = |fault: &Fault| fault.kind() == Some(ErrorKind::Credentials(CredentialFault::NotLoaded));
    once.retry(ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_jitter().with_max_times(2)).when(passes).await
}

/// Who has no credentials may not know why any are needed.
fn why_an_account(fault: Fault, location: &S3Location) -> Fault {
    match fault.kind() {
        Some(ErrorKind::Credentials(CredentialFault::Missing)) if location.requester_pays => {
            let reason = format!("{}, and a requester-pays bucket needs an AWS account that is charged", fault.reason);
            Fault { reason, ..fault }
        }
        _ => fault,
    }
}

/// Without the metadata service of a cloud machine, which costs seconds where there is none.
fn regions(location: &S3Location, region: Option<&str>) -> RegionProviderChain {
    let told = region.or(location.region.as_deref()).map(|region| Region::new(region.to_owned()));
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &location.profile {
        profile = profile.profile_name(name);
    }
    RegionProviderChain::first_try(told)
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(Region::new(FIRST_GUESS))
}

/// Says in every request that its sender pays for it, where the user agreed to, and counts the answers that say so too; and whose bucket it
/// must be, where the user names the owner, so that one that somebody else has by now is neither written to nor read.
///
/// On every call and in one place: some have no such setting of their own, and one call without it is refused.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    agreed: bool,
    expected_owner: Option<String>,
    charged: Arc<AtomicU64>,
}

impl Payer {
    pub(super) fn new(location: &S3Location) -> Self {
        Self { agreed: location.requester_pays, expected_owner: location.owner.clone(), charged: Arc::default() }
    }

    /// Answers that said that the sender was charged.
    pub(super) fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }
}

impl Intercept for Payer {
    fn name(&self) -> &'static str {
        "Payer"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.agreed {
            context.request_mut().headers_mut().insert("x-amz-request-payer", "requester");
        }
        if let Some(owner) = &self.expected_owner {
            context.request_mut().headers_mut().insert("x-amz-expected-bucket-owner", owner.clone());
        }
        Ok(())
    }

    /// A server decides neither what it costs nor how much memory its words take.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !context.response().status().is_success() {
            let body = context.response_mut().take_body();
            *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, LONGEST_TOLD));
        }
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().headers().contains_key("x-amz-request-charged") {
            self.charged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

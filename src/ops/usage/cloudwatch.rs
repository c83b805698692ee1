//! `CloudWatch`: the bytes that were downloaded in each hour, as it knows them; and metrics of our own.
//!
//! An answer may come in pages, and may be a part of what is known: then it says so, and so does what is made of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_sdk_cloudwatch::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef},
    },
    error::BoxError,
    operation::get_metric_data::GetMetricDataOutput,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit, StatusCode},
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use super::{
    aws::{Account, AwsError, AwsErrorKind, Call, FIRST_REGION, Fault},
    error::SourceError,
    event::StoreName,
    meter::Meter,
    plan::{HOUR, Hours, Reading},
    sinks::Board,
};
use crate::types::Timestamp;

/// The only thing that is asked for in a request.
const ID: &str = "bytes";
/// The most pages of one answer. A page has up to 500 values, and 15 months have 11,000 hours.
const MOST_PAGES: usize = 100;
/// The longest page.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// The most bytes of one hour that are believed: all numbers up to it are exact as `CloudWatch` tells them, and no link carries more.
const MAX_HOUR_BYTES: f64 = 9_007_199_254_740_992.0;
/// Where metrics of our own are.
const NAMESPACE: &str = "QSync";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metered {
    /// A distribution of CloudFront.
    Distribution {
        /// Its id.
        id: String,
    },
    /// A bucket of S3 that has a configuration of request metrics.
    Bucket {
        /// Its name.
        name: String,
        /// Where it is.
        region: String,
        /// The id of that configuration.
        filter_id: String,
    },
}

/// The bytes that were downloaded, from `CloudWatch`.
#[derive(Debug)]
pub struct CloudWatchMeter {
    account: Arc<Account>,
    metered: Metered,
}

impl CloudWatchMeter {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(account: Arc<Account>, metered: Metered) -> Self {
        Self { account, metered }
    }

    async fn hours(&self, from: Timestamp, now: Timestamp) -> Result<Hours, Fault> {
        let clock = ServerClock::default();
        let client = client(self.account.config().await?, self.metered.region(), Some(clock.clone()));
        let request = client.get_metric_data().metric_data_queries(self.metered.query());
        // The hour that has begun is asked for too.
        let until = now.checked_add(HOUR).unwrap_or(now);
        let request = request.start_time(DateTime::from_secs(from.as_second())).end_time(DateTime::from_secs(until.as_second()));
        let mut pages = Pages::default();
        loop {
            let page = request.clone().set_next_token(pages.next.clone()).send().await.map_err(Fault::of)?;
            if pages.add(&page)? == Then::Done {
                return Ok(Hours { hours: pages.hours.into_iter().collect(), complete: pages.complete, server_time: clock.time() });
            }
        }
    }
}

#[async_trait]
impl Meter for CloudWatchMeter {
    async fn read(&self, from: Timestamp, now: Timestamp) -> Result<Reading, SourceError> {
        let hours = self.hours(from, now).await;
        hours.map(Reading::Hours).map_err(|fault| fault.of_call(Call::GetMetricData, &self.metered.to_string()).into())
    }
}

impl Metered {
    fn region(&self) -> &str {
        match self {
            Self::Distribution { .. } => FIRST_REGION,
            Self::Bucket { region, .. } => region,
        }
    }

    fn query(&self) -> MetricDataQuery {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let metric = Metric::builder().metric_name("BytesDownloaded");
        let metric = match self {
            Self::Distribution { id } => {
                metric.namespace("AWS/CloudFront").dimensions(dimension("DistributionId", id)).dimensions(dimension("Region", "Global"))
            }
            Self::Bucket { name, filter_id, .. } => {
                metric.namespace("AWS/S3").dimensions(dimension("BucketName", name)).dimensions(dimension("FilterId", filter_id))
            }
        };
        let hour = i32::try_from(HOUR.as_secs()).expect("an hour is few seconds");
        let stat = MetricStat::builder().metric(metric.build()).period(hour).stat("Sum").build();
        MetricDataQuery::builder().id(ID).metric_stat(stat).return_data(true).build()
    }
}

impl std::fmt::Display for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Distribution { id } => write!(f, "of distribution {id}"),
            Self::Bucket { name, region, filter_id } => write!(f, "of bucket {name} with filter {filter_id} in {region}"),
        }
    }
}

fn client(config: &SdkConfig, region: &str, clock: Option<ServerClock>) -> Client {
    let mut config = aws_sdk_cloudwatch::config::Builder::from(config).region(Region::new(region.to_owned()));
    if let Some(clock) = clock {
        config = config.interceptor(clock);
    }
    Client::from_conf(config.build())
}

/// What has come of an answer so far.
#[derive(Debug, Default)]
struct Pages {
    /// Bytes of each hour, by when it began; an hour that comes twice counts once.
    hours: BTreeMap<Timestamp, u64>,
    complete: bool,
    next: Option<String>,
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    More,
    Done,
}

impl Pages {
    /// Adds a page. Whether the answer is complete is what the last page says; an answer without end is cut off, and is not.
    fn add(&mut self, page: &GetMetricDataOutput) -> Result<Then, Fault> {
        self.count += 1;
        for result in page.metric_data_results().iter().filter(|result| result.id() == Some(ID)) {
            match result.status_code() {
                Some(StatusCode::Forbidden) => return Err(Fault::new(AwsErrorKind::Denied, "this user may not see that metric")),
                status => self.complete = status == Some(&StatusCode::Complete),
            }
            for (start, bytes) in result.timestamps().iter().zip(result.values()) {
                let start = Timestamp::from_second(start.secs()).map_err(|_| strange("a time that is none"))?;
                let hour = self.hours.entry(start).or_default();
                *hour = (*hour).max(whole(*bytes)?);
            }
        }
        let next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() {
            return Ok(Then::Done);
        }
        // A server that gives the same page again and again is not waited for.
        if next == self.next || self.count >= MOST_PAGES {
            self.complete = false;
            return Ok(Then::Done);
        }
        self.next = next;
        Ok(Then::More)
    }
}

fn whole(bytes: f64) -> Result<u64, Fault> {
    if (0.0..=MAX_HOUR_BYTES).contains(&bytes) { Ok(bytes.round() as u64) } else { Err(strange("a number of bytes that cannot be")) }
}

fn strange(what: &str) -> Fault {
    Fault::new(AwsErrorKind::BadAnswer, format!("the answer has {what}"))
}

/// What time it is, as the server has it; and a bound on what it sends.
#[derive(Clone, Debug, Default)]
struct ServerClock(Arc<Mutex<Option<Timestamp>>>);

impl ServerClock {
    fn time(&self) -> Option<Timestamp> {
        *self.0.lock().expect("no holder of this lock panics")
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().take_body();
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_PAGE_BYTES));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let told = context.response().headers().get("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let told = told.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).and_then(of_epoch);
        if told.is_some() {
            *self.0.lock().expect("no holder of this lock panics") = told;
        }
        Ok(())
    }
}

fn of_epoch(since: Duration) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok()
}

/// Metrics of our own, for alarms: `MonthToDateBytes` and `TerabytesCrossed` of each store.
#[derive(Debug)]
pub struct CloudWatchBoard {
    account: Arc<Account>,
}

impl CloudWatchBoard {
    /// Nothing is put yet. They go to the region of the environment or profile, else to us-east-1.
    #[must_use]
    pub fn new(account: Arc<Account>) -> Self {
        Self { account }
    }

    async fn try_put(&self, values: &[(StoreName, u64, u64)]) -> Result<(), Fault> {
        let config = self.account.config().await?;
        let region = config.region().map_or_else(|| FIRST_REGION.to_owned(), ToString::to_string);
        let data = values.iter().flat_map(|(store, month_bytes, crossed)| {
            [("MonthToDateBytes", *month_bytes, StandardUnit::Bytes), ("TerabytesCrossed", *crossed, StandardUnit::Count)]
                .map(|(name, value, unit)| datum(store, name, value, unit))
        });
        let put = client(config, &region, None).put_metric_data().namespace(NAMESPACE).set_metric_data(Some(data.collect()));
        put.send().await.map(drop).map_err(Fault::of)
    }
}

fn datum(store: &StoreName, name: &str, value: u64, unit: StandardUnit) -> MetricDatum {
    let dimension = Dimension::builder().name("Store").value(store.as_str()).build();
    MetricDatum::builder().metric_name(name).dimensions(dimension).value(value as f64).unit(unit).build()
}

#[async_trait]
impl Board for CloudWatchBoard {
    async fn put(&self, values: &[(StoreName, u64, u64)]) -> Result<(), AwsError> {
        if values.is_empty() {
            return Ok(());
        }
        self.try_put(values).await.map_err(|fault| fault.of_call(Call::PutMetricData, &format!("in namespace {NAMESPACE}")))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::MetricDataResult;

    use super::*;

    fn page(status: StatusCode, hours: &[(i64, f64)], next: Option<&str>) -> GetMetricDataOutput {
        let mut result = MetricDataResult::builder().id(ID).status_code(status);
        for (start, bytes) in hours {
            result = result.timestamps(DateTime::from_secs(*start)).values(*bytes);
        }
        GetMetricDataOutput::builder().metric_data_results(result.build()).set_next_token(next.map(str::to_owned)).build()
    }

    fn hours(pages: &Pages) -> Vec<(i64, u64)> {
        pages.hours.iter().map(|(start, bytes)| (start.as_second(), *bytes)).collect()
    }

    #[test]
    fn pages_are_put_together_and_the_last_one_says_whether_that_is_all() {
        for (last, complete) in [(StatusCode::Complete, true), (StatusCode::PartialData, false), (StatusCode::InternalError, false)] {
            let mut pages = Pages::default();
            assert_eq!(pages.add(&page(StatusCode::PartialData, &[(0, 1.0), (3600, 2.0)], Some("a"))).unwrap(), Then::More);
            assert_eq!(pages.next.as_deref(), Some("a"));
            assert_eq!(pages.add(&page(last, &[(3600, 2.0), (7200, 4.0)], None)).unwrap(), Then::Done);
            assert_eq!((hours(&pages), pages.complete), (vec![(0, 1), (3600, 2), (7200, 4)], complete));
        }
    }

    #[test]
    fn an_answer_without_end_is_cut_off_and_is_not_complete() {
        let mut pages = Pages::default();
        let again = page(StatusCode::Complete, &[(0, 1.0)], Some("a"));
        assert_eq!((pages.add(&again).unwrap(), pages.add(&again).unwrap()), (Then::More, Then::Done));
        assert!(!pages.complete);
        let mut pages = Pages::default();
        let ends = (0..).find(|n| pages.add(&page(StatusCode::Complete, &[], Some(&n.to_string()))).unwrap() == Then::Done);
        assert_eq!((ends, pages.complete), (Some(MOST_PAGES - 1), false));
    }

    #[test]
    fn what_is_not_there_is_not_complete_and_what_cannot_be_is_refused() {
        let mut pages = Pages::default();
        assert_eq!(pages.add(&GetMetricDataOutput::builder().build()).unwrap(), Then::Done);
        assert!(!pages.complete);
        for bytes in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            let fault = Pages::default().add(&page(StatusCode::Complete, &[(0, bytes)], None)).unwrap_err();
            assert_eq!(fault.kind, AwsErrorKind::BadAnswer, "{bytes}");
        }
        assert_eq!(Pages::default().add(&page(StatusCode::Complete, &[(i64::MAX, 1.0)], None)).unwrap_err().kind, AwsErrorKind::BadAnswer);
        assert_eq!(Pages::default().add(&page(StatusCode::Forbidden, &[], None)).unwrap_err().kind, AwsErrorKind::Denied);
    }
}

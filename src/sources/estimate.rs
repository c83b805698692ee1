//! What a run could cost, before it costs anything. Pure.

use std::fmt;

use serde::Serialize;

use super::{Form, PriceTable, ReadFrom, usd};
use crate::{store::Charge, types::ByteSize};

/// What is to be fetched at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// As frames, bytes.
    pub frame_bytes: u64,
    /// As it is, bytes.
    pub raw_bytes: u64,
    /// Lists, bytes.
    pub list_bytes: u64,
    /// Chunks and lists.
    pub objects: u64,
}

/// What a source could cost if it had to deliver everything alone. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// The source.
    pub source: String,
    /// Where its bucket is.
    pub region: String,
    /// Bytes at most.
    pub bytes: u64,
    /// Requests at most, when none fails.
    pub requests: u64,
    /// To a machine on the internet, millionths of a US dollar.
    pub internet_micro_usd: u64,
    /// To a machine of AWS in the bucket's region, millionths of a US dollar.
    pub same_region_micro_usd: u64,
    /// The day of the prices.
    pub prices_of: String,
}

impl Estimate {
    /// `None` for a source that costs nothing.
    #[must_use]
    pub fn of(source: &str, charge: &Charge, form: Form, work: &Work, table: &PriceTable) -> Option<Self> {
        let Charge::RequesterPays { region } = charge else { return None };
        let chunk_bytes = if form == Form::Raw { work.raw_bytes } else { work.frame_bytes };
        let (bytes, requests) = (chunk_bytes + work.list_bytes, work.objects);
        let micro_usd = |from| table.of_region(region).to_read(from).micro_usd(bytes, requests);
        Some(Self {
            source: source.to_owned(),
            region: region.clone(),
            bytes,
            requests,
            internet_micro_usd: micro_usd(ReadFrom::Internet),
            same_region_micro_usd: micro_usd(ReadFrom::SameRegion),
            prices_of: table.of_region(region).checked.clone(),
        })
    }

    /// The price that counts.
    #[must_use]
    pub fn micro_usd(&self, from: ReadFrom) -> u64 {
        if from == ReadFrom::SameRegion { self.same_region_micro_usd } else { self.internet_micro_usd }
    }
}

/// One line for people.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, region, bytes, requests, internet_micro_usd, same_region_micro_usd, prices_of } = self;
        let region = if region.is_empty() { "its region" } else { region };
        let (internet, within) = (usd(*internet_micro_usd), usd(*same_region_micro_usd));
        let bytes = ByteSize(*bytes);
        write!(
            f,
            "{source}: at most {bytes} in {requests} requests: up to {internet} to the internet, {within} within {region} (prices of {prices_of})"
        )
    }
}

/// What may be spent by somebody who agreed to the estimates: the dearest, since each source could have to deliver all of it, and a tenth
/// more for what has to be asked for again.
#[must_use]
pub fn cap_of(estimates: &[Estimate], from: ReadFrom) -> u64 {
    let dearest = estimates.iter().map(|estimate| estimate.micro_usd(from)).max().unwrap_or(0);
    dearest.saturating_add(dearest.div_ceil(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(region: &str, form: Form) -> Estimate {
        let work = Work { frame_bytes: 1_000_000_000, raw_bytes: 2_000_000_000, list_bytes: 1_000_000, objects: 10_000 };
        let charge = Charge::RequesterPays { region: region.to_owned() };
        Estimate::of("s3://b", &charge, form, &work, PriceTable::builtin()).unwrap()
    }

    // AW-02
    #[test]
    fn bytes_and_requests_have_their_price() {
        let raw = estimate("us-east-1", Form::Raw);
        assert_eq!((raw.bytes, raw.requests), (2_001_000_000, 10_000));
        // 2.001 GB at 9 cents, and 10,000 requests at 0.04 cents a thousand.
        assert_eq!((raw.internet_micro_usd, raw.same_region_micro_usd), (180_090 + 4_000, 4_000));
        assert!(estimate("us-east-1", Form::Framed).internet_micro_usd < raw.internet_micro_usd);
        assert!(estimate("nowhere-1", Form::Raw).internet_micro_usd > raw.internet_micro_usd);
        assert_eq!(Estimate::of("a", &Charge::Free, Form::Raw, &Work::default(), PriceTable::builtin()), None);
    }

    #[test]
    fn who_agrees_to_the_estimates_agrees_to_a_tenth_more_than_the_dearest() {
        let both = [estimate("us-east-1", Form::Raw), estimate("us-east-1", Form::Framed)];
        assert_eq!(cap_of(&both, ReadFrom::Internet), 184_090 + 18_409);
        assert_eq!(cap_of(&both, ReadFrom::SameRegion), 4_400);
        assert_eq!(cap_of(&[], ReadFrom::Internet), 0);
    }
}

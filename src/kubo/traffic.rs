//! How much a node has sent to other nodes.

use http_body_util::{BodyExt, Limited};
use reqwest::Body;
use serde::Deserialize;

use super::{
    Error, ErrorKind, Kubo,
    call::{Call, PATIENCE},
    error::Fault,
};
use crate::types::Timestamp;

/// The longest text of metrics. A node with every metric switched on writes a tenth of it.
const MAX_METRICS_BYTES: usize = 8 << 20;
/// How often a node may be started while it is asked.
const ATTEMPTS: usize = 3;
/// The metric that tells when the node was started.
const START: &str = "process_start_time_seconds ";

/// What a node has sent since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes, to all nodes and by all protocols.
    pub bytes: u64,
    /// When it was started, where it says so.
    pub since: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Bandwidth {
    total_out: u64,
}

impl Kubo {
    /// How much the node has sent to other nodes since it was started. Its gateway is not counted.
    ///
    /// # Errors
    /// [`super::ErrorKind::Refused`] when the node is offline, or does not count; those of [`Kubo::check`].
    pub async fn sent(&self) -> Result<Sent, Error> {
        let mut since = self.started().await;
        for _ in 0..ATTEMPTS {
            let told: Bandwidth = self.ask_one(Call::new("stats/bw", "stats bw")).await?;
            let after = self.started().await;
            if after == since {
                return Ok(Sent { bytes: told.total_out, since });
            }
            // It was started in between: whose count that was nobody knows.
            since = after;
        }
        Err(self.error("stats bw", Fault::new(ErrorKind::Interrupted, "the node is started again and again")))
    }

    /// When the node was started. Only its metrics tell, which something before it may keep back.
    async fn started(&self) -> Option<Timestamp> {
        tokio::time::timeout(PATIENCE, self.read_start()).await.ok().flatten()
    }

    async fn read_start(&self) -> Option<Timestamp> {
        let response = self.client.get(self.url.metrics()).send().await.ok()?.error_for_status().ok()?;
        let body = Limited::new(http::Response::<Body>::from(response).into_body(), MAX_METRICS_BYTES);
        let text = body.collect().await.ok()?.to_bytes();
        started_in(&String::from_utf8_lossy(&text))
    }
}

fn started_in(metrics: &str) -> Option<Timestamp> {
    let seconds: f64 = metrics.lines().find_map(|line| line.strip_prefix(START))?.trim().parse().ok()?;
    let seconds = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_second(seconds.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_among_the_metrics() {
        let text = "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.79533427118e+09\nx 1\n";
        assert_eq!(started_in(text).unwrap().to_string(), "2026-11-22T07:57:51Z");
        for text in ["", "process_start_time_seconds x", "process_start_time_seconds 1e300", "process_start_time_seconds NaN"] {
            assert_eq!(started_in(text), None, "{text}");
        }
    }
}

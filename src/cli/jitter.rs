//! `--jitter`: a start put off by chance, so that a thousand machines do not come at the same second.

use std::time::Duration;

use super::{Code, exit::Failure};
use crate::progress::Stop;

/// Sleeps for less than `most`, however long chance says.
///
/// # Errors
/// When asked to stop meanwhile.
pub(super) async fn wait(most: Duration, stop: &Stop) -> Result<(), Failure> {
    let drawn = getrandom::u32().map_err(|e| Failure::from_error(Code::Error, &e).context("the system gives no random numbers"))?;
    let part = most.mul_f64(f64::from(drawn) / f64::from(u32::MAX));
    tokio::select! {
        () = tokio::time::sleep(part) => Ok(()),
        () = stop.wait() => Err(Failure::new(Code::Interrupted, "stopped before it began")),
    }
}

//! Reads a body, not trusting its length and not waiting for ever.

use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::{Fault, Timeouts, status};
use crate::store::ErrorKind;

/// Reads the whole body into `into`, which is empty.
pub(super) async fn read(mut response: Response, timeouts: &Timeouts, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    // A server that announces too much is not even read from; one that announces anything else is not believed.
    if let Some(announced) = response.content_length().filter(|announced| *announced > max_bytes) {
        return Err(too_large(format!("{announced} bytes are announced, at most {max_bytes} expected")));
    }
    let mut pace = Pace::new(timeouts);
    while let Some(bytes) = pace.next_chunk(&mut response).await? {
        if into.len() as u64 + bytes.len() as u64 > max_bytes {
            return Err(too_large(format!("more than the {max_bytes} bytes expected arrive")));
        }
        into.extend_from_slice(&bytes);
    }
    if into.is_empty() {
        return Err(Fault::new(ErrorKind::BadAnswer, "the answer is empty"));
    }
    Ok(())
}

fn too_large(reason: String) -> Fault {
    Fault::new(ErrorKind::TooLarge, reason)
}

/// Watches that enough arrives in every window of time.
struct Pace<'a> {
    timeouts: &'a Timeouts,
    window_end: Instant,
    window_bytes: u64,
}

impl<'a> Pace<'a> {
    fn new(timeouts: &'a Timeouts) -> Self {
        Self { timeouts, window_end: Instant::now() + timeouts.rate_window, window_bytes: 0 }
    }

    /// The next piece of the body; `None` at its end.
    async fn next_chunk(&mut self, response: &mut Response) -> Result<Option<bytes::Bytes>, Fault> {
        loop {
            match timeout_at(self.window_end, response.chunk()).await {
                Ok(Ok(chunk)) => {
                    self.window_bytes += chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    return Ok(chunk);
                }
                Ok(Err(error)) => return Err(status::of_broken_body(error)),
                Err(_) => self.next_window()?,
            }
        }
    }

    fn next_window(&mut self) -> Result<(), Fault> {
        let (window, least) = (self.timeouts.rate_window, self.timeouts.rate_window_bytes);
        if self.window_bytes < least {
            let reason = format!("too slow: {} bytes in {} s, at least {least} expected", self.window_bytes, window.as_secs_f32());
            return Err(Fault::new(ErrorKind::TooSlow, reason));
        }
        self.window_bytes = 0;
        self.window_end = Instant::now() + window;
        Ok(())
    }
}

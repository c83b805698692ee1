//! How long a server may take, and how long it may ask to be left alone: the same for every store behind a network.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout_at};

use super::retry::LONGEST_RETRY_AFTER;

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, with the TLS handshake.
    pub connect: Duration,
    /// From the connection to the end of the answer's headers, with all redirects.
    pub first_byte: Duration,
    /// The length of the windows in which the rate of a body is measured.
    pub rate_window: Duration,
    /// The fewest bytes of a body that must arrive in each such window.
    pub rate_window_bytes: u64,
}

impl Default for Timeouts {
    /// 5 s, 15 s, and 16 KiB/s over 30 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(15),
            rate_window: Duration::from_secs(30),
            rate_window_bytes: 30 * 16 * 1024,
        }
    }
}

impl Timeouts {
    /// For a server that nobody else can replace: a body may be as slow as it likes while anything arrives in twice the usual window.
    pub(super) fn patient(self) -> Self {
        Self { rate_window: self.rate_window * 2, rate_window_bytes: 1, ..self }
    }

    /// How long to wait for the headers of an answer to a request with a body of `sent_bytes`.
    pub(super) fn answer(&self, sent_bytes: u64) -> Duration {
        let windows = sent_bytes.div_ceil(self.rate_window_bytes.max(1));
        self.connect + self.first_byte + self.rate_window * u32::try_from(windows).unwrap_or(u32::MAX)
    }
}

/// Watches that enough of a body arrives in every window of time.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    timeouts: &'a Timeouts,
    window_end: Instant,
    window_bytes: u64,
}

/// Why a body is not waited for any longer, in words.
#[derive(Debug)]
pub(super) struct TooSlow(pub(super) String);

impl<'a> Pace<'a> {
    pub(super) fn new(timeouts: &'a Timeouts) -> Self {
        Self { timeouts, window_end: Instant::now() + timeouts.rate_window, window_bytes: 0 }
    }

    /// Waits for the next piece of the body as long as the pieces before it came fast enough.
    pub(super) async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Result<T, TooSlow> {
        let mut next = pin!(next);
        loop {
            match timeout_at(self.window_end, &mut next).await {
                Ok(piece) => return Ok(piece),
                Err(_) => self.next_window()?,
            }
        }
    }

    /// Counts a piece that arrived.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.window_bytes += bytes as u64;
    }

    fn next_window(&mut self) -> Result<(), TooSlow> {
        let (window, least) = (self.timeouts.rate_window, self.timeouts.rate_window_bytes);
        if self.window_bytes < least {
            return Err(TooSlow(format!("too slow: {} bytes in {} s, at least {least} expected", self.window_bytes, window.as_secs_f32())));
        }
        self.window_bytes = 0;
        self.window_end = Instant::now() + window;
        Ok(())
    }
}

/// What a `Retry-After` header asks for in either of its forms, seconds or a date, cut to a minute (RFC 9110 10.2.3).
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str) -> Option<Duration> {
        retry_after(text, httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap())
    }

    // NW-04
    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_minute() {
        assert_eq!(asks("7"), Some(Duration::from_secs(7)));
        assert_eq!(asks("Sun, 06 Nov 1994 08:49:57 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(asks("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asks("86400"), Some(Duration::from_secs(60)));
        assert_eq!(asks("Tue, 06 Nov 2001 08:49:57 GMT"), Some(Duration::from_secs(60)));
        for nonsense in ["", "soon", "-1", "99999999999999999999999"] {
            assert_eq!(asks(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_long_body_may_take_longer_to_send_than_a_short_one() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.answer(0), Duration::from_secs(20));
        assert_eq!(timeouts.answer(1), Duration::from_secs(50));
        assert_eq!(timeouts.answer(16 << 20), Duration::from_secs(20 + 35 * 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_slowly_enough_is_given_up() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(&timeouts);
        let piece = async |after: u64| tokio::time::sleep(Duration::from_secs(after)).await;
        pace.arrived(30 * 16 * 1024);
        pace.wait(piece(45)).await.unwrap();
        assert!(pace.wait(piece(20)).await.unwrap_err().0.contains("0 bytes in 30 s"));
    }
}

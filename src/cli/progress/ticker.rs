//! Calls something again and again until it is stopped.

use std::{
    sync::{
        Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A thread that ticks. Ends when stopped or dropped.
#[derive(Debug)]
pub(super) struct Ticker(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

impl Ticker {
    /// Calls `tick` every `period`. Without a thread to be had nothing ticks: progress is no reason to fail.
    pub(super) fn every(period: Duration, mut tick: impl FnMut() + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let work = move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                tick();
            }
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(work);
        Self(Mutex::new(thread.ok().map(|thread| (stop, thread))))
    }

    /// Returns when no tick runs and none will.
    pub(super) fn stop(&self) {
        let Some((stop, thread)) = self.0.lock().ok().and_then(|mut running| running.take()) else { return };
        drop(stop);
        let _a_tick_that_panicked_ends_ticking_only = thread.join();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn ticks_until_it_is_stopped() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let ticker = Ticker::every(Duration::from_millis(1), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        while count.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        ticker.stop();
        let at_stop = count.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(count.load(Ordering::Relaxed), at_stop);
    }
}

//! A request to stop early, as a signal handler makes it.

use std::sync::Arc;

use tokio::sync::watch;

/// Shared between whoever asks a run to stop and the run itself. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks the run to stop at its next safe point.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when somebody asks.
    pub async fn wait(&self) {
        let mut receiver = self.0.subscribe();
        receiver.wait_for(|asked| *asked).await.expect("the sender lives as long as self");
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

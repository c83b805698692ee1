//! One question to one source, and to a second one when the first does not answer.

use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::SemaphorePermit;

use super::{Attempts, Origin, Sources, Want, plan};
use crate::{progress::Event, store};

/// Second requests at a time: a source that falls silent holds up many requests at once, but each body takes memory.
pub(super) const HEDGES: usize = 2;

impl Sources {
    /// Asks the source `index`, and another one too when it takes much longer than usual. The first body counts.
    pub(super) async fn try_one(&self, index: usize, want: &Want, attempts: &mut Attempts, body: &mut Vec<u8>) -> Option<Origin> {
        attempts.asked(index);
        let mut first = Box::pin(self.ask(index, want, body));
        let hurry = Box::pin(self.leave_to_hedge());
        let permit = match select(first.as_mut(), hurry).await {
            Either::Left((answer, _)) => return self.settle(index, answer, attempts),
            Either::Right((permit, _)) => permit,
        };
        let Some(other) = plan::choose_second(self.candidates(attempts)) else {
            drop(permit);
            let answer = first.await;
            return self.settle(index, answer, attempts);
        };
        attempts.asked(other);
        let mut spare = Vec::new();
        let second = Box::pin(self.ask(other, want, &mut spare));
        let (origin, other_first) = match select(first, second).await {
            Either::Left((Ok(origin), _)) => (Some(origin), false),
            Either::Right((Ok(origin), _)) => {
                self.stalled(index);
                (Some(origin), true)
            }
            Either::Left((failed, second)) => {
                self.settle(index, failed, attempts);
                let answer = second.await;
                (self.settle(other, answer, attempts), true)
            }
            Either::Right((failed, first)) => {
                self.settle(other, failed, attempts);
                let answer = first.await;
                (self.settle(index, answer, attempts), false)
            }
        };
        drop(permit);
        if other_first && origin.is_some() {
            std::mem::swap(body, &mut spare);
        }
        origin
    }

    /// Returns when a request that is still under way may be made a second time.
    async fn leave_to_hedge(&self) -> SemaphorePermit<'_> {
        tokio::time::sleep(plan::hedge_after(self.usual_duration())).await;
        self.hedges.acquire().await.expect("this semaphore is never closed")
    }

    async fn ask(&self, index: usize, want: &Want, body: &mut Vec<u8>) -> Result<Origin, store::Error> {
        let source = &self.sources[index];
        let object = want.object(source.form());
        let took = source.get(&object.key, object.max_bytes, body).await?;
        self.delivered(took);
        self.progress.event(Event::Fetched { source: source.name().to_owned(), bytes: body.len() as u64 });
        Ok(Origin { source: index, form: source.form() })
    }

    /// A source that another one overtook after such a wait is left alone for a while, like one that failed.
    fn stalled(&self, index: usize) {
        let reason = "no answer yet when another source had delivered what both were asked for";
        self.sources[index].stalled(reason);
        self.report_failure(&self.sources[index], reason);
    }

    fn settle(&self, index: usize, answer: Result<Origin, store::Error>, attempts: &mut Attempts) -> Option<Origin> {
        answer.map_err(|error| self.failed(index, &error, attempts)).ok()
    }

    /// Notes that a body arrived, and how long that took.
    fn delivered(&self, took: Duration) {
        let mut deliveries = self.deliveries.lock().expect("no holder of this lock panics");
        deliveries.last = tokio::time::Instant::now();
        deliveries.usual = Some(plan::usual_duration(deliveries.usual, took));
    }

    fn usual_duration(&self) -> Option<Duration> {
        self.deliveries.lock().expect("no holder of this lock panics").usual
    }
}

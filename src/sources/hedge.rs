//! One question to one source, and to others when that one does not answer.

use std::time::Duration;

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use tokio::{sync::SemaphorePermit, time::Instant};

use super::{Attempts, Origin, Sources, Want, plan};
use crate::{progress::Event, store};

/// Objects at a time that more than one source is asked for: a source that falls silent holds up many requests at once, but each body takes
/// memory.
pub(super) const HEDGES: usize = 2;

/// What a source answered, and the buffer that it was given.
struct Answered {
    source: usize,
    answer: Result<Origin, store::Error>,
    body: Vec<u8>,
}

impl Sources {
    /// Asks the source `index`, and others too for as long as no answer comes much longer than usual. The first body counts.
    ///
    /// No answer is waited for without an end: a disk that hangs never fails. When nothing came since `begun` for as long as the settings
    /// allow, and the body could not be on its way any more, that is a failure of all that were asked.
    pub(super) async fn try_one(
        &self,
        index: usize,
        want: &Want,
        attempts: &mut Attempts,
        begun: Instant,
        body: &mut Vec<u8>,
    ) -> Option<Origin> {
        let (mut racing, mut racers, mut permit, mut looks) = (FuturesUnordered::new(), vec![index], None, 0_u32);
        attempts.asked(index);
        racing.push(self.ask(index, want, std::mem::take(body)));
        let asked = Instant::now();
        loop {
            let hurry = Box::pin(self.leave_to_hedge(looks > 0 && racers.len() == 1, permit.is_none()));
            match select(racing.next(), hurry).await {
                Either::Left((answered, _)) => {
                    let Answered { source, answer, body: returned } = answered.expect("one source at least is being asked");
                    racers.retain(|racer| *racer != source);
                    let origin = answer.map_err(|error| self.failed(source, &error, attempts)).ok();
                    if origin.is_some() && racers.contains(&index) {
                        self.stalled(index, "no answer yet when another source had delivered what both were asked for");
                    }
                    if origin.is_some() || racers.is_empty() {
                        *body = returned;
                        return origin;
                    }
                }
                Either::Right((granted, _)) => {
                    permit = permit.or(granted);
                    match self.next_racer(looks, &racers, attempts).filter(|_| permit.is_some()) {
                        Some(other) => {
                            attempts.asked(other);
                            racers.push(other);
                            racing.push(self.ask(other, want, Vec::new()));
                        }
                        None if self.is_silent_since(begun.max(asked), want) => {
                            racers.iter().for_each(|racer| self.stalled(*racer, "no answer at all"));
                            return None;
                        }
                        None => {}
                    }
                    looks += 1;
                }
            }
            if racers.len() == 1 {
                permit = None;
            }
        }
    }

    /// Returns when it is time to look for another source, with leave to ask it if that `is_needed` and can be had.
    async fn leave_to_hedge(&self, again: bool, is_needed: bool) -> Option<SemaphorePermit<'_>> {
        let pause = if again { plan::LOOK_AGAIN } else { plan::hedge_after(self.usual_duration()) };
        tokio::time::sleep(pause).await;
        if !is_needed {
            return None;
        }
        let permit = tokio::time::timeout(plan::LOOK_AGAIN, self.hedges.acquire()).await.ok()?;
        Some(permit.expect("this semaphore is never closed"))
    }

    /// The source to ask beside those that do not answer. Who could not be asked at the first look, or failed since, may be well again later.
    fn next_racer(&self, looks: u32, racers: &[usize], attempts: &mut Attempts) -> Option<usize> {
        if looks == 0 {
            return plan::choose_second(self.candidates(attempts));
        }
        attempts.allow_again_all_but(racers);
        plan::choose_second(self.candidates(attempts)).or_else(|| plan::choose_again(self.candidates(attempts)))
    }

    /// Whether nothing was delivered since `begun` for so long that no body can be on its way any more.
    fn is_silent_since(&self, begun: Instant, want: &Want) -> bool {
        let largest = want.framed.max_bytes.max(want.raw.max_bytes);
        self.silent_for(begun) >= self.settings.max_wait + plan::longest_body(largest)
    }

    async fn ask(&self, index: usize, want: &Want, mut body: Vec<u8>) -> Answered {
        let source = &self.sources[index];
        let object = want.object(source.form());
        let answer = source.get(&object.key, object.max_bytes, &mut body).await.map(|took| {
            self.delivered(took);
            self.progress.event(Event::Fetched { source: source.name().to_owned(), bytes: body.len() as u64 });
            Origin { source: index, form: source.form() }
        });
        Answered { source: index, answer, body }
    }

    /// A source that another one overtook after such a wait, or that never answered, is left alone for a while, like one that failed.
    fn stalled(&self, index: usize, reason: &str) {
        self.sources[index].stalled(reason);
        self.report_failure(&self.sources[index], reason);
    }

    /// Notes that a body arrived, and how long that took.
    fn delivered(&self, took: Duration) {
        let mut deliveries = self.deliveries.lock().expect("no holder of this lock panics");
        deliveries.last = Some(Instant::now());
        deliveries.usual = Some(plan::usual_duration(deliveries.usual, took));
    }

    /// How long nothing was delivered to somebody who has waited since `begun`.
    pub(super) fn silent_for(&self, begun: Instant) -> Duration {
        let last = self.deliveries.lock().expect("no holder of this lock panics").last;
        last.map_or(begun, |last| last.max(begun)).elapsed()
    }

    fn usual_duration(&self) -> Option<Duration> {
        self.deliveries.lock().expect("no holder of this lock panics").usual
    }
}

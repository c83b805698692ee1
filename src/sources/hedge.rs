//! One question to one source, and to others when that one does not answer.

use std::time::Duration;

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use tokio::{sync::SemaphorePermit, time::Instant};

use super::{
    Attempts, Deliveries, Origin, Sources, Want,
    control::Trouble,
    desk::{End, MayAsk},
    plan,
    turn::Slot,
};
use crate::{
    progress::Event,
    store::{self, ErrorKind},
};

/// How often it is looked at the end of a run whether somebody idle can help.
const LOOK_FOR_HELP: Duration = Duration::from_millis(100);

/// What a source answered, and the buffer that it was given.
struct Answered {
    source: usize,
    answer: Result<Origin, store::Error>,
    body: Vec<u8>,
}

/// Why somebody else is asked too.
enum Hurry<'a> {
    /// No answer came for far longer than usual. At most as many as have such a permit ask others.
    Late(Option<SemaphorePermit<'a>>),
    /// It is one of the last bodies, and this source is idle.
    Ending(usize),
}

/// Those who are asked for one object.
struct Race<'a> {
    want: &'a Want,
    /// Who was asked first.
    first: usize,
    racers: Vec<usize>,
    asked: Instant,
    /// How often it was looked for somebody to ask too.
    looks: u32,
    permit: Option<SemaphorePermit<'a>>,
    /// Whether somebody was asked because the first one was late.
    is_late: bool,
}

/// What [`Sources::hurry`] goes by.
#[derive(Clone, Copy)]
struct Pause {
    asked: Instant,
    is_one_alone: bool,
    is_first: bool,
    needs_permit: bool,
}

impl Race<'_> {
    fn is_one_alone(&self) -> bool {
        self.racers.len() == 1
    }

    fn pause(&self) -> Pause {
        Pause { asked: self.asked, is_one_alone: self.is_one_alone(), is_first: self.looks == 0, needs_permit: self.permit.is_none() }
    }
}

impl Sources {
    /// Asks the source of this slot, and others too for as long as no answer comes much longer than usual. The first body counts.
    ///
    /// No answer is waited for without an end: a disk that hangs never fails. When nothing came since `begun` for as long as the settings
    /// allow, and the body could not be on its way any more, that is a failure of all that were asked. So it is, without waiting for more
    /// than the body could take, where somebody is left who may be paid for it: nobody pays for asking beside another.
    pub(super) async fn try_one(
        &self,
        slot: Slot,
        want: &Want,
        attempts: &mut Attempts,
        begun: Instant,
        body: &mut Vec<u8>,
    ) -> Option<Origin> {
        let first = slot.source();
        let mut race = Race { want, first, racers: vec![first], asked: Instant::now(), looks: 0, permit: None, is_late: false };
        let mut racing = FuturesUnordered::new();
        attempts.asked(first);
        racing.push(self.ask(slot, want, std::mem::take(body)));
        loop {
            let hurry = Box::pin(self.hurry(race.pause(), self.may_ask(want, attempts)));
            match select(racing.next(), hurry).await {
                Either::Left((answered, _)) => {
                    let Answered { source, answer, body: returned } = answered.expect("one source at least is being asked");
                    race.racers.retain(|racer| *racer != source);
                    let origin = answer.map_err(|error| self.failed(source, &error, attempts)).ok();
                    if origin.is_some() && race.is_late && race.racers.contains(&race.first) {
                        self.stalled(race.first, "no answer yet when another source had delivered what both were asked for");
                    }
                    if origin.is_some() || race.racers.is_empty() {
                        *body = returned;
                        return origin;
                    }
                    self.give_back(returned);
                }
                Either::Right((hurry, _)) => match self.next_racer(hurry, &mut race, attempts) {
                    Some(other) => {
                        attempts.asked(other);
                        race.racers.push(other);
                        racing.push(self.ask(self.front.join(other), want, Vec::new()));
                    }
                    None if self.is_silent_since(begun.max(race.asked), want) || self.is_worth_paying(&race, attempts) => {
                        race.racers.iter().for_each(|racer| self.stalled(*racer, "no answer at all"));
                        return None;
                    }
                    None => {}
                },
            }
            if race.is_one_alone() {
                race.permit = None;
            }
        }
    }

    /// Returns when it is time to ask somebody else too.
    async fn hurry(&self, pause: Pause, may_ask: MayAsk) -> Hurry<'_> {
        let late = Box::pin(self.leave_to_hedge(!pause.is_first && pause.is_one_alone, pause.needs_permit));
        if !pause.is_one_alone {
            return Hurry::Late(late.await);
        }
        match select(late, Box::pin(self.helper_at_the_end(pause.asked, may_ask))).await {
            Either::Left((permit, _)) => Hurry::Late(permit),
            Either::Right((helper, _)) => Hurry::Ending(helper),
        }
    }

    /// Waits for the end of the run, and then for somebody idle who would have delivered by now.
    async fn helper_at_the_end(&self, asked: Instant, may_ask: MayAsk) -> usize {
        let mut ending = self.ending.subscribe();
        loop {
            // The sender lives as long as this engine.
            drop(ending.wait_for(|is_ending| *is_ending).await);
            if let Some(helper) = self.front.with_desk(|desk, now| desk.helper_at_the_end(now, &may_ask, asked.elapsed())) {
                return helper;
            }
            tokio::time::sleep(LOOK_FOR_HELP).await;
        }
    }

    /// Returns when it is time to look for another source, with leave to ask it if that `is_needed` and can be had.
    async fn leave_to_hedge(&self, again: bool, is_needed: bool) -> Option<SemaphorePermit<'_>> {
        let pause = if again { plan::LOOK_AGAIN } else { plan::hedge_after(self.with_deliveries().usual) };
        tokio::time::sleep(pause).await;
        if !is_needed {
            return None;
        }
        let permit = tokio::time::timeout(plan::LOOK_AGAIN, self.hedges.acquire()).await.ok()?;
        Some(permit.expect("this semaphore is never closed"))
    }

    /// The source to ask beside those that do not answer. Who could not be asked at the first look, or failed since, may be well again later.
    fn next_racer<'a>(&'a self, hurry: Hurry<'a>, race: &mut Race<'a>, attempts: &mut Attempts) -> Option<usize> {
        let granted = match hurry {
            Hurry::Ending(helper) => return Some(helper),
            Hurry::Late(granted) => granted,
        };
        race.permit = race.permit.take().or(granted);
        let is_first_look = race.looks == 0;
        race.looks += 1;
        if !is_first_look {
            attempts.allow_again_all_but(&race.racers);
        }
        let may_ask = self.may_ask(race.want, attempts);
        let found = self.front.with_desk(|desk, now| {
            let second = desk.second(now, &may_ask);
            if is_first_look { second } else { second.or_else(|| desk.again(now, &may_ask)) }
        });
        let found = found.filter(|_| race.permit.is_some());
        race.is_late |= found.is_some();
        found
    }

    /// Whether nothing was delivered since `begun` for so long that no body can be on its way any more.
    fn is_silent_since(&self, begun: Instant, want: &Want) -> bool {
        let longest = plan::longest_body(want.largest(), self.with_deliveries().is_patient);
        self.silent_for(begun) >= self.settings.max_wait + longest
    }

    /// Whether no body can be on its way any more, and somebody else may be paid for it.
    fn is_worth_paying(&self, race: &Race<'_>, attempts: &Attempts) -> bool {
        let longest = plan::longest_body(race.want.largest(), self.with_deliveries().is_patient).max(plan::LONGEST_SILENCE);
        race.asked.elapsed() >= longest && self.front.with_desk(|desk, _| desk.can_pay_one(&self.may_ask(race.want, attempts)))
    }

    async fn ask(&self, mut slot: Slot, want: &Want, mut body: Vec<u8>) -> Answered {
        let index = slot.source();
        let source = &self.sources[index];
        let mut form = source.form();
        let object = want.object(form);
        if body.capacity() == 0 {
            body = self.buffers.take();
        }
        // What is left in it from before must not be taken for what arrives, which may cost money.
        body.clear();
        slot.begin();
        let begin = Instant::now();
        let mut outcome = source.store().get_into(&object.key, object.max_bytes, &mut body).await;
        let is_absent = matches!(&outcome, Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied));
        if is_absent && want.has_forms() && source.holds_another_form(form).await {
            form = source.form();
            let object = want.object(form);
            outcome = source.store().get_into(&object.key, object.max_bytes, &mut body).await;
        }
        let arrived = body.len() as u64;
        if let Err(store::Error { kind: ErrorKind::Unavailable { retry_after: Some(pause) }, .. }) = &outcome {
            self.front.with_desk(|desk, now| desk.leave_alone(now, index, *pause));
        }
        slot.end(outcome.as_ref().map_or_else(|error| end_of(error, arrived), |()| End::Delivered(arrived)));
        self.with_pace(|pace| pace.arrived(self.front.now(), arrived));
        match &outcome {
            Ok(()) => {
                source.count_delivery(arrived);
                self.delivered(begin.elapsed());
                self.progress.event(Event::Fetched { source: source.name().to_owned(), bytes: arrived });
            }
            Err(error) => source.count_failure(error),
        }
        Answered { source: index, answer: outcome.map(|()| Origin { source: index, form }), body }
    }

    /// A source that another one overtook after such a wait, or that never answered, is left alone for a while, like one that failed.
    fn stalled(&self, index: usize, reason: &str) {
        self.sources[index].count_stall(reason);
        self.front.with_desk(|desk, now| desk.stalled(now, index));
        self.front.serve();
        self.report_failure(index, reason);
    }

    /// Notes that a body arrived, and how long that took.
    fn delivered(&self, took: Duration) {
        let mut deliveries = self.with_deliveries();
        deliveries.last = Some(Instant::now());
        deliveries.usual = Some(plan::usual_duration(deliveries.usual, took));
    }

    /// How long nothing was delivered to somebody who has waited since `begun`.
    pub(super) fn silent_for(&self, begun: Instant) -> Duration {
        let last = self.with_deliveries().last;
        last.map_or(begun, |last| last.max(begun)).elapsed()
    }

    pub(super) fn with_deliveries(&self) -> std::sync::MutexGuard<'_, Deliveries> {
        self.deliveries.lock().expect("no holder of this lock panics")
    }
}

/// What a failed request says of its source.
fn end_of(error: &store::Error, arrived: u64) -> End {
    match error.kind {
        ErrorKind::Unavailable { .. } | ErrorKind::TooSlow => End::Failed(Trouble::TooMuch, arrived),
        // Who does not believe us now may do so later, when somebody has renewed the credentials.
        ErrorKind::Interrupted | ErrorKind::Unreachable | ErrorKind::Credentials(_) | ErrorKind::NoSuchStore => {
            End::Failed(Trouble::Broken, arrived)
        }
        // It may have run out of file handles.
        ErrorKind::Io => End::Unreadable(arrived),
        ErrorKind::TooLarge | ErrorKind::BadAnswer | ErrorKind::WrongBytes => End::Unfit,
        ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Conflict | ErrorKind::NoSpace => End::Answered(arrived),
    }
}

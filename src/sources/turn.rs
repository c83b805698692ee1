//! Waiting for one's turn at the [`Desk`]: the clock and the waiting of the engine, with no decision of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::desk::{Desk, End, Entered, Grant, MayAsk};

/// How often those who wait look up although nothing happened: rests and pauses end by themselves.
const LOOK_UP: Duration = Duration::from_millis(500);

/// Where everybody comes who wants to ask a source.
#[derive(Debug)]
pub(super) struct Front {
    state: Mutex<State>,
    begin: Instant,
}

#[derive(Debug)]
struct State {
    desk: Desk,
    /// Who waits, by ticket.
    callers: HashMap<u64, oneshot::Sender<Option<Slot>>>,
}

/// Leave to make one request. It counts as in flight until it is dropped, so that a cancelled call is not counted for ever.
#[derive(Debug)]
pub(super) struct Slot {
    front: Arc<Front>,
    grant: Option<Grant>,
    source: usize,
    is_used: bool,
}

impl Front {
    pub(super) fn new(desk: Desk) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { desk, callers: HashMap::new() }), begin: Instant::now() })
    }

    /// The time since the engine was made.
    pub(super) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Lets `work` look at the desk, or tell it something.
    pub(super) fn with_desk<T>(&self, work: impl FnOnce(&mut Desk, Duration) -> T) -> T {
        let now = self.now();
        work(&mut self.state().desk, now)
    }

    /// Waits until one of these sources can be asked; `None` when nobody is left.
    pub(super) async fn turn(self: &Arc<Self>, may_ask: MayAsk) -> Option<Slot> {
        let (ticket, mut answer) = match self.enter(may_ask) {
            Ok(slot) => return slot,
            Err(waiting) => waiting,
        };
        let _leaving = Leaving { front: self, ticket };
        loop {
            match timeout(LOOK_UP, &mut answer).await {
                Ok(served) => return served.ok().flatten(),
                Err(_) => self.serve(),
            }
        }
    }

    /// Leave to ask a source beside another one.
    pub(super) fn join(self: &Arc<Self>, source: usize) -> Slot {
        let grant = self.with_desk(|desk, now| desk.join(now, source));
        self.slot(grant)
    }

    /// Serves those who can be served now.
    pub(super) fn serve(self: &Arc<Self>) {
        let now = self.now();
        let served: Vec<_> = {
            let mut state = self.state();
            let served = state.desk.serve(now);
            served.into_iter().map(|(ticket, grant)| (state.callers.remove(&ticket), grant)).collect()
        };
        for (caller, grant) in served {
            let slot = grant.map(|grant| self.slot(grant));
            // Whoever left meanwhile gives the slot back by dropping it.
            let _gone = caller.map(|caller| caller.send(slot));
        }
    }

    fn enter(self: &Arc<Self>, may_ask: MayAsk) -> Result<Option<Slot>, (u64, oneshot::Receiver<Option<Slot>>)> {
        let now = self.now();
        let mut state = self.state();
        match state.desk.enter(now, may_ask) {
            Entered::Served(grant) => Ok(Some(self.slot(grant))),
            Entered::Nobody => Ok(None),
            Entered::Waits(ticket) => {
                let (caller, answer) = oneshot::channel();
                state.callers.insert(ticket, caller);
                Err((ticket, answer))
            }
        }
    }

    fn slot(self: &Arc<Self>, grant: Grant) -> Slot {
        Slot { front: Arc::clone(self), source: grant.source, grant: Some(grant), is_used: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Slot {
    pub(super) fn source(&self) -> usize {
        self.source
    }

    /// The request is made now.
    pub(super) fn begin(&mut self) {
        self.is_used = true;
    }

    /// The request has ended.
    pub(super) fn end(mut self, end: End) {
        self.give_back(end);
    }

    fn give_back(&mut self, end: End) {
        if let Some(grant) = self.grant.take() {
            self.front.with_desk(|desk, now| desk.ended(now, grant, end));
            self.front.serve();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.give_back(if self.is_used { End::Dropped } else { End::Unused });
    }
}

/// Takes somebody out of the queue who does not wait any more.
struct Leaving<'a> {
    front: &'a Arc<Front>,
    ticket: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.front.state();
        state.desk.leave(self.ticket);
        state.callers.remove(&self.ticket);
    }
}

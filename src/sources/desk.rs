//! Who is asked when, and who waits: the decisions of the engine over all its sources. Pure: what happens comes in with its time, and what
//! to do comes out.
//!
//! Requests wait in the order in which they came. Whenever something ends, those who have waited longest are served first; one that waits for
//! a source without room does not hold up another that can be served.

use std::{collections::VecDeque, time::Duration};

use super::{
    control::{CEILING, Trouble},
    meter::{self, Cost, Held, Means, Meter, Paid, Price},
    plan::{self, Candidate, Choice, Rank},
    standing::{Health, Standing},
};

/// Requests at a time that ask another source for what one does not deliver: they count, but wait for nobody.
pub(super) const HEDGES: usize = 2;
/// How often the sources are compared.
const COMPARE_EVERY: Duration = Duration::from_millis(500);
/// Who delivered nothing for so long counts as nobody.
const NOBODY_AFTER: Duration = Duration::from_secs(60);

/// The sources that may have an object, each with the most bytes that it can send for it.
pub(super) type MayAsk = Vec<(usize, u64)>;

/// Leave to make one request. It is given back with [`Desk::ended`], once.
#[derive(Debug)]
#[must_use]
pub(super) struct Grant {
    pub(super) source: usize,
    asked: Duration,
    money: Option<Held>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// So many bytes arrived, all of the body.
    Delivered(u64),
    /// It failed after so many bytes, in a way that may pass.
    Failed(Trouble, u64),
    /// It was answered, but not with a body: there is no such object, for example. So many bytes came.
    Answered(u64),
    /// It was answered with what cannot be the body, of which nobody knows how much was sent.
    Unfit,
    /// A disk of this machine could not read it, after so many bytes.
    Unreadable(u64),
    /// Nobody waited for its end.
    Dropped,
    /// It was never made.
    Unused,
}

/// What became of somebody who came to ask.
#[derive(Debug)]
pub(super) enum Entered {
    Served(Grant),
    /// Waits under this number.
    Waits(u64),
    /// Nobody is left to be asked.
    Nobody,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    may_ask: MayAsk,
}

#[derive(Debug)]
struct Place {
    standing: Standing,
    price: Option<Price>,
    cost: Cost,
}

/// Who is asked when.
#[derive(Debug)]
pub(super) struct Desk {
    places: Vec<Place>,
    paid: Paid,
    meter: Meter,
    waiting: VecDeque<Waiting>,
    tickets: u64,
    in_flight: usize,
    /// Bodies that there is memory for, without the hedges.
    lanes: usize,
    compared_at: Duration,
    /// Nothing follows what is under way.
    is_ending: bool,
}

impl Desk {
    /// A desk for sources with these prices.
    pub(super) fn new(prices: impl Iterator<Item = Option<Price>>, paid: Paid, cap_micro_usd: Option<u64>) -> Self {
        let places = prices.map(|price| Place { standing: Standing::new(), price, cost: Cost::default() }).collect();
        Self {
            places,
            paid,
            meter: Meter::new(cap_micro_usd),
            waiting: VecDeque::new(),
            tickets: 0,
            in_flight: 0,
            lanes: CEILING,
            compared_at: Duration::ZERO,
            is_ending: false,
        }
    }

    /// Counts what was spent before anybody came.
    pub(super) fn spend(&mut self, micro_usd: u64) {
        self.meter.spend(micro_usd);
    }

    /// Serves somebody who came to ask, or puts them behind those who wait.
    pub(super) fn enter(&mut self, now: Duration, may_ask: MayAsk) -> Entered {
        if self.waiting.is_empty() {
            match self.choose(now, &may_ask) {
                Choice::Ask(index) => return Entered::Served(self.grant(now, index, &may_ask)),
                Choice::Nobody => return Entered::Nobody,
                Choice::Wait => {}
            }
        }
        self.tickets += 1;
        self.waiting.push_back(Waiting { ticket: self.tickets, may_ask });
        Entered::Waits(self.tickets)
    }

    /// Everybody who can be served now, the longest waiting first; `None` for whom nobody is left to be asked.
    pub(super) fn serve(&mut self, now: Duration) -> Vec<(u64, Option<Grant>)> {
        let is_thorough = self.compare(now);
        let (mut served, mut at) = (Vec::new(), 0);
        while at < self.waiting.len() && (is_thorough || self.has_room(now)) {
            match self.choose(now, &self.waiting[at].may_ask) {
                Choice::Wait => at += 1,
                choice @ (Choice::Ask(_) | Choice::Nobody) => {
                    let waiting = self.waiting.remove(at).expect("this place is below the length");
                    let grant = if let Choice::Ask(index) = choice { Some(self.grant(now, index, &waiting.may_ask)) } else { None };
                    served.push((waiting.ticket, grant));
                }
            }
        }
        served
    }

    /// Somebody does not wait any more.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// Leave to ask `source` beside another one, at once. It costs nothing, for nobody pays for such a request.
    pub(super) fn join(&mut self, now: Duration, source: usize) -> Grant {
        self.begin(now, source, None)
    }

    /// The source to ask beside others; see [`plan::choose_second`] and [`plan::choose_again`].
    pub(super) fn second(&self, now: Duration, may_ask: &MayAsk) -> Option<usize> {
        plan::choose_second(self.candidates(now, may_ask))
    }

    pub(super) fn again(&self, now: Duration, may_ask: &MayAsk) -> Option<usize> {
        plan::choose_again(self.candidates(now, may_ask))
    }

    /// The source to ask for one of the last bodies of the run too, when that has been on its way for so long.
    pub(super) fn helper_at_the_end(&self, now: Duration, may_ask: &MayAsk, under_way: Duration) -> Option<usize> {
        let has_memory = self.in_flight < self.lanes.min(CEILING - HEDGES);
        let is_tail = self.is_ending && self.waiting.is_empty() && has_memory;
        if is_tail { plan::choose_at_the_end(self.candidates(now, may_ask), under_way) } else { None }
    }

    /// Says how a request ended.
    pub(super) fn ended(&mut self, now: Duration, grant: Grant, end: End) {
        let Grant { source, asked, money } = grant;
        self.settle(source, money, end);
        self.in_flight -= 1;
        let standing = &mut self.places[source].standing;
        match end {
            End::Delivered(bytes) => standing.delivered(now, asked, bytes),
            End::Failed(trouble, _) => standing.failed(now, asked, trouble),
            End::Unreadable(_) => standing.unreadable(now, asked),
            End::Answered(_) | End::Unfit => standing.lacked(now),
            End::Dropped | End::Unused => standing.ended(now),
        }
        if matches!(end, End::Delivered(_)) {
            self.judge_probe(now, asked, source);
        }
    }

    /// Says that a source was overtaken by another, long after it should have delivered, or never answered.
    pub(super) fn stalled(&mut self, now: Duration, source: usize) {
        self.places[source].standing.rest(now);
    }

    /// A source asks not to be asked for a while.
    pub(super) fn leave_alone(&mut self, now: Duration, source: usize, pause: Duration) {
        self.places[source].standing.leave_alone(now, pause);
    }

    /// Drops a source for the run, but never the last one; says whether it is dropped now.
    pub(super) fn drop_unless_last(&mut self, source: usize) -> bool {
        let is_left = |(index, place): (usize, &Place)| index != source && !place.standing.dropped() && self.is_allowed(place);
        let others = self.places.iter().enumerate().any(is_left);
        if others {
            self.places[source].standing.drop_for_run();
        }
        others
    }

    /// Sets how many bodies there is memory for, and whether more requests follow those that are under way.
    pub(super) fn expect(&mut self, lanes: usize, is_ending: bool) {
        (self.lanes, self.is_ending) = (lanes.max(1), is_ending);
    }

    /// Whether a request for so many bytes may ever be made to this source.
    pub(super) fn is_open(&self, source: usize, most_bytes: u64) -> bool {
        let place = &self.places[source];
        !place.standing.dropped() && self.is_allowed(place) && !self.is_beyond_cap(place, most_bytes)
    }

    /// Whether only money keeps this source from being asked.
    pub(super) fn costs_too_much(&self, source: usize, most_bytes: u64) -> bool {
        let place = &self.places[source];
        !place.standing.dropped() && place.price.is_some() && (!self.is_allowed(place) || self.is_beyond_cap(place, most_bytes))
    }

    /// Whether one of these sources costs money that may be spent.
    pub(super) fn can_pay_one(&self, may_ask: &MayAsk) -> bool {
        may_ask.iter().any(|(source, most_bytes)| self.places[*source].price.is_some() && self.is_open(*source, *most_bytes))
    }

    /// Whether a source failed although it was asked one thing at a time, and no other delivers anything.
    pub(super) fn is_alone(&self, now: Duration, source: usize) -> bool {
        let delivers = |place: &Place| place.standing.last_delivery().is_some_and(|last| now.saturating_sub(last) < NOBODY_AFTER);
        let others = self.places.iter().enumerate().any(|(index, place)| index != source && delivers(place));
        !others && self.places[source].standing.fails_alone()
    }

    pub(super) fn dropped(&self, source: usize) -> bool {
        self.places[source].standing.dropped()
    }

    pub(super) fn busy(&self, now: Duration, source: usize) -> Duration {
        self.places[source].standing.busy(now)
    }

    /// What a source cost so far, millionths of a US dollar; `None` when it costs nothing.
    pub(super) fn cost_micro_usd(&self, source: usize) -> Option<u64> {
        let place = &self.places[source];
        place.price.map(|_| place.cost.micro_usd())
    }

    /// What was spent and what may be, millionths of a US dollar.
    pub(super) fn spent_and_cap_micro_usd(&self) -> (u64, u64) {
        (self.meter.spent().micro_usd(), self.meter.cap_micro_usd())
    }

    /// Whether a source is never asked because it costs money.
    pub(super) fn is_refused(&self, source: usize) -> bool {
        !self.is_allowed(&self.places[source])
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    #[cfg(test)]
    pub(super) fn health(&self, now: Duration, source: usize) -> Health {
        self.places[source].standing.health(now)
    }

    fn choose(&self, now: Duration, may_ask: &MayAsk) -> Choice {
        match plan::choose(self.candidates(now, may_ask), self.waiting.len()) {
            Choice::Ask(_) if self.in_flight >= CEILING - HEDGES => Choice::Wait,
            choice @ (Choice::Ask(_) | Choice::Wait | Choice::Nobody) => choice,
        }
    }

    fn candidates<'a>(&'a self, now: Duration, may_ask: &'a MayAsk) -> impl Iterator<Item = Candidate> + Clone + 'a {
        let open = may_ask.iter().filter(|(source, most_bytes)| self.is_open(*source, *most_bytes));
        open.map(move |(source, most_bytes)| self.candidate(now, *source, *most_bytes))
    }

    fn candidate(&self, now: Duration, index: usize, most_bytes: u64) -> Candidate {
        let Place { standing, price, .. } = &self.places[index];
        let (health, is_spared) = (standing.health(now), price.is_some() && self.paid == Paid::LastResort);
        let has_means = price.is_none_or(|price| self.meter.means_for(price, most_bytes) == Means::Enough);
        // What is left of a run is not worth finding out who is well again.
        let is_probe = health == Health::Probe && !self.is_ending;
        let rank = match health {
            Health::Works => Rank::Works,
            Health::Probe if is_probe => Rank::Works,
            Health::Parked => Rank::Parked,
            Health::Probe | Health::Resting => Rank::Resting,
        };
        Candidate {
            index,
            rank: match rank {
                rank if !is_spared => rank,
                Rank::Works => Rank::WorksForMoney,
                Rank::WorksForMoney | Rank::Parked | Rank::Resting | Rank::UnwellForMoney => Rank::UnwellForMoney,
            },
            is_probe,
            is_fruitless: standing.is_fruitless(),
            is_paid: price.is_some(),
            has_room: standing.has_room(now) && has_means,
            in_flight: standing.in_flight(),
            window: standing.window(),
            expected: standing.expected(now),
            since_delivery: standing.last_delivery().map(|last| now.saturating_sub(last)),
        }
    }

    fn has_room(&self, now: Duration) -> bool {
        self.in_flight < CEILING - HEDGES && self.places.iter().any(|place| !place.standing.dropped() && place.standing.has_room(now))
    }

    fn is_allowed(&self, place: &Place) -> bool {
        place.price.is_none() || self.paid != Paid::Refused
    }

    fn is_beyond_cap(&self, place: &Place, most_bytes: u64) -> bool {
        place.price.is_some_and(|price| self.meter.means_for(price, most_bytes) == Means::Spent)
    }

    fn grant(&mut self, now: Duration, source: usize, may_ask: &MayAsk) -> Grant {
        let most_bytes = may_ask.iter().find(|(index, _)| *index == source).map_or(0, |(_, most_bytes)| *most_bytes);
        let held = self.places[source].price.map(|price| self.meter.hold(price, most_bytes));
        self.begin(now, source, held.map(|held| held.expect("a source without means has no room")))
    }

    fn begin(&mut self, now: Duration, source: usize, money: Option<Held>) -> Grant {
        self.in_flight += 1;
        self.places[source].standing.begins(now);
        Grant { source, asked: now, money }
    }

    fn settle(&mut self, source: usize, money: Option<Held>, end: End) {
        let Some(held) = money else { return };
        let cost = match end {
            End::Delivered(bytes) | End::Failed(_, bytes) | End::Answered(bytes) | End::Unreadable(bytes) => self.meter.settle(held, bytes),
            End::Unfit | End::Dropped => self.meter.settle_in_full(held),
            End::Unused => return self.meter.release(held),
        };
        meter::add(&mut self.places[source].cost, cost);
    }

    /// Finds out now and then who is far slower than the others; says whether it was time to.
    fn compare(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.compared_at) < COMPARE_EVERY {
            return false;
        }
        self.compared_at = now;
        let works = |place: &&Place| !place.standing.dropped() && matches!(place.standing.health(now), Health::Works);
        let rates = self.places.iter().filter(works).filter_map(|place| place.standing.rate(now));
        let Some(median) = plan::median(rates) else { return true };
        for place in self.places.iter_mut().filter(|place| matches!(place.standing.health(now), Health::Works)) {
            place.standing.compare(now, median);
        }
        true
    }

    fn judge_probe(&mut self, now: Duration, asked: Duration, source: usize) {
        let others = self.places.iter().enumerate().filter(|(index, place)| *index != source && !place.standing.dropped());
        let usual = others.filter_map(|(_, place)| Some(place.standing.usual()?.as_secs_f64()));
        let median = plan::median(usual).map(Duration::from_secs_f64);
        self.places[source].standing.judge_probe(now, asked, median);
    }
}

#[cfg(test)]
mod tests;

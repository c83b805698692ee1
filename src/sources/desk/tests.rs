//! The desk by tables, and in worlds that are made up: sources that are slow, broken, busy, silent or lying at times, and requests that
//! must all be served nevertheless.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use proptest::prelude::*;

use super::*;

const PRICE: Price = Price { micro_usd_per_gb: 1_000_000, micro_usd_per_1000_requests: 1_000 };
const BODY: u64 = 100_000;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn free(count: usize) -> Desk {
    Desk::new((0..count).map(|_| None), Paid::Refused, None)
}

fn anybody(count: usize) -> MayAsk {
    (0..count).map(|index| (index, BODY)).collect()
}

#[track_caller]
fn served(entered: Entered) -> Grant {
    match entered {
        Entered::Served(grant) => grant,
        Entered::Waits(_) | Entered::Nobody => panic!("{entered:?}"),
    }
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let mut desk = free(1);
    let mut grants: Vec<_> = (0..8).map(|_| served(desk.enter(at(0), anybody(1)))).collect();
    let waits = |desk: &mut Desk| matches!(desk.enter(at(0), anybody(1)), Entered::Waits(_));
    assert!((0..3).all(|_| waits(&mut desk)) && desk.serve(at(0)).is_empty());
    for ticket in 1..=3 {
        desk.ended(at(ticket), grants.pop().unwrap(), End::Delivered(BODY));
        let now_served = desk.serve(at(ticket));
        assert_eq!(now_served.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [ticket]);
        grants.extend(now_served.into_iter().filter_map(|(_, grant)| grant));
    }
    assert_eq!(desk.in_flight(), 8);
}

#[test]
fn who_waits_for_a_source_without_room_holds_up_nobody_else() {
    let mut desk = free(2);
    let only = |source| vec![(source, BODY)];
    let grants: Vec<_> = (0..8).map(|_| served(desk.enter(at(0), only(0)))).collect();
    assert!(matches!(desk.enter(at(0), only(0)), Entered::Waits(1)));
    assert!(matches!(desk.enter(at(0), only(1)), Entered::Waits(2)));
    let passed = desk.serve(at(0));
    assert!(matches!(&passed[..], [(2, Some(grant))] if grant.source == 1), "{passed:?}");
    desk.leave(1);
    for grant in grants {
        desk.ended(at(1), grant, End::Dropped);
    }
    assert!(desk.serve(at(1)).is_empty(), "who left is not served");
}

#[test]
fn no_more_requests_are_under_way_than_the_ceiling_however_many_sources_there_are() {
    let mut desk = free(20);
    let entered: Vec<_> = (0..80).map(|_| desk.enter(at(0), anybody(20))).collect();
    let served = entered.iter().filter(|one| matches!(one, Entered::Served(_))).count();
    let _hedges: Vec<_> = (0..HEDGES).map(|_| desk.join(at(0), 0)).collect();
    assert_eq!((served, desk.in_flight()), (CEILING - HEDGES, CEILING));
    assert!(desk.serve(at(1)).is_empty() && desk.serve(at(600)).is_empty());
}

#[test]
fn who_waits_for_a_source_that_is_dropped_is_told() {
    let mut desk = free(2);
    let _grants: Vec<_> = (0..8).map(|_| served(desk.enter(at(0), vec![(0, BODY)]))).collect();
    assert!(matches!(desk.enter(at(0), vec![(0, BODY)]), Entered::Waits(1)));
    assert!(desk.drop_unless_last(0) && !desk.drop_unless_last(1));
    assert!(matches!(&desk.serve(at(600))[..], [(1, None)]));
}

// AW-02
#[test]
fn a_paid_source_is_asked_as_far_as_was_agreed() {
    let asked = |paid, free_works: bool| {
        let mut desk = Desk::new([None, Some(PRICE)].into_iter(), paid, None);
        if !free_works {
            desk.stalled(at(0), 0);
        }
        (0..4).map(|_| served(desk.enter(at(0), anybody(2))).source).collect::<BTreeSet<_>>()
    };
    assert_eq!((asked(Paid::Refused, true), asked(Paid::Refused, false)), ([0].into(), [0].into()));
    assert_eq!((asked(Paid::LastResort, true), asked(Paid::LastResort, false)), ([0].into(), [1].into()));
    assert_eq!((asked(Paid::Together, true), asked(Paid::Together, false)), ([0, 1].into(), [1].into()));
    let mut refused = Desk::new([Some(PRICE)].into_iter(), Paid::Refused, None);
    assert!(matches!(refused.enter(at(0), anybody(1)), Entered::Nobody) && refused.costs_too_much(0, BODY));
}

// AW-02
#[test]
fn at_the_cap_a_paid_source_is_closed_and_before_it_requests_wait_for_what_is_set_aside() {
    // A body costs 100 millionths, a request 1.
    let mut desk = Desk::new([Some(PRICE)].into_iter(), Paid::LastResort, Some(250));
    let (one, other) = (served(desk.enter(at(0), anybody(1))), served(desk.enter(at(0), anybody(1))));
    assert!(matches!(desk.enter(at(0), anybody(1)), Entered::Waits(1)));
    desk.ended(at(1), one, End::Failed(Trouble::Broken, 10_000));
    assert!(matches!(&desk.serve(at(2_500))[..], [(1, Some(_))]), "most of what was set aside was not needed");
    assert!(desk.is_open(0, BODY));
    desk.ended(at(3_000), other, End::Dropped);
    assert!(!desk.is_open(0, 2 * BODY) && desk.costs_too_much(0, 2 * BODY));
    assert_eq!((desk.cost_micro_usd(0), desk.spent_and_cap_micro_usd()), (Some(112), (112, 250)));
}

/// What a source does at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    /// So many times slower.
    Slow(u32),
    Breaks,
    Busy(u64),
    Silent,
    Lies,
    Lacks,
}

/// A source: how fast it is, what it costs, and how it does from when on.
#[derive(Clone, Debug)]
struct Made {
    latency_ms: u64,
    bytes_per_ms: u64,
    is_paid: bool,
    moods: Vec<(u64, Mood)>,
}

impl Made {
    fn mood(&self, now: u64) -> Mood {
        self.moods.iter().rev().find(|(from, _)| *from <= now).map_or(Mood::Well, |(_, mood)| *mood)
    }
}

fn moods() -> impl Strategy<Value = Mood> {
    prop_oneof![
        Just(Mood::Well),
        (2_u32..200).prop_map(Mood::Slow),
        Just(Mood::Breaks),
        (0_u64..90_000).prop_map(Mood::Busy),
        Just(Mood::Silent),
        Just(Mood::Lies),
        Just(Mood::Lacks),
    ]
}

fn sources() -> impl Strategy<Value = Made> {
    let moods = prop::collection::vec((0_u64..20_000, moods()), 0..4);
    (1_u64..300, 5_u64..2_000, prop::bool::weighted(0.3), moods).prop_map(|(latency_ms, bytes_per_ms, is_paid, mut moods)| {
        moods.sort_by_key(|(from, _)| *from);
        Made { latency_ms, bytes_per_ms, is_paid, moods }
    })
}

/// What a lane does: it fetches one chunk after the other.
#[derive(Debug, Default)]
struct Lane {
    tried: BTreeSet<usize>,
    hopeless: BTreeSet<usize>,
    wrong: HashMap<usize, u32>,
    waits_since: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The request of a lane ends in this way, by number.
    Ends(usize, u64),
    /// A lane has paused.
    Resumes(usize),
    LookUp,
}

/// The made-up world: desk, lanes and what is under way.
struct World {
    made: Vec<Made>,
    desk: Desk,
    lanes: Vec<Lane>,
    strikes: Vec<u32>,
    waiting: HashMap<u64, usize>,
    under_way: HashMap<u64, (Grant, End, bool)>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    counter: u64,
    now: u64,
    left: usize,
    idle: usize,
    longest_wait: u64,
}

impl World {
    fn new(made: Vec<Made>, lanes: usize, chunks: usize, paid: Paid, cap: Option<u64>) -> Self {
        let desk = Desk::new(made.iter().map(|one| one.is_paid.then_some(PRICE)), paid, cap);
        let mut world = Self {
            strikes: vec![0; made.len()],
            made,
            desk,
            lanes: Vec::new(),
            waiting: HashMap::new(),
            under_way: HashMap::new(),
            events: BinaryHeap::new(),
            counter: 0,
            now: 0,
            left: chunks,
            idle: 0,
            longest_wait: 0,
        };
        world.lanes.resize_with(lanes, Lane::default);
        (0..lanes).for_each(|lane| world.next_chunk(lane));
        world.at(500, Event::LookUp);
        world
    }

    fn at(&mut self, in_ms: u64, event: Event) {
        self.counter += 1;
        self.events.push(Reverse((self.now + in_ms, self.counter, event)));
    }

    fn is_done(&self) -> bool {
        self.idle == self.lanes.len()
    }

    fn next_chunk(&mut self, lane: usize) {
        if self.left == 0 {
            self.idle += 1;
            return;
        }
        self.left -= 1;
        self.lanes[lane] = Lane::default();
        self.ask(lane);
    }

    fn ask(&mut self, lane: usize) {
        let Lane { tried, hopeless, .. } = &self.lanes[lane];
        let may_ask = (0..self.made.len()).filter(|index| !tried.contains(index) && !hopeless.contains(index));
        let may_ask = may_ask.map(|index| (index, BODY)).collect();
        self.lanes[lane].waits_since = self.now;
        match self.desk.enter(at(self.now), may_ask) {
            Entered::Served(grant) => self.begin(lane, Some(grant)),
            Entered::Nobody => self.begin(lane, None),
            Entered::Waits(ticket) => _ = self.waiting.insert(ticket, lane),
        }
        self.serve();
    }

    fn serve(&mut self) {
        for (ticket, grant) in self.desk.serve(at(self.now)) {
            let lane = self.waiting.remove(&ticket).unwrap();
            self.longest_wait = self.longest_wait.max(self.now - self.lanes[lane].waits_since);
            self.begin(lane, grant);
        }
    }

    fn begin(&mut self, lane: usize, grant: Option<Grant>) {
        let Some(grant) = grant else {
            // Another round, after a pause. A world in which nobody has it any more gives it up.
            self.lanes[lane].tried.clear();
            return self.at(1_000, Event::Resumes(lane));
        };
        let source = grant.source;
        self.lanes[lane].tried.insert(source);
        let (made, shared) = (&self.made[source], self.under_way.values().filter(|(other, ..)| other.source == source).count() as u64 + 1);
        let usual = made.latency_ms + BODY * shared / made.bytes_per_ms;
        let (took, end, is_right) = match made.mood(self.now) {
            Mood::Well => (usual, End::Delivered(BODY), true),
            Mood::Slow(times) if usual * u64::from(times) < 30_000 => (usual * u64::from(times), End::Delivered(BODY), true),
            Mood::Slow(_) | Mood::Silent => (30_000, End::Failed(Trouble::TooMuch, BODY / 2), false),
            Mood::Breaks => (made.latency_ms, End::Failed(Trouble::Broken, BODY / 3), false),
            Mood::Busy(_) => (made.latency_ms, End::Failed(Trouble::TooMuch, 0), false),
            Mood::Lies => (usual, End::Delivered(BODY), false),
            Mood::Lacks => (made.latency_ms, End::Answered(0), false),
        };
        self.counter += 1;
        let number = self.counter;
        self.under_way.insert(number, (grant, end, is_right));
        self.at(took.max(1), Event::Ends(lane, number));
    }

    fn ends(&mut self, lane: usize, number: u64) {
        let (grant, end, is_right) = self.under_way.remove(&number).unwrap();
        let source = grant.source;
        if let (Mood::Busy(pause), End::Failed(Trouble::TooMuch, 0)) = (self.made[source].mood(self.now), end) {
            self.desk.leave_alone(at(self.now), source, at(pause));
        }
        self.desk.ended(at(self.now), grant, end);
        self.serve();
        match end {
            End::Delivered(_) if is_right => return self.next_chunk(lane),
            End::Delivered(_) => self.strike(lane, source),
            End::Answered(_) => _ = self.lanes[lane].hopeless.insert(source),
            End::Failed(..) | End::Unfit | End::Unreadable(_) | End::Dropped | End::Unused => {}
        }
        self.ask(lane);
    }

    fn strike(&mut self, lane: usize, source: usize) {
        self.strikes[source] += 1;
        let wrong = self.lanes[lane].wrong.entry(source).or_default();
        *wrong += 1;
        if *wrong == 2 {
            self.lanes[lane].hopeless.insert(source);
        }
        if self.strikes[source] == 3 {
            self.desk.drop_unless_last(source);
        }
    }

    /// Lets the next thing happen, and checks what must always hold.
    fn step(&mut self) {
        let Reverse((now, _, event)) = self.events.pop().expect("somebody looks up for ever");
        self.now = now;
        match event {
            Event::Ends(lane, number) => self.ends(lane, number),
            Event::Resumes(lane) => self.ask(lane),
            Event::LookUp => {
                self.serve();
                self.at(500, Event::LookUp);
            }
        }
        assert!(self.desk.in_flight() <= (CEILING - HEDGES).min(self.lanes.len()));
        assert_eq!(self.desk.in_flight(), self.under_way.len());
        let (spent, cap) = self.desk.spent_and_cap_micro_usd();
        assert!(spent <= cap);
    }

    fn paid_in_flight(&self) -> bool {
        self.under_way.values().any(|(grant, ..)| self.made[grant.source].is_paid)
    }

    fn spent(&self) -> u64 {
        self.desk.spent_and_cap_micro_usd().0
    }

    /// Runs until every chunk is there.
    fn run(&mut self) -> u64 {
        while !self.is_done() {
            self.step();
            assert!(self.now < 3_600_000, "no end in sight with {} chunks left: {:?}", self.left, self.made);
        }
        self.now
    }
}

const HONEST: Made = Made { latency_ms: 20, bytes_per_ms: 1_000, is_paid: false, moods: Vec::new() };

fn with_one_honest() -> impl Strategy<Value = Vec<Made>> {
    (prop::collection::vec(sources(), 0..5), 0_usize..6).prop_map(|(mut made, place)| {
        made.insert(place.min(made.len()), HONEST);
        made
    })
}

fn agreed() -> impl Strategy<Value = Paid> {
    prop_oneof![Just(Paid::Refused), Just(Paid::LastResort), Just(Paid::Together)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    // P6, HM-01, HM-05, NW-01, NW-04, NW-05, NW-06, AW-02
    #[test]
    fn one_honest_source_is_enough_whatever_the_others_do(
        made in with_one_honest(),
        lanes in 1_usize..65,
        paid in agreed(),
        cap in prop::option::of(0_u64..20_000),
    ) {
        let mut world = World::new(made, lanes, 150, paid, cap);
        while !world.is_done() {
            world.step();
            prop_assert!(world.now < 900_000, "no end in sight with {} chunks left", world.left);
            prop_assert!(paid != Paid::Refused || !world.paid_in_flight());
        }
        prop_assert!(paid != Paid::Refused || world.spent() == 0);
        prop_assert!(world.longest_wait < 120_000, "somebody waited for {} ms", world.longest_wait);
        prop_assert!(world.desk.serve(at(world.now)).is_empty());
    }

    // AW-02
    #[test]
    fn money_is_spent_as_the_last_resort_only(others in prop::collection::vec(sources(), 0..4), lanes in 1_usize..65) {
        let paid = others.into_iter().map(|other| Made { is_paid: true, ..other });
        let mut world = World::new([HONEST].into_iter().chain(paid).collect(), lanes, 100, Paid::LastResort, None);
        world.run();
        prop_assert_eq!(world.spent(), 0);
    }
}

/// How long a run with these sources takes, milliseconds.
fn time_of(made: &[Made]) -> u64 {
    World::new(made.to_vec(), 64, 1_500, Paid::Refused, None).run()
}

#[test]
fn two_sources_are_nearly_twice_as_fast_as_one() {
    for bytes_per_ms in [100, 1_000, 20_000] {
        let one = Made { bytes_per_ms, ..HONEST };
        let (alone, both) = (time_of(std::slice::from_ref(&one)), time_of(&[one.clone(), one]));
        assert!(alone * 10 >= both * 18, "{alone} ms and {both} ms");
    }
}

#[test]
fn each_source_serves_in_proportion_to_its_rate() {
    let rated = |bytes_per_ms| Made { bytes_per_ms, ..HONEST };
    let (whole, together) = (time_of(&[rated(1_500)]), time_of(&[rated(1_000), rated(350), rated(150)]));
    assert!(together * 10 <= whole * 12, "{together} ms with three sources and {whole} ms with one that is as fast as they are");
}

#[test]
fn a_source_that_turns_bad_in_the_middle_costs_little() {
    let good = Made { bytes_per_ms: 1_000, ..HONEST };
    let two = time_of(&[good.clone(), good.clone()]);
    for mood in [Mood::Breaks, Mood::Lies, Mood::Busy(5_000), Mood::Lacks, Mood::Slow(8)] {
        let bad = Made { moods: vec![(two / 3, mood)], ..good.clone() };
        let three = time_of(&[good.clone(), bad, good.clone()]);
        assert!(three * 10 <= two * 13, "{mood:?}: {three} ms instead of {two} ms");
    }
}

#[test]
fn a_source_far_slower_than_the_others_is_parked_and_comes_back_when_it_is_as_fast() {
    let (good, changes) = (Made { bytes_per_ms: 500, ..HONEST }, vec![(0, Mood::Slow(6)), (100_000, Mood::Well)]);
    let mut world = World::new(vec![good.clone(), Made { moods: changes, ..good.clone() }, good], 64, 100_000, Paid::Refused, None);
    let (mut parked, mut back) = (0, 0);
    while world.now < 400_000 {
        world.step();
        let is_parked = world.desk.health(at(world.now), 1) == Health::Parked;
        parked += usize::from(is_parked && world.now < 100_000);
        back += usize::from(!is_parked && world.now > 300_000);
    }
    assert!(parked > 0 && back > 0, "parked in {parked} of the steps, back in {back}");
}

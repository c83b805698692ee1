//! The engine over sources with rates of their own, in virtual time: what several bring together, and what a bad one costs.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::{
    progress::NoProgress,
    store::{Charge, ReadStore},
    types::ObjectKey,
};

/// Small, so that tests are quick; what counts is how long it takes.
const BODY: u64 = 32 << 10;
/// Pieces of a body; the rate is shared anew for each.
const PIECES: u64 = 32;
/// As of a web server: a body that brings less in such a time is given up.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// How a source is from some time on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    /// Its rate is divided by this.
    Slower(u64),
    Dead,
    /// It fails before anything arrives, and leaves alone what is in the buffer.
    Refusing,
    Silent,
    Wrong,
}

/// A source behind a line that all its connections share.
#[derive(Debug)]
struct Line {
    name: String,
    bytes_per_second: u64,
    body_bytes: u64,
    charge: Charge,
    turn: Option<(Duration, Turn)>,
    begin: Instant,
    active: AtomicUsize,
    most_active: AtomicUsize,
    asked: AtomicU64,
    is_patient: AtomicBool,
}

impl Line {
    fn new(name: &str, bytes_per_second: u64) -> Self {
        Self {
            name: name.to_owned(),
            bytes_per_second,
            body_bytes: BODY,
            charge: Charge::Free,
            turn: None,
            begin: Instant::now(),
            active: AtomicUsize::new(0),
            most_active: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            is_patient: AtomicBool::new(false),
        }
    }

    fn turning(self, after: Duration, turn: Turn) -> Self {
        Self { turn: Some((after, turn)), ..self }
    }

    fn paid(self) -> Self {
        Self { charge: Charge::RequesterPays { region: "eu-central-1".to_owned() }, ..self }
    }

    fn turned(&self) -> Option<Turn> {
        self.turn.filter(|(after, _)| self.begin.elapsed() >= *after).map(|(_, turn)| turn)
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn error(&self, kind: ErrorKind) -> store::Error {
        store::Error::new(kind, &self.name, "get", "", "as told")
    }

    async fn send(&self, into: &mut Vec<u8>) -> Result<(), store::Error> {
        let piece_bytes = self.body_bytes / PIECES;
        let (mut window_end, mut window_bytes) = (Instant::now() + RATE_WINDOW, 0);
        for _ in 0..PIECES {
            let slower = match self.turned() {
                Some(Turn::Dead | Turn::Refusing) => return Err(self.error(ErrorKind::Interrupted)),
                Some(Turn::Silent) => u64::MAX >> 30,
                Some(Turn::Slower(times)) => times,
                Some(Turn::Wrong) | None => 1,
            };
            let shared = self.bytes_per_second as f64 / (slower * self.active.load(Ordering::Relaxed) as u64) as f64;
            let piece_end = Instant::now() + Duration::from_secs_f64(piece_bytes as f64 / shared);
            while piece_end > window_end {
                tokio::time::sleep_until(window_end).await;
                // A piece that is on its way is not counted, so that the least is a little less than for a real body.
                if window_bytes < plan::LEAST_RATE * 30 - piece_bytes && !self.is_patient.load(Ordering::Relaxed) {
                    return Err(self.error(ErrorKind::TooSlow));
                }
                (window_end, window_bytes) = (window_end + RATE_WINDOW, 0);
            }
            tokio::time::sleep_until(piece_end).await;
            window_bytes += piece_bytes;
            let byte = u8::from(self.turned() == Some(Turn::Wrong));
            into.resize(into.len() + piece_bytes as usize, byte);
        }
        Ok(())
    }
}

/// Counts a connection for as long as it lives.
struct Active<'a>(&'a Line);

impl<'a> Active<'a> {
    fn new(line: &'a Line) -> Self {
        let now = line.active.fetch_add(1, Ordering::Relaxed) + 1;
        line.most_active.fetch_max(now, Ordering::Relaxed);
        line.asked.fetch_add(1, Ordering::Relaxed);
        Self(line)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ReadStore for Line {
    fn name(&self) -> &str {
        &self.name
    }

    fn charge(&self) -> Charge {
        self.charge.clone()
    }

    fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, into: &mut Vec<u8>) -> Result<(), store::Error> {
        let _active = Active::new(self);
        if self.turned() == Some(Turn::Refusing) {
            return Err(self.error(ErrorKind::Unreachable));
        }
        into.clear();
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.send(into).await
    }
}

/// A hundred bodies a second.
const RATE: u64 = 100 * BODY;

fn as_one(lines: &[Arc<Line>], settings: Settings) -> Sources {
    let stores = lines.iter().map(|line| (Arc::clone(line) as DynReadStore, Form::Framed)).collect();
    Sources::new(stores, settings, Arc::new(NoProgress))
}

/// Fetches one chunk until it is right.
async fn chunk(sources: &Sources) -> Result<(), Exhausted> {
    let (want, mut attempts, mut body) = (Want::plain("chunks/a".parse().unwrap(), BODY), Attempts::default(), Vec::new());
    loop {
        let origin = sources.fetch(&want, &mut attempts, &mut body).await?;
        if body.iter().all(|byte| *byte == 0) {
            sources.give_back(body);
            return Ok(());
        }
        sources.reject(origin, &mut attempts, "wrong");
    }
}

/// Fetches so many chunks as a restore does, with so many lanes, and says how long that took.
async fn fetch_all(sources: &Sources, chunks: u64, lanes: usize) -> Result<Duration, Exhausted> {
    let (begin, left) = (Instant::now(), AtomicU64::new(chunks));
    sources.begin(lanes);
    let lane = async || {
        while let Ok(before) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            if before == 1 {
                sources.nothing_follows(lanes);
            }
            chunk(sources).await?;
        }
        Ok(())
    };
    join_all((0..lanes).map(|_| lane())).await.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(begin.elapsed())
}

async fn time_of(lines: Vec<Line>, chunks: u64) -> Duration {
    let lines: Vec<_> = lines.into_iter().map(Arc::new).collect();
    fetch_all(&as_one(&lines, Settings::default()), chunks, 64).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_lines_bring_nearly_twice_as_much_as_one() {
    let alone = time_of(vec![Line::new("one", RATE)], 1_500).await;
    let both = time_of(vec![Line::new("one", RATE), Line::new("two", RATE)], 1_500).await;
    assert!(alone.as_secs_f64() >= 1.8 * both.as_secs_f64(), "{alone:?} and {both:?}");
}

// HM-01, HM-05, NW-01, NW-02
#[tokio::test(start_paused = true)]
async fn a_line_that_turns_bad_in_the_middle_costs_less_than_a_third() {
    let good = |name| Line::new(name, RATE);
    let two = time_of(vec![good("one"), good("two")], 3_000).await;
    for turn in [Turn::Slower(20), Turn::Slower(1_000), Turn::Dead, Turn::Silent, Turn::Wrong] {
        let bad = good("bad").turning(two / 3, turn);
        let three = time_of(vec![good("one"), bad, good("two")], 3_000).await;
        assert!(three <= two.mul_f64(1.3), "{turn:?}: {three:?} instead of {two:?}");
    }
}

// HM-05, NW-02
#[tokio::test(start_paused = true)]
async fn the_last_bodies_are_taken_from_whoever_is_idle() {
    let silent = Line::new("silent", RATE).turning(Duration::from_millis(500), Turn::Silent);
    let took = time_of(vec![Line::new("one", RATE), silent], 300).await;
    assert!(took < Duration::from_secs(4), "{took:?}, although one alone takes 3 s");
}

// HM-05
#[tokio::test(start_paused = true)]
async fn an_only_source_that_is_very_slow_gets_fewer_requests_until_it_delivers() {
    for (bytes_per_second, most_hours) in [(200 << 10, 1), (60 << 10, 1), (20 << 10, 2), (1 << 10, 30)] {
        let slow = Arc::new(Line { body_bytes: 1 << 20, ..Line::new("slow", bytes_per_second) });
        let sources = as_one(&[Arc::clone(&slow)], Settings::default());
        let took = fetch_all(&sources, 20, 64).await.unwrap();
        assert!(took < Duration::from_secs(3600 * most_hours), "{bytes_per_second} B/s: {took:?}");
        assert_eq!(slow.is_patient.load(Ordering::Relaxed), bytes_per_second < plan::LEAST_RATE, "{bytes_per_second} B/s");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_lanes_and_hedges() {
    let lines = [Arc::new(Line::new("one", RATE)), Arc::new(Line::new("two", RATE / 50))];
    fetch_all(&as_one(&lines, Settings::default()), 400, 5).await.unwrap();
    let most: usize = lines.iter().map(|line| line.most_active.load(Ordering::Relaxed)).sum();
    assert!(most <= 2 * 5 + desk::HEDGES && lines[0].most_active.load(Ordering::Relaxed) <= 5 + desk::HEDGES, "{most}");
}

#[tokio::test(start_paused = true)]
async fn all_sources_together_keep_below_the_limit_of_the_rate() {
    let lines = [Arc::new(Line::new("one", RATE)), Arc::new(Line::new("two", RATE))];
    let limit_rate = NonZeroU64::new(10 * BODY);
    let took = fetch_all(&as_one(&lines, Settings { limit_rate, ..Settings::default() }), 200, 64).await.unwrap();
    assert!((19.5..21.0).contains(&took.as_secs_f64()), "200 bodies, 10 in a second, take {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_far_below_the_longest_wait_is_no_silence() {
    let line = Arc::new(Line::new("one", RATE));
    let settings = Settings { limit_rate: NonZeroU64::new(BODY / 1_000), max_wait: Duration::from_secs(60), ..Settings::default() };
    fetch_all(&as_one(&[line], settings), 8, 8).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_report_tells_the_rate_of_each_source() {
    let lines = [Arc::new(Line::new("one", RATE)), Arc::new(Line::new("two", RATE / 2)), Arc::new(Line::new("paid", RATE).paid())];
    let sources = as_one(&lines, Settings::default());
    fetch_all(&sources, 1_000, 64).await.unwrap();
    let rates: Vec<_> = sources.reports().into_iter().map(|report| report.bytes_per_second.map(|rate| rate as f64 / RATE as f64)).collect();
    assert!((0.85..=1.0).contains(&rates[0].unwrap()) && (0.4..=0.5).contains(&rates[1].unwrap()), "{rates:?}");
    assert_eq!(rates[2], None);
}

/// A free source and one that costs money, and what was asked of each.
async fn with_money(free: Line, settings: Settings) -> (Result<Duration, Exhausted>, [u64; 2], Vec<Report>) {
    let lines = [Arc::new(free), Arc::new(Line::new("paid", RATE).paid())];
    let sources = as_one(&lines, settings);
    let ended = fetch_all(&sources, 300, 64).await;
    (ended, [lines[0].asked(), lines[1].asked()], sources.reports())
}

fn agreeing(paid: Paid) -> Settings {
    Settings { paid, max_wait: Duration::from_secs(300), ..Settings::default() }
}

// AW-02
#[tokio::test(start_paused = true)]
async fn a_paid_source_is_asked_only_as_agreed_and_never_for_the_last_bodies() {
    let free = || Line::new("free", RATE / 20);
    for paid in [Paid::Refused, Paid::LastResort] {
        let (ended, asked, reports) = with_money(free(), agreeing(paid)).await;
        assert!(ended.is_ok() && asked == [300, 0], "{paid:?}: {asked:?}");
        assert_eq!((reports[0].cost_micro_usd, reports[1].cost_micro_usd), (None, Some(0)));
    }
    let (ended, asked, reports) = with_money(free(), agreeing(Paid::Together)).await;
    assert!(ended.is_ok() && asked[1] > 200, "{asked:?}");
    let cost = reports[1].cost_micro_usd.unwrap();
    let of_bytes = asked[1] * BODY * Price::DEAREST.micro_usd_per_gb / 1_000_000_000;
    let of_requests = asked[1] * Price::DEAREST.micro_usd_per_1000_requests / 1_000;
    assert!((0..=2).contains(&(cost - of_bytes - of_requests)), "{cost}");
}

// AW-02
#[tokio::test(start_paused = true)]
async fn where_the_free_source_dies_money_is_spent_up_to_the_cap_and_not_without_consent() {
    let dying = || Line::new("free", RATE).turning(Duration::from_secs(1), Turn::Dead);
    let (ended, asked, _) = with_money(dying(), agreeing(Paid::Refused)).await;
    assert!(matches!(ended, Err(Exhausted::Silent { .. })) && asked[1] == 0, "{ended:?}");
    let (ended, asked, _) = with_money(dying(), agreeing(Paid::LastResort)).await;
    assert!(ended.is_ok() && asked[1] > 100, "{ended:?}");
    let capped = Settings { cap_micro_usd: Some(1_000), ..agreeing(Paid::LastResort) };
    let (ended, asked, reports) = with_money(dying(), capped).await;
    let spent = reports[1].cost_micro_usd.unwrap();
    assert!(matches!(ended, Err(Exhausted::Cap { cap_micro_usd: 1_000, spent_micro_usd, .. }) if spent_micro_usd <= 1_000), "{ended:?}");
    assert!(asked[1] > 30 && (950..=1_000).contains(&spent), "{asked:?}, {spent}");
}

// AW-02
#[tokio::test(start_paused = true)]
async fn where_only_paid_sources_are_left_and_nobody_agreed_that_is_said_at_once() {
    let begin = Instant::now();
    let paid = Arc::new(Line::new("paid", RATE).paid());
    let ended = chunk(&as_one(&[Arc::clone(&paid)], Settings::default())).await;
    match ended {
        Err(Exhausted::NoConsent { lines, .. }) => assert_eq!(lines, ["paid: not asked, because it costs money"]),
        other => panic!("{other:?}"),
    }
    assert_eq!((paid.asked(), begin.elapsed().as_secs()), (0, 0));
    let poor = Settings { cap_micro_usd: Some(5), ..agreeing(Paid::Together) };
    let ended = chunk(&as_one(&[Arc::clone(&paid)], poor)).await;
    assert!(matches!(ended, Err(Exhausted::Cap { spent_micro_usd: 0, cap_micro_usd: 5, .. })) && paid.asked() == 0, "{ended:?}");
}

/// What so many bodies and requests cost at the dearest price, millionths of a dollar.
fn dearest(bodies: u64, requests: u64) -> u64 {
    let bytes = (bodies * BODY * Price::DEAREST.micro_usd_per_gb).div_ceil(1_000_000_000);
    bytes + requests * Price::DEAREST.micro_usd_per_1000_requests / 1_000
}

// AW-02
#[tokio::test(start_paused = true)]
async fn a_request_costs_what_arrived_for_it_and_when_nobody_waits_for_its_end_all_that_could() {
    let line = Arc::new(Line::new("paid", RATE).paid().turning(Duration::from_secs(10), Turn::Refusing));
    let sources = as_one(&[Arc::clone(&line)], Settings { max_wait: Duration::from_secs(5), ..agreeing(Paid::Together) });
    let cost = || sources.reports()[0].cost_micro_usd.unwrap();
    let (want, mut body) = (Want::plain("chunks/a".parse().unwrap(), BODY), Vec::new());
    sources.fetch(&want, &mut Attempts::default(), &mut body).await.unwrap();
    assert_eq!(cost(), dearest(1, 1));
    let dropped = tokio::time::timeout(Duration::from_millis(7), chunk(&sources)).await;
    assert!(dropped.is_err() && cost() == dearest(2, 2), "{}", cost());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let ended = sources.fetch(&want, &mut Attempts::default(), &mut body).await;
    assert!(matches!(ended, Err(Exhausted::Silent { .. })) && line.asked() > 4, "{ended:?}");
    assert_eq!(cost(), dearest(2, line.asked()), "what was in the buffer before did not arrive now");
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![(2_u64..5_000).prop_map(Turn::Slower), Just(Turn::Dead), Just(Turn::Silent), Just(Turn::Wrong)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    // P6, HM-01, HM-05, NW-01, NW-02
    #[test]
    fn every_chunk_arrives_while_one_line_is_honest(
        others in prop::collection::vec((1_u64..200, prop::option::of((0_u64..3_000, turns()))), 0..4),
        lanes in 1_usize..65,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let took = runtime.block_on(async {
            let other = |(rate, turn): &(u64, Option<(u64, Turn)>)| {
                let line = Line::new("other", rate * BODY);
                turn.map_or_else(|| Line::new("other", rate * BODY), |(after, turn)| line.turning(Duration::from_millis(after), turn))
            };
            let lines: Vec<_> = others.iter().map(other).chain([Line::new("honest", 50 * BODY)]).map(Arc::new).collect();
            fetch_all(&as_one(&lines, Settings::default()), 100, lanes).await
        });
        prop_assert!(took.as_ref().is_ok_and(|took| took.as_secs() < 200), "{took:?}");
    }
}

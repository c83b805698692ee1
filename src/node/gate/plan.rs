//! Whether a node is fit to be published: conditions over what it said, each with its value. Pure.
//!
//! What a node does not tell is unknown, and unknown is not enough, except where nothing is asked for.

use std::time::Duration;

use serde::Serialize;

use crate::{node::probe::Status, types::Timestamp};

/// The longest time between blocks at which a node is asked twice, to see it grow. Of slower chains the newest block's age tells more.
pub const LONGEST_TO_WATCH: Duration = Duration::from_secs(30);

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time between two blocks.
    pub block_time: Duration,
    /// How old its newest block may be.
    pub max_head_age: Duration,
    /// How many peers it must have.
    pub min_peers: u64,
    /// How many blocks it may be behind the reference, or behind the highest block it has heard of.
    pub max_lag_blocks: Option<u64>,
    /// What names the chain that it must be on, where that is known beforehand: hash of the genesis block or id of the chain.
    pub chain: Option<String>,
}

impl Policy {
    /// Whether the node is seen to grow by asking twice.
    #[must_use]
    pub fn asks_twice(&self) -> bool {
        self.block_time <= LONGEST_TO_WATCH
    }
}

/// What the channel shows already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Height of its newest snapshot.
    pub height: Option<u64>,
    /// What that says names its chain.
    pub genesis: Option<String>,
}

/// The block that the operator says the database contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Its height.
    pub height: Option<u64>,
    /// Its hash.
    pub block_hash: Option<String>,
}

/// How high another node is that the operator compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// There is none.
    #[default]
    None,
    /// It does not tell, for this reason.
    Silent(String),
    /// Its newest block.
    At(u64),
}

/// What `status`, of the node named `name`, says that can be compared with what `own` says. Heights of two chains cannot.
#[must_use]
pub fn reference(name: &str, own: &Status, status: &Status) -> Reference {
    let differs = |own: &Option<String>, other: &Option<String>| own.as_ref().zip(other.as_ref()).is_some_and(|(a, b)| !same(a, b));
    if differs(&own.genesis, &status.genesis) || differs(&own.chain_id, &status.chain_id) {
        return Reference::Silent(format!("{name} is on another chain"));
    }
    status.height().map_or_else(|| Reference::Silent(format!("{name} has no block")), Reference::At)
}

/// What the node said.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When it was asked first.
    pub first: Status,
    /// When it was asked again, if it was.
    pub again: Option<Status>,
    /// The other node.
    pub reference: Reference,
    /// Its hash of the block at the height that the operator gives.
    pub hash_at_given: Option<String>,
}

impl Seen {
    /// What it said last.
    #[must_use]
    pub fn last(&self) -> &Status {
        self.again.as_ref().unwrap_or(&self.first)
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does.
    Met,
    /// It does not.
    NotMet,
    /// The node does not tell.
    Unknown,
}

/// A condition of the gate. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What it is about.
    pub name: &'static str,
    /// What was found; `None`: the node does not tell.
    pub value: Option<String>,
    /// What is wanted.
    pub wanted: String,
    /// Whether it holds.
    pub verdict: Verdict,
}

impl Condition {
    pub(super) fn new(name: &'static str, value: Option<String>, wanted: impl Into<String>, verdict: Verdict) -> Self {
        Self { name, value, wanted: wanted.into(), verdict }
    }

    /// A value that is known or not, and holds or not where it is.
    fn of<T: ToString>(name: &'static str, value: Option<T>, wanted: impl Into<String>, holds: impl FnOnce(&T) -> bool) -> Self {
        let verdict = match value.as_ref().map(holds) {
            Some(true) => Verdict::Met,
            Some(false) => Verdict::NotMet,
            None => Verdict::Unknown,
        };
        Self::new(name, value.map(|value| value.to_string()), wanted, verdict)
    }

    /// The condition where nothing is asked for.
    fn free(self) -> Self {
        Self { wanted: "anything".to_owned(), verdict: Verdict::Met, ..self }
    }

    /// One line: `peers: 3, wanted at least 5`.
    #[must_use]
    pub fn line(&self) -> String {
        let mark = match self.verdict {
            Verdict::Met => "met    ",
            Verdict::NotMet => "NOT met",
            Verdict::Unknown => "unknown",
        };
        format!("{mark}  {}: {}, wanted {}", self.name, self.value.as_deref().unwrap_or("not told"), self.wanted)
    }
}

/// Judges what the node said at `now`. The node is fit when every condition is met.
#[must_use]
pub fn judge(policy: &Policy, shown: &Shown, given: &Given, seen: &Seen, now: Timestamp) -> Vec<Condition> {
    let status = seen.last();
    let mut conditions = Vec::new();
    conditions.extend(status.tells_synced.then(|| synced(status)));
    conditions.push(peers(policy, status));
    conditions.extend(policy.asks_twice().then(|| growing(seen)));
    // A node also grows while it catches up, and some say that they are synced before they know anybody who has more.
    let tells_time = status.head.as_ref().is_some_and(|head| head.time.is_some());
    conditions.extend((!policy.asks_twice() || !status.tells_synced || tells_time).then(|| head_age(policy, status, now)));
    conditions.extend(lag(policy, status, &seen.reference));
    conditions.push(chain(policy, shown, status));
    conditions.push(height(shown, given, status));
    conditions.extend(given_block(given, seen));
    conditions
}

/// Whether every condition is met.
#[must_use]
pub fn is_met(conditions: &[Condition]) -> bool {
    conditions.iter().all(|condition| condition.verdict == Verdict::Met)
}

fn synced(status: &Status) -> Condition {
    let word = status.synced.map(|synced| if synced { "yes" } else { "no" });
    Condition::of("synced", word, "yes", |word| *word == "yes")
}

fn peers(policy: &Policy, status: &Status) -> Condition {
    let condition = Condition::of("peers", status.peers, format!("at least {}", policy.min_peers), |peers| *peers >= policy.min_peers);
    if policy.min_peers == 0 { condition.free() } else { condition }
}

fn growing(seen: &Seen) -> Condition {
    let heights = seen.first.height().zip(seen.again.as_ref().and_then(Status::height));
    let text = |(first, again): (u64, u64)| format!("{first}, then {again}");
    let verdict = match heights {
        Some((first, again)) if again > first => Verdict::Met,
        Some(_) => Verdict::NotMet,
        None => Verdict::Unknown,
    };
    let value = if seen.again.is_none() { Some("not asked again".to_owned()) } else { heights.map(text) };
    Condition::new("growing", value, "a new block", verdict)
}

fn head_age(policy: &Policy, status: &Status, now: Timestamp) -> Condition {
    let age = status.head.as_ref().and_then(|head| head.time).map(|time| now.duration_since(time).as_secs());
    let most = policy.max_head_age.as_secs();
    // A block from the future says as little: one of the clocks is wrong.
    let holds = |age: &i64| age.unsigned_abs() <= most;
    let verdict = age.as_ref().map_or(Verdict::Unknown, |age| if holds(age) { Verdict::Met } else { Verdict::NotMet });
    Condition::new("head-age", age.map(|age| format!("{age} s")), format!("at most {most} s"), verdict)
}

fn lag(policy: &Policy, status: &Status, reference: &Reference) -> Option<Condition> {
    let most = policy.max_lag_blocks?;
    let highest = match reference {
        Reference::At(height) => Some((*height).max(status.best_known.unwrap_or(0))),
        Reference::None => status.best_known,
        Reference::Silent(reason) => {
            let value = Some(format!("the reference does not tell: {reason}"));
            return Some(Condition::new("lag", value, format!("at most {most} blocks"), Verdict::Unknown));
        }
    };
    let behind = highest.zip(status.height()).map(|(highest, own)| highest.saturating_sub(own));
    Some(Condition::of("lag", behind, format!("at most {most} blocks"), |behind| *behind <= most))
}

/// What names the chain must be what the profile says, and what the channel's newest snapshot says.
fn chain(policy: &Policy, shown: &Shown, status: &Status) -> Condition {
    let names: Vec<&String> = status.genesis.iter().chain(&status.chain_id).collect();
    let said = (!names.is_empty()).then(|| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
    let of_profile = policy.chain.as_ref().map(|wanted| (wanted, !names.is_empty(), names.iter().any(|name| same(name, wanted))));
    let is_shown = |wanted: &str| status.genesis.as_ref().is_some_and(|genesis| same(genesis, wanted));
    let of_channel = shown.genesis.as_ref().map(|wanted| (wanted, status.genesis.is_some(), is_shown(wanted)));
    let asked: Vec<_> = of_profile.into_iter().chain(of_channel).collect();
    let condition = Condition::new("chain", said, "", Verdict::Met);
    // What is wrong counts more than what is unknown.
    let wrong = asked.iter().find(|(_, known, holds)| *known && !holds).map(|(wanted, ..)| (wanted, Verdict::NotMet));
    let unknown = asked.iter().find(|(_, known, _)| !known).map(|(wanted, ..)| (wanted, Verdict::Unknown));
    match (wrong.or(unknown), asked.first()) {
        (Some((wanted, verdict)), _) => Condition { wanted: (*wanted).clone(), verdict, ..condition },
        (None, Some((wanted, ..))) => Condition { wanted: (*wanted).clone(), ..condition },
        (None, None) => condition.free(),
    }
}

fn height(shown: &Shown, given: &Given, status: &Status) -> Condition {
    let least = shown.height.max(given.height);
    let condition = Condition::of("height", status.height(), format!("at least {}", least.unwrap_or(0)), |own| Some(*own) >= least);
    if least.is_none() && status.height().is_none() { condition.free() } else { condition }
}

/// The operator's word and the node's must agree.
fn given_block(given: &Given, seen: &Seen) -> Option<Condition> {
    let wanted = given.block_hash.as_ref()?;
    Some(Condition::of("block-hash", seen.hash_at_given.clone(), wanted.clone(), |found| same(found, wanted)))
}

/// Whether two hashes or ids are one, however they are written.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches("0x").to_ascii_lowercase();
    bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;
    use crate::node::probe::Block;

    fn now() -> Timestamp {
        "2026-11-20T03:00:00Z".parse().unwrap()
    }

    fn status(height: u64) -> Status {
        let time = now() - jiff::SignedDuration::from_secs(20);
        Status {
            synced: Some(true),
            tells_synced: true,
            peers: Some(7),
            head: Some(Block { height, hash: Some("0xab".into()), time: Some(time) }),
            best_known: Some(height),
            genesis: Some("0xGen".into()),
            chain_id: Some("1".into()),
            ..Status::default()
        }
    }

    fn policy() -> Policy {
        let seconds = Duration::from_secs;
        Policy { block_time: seconds(12), max_head_age: seconds(600), min_peers: 5, max_lag_blocks: Some(3), chain: Some("1".into()) }
    }

    fn shown() -> Shown {
        Shown { height: Some(100), genesis: Some("gen".into()) }
    }

    fn seen() -> Seen {
        Seen { first: status(100), again: Some(status(101)), reference: Reference::At(102), hash_at_given: None }
    }

    fn judged(policy: &Policy, seen: &Seen) -> Vec<Condition> {
        judge(policy, &shown(), &Given::default(), seen, now())
    }

    fn verdict(conditions: &[Condition], name: &str) -> Verdict {
        conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}")).verdict
    }

    #[test]
    fn a_reference_on_another_chain_says_nothing_of_the_height() {
        let of = |change: &dyn Fn(&mut Status)| {
            let mut other = status(200);
            change(&mut other);
            reference("other.example", &status(100), &other)
        };
        assert_eq!(of(&|_| {}), Reference::At(200));
        // What one of them does not tell is no difference.
        assert_eq!(of(&|other| (other.genesis, other.chain_id) = (None, None)), Reference::At(200));
        let another = Reference::Silent("other.example is on another chain".to_owned());
        assert_eq!(of(&|other| other.genesis = Some("0xother".into())), another);
        assert_eq!(of(&|other| other.chain_id = Some("2".into())), another);
        assert_eq!(of(&|other| other.head = None), Reference::Silent("other.example has no block".to_owned()));
        assert_eq!(verdict(&judged(&policy(), &Seen { reference: another, ..seen() }), "lag"), Verdict::Unknown);
    }

    #[test]
    fn a_node_that_catches_up_is_not_fit_although_it_grows_and_says_that_it_is_synced() {
        let old = with(|status| {
            let head = status.head.as_mut().unwrap();
            head.time = Some(now() - jiff::SignedDuration::from_secs(3_600));
        });
        assert_eq!(verdict(&judged(&policy(), &old), "head-age"), Verdict::NotMet);
        assert_eq!(verdict(&judged(&policy(), &seen()), "head-age"), Verdict::Met);
        let silent = with(|status| status.head.as_mut().unwrap().time = None);
        assert!(judged(&policy(), &silent).iter().all(|condition| condition.name != "head-age"));
    }

    /// The same with something changed in both answers.
    fn with(change: impl Fn(&mut Status)) -> Seen {
        let mut seen = seen();
        change(&mut seen.first);
        seen.again.as_mut().into_iter().for_each(change);
        seen
    }

    #[test]
    fn a_node_that_is_fit_meets_every_condition_and_each_has_its_value() {
        let lines: Vec<String> = judged(&policy(), &seen()).iter().map(Condition::line).collect();
        assert_eq!(
            lines,
            [
                "met      synced: yes, wanted yes",
                "met      peers: 7, wanted at least 5",
                "met      growing: 100, then 101, wanted a new block",
                "met      head-age: 20 s, wanted at most 600 s",
                "met      lag: 1, wanted at most 3 blocks",
                "met      chain: 0xGen, 1, wanted 1",
                "met      height: 101, wanted at least 100",
            ]
        );
        assert!(is_met(&judged(&policy(), &seen())));
    }

    // PU-08
    #[test]
    fn each_way_of_being_unfit_fails_its_own_condition_and_no_other() {
        use Verdict::{NotMet, Unknown};
        let old = now() - jiff::SignedDuration::from_secs(601);
        let slow = Policy { block_time: Duration::from_secs(600), ..policy() };
        type Case = (&'static str, Policy, Seen, Verdict);
        let cases: Vec<Case> = vec![
            ("synced", policy(), with(|s| s.synced = Some(false)), NotMet),
            ("synced", policy(), with(|s| s.synced = None), Unknown),
            ("peers", policy(), with(|s| s.peers = Some(4)), NotMet),
            ("peers", policy(), with(|s| s.peers = None), Unknown),
            ("growing", policy(), Seen { again: Some(status(100)), ..seen() }, NotMet),
            ("growing", policy(), Seen { first: status(102), ..seen() }, NotMet),
            ("head-age", slow.clone(), with(|s| s.head.as_mut().unwrap().time = Some(old)), NotMet),
            (
                "head-age",
                slow.clone(),
                with(|s| s.head.as_mut().unwrap().time = Some(now() + jiff::SignedDuration::from_secs(601))),
                NotMet,
            ),
            ("head-age", slow, with(|s| s.head.as_mut().unwrap().time = None), Unknown),
            ("lag", policy(), Seen { reference: Reference::At(105), ..seen() }, NotMet),
            ("lag", policy(), with(|s| s.best_known = Some(200)), NotMet),
            ("lag", policy(), Seen { reference: Reference::Silent("no answer".into()), ..seen() }, Unknown),
            ("chain", policy(), with(|s| s.chain_id = Some("61".into())), NotMet),
            ("chain", policy(), with(|s| s.genesis = Some("0xother".into())), NotMet),
            ("chain", policy(), with(|s| s.genesis = None), Unknown),
        ];
        for (name, policy, seen, expected) in cases {
            let conditions = judged(&policy, &seen);
            let unmet: Vec<_> = conditions.iter().filter(|c| c.verdict != Verdict::Met).map(|c| (c.name, c.verdict)).collect();
            assert_eq!(unmet, [(name, expected)], "{name}");
        }
    }

    #[test]
    fn the_height_may_be_that_of_the_channel_and_not_lower() {
        let at = |height| Seen { first: status(height - 1), again: Some(status(height)), ..seen() };
        let free = Policy { max_lag_blocks: None, ..policy() };
        assert_eq!(verdict(&judged(&free, &at(100)), "height"), Verdict::Met);
        assert_eq!(verdict(&judged(&free, &at(99)), "height"), Verdict::NotMet);
    }

    #[test]
    fn a_node_that_was_not_asked_again_is_not_known_to_grow() {
        assert_eq!(verdict(&judged(&policy(), &Seen { again: None, ..seen() }), "growing"), Verdict::Unknown);
    }

    #[test]
    fn a_node_that_never_says_if_it_is_synced_is_judged_by_its_newest_block_too() {
        let silent = with(|s| (s.tells_synced, s.synced) = (false, None));
        let conditions = judged(&policy(), &silent);
        assert!(is_met(&conditions) && conditions.iter().all(|c| c.name != "synced"));
        let old = now() - jiff::SignedDuration::from_hours(1);
        let catching_up = with(|s| {
            (s.tells_synced, s.synced) = (false, None);
            s.head.as_mut().unwrap().time = Some(old);
        });
        assert_eq!(verdict(&judged(&policy(), &catching_up), "head-age"), Verdict::NotMet);
    }

    #[test]
    fn where_nothing_is_asked_for_unknown_is_enough() {
        let nothing = Policy { min_peers: 0, max_lag_blocks: None, chain: None, ..policy() };
        let silent = with(|s| (s.peers, s.best_known, s.genesis, s.chain_id) = (None, None, None, None));
        assert!(is_met(&judge(&nothing, &Shown::default(), &Given::default(), &silent, now())));
    }

    #[test]
    fn what_the_operator_says_and_what_the_node_says_must_agree() {
        let given = |height, hash: Option<&str>| Given { height: Some(height), block_hash: hash.map(str::to_owned) };
        let judged = |given: &Given, found: Option<&str>| {
            let seen = Seen { hash_at_given: found.map(str::to_owned), ..seen() };
            judge(&policy(), &shown(), given, &seen, now())
        };
        assert!(is_met(&judged(&given(101, Some("0xAB")), Some("ab"))));
        assert_eq!(verdict(&judged(&given(101, Some("0xcd")), Some("0xab")), "block-hash"), Verdict::NotMet);
        assert_eq!(verdict(&judged(&given(101, Some("0xcd")), None), "block-hash"), Verdict::Unknown);
        assert_eq!(verdict(&judged(&given(102, None), None), "height"), Verdict::NotMet);
    }

    fn any_status() -> impl Strategy<Value = Status> {
        let block = (90..110_u64, option::of(-1000..1000_i64)).prop_map(|(height, age)| Block {
            height,
            hash: None,
            time: age.map(|age| now() - jiff::SignedDuration::from_secs(age)),
        });
        let name = option::of(prop_oneof![Just("0xGen".to_owned()), Just("other".to_owned())]);
        (option::of(any::<bool>()), any::<bool>(), option::of(0..9_u64), option::of(block), option::of(90..130_u64), name).prop_map(
            |(synced, tells_synced, peers, head, best_known, genesis)| Status {
                synced,
                tells_synced,
                peers,
                head,
                best_known,
                genesis,
                chain_id: Some("1".into()),
                ..Status::default()
            },
        )
    }

    proptest! {
        #[test]
        fn a_node_passes_only_if_everything_that_is_asked_for_is_known_and_right(
            first in any_status(), again in option::of(any_status()), block_time in prop_oneof![Just(12_u64), Just(600)], least in 0..6_u64,
        ) {
            let policy = Policy { block_time: Duration::from_secs(block_time), min_peers: least, ..policy() };
            let seen = Seen { first: first.clone(), again, reference: Reference::None, hash_at_given: None };
            if is_met(&judged(&policy, &seen)) {
                let last = seen.last();
                prop_assert!(last.synced == Some(true) || !last.tells_synced);
                prop_assert!(last.peers.unwrap_or(0) >= least);
                prop_assert_eq!(last.genesis.as_deref(), Some("0xGen"));
                prop_assert!(last.height().is_some_and(|height| height >= 100 && last.best_known.unwrap() <= height + 3));
                let fresh = last.head.as_ref().and_then(|head| head.time).is_some_and(|time| now().duration_since(time).as_secs() <= 600);
                prop_assert!(fresh || (block_time == 12 && last.tells_synced));
                prop_assert!(block_time == 600 || last.height() > first.height());
            }
        }
    }
}

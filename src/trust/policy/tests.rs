//! Every rule as a table, and two properties: the order of sources does not matter, and nothing is ever forgotten.

use proptest::prelude::*;

use super::*;
use crate::trust::{
    fixture::{channel, head, hours, minutes, no_offer, offer, repo, role, root, signed_head, signed_root, simple_root},
    offer::Answer,
};

/// A repository with root key 1 and publish key 2, and what a client has seen of it.
struct World {
    repo: Hash,
    first: Vec<u8>,
    stored: RepoState,
    now: Timestamp,
    roots: Vec<Offer>,
}

impl World {
    fn new() -> Self {
        Self::of(&simple_root(1), &[1])
    }

    fn of(first: &Root, signers: &[u8]) -> Self {
        let first = signed_root(first, signers);
        let stored = RepoState { roots: vec![first.clone()], ..RepoState::default() };
        Self { repo: repo(&first), first, stored, now: hours(0), roots: Vec::new() }
    }

    fn head(&self, seq: u64) -> Head {
        head(self.repo, seq)
    }

    fn signed(&self, seq: u64) -> Vec<u8> {
        signed_head(&self.head(seq), &[2])
    }

    fn having_seen(mut self, seq: u64) -> Self {
        self.stored.heads.insert(channel(), self.signed(seq));
        self.stored.last_time = Some(self.head(seq).issued);
        self
    }

    fn decide(&self, heads: &[Offer]) -> Decision {
        decide(&Inputs {
            repo: self.repo,
            channel: &channel(),
            now: self.now,
            release_date: RELEASE_DATE,
            stored: &self.stored,
            roots: &self.roots,
            heads,
        })
    }

    fn refusal(&self, heads: &[Offer]) -> Refusal {
        self.decide(heads).outcome.unwrap_err()
    }

    fn accepted(&self, heads: &[Offer]) -> Accepted {
        self.decide(heads).outcome.unwrap()
    }
}

#[test]
fn accepts_a_valid_head_and_remembers_it() {
    let world = World::new();
    let decision = world.decide(&[offer("a", &world.signed(5))]);
    assert_eq!(decision.outcome.unwrap().head.seq, 5);
    assert_eq!(decision.state.heads[&channel()], world.signed(5));
    assert_eq!(decision.state.last_time, Some(world.head(5).issued));
}

// OP-06
#[test]
fn a_wrong_clock_is_neither_expired_nor_accepted() {
    let mut world = World::new().having_seen(5);
    let issued = world.head(5).issued;
    let tolerance = jiff::SignedDuration::from_mins(10);
    let table = [
        ("1970", Timestamp::UNIX_EPOCH, Err("clock")),
        ("before the release", RELEASE_DATE - jiff::SignedDuration::from_secs(1), Err("clock")),
        ("yesterday", hours(-24), Err("clock")),
        ("eleven minutes before the last head", issued - tolerance - jiff::SignedDuration::from_secs(1), Err("clock")),
        ("ten minutes before the last head", issued - tolerance, Ok(5)),
        ("now", hours(0), Ok(5)),
        ("2038", "2038-01-19T03:14:07Z".parse().unwrap(), Err("root-expired")),
    ];
    for (what, now, expected) in table {
        world.now = now;
        let decision = world.decide(&[offer("a", &world.signed(5))]);
        let found = decision.outcome.map(|accepted| accepted.head.seq).map_err(|refusal| refusal.code());
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn stored_roots_that_do_not_hold_together_are_no_first_run() {
    let mut world = World::new();
    world.stored.roots = vec![signed_root(&simple_root(2), &[1])];
    assert_eq!(world.refusal(&[offer("a", &world.signed(5))]).code(), "state");
}

#[test]
fn the_first_contact_needs_the_pinned_root() {
    let mut world = World::new();
    world.stored.roots.clear();
    let heads = [offer("a", &world.signed(5))];
    assert_eq!(world.refusal(&heads).code(), "absent");
    world.roots = vec![offer("a", &signed_root(&root(1, role(&[9], 1), role(&[9], 1), &[9]), &[9]))];
    assert_eq!(world.refusal(&heads).code(), "pin-mismatch");
    world.roots.push(offer("b", &world.first));
    assert_eq!(world.decide(&heads).state.roots, std::slice::from_ref(&world.first));
    assert_eq!(world.accepted(&heads).head.seq, 5);
}

// HM-15, HM-16
#[test]
fn a_root_that_does_not_fit_leaves_the_old_one_in_force() {
    let table = [
        ("signed by new keys only", signed_root(&root(2, role(&[3], 1), role(&[4], 1), &[3, 4]), &[3])),
        ("version 3", signed_root(&simple_root(3), &[1])),
        ("nonsense", b"<html>".to_vec()),
    ];
    for (what, bytes) in table {
        let mut world = World::new();
        world.roots =
            vec![offer("a", &bytes), no_offer("b", Answer::Failed("503".to_owned())), no_offer("c", Answer::Denied("403".to_owned()))];
        let decision = world.decide(&[offer("a", &world.signed(5))]);
        assert_eq!(decision.state.roots, world.stored.roots, "{what}");
        assert_eq!(decision.outcome.unwrap().head.seq, 5, "{what}");
    }
}

// HM-17
#[test]
fn goes_on_by_sixty_four_roots_in_one_run() {
    let mut world = World::new();
    world.roots = (2..=80).rev().map(|version| offer("a", &signed_root(&simple_root(version), &[1]))).collect();
    let decision = world.decide(&[offer("a", &world.signed(5))]);
    assert_eq!(decision.state.roots.len(), 65);
    world.stored = decision.state;
    assert_eq!(world.decide(&[offer("a", &world.signed(5))]).state.roots.len(), 80);
}

#[test]
fn two_different_next_roots_are_refused() {
    let mut world = World::new();
    let other = Root { name: "other".to_owned(), ..simple_root(2) };
    world.roots = vec![offer("a", &signed_root(&simple_root(2), &[1])), offer("b", &signed_root(&other, &[1]))];
    let refusal = world.refusal(&[offer("a", &world.signed(5))]);
    assert!(matches!(refusal.reason, Reason::Equivocation { what: "root", number: 2, .. }), "{refusal:?}");
}

#[test]
fn an_expired_root_ends_everything_until_a_new_one_comes() {
    let mut world = World::of(&Root { expires: hours(-1), ..simple_root(1) }, &[1]);
    let heads = [offer("a", &world.signed(5))];
    assert_eq!(world.refusal(&heads).reason, Reason::RootExpired { version: 1, expired: hours(-1), now: hours(0) });
    assert_eq!(world.refusal(&[no_offer("a", Answer::Failed("down".to_owned()))]).code(), "root-expired");
    world.roots = vec![offer("a", &signed_root(&simple_root(2), &[1]))];
    assert_eq!(world.accepted(&heads).head.seq, 5);
}

#[test]
fn refuses_each_defect_of_a_head_with_its_own_code() {
    let world = World::new().having_seen(180);
    let other_repo = Hash::of(b"another repository");
    let head = |change: &dyn Fn(&mut Head)| {
        let mut head = world.head(184);
        change(&mut head);
        signed_head(&head, &[2])
    };
    let html = b"<!DOCTYPE html><title>Log in</title>".to_vec();
    let table: [(&str, Vec<u8>, &str); 13] = [
        ("HM-06", head(&|head| head.seq = 179), "rollback"),
        ("HM-06, and expired as well", head(&|head| (head.seq, head.expires) = (179, minutes(-1))), "rollback"),
        ("HM-07", head(&|head| head.expires = hours(0)), "expired"),
        ("HM-09: another repository", head(&|head| head.repo = other_repo), "untrusted"),
        ("HM-09: another channel", head(&|head| head.channel = "polkadot/rocksdb-pruned".parse().unwrap()), "untrusted"),
        ("HM-10: as the one seen, and different", head(&|head| (head.seq, head.window_hours) = (180, 1)), "equivocation"),
        ("HM-11", html, "not-a-head"),
        ("HM-15: needs a newer root", head(&|head| head.root_version = 2), "root-withheld"),
        ("issued in the future", head(&|head| head.issued = minutes(11)), "from-future"),
        ("the wrong key", signed_head(&world.head(184), &[1]), "untrusted"),
        ("no key", signed_head(&world.head(184), &[]), "untrusted"),
        ("a root in its place", world.first.clone(), "not-a-head"),
        ("no bytes", Vec::new(), "not-a-head"),
    ];
    for (what, bytes, code) in table {
        let refusal = world.refusal(&[offer("a", &bytes)]);
        assert_eq!(refusal.code(), code, "{what}: {refusal}");
        assert_eq!(refusal.lines().len(), 1, "{what}");
        let other = world.accepted(&[offer("a", &bytes), offer("b", &world.signed(184))]);
        assert_eq!(other.head.seq, 184, "{what}: one honest source is enough");
        assert!(matches!(&other.standings[0], (_, Standing::Refused(reason)) if reason.code() == code), "{what}");
    }
}

#[test]
fn the_times_of_a_head_have_a_tolerance_of_ten_minutes() {
    let world = World::new();
    let early = Head { issued: minutes(10), ..world.head(5) };
    let late = Head { expires: hours(0) + jiff::SignedDuration::from_secs(1), ..world.head(5) };
    for head in [early, late] {
        assert_eq!(world.accepted(&[offer("a", &signed_head(&head, &[2]))]).head.seq, 5);
    }
}

#[test]
fn a_root_can_keep_channels_to_itself() {
    let narrow = Root { channels: vec!["polkadot/*".parse().unwrap()], ..simple_root(1) };
    let world = World::of(&narrow, &[1]);
    let refusal = world.refusal(&[offer("a", &world.signed(5))]);
    assert_eq!(refusal.reason, Reason::Untrusted { why: Distrust::ChannelNotAllowed { version: 1 } });
}

#[test]
fn counts_k_of_n_publish_keys() {
    let table: [(&[u8], bool); 5] = [(&[2, 3], true), (&[2, 3, 4], true), (&[2], false), (&[2, 2], false), (&[2, 9], false)];
    for (signers, expected) in table {
        let world = World::of(&root(1, role(&[1], 1), role(&[2, 3, 4], 2), &[1, 2, 3, 4]), &[1]);
        let decision = world.decide(&[offer("a", &signed_head(&world.head(5), signers))]);
        assert_eq!(decision.outcome.is_ok(), expected, "{signers:?}");
    }
}

// HM-08
#[test]
fn takes_the_freshest_head_and_notes_who_lags() {
    let world = World::new().having_seen(180);
    let accepted = world.accepted(&[offer("a", &world.signed(181)), offer("b", &world.signed(184)), offer("c", &world.signed(179))]);
    assert_eq!(accepted.head.seq, 184);
    assert_eq!(accepted.standings[0].1, Standing::Behind { seq: 181 });
    assert_eq!(accepted.standings[1].1, Standing::Current);
    assert_eq!(accepted.standings[2].1, Standing::Refused(Reason::Rollback { offered: 179, seen: 180 }));
}

// HM-10
#[test]
fn two_heads_with_the_highest_number_are_refused_with_both_hashes() {
    let world = World::new();
    let other = signed_head(&Head { window_hours: 1, ..world.head(184) }, &[2]);
    let refusal = world.refusal(&[offer("a", &world.signed(184)), offer("b", &other), offer("c", &world.signed(183))]);
    let payload = |bytes: &[u8]| Envelope::parse(bytes).unwrap().payload_hash();
    let (a, b) = (payload(&world.signed(184)), payload(&other));
    assert_eq!(refusal.reason, Reason::Equivocation { what: "head", number: 184, payloads: (a.min(b), a.max(b)) });
    assert_eq!(refusal.sources.iter().map(|s| s.source.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

// HM-10
#[test]
fn of_three_heads_with_one_number_the_same_two_are_named_in_any_order() {
    let world = World::new();
    let twin = |window_hours| offer("any", &signed_head(&Head { window_hours, ..world.head(184) }, &[2]));
    let named = |order: [u32; 3]| world.refusal(&order.map(twin)).reason;
    let first = named([1, 2, 3]);
    assert!([[1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]].into_iter().all(|order| named(order) == first));
}

#[test]
fn the_same_payload_with_other_signatures_is_the_same_head() {
    let world = World::of(&root(1, role(&[1], 1), role(&[2, 3], 1), &[1, 2, 3]), &[1]).having_seen(184);
    let cosigned = signed_head(&world.head(184), &[2, 3]);
    assert_eq!(world.accepted(&[offer("a", &cosigned), offer("b", &world.signed(184))]).head.seq, 184);
}

// AW-04, AW-07
#[test]
fn who_is_not_believed_and_what_is_not_there_have_codes_of_their_own() {
    let world = World::new();
    let expired = Answer::Credentials { fault: crate::types::CredentialFault::Expired, what: "old".to_owned() };
    for (answer, code) in [(expired, "credentials-expired"), (Answer::NoStore("no bucket".to_owned()), "no-such-store")] {
        let offers = [no_offer("down", Answer::Failed("connection refused".to_owned())), no_offer("store", answer)];
        assert_eq!(world.refusal(&offers).reason.code(), code);
    }
}

// HM-19
#[test]
fn the_gravest_reason_is_the_answer_and_all_are_listed() {
    let mut world = World::new();
    let stale = Head { issued: hours(-99), expires: hours(-50), ..world.head(180) };
    let expired = signed_head(&stale, &[2]);
    world.stored.heads.insert(channel(), expired.clone());
    let mut offers = vec![
        (no_offer("absent", Answer::Absent), "absent"),
        (no_offer("down", Answer::Failed("connection refused".to_owned())), "network"),
        (no_offer("denied", Answer::Denied("403".to_owned())), "denied"),
        (no_offer("portal", Answer::Unfit("3 MiB".to_owned())), "not-a-head"),
        (offer("expired", &expired), "expired"),
        (offer("stranger", &signed_head(&world.head(181), &[7])), "untrusted"),
        (offer("withheld", &signed_head(&Head { root_version: 2, ..world.head(181) }, &[7])), "root-withheld"),
        (offer("rollback", &world.signed(179)), "rollback"),
        (offer("twin", &signed_head(&Head { window_hours: 1, ..stale.clone() }, &[2])), "equivocation"),
    ];
    while let Some((_, gravest)) = offers.last().cloned() {
        let heads: Vec<Offer> = offers.iter().map(|(offer, _)| offer.clone()).collect();
        let refusal = world.refusal(&heads);
        assert_eq!(refusal.code(), gravest);
        assert_eq!(refusal.sources.len(), offers.len());
        for (source, (_, code)) in refusal.sources.iter().zip(&offers) {
            assert_eq!(source.reason.code(), *code, "{source}");
        }
        offers.pop();
    }
}

// AW-09
#[test]
fn a_rotation_ends_the_floor_that_a_stolen_key_raised() {
    let mut world = World::new().having_seen(u64::MAX - 1);
    let rotated = root(2, role(&[1], 1), role(&[3], 1), &[1, 3]);
    world.roots = vec![offer("a", &signed_root(&rotated, &[1]))];
    let honest = signed_head(&Head { root_version: 2, ..world.head(185) }, &[3]);
    let stolen = world.signed(u64::MAX);
    let decision = world.decide(&[offer("a", &honest), offer("thief", &stolen)]);
    assert_eq!(decision.outcome.unwrap().head.seq, 185);
    assert_eq!(decision.state.heads[&channel()], honest);
}

// AW-10
#[test]
fn one_stolen_root_key_of_two_changes_nothing() {
    let mut world = World::of(&root(1, role(&[1, 5], 2), role(&[2], 1), &[1, 2, 5]), &[1, 5]);
    let seized = root(2, role(&[1], 1), role(&[9], 1), &[1, 9]);
    world.roots = vec![offer("a", &signed_root(&seized, &[1, 9]))];
    let decision = world.decide(&[offer("a", &signed_head(&Head { root_version: 2, ..world.head(9) }, &[9]))]);
    assert_eq!(decision.state.roots.len(), 1);
    assert_eq!(decision.outcome.unwrap_err().code(), "root-withheld");
}

#[test]
fn a_refusal_still_keeps_the_newer_root() {
    let mut world = World::new();
    world.roots = vec![offer("a", &signed_root(&simple_root(2), &[1]))];
    assert_eq!(world.decide(&[no_offer("a", Answer::Absent)]).state.roots.len(), 2);
}

#[test]
fn the_repository_is_the_one_that_is_pinned_and_on_offer() {
    let (a, b) = (World::new().first, signed_root(&Root { name: "b".to_owned(), ..simple_root(1) }, &[1]));
    let (on_a, on_b, none) = (offer("x", &a), offer("y", &b), no_offer("z", Answer::Failed("down".to_owned())));
    let choose = |pinned: &[Hash], offers: &[&Offer]| {
        let offers: Vec<Offer> = offers.iter().map(|offer| (*offer).clone()).collect();
        choose_repo(pinned, &offers).map_err(|refusal| refusal.code())
    };
    let (repo_a, repo_b) = (repo(&a), repo(&b));
    assert_eq!(choose(&[repo_a, repo_b], &[&on_a, &none]), Ok(repo_a));
    assert_eq!(choose(&[repo_b], &[&on_a, &on_b]), Ok(repo_b));
    assert_eq!(choose(&[repo_a], &[&none]), Ok(repo_a));
    assert_eq!(choose(&[repo_a, repo_b], &[&on_a, &on_b]), Err("repo-conflict"));
    assert_eq!(choose(&[], &[&on_a]), Err("unknown-repo"));
    assert_eq!(choose(&[repo_b], &[&on_a]), Err("unknown-repo"));
    assert_eq!(choose(&[repo_a, repo_b], &[&none]), Err("network"));
}

#[test]
fn texts_say_how_much_and_since_when() {
    let world = World::new().having_seen(184);
    let rollback = world.refusal(&[offer("https://a", &world.signed(180))]);
    assert_eq!(rollback.to_string(), "rolled back: head 180 on offer, head 184 was seen before");
    assert_eq!(rollback.lines(), ["https://a: rolled back: head 180 on offer, head 184 was seen before"]);
    let expired = world.refusal(&[offer("a", &signed_head(&Head { expires: hours(-51), issued: hours(-99), ..world.head(184) }, &[2]))]);
    assert_eq!(expired.code(), "equivocation", "another payload with the number seen");
    let fresh = World::new();
    let expired = fresh.refusal(&[offer("a", &signed_head(&Head { expires: hours(-51), issued: hours(-99), ..fresh.head(184) }, &[2]))]);
    assert_eq!(expired.to_string(), format!("head 184 expired on {}, 2 d 3 h ago", hours(-51)));
    let html = fresh.refusal(&[offer("a", b"<html>hello</html>")]);
    assert!(html.to_string().starts_with("not a qsync head: looks like a web page, 18 bytes; "), "{html}");
}

/// Heads with few numbers, some different payloads, and every kind of defect.
fn any_offer(repo: Hash) -> impl Strategy<Value = Answer> {
    let head = (1..6_u64, 1..3_u32, 1..3_u32, prop_oneof![Just(2_u8), Just(3), Just(7)], -2..3_i64).prop_map(
        move |(seq, window_hours, root_version, key, expires)| {
            let head = Head { window_hours, root_version, issued: hours(-3), expires: hours(expires), ..head(repo, seq) };
            Answer::Object(signed_head(&head, &[key]))
        },
    );
    prop_oneof![
        8 => head,
        1 => Just(Answer::Absent),
        1 => Just(Answer::Failed("down".to_owned())),
        1 => Just(Answer::Object(b"<html>".to_vec())),
    ]
}

fn any_roots() -> impl Strategy<Value = Vec<Answer>> {
    let good = signed_root(&root(2, role(&[1], 1), role(&[2, 3], 1), &[1, 2, 3]), &[1]);
    let bad = signed_root(&root(2, role(&[8], 1), role(&[7], 1), &[7, 8]), &[8]);
    let twin = signed_root(&Root { name: "twin".to_owned(), ..simple_root(2) }, &[1]);
    let one = prop_oneof![3 => Just(Answer::Absent), 3 => Just(Answer::Object(good)), 2 => Just(Answer::Object(bad)), 1 => Just(Answer::Object(twin))];
    proptest::collection::vec(one, 0..3)
}

fn named(answers: &[Answer]) -> Vec<Offer> {
    answers.iter().enumerate().map(|(i, answer)| no_offer(&format!("source {i}"), answer.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_order_of_sources_does_not_matter(
        (answers, shuffled) in proptest::collection::vec(any_offer(World::new().repo), 1..5).prop_map(|answers| named(&answers))
            .prop_flat_map(|offers| (Just(offers.clone()), Just(offers).prop_shuffle())),
        roots in any_roots(),
        seen in proptest::option::of(1..6_u64),
    ) {
        let mut world = seen.map_or_else(World::new, |seq| World::new().having_seen(seq));
        world.roots = named(&roots);
        let one = world.decide(&answers);
        world.roots.reverse();
        let other = world.decide(&shuffled);
        prop_assert_eq!(one.state, other.state);
        match (one.outcome, other.outcome) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one.head, other.head),
            (Err(one), Err(other)) => prop_assert_eq!(one.reason, other.reason),
            (one, other) => prop_assert!(false, "{:?} {:?}", one, other),
        }
    }

    #[test]
    fn nothing_on_offer_ever_lowers_what_was_seen(
        rounds in proptest::collection::vec((proptest::collection::vec(any_offer(World::new().repo), 1..4), any_roots()), 1..6),
    ) {
        let mut world = World::new();
        let floor = |world: &World| {
            let chain = RootChain::from_envelopes(world.repo, &world.stored.roots).unwrap().unwrap();
            let head = world.stored.heads.get(&channel()).map(|bytes| Envelope::parse(bytes).unwrap().read::<Head>().unwrap());
            (chain.newest().version, head)
        };
        for (heads, roots) in rounds {
            let (version, before) = floor(&world);
            world.roots = named(&roots);
            let decision = world.decide(&named(&heads));
            prop_assert!(decision.state.last_time >= world.stored.last_time);
            world.stored = decision.state;
            let (new_version, after) = floor(&world);
            prop_assert!(new_version >= version);
            // Root 2 keeps key 2 here, or is a twin that keeps it too: the floor holds over the rotation.
            if let Some(before) = before {
                let after = after.expect("a head once seen stays");
                prop_assert!(after.seq >= before.seq);
                prop_assert!(after.seq > before.seq || after == before);
            }
        }
    }
}

//! What a replica does about the leases: which it takes, which it hands over, and how long it trusts what it has.
//!
//! Pure arithmetic over what a look at the store shows; no I/O, and instants are arguments. The process that runs loops by
//! leases is wired elsewhere. This must never know what a loop does.
//!
//! # Who may write
//! A lease has a token that grows with each taking. The store refuses a write whose token is not the last one or whose time
//! is over by the database's clock. A holder does not wait to be refused: it trusts a lease only until an instant of its own
//! monotonic clock, counted from before it asked for it ([`trusted_until`]), and begins nothing after that. What it had
//! begun is cut then, which is before anybody else can have the lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::limits::{
    LEASE_HAND_OVER_EVERY, LEASE_LEFT_AFTER, LEASE_LEFT_TO_OTHERS, LEASE_MARGIN, LEASE_SPAN, REPLICA_GONE_AFTER,
    REPLICA_QUIET_AFTER,
};
use crate::model::SourceId;
use crate::store::{Fence, Lease, Present, Replica, Standing};

/// What the names of leases begin with that are for polling sources; the sources' names follow, with a plus in between.
pub const POLL: &str = "poll/";

/// Until when a lease is trusted that was asked for at `asked`: less than it lasts, for clocks do not run alike.
pub fn trusted_until(asked: Instant) -> Instant {
    asked + (LEASE_SPAN - LEASE_MARGIN)
}

/// The sources that other replicas than this one poll, as everything stands.
pub fn polled_by_others(standing: &Standing, me: &str) -> BTreeSet<SourceId> {
    let is_others = |lease: &&Lease| lease.until > standing.now && lease.holder.as_deref().is_some_and(|it| it != me);
    let names = standing.leases.iter().filter(is_others).filter_map(|lease| lease.name.strip_prefix(POLL));
    names.flat_map(|names| names.split('+')).map(SourceId::new).collect()
}

/// What a replica does after a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Leases to try to take.
    pub take: Vec<String>,
    /// A lease to hand over.
    pub hand_over: Option<String>,
}

/// How a replica takes part.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its name.
    pub me: &'a str,
    /// By what its configuration is known again.
    pub fingerprint: &'a str,
    /// The leases of all loops that the configuration has.
    pub wanted: &'a BTreeSet<String>,
    /// Those that it holds and trusts.
    pub held: &'a BTreeSet<String>,
    /// Which it handed over last, if it did, and how long ago.
    pub handed_over: Option<(&'a str, Duration)>,
}

/// What the replica does, as everything stands.
///
/// Every replica takes up to its share of what is free: each n-th lease first, so that they are seldom in each other's way
/// and each has some of every kind. The shares are even and add up to all there is, so that what does not divide evenly is not
/// wanted by two. What nobody takes for [`LEASE_LEFT_AFTER`] anybody takes. Who holds more than its share, and two more than
/// somebody else, hands one over now and then, and leaves it to the others: in the end nobody holds two more than another.
/// Whose configuration is not the one in force takes nothing. A loop whose sources or receivers another loop has still, as an
/// older configuration grouped them, waits for that one alone.
pub fn wish(standing: &Standing, part: Part<'_>) -> Wish {
    if standing.in_force.1 != part.fingerprint {
        return Wish::default();
    }
    let by_name: BTreeMap<&str, &Lease> = standing.leases.iter().map(|lease| (lease.name.as_str(), lease)).collect();
    let is_held = |lease: &&Lease| lease.holder.is_some() && lease.until > standing.now;
    let busy: Vec<&str> = standing.leases.iter().filter(is_held).map(|lease| lease.name.as_str()).collect();
    let is_free = |name: &str| !busy.iter().any(|other| share_a_member(other, name));
    let others = partners(standing, part);
    let count = others.len() + 1;
    let place = others.iter().filter(|other| **other < part.me).count();
    let share = part.wanted.len() / count + usize::from(place < part.wanted.len() % count);
    let is_the_others = |name: &str| {
        let just_now = part.handed_over.is_some_and(|(handed, ago)| {
            // Who took it since and gave it up again has no claim any more.
            let taken = by_name.get(name).is_some_and(|lease| age(standing.now, lease.taken_at) < ago);
            handed == name && ago < LEASE_LEFT_TO_OTHERS && !taken
        });
        just_now && !others.is_empty()
    };
    let is_mine_to_take = |name: &str| !part.held.contains(name) && is_free(name) && !is_the_others(name);
    let all = part.wanted.iter().enumerate().filter(|(_, name)| is_mine_to_take(name));
    let (own, rest): (Vec<_>, Vec<_>) = all.partition(|(at, _)| at % count == place);
    let free = own.into_iter().chain(rest).map(|(_, name)| name);
    let is_left =
        |name: &str| by_name.get(name).is_some_and(|lease| age(standing.now, lease.until) >= LEASE_LEFT_AFTER);
    let room = share.saturating_sub(part.held.len());
    let wanted = free.enumerate().filter(|(at, name)| *at < room || is_left(name));
    let take: Vec<String> = wanted.map(|(_, name)| name.clone()).collect();
    let may_hand_over = part.handed_over.is_none_or(|(_, ago)| ago >= LEASE_HAND_OVER_EVERY);
    let held_by = |other: &str| {
        let is_its = |lease: &&Lease| is_held(lease) && lease.holder.as_deref() == Some(other);
        standing.leases.iter().filter(is_its).filter(|lease| part.wanted.contains(&lease.name)).count()
    };
    let least = others.iter().map(|other| held_by(other)).min();
    let is_uneven = least.is_some_and(|least| part.held.len() >= least + 2);
    let has_too_many = part.held.len() > share && is_uneven && take.is_empty();
    // One that is lost without its holder knowing is nobody's to hand over.
    let is_mine = |name: &str| by_name.get(name).is_some_and(|lease| lease.holder.as_deref() == Some(part.me));
    let hand_over = to_hand_over(part.held).filter(|name| has_too_many && may_hand_over && is_mine(name));
    Wish { take, hand_over }
}

/// The leases that stand under the name of `me` and are not among those that it `knows`: they were taken by a call whose answer
/// never came, and nobody runs by them.
pub fn strays(standing: &Standing, me: &str, knows: &BTreeSet<Fence>) -> Vec<Fence> {
    let is_mine = |lease: &&Lease| lease.holder.as_deref() == Some(me) && lease.until > standing.now;
    let mine = standing.leases.iter().filter(is_mine);
    let fences = mine.map(|lease| Fence { name: lease.name.clone(), token: lease.token });
    fences.filter(|fence| !knows.contains(fence)).collect()
}

/// The lease to hand over: the last one of the kind of which there are most.
fn to_hand_over(held: &BTreeSet<String>) -> Option<String> {
    let kind = |name: &str| name.split('/').next().unwrap_or(name).to_string();
    let mut by_kind: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in held {
        by_kind.entry(kind(name)).or_default().push(name);
    }
    by_kind.into_values().max_by_key(Vec::len)?.pop().cloned()
}

/// Whether two leases are the same, or of groups of sources or of receivers that share one: "poll/a+b" and "poll/b".
fn share_a_member(one: &str, other: &str) -> bool {
    match (one.split_once('/'), other.split_once('/')) {
        (Some((kind, members)), Some((other_kind, others))) => {
            kind == other_kind && members.split('+').any(|member| others.split('+').any(|other| other == member))
        }
        _ => one == other,
    }
}

/// The others that share the loops. Who has missed some looks does not: what a dead replica held is free long before it is
/// known to be gone, and must not wait for it.
fn partners<'a>(standing: &'a Standing, part: Part<'_>) -> Vec<&'a str> {
    let is_partner = |one: &&Present| {
        one.replica.id != part.me
            && one.replica.fingerprint == part.fingerprint
            && age(standing.now, one.seen_at) < REPLICA_QUIET_AFTER
    };
    standing.replicas.iter().filter(is_partner).map(|one| one.replica.id.as_str()).collect()
}

/// Whether one of these leases is free, or will be in a moment: who holds it has said goodbye.
pub fn is_something_free(standing: &Standing, wanted: &BTreeSet<String>) -> bool {
    let is_there = |holder: &str| standing.replicas.iter().any(|one| one.replica.id == holder);
    let held = standing.leases.iter().filter(|lease| lease.until > standing.now);
    let held = held.filter(|lease| lease.holder.as_deref().is_some_and(is_there));
    let held: BTreeSet<&str> = held.map(|lease| lease.name.as_str()).collect();
    wanted.iter().any(|name| !held.contains(name.as_str()))
}

/// Whether a replica that has the configuration in force is there, apart from `me`.
pub fn is_in_force_somewhere(standing: &Standing, me: &str) -> bool {
    standing.replicas.iter().any(|one| {
        one.replica.id != me
            && one.replica.fingerprint == standing.in_force.1
            && age(standing.now, one.seen_at) < REPLICA_GONE_AFTER
    })
}

/// Whether others are there who wait for what `me` gives up, whatever their configuration.
pub fn are_others(standing: &Standing, me: &str) -> bool {
    standing.replicas.iter().any(|one| one.replica.id != me && age(standing.now, one.seen_at) < REPLICA_QUIET_AFTER)
}

/// The replicas that are there and have another configuration than the one in force.
pub fn outdated(standing: &Standing) -> impl Iterator<Item = &Replica> {
    let differs = |one: &&Present| {
        one.replica.fingerprint != standing.in_force.1 && age(standing.now, one.seen_at) < REPLICA_GONE_AFTER
    };
    standing.replicas.iter().filter(differs).map(|one| &one.replica)
}

fn age(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    fn replica(id: &str, fingerprint: &str, seen_ms: i64) -> Present {
        let replica = Replica {
            id: id.into(),
            host: "h".into(),
            pid: 1,
            version: "1".into(),
            clock_ahead_ms: 0,
            configuration: 1,
            fingerprint: fingerprint.into(),
        };
        Present { replica, started_at: at(0), seen_at: at(seen_ms) }
    }

    fn lease(name: &str, holder: Option<&str>, until_ms: i64, configuration: i64) -> Lease {
        let holder = holder.map(String::from);
        Lease {
            name: name.into(),
            token: 1,
            holder,
            configuration,
            until: at(until_ms),
            taken_at: at(-60_000),
            status: None,
        }
    }

    fn standing(leases: Vec<Lease>, replicas: Vec<Present>) -> Standing {
        Standing { now: at(0), in_force: (1, "f".into()), leases, replicas }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn wished(standing: &Standing, me: &str, held: &[&str], handed_over: Option<(&str, u64)>) -> Wish {
        let (wanted, held) = (names(&["a", "b", "c", "d"]), names(held));
        let handed_over = handed_over.map(|(name, ago)| (name, Duration::from_secs(ago)));
        wish(standing, Part { me, fingerprint: "f", wanted: &wanted, held: &held, handed_over })
    }

    #[test]
    fn what_others_poll_is_told_by_the_leases_that_they_hold() {
        let leases = vec![
            lease("poll/a+b", Some("y"), 1, 1),
            lease("poll/c", Some("x"), 1, 1),
            lease("poll/d", None, 1, 1),
            lease("poll/e", Some("y"), 0, 1),
            lease("deliver/f", Some("y"), 1, 1),
        ];
        let found = polled_by_others(&standing(leases, vec![]), "x");
        assert_eq!(found.iter().map(SourceId::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn one_takes_everything_and_two_an_even_share() {
        assert_eq!(wished(&standing(vec![], vec![]), "x", &[], None).take, ["a", "b", "c", "d"]);
        let two = vec![replica("x", "f", 0), replica("y", "f", -1000)];
        assert_eq!(wished(&standing(vec![], two.clone()), "x", &[], None).take, ["a", "c"]);
        assert_eq!(wished(&standing(vec![], two.clone()), "y", &[], None).take, ["b", "d"]);
        // Who says nothing takes no share: what it held is free before it is known to be gone.
        let gone = vec![replica("x", "f", 0), replica("y", "f", -6_000)];
        assert_eq!(wished(&standing(vec![], gone), "x", &[], None).take.len(), 4);
        let taken = vec![lease("a", Some("x"), 9000, 1), lease("b", Some("y"), 9000, 1), lease("c", None, -100, 1)];
        assert_eq!(wished(&standing(taken, two), "x", &["a"], None).take, ["c"]);
    }

    #[test]
    fn what_is_free_or_is_in_a_moment_is_looked_for() {
        let held = || vec![lease("a", Some("x"), 9000, 1), lease("b", Some("y"), 9000, 1)];
        let is_free =
            |leases, replicas, wanted: &[&str]| is_something_free(&standing(leases, replicas), &names(wanted));
        let both = || vec![replica("x", "f", 0), replica("y", "f", 0)];
        assert!(!is_free(held(), both(), &["a", "b"]));
        assert!(is_free(held(), both(), &["a", "b", "c"]), "nobody has it");
        assert!(is_free(held(), vec![replica("x", "f", 0)], &["a", "b"]), "its holder has said goodbye");
        let over = || vec![lease("a", Some("x"), 9000, 1), lease("b", Some("y"), 0, 1), lease("c", None, 0, 1)];
        assert!(is_free(over(), both(), &["a", "b"]) && is_free(over(), both(), &["c"]));
        assert!(!is_free(over(), both(), &["a"]), "no loop is by the others");
        // Its share is the others' at once.
        let wished = wished(&standing(held()[1..].into(), vec![replica("x", "f", 0)]), "x", &[], None);
        assert_eq!(wished.take, ["a", "c", "d"]);
    }

    #[test]
    fn what_nobody_takes_is_taken_by_who_has_enough() {
        let two = vec![replica("x", "f", 0), replica("y", "f", -4_000)];
        let left = |until| {
            let mut leases: Vec<Lease> = ["a", "b"].map(|name| lease(name, Some("x"), 9000, 1)).into();
            leases.extend(["c", "d"].map(|name| lease(name, Some("y"), until, 1)));
            wished(&standing(leases, two.clone()), "x", &["a", "b"], None).take
        };
        let after = i64::try_from(LEASE_LEFT_AFTER.as_millis()).unwrap();
        assert!(left(1).is_empty() && left(1 - after).is_empty());
        assert_eq!(left(-after), ["c", "d"]);
    }

    #[test]
    fn who_has_too_many_hands_one_over_a_minute() {
        let two = vec![replica("x", "f", 0), replica("y", "f", 0)];
        let all: Vec<Lease> = ["a", "b", "c", "d"].map(|name| lease(name, Some("x"), 9000, 1)).into();
        let all = standing(all, two);
        let held = ["a", "b", "c", "d"];
        assert_eq!(wished(&all, "x", &held, None).hand_over.as_deref(), Some("d"));
        assert_eq!(wished(&all, "x", &held, Some(("d", 59))).hand_over, None);
        assert_eq!(wished(&all, "x", &held[..2], None).hand_over, None);
        let mut lost = all;
        lost.leases[3].holder = Some("z".into());
        assert_eq!(wished(&lost, "x", &held, None).hand_over, None, "another one has it by now");
    }

    #[test]
    fn each_has_some_of_every_kind() {
        let lanes = ["deliver/1", "deliver/2", "deliver/3", "digest", "escalate", "poll/1", "watch"];
        let wanted = names(&lanes);
        let two = standing(vec![], vec![replica("x", "f", 0), replica("y", "f", 0)]);
        let none = BTreeSet::new();
        let part = |me| Part { me, fingerprint: "f", wanted: &wanted, held: &none, handed_over: None };
        assert_eq!(wish(&two, part("x")).take, ["deliver/1", "deliver/3", "escalate", "watch"]);
        assert_eq!(wish(&two, part("y")).take, ["deliver/2", "digest", "poll/1"]);
        assert_eq!(to_hand_over(&wanted).as_deref(), Some("deliver/3"));
        assert_eq!(to_hand_over(&none), None);
    }

    #[test]
    fn who_hands_a_lease_over_leaves_it_to_the_others() {
        let two = |y| vec![replica("x", "f", 0), replica("y", "f", y)];
        let handed = |y| {
            let mut leases: Vec<Lease> = ["a", "b", "c"].map(|name| lease(name, Some("x"), 9000, 1)).into();
            // It was given up three seconds ago.
            leases.push(lease("d", None, -3_000, 1));
            standing(leases, two(y))
        };
        let held = ["a", "b", "c"];
        assert!(wished(&handed(0), "x", &held, Some(("d", 3))).take.is_empty(), "it takes back what it handed over");
        assert_eq!(wished(&handed(0), "y", &[], None).take, ["d"]);
        assert_eq!(wished(&handed(0), "x", &held, Some(("d", 20))).take, ["d"], "the others do not want it");
        assert_eq!(wished(&handed(-6_000), "x", &held, Some(("d", 3))).take, ["d"], "there are no others any more");
        assert_eq!(wished(&handed(0), "x", &held, Some(("c", 3))).take, ["d"]);
        // Another one took it since, and hands it over in its turn: nobody would run it for as long.
        let mut back = handed(0);
        back.leases[3].taken_at = at(-2_000);
        assert_eq!(wished(&back, "x", &held[..1], Some(("d", 3))).take, ["d"]);
    }

    /// Who holds which of so many leases in the end, and when something moved last, if at first lease n is held by replica
    /// `first[n]`. Each looks every five seconds, and more often while something is free, as the replicas do.
    fn spread(first: &[usize], replicas: usize) -> (Vec<usize>, i64) {
        let ids = &["u", "v", "w", "x", "y"][..replicas];
        let wanted: BTreeSet<String> = (0..first.len()).map(|number| format!("deliver/{number:02}")).collect();
        let mut held: BTreeMap<&str, BTreeSet<String>> = ids.iter().map(|id| (*id, BTreeSet::new())).collect();
        for (name, holder) in wanted.iter().zip(first) {
            held.get_mut(ids[holder % replicas]).unwrap().insert(name.clone());
        }
        let (mut handed_over, mut given_up) = (BTreeMap::<&str, (String, i64)>::new(), BTreeMap::<String, i64>::new());
        let (mut now, mut last_move) = (0, 0);
        while now < 40 * 60_000 {
            for me in ids {
                let leases = wanted.iter().map(|name| {
                    let holder = ids.iter().find(|id| held[*id].contains(name)).copied();
                    lease(name, holder, if holder.is_some() { now + 9000 } else { given_up[name] }, 1)
                });
                let present = ids.iter().map(|id| replica(id, "f", now)).collect();
                let stands = Standing { now: at(now), ..standing(leases.collect(), present) };
                let ago = |since: i64| Duration::from_millis(u64::try_from(now - since).unwrap());
                let before = handed_over.get(me).map(|(name, since)| (name.as_str(), ago(*since)));
                let part = Part { me, fingerprint: "f", wanted: &wanted, held: &held[me], handed_over: before };
                let wish = wish(&stands, part);
                if wish != Wish::default() {
                    last_move = now;
                }
                let own = held.get_mut(me).unwrap();
                for name in wish.take {
                    assert!(given_up.remove(&name).is_some(), "{name} is held");
                    own.insert(name);
                }
                if let Some(name) = wish.hand_over {
                    own.remove(&name);
                    given_up.insert(name.clone(), now);
                    handed_over.insert(me, (name, now));
                }
            }
            now += if given_up.is_empty() { 5_000 } else { 200 };
        }
        (held.values().map(BTreeSet::len).collect(), last_move)
    }

    /// Two come to one that has everything, or all three have taken what they could at once.
    #[test]
    fn the_loops_are_spread_evenly_in_the_end() {
        for (first, mut expected) in [
            (vec![0; 3], vec![1, 1, 1]),
            (vec![0; 13], vec![4, 4, 5]),
            (vec![0; 14], vec![4, 5, 5]),
            (vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2], vec![4, 4, 5]),
            (vec![2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0], vec![4, 4, 5]),
        ] {
            let (mut counts, _) = spread(&first, 3);
            counts.sort_unstable();
            expected.sort_unstable();
            assert_eq!(counts, expected, "{first:?}");
        }
        // What is even already stays where it is.
        assert_eq!(spread(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2], 3), (vec![4, 4, 5], 0));
    }

    #[test]
    fn nothing_is_taken_by_another_configuration() {
        let mut others = standing(vec![], vec![]);
        others.in_force = (2, "g".into());
        assert_eq!(wished(&others, "x", &[], None), Wish::default());
        let over = standing(vec![lease("z", Some("y"), -1, 0)], vec![]);
        assert_eq!(wished(&over, "x", &[], None).take.len(), 4);
        assert!(!is_in_force_somewhere(&over, "x"));
        let standing_by = standing(vec![], vec![replica("x", "f", 0), replica("y", "older", -4_000)]);
        assert!(are_others(&standing_by, "x") && are_others(&standing_by, "y"));
        assert!(!are_others(&standing(vec![], vec![replica("x", "f", 0), replica("y", "f", -5_000)]), "x"));
        assert_eq!(outdated(&standing_by).map(|one| one.id.as_str()).collect::<Vec<_>>(), ["y"]);
    }

    /// A call whose answer was lost may have taken a lease all the same.
    #[test]
    fn a_lease_that_nobody_runs_by_is_found_under_ones_own_name() {
        let leases = vec![
            lease("a", Some("x"), 9000, 1),
            Lease { token: 7, ..lease("b", Some("x"), 9000, 1) },
            lease("c", Some("x"), 0, 1),
            lease("d", Some("y"), 9000, 1),
        ];
        let fence = |name: &str, token| Fence { name: name.into(), token };
        let stands = standing(leases, vec![]);
        let found = |knows: &[Fence]| strays(&stands, "x", &knows.iter().cloned().collect());
        assert_eq!(found(&[fence("a", 1), fence("b", 7)]), []);
        assert_eq!(found(&[fence("a", 1), fence("b", 6)]), [fence("b", 7)], "it is another one than it knows");
        assert_eq!(found(&[fence("b", 7)]), [fence("a", 1)]);
    }

    /// A lane of the configuration before that waits for an answer must not keep the sources from being polled.
    #[test]
    fn what_runs_by_the_configuration_before_holds_up_its_own_successor_alone() {
        let wanted = names(&["deliver/hook", "deliver/mail+pager", "own", "poll/a+b", "poll/c"]);
        let held = BTreeSet::new();
        let taken = |busy: &[&str]| {
            let older = busy.iter().map(|name| lease(name, Some("y"), 9000, 0)).collect();
            let part = Part { me: "x", fingerprint: "f", wanted: &wanted, held: &held, handed_over: None };
            wish(&standing(older, vec![]), part).take
        };
        assert_eq!(taken(&["deliver/hook"]), ["deliver/mail+pager", "own", "poll/a+b", "poll/c"]);
        assert_eq!(taken(&["deliver/pager", "poll/b"]), ["deliver/hook", "own", "poll/c"]);
        assert_eq!(taken(&["deliver/mail+hook", "own"]), ["poll/a+b", "poll/c"]);
        assert_eq!(taken(&["poll/hook", "deliver/a", "deliver/ho", "own/c"]).len(), 5, "these are about others");
    }

    /// What may happen to a lease and three processes, in any order. Times are milliseconds.
    #[derive(Debug, Clone)]
    enum Step {
        Pass(u64),
        /// Asks to take or renew; the answer comes when it is heard.
        Ask(usize),
        Hear(usize),
        Freeze(usize),
        Thaw(usize),
        Write(usize),
        Begin(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let who = 0..3_usize;
        let step = prop_oneof![
            3 => (0..20_000_u64).prop_map(Step::Pass),
            3 => who.clone().prop_map(Step::Ask),
            3 => who.clone().prop_map(Step::Hear),
            1 => who.clone().prop_map(Step::Freeze),
            1 => who.clone().prop_map(Step::Thaw),
            3 => who.clone().prop_map(Step::Write),
            3 => who.prop_map(Step::Begin),
        ];
        prop::collection::vec(step, 1..120)
    }

    #[derive(Debug, Clone, Default)]
    struct Process {
        /// The answer that was not heard yet: the token, and when it was asked for.
        answer: Option<(i64, Instant)>,
        /// What it believes to hold.
        held: Option<(i64, Instant)>,
        is_frozen: bool,
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nobody_holds_two_more_than_another_in_the_end(
            first in prop::collection::vec(0_usize..5, 1..20),
            replicas in 2_usize..5,
        ) {
            let (counts, last_move) = spread(&first, replicas);
            prop_assert_eq!(counts.iter().sum::<usize>(), first.len(), "one is nobody's");
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() < 2, "{:?}", counts);
            prop_assert!(last_move < 30 * 60_000, "{:?}: one moves after {} ms still", counts, last_move);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The row of the lease as the statements of the store change it, by the database's clock.
        #[test]
        fn there_is_one_writer_at_a_time_whatever_happens(steps in steps()) {
            let origin = Instant::now();
            let (mut now, mut token, mut until) = (origin, 0_i64, origin);
            let mut holder = None;
            let mut processes = vec![Process::default(); 3];
            let mut last_accepted = 0;
            for step in steps {
                match step {
                    Step::Pass(ms) => now += Duration::from_millis(ms),
                    Step::Freeze(who) => processes[who].is_frozen = true,
                    Step::Thaw(who) => processes[who].is_frozen = false,
                    Step::Ask(who) if !processes[who].is_frozen => {
                        // Renewed where it is held still, taken where it is free.
                        let renews = holder == Some(who) && until > now && processes[who].held.is_some_and(|it| it.0 == token);
                        if !renews && until > now {
                            continue;
                        }
                        if !renews {
                            token += 1;
                            holder = Some(who);
                        }
                        until = now + LEASE_SPAN;
                        processes[who].answer = Some((token, now));
                    }
                    Step::Hear(who) if !processes[who].is_frozen => {
                        if let Some((token, asked)) = processes[who].answer.take() {
                            processes[who].held = Some((token, trusted_until(asked)));
                        }
                    }
                    Step::Write(who) if !processes[who].is_frozen => {
                        let Some((believed, _)) = processes[who].held else { continue };
                        if believed == token && until > now {
                            prop_assert_eq!(holder, Some(who));
                            prop_assert!(token >= last_accepted, "an older token was accepted after a newer one");
                            last_accepted = token;
                        }
                    }
                    Step::Begin(who)
                        if !processes[who].is_frozen
                            && processes[who].held.is_some_and(|(_, trusted)| now < trusted) =>
                    {
                        let others = (0..3).filter(|other| *other != who);
                        let mut trusting = others.filter(|other| processes[*other].held.is_some_and(|it| now < it.1));
                        prop_assert_eq!(trusting.next(), None, "two begin requests at once");
                        prop_assert_eq!(holder, Some(who), "it begins what another may begin");
                    }
                    _ => {}
                }
            }
        }
    }
}

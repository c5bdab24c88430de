//! Thousands of random lives, without a store: laws that hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use nightbell::decide::Decided;
use nightbell::model::{Instance, MessageKind, Status};

use super::{Night, check_ends};
use crate::poll::world::run;

const RULES: &str = "  failed: { match: { job: \"etl*\" }, when: { status: [fail, running-exception] }, notify: [hook, mail] }\n\
     \u{20} slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 30m }, notify: [hook] }\n\
     \u{20} long: { match: { job: \"etl*\" }, when: { duration: 45m }, notify: [hook] }\n\
     \u{20} row: { match: { job: \"etl*\" }, when: { consecutive: 2 }, notify: [hook] }\n";
const WITHOUT_FAILED: &str = "  slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 30m }, notify: [hook] }\n\
     \u{20} long: { match: { job: \"etl*\" }, when: { duration: 45m }, notify: [hook] }\n\
     \u{20} row: { match: { job: \"etl*\" }, when: { consecutive: 2 }, notify: [hook] }\n";
const LIVES: u64 = 20_000;
const STEPS: u64 = 14;

/// Numbers by chance, the same for the same seed.
pub(super) struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// The runs as they are, and each success there was.
struct Truth(Vec<Instance>, Vec<Instance>);

impl Truth {
    fn new(now: Timestamp) -> Truth {
        let plan = [("etl_a", 90), ("etl_a", 50), ("etl_a", 10), ("etl_b", 40), ("quiet", 30)];
        let waiting = |(index, (job, before)): (usize, &(&str, i64))| {
            let due = now - SignedDuration::from_mins(*before);
            Instance { start_time: None, ..run(job, &index.to_string(), Status::Waiting, due, None) }
        };
        Truth(plan.iter().enumerate().map(waiting).collect(), Vec::new())
    }

    fn go_on(&mut self, chance: &mut Chance, now: Timestamp) {
        let count = self.0.len() as u64;
        let run = &mut self.0[chance.below(count) as usize];
        let began = run.start_time;
        (run.status, run.start_time, run.end_time) = match (run.status, chance.below(8)) {
            (Status::Waiting, _) => (Status::Running, Some(now), None),
            (Status::Running, 0..=2) => (Status::Fail, began, Some(now)),
            (Status::Running, 3) => (Status::RunningException, began, None),
            (Status::Running, 4) => (Status::ManualStop, began, Some(now)),
            (Status::Running, _) => (Status::Success, began, Some(now)),
            (Status::RunningException, 0..=3) => (Status::Fail, began, Some(now)),
            (Status::RunningException, _) => (Status::Running, began, None),
            (Status::Fail, 0) => (Status::IgnoredFailure, began, Some(now)),
            (Status::Fail, 1) => (Status::ForcedSuccess, began, Some(now)),
            (_, _) => (Status::Running, Some(now), None),
        };
        run.raw_status = run.status.to_string();
        if run.status.is_recovery() {
            self.1.push(run.clone());
        }
    }
}

/// What was told of an alert, by whom it went to: kinds in their order.
type Told = BTreeMap<String, Vec<MessageKind>>;

fn tell(told: &mut Told, decided: &Decided) {
    check_ends(decided);
    for notice in &decided.notices {
        told.entry(decided.alert(notice.alert).id.to_string()).or_default().push(notice.kind);
    }
}

/// What holds of everything that was told in a life.
fn check_told(told: &Told, seed: u64) {
    for (alert, kinds) in told {
        let firing = kinds.iter().filter(|kind| **kind == MessageKind::AlertFiring).count();
        let over = kinds.iter().filter(|kind| **kind == MessageKind::AlertResolved).count();
        assert!(firing <= 1 && over <= 1, "seed {seed}: {alert} was told twice: {kinds:?}");
        assert!(
            kinds.first() == Some(&MessageKind::AlertFiring) || kinds.len() == 1,
            "seed {seed}: {alert}: {kinds:?}"
        );
    }
}

/// After a poll that has seen everything as it is.
fn check_holds(night: &Night, truth: &Truth, seed: u64) {
    let firing = |rule: &str, id: &str| {
        let is_it = |line: &String| line.starts_with(&format!("{rule} ")) && line.contains(&format!("/{id}"));
        night.firing().iter().any(is_it)
    };
    for run in truth.0.iter().filter(|run| run.job.name.starts_with("etl")) {
        let (id, lasted) = (run.id.as_str(), run.duration(night.now).unwrap_or_default().as_secs() / 60);
        let is_slow = run.status == Status::Running && lasted >= 30;
        assert_eq!(firing("slow", id), is_slow, "seed {seed}: slow, {run:?}");
        let is_long = !run.status.has_ended() && lasted >= 45;
        assert_eq!(firing("long", id), is_long, "seed {seed}: long, {run:?}");
        if run.status.is_recovery() || matches!(run.status, Status::IgnoredFailure | Status::ManualStop) {
            assert!(!firing("failed", id), "seed {seed}: over, and still fires: {run:?}");
        }
        if run.status == Status::RunningException {
            assert!(firing("failed", id), "seed {seed}: not told: {run:?}");
        }
        let vouches = |other: &Instance| {
            let is_later = other.job == run.job && other.plan_time > run.plan_time && other.status.is_recovery();
            is_later && other.end_time >= run.end_time
        };
        if run.status == Status::Fail && !truth.1.iter().any(vouches) {
            assert!(firing("failed", id), "seed {seed}: not told: {run:?}");
        }
    }
}

#[test]
fn what_holds_fires_and_what_is_over_ends_for_one_reason() {
    for life in 0..LIVES {
        let seed = 0x9e37_79b9 ^ life.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
        let mut chance = Chance(seed);
        let (mut night, mut told) = (Night::new_from(RULES), Told::new());
        let mut truth = Truth::new(night.now);
        let shows = std::env::var("SEED").is_ok_and(|shown| shown == seed.to_string());
        for _ in 0..STEPS {
            night.pass(1 + chance.below(12) as i64);
            if shows {
                let runs = truth
                    .0
                    .iter()
                    .map(|run| format!("{} {} {:?} {:?}", run.id, run.status, run.start_time, run.end_time));
                println!("{}\n  {}\n  {:?}", night.now, runs.collect::<Vec<_>>().join("\n  "), night.firing());
            }
            match chance.below(8) {
                0..=3 => truth.go_on(&mut chance, night.now),
                4 => {
                    // What could not be read changes nothing.
                    let decided = night.decide([], night.short());
                    assert!(decided.notices.is_empty() && decided.fired.is_empty(), "seed {seed}: {decided:?}");
                    assert!(decided.changed.is_empty() && decided.instances.is_empty(), "seed {seed}: {decided:?}");
                }
                kind => {
                    if kind == 5 {
                        night.restart();
                    }
                    let mut runs = truth.0.clone();
                    let by = chance.below(runs.len() as u64) as usize;
                    runs.rotate_left(by);
                    let decided = night.decide(runs.clone(), night.whole());
                    if shows {
                        println!("{:?}", super::notices(&decided));
                    }
                    tell(&mut told, &decided);
                    check_holds(&night, &truth, seed);
                    // The same seen once more, or after a restart, is nothing new.
                    if chance.below(2) == 0 {
                        night.restart();
                    }
                    let again = night.decide(runs, night.whole());
                    assert!(again.notices.is_empty(), "seed {seed}: told again: {:?}", again.notices);
                }
            }
        }
        check_told(&told, seed);
    }
}

/// A rule that is away for less than ten minutes tells what it would have told had it stayed.
#[test]
fn a_rule_away_and_back_within_ten_minutes_is_as_if_it_had_stayed() {
    for life in 0..LIVES / 10 {
        let seed = 0x0bad_cafe ^ life.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
        let both: Vec<(Told, BTreeSet<String>)> = [false, true]
            .into_iter()
            .map(|goes_away| {
                let mut chance = Chance(seed);
                let (mut night, mut told) = (Night::new_from(RULES), Told::new());
                let mut truth = Truth::new(night.now);
                for step in 0..STEPS {
                    night.pass(1 + chance.below(12) as i64);
                    truth.go_on(&mut chance, night.now);
                    tell(&mut told, &night.decide(truth.0.clone(), night.whole()));
                    if step % 3 == 1 {
                        if goes_away {
                            night.rules_from(WITHOUT_FAILED);
                        }
                        for _ in 0..2 {
                            night.pass(2);
                            tell(&mut told, &night.decide(truth.0.clone(), night.whole()));
                        }
                        if goes_away {
                            night.rules_from(RULES);
                        }
                        night.pass(1);
                        tell(&mut told, &night.decide(truth.0.clone(), night.whole()));
                    }
                }
                (told, night.firing().into_iter().collect())
            })
            .collect();
        assert_eq!(both[0], both[1], "seed {seed}");
    }
}

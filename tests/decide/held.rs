//! Random lives in which something is held back, or in which runs are expected: every alert that fires was told, or has its
//! reason; and what was not read is neither missed nor counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use nightbell::decide::Decided;
use nightbell::model::{Alert, AlertId, Concerns, Instance, MessageKind, Silence, SilenceId, Status, Suppression};

use super::Night;
use super::lives::{Chance, LIVES, Told, Truth, check_told, is_one_life, seeds, steps, tell, unread};
use crate::poll::world::run;

const QUIET: &str = "  failed: { match: { job: \"etl*\" }, when: { status: [fail, running-exception] }, notify: [hook, mail] }\n\
     \u{20} slow: { match: { job: \"etl*\" }, when: { status: [running], duration: 30m }, notify: [hook] }\n\
     \u{20} long: { match: { job: \"etl*\" }, when: { duration: 45m }, notify: [hook] }\n\
     inhibit:\n  down: { by: { rule: failed }, match: { rule: slow }, equal: [job] }\n\
     mute_windows:\n  maintenance: { match: { job: etl_b }, schedule: \"20 * * * *\", for: 20m }\n";
const EXPECTING: &str = "  owed: { match: { job: etl_a }, when: { missing: { schedule: \"0 * * * *\", grace: 10m } }, notify: [hook] }\n\
     \u{20} often: { match: { job: \"etl*\" }, when: { failure_rate: { over: 2, above: 50% } }, notify: [hook] }\n";

/// Somebody silences a job for a while.
fn silenced(chance: &mut Chance, id: i64, now: Timestamp) -> Silence {
    let job = ["etl_a", "etl_b", "etl*"][chance.below(3) as usize];
    Silence {
        id: SilenceId(id),
        concerns: Concerns { jobs: vec![job.into()], ..Concerns::default() },
        reason: "deploy".into(),
        by: "wang".into(),
        created_at: now,
        ends_at: now + SignedDuration::from_mins(5 + chance.below(40) as i64),
        expired: None,
    }
}

fn firing(night: &Night) -> Vec<Arc<Alert>> {
    night.known.memory.firing.firing().cloned().collect()
}

/// Whether it is told and fires, and so holds back what is slow of the same job.
fn is_upstream(alert: &Alert, of: &Alert) -> bool {
    alert.rule.as_str() == "failed" && alert.facts.job.name == of.facts.job.name && alert.suppressed_by.is_none()
}

/// That what holds back an alert does so now. `around` is what fires, what fired before the look, and what began in it.
fn check_holder(
    by: &Suppression,
    alert: &Alert,
    around: &[Arc<Alert>],
    (night, begins): (&Night, Timestamp),
    seed: u64,
) {
    let job = alert.facts.job.name.as_str();
    let holds = match by {
        Suppression::TooManyEpisodes => false,
        Suppression::FirstPoll => alert.facts.instance.as_ref().unwrap().end_time < Some(begins),
        Suppression::Silence(id) => {
            let silence = night.known.silences.iter().find(|silence| silence.id == *id).unwrap();
            let pattern = silence.concerns.jobs[0].as_str();
            silence.is_active(night.now) && (pattern == "etl*" || pattern == job)
        }
        Suppression::MuteWindow(_) => job == "etl_b" && (20..40).contains(&(night.now.as_second() / 60 % 60)),
        Suppression::Inhibition(_) => {
            alert.rule.as_str() == "slow" && around.iter().any(|other| is_upstream(other, alert))
        }
    };
    assert!(holds, "seed {seed}: held back by {by}, which does not hold: {alert:?}");
}

/// That whatever fires was told, or is held back by something that holds. `before` is what fired before the look. Returns by what.
fn check_reasons(
    night: &Night,
    (told, before, decided): (&Told, &[Arc<Alert>], &Decided),
    begins: Timestamp,
    seed: u64,
) -> Vec<Suppression> {
    let now = firing(night);
    let was_told = |id: &AlertId| {
        let of_alert = told.get(id.as_str()).into_iter().flatten();
        of_alert.into_iter().any(|(kind, _)| *kind == MessageKind::AlertFiring)
    };
    let held: Vec<(&Alert, &Suppression)> =
        now.iter().filter_map(|alert| Some((&**alert, alert.suppressed_by.as_ref()?))).collect();
    for alert in &now {
        let is_held = alert.suppressed_by.is_some();
        assert_ne!(was_told(&alert.id), is_held, "seed {seed}: neither told nor held back, or both: {alert:?}");
        let fired = |one: &Alert| before.iter().any(|other| other.id == one.id);
        if alert.rule.as_str() == "slow" && !fired(alert) && !is_held {
            let is_free = !now.iter().any(|one| fired(one) && is_upstream(one, alert));
            assert!(is_free, "seed {seed}: not held back: {alert:?}");
        }
    }
    // What was held back itself until now and is told in this look holds back, too.
    let around: Vec<Arc<Alert>> = now.iter().chain(before).chain(&decided.fired).cloned().collect();
    held.iter().for_each(|(alert, by)| check_holder(by, alert, &around, (night, begins), seed));
    held.into_iter().map(|(_, by)| by.clone()).collect()
}

#[test]
fn whatever_fires_was_told_or_is_held_back_by_something_that_holds() {
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seeds(LIVES) {
        let mut chance = Chance(seed);
        let (mut night, mut told) = (Night::new_from(QUIET), Told::new());
        let (mut truth, begins) = (Truth::under_way(&mut chance, night.now), night.now);
        if chance.below(3) == 0 {
            let [start, end] = [85, 75].map(|before| Some(begins - SignedDuration::from_mins(before)));
            let first = truth.0[0].clone();
            truth.0[0] = Instance { status: Status::Fail, start_time: start, end_time: end, ..first };
        }
        for step in 0..steps(&mut chance) {
            night.pass(1 + chance.below(12) as i64);
            let before = firing(&night);
            match chance.below(8) {
                0..=2 => truth.go_on(&mut chance, night.now),
                3 => {
                    let silence = silenced(&mut chance, step as i64, night.now);
                    night.known.silences.push(silence);
                }
                4 => {
                    let (runs, coverage) = unread(&mut chance, &night, &truth);
                    tell(&mut told, &night.decide(runs, coverage));
                }
                kind => {
                    if kind == 5 {
                        night.restart();
                    }
                    let decided = night.decide(truth.0.clone(), night.whole());
                    tell(&mut told, &decided);
                    for by in check_reasons(&night, (&told, before.as_slice(), &decided), begins, seed) {
                        let kind = by.to_string().split(':').next().unwrap().to_string();
                        *held.entry(kind).or_default() += 1;
                    }
                }
            }
        }
        check_told(&told, seed);
    }
    let is_each = held.len() == 4 && held.values().all(|count| *count > 200);
    assert!(is_each || is_one_life(), "each of them holds something back: {held:?}");
}

/// The times at which runs of a job were planned, or started.
fn times(runs: &[Instance], job: &str) -> BTreeSet<Timestamp> {
    let of_job = runs.iter().filter(|run| run.job.name == job);
    of_job.flat_map(|run| [run.plan_time, run.start_time]).flatten().collect()
}

/// The last time at which a run was due and of which the grace is over.
fn last_due(now: Timestamp) -> Timestamp {
    let graced = now.as_second() - 600;
    Timestamp::from_second(graced - graced % 3600).unwrap()
}

#[test]
fn a_run_is_missed_when_none_came_and_that_was_read() {
    let mut missed = 0;
    for seed in seeds(LIVES) {
        let mut chance = Chance(seed);
        let (mut night, mut told) = (Night::new_from(EXPECTING), Told::new());
        let mut truth = Truth::under_way(&mut chance, night.now);
        let mut seen: BTreeSet<Timestamp> = BTreeSet::new();
        for _ in 0..2 + steps(&mut chance) {
            night.pass(1 + chance.below(20) as i64);
            match chance.below(9) {
                0..=2 => truth.go_on(&mut chance, night.now),
                3 => {
                    // The scheduler plans a run for the hour, late as it may be.
                    let hour = Timestamp::from_second(night.now.as_second() / 3600 * 3600).unwrap();
                    if !times(&truth.0, "etl_a").contains(&hour) {
                        let id = truth.0.len().to_string();
                        let planned = run("etl_a", &id, Status::Waiting, hour, None);
                        truth.0.push(Instance { start_time: None, ..planned });
                    }
                }
                4 => {
                    let decided = night.decide([], night.short());
                    let is_same = decided.notices.is_empty() && decided.fired.is_empty() && decided.changed.is_empty();
                    assert!(is_same, "seed {seed}: nothing was read: {decided:?}");
                }
                5 => {
                    let (runs, coverage) = unread(&mut chance, &night, &truth);
                    let may_be_there = coverage.may_miss("etl_a", |_| true);
                    seen.extend(times(&runs, "etl_a"));
                    let decided = night.decide(runs.clone(), coverage);
                    tell(&mut told, &decided);
                    for alert in &decided.fired {
                        let job = &alert.facts.job.name;
                        let failed = |run: &Instance| matches!(run.status, Status::Fail | Status::RunningException);
                        let has_failed = runs.iter().any(|run| run.job.name == *job && failed(run));
                        match alert.rule.as_str() {
                            "owed" => assert!(!may_be_there, "seed {seed}: it may be there: {alert:?}"),
                            _ => assert!(has_failed, "seed {seed}: no failure was seen: {alert:?}"),
                        }
                    }
                }
                kind => {
                    if kind == 6 {
                        night.restart();
                    }
                    seen.extend(times(&truth.0, "etl_a"));
                    tell(&mut told, &night.decide(truth.0.clone(), night.whole()));
                    let due = last_due(night.now);
                    let came = |times: &BTreeSet<Timestamp>| times.range(due..).next().is_some();
                    // Of a run whose start was corrected over the due time both may be said.
                    if came(&seen) == came(&times(&truth.0, "etl_a")) {
                        let fires = night.firing().contains(&"owed etl_a/-".to_string());
                        assert_eq!(fires, !came(&seen), "seed {seed}: due at {due}, seen {seen:?}");
                        missed += usize::from(fires);
                    }
                    let again = night.decide(truth.0.clone(), night.whole());
                    assert!(again.notices.is_empty(), "seed {seed}: told again: {:?}", again.notices);
                }
            }
        }
        check_told(&told, seed);
    }
    assert!(missed > 1_000 || is_one_life(), "{missed} were missed");
}

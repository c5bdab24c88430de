//! Nothing grows with the square of what begins in one poll.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use nightbell::model::{Concerns, Instance, Silence, SilenceId, Status};

use super::Night;
use crate::poll::world::run;

const RULES: &str = "  failed: { when: { status: [fail] }, notify: [hook, mail] }\n\
     \u{20} row: { when: { consecutive: 2 }, notify: [hook] }\n\
     \u{20} long: { when: { duration: 3m }, notify: [hook] }\n\
     inhibit:\n  upstream: { by: { job: ods }, match: { job: \"ads_*\" } }\n  each: { by: { job: \"ods_*\" }, match: { job: \"dws_*\" }, equal: [source] }\n";
/// Ten times as many alerts may take so many times as long: half as much again as ten, and as much once more for a busy machine.
const GROWTH_MAX: u32 = 20;
const ROUNDS: usize = 3;

/// How long it takes to decide of a poll in which so many runs have failed.
fn decide(failures: usize) -> Duration {
    let mut night = Night::new_from(RULES);
    night.poll([]);
    night.pass(1);
    night.known.silences = vec![Silence {
        id: SilenceId(1),
        concerns: Concerns { jobs: vec!["quiet_*".into()], ..Concerns::default() },
        reason: "deploy".into(),
        by: "wang".into(),
        created_at: night.now,
        ends_at: night.now + SignedDuration::from_hours(9),
        expired: None,
    }];
    let upstream = Instance {
        job: nightbell::model::JobRef { name: "ods".into(), id: None },
        ..night.ended("0", Status::Fail, 9)
    };
    night.poll([upstream]);
    night.pass(1);
    let began = night.now - SignedDuration::from_mins(6);
    let runs: Vec<Instance> = (0..failures)
        .map(|id| {
            let job = format!("{}_{}", ["ads", "ods", "dws", "quiet", "other"][id % 5], id / 10);
            run(&job, &id.to_string(), Status::Fail, began, Some(night.now))
        })
        .collect();
    let coverage = night.whole();
    let started = Instant::now();
    let decided = night.decide(runs, coverage);
    let took = started.elapsed();
    assert!(decided.fired.len() > failures, "{} alerts begin", decided.fired.len());
    let held = |by: &str| {
        let by_it = |it: &nightbell::model::Suppression| it.to_string().starts_with(by);
        decided.fired.iter().filter(|alert| alert.suppressed_by.as_ref().is_some_and(by_it)).count()
    };
    assert!(held("silence") > 0 && held("inhibit") > 0, "both hold something back");
    took
}

#[test]
fn ten_thousand_alerts_in_one_poll_take_ten_times_as_long_as_a_thousand_and_not_a_hundred_times() {
    decide(100);
    // The best of some rounds of each, taken in turn: what disturbs one disturbs its neighbour.
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (best, failures) in best.iter_mut().zip([1_000, 10_000]) {
            *best = (*best).min(decide(failures));
        }
    }
    println!("{best:?}");
    assert!(best[1] < best[0] * GROWTH_MAX, "1,000 take {:?}, 10,000 take {:?}", best[0], best[1]);
}

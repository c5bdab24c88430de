//! Nothing grows with the square of what begins in one poll.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use nightbell::decide::Decided;
use nightbell::model::{Concerns, Instance, JobRef, Silence, SilenceId, Status, Suppression};

use super::Night;
use crate::poll::world::run;

/// Rules, and what fails in the poll that is timed.
struct Shape {
    name: &'static str,
    rules: &'static str,
    /// The job of a run by its number.
    job: fn(usize) -> String,
    /// Whether as many runs of the same jobs have failed before.
    is_failing: bool,
    /// Whether something is to be held back.
    is_held: bool,
}

const RULES: &str = "  failed: { when: { status: [fail] }, notify: [hook, mail] }\n\
     \u{20} row: { when: { consecutive: 2 }, notify: [hook] }\n\
     \u{20} long: { when: { duration: 3m }, notify: [hook] }\n\
     inhibit:\n  upstream: { by: { job: ods }, match: { job: \"ads_*\" } }\n  each: { by: { job: \"ods_*\" }, match: { job: \"dws_*\" }, equal: [source] }\n";
const EACH_OTHER: &str = "  failed: { when: { status: [fail] }, notify: [hook] }\n\
     inhibit:\n  there: { by: { job: \"ods_*\" }, match: { job: \"dws_*\" }, equal: [source] }\n  back: { by: { job: \"dws_*\" }, match: { job: \"ods_*\" }, equal: [source] }\n";
const CIRCLES: &str = "  one: { when: { status: [fail] }, notify: [hook] }\n  two: { when: { status: [fail] }, notify: [hook] }\n  \
     three: { when: { status: [fail] }, notify: [hook] }\n\
     inhibit:\n  a: { by: { rule: one }, match: { rule: two }, equal: [job] }\n  b: { by: { rule: two }, match: { rule: three }, equal: [job] }\n  \
     c: { by: { rule: three }, match: { rule: one }, equal: [job] }\n";

/// Everything at once.
const MIXED: Shape = Shape {
    name: "mixed",
    rules: RULES,
    job: |id| format!("{}_{}", ["ads", "ods", "dws", "quiet", "other"][id % 5], id / 10),
    is_failing: false,
    is_held: true,
};
const SHAPES: [Shape; 4] = [
    Shape { name: "one job", job: |_| "other".into(), is_held: false, ..MIXED },
    Shape { name: "one job that fails already", job: |_| "other".into(), is_failing: true, is_held: false, ..MIXED },
    Shape {
        name: "two halves that inhibit each other",
        rules: EACH_OTHER,
        job: |id| format!("{}_{id}", ["ods", "dws"][id % 2]),
        ..MIXED
    },
    Shape { name: "circles", rules: CIRCLES, job: |id| format!("etl_{id}"), ..MIXED },
];

/// Ten times as many alerts may take so many times as long: larger tables cost half as much again, and caches that others fill
/// at the same time as much once more. What is quadratic takes a hundred times as long.
const GROWTH_MAX: f64 = 25.0;
const ROUNDS: usize = 3;

/// How long this thread has worked: what others do meanwhile does not count, where the system tells.
fn worked(since: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

impl Shape {
    /// How long it takes to decide of a poll in which so many runs have failed.
    fn decide(&self, failures: usize) -> Duration {
        let mut night = Night::new_from(self.rules);
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
        let upstream = Instance { job: JobRef { name: "ods".into(), id: None }, ..night.ended("0", Status::Fail, 9) };
        night.poll([upstream]);
        night.pass(1);
        let mut runs: Vec<Instance> = Vec::new();
        let mut fail = |night: &Night, from: usize| {
            let began = night.now - SignedDuration::from_mins(6);
            let failed =
                |id: usize| run(&(self.job)(id), &(from + id).to_string(), Status::Fail, began, Some(night.now));
            runs.extend((0..failures).map(failed));
            runs.clone()
        };
        if self.is_failing {
            let before = fail(&night, failures);
            night.poll(before);
            night.pass(1);
        }
        let (runs, coverage) = (fail(&night, 2 * failures), night.whole());
        let started = Instant::now();
        let before = worked(started);
        let decided = night.decide(runs, coverage);
        let took = worked(started).saturating_sub(before).max(Duration::from_micros(1));
        self.check(&decided, failures);
        took
    }

    fn check(&self, decided: &Decided, failures: usize) {
        assert!(decided.fired.len() >= failures, "{}: {} alerts begin", self.name, decided.fired.len());
        let held = |by: &str| {
            let by_it = |it: &Suppression| it.to_string().starts_with(by);
            decided.fired.iter().filter(|alert| alert.suppressed_by.as_ref().is_some_and(by_it)).count()
        };
        assert_eq!(held("inhibit") > 0, self.is_held, "{}", self.name);
        assert!(self.name != MIXED.name || held("silence") > 0);
    }

    fn grows_evenly(&self, few: usize) {
        self.decide(100);
        // The best of some rounds of each, taken in turn: what disturbs one disturbs its neighbour.
        let mut best = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            for (best, failures) in best.iter_mut().zip([few, 10 * few]) {
                *best = (*best).min(self.decide(failures));
            }
        }
        let growth = best[1].as_secs_f64() / best[0].as_secs_f64();
        println!("{}: {best:?}, {growth:.1} times", self.name);
        assert!(growth < GROWTH_MAX, "{}: {few} take {:?}, ten times as many {:?}", self.name, best[0], best[1]);
    }
}

#[test]
fn ten_thousand_alerts_in_one_poll_take_ten_times_as_long_as_a_thousand_and_not_a_hundred_times() {
    MIXED.grows_evenly(1_000);
}

#[test]
fn whatever_the_alerts_have_to_do_with_each_other_a_poll_takes_as_long_as_they_are_many() {
    for shape in SHAPES {
        shape.grows_evenly(400);
    }
}

//! How long the runs of a job take: what is usual, and what the rules allow. For pages and the API; pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::JOB_CHART_RUNS;
use crate::model::{Instance, Status};
use crate::rule::history::Past;
use crate::rule::{Rule, Trigger};

/// Fewest runs that went well from which something is usual.
const USUAL_RUNS_MIN: usize = 3;

/// How long the last runs of a job took, and how long they should take.
pub(super) struct Durations<'a> {
    /// The last runs that have begun, the newest first.
    pub(super) timed: Vec<(&'a Instance, Duration)>,
    /// What is usual of those that went well: four of five lie between the first and the last, half of them below the middle.
    pub(super) usual: Option<[Duration; 3]>,
    /// What the rules allow, each limit with its rule; the least first.
    pub(super) limits: Vec<(Duration, &'a Rule)>,
}

impl<'a> Durations<'a> {
    /// Of these runs, the newest first, by these rules.
    pub(super) fn of(runs: &'a [Instance], rules: &[&'a Rule], now: Timestamp) -> Durations<'a> {
        let begun = runs.iter().filter(|run| run.start_time.is_some());
        let timed: Vec<(&Instance, Duration)> =
            begun.filter_map(|run| Some((run, run.duration(now)?))).take(JOB_CHART_RUNS).collect();
        let good = timed.iter().filter(|(run, _)| run.status.is_recovery()).map(|(_, lasted)| *lasted).collect();
        Durations { usual: usual(good), limits: limits(runs, rules, &timed, now), timed }
    }
}

/// What is usual of runs that went well and took so long each, see [`Durations::usual`]; nothing where they are too few to tell.
pub(super) fn usual(mut took: Vec<Duration>) -> Option<[Duration; 3]> {
    took.sort_unstable();
    let share = |part: usize| took.get(took.len().saturating_sub(1) * part / 100).copied();
    if took.len() < USUAL_RUNS_MIN { None } else { Some([share(10)?, share(50)?, share(90)?]) }
}

/// How long a run may last while it runs, by a rule that says so.
pub(super) fn running_limit(rule: &Rule) -> Option<Duration> {
    let is_of_running = rule.when.statuses.is_empty() || rule.when.statuses.contains(&Status::Running);
    rule.when.duration.filter(|_| is_of_running)
}

fn limits<'a>(
    runs: &[Instance],
    rules: &[&'a Rule],
    timed: &[(&Instance, Duration)],
    now: Timestamp,
) -> Vec<(Duration, &'a Rule)> {
    let mut past = Past::default();
    runs.iter().for_each(|run| past.enter(&run.id, &run.snapshot()));
    let due = timed.first().and_then(|(run, _)| run.plan_time.or(run.start_time)).unwrap_or(now);
    let of_rule = |rule: &&'a Rule| {
        let limit = match &rule.when.trigger {
            Some(Trigger::Slower(slower)) => past.usual(slower, due, |kind| rule.concerns(kind)).map(|it| it.limit),
            _ => running_limit(rule),
        };
        Some((limit?, *rule))
    };
    let mut limits: Vec<(Duration, &Rule)> = rules.iter().filter_map(of_rule).collect();
    limits.sort_by_key(|(limit, _)| *limit);
    limits
}

//! The ledger put to the test.

use super::*;
use crate::alert::identity::alert_id;
use crate::alert::{Found, Subject, begin};
use crate::model::{InstanceType, JobRef, Measures, Severity, SourceId, Status};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

/// The run of job `job` planned and started at minute `plan`, in `status`, ended at minute `end`.
fn run(job: &str, plan: i64, status: Status, end: Option<i64>) -> Instance {
    Instance {
        source: SourceId::new("warehouse"),
        id: format!("{job}-{plan}"),
        job: JobRef { name: job.into(), id: None },
        name: None,
        status,
        raw_status: status.to_string(),
        kind: InstanceType::Scheduled,
        plan_time: Some(at(plan)),
        start_time: Some(at(plan)),
        end_time: end.map(at),
        error: None,
    }
}

/// Begins an alert for `instance` and enters it.
fn fire(ledger: &mut Ledger, instance: &Instance, now: i64) {
    let rule = RuleId::new("rule");
    let found = Found {
        id: alert_id(instance, &rule, false, 1),
        rule,
        severity: Severity::Error,
        receivers: Vec::new(),
        limit: None,
        measures: Measures::default(),
        since: at(5),
        over_at: None,
        is_any: false,
        episode: 1,
        suppressed_by: None,
    };
    ledger.insert(begin(Subject::Run(instance), "dataarts", found, at(now)));
}

fn recover(ledger: &mut Ledger, runs: &[Instance], now: i64) -> Vec<Alert> {
    let well = runs.iter().filter(|run| run.status.is_recovery());
    ledger.recover(well, |_| None, |_| true, at(now))
}

#[test]
fn only_a_later_success_of_the_same_job_vouches_for_an_earlier_failure() {
    let failed = run("etl", 0, Status::Fail, Some(5));
    let cases = [
        ("a later run", run("etl", 60, Status::Success, Some(65)), true),
        ("forced by hand", run("etl", 60, Status::ForcedSuccess, Some(65)), true),
        ("an earlier run", run("etl", -60, Status::Success, Some(65)), false),
        ("another job", run("elt", 60, Status::Success, Some(65)), false),
        ("a later failure", run("etl", 60, Status::Fail, Some(65)), false),
        ("an ignored failure", run("etl", 60, Status::IgnoredFailure, Some(65)), false),
        ("an unknown word", run("etl", 60, Status::Unknown, Some(65)), false),
        ("over before this one failed", run("etl", 1, Status::Success, Some(2)), false),
        ("a backfill", Instance { kind: InstanceType::Backfill, ..run("etl", 60, Status::Success, Some(65)) }, false),
    ];
    for (name, other, resolves) in cases {
        let mut ledger = Ledger::default();
        fire(&mut ledger, &failed, 6);
        assert_eq!(!recover(&mut ledger, &[other], 70).is_empty(), resolves, "{name}");
    }
}

#[test]
fn of_several_later_successes_the_earliest_is_named_in_whatever_order_they_are_listed() {
    let mut runs: Vec<Instance> = [60, 120, 180].map(|plan| run("etl", plan, Status::Success, Some(plan + 1))).to_vec();
    for _ in 0..2 {
        let mut ledger = Ledger::default();
        fire(&mut ledger, &run("etl", 0, Status::Fail, Some(5)), 6);
        assert_eq!(recover(&mut ledger, &runs, 200)[0].facts.alert.ends_at, Some(at(61)));
        runs.reverse();
    }
}

/// A job of every minute that went well for a week and has failed for another: each poll looks at all of it.
#[test]
fn thousands_of_alerts_and_thousands_of_runs_of_one_job_are_no_matter_of_minutes() {
    let mut ledger = Ledger::default();
    let count = 20_000;
    let well: Vec<Instance> = (0..count).map(|plan| run("etl", plan, Status::Success, Some(plan))).collect();
    for plan in count..2 * count {
        fire(&mut ledger, &run("etl", plan, Status::Fail, Some(plan)), plan);
    }
    let began = std::time::Instant::now();
    assert!(recover(&mut ledger, &well, 2 * count).is_empty());
    let last = run("etl", 2 * count, Status::Success, Some(2 * count));
    assert_eq!(recover(&mut ledger, &[last], 2 * count).len(), usize::try_from(count).unwrap());
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

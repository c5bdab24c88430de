//! The ledger put to the test.

use super::*;
use crate::model::{InstanceType, JobRef, SourceId, Status};

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

fn holding(rule: &RuleId, limit_minutes: Option<u64>) -> Holding<'_> {
    Holding {
        rule,
        severity: Severity::Error,
        receivers: &[],
        limit: limit_minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        since: at(5),
        is_news: false,
        suppressed_by: None,
    }
}

/// Begins an alert for `instance` and enters it.
fn fire(ledger: &mut Ledger, instance: &Instance, limit_minutes: Option<u64>, now: i64) -> Option<Alert> {
    let rule = RuleId::new("rule");
    let alert = ledger.begin(instance, "dataarts", &holding(&rule, limit_minutes), at(now), 1)?;
    ledger.insert(alert.clone());
    Some(alert)
}

fn summaries(alerts: &[Alert]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.facts.alert.summary.as_str()).collect()
}

#[test]
fn an_episode_begins_once_and_ends_with_the_rerun() {
    let mut ledger = Ledger::default();
    let failed = run("etl", 0, Status::Fail, Some(5));
    assert_eq!(fire(&mut ledger, &failed, None, 6).unwrap().facts.alert.summary, "etl failed after 5m 0s");
    assert!(fire(&mut ledger, &failed, None, 7).is_none(), "told twice");
    assert!(
        ledger.resolve(&[run("etl", 0, Status::Running, None)], &HashMap::new(), at(8)).is_empty(),
        "a rerun under way is no end"
    );
    let resolved = ledger.resolve(&[run("etl", 0, Status::Success, Some(12))], &HashMap::new(), at(13));
    assert_eq!(summaries(&resolved), ["etl recovered: it succeeded after 12m 0s"]);
    assert_eq!(resolved[0].facts.alert.ends_at, Some(at(12)));
    assert_eq!(ledger.firing().count(), 0);
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
        fire(&mut ledger, &failed, None, 6);
        assert_eq!(!ledger.resolve(&[other], &HashMap::new(), at(70)).is_empty(), resolves, "{name}");
    }
}

#[test]
fn of_several_later_successes_the_earliest_is_named_in_whatever_order_they_are_listed() {
    let mut runs: Vec<Instance> = [60, 120, 180].map(|plan| run("etl", plan, Status::Success, Some(plan + 1))).to_vec();
    for _ in 0..2 {
        let mut ledger = Ledger::default();
        fire(&mut ledger, &run("etl", 0, Status::Fail, Some(5)), None, 6);
        assert_eq!(ledger.resolve(&runs, &HashMap::new(), at(200))[0].facts.alert.ends_at, Some(at(61)));
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
        fire(&mut ledger, &run("etl", plan, Status::Fail, Some(plan)), None, plan);
    }
    let began = std::time::Instant::now();
    assert!(ledger.resolve(&well, &HashMap::new(), at(2 * count)).is_empty());
    let last = run("etl", 2 * count, Status::Success, Some(2 * count));
    assert_eq!(ledger.resolve(&[last], &HashMap::new(), at(2 * count)).len(), usize::try_from(count).unwrap());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn what_was_recorded_and_not_told_makes_room_when_the_run_is_made_again() {
    let rule = RuleId::new("rule");
    let old = run("etl", 0, Status::Fail, Some(5));
    let again = Instance { start_time: Some(at(100)), ..run("etl", 0, Status::Fail, Some(105)) };
    for (suppressed_by, makes_room) in [(None, false), (Some(Suppression::FirstPoll), true)] {
        let mut ledger = Ledger::default();
        let holding = Holding { suppressed_by, ..holding(&rule, None) };
        let alert = ledger.begin(&old, "dataarts", &holding, at(90), 1).unwrap();
        ledger.insert(alert);
        assert!(ledger.close_outdated(&old, &rule, at(91)).is_none(), "the same failure");
        assert!(ledger.close_outdated(&again, &RuleId::new("other"), at(106)).is_none(), "another rule");
        assert_eq!(ledger.close_outdated(&again, &rule, at(106)).is_some(), makes_room);
        assert_eq!(ledger.begin(&again, "dataarts", &holding, at(106), 1).is_some(), makes_room);
    }
}

#[test]
fn a_duration_alert_ends_with_the_run_however_it_ends() {
    for status in [Status::Success, Status::Fail, Status::ManualStop] {
        let mut ledger = Ledger::default();
        let alert = fire(&mut ledger, &run("slow", 0, Status::Running, None), Some(45), 46).unwrap();
        assert_eq!(alert.facts.alert.summary, "slow has been running for 46m 0s (limit 45m)");
        assert_eq!(ledger.resolve(&[run("slow", 0, status, Some(50))], &HashMap::new(), at(51)).len(), 1, "{status}");
    }
}

#[test]
fn news_of_a_success_is_told_once_and_needs_no_all_clear() {
    let ledger = Ledger::default();
    let done = run("etl", 0, Status::Success, Some(5));
    let alert = ledger.begin(&done, "dataarts", &holding(&RuleId::new("rule"), None), at(6), 1).unwrap();
    assert_eq!(alert.state(), AlertState::Resolved);
}

#[test]
fn a_rule_about_every_run_says_that_it_ran_and_what_came_of_it() {
    let ledger = Ledger::default();
    // status, what is said
    let cases = [
        (Status::Fail, "etl ran and failed after 5m 0s"),
        (Status::Success, "etl ran and succeeded after 5m 0s"),
        (Status::ManualStop, "etl ran and was cancelled after 5m 0s"),
    ];
    let rule = RuleId::new("rule");
    for (status, said) in cases {
        let holding = Holding { is_news: true, ..holding(&rule, None) };
        let alert = ledger.begin(&run("etl", 0, status, Some(5)), "dataarts", &holding, at(6), 1).unwrap();
        assert_eq!((alert.state(), alert.facts.alert.summary.as_str()), (AlertState::Resolved, said));
    }
}

#[test]
fn the_alerts_of_a_removed_rule_are_closed() {
    let mut ledger = Ledger::default();
    fire(&mut ledger, &run("etl", 0, Status::Fail, Some(5)), None, 6);
    assert!(ledger.close_where(|_| true, at(7)).is_empty());
    assert_eq!(ledger.close_where(|_| false, at(7)).len(), 1);
    assert!(ledger.resolve(&[run("etl", 0, Status::Success, Some(8))], &HashMap::new(), at(9)).is_empty());
}

/// That a job was deleted ends what was said of its status; that it did not run is all the more true.
#[test]
fn a_job_that_is_gone_still_misses_its_runs() {
    let mut ledger = Ledger::default();
    for (rule, condition) in [("stopped", None), ("missed", Some(ConditionKind::Missing))] {
        let rule = RuleId::new(rule);
        let mut alert =
            ledger.begin(&run("etl", 0, Status::Fail, Some(5)), "dataarts", &holding(&rule, None), at(6), 1).unwrap();
        alert.facts.instance = None;
        alert.facts.alert.measures.condition = condition;
        ledger.insert(alert);
    }
    let gone = ledger.resolve_gone_jobs(&std::collections::HashSet::from(["another"]), at(7));
    assert_eq!(summaries(&gone), ["the job etl is gone: it was deleted or renamed"]);
    assert_eq!(gone[0].rule.as_str(), "stopped");
    assert_eq!(ledger.firing().map(|alert| alert.rule.as_str()).collect::<Vec<_>>(), ["missed"]);
}

//! Sample alerts of the conditions that look beyond one run: what `check` renders a template with, so that one that cannot
//! do without a run, or without a number that only some conditions have, is found before a night in which it matters.

use jiff::{SignedDuration, Timestamp};

use super::sample_alert::{sample_facts, told};
use crate::model::{
    AlertFacts, ConditionKind, InstancePart, JobPart, Measures, Message, MessageData, MessageKind, Reason, ReasonCode,
    Stage, Status,
};

const MINUTE_MS: u64 = 60_000;

/// An alert of each condition, at its beginning and at its end, and one of a warning before its deadline.
pub(super) fn of_conditions(now: Timestamp) -> Vec<(String, Message)> {
    use ConditionKind::{Consecutive, FailureRate, Missing, NotFinishedBy, NotStartedBy, SlowerThanUsual};
    let mut all = Vec::new();
    for condition in [Consecutive, FailureRate, SlowerThanUsual, NotFinishedBy, NotStartedBy, Missing] {
        for kind in [MessageKind::AlertFiring, MessageKind::AlertResolved] {
            all.push(message(condition.as_str(), kind, facts(condition, kind, now), now));
        }
    }
    let mut warned = facts(NotFinishedBy, MessageKind::AlertFiring, now);
    warned.alert.measures.stage = Some(Stage::Warning);
    // It is not due yet.
    warned.alert.measures.late_ms = None;
    warned.alert.measures.due_at = now.checked_add(SignedDuration::from_secs(10 * 60 - 3)).ok();
    warned.alert.measures.due = Some("08:15".to_string());
    warned.alert.starts_at = now;
    all.push(message("warning", MessageKind::AlertFiring, told(warned), now));
    all
}

fn message(name: &str, kind: MessageKind, facts: AlertFacts, now: Timestamp) -> (String, Message) {
    (format!("{kind} {name}"), Message { kind, timestamp: now, data: MessageData::Alert(Box::new(facts)) })
}

fn facts(condition: ConditionKind, kind: MessageKind, now: Timestamp) -> AlertFacts {
    let is_over = kind == MessageKind::AlertResolved;
    let mut facts = sample_facts(kind, now);
    facts.failing_nodes = Vec::new();
    facts.alert.measures = measures(condition, is_over, now).into();
    // Runs that failed together, and a run that nobody planned, leave nothing but the job to tell of.
    if matches!(condition, ConditionKind::FailureRate | ConditionKind::Missing) {
        facts.instance = None;
        facts.job = JobPart { name: facts.job.name, ..JobPart::default() };
    } else if let Some(run) = &mut facts.instance
        && condition != ConditionKind::Consecutive
        && !is_over
    {
        let (status, start_time) = match condition {
            ConditionKind::NotStartedBy => (Status::Waiting, None),
            _ => (Status::Running, run.start_time),
        };
        let raw_status = status.as_str().to_string();
        *run = InstancePart { status, raw_status, start_time, end_time: None, error: None, ..run.clone() };
        if status == Status::Running {
            run.start_time = now.checked_sub(SignedDuration::from_mins(1)).ok();
        }
    }
    set_times(&mut facts, condition, is_over, now);
    let ending = match condition {
        ConditionKind::Consecutive | ConditionKind::NotFinishedBy => ReasonCode::Recovered,
        ConditionKind::FailureRate => ReasonCode::RateFell,
        ConditionKind::SlowerThanUsual => ReasonCode::Ended,
        ConditionKind::NotStartedBy => ReasonCode::Started,
        ConditionKind::Missing => ReasonCode::RunsAgain,
    };
    let lasted_ms = facts.instance.as_ref().and_then(|run| run.duration_ms);
    let code = if is_over { ending } else { condition.reason() };
    facts.alert.reason = Some(Reason { lasted_ms, ..Reason::new(code) });
    told(facts)
}

/// Sets when the condition began to hold, and when its run was planned: a deadline is not met from its due time on, and a run is
/// slower than usual from the limit on.
fn set_times(facts: &mut AlertFacts, condition: ConditionKind, is_over: bool, now: Timestamp) {
    let run_began = facts.instance.as_ref().and_then(|run| run.start_time);
    if let Some(due) = facts.alert.measures.due_at {
        facts.alert.starts_at = due;
        if let Some(run) = &mut facts.instance {
            run.plan_time = due.checked_sub(SignedDuration::from_mins(20)).ok();
            let waited = run.plan_time.filter(|_| run.status == Status::Waiting);
            let waited = waited.and_then(|plan| u64::try_from(now.duration_since(plan).as_millis()).ok());
            run.duration_ms = waited.or(run.duration_ms);
        }
    } else if let (ConditionKind::SlowerThanUsual, Some(began)) = (condition, run_began) {
        let limit = facts.alert.measures.limit_ms.unwrap_or_default();
        let limit = SignedDuration::from_millis(i64::try_from(limit).unwrap_or_default());
        facts.alert.starts_at = began.checked_add(limit).unwrap_or(began);
    }
    if let Some(ended) = facts.alert.ends_at.filter(|_| is_over) {
        facts.alert.starts_at = facts.alert.starts_at.min(ended);
    }
}

fn measures(condition: ConditionKind, is_over: bool, now: Timestamp) -> Measures {
    let none = Measures { condition: Some(condition), ..Measures::default() };
    match condition {
        ConditionKind::Consecutive => Measures { runs_failed: Some(3), ..none },
        ConditionKind::FailureRate => {
            let runs_failed = Some(if is_over { 5 } else { 6 });
            Measures { runs_failed, runs_counted: Some(20), limit_percent: Some(25.0), ..none }
        }
        ConditionKind::SlowerThanUsual => Measures { usual_ms: Some(20_000), limit_ms: Some(40_000), ..none },
        ConditionKind::NotFinishedBy | ConditionKind::NotStartedBy | ConditionKind::Missing => Measures {
            due_at: now.checked_sub(SignedDuration::from_secs(15 * 60 + 3)).ok(),
            due: Some("07:50".to_string()),
            late_ms: Some(15 * MINUTE_MS),
            due_times_missed: (condition == ConditionKind::Missing).then_some(2),
            ..none
        },
    }
}

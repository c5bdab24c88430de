//! The end of an alert: one reason, one instant, and a line that says both.

use jiff::Timestamp;

use super::begin::{instance_part, job_part, late};
use super::summary;
use crate::limits::UNWATCHED_AFTER;
use crate::model::{Alert, AlertState, ConditionKind, EndReason, Ended, Instance, Job, Measures, ReasonCode};

/// How an alert ends.
#[derive(Debug, Clone)]
pub struct Ending<'a> {
    /// The one reason.
    pub reason: EndReason,
    /// The same in detail, for the line.
    pub code: ReasonCode,
    /// When the condition ceased to hold; not before it began, and not after now.
    pub at: Timestamp,
    /// The run that ended it, whose duration is told.
    pub run: Option<&'a Instance>,
    /// What is known by then, where that is more than was known.
    pub measures: Option<Measures>,
    /// The person who ended it, and what they said.
    pub by: Option<(&'a str, &'a str)>,
}

impl<'a> Ending<'a> {
    /// An end at an instant, for a reason.
    pub fn new(reason: EndReason, code: ReasonCode, at: Timestamp) -> Ending<'a> {
        Ending { reason, code, at, run: None, measures: None, by: None }
    }

    /// The end that a run brought, when it ended.
    pub fn by_run(reason: EndReason, code: ReasonCode, run: &'a Instance, now: Timestamp) -> Ending<'a> {
        Ending { run: Some(run), ..Ending::new(reason, code, run.end_time.unwrap_or(now)) }
    }

    /// The same with what is known by then.
    #[must_use]
    pub fn measured(self, measures: Measures) -> Ending<'a> {
        Ending { measures: Some(measures), ..self }
    }
}

/// The alert, over.
pub fn end(alert: &Alert, ending: Ending<'_>, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    let is_own = |run: &Instance| alert.facts.instance.as_ref().is_some_and(|own| own.id == run.id);
    if let Some(run) = ending.run.filter(|run| is_own(run)) {
        // The workflow that it is a part of was looked up once.
        let workflow_instance = alert.facts.instance.take().and_then(|own| own.workflow_instance);
        alert.facts.instance = Some(crate::model::InstancePart { workflow_instance, ..instance_part(run, now) });
    }
    let part = &mut alert.facts.alert;
    let at = ending.at.clamp(part.starts_at, now.max(part.starts_at));
    part.state = AlertState::Resolved;
    part.ends_at = Some(at);
    let (by, note) = ending.by.map(|(by, note)| (by.to_string(), note.to_string())).unzip();
    part.ended = Some(Box::new(Ended { reason: ending.reason, by, note, at }));
    match ending.measures {
        Some(measures) => part.measures = measures.into(),
        None => {
            if let (Some(due), Some(run)) = (part.measures.due_at, ending.run) {
                let is_start = part.measures.condition == Some(ConditionKind::NotStartedBy);
                let reached = if is_start { run.start_time } else { run.end_time };
                part.measures.late_ms = late(due, reached.unwrap_or(now));
            }
        }
    }
    let lasted = ending.run.and_then(|run| run.duration(now));
    summary::tell(&mut alert.facts, summary::resolved(ending.code, lasted));
    alert
}

/// Whether an alert is over because another failure of its run took its place: who keeps no incident open has nothing to
/// hear of that.
pub fn is_superseded(alert: &Alert) -> bool {
    alert.facts.alert.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::FailedAgain)
}

/// What becomes at `now` of a firing alert that nothing covers: it is suspended, and over as unwatched when that has lasted.
/// None where nothing changes.
pub fn unwatched(alert: &Alert, now: Timestamp) -> Option<Alert> {
    match alert.suspended_at {
        None => Some(Alert { suspended_at: Some(now), ..alert.clone() }),
        // A time ahead comes from a clock that was set back.
        Some(since) if now.duration_since(since).unsigned_abs() >= UNWATCHED_AFTER => {
            Some(end(alert, Ending::new(EndReason::Unwatched, ReasonCode::Unwatched, now), now))
        }
        Some(_) => None,
    }
}

/// The alert, closed by a person for a reason.
pub fn close(alert: &Alert, by: &str, reason: &str, now: Timestamp) -> Alert {
    let ending = Ending { by: Some((by, reason)), ..Ending::new(EndReason::Closed, ReasonCode::Closed, now) };
    end(alert, ending, now)
}

/// The alert about a job's own status, over, with the job as it is now.
pub fn end_with_job(alert: &Alert, job: &Job, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    alert.facts.job = job_part(job);
    end(&alert, Ending::new(EndReason::Recovered, ReasonCode::JobRecovered, now), now)
}

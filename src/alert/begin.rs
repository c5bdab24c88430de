//! From what a condition has found to the alert that begins with it.

use std::time::Duration;

use jiff::Timestamp;

use super::identity::readdressed_alert_id;
use super::summary;
use crate::model::{
    Alert, AlertFacts, AlertId, AlertPart, AlertState, ConditionKind, EndReason, Ended, Instance, InstanceKey,
    InstancePart, Job, JobMore, JobPart, Measures, Rare, Reason, ReasonCode, ReceiverId, RuleId, Severity, SourceId,
    SourcePart, Stage, Suppression,
};

/// What a condition has found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Names the episode.
    pub id: AlertId,
    /// The rule.
    pub rule: RuleId,
    /// How bad it is.
    pub severity: Severity,
    /// Whom it tells.
    pub receivers: Vec<ReceiverId>,
    /// The rule's `duration`, if it has one.
    pub limit: Option<Duration>,
    /// What was found in numbers, for conditions on history or clock.
    pub measures: Measures,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// When it was over again, of what was found too late to be anything but news.
    pub over_at: Option<Timestamp>,
    /// Whether the rule is about every run, whatever came of it.
    pub is_any: bool,
    /// Which failure of the run it is, counted from 1.
    pub episode: u32,
    /// Set when it is to be recorded and not told.
    pub suppressed_by: Option<Suppression>,
}

/// What it was found of.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A run.
    Run(&'a Instance),
    /// A job, where there is no run or the runs together are meant.
    Job {
        /// Its source.
        source: &'a SourceId,
        /// Its name.
        name: &'a str,
    },
    /// A job by its own status.
    Status(&'a Job),
}

impl Subject<'_> {
    /// What names it within its source.
    pub fn key(&self) -> InstanceKey {
        let of_job = |name: &str| InstanceKey { job: name.to_string(), id: String::new() };
        match self {
            Subject::Run(instance) => instance.key(),
            Subject::Job { name, .. } => of_job(name),
            Subject::Status(job) => of_job(&job.name),
        }
    }

    fn source(&self) -> &SourceId {
        match self {
            Subject::Run(run) => &run.source,
            Subject::Job { source, .. } => source,
            Subject::Status(job) => &job.source,
        }
    }

    fn job_part(&self) -> JobPart {
        match self {
            Subject::Run(run) => JobPart { name: run.job.name.clone(), id: run.job.id.clone(), ..JobPart::default() },
            Subject::Job { name, .. } => JobPart { name: (*name).to_string(), ..JobPart::default() },
            Subject::Status(job) => job_part(job),
        }
    }

    /// Whether there are nodes to ask for: those of a run, or of a real-time job.
    fn has_nodes(&self) -> bool {
        match self {
            Subject::Run(_) => true,
            Subject::Job { .. } => false,
            Subject::Status(job) => job.is_real_time,
        }
    }
}

/// The alert that begins with what was found. What was over by then comes ended: it is told once, as over.
pub fn begin(subject: Subject<'_>, source_kind: &str, found: Found, now: Timestamp) -> Alert {
    let source = subject.source().clone();
    let over = |at: Timestamp| Ended { reason: EndReason::Over, by: None, note: None, at };
    let reason = reason(&subject, &found, now);
    let mut facts = AlertFacts {
        alert: AlertPart {
            id: found.id.clone(),
            rule: found.rule.clone(),
            severity: found.severity,
            state: if found.over_at.is_some() { AlertState::Resolved } else { AlertState::Firing },
            starts_at: found.since.min(now),
            ends_at: found.over_at,
            summary: String::new(),
            reason: None,
            measures: found.measures.into(),
            held_back: None,
            labels: Default::default(),
            escalation: None,
            history: None,
            acked: None,
            acked_before: None,
            links: Rare::default(),
            episode: found.episode,
            ended: found.over_at.map(over).map(Box::new),
        },
        source: SourcePart { id: source.clone(), kind: source_kind.to_string() },
        job: subject.job_part(),
        instance: if let Subject::Run(run) = subject { Some(instance_part(run, now)) } else { None },
        failing_nodes: Vec::new(),
        node_details: if subject.has_nodes() { "not asked for" } else { "ok" }.to_string(),
    };
    summary::tell(&mut facts, reason);
    Alert {
        id: found.id,
        source,
        rule: found.rule,
        facts,
        receivers: if found.suppressed_by.is_some() { Vec::new() } else { found.receivers },
        suppressed_by: found.suppressed_by,
        suspended_at: None,
        created_at: now,
        generation: None,
    }
}

/// Why the alert begins.
fn reason(subject: &Subject<'_>, found: &Found, now: Timestamp) -> Reason {
    let code = match (found.measures.condition, subject) {
        (Some(condition), _) => condition.reason(),
        (None, Subject::Status(_)) => ReasonCode::JobStatus,
        (None, Subject::Run(run)) if found.is_any && run.start_time.is_some() => ReasonCode::Ran,
        (None, _) => ReasonCode::Status,
    };
    let lasted = match subject {
        Subject::Run(run) => run.duration(now),
        _ => None,
    };
    Reason { code, ..summary::firing(lasted, found.limit) }
}

/// The alert at its deadline, after a warning of it: it is told a second time, as bad as its rule says. `run` is the run
/// it is about, as it is now.
pub fn overdue(alert: &Alert, run: Option<&Instance>, severity: Severity, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    let part = &mut alert.facts.alert;
    part.severity = severity;
    part.measures.stage = Some(Stage::Overdue);
    part.measures.late_ms = part.measures.due_at.and_then(|due| late(due, now));
    // An alert about a job stays one, for its subject names it: how long the run has lasted says that one has come up.
    let run = run.map(|run| instance_part(run, now));
    let lasted = run.as_ref().and_then(|run| run.duration_ms);
    if alert.facts.instance.is_some() && run.is_some() {
        alert.facts.instance = run;
    }
    let code = alert.facts.alert.reason.as_ref().map_or(ReasonCode::NotFinishedBy, |reason| reason.code);
    summary::tell(&mut alert.facts, Reason { lasted_ms: lasted, ..Reason::new(code) });
    alert
}

/// The alert that goes on, its run told as it is now, with what a look at the run itself has told before.
pub fn held_as(alert: &Alert, run: &Instance, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    let mut part = instance_part(run, now);
    if let Some(known) = alert.facts.instance.take() {
        part.url = known.url.or(part.url);
        part.workflow_instance = known.workflow_instance.or(part.workflow_instance);
        part.error = known.error.or(part.error);
    }
    alert.facts.instance = Some(part);
    if let Some(reason) = alert.facts.alert.reason.take() {
        let lasted = run.duration(now).and_then(|lasted| u64::try_from(lasted.as_millis()).ok());
        summary::tell(&mut alert.facts, Reason { lasted_ms: lasted, ..reason });
    }
    alert
}

/// The alert once more, under another name and as one that begins: those who were told of it are nowhere any more, and these
/// are told now.
pub fn readdressed(alert: &Alert, receivers: Vec<ReceiverId>, now: Timestamp) -> Alert {
    let id = readdressed_alert_id(&alert.id);
    let (suppressed_by, suspended_at) = (None, None);
    let mut alert = Alert { id: id.clone(), receivers, suppressed_by, suspended_at, created_at: now, ..alert.clone() };
    (alert.facts.alert.id, alert.facts.alert.held_back) = (id, None);
    if let Some(reason) = alert.facts.alert.reason.take() {
        summary::tell(&mut alert.facts, reason);
    }
    alert
}

/// How long after `due` an instant is, in milliseconds; nothing for one that is not later.
pub fn late(due: Timestamp, at: Timestamp) -> Option<u64> {
    u64::try_from(at.duration_since(due).as_millis()).ok().filter(|late| *late > 0)
}

/// Whether the alert is about the status of a job, and not about what its runs did.
pub fn is_about_job_status(alert: &Alert) -> bool {
    alert.facts.instance.is_none() && alert.facts.alert.measures.condition.is_none()
}

/// Whether the alert is of this condition on history or clock.
pub fn is_about(alert: &Alert, condition: ConditionKind) -> bool {
    alert.facts.alert.measures.condition == Some(condition)
}

/// What messages say of a run.
pub(super) fn instance_part(instance: &Instance, now: Timestamp) -> InstancePart {
    InstancePart {
        id: instance.id.clone(),
        name: instance.name.clone(),
        status: instance.status,
        raw_status: instance.raw_status.clone(),
        kind: instance.kind,
        plan_time: instance.plan_time,
        start_time: instance.start_time,
        end_time: instance.end_time,
        duration_ms: instance.duration(now).and_then(|lasted| u64::try_from(lasted.as_millis()).ok()),
        url: None,
        error: instance.error.clone(),
        workflow_instance: None,
    }
}

/// What messages say of a job by its own status.
pub(super) fn job_part(job: &Job) -> JobPart {
    JobPart {
        name: job.name.clone(),
        id: None,
        more: Rare::from(JobMore {
            status: Some(job.raw_status.clone()),
            owner: job.owner.clone(),
            create_user: job.create_user.clone(),
            last_instance_status: job.last_instance_status.clone(),
            last_instance_end_time: job.last_instance_end_time,
            ..JobMore::default()
        }),
        workflow: None,
    }
}

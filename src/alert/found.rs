//! Alerts of conditions that look beyond one run: at a job's history, or at the clock.
//!
//! They differ from the others in what names their episode, in the numbers they tell, and in that some are about a job
//! for which there is no run.

use jiff::Timestamp;

use super::Ledger;
use super::ledger::instance_part;
use super::summary;
use crate::model::{
    Alert, AlertFacts, AlertId, AlertPart, AlertState, ConditionKind, Instance, InstanceKey, JobPart, Measures, Reason,
    ReasonCode, ReceiverId, RuleId, Severity, SourceId, SourcePart, Stage, Suppression,
};

/// What a condition has found.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Names the episode.
    pub id: AlertId,
    /// The rule.
    pub rule: &'a RuleId,
    /// How bad it is.
    pub severity: Severity,
    /// Whom it tells.
    pub receivers: &'a [ReceiverId],
    /// What was found.
    pub measures: Measures,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// When it was over again, for what was found too late to be anything but news.
    pub over_at: Option<Timestamp>,
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
}

impl Subject<'_> {
    /// What names it within its source.
    pub fn key(&self) -> InstanceKey {
        match self {
            Subject::Run(instance) => instance.key(),
            Subject::Job { name, .. } => InstanceKey { job: (*name).to_string(), id: String::new() },
        }
    }
}

/// The alert that begins with what was found.
pub fn begin_found(subject: Subject<'_>, source_kind: &str, found: Found<'_>, now: Timestamp) -> Alert {
    let (source, job, instance) = match subject {
        Subject::Run(run) => {
            let job = JobPart { name: run.job.name.clone(), id: run.job.id.clone(), ..JobPart::default() };
            (&run.source, job, Some(instance_part(run, now)))
        }
        Subject::Job { source, name } => (source, JobPart { name: name.to_string(), ..JobPart::default() }, None),
    };
    let is_about_run = instance.is_some();
    let ends_with_run = found.measures.condition == Some(ConditionKind::SlowerThanUsual);
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
            measures: found.measures,
            held_back: None,
            labels: Default::default(),
            escalation: None,
        },
        source: SourcePart { id: source.clone(), kind: source_kind.to_string() },
        job,
        instance,
        failing_nodes: Vec::new(),
        node_details: if is_about_run { "not asked for" } else { "ok" }.to_string(),
    };
    let lasted = facts.instance.as_ref().and_then(|run| run.duration_ms);
    let code = facts.alert.measures.condition.map_or(ReasonCode::Status, |condition| condition.reason());
    summary::tell(&mut facts, Reason { lasted_ms: lasted, ..Reason::new(code) });
    Alert {
        id: found.id,
        source: source.clone(),
        rule: found.rule.clone(),
        facts,
        resolves_on_end: ends_with_run,
        receivers: if found.suppressed_by.is_some() { Vec::new() } else { found.receivers.to_vec() },
        suppressed_by: found.suppressed_by,
        created_at: now,
        generation: None,
    }
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

/// The alert at its end, which `ending` tells and which came at `at`. `measures` are what is known then, and `run` is the
/// run it is about, as it is now.
pub fn end_found(
    alert: &Alert,
    ending: ReasonCode,
    measures: Measures,
    run: Option<&Instance>,
    at: Timestamp,
    now: Timestamp,
) -> Alert {
    let mut alert = alert.clone();
    if alert.facts.instance.is_some()
        && let Some(run) = run
    {
        alert.facts.instance = Some(instance_part(run, now));
    }
    let part = &mut alert.facts.alert;
    part.state = AlertState::Resolved;
    part.ends_at = Some(at.clamp(part.starts_at, now.max(part.starts_at)));
    part.measures = measures;
    let lasted = run.and_then(|run| run.duration(now));
    summary::tell(&mut alert.facts, summary::resolved(ending, lasted));
    alert
}

/// How long after `due` an instant is, in milliseconds; nothing for one that is not later.
pub fn late(due: Timestamp, at: Timestamp) -> Option<u64> {
    u64::try_from(at.duration_since(due).as_millis()).ok().filter(|late| *late > 0)
}

impl Ledger {
    /// Whether `rule` has an alert firing for any run of the job, or for the job itself.
    pub fn fires_for_job(&self, job: &str, rule: &RuleId) -> bool {
        self.subjects_of(job).any(|subject| self.fires(&subject, rule))
    }

    /// The alert of `rule` that fires for the subject.
    pub fn firing_of(&self, subject: &InstanceKey, rule: &RuleId) -> Option<&Alert> {
        self.of_subject(subject).find(|alert| alert.rule == *rule)
    }

    /// Takes out the alerts for which `judge` has an end.
    pub fn end_where(&mut self, mut judge: impl FnMut(&Alert) -> Option<Alert>) -> Vec<Alert> {
        let ended: Vec<(InstanceKey, Alert)> =
            self.firing().filter_map(|alert| Some((alert.facts.subject(), judge(alert)?))).collect();
        for (subject, ended) in &ended {
            self.take_out(subject, |alert| (alert.id == ended.id).then_some(()));
        }
        ended.into_iter().map(|(_, alert)| alert).collect()
    }
}

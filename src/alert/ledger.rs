//! The alerts of one source that fire, and the decisions which begin and which end.
//!
//! # Design
//! An alert is told once per episode because its key (instance and rule) is in the ledger from its first firing to its
//! resolution; listing the instance again finds it there. What ends it is looked for in every listed instance, not only
//! in changed ones, so a recovery that was missed once is found at the next poll. That is done for all of them at once:
//! a job that has failed for days has thousands of alerts and thousands of runs, and must not be looked at run by alert.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::found::late;
use super::identity::alert_id;
use super::later::LaterRuns;
use super::summary;
use crate::model::{
    Alert, AlertFacts, AlertPart, AlertState, ConditionKind, Instance, InstanceKey, InstancePart, JobPart, Measures,
    ReasonCode, ReceiverId, RuleId, Severity, SourcePart, Status, Suppression,
};

/// A rule's condition that holds for an instance.
#[derive(Debug, Clone)]
pub struct Holding<'a> {
    /// The rule.
    pub rule: &'a RuleId,
    /// Its severity.
    pub severity: Severity,
    /// Whom it tells.
    pub receivers: &'a [ReceiverId],
    /// Its duration threshold, if it has one.
    pub limit: Option<Duration>,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// Whether it is news, told once, and not a state that ends.
    pub is_news: bool,
    /// Set when it is to be recorded and not told.
    pub suppressed_by: Option<Suppression>,
}

/// The alerts of one source that fire.
#[derive(Debug, Default)]
pub struct Ledger {
    firing: HashMap<InstanceKey, Vec<Alert>>,
    /// The ids of instances with firing alerts, by job: what a later run of the job may resolve.
    by_job: HashMap<String, BTreeSet<String>>,
}

impl Ledger {
    /// A ledger of the alerts that fire.
    pub fn new(firing: impl IntoIterator<Item = Alert>) -> Self {
        let mut ledger = Ledger::default();
        for alert in firing {
            ledger.insert(alert);
        }
        ledger
    }

    /// The alerts that fire, in no particular order.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.firing.values().flatten()
    }

    /// The alerts that fire, handed over.
    pub fn into_firing(self) -> Vec<Alert> {
        self.firing.into_values().flatten().collect()
    }

    /// Whether any alert fires for a run of the job.
    pub fn concerns(&self, job: &str) -> bool {
        self.by_job.contains_key(job)
    }

    /// Whether any alert fires for this run.
    pub fn concerns_run(&self, instance: &InstanceKey) -> bool {
        self.firing.contains_key(instance)
    }

    /// Takes over what has been learnt of alerts that were entered already: their nodes, and that they are not told.
    pub fn update(&mut self, alerts: &[Alert]) {
        for newer in alerts {
            let entered = self.firing.get_mut(&newer.facts.subject()).into_iter().flatten();
            for alert in entered.filter(|alert| alert.id == newer.id) {
                alert.clone_from(newer);
            }
        }
    }

    /// Whether `rule` has an alert firing for the instance.
    pub fn fires(&self, instance: &InstanceKey, rule: &RuleId) -> bool {
        self.firing.get(instance).is_some_and(|alerts| alerts.iter().any(|alert| alert.rule == *rule))
    }

    /// The alerts that fire for a subject.
    pub(super) fn of_subject(&self, subject: &InstanceKey) -> impl Iterator<Item = &Alert> {
        self.firing.get(subject).into_iter().flatten()
    }

    /// What fires for runs of a job, and for the job itself.
    pub(super) fn subjects_of(&self, job: &str) -> impl Iterator<Item = InstanceKey> {
        let ids = self.by_job.get(job).into_iter().flatten();
        ids.map(|id| InstanceKey { job: job.to_string(), id: id.clone() })
    }

    /// Enters an alert that fires.
    pub fn insert(&mut self, alert: Alert) {
        let key = alert.facts.subject();
        self.by_job.entry(key.job.clone()).or_default().insert(key.id.clone());
        self.firing.entry(key).or_default().push(alert);
    }

    /// The alert that begins with `holding`, unless one is firing already. It is not entered: the caller does that with
    /// [`Ledger::insert`] once it knows that the episode was not told before.
    ///
    /// An alert about a run that is well already (a rule that asks for `success`, or a long run found when it is over)
    /// is a single piece of news, not a state: it comes back resolved, is told once, and needs no all-clear.
    pub fn begin(
        &self,
        instance: &Instance,
        source_kind: &str,
        holding: &Holding<'_>,
        now: Timestamp,
        ordinal: u32,
    ) -> Option<Alert> {
        if self.fires(&instance.key(), holding.rule) {
            return None;
        }
        let is_over = holding.is_news || instance.status.is_recovery();
        let lasted = instance.duration(now);
        let id = alert_id(instance, holding.rule, holding.limit.is_some(), ordinal);
        let mut facts = AlertFacts {
            alert: AlertPart {
                id: id.clone(),
                rule: holding.rule.clone(),
                severity: holding.severity,
                state: if is_over { AlertState::Resolved } else { AlertState::Firing },
                starts_at: holding.since,
                ends_at: if is_over { Some(instance.end_time.unwrap_or(now)) } else { None },
                summary: String::new(),
                reason: None,
                measures: Measures::default(),
                held_back: None,
                labels: Default::default(),
                escalation: None,
            },
            source: SourcePart { id: instance.source.clone(), kind: source_kind.to_string() },
            job: JobPart { name: instance.job.name.clone(), id: instance.job.id.clone(), ..JobPart::default() },
            instance: Some(instance_part(instance, now)),
            failing_nodes: Vec::new(),
            node_details: "not asked for".to_string(),
        };
        let reason = match holding.is_news && instance.start_time.is_some() {
            true => summary::resolved(ReasonCode::Ran, lasted),
            false => summary::firing(lasted, holding.limit),
        };
        summary::tell(&mut facts, reason);
        Some(Alert {
            id,
            source: instance.source.clone(),
            rule: holding.rule.clone(),
            facts,
            resolves_on_end: holding.limit.is_some() && !instance.status.has_ended(),
            receivers: if holding.suppressed_by.is_some() { Vec::new() } else { holding.receivers.to_vec() },
            suppressed_by: holding.suppressed_by.clone(),
            created_at: now,
            generation: None,
        })
    }

    /// Takes out the alerts that the instances in `over`, as they are now, resolve: an instance's own when it is seen in
    /// success, its own duration alerts when it ended at all, and those of earlier runs of its job when it succeeded
    /// after they began and after `last_ends`, the last known ends of those runs: one that was made again may have failed
    /// again since. Of several later runs the earliest one is named.
    pub fn resolve(
        &mut self,
        over: &[Instance],
        last_ends: &HashMap<InstanceKey, Timestamp>,
        now: Timestamp,
    ) -> Vec<Alert> {
        let mut resolved = Vec::new();
        let mut succeeded: BTreeMap<&str, LaterRuns<'_>> = BTreeMap::new();
        for instance in over {
            if !self.concerns(&instance.job.name) {
                continue;
            }
            self.take_out(&instance.key(), |alert| {
                let ending = own_ending(alert, instance)?;
                resolved.push(ended(alert, instance, ending, now));
                Some(())
            });
            if instance.status.is_recovery() {
                succeeded.entry(&instance.job.name).or_default().add(instance);
            }
        }
        for (job, mut runs) in succeeded {
            runs.sort();
            for id in self.by_job.get(job).cloned().unwrap_or_default() {
                let key = InstanceKey { job: job.to_string(), id };
                let last_end = last_ends.get(&key).copied();
                self.take_out(&key, |alert| {
                    let instance = runs.vouching_for(alert, last_end)?;
                    resolved.push(ended(alert, instance, ReasonCode::LaterRun, now));
                    Some(())
                });
            }
        }
        resolved
    }

    /// Takes out the alerts for which `is_kept` says no: a rule that was removed, or means something else, leaves nothing
    /// to resolve.
    pub fn close_where(&mut self, mut is_kept: impl FnMut(&Alert) -> bool, now: Timestamp) -> Vec<Alert> {
        let mut closed = Vec::new();
        let keys: Vec<InstanceKey> = self.firing.keys().cloned().collect();
        for key in keys {
            self.take_out(&key, |alert| (!is_kept(alert)).then(|| closed.push(closed_at(alert, now))));
        }
        closed
    }

    /// Takes out the alert that was recorded and not told of an earlier failure of `instance`, if the run has been made
    /// again since: what its present state means is news.
    pub fn close_outdated(&mut self, instance: &Instance, rule: &RuleId, now: Timestamp) -> Option<Alert> {
        let mut closed = None;
        self.take_out(&instance.key(), |alert| {
            let part = alert.facts.instance.as_ref()?;
            let is_another_run = (part.start_time, part.end_time) != (instance.start_time, instance.end_time);
            if alert.rule != *rule || alert.suppressed_by.is_none() || !is_another_run {
                return None;
            }
            closed = Some(closed_at(alert, now));
            Some(())
        });
        closed
    }

    /// Takes out the alerts of an instance for which `judge` has an answer.
    pub(super) fn take_out(&mut self, key: &InstanceKey, mut judge: impl FnMut(&Alert) -> Option<()>) {
        let Some(alerts) = self.firing.get_mut(key) else { return };
        alerts.retain(|alert| judge(alert).is_none());
        if !alerts.is_empty() {
            return;
        }
        self.firing.remove(key);
        if let Some(ids) = self.by_job.get_mut(&key.job) {
            ids.remove(&key.id);
            if ids.is_empty() {
                self.by_job.remove(&key.job);
            }
        }
    }
}

/// Whether and how an instance ends an alert of its own.
fn own_ending(alert: &Alert, instance: &Instance) -> Option<ReasonCode> {
    if instance.status.is_recovery() {
        return Some(ReasonCode::Recovered);
    }
    // A deadline is met by a run whose failure was ignored: its scheduler counts it as done.
    let is_due = alert.facts.alert.measures.condition == Some(ConditionKind::NotFinishedBy);
    if is_due && instance.status == Status::IgnoredFailure {
        return Some(ReasonCode::Recovered);
    }
    (alert.resolves_on_end && instance.status.has_ended()).then_some(ReasonCode::Ended)
}

fn ended(alert: &Alert, instance: &Instance, ending: ReasonCode, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    if ending != ReasonCode::LaterRun {
        alert.facts.instance = Some(instance_part(instance, now));
    }
    let part = &mut alert.facts.alert;
    part.state = AlertState::Resolved;
    part.ends_at = Some(instance.end_time.unwrap_or(now).clamp(part.starts_at, now.max(part.starts_at)));
    if let Some(due) = part.measures.due_at {
        let is_start = part.measures.condition == Some(ConditionKind::NotStartedBy);
        let reached = if is_start { instance.start_time } else { instance.end_time };
        part.measures.late_ms = late(due, reached.unwrap_or(now));
    }
    summary::tell(&mut alert.facts, summary::resolved(ending, instance.duration(now)));
    alert
}

/// The alert, over without anything to tell.
fn closed_at(alert: &Alert, now: Timestamp) -> Alert {
    let mut alert = alert.clone();
    alert.facts.alert.state = AlertState::Resolved;
    alert.facts.alert.ends_at = Some(now);
    alert
}

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

#[cfg(test)]
mod tests;

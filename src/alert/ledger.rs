//! The alerts of one source that fire, and the decisions which begin and which end.
//!
//! # Design
//! An alert is told once per episode because its key (instance and rule) is in the ledger from its first firing to its
//! resolution; listing the instance again finds it there. What ends it is looked for in every listed instance, not only
//! in changed ones, so a recovery that was missed once is found at the next poll.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::identity::alert_id;
use super::summary::{self, Ending};
use crate::model::{
    Alert, AlertFacts, AlertPart, AlertState, Instance, InstanceKey, InstancePart, InstanceType, JobPart, ReceiverId,
    RuleId, Severity, SourcePart, Suppression,
};

/// A rule's condition that holds for an instance.
#[derive(Debug, Clone, Copy)]
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
    /// Set when it is to be recorded and not told.
    pub suppressed_by: Option<Suppression>,
}

/// The alerts of one source that fire.
#[derive(Debug, Default)]
pub struct Ledger {
    firing: HashMap<InstanceKey, Vec<Alert>>,
    /// Instances with firing alerts, by job: what a later run of the job may resolve.
    by_job: HashMap<String, Vec<InstanceKey>>,
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

    /// Takes over what has been learnt of alerts that were entered already (their nodes).
    pub fn update(&mut self, alerts: &[Alert]) {
        for newer in alerts {
            let entered = self.firing.get_mut(&key_of(newer)).into_iter().flatten();
            for alert in entered.filter(|alert| alert.id == newer.id) {
                alert.facts = newer.facts.clone();
            }
        }
    }

    /// Whether `rule` has an alert firing for the instance.
    pub fn fires(&self, instance: &InstanceKey, rule: &RuleId) -> bool {
        self.firing.get(instance).is_some_and(|alerts| alerts.iter().any(|alert| alert.rule == *rule))
    }

    /// Enters an alert that fires.
    pub fn insert(&mut self, alert: Alert) {
        let key = key_of(&alert);
        let alerts = self.firing.entry(key.clone()).or_default();
        if alerts.is_empty() {
            self.by_job.entry(key.job.clone()).or_default().push(key);
        }
        alerts.push(alert);
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
        let is_over = instance.status.is_recovery();
        let lasted = instance.duration(now);
        let id = alert_id(instance, holding.rule, holding.limit.is_some(), ordinal);
        Some(Alert {
            id: id.clone(),
            source: instance.source.clone(),
            rule: holding.rule.clone(),
            facts: AlertFacts {
                alert: AlertPart {
                    id,
                    rule: holding.rule.clone(),
                    severity: holding.severity,
                    state: if is_over { AlertState::Resolved } else { AlertState::Firing },
                    starts_at: holding.since,
                    ends_at: if is_over { Some(instance.end_time.unwrap_or(now)) } else { None },
                    summary: summary::firing(instance, lasted, holding.limit),
                },
                source: SourcePart { id: instance.source.clone(), kind: source_kind.to_string() },
                job: JobPart { name: instance.job.name.clone(), id: instance.job.id.clone() },
                instance: instance_part(instance, now),
                failing_nodes: Vec::new(),
                node_details: "not asked for".to_string(),
            },
            resolves_on_end: holding.limit.is_some() && !instance.status.has_ended(),
            receivers: if holding.suppressed_by.is_some() { Vec::new() } else { holding.receivers.to_vec() },
            suppressed_by: holding.suppressed_by,
            created_at: now,
        })
    }

    /// Takes out the alerts that `instance`, as it is now, resolves: its own when it is seen in success, its own
    /// duration alerts when it ended at all, and those of earlier runs of its job when it succeeded after they began.
    pub fn resolve(&mut self, instance: &Instance, now: Timestamp) -> Vec<Alert> {
        let mut resolved = Vec::new();
        let Some(keys) = self.by_job.get(&instance.job.name) else { return resolved };
        let keys = keys.clone();
        let own = instance.key();
        for key in keys {
            let Some(alerts) = self.firing.get_mut(&key) else { continue };
            let is_own = key == own;
            alerts.retain_mut(|alert| {
                let Some(ending) = ending(alert, instance, is_own) else { return true };
                end(alert, instance, ending, now);
                resolved.push(alert.clone());
                false
            });
            if alerts.is_empty() {
                self.forget(&key);
            }
        }
        resolved
    }

    /// Takes out the alerts of rules for which `is_kept` says no: a rule that was removed leaves nothing to resolve.
    pub fn close_where(&mut self, mut is_kept: impl FnMut(&RuleId) -> bool, now: Timestamp) -> Vec<Alert> {
        let mut closed = Vec::new();
        let keys: Vec<InstanceKey> = self.firing.keys().cloned().collect();
        for key in keys {
            let Some(alerts) = self.firing.get_mut(&key) else { continue };
            alerts.retain_mut(|alert| {
                if is_kept(&alert.rule) {
                    return true;
                }
                alert.facts.alert.state = AlertState::Resolved;
                alert.facts.alert.ends_at = Some(now);
                closed.push(alert.clone());
                false
            });
            if alerts.is_empty() {
                self.forget(&key);
            }
        }
        closed
    }

    fn forget(&mut self, key: &InstanceKey) {
        self.firing.remove(key);
        if let Some(keys) = self.by_job.get_mut(&key.job) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.by_job.remove(&key.job);
            }
        }
    }
}

fn key_of(alert: &Alert) -> InstanceKey {
    InstanceKey { job: alert.facts.job.name.clone(), id: alert.facts.instance.id.clone() }
}

/// Whether and how `instance` ends `alert`.
fn ending(alert: &Alert, instance: &Instance, is_own: bool) -> Option<Ending> {
    if is_own {
        if instance.status.is_recovery() {
            return Some(Ending::SameInstance);
        }
        return (alert.resolves_on_end && instance.status.has_ended()).then_some(Ending::Ended);
    }
    let part = &alert.facts.instance;
    // A backfill re-does old days; it neither vouches for the schedule nor is vouched for by it.
    let is_backfill = |kind| kind == InstanceType::Backfill;
    if !instance.status.is_recovery() || is_backfill(instance.kind) != is_backfill(part.kind) {
        return None;
    }
    let is_later = match (part.plan_time.or(part.start_time), instance.plan_time.or(instance.start_time)) {
        (Some(mine), Some(other)) => other > mine,
        _ => false,
    };
    // A later run that had succeeded before this one failed says nothing about the failure.
    let ended_since = instance.end_time.is_none_or(|end| end >= alert.facts.alert.starts_at);
    (is_later && ended_since).then_some(Ending::LaterInstance)
}

fn end(alert: &mut Alert, instance: &Instance, ending: Ending, now: Timestamp) {
    if ending != Ending::LaterInstance {
        alert.facts.instance = instance_part(instance, now);
    }
    let part = &mut alert.facts.alert;
    part.state = AlertState::Resolved;
    part.ends_at = Some(instance.end_time.unwrap_or(now).clamp(part.starts_at, now.max(part.starts_at)));
    part.summary = summary::resolved(instance, instance.duration(now), ending);
}

fn instance_part(instance: &Instance, now: Timestamp) -> InstancePart {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobRef, SourceId, Status};

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
        }
    }

    fn holding(rule: &RuleId, limit_minutes: Option<u64>) -> Holding<'_> {
        Holding {
            rule,
            severity: Severity::Error,
            receivers: &[],
            limit: limit_minutes.map(|minutes| Duration::from_secs(minutes * 60)),
            since: at(5),
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
        assert!(ledger.resolve(&run("etl", 0, Status::Running, None), at(8)).is_empty(), "a rerun under way is no end");
        let resolved = ledger.resolve(&run("etl", 0, Status::Success, Some(12)), at(13));
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
            (
                "a backfill",
                Instance { kind: InstanceType::Backfill, ..run("etl", 60, Status::Success, Some(65)) },
                false,
            ),
        ];
        for (name, other, resolves) in cases {
            let mut ledger = Ledger::default();
            fire(&mut ledger, &failed, None, 6);
            assert_eq!(!ledger.resolve(&other, at(70)).is_empty(), resolves, "{name}");
        }
    }

    #[test]
    fn a_duration_alert_ends_with_the_run_however_it_ends() {
        for status in [Status::Success, Status::Fail, Status::ManualStop] {
            let mut ledger = Ledger::default();
            let alert = fire(&mut ledger, &run("slow", 0, Status::Running, None), Some(45), 46).unwrap();
            assert_eq!(alert.facts.alert.summary, "slow has been running for 46m 0s (limit 45m)");
            assert_eq!(ledger.resolve(&run("slow", 0, status, Some(50)), at(51)).len(), 1, "{status}");
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
    fn the_alerts_of_a_removed_rule_are_closed() {
        let mut ledger = Ledger::default();
        fire(&mut ledger, &run("etl", 0, Status::Fail, Some(5)), None, 6);
        assert!(ledger.close_where(|_| true, at(7)).is_empty());
        assert_eq!(ledger.close_where(|_| false, at(7)).len(), 1);
        assert!(ledger.resolve(&run("etl", 0, Status::Success, Some(8)), at(9)).is_empty());
    }
}

//! The alerts of one source that fire, found by their subject and by their job.
//!
//! # Design
//! An alert is told once per episode because its key (subject and rule) is in the ledger from its first firing to its
//! end; listing the instance again finds it there. A job that has failed for days has thousands of alerts and thousands
//! of runs: whatever ends them is looked for job by job, and not run by alert. A copy of a ledger shares the alerts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::end::{Ending, end};
use super::later::LaterRuns;
use crate::model::{Alert, AlertId, EndReason, Instance, InstanceKey, ReasonCode, RuleId};

/// The alerts of one source that fire.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    firing: HashMap<InstanceKey, Vec<Arc<Alert>>>,
    by_job: HashMap<String, OfJob>,
}

/// What fires for the runs of a job, and for the job itself.
#[derive(Debug, Clone, Default)]
struct OfJob {
    /// The ids of the instances: what a later run of the job may end.
    ids: BTreeSet<String>,
    /// How many alerts each rule has.
    rules: HashMap<RuleId, usize>,
}

impl FromIterator<Alert> for Ledger {
    fn from_iter<I: IntoIterator<Item = Alert>>(firing: I) -> Self {
        let mut ledger = Ledger::default();
        for alert in firing {
            ledger.insert(alert);
        }
        ledger
    }
}

impl Ledger {
    /// The alerts that fire, in no particular order.
    pub fn firing(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.firing.values().flatten()
    }

    /// Whether nothing fires.
    pub fn is_empty(&self) -> bool {
        self.firing.is_empty()
    }

    /// Whether any alert fires for a run of the job, or for the job itself.
    pub fn concerns(&self, job: &str) -> bool {
        self.by_job.contains_key(job)
    }

    /// Whether any alert fires for this subject.
    pub fn concerns_subject(&self, subject: &InstanceKey) -> bool {
        self.firing.contains_key(subject)
    }

    /// Whether `rule` has an alert firing for the subject.
    pub fn fires(&self, subject: &InstanceKey, rule: &RuleId) -> bool {
        self.firing_of(subject, rule).is_some()
    }

    /// Whether `rule` has an alert firing for any run of the job, or for the job itself.
    pub fn fires_for_job(&self, job: &str, rule: &RuleId) -> bool {
        self.by_job.get(job).is_some_and(|of_job| of_job.rules.contains_key(rule))
    }

    /// The alert of `rule` that fires for the subject.
    pub fn firing_of(&self, subject: &InstanceKey, rule: &RuleId) -> Option<&Arc<Alert>> {
        self.firing.get(subject)?.iter().find(|alert| alert.rule == *rule)
    }

    /// The alerts that fire for the subject.
    pub fn of_subject(&self, subject: &InstanceKey) -> &[Arc<Alert>] {
        self.firing.get(subject).map_or(&[], Vec::as_slice)
    }

    /// What fires for runs of a job, and for the job itself.
    fn subjects_of(&self, job: &str) -> impl Iterator<Item = InstanceKey> {
        let ids = self.by_job.get(job).into_iter().flat_map(|of_job| &of_job.ids);
        ids.map(|id| InstanceKey { job: job.to_string(), id: id.clone() })
    }

    /// Enters an alert that fires.
    pub fn insert(&mut self, alert: impl Into<Arc<Alert>>) {
        let alert = alert.into();
        let key = alert.facts.subject();
        let of_job = self.by_job.entry(key.job.clone()).or_default();
        of_job.ids.insert(key.id.clone());
        *of_job.rules.entry(alert.rule.clone()).or_default() += 1;
        self.firing.entry(key).or_default().push(alert);
    }

    /// Takes over what has become of an alert that is entered, while it goes on firing.
    pub fn replace(&mut self, newer: impl Into<Arc<Alert>>) {
        let newer = newer.into();
        let entered = self.firing.get_mut(&newer.facts.subject()).into_iter().flatten();
        for alert in entered.filter(|alert| alert.id == newer.id) {
            *alert = Arc::clone(&newer);
        }
    }

    /// Takes an alert out.
    pub fn remove(&mut self, subject: &InstanceKey, id: &AlertId) {
        let Some(alerts) = self.firing.get_mut(subject) else { return };
        let Some(of_job) = self.by_job.get_mut(&subject.job) else { return };
        alerts.retain(|alert| {
            let is_it = alert.id == *id;
            if is_it && let Some(count) = of_job.rules.get_mut(&alert.rule) {
                *count -= 1;
                if *count == 0 {
                    of_job.rules.remove(&alert.rule);
                }
            }
            !is_it
        });
        if !alerts.is_empty() {
            return;
        }
        self.firing.remove(subject);
        of_job.ids.remove(&subject.id);
        if of_job.ids.is_empty() {
            self.by_job.remove(&subject.job);
        }
    }

    /// Takes out the alerts for which `judge` has an end.
    pub fn end_where(&mut self, mut judge: impl FnMut(&Alert) -> Option<Alert>) -> Vec<Alert> {
        let ended: Vec<Alert> = self.firing().filter_map(|alert| judge(alert)).collect();
        for alert in &ended {
            self.remove(&alert.facts.subject(), &alert.id);
        }
        ended
    }

    /// Takes out the alerts that a success of a later run of their job ends: one that ended after the alert began and
    /// after the last known end of the alert's own run, which `last_end` knows, for one that was made again may have failed again
    /// since. `is_meant` says which alerts a later run can end; of several runs the earliest one is named.
    pub fn recover<'a>(
        &mut self,
        succeeded: impl IntoIterator<Item = &'a Instance>,
        last_end: impl Fn(&InstanceKey) -> Option<Timestamp>,
        is_meant: impl Fn(&Alert) -> bool,
        now: Timestamp,
    ) -> Vec<Alert> {
        let mut by_job: BTreeMap<&str, LaterRuns<'a>> = BTreeMap::new();
        for instance in succeeded.into_iter().filter(|instance| self.concerns(&instance.job.name)) {
            by_job.entry(&instance.job.name).or_default().add(instance);
        }
        let mut recovered = Vec::new();
        for (job, mut runs) in by_job {
            runs.sort();
            for subject in self.subjects_of(job) {
                let mut meant = self.of_subject(&subject).iter().filter(|alert| is_meant(alert)).peekable();
                let last_end = meant.peek().and_then(|_| last_end(&subject));
                for alert in meant {
                    if let Some(run) = runs.vouching_for(alert, last_end) {
                        let ending = Ending::by_run(EndReason::Recovered, ReasonCode::LaterRun, run, now);
                        recovered.push(end(alert, ending, now));
                    }
                }
            }
        }
        for alert in &recovered {
            self.remove(&alert.facts.subject(), &alert.id);
        }
        recovered
    }
}

#[cfg(test)]
mod tests;

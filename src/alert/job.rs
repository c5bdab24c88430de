//! Alerts about jobs themselves: a job is in a status that a rule asks for, whatever its runs do.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use super::identity::job_alert_id;
use super::{Holding, Ledger, summary};
use crate::model::{
    Alert, AlertFacts, AlertPart, AlertState, InstanceKey, Job, JobPart, Measures, Reason, ReasonCode, SourcePart,
};

impl Ledger {
    /// The alert that begins with `holding` for a job, unless one is firing already. As with [`Ledger::begin`], the
    /// caller enters it.
    pub fn begin_job(
        &self,
        job: &Job,
        source_kind: &str,
        holding: &Holding<'_>,
        now: Timestamp,
        ordinal: u32,
    ) -> Option<Alert> {
        if self.fires(&subject(job), holding.rule) {
            return None;
        }
        let id = job_alert_id(job, holding.rule, ordinal);
        let mut facts = AlertFacts {
            alert: AlertPart {
                id: id.clone(),
                rule: holding.rule.clone(),
                severity: holding.severity,
                state: AlertState::Firing,
                starts_at: holding.since,
                ends_at: None,
                summary: String::new(),
                reason: None,
                measures: Measures::default(),
                held_back: None,
                labels: Default::default(),
                escalation: None,
            },
            source: SourcePart { id: job.source.clone(), kind: source_kind.to_string() },
            job: job_part(job),
            instance: None,
            failing_nodes: Vec::new(),
            // Only real-time jobs have nodes of their own to ask for.
            node_details: if job.is_real_time { "not asked for" } else { "ok" }.to_string(),
        };
        summary::tell(&mut facts, Reason::new(ReasonCode::JobStatus));
        Some(Alert {
            id,
            source: job.source.clone(),
            rule: holding.rule.clone(),
            facts,
            resolves_on_end: false,
            receivers: if holding.suppressed_by.is_some() { Vec::new() } else { holding.receivers.to_vec() },
            suppressed_by: holding.suppressed_by.clone(),
            created_at: now,
            generation: None,
        })
    }

    /// Takes out the alerts about `job` if it is well now.
    pub fn resolve_job(&mut self, job: &Job, now: Timestamp) -> Vec<Alert> {
        let mut resolved = Vec::new();
        if !job.status.is_healthy() {
            return resolved;
        }
        self.take_out(&subject(job), |alert| {
            // That the job is well says nothing of a run that is missing.
            if !is_about_status(alert) {
                return None;
            }
            let mut alert = alert.clone();
            alert.facts.job = job_part(job);
            resolved.push(over(alert, ReasonCode::JobRecovered, now));
            Some(())
        });
        resolved
    }

    /// Takes out the alerts about the status of jobs that `known`, the names of all jobs there are, does not hold: nobody
    /// can mend a job that was deleted. That its runs are missing is all the more true.
    pub fn resolve_gone_jobs(&mut self, known: &HashSet<&str>, now: Timestamp) -> Vec<Alert> {
        let gone: BTreeSet<InstanceKey> = self
            .firing()
            .filter(|alert| is_about_status(alert))
            .map(|alert| alert.facts.subject())
            .filter(|key| !known.contains(key.job.as_str()))
            .collect();
        let mut resolved = Vec::new();
        for key in gone {
            self.take_out(&key, |alert| {
                is_about_status(alert).then(|| resolved.push(over(alert.clone(), ReasonCode::JobGone, now)))
            });
        }
        resolved
    }
}

/// Whether the alert is about the status of a job, and not about what its runs did.
fn is_about_status(alert: &Alert) -> bool {
    alert.facts.instance.is_none() && alert.facts.alert.measures.condition.is_none()
}

/// The alert about a job, over.
fn over(mut alert: Alert, why: ReasonCode, now: Timestamp) -> Alert {
    let part = &mut alert.facts.alert;
    part.state = AlertState::Resolved;
    part.ends_at = Some(now.max(part.starts_at));
    summary::tell(&mut alert.facts, Reason::new(why));
    alert
}

fn subject(job: &Job) -> InstanceKey {
    InstanceKey { job: job.name.clone(), id: String::new() }
}

fn job_part(job: &Job) -> JobPart {
    JobPart {
        name: job.name.clone(),
        id: None,
        real_time_job: None,
        node: None,
        status: Some(job.raw_status.clone()),
        owner: job.owner.clone(),
        create_user: job.create_user.clone(),
        last_instance_status: job.last_instance_status.clone(),
        last_instance_end_time: job.last_instance_end_time,
        workflow: None,
    }
}

//! Alerts about jobs themselves, for rules that ask for `job_status`, and the end of alerts about runs that nobody asks after
//! any more.

use std::collections::HashSet;

use jiff::Timestamp;

use super::decider::Decider;
use super::history::candidate;
use super::judge::{Bench, CandidateSubject, Judged, Naming};
use crate::alert::{Ending, end, end_with_job, is_about, is_about_job_status};
use crate::limits::FOLLOWED_AGE_MAX;
use crate::model::{Alert, AlertId, ConditionKind, EndReason, InstanceKey, Measures, ReasonCode};

impl Decider {
    /// Judges the jobs, as far as they could be read.
    pub(super) fn judge_jobs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        let Some(list) = &bench.look.jobs else { return };
        let rules = self.rules.clone();
        for (at, job) in list.jobs.iter().enumerate() {
            if job.status.is_healthy() && judged.ledger.concerns(&job.name) {
                let subject = InstanceKey { job: job.name.clone(), id: String::new() };
                // That the job is well says nothing of a run that is missing.
                let is_meant = |alert: &&std::sync::Arc<crate::model::Alert>| {
                    is_about_job_status(alert) && alert.suspended_at.is_none()
                };
                let ended: Vec<_> = judged.ledger.of_subject(&subject).iter().filter(is_meant).cloned().collect();
                for alert in ended {
                    judged.ledger.remove(&subject, &alert.id);
                    judged.ended.push(end_with_job(&alert, job, bench.now));
                }
            }
            let matching = rules.matching(&self.source, &job.name, &mut self.cache.matches);
            for &index in matching.iter() {
                let Some(since) = rules.rules()[index].judge_job(job, bench.now) else { continue };
                let is_history = bench.is_history(index, false, since);
                let subject = CandidateSubject::Status(at);
                let found = candidate(index, subject, Naming::JobStart, Measures::default(), since, is_history);
                judged.candidates.push(found);
            }
        }
    }

    /// Ends the alerts about runs that are too old to be asked after: nobody watches them any more, and they would fire for
    /// ever. A row of failures is of its job and not of the run with which it began.
    pub(super) fn end_forgotten_runs(&self, judged: &mut Judged, bench: &Bench<'_>) {
        if !bench.look.is_last_slice {
            return;
        }
        let oldest = bench.now.checked_sub(FOLLOWED_AGE_MAX).unwrap_or(Timestamp::MIN);
        let is_old = |alert: &Alert| {
            let is_of_run = alert.suspended_at.is_none() && !is_about(alert, ConditionKind::Consecutive);
            let run = alert.facts.instance.as_ref().filter(|_| is_of_run);
            run.is_some_and(|run| run.plan_time.or(run.start_time).unwrap_or(alert.facts.alert.starts_at) < oldest)
        };
        let old: Vec<AlertId> = judged
            .ledger
            .firing()
            .filter(|alert| is_old(alert))
            .filter(|alert| judged.seen(&alert.facts.job.name, &alert.facts.subject().id).is_none())
            .map(|alert| alert.id.clone())
            .collect();
        if old.is_empty() {
            return;
        }
        let old: HashSet<AlertId> = old.into_iter().collect();
        judged.end_where(|alert| {
            let ending = || Ending::new(EndReason::Unwatched, ReasonCode::RunTooOld, bench.now);
            old.contains(&alert.id).then(|| end(alert, ending(), bench.now))
        });
    }
}

//! Alerts about jobs themselves, for rules that ask for `job_status`, and the end of alerts about jobs and runs that are gone.

use std::collections::HashSet;

use jiff::Timestamp;

use super::decider::Decider;
use super::history::candidate;
use super::judge::{Bench, CandidateSubject, Judged, Naming};
use crate::alert::{Ending, end, end_with_job, is_about_job_status};
use crate::limits::FOLLOWED_AGE_MAX;
use crate::model::{Alert, AlertId, EndReason, InstanceKey, InstanceType, Measures, ReasonCode};
use crate::rule::Rule;

impl Decider {
    /// Judges the jobs, where they could be read: all there are.
    pub(super) fn judge_jobs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        // A list of no job at all says that nothing may be seen, and not that everything is gone.
        let Some(jobs) = bench.look.jobs.as_ref().filter(|jobs| !jobs.is_empty()) else { return };
        let known: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        // Sub-jobs stand in no list of jobs, so that it says nothing to a rule that is about them alone. Of a run the source
        // itself says whether it is gone.
        let rules = self.rules.clone();
        judged.end_where(|alert| {
            let is_listed = |rule: &Rule| rule.matches.takes(InstanceType::Scheduled);
            let is_gone = !known.contains(alert.facts.job.name.as_str())
                && alert.suspended_at.is_none()
                && alert.facts.instance.is_none()
                && rules.get(&alert.rule).is_none_or(is_listed);
            let ending = || Ending::new(EndReason::Gone, ReasonCode::JobGone, bench.now);
            is_gone.then(|| end(alert, ending(), bench.now))
        });
        for (at, job) in jobs.iter().enumerate() {
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

    /// Ends the alerts about runs that are too old to be asked after: the source will say nothing of them any more, and they
    /// would fire for ever.
    pub(super) fn end_forgotten_runs(&self, judged: &mut Judged, bench: &Bench<'_>) {
        if !bench.look.is_last_slice {
            return;
        }
        let oldest = bench.now.checked_sub(FOLLOWED_AGE_MAX).unwrap_or(Timestamp::MIN);
        let is_old = |alert: &Alert| {
            let run = alert.facts.instance.as_ref().filter(|_| alert.suspended_at.is_none());
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
            let ending = || Ending::new(EndReason::Gone, ReasonCode::RunGone, bench.now);
            old.contains(&alert.id).then(|| end(alert, ending(), bench.now))
        });
    }
}

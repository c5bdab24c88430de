//! Alerts about jobs themselves, for rules that ask for `job_status`, and the end of alerts about jobs that are gone.

use std::collections::HashSet;

use super::decider::Decider;
use super::history::candidate;
use super::judge::{Bench, CandidateSubject, Judged, Naming};
use crate::alert::{Ending, end, end_with_job, is_about, is_about_job_status};
use crate::model::{ConditionKind, EndReason, InstanceKey, Measures, ReasonCode};

impl Decider {
    /// Judges the jobs, where they could be read: all there are.
    pub(super) fn judge_jobs(&mut self, judged: &mut Judged, bench: &Bench<'_>) {
        // A list of no job at all says that nothing may be seen, and not that everything is gone.
        let Some(jobs) = bench.look.jobs.as_ref().filter(|jobs| !jobs.is_empty()) else { return };
        let known: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        // That runs of a job are missing is all the more true when it was deleted. Of a run the source itself says whether
        // it is gone: sub-jobs and workflows stand in no list of jobs.
        judged.end_where(|alert| {
            let is_gone = !known.contains(alert.facts.job.name.as_str())
                && alert.suspended_at.is_none()
                && alert.facts.instance.is_none()
                && !is_about(alert, ConditionKind::Missing);
            let ending = || Ending::new(EndReason::Gone, ReasonCode::JobGone, bench.now);
            is_gone.then(|| end(alert, ending(), bench.now))
        });
        let rules = self.rules.clone();
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
}

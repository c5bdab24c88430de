//! Runs that are due by the schedules that jobs have in their scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::decider::Decider;
use super::dues::DueByJob;
use super::judge::{Bench, Judged};
use crate::limits::{JOBS_NAMED_MAX, OWN_SCHEDULES_AGE_MAX};
use crate::model::{InstanceType, JobSchedule, Snapshot};
use crate::rule::plans::{OwnSchedule, Plan};
use crate::rule::{Rule, Trigger};

impl Decider {
    /// Whether the schedules must be read: a rule goes by them, and what is known is too old, or a due time has passed by
    /// it. `judged_until` is up to when the source is covered.
    pub fn needs_schedules(&mut self, judged_until: Option<Timestamp>, now: Timestamp) -> bool {
        if !self.rules.asks_for_schedules(&self.source) {
            return false;
        }
        let (Some(read_at), Some(judged_until)) = (self.plans.read_at(), judged_until) else { return true };
        if now.duration_since(read_at).unsigned_abs() >= OWN_SCHEDULES_AGE_MAX {
            return true;
        }
        let rules = self.rules.clone();
        rules.rules().iter().enumerate().any(|(index, rule)| match &rule.when.trigger {
            Some(Trigger::Unplanned(own)) => !self.due_of_schedules(own, index, judged_until, now).is_empty(),
            _ => false,
        })
    }

    /// Takes over the schedules as they were read at `now`; says what somebody should know of them.
    pub fn take_schedules(&mut self, told: Vec<JobSchedule>, now: Timestamp) -> Option<String> {
        self.plans.take(told, now);
        self.cache.dues.forget_own();
        self.unclear_schedules()
    }

    pub(super) fn due_of_schedules(
        &mut self,
        own: &OwnSchedule,
        index: usize,
        after: Timestamp,
        until: Timestamp,
    ) -> Arc<DueByJob> {
        if let Some(due) = self.cache.dues.own(index, after, until) {
            return due;
        }
        let due = |(job, plan): (&str, &Plan)| {
            let dues = plan.due_times(own, after, until);
            (!dues.is_empty()).then(|| (job.to_string(), (plan.clone(), dues)))
        };
        let mut due: DueByJob = self.plans.iter().filter_map(due).collect();
        due.retain(|job, _| self.matches(job, index));
        self.cache.dues.keep_own(index, after, until, due)
    }

    /// Judges the jobs that have missed due times of their own schedules; says whether that could be done for every job.
    pub(super) fn judge_by_schedules(
        &mut self,
        (index, rule): (usize, &Rule),
        own: &OwnSchedule,
        judged_until: Timestamp,
        judged: &mut Judged,
        bench: &Bench<'_>,
    ) -> bool {
        let mut is_judged = true;
        for (job, (plan, dues)) in self.due_of_schedules(own, index, judged_until, bench.now).iter() {
            let mut dues = dues.clone();
            dues.retain(|due| due.at >= bench.known_from);
            if judged.is_gone(rule, job) {
                continue;
            }
            if judged.observed.coverage.may_miss(job, |kind| rule.concerns(kind)) {
                is_judged = false;
                continue;
            }
            let mut runs: BTreeMap<&str, Snapshot> =
                bench.answers.latest.get(job).into_iter().flatten().map(|(id, run)| (id.as_str(), *run)).collect();
            let seen = judged.seen_of(job);
            runs.extend(seen.map(|seen| (seen.instance.id.as_str(), seen.instance.snapshot())));
            let scheduled = runs
                .values()
                .filter_map(|run| (run.kind == InstanceType::Scheduled).then_some(run.plan_time).flatten());
            if !plan.agrees_with(scheduled) {
                if self.plans.is_first_warning(job) {
                    judged.warnings.push(format!(
                        "the last run of {job} was not planned by the schedule that the scheduler tells ({}), so none is \
                         missed; is the source's \"timezone\" the job's?",
                        plan.schedule
                    ));
                }
                continue;
            }
            let text = |at| plan.text(own, at);
            let found = self.missing_of((index, rule), job, &dues, text, runs.into_values(), bench.now);
            judged.candidates.extend(found);
        }
        is_judged
    }

    /// Says once of which jobs that a rule means no run can be missed.
    fn unclear_schedules(&mut self) -> Option<String> {
        let rules = self.rules.clone();
        let by_schedules: BTreeSet<usize> = (0..rules.rules().len())
            .filter(|index| matches!(rules.rules()[*index].when.trigger, Some(Trigger::Unplanned(_))))
            .collect();
        let unclear: Vec<(String, String)> =
            self.plans.unclear().map(|(job, why)| (job.to_string(), why.to_string())).collect();
        let mut told = Vec::new();
        for (job, why) in unclear {
            let is_meant = by_schedules.iter().any(|index| self.matches(&job, *index));
            if is_meant && self.plans.is_first_warning(&job) {
                told.push(format!("{job} ({why})"));
            }
        }
        for rule in by_schedules.iter().map(|index| &rules.rules()[*index]) {
            let Some(Trigger::Unplanned(own)) = &rule.when.trigger else { continue };
            if own.sole_source.as_ref() != Some(&self.source) {
                continue;
            }
            for job in rule.matches.jobs.iter().filter_map(|pattern| pattern.literal()) {
                if !self.plans.has(job) && self.plans.is_first_warning(job) {
                    told.push(format!("{job} (it has no schedule that is on)"));
                }
            }
        }
        if told.is_empty() {
            return None;
        }
        let (count, more) = (told.len(), if told.len() > JOBS_NAMED_MAX { ", …" } else { "" });
        told.truncate(JOBS_NAMED_MAX);
        Some(format!("no run can be missed of {count} jobs that a rule means: {}{more}", told.join(", ")))
    }
}

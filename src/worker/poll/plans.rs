//! The schedules that jobs have in their scheduler, for rules that tell of runs that these owe.
//!
//! They are read when a rule asks for them: again after a while, and whenever a due time passes, so that a run is missed
//! only by a schedule that stands now. While they cannot be read, nothing is missing, and the cursor stays where it is:
//! the truth is told when they can be read again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::warn;

use super::Poller;
use super::decide::Look;
use super::timely::Runs;
use crate::limits::{JOBS_NAMED_MAX, OWN_SCHEDULES_AGE_MAX, SOURCE_LISTING_TIME_MAX};
use crate::model::{Alert, InstanceType};
use crate::rule::plans::{OwnSchedule, Plan};
use crate::rule::recurring::DueTime;
use crate::rule::{Rule, Trigger};
use crate::source::Source;
use crate::store::{Desk, PollLedger};

/// The due times of each job that no run was looked for yet.
type Owed = BTreeMap<String, (Plan, Vec<DueTime>)>;

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Reads the schedules where a rule needs them as they are now. Returns why that could not be done.
    pub(super) async fn read_plans(&mut self, now: Timestamp) -> Option<String> {
        if !self.rules.asks_for_schedules(&self.settings.id) || !self.needs_plans(now) {
            return None;
        }
        let reason = match tokio::time::timeout(SOURCE_LISTING_TIME_MAX, self.source.schedules()).await {
            // Then nothing is missing by them.
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(told))) => {
                self.plans.take(told, now);
                self.warn_of_unclear_plans();
                return None;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", SOURCE_LISTING_TIME_MAX.as_secs()),
        };
        Some(format!("the schedules of the jobs could not be read, so no run is missed yet: {reason}"))
    }

    /// Whether what is known is too old, or a due time has passed by it.
    fn needs_plans(&mut self, now: Timestamp) -> bool {
        let judged_until = self.memory.as_ref().and_then(|memory| memory.read_until);
        let (Some(read_at), Some(judged_until)) = (self.plans.read_at(), judged_until) else { return true };
        if now.duration_since(read_at).unsigned_abs() >= OWN_SCHEDULES_AGE_MAX {
            return true;
        }
        let rules = self.rules.clone();
        rules.rules().iter().enumerate().any(|(index, rule)| match &rule.when.trigger {
            Some(Trigger::Unplanned(own)) => !self.due_of_plans(own, index, judged_until, now).is_empty(),
            _ => false,
        })
    }

    /// The due times that a rule judges now.
    pub(super) fn owed_by_plans(&mut self, own: &OwnSchedule, index: usize, after: Timestamp, look: &Look) -> Owed {
        let mut owed = self.due_of_plans(own, index, after, look.now);
        owed.retain(|_, (_, dues)| {
            dues.retain(|due| due.at >= look.known_from);
            !dues.is_empty()
        });
        owed
    }

    fn due_of_plans(&mut self, own: &OwnSchedule, index: usize, after: Timestamp, until: Timestamp) -> Owed {
        let due = |(job, plan): (&str, &Plan)| {
            let dues = plan.due_times(own, after, until);
            (!dues.is_empty()).then(|| (job.to_string(), (plan.clone(), dues)))
        };
        let mut owed: Owed = self.plans.iter().filter_map(due).collect();
        owed.retain(|job, _| self.matches(job, index));
        owed
    }

    /// The alerts about jobs that have missed due times of their own schedules.
    pub(super) fn unplanned(
        &mut self,
        own: &OwnSchedule,
        rule: &Rule,
        owed: Owed,
        runs: &Runs,
        now: Timestamp,
    ) -> Vec<Alert> {
        let mut found = Vec::new();
        for (job, (plan, dues)) in owed {
            let scheduled = runs
                .get(&job)
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter_map(|run| (run.now.kind == InstanceType::Scheduled).then_some(run.now.plan_time).flatten());
            if !plan.agrees_with(scheduled) {
                if self.plans.is_first_warning(&job) {
                    warn!(source = %self.settings.id, job, schedule = %plan.schedule, "the job's last run was not planned by the schedule that the scheduler tells, so none is missed; is the source's \"timezone\" the job's?");
                }
                continue;
            }
            found.extend(self.missing_of(rule, &job, &dues, |at| plan.text(own, at), runs, now));
        }
        found
    }

    /// Warns once of jobs that a rule means and of which no run can be missed.
    fn warn_of_unclear_plans(&mut self) {
        let rules = self.rules.clone();
        let means = |poller: &mut Self, job: &str| {
            let is_by_plans = |index: &usize| {
                rules.rules().get(*index).is_some_and(|rule| matches!(rule.when.trigger, Some(Trigger::Unplanned(_))))
            };
            rules.matching(&poller.settings.id, job, &mut poller.matches).iter().any(is_by_plans)
        };
        let unclear: Vec<(String, String)> =
            self.plans.unclear().map(|(job, why)| (job.to_string(), why.to_string())).collect();
        let mut told = Vec::new();
        for (job, why) in unclear {
            if means(self, &job) && self.plans.is_first_warning(&job) {
                told.push(format!("{job} ({why})"));
            }
        }
        for rule in rules.rules() {
            let Some(Trigger::Unplanned(own)) = &rule.when.trigger else { continue };
            if own.sole_source.as_ref() != Some(&self.settings.id) {
                continue;
            }
            for job in rule.matches.jobs.iter().filter_map(|pattern| pattern.literal()) {
                if !self.plans.has(job) && self.plans.is_first_warning(job) {
                    told.push(format!("{job} (it has no schedule that is on)"));
                }
            }
        }
        if !told.is_empty() {
            let (count, more) = (told.len(), if told.len() > JOBS_NAMED_MAX { ", …" } else { "" });
            told.truncate(JOBS_NAMED_MAX);
            let jobs = told.join(", ");
            warn!(source = %self.settings.id, count, "of some jobs no run can be missed: {jobs}{more}");
        }
    }
}

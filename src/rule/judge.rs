//! Whether a rule's condition holds for one instance, and since when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::definition::{Condition, Rule};
use crate::model::{Instance, InstanceType, Job, Status};

/// What a rule says of an instance whose source and job it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Holds {
        /// Since when, as well as it can be known; never later than `now`.
        since: Timestamp,
    },
    /// It does not, and why.
    DoesNotHold(Unmet),
}

/// Why a condition does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// The rule is about jobs themselves.
    AboutJobs,
    /// The rule looks at more than one instance by itself.
    LooksFurther,
    /// The rule lists types, and not this one.
    TypeNotMatched(InstanceType),
    /// Backfill instances concern only rules that name `backfill`.
    BackfillNotNamed,
    /// The status is not in the rule's set.
    StatusNotInSet(Status),
    /// It has not lasted long enough.
    TooShort {
        /// How long it has lasted.
        lasted: Duration,
        /// How long it must last.
        threshold: Duration,
    },
    /// A time that the duration needs is missing, or the times contradict each other.
    DurationUnknown,
    /// The rule is about every run, and tells of each once it has ended.
    NotEnded,
}

impl Rule {
    /// Whether the condition holds for `instance` at `now`. Source and job name are not looked at:
    /// [`super::RuleSet::matching`] has done so.
    pub fn judge(&self, instance: &Instance, now: Timestamp) -> Verdict {
        match self.objection(instance, now) {
            Some(reason) => Verdict::DoesNotHold(reason),
            None => Verdict::Holds { since: self.since(instance, now).min(now) },
        }
    }

    /// Whether the rule tells of every run, whatever its status (`any: true`): once, when it has ended, as news.
    pub fn tells_every_run(&self) -> bool {
        let Condition { statuses, duration, job_statuses, trigger } = &self.when;
        statuses.is_empty() && duration.is_none() && job_statuses.is_empty() && trigger.is_none()
    }

    /// Whether the rule is about jobs themselves, and not about their runs.
    pub fn is_about_jobs(&self) -> bool {
        !self.when.job_statuses.is_empty()
    }

    /// Since when the condition holds for a job; `None` when it does not. Source and name are not looked at.
    pub fn judge_job(&self, job: &Job, now: Timestamp) -> Option<Timestamp> {
        // Of a job that runs, the end is that of an earlier time.
        let stopped = job.end_time.filter(|end| job.start_time.is_none_or(|start| start <= *end));
        self.when.job_statuses.contains(&job.status).then(|| stopped.unwrap_or(now).min(now))
    }

    /// What stands against the rule's holding, if anything does.
    fn objection(&self, instance: &Instance, now: Timestamp) -> Option<Unmet> {
        if self.is_about_jobs() {
            return Some(Unmet::AboutJobs);
        }
        if self.when.trigger.is_some() {
            return Some(Unmet::LooksFurther);
        }
        let types = &self.matches.instance_types;
        if types.is_empty() && instance.kind == InstanceType::Backfill {
            return Some(Unmet::BackfillNotNamed);
        }
        if !types.is_empty() && !types.contains(&instance.kind) {
            return Some(Unmet::TypeNotMatched(instance.kind));
        }
        let statuses = &self.when.statuses;
        if !statuses.is_empty() && !statuses.contains(&instance.status) {
            return Some(Unmet::StatusNotInSet(instance.status));
        }
        if self.tells_every_run() && !instance.status.has_ended() {
            return Some(Unmet::NotEnded);
        }
        let threshold = self.when.duration?;
        match instance.duration(now) {
            None => Some(Unmet::DurationUnknown),
            Some(lasted) if lasted < threshold => Some(Unmet::TooShort { lasted, threshold }),
            Some(_) => None,
        }
    }

    /// When the condition that holds began to.
    fn since(&self, instance: &Instance, now: Timestamp) -> Timestamp {
        let entered_status = instance.end_time.filter(|_| instance.status.has_ended());
        // A set of statuses holds from the moment the instance entered one of them, however long it had lasted before.
        if !self.when.statuses.is_empty()
            && let Some(ended) = entered_status
        {
            return ended;
        }
        let Some(threshold) = self.when.duration else {
            return entered_status.unwrap_or(now);
        };
        let began = if instance.status == Status::Waiting { instance.plan_time } else { instance.start_time };
        let crossed = began.and_then(|began| began.checked_add(SignedDuration::try_from(threshold).ok()?).ok());
        crossed.unwrap_or(now)
    }
}

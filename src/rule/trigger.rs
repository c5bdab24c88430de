//! Conditions that look beyond one run: at the job's history, or at the clock. A rule has at most one of them.

use super::daily::Daily;
use super::history::{FailureRate, Slower};
use super::plans::OwnSchedule;
use super::recurring::Recurring;
use crate::model::ConditionKind;
use crate::schedule::Days;

/// What a rule waits for beside status and duration.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// The last so many runs of the job failed.
    Consecutive(usize),
    /// Too many of the last runs failed.
    FailureRate(FailureRate),
    /// The run takes longer than the job's own runs usually do.
    Slower(Slower),
    /// The run planned for a day has not started, or not succeeded, by a time of day.
    Daily(Daily),
    /// No run was planned or started for a due time.
    Missing(Recurring),
    /// The same for the due times of the schedule that the job has in its scheduler.
    Unplanned(OwnSchedule),
}

impl Trigger {
    /// Its name in messages.
    pub fn kind(&self) -> ConditionKind {
        match self {
            Trigger::Consecutive(_) => ConditionKind::Consecutive,
            Trigger::FailureRate(_) => ConditionKind::FailureRate,
            Trigger::Slower(_) => ConditionKind::SlowerThanUsual,
            Trigger::Daily(daily) => daily.kind(),
            Trigger::Missing(_) | Trigger::Unplanned(_) => ConditionKind::Missing,
        }
    }

    /// Whether alerts of it can be about a job itself, without a run.
    pub fn tells_of_jobs(&self) -> bool {
        matches!(self, Trigger::FailureRate(_) | Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_))
    }

    /// Whether it waits for runs that do not come: then it may mean jobs that nobody has seen.
    pub fn misses_runs(&self) -> bool {
        matches!(self, Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_))
    }

    /// How many past runs of a job it looks at; zero for one that looks at the clock.
    pub fn runs_wanted(&self) -> usize {
        match self {
            Trigger::Consecutive(runs) => *runs,
            Trigger::FailureRate(rate) => rate.over,
            Trigger::Slower(_) => crate::limits::HISTORY_RUNS_MAX,
            Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_) => 0,
        }
    }

    /// How many of a job's last runs must be kept for it, whatever their age. One that compares with a span of time needs
    /// none beyond it, and one that looks at the clock the run before, to know which jobs are planned at such a time.
    pub fn runs_kept(&self) -> usize {
        match self {
            Trigger::Consecutive(runs) => *runs,
            Trigger::FailureRate(rate) => rate.over,
            Trigger::Slower(_) => 0,
            Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_) => 2,
        }
    }

    /// The days that it counts on, of one that looks at the clock.
    pub fn days(&self) -> Option<&Days> {
        match self {
            Trigger::Daily(daily) => Some(&daily.days),
            Trigger::Missing(recurring) => Some(&recurring.days),
            Trigger::Unplanned(own) => Some(&own.days),
            Trigger::Consecutive(_) | Trigger::FailureRate(_) | Trigger::Slower(_) => None,
        }
    }

    /// A text that differs when it means something else.
    pub(super) fn mark(&self) -> String {
        match self {
            Trigger::Consecutive(runs) => format!("consecutive {runs}"),
            Trigger::FailureRate(rate) => format!("failure rate {rate:?}"),
            Trigger::Slower(slower) => format!("slower {} {:?} {}", slower.factor, slower.over, slower.min_runs),
            Trigger::Daily(daily) => format!("daily {daily:?}"),
            Trigger::Missing(recurring) => format!("missing {recurring:?}"),
            Trigger::Unplanned(own) => format!("missing by its own schedule {own:?}"),
        }
    }
}

//! What a condition on a job's history or on the clock has found, in numbers: the part of a message that says how many,
//! how late and how much slower.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rare::Seldom;
use super::reason::ReasonCode;

/// The conditions that look beyond one run's status and duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// The last runs failed, one after the other.
    Consecutive,
    /// Too many of the last runs failed.
    FailureRate,
    /// It has not succeeded by a time of day.
    NotFinishedBy,
    /// It has not started by a time of day.
    NotStartedBy,
    /// No run was planned or started for a due time.
    Missing,
    /// It takes longer than the job's own runs usually do.
    SlowerThanUsual,
}

/// Nothing found.
static NOTHING: Measures = Measures {
    condition: None,
    stage: None,
    due_at: None,
    due: None,
    late_ms: None,
    due_times_missed: None,
    runs_failed: None,
    runs_counted: None,
    limit_percent: None,
    usual_ms: None,
    limit_ms: None,
    error: None,
};

impl Seldom for Measures {
    fn empty() -> &'static Measures {
        &NOTHING
    }
}

impl ConditionKind {
    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        self.reason().as_str()
    }

    /// The reason of an alert that it begins.
    pub const fn reason(self) -> ReasonCode {
        match self {
            ConditionKind::Consecutive => ReasonCode::Consecutive,
            ConditionKind::FailureRate => ReasonCode::FailureRate,
            ConditionKind::NotFinishedBy => ReasonCode::NotFinishedBy,
            ConditionKind::NotStartedBy => ReasonCode::NotStartedBy,
            ConditionKind::Missing => ReasonCode::Missing,
            ConditionKind::SlowerThanUsual => ReasonCode::SlowerThanUsual,
        }
    }
}

/// How far an alert with a warning time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The warning time has passed, the deadline has not.
    Warning,
    /// The deadline has passed, after a warning was told: the episode is told a second time.
    Overdue,
}

/// What was found. Which of them are set depends on the condition; for conditions on status and duration none is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// The condition.
    pub condition: Option<ConditionKind>,
    /// How far it has come, where there is a warning time.
    pub stage: Option<Stage>,
    /// When it was due.
    pub due_at: Option<Timestamp>,
    /// The same as the rule's reader says it: the time of day in the rule's zone.
    pub due: Option<String>,
    /// How late it is, in milliseconds; at the end, how late it was. Unset while it is not late.
    pub late_ms: Option<u64>,
    /// Due times that no run was there for.
    pub due_times_missed: Option<u32>,
    /// Runs that failed, of those counted.
    pub runs_failed: Option<u32>,
    /// Runs counted.
    pub runs_counted: Option<u32>,
    /// The share of failed runs that is too much, in percent.
    pub limit_percent: Option<f64>,
    /// How long the job's runs usually take, in milliseconds.
    pub usual_ms: Option<u64>,
    /// The duration that is too long, in milliseconds.
    pub limit_ms: Option<u64>,
    /// What is wrong, in the words of whoever refused; in alerts about Nightbell itself. Holds no secret.
    pub error: Option<String>,
}

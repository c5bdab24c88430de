//! The rows that a digest is made of, as the store hands them over.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{GapPart, InstanceType, Labels, Measures, Rare, RuleId, Severity, SourceId, Status};

/// Whether a digest is about a job: source, name, and how the run came to be.
pub type Selects = Box<dyn FnMut(&SourceId, &str, InstanceType) -> bool + Send>;

/// How long runs may take, by rule; rules without such a limit are not in it.
pub type Limits = HashMap<RuleId, Duration>;

/// A source, and how it fared at its last poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// The source.
    pub id: SourceId,
    /// Up to when it has been read as a whole.
    pub read_until: Option<Timestamp>,
    /// Since when it cannot be read.
    pub unreadable_since: Option<Timestamp>,
}

/// A time in which a source was not read, or not as a whole.
pub type GapRow = GapPart;

/// Runs of one job and status that are no longer kept, and were over in the period, or some of them.
#[derive(Debug, Clone)]
pub struct PurgedRow {
    /// Their source.
    pub source: SourceId,
    /// Their job.
    pub job: String,
    /// How they came to run.
    pub kind: InstanceType,
    /// How they ended.
    pub status: Status,
    /// How many of the day there were.
    pub runs: u64,
    /// When the day on which they were due ended.
    pub until: Timestamp,
}

/// A run that was over for the first time in the period.
#[derive(Debug, Clone)]
pub struct SettledRow {
    /// Its source.
    pub source: SourceId,
    /// Its job.
    pub job: String,
    /// Its id.
    pub id: String,
    /// How it came to run.
    pub kind: InstanceType,
    /// Its status now: it may have been made again since.
    pub status: Status,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

/// A job's successful runs of the period before.
#[derive(Debug, Clone)]
pub struct BeforeRow {
    /// Its source.
    pub source: SourceId,
    /// Its name.
    pub job: String,
    /// How many there were.
    pub runs: u64,
    /// How long they took together, in milliseconds.
    pub total_ms: u64,
}

/// A run that is not over.
#[derive(Debug, Clone)]
pub struct OpenRow {
    /// Its source.
    pub source: SourceId,
    /// Its job.
    pub job: String,
    /// Its id.
    pub id: String,
    /// How it came to run.
    pub kind: InstanceType,
    /// Its status.
    pub status: Status,
    /// When it started.
    pub start_time: Option<Timestamp>,
}

/// A run that failed once: in the period, or earlier without a success before the period.
#[derive(Debug, Clone)]
pub struct FailedRow {
    /// Its source.
    pub source: SourceId,
    /// Its job.
    pub job: String,
    /// Its id.
    pub id: String,
    /// How it came to run.
    pub kind: InstanceType,
    /// Its status now.
    pub status: Status,
    /// When it was due, or started, or ended, whichever is known first.
    pub due: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Whether its failure was recorded in the period.
    pub is_new: bool,
    /// When the latest successful run of the job was due.
    pub last_success: Option<Timestamp>,
}

/// How long one successful run of a job took.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    /// Its source.
    pub source: SourceId,
    /// Its job.
    pub job: String,
    /// In milliseconds.
    pub duration_ms: u64,
}

/// An alert that was recorded in the period, or still fires.
#[derive(Debug, Clone)]
pub struct AlertRow {
    /// Whether it was recorded in the period.
    pub is_new: bool,
    /// Its rule.
    pub rule: RuleId,
    /// How bad it is.
    pub severity: Severity,
    /// The source.
    pub source: SourceId,
    /// The job.
    pub job: String,
    /// The run; empty for an alert about the job itself.
    pub instance: String,
    /// How the run came to be.
    pub kind: InstanceType,
    /// Since when.
    pub since: Timestamp,
    /// The labels of its rule and its source.
    pub labels: Labels,
    /// Why, in the source's words, where it tells.
    pub error: Option<String>,
    /// Whether it is about the status of the job itself: a real-time job that has stopped.
    pub is_about_job: bool,
    /// Whether it still fires.
    pub is_firing: bool,
    /// By what it was suppressed.
    pub suppressed_by: Option<String>,
    /// When the run started, as it is known now.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// How long it had taken when the alert began.
    pub duration_ms: Option<u64>,
    /// What a condition on the clock or on the job's history has found.
    pub measures: Rare<Measures>,
}

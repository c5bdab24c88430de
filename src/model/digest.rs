//! The message that sums up a period: `data` of a body whose `type` is `digest`, and the data that its templates get.
//!
//! The shape is a contract with users, as that of an alert is: a key is never renamed. Times are RFC 3339 in UTC,
//! durations whole milliseconds, unknown is `null`. Lists are bounded; `total` says how many there are.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{RuleId, SourceId};
use super::labels::Labels;
use super::severity::Severity;
use super::status::Status;

/// Everything a digest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestFacts {
    /// Which digest it is.
    pub digest: DigestPart,
    /// What it covers.
    pub period: PeriodPart,
    /// How far its own data can be trusted.
    pub completeness: CompletenessPart,
    /// How it went, in one word and one line.
    pub verdict: VerdictPart,
    /// Jobs that failed and have not succeeded since, those of earlier periods too.
    pub broken: Listed<TroublePart>,
    /// Jobs that failed in the period, or that an earlier digest called broken, and are well again.
    pub recovered: Listed<TroublePart>,
    /// What took longer than a rule allows, or was not there when a rule says it must be.
    pub breaches: Listed<BreachPart>,
    /// Runs under way that take longer than usual.
    pub running_long: Listed<RunPart>,
    /// The longest runs that ended in the period, one a job.
    pub slowest: Listed<RunPart>,
    /// Jobs whose successful runs took much longer or shorter than in the period before.
    pub changed: Listed<ChangePart>,
    /// The instances that ended in the period.
    pub totals: TotalsPart,
    /// The instances that have not ended, by status, whatever the period.
    pub open: Vec<StatusCount>,
    /// The alerts of the period.
    pub alerts: AlertsPart,
    /// Outcomes over time.
    pub chart: ChartPart,
}

/// A list of which at most [`crate::limits::DIGEST_LISTED_MAX`] items are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub shown: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed { total: 0, shown: Vec::new() }
    }
}

impl<T> Listed<T> {
    /// The whole list, cut to `max`.
    pub fn of(mut all: Vec<T>, max: usize) -> Self {
        let total = all.len() as u64;
        all.truncate(max);
        Listed { total, shown: all }
    }
}

/// Which digest a message is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestPart {
    /// Its key in the configuration.
    pub name: String,
    /// When it was due; when it was made, for one that was asked for.
    pub due_at: Timestamp,
    /// How many earlier ones it stands for that could not be made in time.
    pub missed: u64,
    /// When the first of those was due.
    pub first_missed_at: Option<Timestamp>,
    /// Whether it was asked for and covers a period that a scheduled one covers too.
    pub preview: bool,
    /// The zone of its schedule and of its chart.
    pub timezone: String,
}

/// What a digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodPart {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// How far the data of a digest can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletenessPart {
    /// Whether everything up to `read_until` has been read, if late in part.
    pub complete: bool,
    /// Up to when every source has been read; none when one never was.
    pub read_until: Option<Timestamp>,
    /// When sources were not read, or not as a whole, the earliest first.
    pub gaps: Listed<GapPart>,
    /// Each source of the digest.
    pub sources: Vec<SourceLine>,
}

/// A source and what ended in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceLine {
    /// The source.
    pub id: SourceId,
    /// Up to when it has been read as a whole; none when it never was.
    pub read_until: Option<Timestamp>,
    /// Since when it cannot be read.
    pub unreadable_since: Option<Timestamp>,
    /// The instances that ended in the period.
    pub totals: Outcomes,
}

/// Why a source was not read for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapCause {
    /// Nobody asked it: Nightbell was not running, or could not keep up.
    Silent,
    /// It could not be read.
    Unreadable,
    /// Its listing was not whole.
    Incomplete,
    /// It was not read for so long that what was planned then can no longer be read.
    Lost,
    /// It was read, and its runs have been removed since: they were older than the retention.
    Purged,
}

impl GapCause {
    /// All of them.
    pub const ALL: [GapCause; 5] =
        [GapCause::Silent, GapCause::Unreadable, GapCause::Incomplete, GapCause::Lost, GapCause::Purged];

    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapCause::Silent => "silent",
            GapCause::Unreadable => "unreadable",
            GapCause::Incomplete => "incomplete",
            GapCause::Lost => "lost",
            GapCause::Purged => "purged",
        }
    }

    /// The cause a stored word names.
    pub fn from_word(word: &str) -> Option<GapCause> {
        GapCause::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// A time in which a source was not read, or not as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapPart {
    /// The source.
    pub source: SourceId,
    /// Why.
    pub cause: GapCause,
    /// The last time before it that the source was read as a whole.
    pub from: Timestamp,
    /// The first time after it; none while it lasts.
    pub until: Option<Timestamp>,
    /// Why, in words.
    pub reason: String,
    /// Of runs that are no longer kept: how many there were, and how many of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// See `runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

/// How a period went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictState {
    /// Jobs are still broken.
    Broken,
    /// Nothing is known to be broken, and not everything is known.
    Unknown,
    /// Nothing is broken, and something was late or took too long.
    Late,
    /// What failed is well again.
    Recovered,
    /// Nothing failed.
    Well,
    /// Nothing ended.
    Quiet,
}

impl VerdictState {
    /// The word used in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            VerdictState::Broken => "broken",
            VerdictState::Unknown => "unknown",
            VerdictState::Late => "late",
            VerdictState::Recovered => "recovered",
            VerdictState::Well => "well",
            VerdictState::Quiet => "quiet",
        }
    }
}

impl fmt::Display for VerdictState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictPart {
    /// In one word.
    pub state: VerdictState,
    /// In one line of English ("3 jobs still broken, 2 late · 1,204 of 1,210 ok"); it says so when not everything is known.
    pub summary: String,
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TroublePart {
    /// The worst severity of the alerts about it that fire or began in the period; `null` where no rule told of it.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// The labels of the worst of them.
    #[serde(default)]
    pub labels: Labels,
    /// Its source.
    pub source: SourceId,
    /// Its name.
    pub job: String,
    /// The run that failed last; empty of a real-time job.
    pub instance: String,
    /// The status of that run now.
    pub status: Status,
    /// Since when: the end of the first failure that was not followed by a success; of a job that is well again, of the
    /// last failure.
    pub since: Option<Timestamp>,
    /// How many of its runs failed in the period.
    pub failures: u64,
    /// Whether it failed in this period, and was not merely left broken by an earlier one.
    pub is_new: bool,
    /// What made it well again: `rerun` of the same instance, a `later` run, or `stopped` by hand; null while broken.
    pub recovered_by: Option<String>,
    /// The node to look at.
    pub node: Option<String>,
    /// Where its log is, verbatim.
    pub log_path: Option<String>,
    /// Why it failed, in the source's words.
    pub error: Option<String>,
}

/// A run that took longer than a rule allows, or a deadline that was not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreachPart {
    /// The rule.
    pub rule: RuleId,
    /// As the rule says.
    pub severity: Severity,
    /// The labels of the rule and the source.
    #[serde(default)]
    pub labels: Labels,
    /// The source.
    pub source: SourceId,
    /// The job.
    pub job: String,
    /// The run; empty where there was none.
    pub instance: String,
    /// `duration`: it lasted longer than the rule says; `slower-than-usual`: than the job's own runs do; `not-finished-by`,
    /// `not-started-by`, `missing`: it was not there when it was due.
    pub kind: String,
    /// How long it may take, in milliseconds; null for what was due at a time.
    pub limit_ms: Option<u64>,
    /// How long it took, or has taken so far; null for what was due at a time.
    pub duration_ms: Option<u64>,
    /// By how much it went beyond the limit, or how late it came or is by now.
    pub over_ms: Option<u64>,
    /// Whether it is still under way, or has still not come.
    pub is_running: bool,
    /// When it was due.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// The same on the clock of the rule: `06:30`.
    #[serde(default)]
    pub due: Option<String>,
    /// What happened, in one line without the job's name ("finished 27m after 06:30").
    #[serde(default)]
    pub summary: String,
}

/// How long most runs of a job take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsualRange {
    /// One run in ten takes less, in milliseconds.
    pub from_ms: u64,
    /// One run in ten takes more.
    pub to_ms: u64,
    /// How many runs that rests on.
    pub runs: u64,
}

/// A run, and how long it took or has taken so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPart {
    /// The source.
    pub source: SourceId,
    /// The job.
    pub job: String,
    /// The run.
    pub instance: String,
    /// Its status.
    pub status: Status,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How long the job's runs take; null when too few are known.
    pub usual: Option<UsualRange>,
}

/// A job that has become slower or faster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangePart {
    /// The source.
    pub source: SourceId,
    /// The job.
    pub job: String,
    /// How many of its runs succeeded.
    pub runs: u64,
    /// How long they took on average, in milliseconds.
    pub mean_ms: u64,
    /// How many succeeded in the period before.
    pub runs_before: u64,
    /// How long those took.
    pub mean_before_ms: u64,
    /// By how many percent it has changed: 100 is twice as long, -50 half as long.
    pub percent: i64,
}

/// Outcomes, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// All.
    pub ended: u64,
    /// Success, also forced or in spite of an ignored failure.
    pub ok: u64,
    /// Failed, rejected, or suspended by an exception.
    pub failed: u64,
    /// Everything else: stopped by hand, skipped, or running again.
    pub other: u64,
}

impl Outcomes {
    /// Counts one more.
    pub fn add(&mut self, status: Status) {
        self.ended += 1;
        match () {
            () if status.is_ok() => self.ok += 1,
            () if status.is_failure() => self.failed += 1,
            () => self.other += 1,
        }
    }

    /// Adds all of another count.
    pub fn merge(&mut self, other: &Outcomes) {
        self.ended += other.ended;
        self.ok += other.ok;
        self.failed += other.failed;
        self.other += other.other;
    }
}

/// The instances that ended in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsPart {
    /// By outcome.
    #[serde(flatten)]
    pub outcomes: Outcomes,
    /// By the status they have now.
    pub by_status: Vec<StatusCount>,
}

/// How many are in a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCount {
    /// The status.
    pub status: Status,
    /// How many.
    pub count: u64,
}

/// The alerts of a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertsPart {
    /// How many began.
    pub fired: u64,
    /// How many fire now, whenever they began.
    pub firing: u64,
    /// Of those that began, how many were recorded and not told.
    pub suppressed: u64,
    /// By what they were suppressed.
    pub suppressed_by: Vec<ReasonCount>,
}

/// How many have a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The reason, as `suppressed_by` of an alert.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The reason in words ("the mute window nights").
    #[serde(default)]
    pub summary: String,
}

/// Outcomes over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartPart {
    /// What a bar stands for: `hour` or `day`.
    pub unit: String,
    /// One bar for each, in order, empty ones too.
    pub bars: Vec<BarPart>,
}

/// One bar of the chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarPart {
    /// Where it begins.
    pub starts_at: Timestamp,
    /// The hour of the day, or the day of the month, in the digest's zone: two digits.
    pub label: String,
    /// What ended then.
    #[serde(flatten)]
    pub outcomes: Outcomes,
}

//! What is stored, as the commands show it: sources, jobs, instances, alerts. And the log of transitions: which states of runs polls
//! have seen, and when they polled.

use std::collections::BTreeSet;
use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Alert, AlertState, Instance, PollRecord, ReceiverId, RuleId, Severity, SourceId, Status};

/// What is stored, as the commands show it, and what changed when, as polls saw it.
pub trait Archive: Send + Sync {
    /// How each source fared at its last poll.
    fn sources(&self) -> impl Future<Output = Result<Vec<SourceCondition>, StoreError>> + Send;

    /// The names of all jobs of which instances are remembered, of one source or of all, in order.
    fn job_names(&self, source: Option<&SourceId>) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Instances as far as they are remembered, the latest planned first.
    fn instances(&self, filter: &InstanceFilter) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// What is remembered of each job, by name; the filter says which instances count.
    fn jobs(&self, filter: &InstanceFilter) -> impl Future<Output = Result<Vec<JobHistory>, StoreError>> + Send;

    /// Alerts, the newest first. Rows that cannot be understood are left out, with a log line.
    fn alerts(&self, limit: usize) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// The alerts that `query` asks for, the newest first. Rows that cannot be understood are left out, with a log line.
    fn find_alerts(
        &self,
        query: &AlertQuery,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// The names of all jobs that there are alerts about, in order.
    fn alerted_jobs(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// How far back the instances and alerts reach; nothing in an empty store.
    fn history_begins(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// All alerts recorded since then, the oldest first.
    fn tellings(&self, since: Timestamp) -> impl Future<Output = Result<Vec<Telling>, StoreError>> + Send;

    /// The messages that were made since then, the oldest first: what was merged counts with the message that tells it.
    fn messages(&self, since: Timestamp) -> impl Future<Output = Result<Vec<MessageRecord>, StoreError>> + Send;

    /// The states in which polls saw one run, the oldest first.
    fn transitions(
        &self,
        source: &SourceId,
        job: &str,
        id: &str,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// The states that polls of a source saw first between `from` and `until`, both included, in the order in which they
    /// were committed.
    fn transitions_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// How each run of a source was last seen before `before`, by job and id.
    fn states_before(
        &self,
        source: &SourceId,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<Transition>, StoreError>> + Send;

    /// The looks at a source between `from` and `until`, both included, the earliest first.
    fn polls_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<PollRecord>, StoreError>> + Send;
}

/// Which instances to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Of this source only.
    pub source: Option<SourceId>,
    /// Of these jobs only; an empty list wants none.
    pub jobs: Option<Vec<String>>,
    /// In one of these statuses; none means any.
    pub statuses: Vec<Status>,
    /// Planned at this instant or later (or, without a plan time, begun or seen).
    pub from: Option<Timestamp>,
    /// How many rows at most.
    pub limit: usize,
}

/// What is remembered of the instances of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHistory {
    /// Its source.
    pub source: SourceId,
    /// Its name.
    pub job: String,
    /// How many instances count.
    pub instances: u64,
    /// How many of them failed or hang in an exception.
    pub failed: u64,
    /// How many of them succeeded, by themselves or by hand.
    pub succeeded: u64,
    /// The status of the latest planned one.
    pub last_status: Status,
    /// When that one was planned.
    pub last_plan_time: Option<Timestamp>,
    /// When that one ended.
    pub last_end_time: Option<Timestamp>,
    /// Alerts of the job that fire now.
    pub firing: u64,
}

/// How a source fared at its last poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCondition {
    /// The source.
    pub id: SourceId,
    /// Up to when it has been read completely.
    pub read_until: Option<Timestamp>,
    /// When it was last asked.
    pub polled_at: Timestamp,
    /// Since when it cannot be read, and why; `None` when it can.
    pub unreadable: Option<(Timestamp, String)>,
    /// Why its last listing was not whole, where it was not.
    pub incomplete: Option<String>,
}

/// Which alerts somebody wants to see; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// Those of this source.
    pub source: Option<SourceId>,
    /// Those about these jobs and their runs; an empty list wants none.
    pub jobs: Option<Vec<String>>,
    /// Those of this rule.
    pub rule: Option<RuleId>,
    /// Those that are this bad; an empty list wants all.
    pub severities: Vec<Severity>,
    /// Those in this state.
    pub state: Option<AlertState>,
    /// Those that this receiver was told of.
    pub receiver: Option<ReceiverId>,
    /// Those that were recorded and not told, or those that were told.
    pub is_suppressed: Option<bool>,
    /// Those recorded then or later.
    pub since: Option<Timestamp>,
}

/// A message, as far as it counts for a look at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// The receiver.
    pub receiver: ReceiverId,
    /// The rules whose alerts it tells of; none of a digest, a test or a repeat.
    pub rules: BTreeSet<RuleId>,
    /// When it was made.
    pub at: Timestamp,
}

/// An alert, as far as it counts for a look at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The rule.
    pub rule: RuleId,
    /// The source, the job and the run (empty for an alert about the job itself).
    pub subject: (String, String, String),
    /// Who was told of it; nobody, when it was not told.
    pub receivers: Vec<ReceiverId>,
    /// When.
    pub at: Timestamp,
}

/// One state of a run, as a poll first saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// When the poll began that saw it.
    pub seen_at: Timestamp,
    /// The run from then on. Why it failed, in the source's words, is not kept here.
    pub instance: Instance,
}

//! The log of transitions: which states of runs polls have seen, and when they polled.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Instance, PollRecord, SourceId};

/// What changed when, as polls saw it.
pub trait TransitionLog: Send + Sync {
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

/// One state of a run, as a poll first saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// When the poll began that saw it.
    pub seen_at: Timestamp,
    /// The run from then on. Why it failed, in the source's words, is not kept here.
    pub instance: Instance,
}

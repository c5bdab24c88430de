//! The log of transitions: which states of runs polls have seen, and when they polled.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Instance, SourceId};

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

/// One look at a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollRecord {
    /// When it began.
    pub polled_at: Timestamp,
    /// With what success.
    pub outcome: PollOutcome,
}

/// How a look at a source went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PollOutcome {
    /// Everything in the window was read.
    Whole,
    /// Less was read than the source says there is: the cursor stayed where it was.
    Short,
    /// The source could not be read.
    Unread,
}

impl PollOutcome {
    /// The word used in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            PollOutcome::Whole => "whole",
            PollOutcome::Short => "short",
            PollOutcome::Unread => "unread",
        }
    }

    /// The outcome a stored word names.
    pub fn from_word(word: &str) -> Option<PollOutcome> {
        [PollOutcome::Whole, PollOutcome::Short, PollOutcome::Unread]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

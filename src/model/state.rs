//! How an alert stands, and why it ended.
//!
//! Data only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether the condition still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It holds.
    Firing,
    /// It held once and no longer does.
    Resolved,
}

impl AlertState {
    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// Why an alert has ended: each has one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// The run succeeded after all, or a run of the same job planned later did.
    Recovered,
    /// The condition holds no longer.
    Over,
    /// The source says that the run or the job no longer exists.
    Gone,
    /// No rule, source or `match` covers it any more.
    Unwatched,
    /// A person closed it.
    Closed,
}

impl EndReason {
    /// All of them.
    pub const ALL: [EndReason; 5] =
        [EndReason::Recovered, EndReason::Over, EndReason::Gone, EndReason::Unwatched, EndReason::Closed];

    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Recovered => "recovered",
            EndReason::Over => "over",
            EndReason::Gone => "gone",
            EndReason::Unwatched => "unwatched",
            EndReason::Closed => "closed",
        }
    }

    /// The reason a stored word names.
    pub fn from_word(word: &str) -> Option<EndReason> {
        EndReason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// How an alert ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// The person who closed it; `null` where nobody did.
    pub by: Option<String>,
    /// What that person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the condition ceased to hold, as far as that is known.
    pub at: Timestamp,
}

//! The normalised status of an instance or a node.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What state an instance or node is in. The scheduler's own word is kept beside it as `raw_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Due or planned, not started.
    Waiting,
    /// Under way.
    Running,
    /// Ended well.
    Success,
    /// Ended badly.
    Fail,
    /// A node failed and the run is suspended until an operator acts. Not an end.
    RunningException,
    /// Paused by an operator.
    Pause,
    /// Cancelled.
    ManualStop,
    /// Not run because a dependency said so.
    Skip,
    /// Frozen: will not run until thawed.
    Freeze,
    /// Refused by the scheduler before it ran.
    Rejected,
    /// Counted as success although a node failed and its failure was ignored.
    IgnoredFailure,
    /// Set to success by hand.
    ForcedSuccess,
    /// A word this program does not know. Never success, never an end.
    Unknown,
}

impl Status {
    /// All of them, in the order of the documentation.
    pub const ALL: [Status; 13] = [
        Status::Waiting,
        Status::Running,
        Status::Success,
        Status::Fail,
        Status::RunningException,
        Status::Pause,
        Status::ManualStop,
        Status::Skip,
        Status::Freeze,
        Status::Rejected,
        Status::IgnoredFailure,
        Status::ForcedSuccess,
        Status::Unknown,
    ];

    /// The word used in the configuration, in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::Running => "running",
            Status::Success => "success",
            Status::Fail => "fail",
            Status::RunningException => "running-exception",
            Status::Pause => "pause",
            Status::ManualStop => "manual-stop",
            Status::Skip => "skip",
            Status::Freeze => "freeze",
            Status::Rejected => "rejected",
            Status::IgnoredFailure => "ignored-failure",
            Status::ForcedSuccess => "forced-success",
            Status::Unknown => "unknown",
        }
    }

    /// The status a word of ours names.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the run is over. `unknown` is not: what is not understood is looked at again.
    pub const fn has_ended(self) -> bool {
        matches!(
            self,
            Status::Success
                | Status::Fail
                | Status::ManualStop
                | Status::Skip
                | Status::Rejected
                | Status::IgnoredFailure
                | Status::ForcedSuccess
        )
    }

    /// Whether the run did what it should, or somebody said that it need not have.
    pub const fn is_ok(self) -> bool {
        matches!(self, Status::Success | Status::ForcedSuccess | Status::IgnoredFailure)
    }

    /// Whether the run went wrong and nobody has said that this is well.
    pub const fn is_failure(self) -> bool {
        matches!(self, Status::Fail | Status::RunningException | Status::Rejected)
    }

    /// Whether this status resolves an alert: the job did its work, or somebody vouched that it did.
    pub const fn is_recovery(self) -> bool {
        matches!(self, Status::Success | Status::ForcedSuccess)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

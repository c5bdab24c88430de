//! Why an alert was told: what its summary says in words, for programs and for other languages.

use serde::{Deserialize, Serialize};

/// What holds, or what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// The instance is in a status that the rule asks for, and has lasted as long as it asks for.
    Status,
    /// The instance has ended, however it did; the rule is about every run.
    Ran,
    /// The same instance recovered.
    Recovered,
    /// A later instance of the job succeeded.
    LaterRun,
    /// The run ended in a status that the rule does not ask for; also of what it asked for while the run was under way.
    Ended,
    /// The run has left the state that the rule asks for, and has not ended.
    LeftStatus,
    /// The run was made again and failed again: another alert takes the place of this one.
    FailedAgain,
    /// The source no longer knows the run.
    RunGone,
    /// The run is so old that its source is not asked after it any more.
    RunTooOld,
    /// No rule, source or `match` covers the alert any more.
    Unwatched,
    /// A person closed it.
    Closed,
    /// The job itself is in a status that the rule asks for.
    JobStatus,
    /// The job itself is well again.
    JobRecovered,
    /// The job itself is no more.
    JobGone,
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
    /// What had not started by its deadline has.
    Started,
    /// What had not started by its deadline was called off.
    CalledOff,
    /// A job of which a run was missing has one again.
    RunsAgain,
    /// The due time was on a day off, and nothing is late any more that anybody waits for.
    DayOff,
    /// Not so many of a job's runs fail any more.
    RateFell,
    /// Not so many of a job's runs failed in a row after all: an earlier one of them was made again.
    RowFell,
    /// A source cannot be read.
    SourceUnreadable,
    /// A source can be read again.
    SourceReadable,
    /// A source is read only in part.
    SourceIncomplete,
    /// A source is read as a whole again.
    SourceWhole,
    /// What was planned in a span was never read and no longer can be.
    SourceLost,
    /// Nobody asked a source for a while.
    SourceSilent,
    /// A receiver cannot be told anything.
    ReceiverDead,
    /// A receiver can be told again.
    ReceiverWorks,
    /// A changed configuration was refused.
    ReloadRefused,
    /// The configuration is accepted again.
    ReloadAccepted,
    /// A background loop of Nightbell does not work.
    LoopFailing,
    /// A background loop works again.
    LoopWorks,
    /// A replica has another configuration than the one in force.
    ReplicaOutdated,
    /// A replica no longer has another one, or is gone.
    ReplicaCurrent,
    /// A word of a later version of this program: the summary is all there is.
    #[serde(other)]
    Other,
}

impl ReasonCode {
    /// All that this version writes.
    pub const ALL: [ReasonCode; 40] = [
        ReasonCode::Status,
        ReasonCode::Ran,
        ReasonCode::Recovered,
        ReasonCode::LaterRun,
        ReasonCode::Ended,
        ReasonCode::LeftStatus,
        ReasonCode::FailedAgain,
        ReasonCode::RunGone,
        ReasonCode::RunTooOld,
        ReasonCode::Unwatched,
        ReasonCode::Closed,
        ReasonCode::JobStatus,
        ReasonCode::JobRecovered,
        ReasonCode::JobGone,
        ReasonCode::Consecutive,
        ReasonCode::FailureRate,
        ReasonCode::NotFinishedBy,
        ReasonCode::NotStartedBy,
        ReasonCode::Missing,
        ReasonCode::SlowerThanUsual,
        ReasonCode::Started,
        ReasonCode::CalledOff,
        ReasonCode::RunsAgain,
        ReasonCode::DayOff,
        ReasonCode::RateFell,
        ReasonCode::RowFell,
        ReasonCode::SourceUnreadable,
        ReasonCode::SourceReadable,
        ReasonCode::SourceIncomplete,
        ReasonCode::SourceWhole,
        ReasonCode::SourceLost,
        ReasonCode::SourceSilent,
        ReasonCode::ReceiverDead,
        ReasonCode::ReceiverWorks,
        ReasonCode::ReloadRefused,
        ReasonCode::ReloadAccepted,
        ReasonCode::LoopFailing,
        ReasonCode::LoopWorks,
        ReasonCode::ReplicaOutdated,
        ReasonCode::ReplicaCurrent,
    ];

    /// The word used in messages and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReasonCode::Status => "status",
            ReasonCode::Ran => "ran",
            ReasonCode::Recovered => "recovered",
            ReasonCode::LaterRun => "later-run",
            ReasonCode::Ended => "ended",
            ReasonCode::LeftStatus => "left-status",
            ReasonCode::FailedAgain => "failed-again",
            ReasonCode::RunGone => "run-gone",
            ReasonCode::RunTooOld => "run-too-old",
            ReasonCode::Unwatched => "unwatched",
            ReasonCode::Closed => "closed",
            ReasonCode::JobStatus => "job-status",
            ReasonCode::JobRecovered => "job-recovered",
            ReasonCode::JobGone => "job-gone",
            ReasonCode::Consecutive => "consecutive",
            ReasonCode::FailureRate => "failure-rate",
            ReasonCode::NotFinishedBy => "not-finished-by",
            ReasonCode::NotStartedBy => "not-started-by",
            ReasonCode::Missing => "missing",
            ReasonCode::SlowerThanUsual => "slower-than-usual",
            ReasonCode::Started => "started",
            ReasonCode::CalledOff => "called-off",
            ReasonCode::RunsAgain => "runs-again",
            ReasonCode::DayOff => "day-off",
            ReasonCode::RateFell => "rate-fell",
            ReasonCode::RowFell => "row-fell",
            ReasonCode::SourceUnreadable => "source-unreadable",
            ReasonCode::SourceReadable => "source-readable",
            ReasonCode::SourceIncomplete => "source-incomplete",
            ReasonCode::SourceWhole => "source-whole",
            ReasonCode::SourceLost => "source-lost",
            ReasonCode::SourceSilent => "source-silent",
            ReasonCode::ReceiverDead => "receiver-dead",
            ReasonCode::ReceiverWorks => "receiver-works",
            ReasonCode::ReloadRefused => "reload-refused",
            ReasonCode::ReloadAccepted => "reload-accepted",
            ReasonCode::LoopFailing => "loop-failing",
            ReasonCode::LoopWorks => "loop-works",
            ReasonCode::ReplicaOutdated => "replica-outdated",
            ReasonCode::ReplicaCurrent => "replica-current",
            ReasonCode::Other => "other",
        }
    }
}

/// Why an alert was told, with the numbers in it. A key that does not apply is `null`; new ones are added at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What holds, or what ended it.
    pub code: ReasonCode,
    /// How long the instance that is told of lasted, in milliseconds.
    #[serde(default)]
    pub lasted_ms: Option<u64>,
    /// The threshold of the rule's `duration`, in milliseconds.
    #[serde(default)]
    pub limit_ms: Option<u64>,
}

impl Reason {
    /// A reason without numbers.
    pub const fn new(code: ReasonCode) -> Reason {
        Reason { code, lasted_ms: None, limit_ms: None }
    }
}

//! A job as its source tells it: the workload itself, not one of its runs.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::SourceId;
use crate::schedule::Schedule;

/// What state a job is in. The words are those of the DataArts API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    /// A batch job whose schedule is on.
    Scheduling,
    /// Not started, or stopped.
    Stopped,
    /// Suspended by an operator.
    Paused,
    /// A real-time job that is about to run.
    Starting,
    /// A real-time job that runs.
    Normal,
    /// A real-time job that broke.
    Exception,
    /// A real-time job that is about to stop.
    Stopping,
    /// Named by newer services, without an explanation.
    Abnormal,
    /// Switched off.
    Disable,
    /// Cannot keep up.
    Overload,
    /// Made, and never started.
    Init,
    /// A word this program does not know. Neither well nor ill.
    Unknown,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [JobStatus; 12] = [
        JobStatus::Scheduling,
        JobStatus::Stopped,
        JobStatus::Paused,
        JobStatus::Starting,
        JobStatus::Normal,
        JobStatus::Exception,
        JobStatus::Stopping,
        JobStatus::Abnormal,
        JobStatus::Disable,
        JobStatus::Overload,
        JobStatus::Init,
        JobStatus::Unknown,
    ];

    /// The word used in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobStatus::Scheduling => "SCHEDULING",
            JobStatus::Stopped => "STOPPED",
            JobStatus::Paused => "PAUSED",
            JobStatus::Starting => "STARTING",
            JobStatus::Normal => "NORMAL",
            JobStatus::Exception => "EXCEPTION",
            JobStatus::Stopping => "STOPPING",
            JobStatus::Abnormal => "ABNORMAL",
            JobStatus::Disable => "DISABLE",
            JobStatus::Overload => "OVERLOAD",
            JobStatus::Init => "INIT",
            JobStatus::Unknown => "UNKNOWN",
        }
    }

    /// The status a word names, in capitals or not.
    pub fn from_word(word: &str) -> Option<JobStatus> {
        JobStatus::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether this status resolves an alert about the job.
    pub const fn is_healthy(self) -> bool {
        matches!(self, JobStatus::Scheduling | JobStatus::Starting | JobStatus::Normal)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a job is planned by its own scheduler. Jobs that no clock plans, and those whose schedule is off, have none.
#[derive(Debug, Clone)]
pub struct JobSchedule {
    /// The job's name.
    pub job: String,
    /// Its due times; why they cannot be followed, where they cannot.
    pub due: Result<Schedule, String>,
}

/// The jobs that a source tells, as they are at one poll.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobList {
    /// Those that could be understood.
    pub jobs: Vec<Job>,
    /// Why there may be others, in words without a secret; `None` of a list that was read and understood as a whole.
    pub shortfall: Option<String>,
}

impl JobList {
    /// All jobs that there are.
    pub fn whole(jobs: Vec<Job>) -> JobList {
        JobList { jobs, shortfall: None }
    }
}

/// One job, as seen at one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The source that told of it.
    pub source: SourceId,
    /// The name that rules match.
    pub name: String,
    /// Whether it runs all the time and has nodes with states of their own; otherwise it runs by a schedule.
    pub is_real_time: bool,
    /// The status.
    pub status: JobStatus,
    /// The source's own word for it.
    pub raw_status: String,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who made it.
    pub create_user: Option<String>,
    /// When it was started last.
    pub start_time: Option<Timestamp>,
    /// When it stopped.
    pub end_time: Option<Timestamp>,
    /// How its last run ended, in the source's word (jobs that run by a schedule).
    pub last_instance_status: Option<String>,
    /// When its last run ended.
    pub last_instance_end_time: Option<Timestamp>,
}

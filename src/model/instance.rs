//! What a source tells: instances of jobs, and the nodes inside them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::SourceId;
use super::status::Status;

/// A job as the source names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobRef {
    /// The name that rules match.
    pub name: String,
    /// The source's own id of the job, where it tells one.
    pub id: Option<String>,
}

/// What names an instance within its source. Ids are the source's own text: never a float, never cut at 2^53.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceKey {
    /// The job's name.
    pub job: String,
    /// The instance id.
    pub id: String,
}

/// How an instance came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceType {
    /// By its schedule (DataArts 0).
    Scheduled,
    /// By hand (DataArts 2).
    Manual,
    /// To fill in past data (DataArts 5, "PatchData").
    Backfill,
    /// As a part of a real-time job (DataArts 6).
    Subjob,
    /// Scheduled a single time (DataArts 7).
    Once,
    /// Anything else.
    Unknown,
}

impl InstanceType {
    /// All of them, in the order of the documentation.
    pub const ALL: [InstanceType; 6] = [
        InstanceType::Scheduled,
        InstanceType::Manual,
        InstanceType::Backfill,
        InstanceType::Subjob,
        InstanceType::Once,
        InstanceType::Unknown,
    ];

    /// The word used in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            InstanceType::Scheduled => "scheduled",
            InstanceType::Manual => "manual",
            InstanceType::Backfill => "backfill",
            InstanceType::Subjob => "subjob",
            InstanceType::Once => "once",
            InstanceType::Unknown => "unknown",
        }
    }

    /// The type a word of ours names.
    pub fn from_word(word: &str) -> Option<InstanceType> {
        InstanceType::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One scheduled run of a job, as seen at one poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The source that told of it.
    pub source: SourceId,
    /// The instance id, the source's own text.
    pub id: String,
    /// Its job.
    pub job: JobRef,
    /// The name it has in logs, where the source tells one; not the job's name.
    pub name: Option<String>,
    /// The normalised status.
    pub status: Status,
    /// The source's own word for it.
    pub raw_status: String,
    /// How it came to run.
    pub kind: InstanceType,
    /// When it was due to start.
    pub plan_time: Option<Timestamp>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Why it failed, in the source's words, where it tells: may have several lines, at most
    /// [`crate::limits::INSTANCE_ERROR_BYTES_MAX`] bytes.
    pub error: Option<String>,
}

impl Instance {
    /// What names it within its source.
    pub fn key(&self) -> InstanceKey {
        InstanceKey { job: self.job.name.clone(), id: self.id.clone() }
    }

    /// How long it lasted, or has lasted by `now`: end - start; now - start while it has not ended; now - plan while
    /// it waits to start. `None` when a time it needs is missing or the times contradict each other; a duration
    /// condition on an unknown duration does not hold.
    pub fn duration(&self, now: Timestamp) -> Option<Duration> {
        let (from, to) = match self.status {
            Status::Waiting => (self.plan_time?, now),
            status if status.has_ended() => (self.start_time?, self.end_time?),
            _ => (self.start_time?, self.end_time.unwrap_or(now)),
        };
        Duration::try_from(to.duration_since(from)).ok()
    }

    /// What the store remembers of it, to tell at the next poll whether it changed.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            status: self.status,
            kind: self.kind,
            plan_time: self.plan_time,
            start_time: self.start_time,
            end_time: self.end_time,
        }
    }
}

/// The part of an instance that can change from poll to poll and that decisions rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The normalised status.
    pub status: Status,
    /// How it came to run.
    pub kind: InstanceType,
    /// When it was due to start.
    pub plan_time: Option<Timestamp>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

impl Snapshot {
    /// Whether it is the same state, to the millisecond: the store keeps no more.
    pub fn is_same(&self, other: &Snapshot) -> bool {
        let times =
            |it: &Snapshot| [it.plan_time, it.start_time, it.end_time].map(|time| time.map(Timestamp::as_millisecond));
        (self.status, self.kind) == (other.status, other.kind) && times(self) == times(other)
    }
}

/// A step inside an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What kind of work it does, in the source's words ("DWS SQL"), where told.
    pub kind: Option<String>,
    /// The normalised status.
    pub status: Status,
    /// The source's own word for it.
    pub raw_status: String,
    /// How often it was tried again, where told.
    pub retries: Option<u64>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Where its log is, verbatim: it may hold spaces and is no URL.
    pub log_path: Option<String>,
    /// The last lines of its log, where they were read: without what looks like a secret.
    pub log_tail: Option<String>,
}

/// What a run is a part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// A sub-job's run does the work of a node of a real-time job.
    Node(PartOf),
    /// A job's run belongs to a workflow's.
    Workflow(WorkflowRun),
}

/// What a sub-job is a part of: the real-time job, and the node of it whose work the sub-job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartOf {
    /// The real-time job's name.
    pub job: String,
    /// The node's name.
    pub node: String,
}

/// The run of a workflow that a job's run belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    /// The workflow's name.
    pub workflow: String,
    /// The id of its instance.
    pub instance: String,
}

/// What is known of an instance's nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeDetails {
    /// The source told them.
    Known(Vec<Node>),
    /// They could not be read, and why.
    Unreadable(String),
}

/// A span of plan times, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First instant that belongs to it.
    pub from: Timestamp,
    /// Last instant that belongs to it.
    pub to: Timestamp,
}

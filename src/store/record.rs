//! What goes into the store and comes out of it: plain data beside the model's own, for the one trait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Alert, AlertFacts, Attempt, Concerns, Delivery, DeliveryId, DeliveryState, Instance, InstanceKey, MessageKind,
    Severity, Snapshot, SourceId, Status,
};

/// Past runs by job, each with its instance id.
pub type PastRuns = HashMap<String, Vec<(String, Snapshot)>>;

/// Everything remembered of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceMemory {
    /// Counts the commits.
    pub generation: i64,
    /// When the source was last asked, with success or without.
    pub polled_at: Option<Timestamp>,
    /// Up to when the source has been read completely; `None` before the first complete poll.
    pub read_until: Option<Timestamp>,
    /// Marks of the rules that have looked at this source before.
    pub known_rules: BTreeSet<String>,
    /// The last snapshot of each instance.
    pub snapshots: HashMap<InstanceKey, Snapshot>,
    /// Alerts that fire.
    pub firing: Vec<Alert>,
}

/// How far a digest has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestCursor {
    /// The last moment that it has covered.
    pub moment: i64,
    /// When it was last made.
    pub made_at: Timestamp,
    /// The due time that it was made for; at its beginning, when that was.
    pub due_at: Timestamp,
}

/// From where on a digest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After this moment.
    Moment(i64),
    /// This long before the latest moment.
    Ago(Duration),
}

/// A digest that was made.
#[derive(Debug, Clone)]
pub struct DigestCommit {
    /// Its name.
    pub name: String,
    /// Where it stood when it was made.
    pub from: DigestCursor,
    /// Where it stands now.
    pub to: DigestCursor,
    /// One for each receiver.
    pub deliveries: Vec<Delivery>,
}

/// What one poll changes.
#[derive(Debug, Clone)]
pub struct PollCommit {
    /// The source polled.
    pub source: SourceId,
    /// The generation the decisions rest on.
    pub generation: i64,
    /// When the poll began.
    pub now: Timestamp,
    /// The new cursor; `None` leaves it where it is (the listing was not whole).
    pub read_until: Option<Timestamp>,
    /// Why the listing was not whole, where it was not.
    pub incomplete: Option<String>,
    /// Marks of the rules that have looked at this source, this poll included; `None` when they are the same as before.
    pub known_rules: Option<BTreeSet<String>>,
    /// Instances that are new or changed.
    pub instances: Vec<Instance>,
    /// Alerts that began to fire.
    pub fired: Vec<Alert>,
    /// Alerts that fired before and have changed (resolved).
    pub changed: Vec<Alert>,
    /// Deliveries that are now owed.
    pub deliveries: Vec<Delivery>,
}

/// A silence that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    /// Which alerts it concerns.
    pub concerns: Concerns,
    /// Why.
    pub reason: String,
    /// Who makes it.
    pub by: String,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// An attempt with what follows from it.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The delivery.
    pub id: DeliveryId,
    /// Which attempt it was, counted from 1.
    pub attempt_number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub attempt: Attempt,
    /// The delivery's new state.
    pub state: DeliveryState,
    /// What is wrong with the delivery now: the attempt's error, or why it was given up.
    pub last_error: Option<String>,
    /// When it is tried again, if it is.
    pub next_attempt_at: Option<Timestamp>,
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

/// A delivery that is due and free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The delivery.
    pub id: DeliveryId,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// How bad what it tells of is.
    pub severity: Option<Severity>,
    /// Since when it is due.
    pub due_at: Timestamp,
}

/// A delivery that can be told together with others.
#[derive(Debug, Clone, PartialEq)]
pub struct Mergeable {
    /// The delivery.
    pub id: DeliveryId,
    /// What is known of its alert now.
    pub facts: AlertFacts,
    /// The resolution that waits behind it, if the alert is over and that is owed too.
    pub resolution: Option<DeliveryId>,
    /// The delivery that it answers.
    pub follows: Option<DeliveryId>,
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

/// How many of the last runs of jobs are kept whatever their age, by source and job.
pub type KeptRuns = BTreeMap<SourceId, BTreeMap<String, usize>>;

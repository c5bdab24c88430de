//! The store: what must survive a restart, behind the one trait [`Store`].
//!
//! It holds the poll cursor of each source, the last snapshot of each instance, the alerts, the outbox of deliveries
//! and the log of attempts. [`Store::commit_poll`] moves the first four in one transaction, so that whatever rewinds
//! the database costs a repeat and never a loss; [`Store::settle`] records attempts with the deliveries' new states.
//! No transaction is open while a network call runs. The store must never know of rules, wire formats or channels.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;

use jiff::Timestamp;

use crate::model::{
    Alert, Attempt, Delivery, DeliveryId, DeliveryState, Instance, InstanceKey, ReceiverId, RuleId, Snapshot, SourceId,
};

/// What survives a restart.
pub trait Store: Send + Sync {
    /// Everything remembered of a source. An unknown source has an empty memory of generation 0.
    fn load_source(&self, source: &SourceId) -> impl Future<Output = Result<SourceMemory, StoreError>> + Send;

    /// The generation of a source's memory: it grows by one with every commit, so that a cached memory can be checked.
    fn generation(&self, source: &SourceId) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Moves cursor, snapshots, alerts and outbox in one transaction. Alerts and deliveries whose id is there already
    /// are left as they are when they come as new ones: a repeat is no second telling.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another process committed since `commit.generation`; nothing was written.
    fn commit_poll(&self, commit: &PollCommit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records that a source could not be read. Moves no cursor.
    fn record_unreadable(
        &self,
        source: &SourceId,
        now: Timestamp,
        reason: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes back what dead processes had claimed; the interrupted attempts are logged with an unknown outcome.
    /// Returns how many there were.
    fn reclaim(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Claims at most `limit` deliveries of a receiver that are due at `now`, the longest due first. A resolution is
    /// not claimed before the firing it follows is settled.
    fn claim(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// Records attempts with the deliveries' new states, all in one transaction, and gives up the claims.
    fn settle(&self, settled: &[Settled]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// When the next unclaimed delivery of a receiver is due, if any is owed.
    fn next_due(&self, receiver: &ReceiverId) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Alerts, the newest first.
    fn alerts(&self, limit: usize) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Deliveries, the newest first.
    fn deliveries(&self, limit: usize) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// How each source fared at its last poll.
    fn sources(&self) -> impl Future<Output = Result<Vec<SourceCondition>, StoreError>> + Send;

    /// Removes what ended before `before`, in small transactions. Returns how many rows went.
    fn purge(&self, before: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Everything remembered of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceMemory {
    /// Counts the commits.
    pub generation: i64,
    /// Up to when the source has been read completely; `None` before the first complete poll.
    pub read_until: Option<Timestamp>,
    /// Rules that have looked at this source before.
    pub known_rules: BTreeSet<RuleId>,
    /// The last snapshot of each instance.
    pub snapshots: HashMap<InstanceKey, Snapshot>,
    /// Alerts that fire.
    pub firing: Vec<Alert>,
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
    /// Rules that have looked at this source, this poll included.
    pub known_rules: BTreeSet<RuleId>,
    /// Instances that are new or changed.
    pub instances: Vec<Instance>,
    /// Alerts that began to fire.
    pub fired: Vec<Alert>,
    /// Alerts that fired before and have changed (resolved).
    pub changed: Vec<Alert>,
    /// Deliveries that are now owed.
    pub deliveries: Vec<Delivery>,
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
    /// When it is tried again, if it is.
    pub next_attempt_at: Option<Timestamp>,
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

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has committed for the source in between: decide again.
    #[error("another process committed for source {0} in between")]
    Conflict(SourceId),
    /// Another process holds the store.
    #[error("{path} is in use by process {pid}: only one nightbell can work on a store file")]
    Held {
        /// The store file.
        path: String,
        /// The holder.
        pid: String,
    },
    /// The file is no store of ours, or of a newer version.
    #[error("{0}")]
    Unusable(String),
    /// The disk or the database refused; nothing was acknowledged.
    #[error("the store failed: {0}")]
    Database(String),
    /// A stored row cannot be understood.
    #[error("a stored row cannot be understood: {0}")]
    Row(String),
}

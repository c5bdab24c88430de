//! The outbox: deliveries are claimed, attempted elsewhere, and settled.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Attempt, Content, Delivery, DeliveryId, DeliveryState, Queued, ReceiverId};

/// The queue of each receiver.
pub trait Outbox: Send + Sync {
    /// Takes back what dead processes had claimed: due at `now`, and an attempt with an unknown outcome is logged for
    /// each, for it may have been sent. Returns how many there were. To be called before anything is claimed: it cannot
    /// tell a living lane's claims from a dead one's.
    fn reclaim(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Takes back what was claimed for a receiver by who held its lease before: due at `now`, with an attempt of unknown outcome
    /// logged for each. Nothing where the store is not shared.
    fn inherit(&self, receiver: &ReceiverId, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Notes that a receiver is to be left alone until then, for whoever delivers to it next.
    fn keep_pause(
        &self,
        receiver: &ReceiverId,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Until when a receiver is to be left alone, as was noted last.
    fn paused_until(&self, receiver: &ReceiverId)
    -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Claims at most `limit` deliveries of a receiver that are due at `now`, the most urgent first and of them the longest
    /// due. A resolution is not claimed before the firing it follows is settled. A row that cannot be understood dies, with a log line.
    fn claim(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// What [`Store::claim`] would claim, and claims nothing.
    fn queue(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Queued>, StoreError>> + Send;

    /// Puts other content in the place of what a delivery was to send, rendered for this kind of receiver.
    fn rewrite(
        &self,
        delivery: &DeliveryId,
        content: &Content,
        rendered_for: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Has a delivery that can never be sent be dead, with the reason, and what follows it with it.
    fn reject(&self, delivery: &DeliveryId, reason: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives up claims without an attempt: the deliveries are as due as they were.
    fn release(&self, claimed: &[DeliveryId]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records attempts with the deliveries' new states, all in one transaction, and gives up the claims. When a
    /// delivery dies, what follows it dies with it. Settling the same attempt twice is the same as once.
    fn settle(&self, settled: &[Settled]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Has what waits for its next attempt be due at `now`: the receiver takes messages, or may take them again. What waits
    /// for others of its group, for a window, or was never attempted keeps its time. The patience that is not used up by
    /// then comes back. Returns how many there are.
    fn hurry(
        &self,
        receiver: &ReceiverId,
        which: &Hurried,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// When the next unclaimed delivery of a receiver is due, if any is pending; `now` for one that is due only later than
    /// any can be, for that comes from a clock that was set back. One that waits for its predecessor to be
    /// settled does not count: there is no time at which it is due.
    fn next_due(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// How many messages about one alert [`Outbox::claim`] would claim without a limit.
    fn count_queue(
        &self,
        receiver: &ReceiverId,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What is pending, by receiver: also to those that the configuration no longer has.
    fn pending(&self) -> impl Future<Output = Result<Vec<Pending>, StoreError>> + Send;

    /// How many deliveries are pending for a receiver that are due at `now`, those included that wait for a predecessor.
    fn count_due(&self, receiver: &ReceiverId, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// When attempts began since `since`, by receiver, the earliest first.
    fn attempts_since(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<(ReceiverId, Timestamp)>, StoreError>> + Send;
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
    /// The delivery's [`Delivery::patience_spent`] from now on.
    pub patience_spent: Duration,
}

/// Which deliveries are to wait no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hurried {
    /// Those whose last attempt ended before.
    pub attempted_before: Timestamp,
    /// Whether those wait all the same that the channel has refused because there were too many: it said for how long.
    pub spares_throttled: bool,
    /// Those that wait all the same.
    pub except: Vec<DeliveryId>,
}

/// What is pending to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The receiver.
    pub receiver: ReceiverId,
    /// How many deliveries.
    pub count: u64,
    /// When the first of them is due.
    pub next_due: Option<Timestamp>,
    /// How many of them are held back until a window opens.
    pub held: u64,
}

//! Deliveries that are sent together: groups that wait, members that are merged, groups that are sent again.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{
    Alert, AlertFacts, DeliveryId, DigestFacts, DueGroup, GroupPlace, Mergeable, Notification, Queued, ReceiverId,
};

/// What is sent together.
pub trait Groups: Send + Sync {
    /// The groups of `receiver` in which something has waited for others long enough at `by`, the worst first, each with
    /// the last time before `now` at which it was told something: a later one comes from a wall clock that was set back. A
    /// lane asks this before it claims: what waits is claimed by nobody until it was told with its group.
    fn due_groups(
        &self,
        receiver: &ReceiverId,
        by: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<DueGroup>, StoreError>> + Send;

    /// What waits in a group and follows nothing that is still pending, the worst first.
    fn gathered(
        &self,
        receiver: &ReceiverId,
        key: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Queued>, StoreError>> + Send;

    /// Has what waits in a group wait until `until`.
    fn postpone_group(
        &self,
        receiver: &ReceiverId,
        key: &str,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the wait of these deliveries: each is due at `now` by itself, and tells its group.
    fn tell_alone(
        &self,
        deliveries: &[DeliveryId],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What the alert of a delivery is now; none where it has none that can be read.
    fn facts_of(&self, delivery: &DeliveryId) -> impl Future<Output = Result<Option<AlertFacts>, StoreError>> + Send;

    /// What a digest says that is sent by this delivery; none of any other, and of one that an older version made.
    fn digest_of(&self, delivery: &DeliveryId) -> impl Future<Output = Result<Option<DigestFacts>, StoreError>> + Send;

    /// What the alerts are now whose beginnings a message tells together; nothing of a message about one.
    fn told_by(&self, group: &DeliveryId) -> impl Future<Output = Result<Vec<AlertFacts>, StoreError>> + Send;

    /// What the alerts of these deliveries are now, in the deliveries' order. Left out is what has no readable alert, and
    /// what may have arrived already and must keep its name: that an attempt may have reached somebody is in its log.
    fn mergeable(&self, deliveries: &[DeliveryId]) -> impl Future<Output = Result<Vec<Mergeable>, StoreError>> + Send;

    /// Puts one delivery in the place of several: it is pending, they are merged into it, and what follows them follows it,
    /// all in one transaction; it tells since when the earliest of what they tell of holds. Returns false, and changes nothing, when one of them is claimed or not pending any more, or
    /// when the new one is there already.
    fn merge(
        &self,
        group: &Notification,
        members: &[DeliveryId],
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The groups of which something still fires, is not held back and nobody is on it, that were told nothing for as long
    /// as their rule bears, and to which nothing is pending.
    fn unrepeated(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Unrepeated>, StoreError>> + Send;

    /// Adds messages that tell groups again. One that is there already is left as it is.
    fn tell_again(&self, deliveries: &[Notification]) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A group of which something still fires, and that was told nothing for long.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrepeated {
    /// The receiver.
    pub receiver: ReceiverId,
    /// Its name, its times, and when it was last told something.
    pub place: GroupPlace,
    /// What still fires, as it is now, the oldest first.
    pub alerts: Vec<Alert>,
}

impl Unrepeated {
    /// For how long it was told nothing.
    pub fn silent_for(&self, now: Timestamp) -> Duration {
        self.place.told_at.map_or(Duration::ZERO, |told_at| now.duration_since(told_at).unsigned_abs())
    }
}

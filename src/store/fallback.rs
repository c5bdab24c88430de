//! Deliveries that do not arrive, and the fallback deliveries in their place.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Alert, DeliveryId, Notification, ReceiverId, Untold};

/// What was not delivered, and who is notified instead.
pub trait FallbackDeliveries: Send + Sync {
    /// Notes which receivers there are at `now`, each with its fallback. What is pending for another one, and not under way,
    /// is dead from then on, with that reason, and that receiver is in trouble for a day. Returns the receivers that are
    /// gone since less than a day.
    ///
    /// `configuration` is the fingerprint of the configuration that says so, where several processes work on the store:
    /// nothing changes unless it is the one in force, which it stays until this is stored. None where the caller has the
    /// store for itself.
    fn keep_receivers(
        &self,
        known: &[KnownReceiver],
        configuration: Option<&str>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<KnownReceiver>, StoreError>> + Send;

    /// Beginnings of critical and error alerts that `receiver` was not told of: pending since `since.0` or longer, or
    /// dead since `since.1` or later. Those that a fallback was told of are left out; what was merged fares as the
    /// message that tells it. The longest pending first.
    fn undelivered(
        &self,
        receiver: &ReceiverId,
        since: (Timestamp, Timestamp),
        limit: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Undelivered>, StoreError>> + Send;

    /// Since when the oldest of those is pending that are not dead, however short that is.
    fn oldest_undelivered(
        &self,
        receiver: &ReceiverId,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Has fallbacks told, and marks the deliveries that they are made for, all in one transaction: one that was marked
    /// before, or has arrived since, is left as it is. A fallback that hears of the alert anyway is not told again.
    /// Returns how many were marked.
    fn add_fallbacks(&self, fallbacks: &[FallbackDelivery]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What `receiver` was told in the place of others, of alerts that have ended since, and was not told of that.
    fn ended_since_told(
        &self,
        receiver: &ReceiverId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ToldInstead>, StoreError>> + Send;

    /// Adds the resolutions of such alerts. Those that are there already are left as they are; one that follows a dead
    /// delivery is born dead.
    fn add_answers(&self, answers: &[Notification]) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A receiver, with who is notified in its place and after how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownReceiver {
    /// Its name.
    pub id: ReceiverId,
    /// Its fallback, and how long after.
    pub fallback: Option<(ReceiverId, Duration)>,
}

/// The beginning of an alert that a receiver was not told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Undelivered {
    /// The delivery.
    pub id: DeliveryId,
    /// The alert as it is now.
    pub alert: Alert,
    /// How the delivery fared.
    pub untold: Untold,
}

/// A delivery to a fallback.
#[derive(Debug, Clone, PartialEq)]
pub struct FallbackDelivery {
    /// The delivery that did not arrive.
    pub original: DeliveryId,
    /// What is pending in its place.
    pub delivery: Notification,
}

/// An alert that a receiver was told of in the place of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldInstead {
    /// The delivery that told it.
    pub id: DeliveryId,
    /// The alert as it is now.
    pub alert: Alert,
    /// The receiver that it was meant for.
    pub meant_for: ReceiverId,
}

//! What people say: silences and acknowledgements. And the record of what they did: every action with who, kept as long as the alerts
//! are.
//!
//! What is done to a row of the store is recorded with it, in its transaction, by the role that does it. Here the record is read, and
//! takes what leaves no other trace.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use jiff::Timestamp;

use super::board::Place;
use super::error::StoreError;
use crate::model::{
    Ack, Action, Alert, AlertId, Concerns, DeliveryId, Notification, ReceiverId, RuleId, Silence, SilenceId,
};

/// Silences, acknowledgements, and the record of what people did.
pub trait Desk: Send + Sync {
    /// Records a silence that holds from `now` on, and returns its number.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when [`crate::limits::SILENCES_ACTIVE_MAX`] silences hold already.
    fn add_silence(
        &self,
        new: &NewSilence,
        now: Timestamp,
    ) -> impl Future<Output = Result<SilenceId, StoreError>> + Send;

    /// Ends a silence early. Returns it as it is then: one that has ended already is left as it was.
    fn expire_silence(
        &self,
        id: SilenceId,
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Silence>, StoreError>> + Send;

    /// A silence, whether it holds or not.
    fn silence(&self, id: SilenceId) -> impl Future<Output = Result<Option<Silence>, StoreError>> + Send;

    /// The silences that hold at `now`, the oldest first.
    fn active_silences(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Silence>, StoreError>> + Send;

    /// All silences, the newest first, each with the number of alerts that it holds back or that ended under it.
    fn silences(&self) -> impl Future<Output = Result<Vec<(Silence, u64)>, StoreError>> + Send;

    /// The alerts whose id begins with `prefix`, at most [`crate::limits::ALERTS_OF_A_PREFIX_MAX`].
    fn alerts_named(&self, prefix: &str) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Records that somebody has acknowledged these alerts, and replaces whoever did before. Returns those who are replaced.
    fn ack(
        &self,
        alerts: &[AlertId],
        ack: &Ack,
    ) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send {
        self.ack_and_tell(alerts, ack, &[])
    }

    /// The same with the deliveries that tell of it, all in one transaction. What was pending to the same receivers of who is on
    /// the same alerts is merged into them; one that follows a dead delivery is born dead.
    fn ack_and_tell(
        &self,
        alerts: &[AlertId],
        ack: &Ack,
        deliveries: &[Notification],
    ) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send;

    /// Removes the acknowledgements of these alerts for somebody, and returns them.
    fn unack(
        &self,
        alerts: &[AlertId],
        by: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send {
        self.unack_and_tell(alerts, by, now, &[])
    }

    /// The same with the deliveries that tell of it, as with [`Desk::ack_and_tell`].
    fn unack_and_tell(
        &self,
        alerts: &[AlertId],
        by: &str,
        now: Timestamp,
        deliveries: &[Notification],
    ) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send;

    /// Who was told that these alerts began, or is about to be, each once for an alert: with the last message that told it.
    fn told(&self, alerts: &[AlertId]) -> impl Future<Output = Result<Vec<Told>, StoreError>> + Send;

    /// The firing alerts that belong to the same group of messages to some receiver as this one, or were told in the same
    /// message.
    fn told_in_group(&self, alert: &AlertId) -> impl Future<Output = Result<HashSet<AlertId>, StoreError>> + Send;

    /// Who has acknowledged which alert.
    fn acks(&self) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send;

    /// Records an action that changes nothing in the store.
    fn record_action(&self, action: &Action) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// A page of actions, the latest first; the place of one is its instant and its key. Rows that cannot be understood are
    /// left out, with a log line.
    fn action_page(
        &self,
        after: Option<&Place>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Action>, StoreError>> + Send;

    /// The rules of the alerts that somebody closed behind an instant and up to another one.
    fn closed_between(
        &self,
        behind: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<RuleId>, StoreError>> + Send;

    /// What was done to an alert, the earliest first.
    fn actions_on_alert(&self, alert: &AlertId) -> impl Future<Output = Result<Vec<Action>, StoreError>> + Send;

    /// What was done to deliveries, the earliest first.
    fn actions_on_deliveries(
        &self,
        deliveries: &[DeliveryId],
    ) -> impl Future<Output = Result<Vec<Action>, StoreError>> + Send;
}

/// A receiver that was told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The alert.
    pub alert: AlertId,
    /// The receiver.
    pub receiver: ReceiverId,
    /// The message.
    pub by: DeliveryId,
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

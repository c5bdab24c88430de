//! Steps: alerts that still fire a while after the first notification, and whom they went to then.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Alert, AlertId, Delivery, DeliveryId, Escalation, ReceiverId, RuleId};

/// The later steps of rules.
pub trait Steps: Send + Sync {
    /// The alerts that fire, were told, and have come to one of these steps between `within.0` and `within.1`; those that
    /// were acknowledged only where the step does not mind. At most `limit`, the longest due first, beginning after one.
    fn due_steps(
        &self,
        steps: &[RuleStep],
        within: (Timestamp, Timestamp),
        after: Option<&AfterStep>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DueStep>, StoreError>> + Send;

    /// When the next of these steps is due later than `after`, if its alert fires until then.
    fn next_step(
        &self,
        steps: &[RuleStep],
        after: Timestamp,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Takes steps, all in one transaction: what they owe is owed, once for each alert, step and receiver. One whose
    /// alert fires no more, is held back, or was acknowledged where that counts, is left out. Returns how many deliveries
    /// there are now.
    fn take_steps(&self, taken: &[StepTaken], now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Alerts that have ended since they went further, one for each step and receiver, whose end is not settled; of one
    /// alert and receiver the last step first.
    fn escalated_ends(&self, limit: usize) -> impl Future<Output = Result<Vec<EscalatedEnd>, StoreError>> + Send;

    /// Notes that these ends are settled, and owes the answers among them to who is not told of the end anyway, all in one
    /// transaction. An answer that follows a dead delivery is born dead. Returns how many answers there are now.
    fn settle_ends(&self, ends: &[EscalatedEnd]) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A later step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleStep {
    /// The rule.
    pub rule: RuleId,
    /// Which step it is; the first telling is step 1.
    pub number: u32,
    /// How long after the first telling it is due.
    pub after: Duration,
    /// Whether an acknowledged alert goes no further.
    pub unless_acked: bool,
}

/// A step that an alert has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct DueStep {
    /// The alert, which fires.
    pub alert: Alert,
    /// Which step it is.
    pub number: u32,
    /// When the alert was first told.
    pub told_at: Timestamp,
    /// When the step was due.
    pub due_at: Timestamp,
    /// Who was owed the alert before, and whether it has arrived there; in the order of the steps.
    pub owed: Vec<(ReceiverId, bool)>,
    /// Who has acknowledged the alert.
    pub acked_by: Option<String>,
}

/// From where on due steps are asked for: after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterStep {
    /// When it was due.
    pub due_at: Timestamp,
    /// Its alert.
    pub alert: AlertId,
    /// Which step it is.
    pub number: u32,
}

/// A step that is taken.
#[derive(Debug, Clone)]
pub struct StepTaken {
    /// The alert.
    pub alert: AlertId,
    /// Which step it is.
    pub number: u32,
    /// Whether it is not taken after all when the alert has been acknowledged.
    pub unless_acked: bool,
    /// What the messages say of it.
    pub note: Escalation,
    /// One for each receiver.
    pub deliveries: Vec<Delivery>,
}

/// An alert that has ended since it went further, and one of those whom it went to.
#[derive(Debug, Clone, PartialEq)]
pub struct EscalatedEnd {
    /// The alert.
    pub alert: Alert,
    /// The step that told the receiver.
    pub number: u32,
    /// Whom it told.
    pub receiver: ReceiverId,
    /// The delivery that did.
    pub told_by: DeliveryId,
    /// The message that tells of the end; none where that is not wanted.
    pub answer: Option<Delivery>,
}

//! Steps: alerts that still fire a while after the first notification, and whom they went to then.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{AlertId, DueStep, EscalatedEnd, ReceiverId, RuleStep, StepTaken};

/// The later steps of rules.
pub trait Steps: Send + Sync {
    /// The alerts that fire, were told, and have come to one of these steps between `within.0` and `within.1`; those that
    /// were acknowledged only where the step does not mind. A step whose receivers are all gone since it was taken is due anew,
    /// ten minutes later. At most `limit`, the longest due first, beginning after one.
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

    /// Takes steps, all in one transaction: what they send is pending, once for each alert, step and receiver. One whose
    /// alert fires no more, is held back, or was acknowledged where that counts, is left out. Returns how many deliveries
    /// there are now.
    fn take_steps(&self, taken: &[StepTaken], now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Notes that these receivers are owed the ends of these alerts, as soon as those end: who notes it cannot make the messages.
    /// Whoever was not notified of the beginning is left out. Returns how many there are.
    fn owe_ends(&self, owed: &[(AlertId, ReceiverId)]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Alerts that have ended since they went further, one for each step and receiver, whose end is not settled; of one
    /// alert and receiver the last step first. Then the ends that are owed, as of step 1.
    fn escalated_ends(&self, limit: usize) -> impl Future<Output = Result<Vec<EscalatedEnd>, StoreError>> + Send;

    /// Notes that these ends are settled, and adds the answers among them for who is not told of the end anyway, all in one
    /// transaction. An answer that follows a dead delivery is born dead. Returns how many answers there are now.
    fn settle_ends(&self, ends: &[EscalatedEnd]) -> impl Future<Output = Result<u64, StoreError>> + Send;
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

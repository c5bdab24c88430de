//! What Nightbell asks the store about itself.

use std::future::Future;

use jiff::Timestamp;

use super::archive::SourceCondition;
use super::error::StoreError;
use super::outbox::Settled;
use crate::limits::REJECTED_IN_A_ROW;
use crate::model::{Alert, AttemptOutcome, DeliveryState, GapPart, Notification, ReceiverId, SourceId};

/// Nightbell's own condition, and the alerts about it.
pub trait OwnAlerts: Send + Sync {
    /// How sources and receivers fare, with the gaps that were closed since `closed_since`, and what is told of that
    /// already. Polls know nothing of those alerts.
    fn own_state(&self, closed_since: Timestamp) -> impl Future<Output = Result<OwnState, StoreError>> + Send;

    /// The alerts that fire of other sources than these; not those about Nightbell itself. The oldest first.
    fn firing_elsewhere(&self, sources: &[SourceId]) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// Moves alerts that no poll decides about, and what is pending for them, in one transaction. Of repeats the same holds as
    /// of a poll's. A poll of the source of such an alert that is under way meets a conflict, and decides anew.
    fn commit_own(&self, commit: &OwnCommit) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How sources and receivers fare, and what is told of that already.
#[derive(Debug, Clone, Default)]
pub struct OwnState {
    /// The sources that were ever asked.
    pub sources: Vec<SourceCondition>,
    /// Gaps that are open, and those that were closed not long ago.
    pub gaps: Vec<GapPart>,
    /// Receivers to which something failed since their last success.
    pub health: Vec<ReceiverHealth>,
    /// The alerts about Nightbell itself that fire.
    pub firing: Vec<Alert>,
}

/// What has failed to a receiver since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverHealth {
    /// The receiver.
    pub receiver: ReceiverId,
    /// When it began to fail.
    pub since: Timestamp,
    /// Whether waiting will not help: a message was given up, or the credentials were refused.
    pub is_lasting: bool,
    /// How many messages in a row it rejected.
    pub rejected: u32,
    /// Whether anything but a rejection failed.
    pub is_failing: bool,
    /// What the last failed attempt was told, secrets cut.
    pub error: String,
}

impl ReceiverHealth {
    /// Whether the receiver is at fault. A single message that is rejected is that message's trouble.
    pub fn is_bad(&self) -> bool {
        self.is_failing || self.rejected >= REJECTED_IN_A_ROW
    }

    /// The health after an attempt to send to `receiver` has ended; none where it arrived.
    pub fn after(before: Option<ReceiverHealth>, receiver: &ReceiverId, settled: &Settled) -> Option<ReceiverHealth> {
        if settled.state == DeliveryState::Delivered {
            return None;
        }
        let is_rejected = settled.attempt.outcome == AttemptOutcome::Rejected;
        let rejected = before.as_ref().map_or(0, |before| before.rejected) + u32::from(is_rejected);
        let gave_up = settled.state == DeliveryState::Dead && (!is_rejected || rejected >= REJECTED_IN_A_ROW);
        let is_lasting = gave_up || settled.attempt.outcome == AttemptOutcome::Unauthorized;
        // A message that was rejected long ago does not make the outage of today begin then.
        let since = before.as_ref().filter(|before| is_rejected || before.is_bad()).map(|before| before.since);
        Some(ReceiverHealth {
            receiver: receiver.clone(),
            since: since.unwrap_or(settled.started_at),
            is_lasting: is_lasting || before.as_ref().is_some_and(|before| before.is_lasting),
            rejected,
            is_failing: !is_rejected || before.is_some_and(|before| before.is_failing),
            error: settled.last_error.clone().unwrap_or_else(|| settled.attempt.outcome.as_str().to_string()),
        })
    }
}

/// What changes in alerts that no poll decides about.
#[derive(Debug, Clone)]
pub struct OwnCommit {
    /// When it was decided.
    pub now: Timestamp,
    /// Alerts that begin.
    pub fired: Vec<Alert>,
    /// Alerts that fired before and have changed.
    pub changed: Vec<Alert>,
    /// Deliveries that are now pending.
    pub deliveries: Vec<Notification>,
}

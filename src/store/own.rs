//! What Nightbell asks the store about itself.

use std::future::Future;

use jiff::Timestamp;

use super::archive::SourceCondition;
use super::error::StoreError;
use crate::model::{Alert, Delivery, GapPart, ReceiverId};

/// Nightbell's own condition, and the alerts about it.
pub trait OwnAlerts: Send + Sync {
    /// How sources and receivers fare, with the gaps that were closed since `closed_since`, and what is told of that
    /// already. Polls know nothing of those alerts.
    fn own_state(&self, closed_since: Timestamp) -> impl Future<Output = Result<OwnState, StoreError>> + Send;

    /// Moves the alerts about Nightbell itself, and what is owed for them, in one transaction. Of repeats the same holds as
    /// of a poll's.
    fn commit_own(&self, commit: &OwnCommit) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How sources and receivers fare, and what is told of that already.
#[derive(Debug, Clone, Default)]
pub struct OwnState {
    /// The sources that were ever asked.
    pub sources: Vec<SourceCondition>,
    /// Gaps that are open, and those that were closed not long ago.
    pub gaps: Vec<GapPart>,
    /// Receivers that were not told since their last success.
    pub troubled: Vec<Troubled>,
    /// The alerts about Nightbell itself that fire.
    pub firing: Vec<Alert>,
}

/// A receiver that was not told since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubled {
    /// The receiver.
    pub receiver: ReceiverId,
    /// When the first attempt failed.
    pub since: Timestamp,
    /// Whether waiting will not help: a message was given up, or the credentials were refused.
    pub is_lasting: bool,
    /// What the last failed attempt was told, secrets cut.
    pub error: String,
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
    /// Deliveries that are now owed.
    pub deliveries: Vec<Delivery>,
}

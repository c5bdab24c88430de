//! What Nightbell asks the store about itself. Plain data.

use jiff::Timestamp;

use super::SourceCondition;
use crate::model::{Alert, Delivery, GapPart, ReceiverId};

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

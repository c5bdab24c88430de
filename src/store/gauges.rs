//! What there is at a moment, counted: for the metrics.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{ReceiverId, RuleId, Severity};

/// What there is at a moment. Answered by indexes of what is open, which is little whatever is stored.
pub trait Gauges: Send + Sync {
    /// Counts what is open at `now`, on one state of the store.
    fn gauges(&self, now: Timestamp) -> impl Future<Output = Result<Counted, StoreError>> + Send;

    /// How many alerts fire, by rule and severity; of a severity that is unknown, none.
    fn firing_counts(&self) -> impl Future<Output = Result<Vec<FiringCount>, StoreError>> + Send;

    /// How many alerts fire and how many letters are dead: what stands in the head of every page.
    fn open_counts(&self) -> impl Future<Output = Result<(u64, u64), StoreError>> + Send;
}

/// How many alerts of a rule fire with a severity.
pub type FiringCount = (RuleId, Option<Severity>, u64);

/// What is open, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// What is pending, by receiver, with when the oldest of it was made.
    pub pending: Vec<(ReceiverId, u64, Timestamp)>,
    /// Dead letters by receiver.
    pub dead: Vec<(ReceiverId, u64)>,
    /// Alerts that fire.
    pub firing: Vec<FiringCount>,
    /// Silences that hold.
    pub silences: u64,
}

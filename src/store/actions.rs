//! What people did: every action with who, kept as long as the alerts are.
//!
//! What is done to a row of the store is recorded with it, in its transaction, by the role that does it. This one reads the
//! record, and takes what leaves no other trace.

use std::future::Future;

use jiff::Timestamp;

use super::board::Place;
use super::error::StoreError;
use crate::model::{Action, AlertId, DeliveryId, RuleId};

/// The record of what people did.
pub trait Actions: Send + Sync {
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

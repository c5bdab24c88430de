//! How much there is: numbers and names for a person who asks how things stand.

use std::collections::HashMap;
use std::future::Future;

use jiff::Timestamp;

use super::archive::{AlertQuery, InstanceFilter};
use super::deliveries::DeliveryQuery;
use super::error::StoreError;
use crate::model::{AlertId, ReceiverId, RuleId, Severity};

/// Counts, and the names that rows bear.
pub trait Counts: Send + Sync {
    /// How many alerts `query` asks for.
    fn count_alerts(&self, query: &AlertQuery) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// How many deliveries `query` asks for.
    fn count_deliveries(&self, query: &DeliveryQuery) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// How many instances the filter wants, whatever its limit.
    fn count_instances(&self, filter: &InstanceFilter) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// How many jobs the filter wants, whatever its limit.
    fn count_jobs(&self, filter: &InstanceFilter) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The rules that there are alerts of, whether they are still configured or not. Looks at every alert.
    fn recorded_rules(&self) -> impl Future<Output = Result<Vec<RuleId>, StoreError>> + Send;

    /// The receivers that there are deliveries to, whether they are still configured or not. Looks at every delivery.
    fn recorded_receivers(&self) -> impl Future<Output = Result<Vec<ReceiverId>, StoreError>> + Send;

    /// The job that each of these alerts is about.
    fn jobs_of_alerts(
        &self,
        alerts: &[AlertId],
    ) -> impl Future<Output = Result<HashMap<AlertId, String>, StoreError>> + Send;

    /// What is still to be sent and what was given up, by receiver; receivers without either are left out.
    fn backlog(&self) -> impl Future<Output = Result<Vec<Backlog>, StoreError>> + Send;

    /// Counts what is open at `now`, on one state of the store.
    fn gauges(&self, now: Timestamp) -> impl Future<Output = Result<Counted, StoreError>> + Send;

    /// How many alerts fire, by rule and severity; of a severity that is unknown, none.
    fn firing_counts(&self) -> impl Future<Output = Result<Vec<FiringCount>, StoreError>> + Send;

    /// How many alerts fire and how many letters are dead: what stands in the head of every page.
    fn open_counts(&self) -> impl Future<Output = Result<(u64, u64), StoreError>> + Send;
}

/// What is still to be sent to one receiver, and what was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The receiver.
    pub receiver: ReceiverId,
    /// How many deliveries are pending, but for those that are held back.
    pub pending: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
    /// How many were given up, of those that are still kept.
    pub dead: u64,
    /// How many are held back until a window opens.
    pub held: u64,
    /// When the first of them goes out.
    pub held_until: Option<Timestamp>,
}

/// The process that works on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its process id, as it noted it: another machine's, or another container's, may mean nothing here.
    pub pid: Option<u32>,
    /// Since when it has worked on the store.
    pub since: Option<Timestamp>,
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

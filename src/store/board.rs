//! What the page and the API show, page by page: each answer reads as much as it shows, however much is stored.

use std::collections::HashMap;
use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{
    Ack, Alert, AlertId, AlertState, Delivery, DeliveryId, DeliveryState, Instance, ReceiverId, RuleId, Severity,
    SourceId, Status,
};

/// Where a page of a list ends: the next one begins after it. Lists go from the newest to the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When the last row shown was made.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

/// Which alerts a page shows; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertAsk {
    /// Those in this state.
    pub state: Option<AlertState>,
    /// Those that are suspended, or those that are not.
    pub is_suspended: Option<bool>,
    /// Those that fire with this severity. Of what is over it is not asked.
    pub severity: Option<Severity>,
    /// Those of this source.
    pub source: Option<SourceId>,
    /// Those about this job, of the source that is named, or of any.
    pub job: Option<String>,
    /// Those of this rule.
    pub rule: Option<RuleId>,
    /// Those recorded then or later.
    pub since: Option<Timestamp>,
    /// Those after this place.
    pub after: Option<Place>,
}

/// Which deliveries a page shows; what is none is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryAsk {
    /// Those in this state; of those that are dead, what nobody has given up.
    pub state: Option<DeliveryState>,
    /// Those to this receiver.
    pub receiver: Option<ReceiverId>,
    /// Those that tell of this alert.
    pub alert: Option<AlertId>,
    /// Digests alone.
    pub digests: bool,
    /// Those after this place.
    pub after: Option<Place>,
}

/// A step that an alert has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow {
    /// Which step of its rule.
    pub step: u32,
    /// Who was told.
    pub receiver: ReceiverId,
    /// By what message.
    pub delivery: DeliveryId,
    /// When.
    pub taken_at: Timestamp,
}

/// When an alert was told, and until when what is pending for it waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToldWhen {
    /// When the first message of its beginning was made: its later steps count from there.
    pub first_at: Option<Timestamp>,
    /// When the first message goes out that waits for others of its group.
    pub gathers_until: Option<Timestamp>,
    /// When the first message goes out that is held back until a window opens.
    pub held_until: Option<Timestamp>,
}

/// Runs of one job on one day, in one status, that are no longer kept one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// Days since 1970 in the zone of the configuration that removed them; what an older version removed, in UTC.
    pub day: i64,
    /// Their status.
    pub status: Status,
    /// How many.
    pub runs: u64,
}

/// Runs of one job in a quarter of an hour, in one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotCount {
    /// When the quarter begins.
    pub at: Timestamp,
    /// Their status.
    pub status: Status,
    /// How many.
    pub runs: u64,
}

/// What was read of a source, by plan time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSpan {
    /// From when on; none of a source that was never read as a whole.
    pub from: Option<Timestamp>,
    /// Up to when.
    pub until: Option<Timestamp>,
    /// What lies in between and was not, or not yet: from when to when; without an end, up to now.
    pub unread: Vec<(Timestamp, Option<Timestamp>)>,
}

/// What the page and the API show.
pub trait Board: Send + Sync {
    /// A page of alerts, the newest first. Rows that cannot be understood are left out, with a log line.
    fn alert_page(&self, ask: &AlertAsk, limit: usize) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// One alert.
    fn alert(&self, id: &AlertId) -> impl Future<Output = Result<Option<Alert>, StoreError>> + Send;

    /// Who has acknowledged which of these alerts.
    fn acks_of(&self, alerts: &[AlertId]) -> impl Future<Output = Result<HashMap<AlertId, Ack>, StoreError>> + Send;

    /// The later steps that an alert has taken, the earliest first.
    fn steps_of(&self, alert: &AlertId) -> impl Future<Output = Result<Vec<StepRow>, StoreError>> + Send;

    /// A page of deliveries, the newest first. Rows that cannot be understood are left out, with a log line.
    fn delivery_page(
        &self,
        ask: &DeliveryAsk,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// These alerts, those that are there.
    fn alerts_of(&self, ids: &[AlertId]) -> impl Future<Output = Result<HashMap<AlertId, Alert>, StoreError>> + Send;

    /// The alerts that messages about several tell of together, by message.
    fn alerts_told_by(
        &self,
        deliveries: &[DeliveryId],
    ) -> impl Future<Output = Result<HashMap<DeliveryId, Vec<AlertId>>, StoreError>> + Send;

    /// How many messages each of these tells of together; none of one that tells of itself alone.
    fn told_counts(
        &self,
        deliveries: &[DeliveryId],
    ) -> impl Future<Output = Result<HashMap<DeliveryId, u64>, StoreError>> + Send;

    /// When these alerts were first told, and until when what is pending for them waits; nothing of those of which nothing
    /// is to be told.
    fn told_when(
        &self,
        alerts: &[AlertId],
    ) -> impl Future<Output = Result<HashMap<AlertId, ToldWhen>, StoreError>> + Send;

    /// Has deliveries that are pending, or dead letters, be given up for good by somebody. Returns those that were.
    fn drop_deliveries(
        &self,
        ids: &[DeliveryId],
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<DeliveryId>, StoreError>> + Send;

    /// The names of jobs of a source of which runs are known, in order, beginning after one.
    fn job_page(
        &self,
        source: &SourceId,
        after: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// The runs of a job, the latest first, beginning after a place; each with the instant it stands at.
    fn run_page(
        &self,
        source: &SourceId,
        job: &str,
        after: Option<&Place>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Timestamp, Instance)>, StoreError>> + Send;

    /// Runs that have not ended: those that are under way before those that wait, of both the latest first.
    fn open_runs(&self, limit: usize) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// Runs of a source that were planned, or began without a plan, in a span; the latest first.
    fn runs_between(
        &self,
        source: &SourceId,
        span: (Timestamp, Timestamp),
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// How many of a job's runs were due when, since then: those that are kept by the quarter of an hour, those that are
    /// not by the day, beginning with this one. Of one state of the store.
    fn counts_of(
        &self,
        source: &SourceId,
        job: &str,
        since: (Timestamp, i64),
    ) -> impl Future<Output = Result<(Vec<SlotCount>, Vec<DayCount>), StoreError>> + Send;

    /// What was read of a source, with what was not since then.
    fn read_span(
        &self,
        source: &SourceId,
        since: Timestamp,
    ) -> impl Future<Output = Result<ReadSpan, StoreError>> + Send;

    /// What is known of a job's runs that are no longer kept, by day and status, since a day.
    fn days_of(
        &self,
        source: &SourceId,
        job: &str,
        since: i64,
    ) -> impl Future<Output = Result<Vec<DayCount>, StoreError>> + Send;
}

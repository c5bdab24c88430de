//! What is asked of the past about one run, or one job.

use std::future::Future;

use jiff::Timestamp;

use super::error::StoreError;
use crate::model::{Alert, AlertId, DeliveryId, Instance, SourceId};

/// What is asked about one run or one job. The answer comes at once, however much is stored.
pub trait Inquiry: Send + Sync {
    /// The names of the jobs of which runs of `source` are remembered, in order.
    fn jobs_of(&self, source: &SourceId) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// The run of this job whose id it is.
    fn run_named(
        &self,
        source: &SourceId,
        job: &str,
        id: &str,
    ) -> impl Future<Output = Result<Option<Instance>, StoreError>> + Send;

    /// The runs of `source` whose id it is, in the order of their jobs, beginning after the job `after`: one, unless its jobs
    /// count their runs each by itself.
    fn runs_named(
        &self,
        source: &SourceId,
        id: &str,
        after: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// The last runs of a job, the latest planned first.
    fn runs_of(
        &self,
        source: &SourceId,
        job: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Instance>, StoreError>> + Send;

    /// The alerts about a job and its runs, the newest first.
    fn alerts_about(
        &self,
        source: &SourceId,
        job: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// The alerts about one run, the newest first.
    fn alerts_about_run(
        &self,
        run: &Instance,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Alert>, StoreError>> + Send;

    /// What was pending for an alert, the oldest first.
    fn deliveries_of(
        &self,
        alert: &AlertId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryId>, StoreError>> + Send;

    /// When the source was last asked, and the marks of the rules that have looked at it.
    fn looked_at(
        &self,
        source: &SourceId,
    ) -> impl Future<Output = Result<Option<(Timestamp, Vec<String>)>, StoreError>> + Send;
}

//! What the past says of jobs: their last runs, and which of them are planned at such a time. What a poll needs.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::super::{PastRuns, StoreError};
use super::{SqlStore, rows};
use crate::model::{InstanceKey, InstanceType, Snapshot, SourceId};

pub(super) async fn past_runs(
    store: &SqlStore,
    source: &SourceId,
    jobs: &[String],
    limit: usize,
) -> Result<PastRuns, StoreError> {
    let statement = format!(
        "SELECT {} FROM instance WHERE source = $1 AND job = $2 \
         ORDER BY COALESCE(plan_time, start_time) DESC, id DESC LIMIT $3",
        rows::SNAPSHOT_COLUMNS
    );
    let mut runs = PastRuns::new();
    for job in jobs {
        let found = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(source.as_str())
            .bind(job)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&store.readers)
            .await
            .map_err(|error| store.failed(error))?;
        let of_job = rows::all(&found, "instance", rows::snapshot);
        runs.insert(job.clone(), of_job.into_iter().map(|(key, run)| (key.id, run)).collect());
    }
    Ok(runs)
}

pub(super) async fn planned_jobs(
    store: &SqlStore,
    source: &SourceId,
    from: Timestamp,
    until: Timestamp,
) -> Result<BTreeSet<(String, InstanceType)>, StoreError> {
    let found = in_span(store, "DISTINCT job, kind", source, from, until).await?;
    let jobs = rows::all(&found, "instance", |row| Ok((rows::text(row, 0)?, rows::instance_type(row, 1)?)));
    Ok(jobs.into_iter().collect())
}

/// The runs of a source that were planned or started in a span.
pub(super) async fn runs_between(
    store: &SqlStore,
    source: &SourceId,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(InstanceKey, Snapshot)>, StoreError> {
    let found = in_span(store, rows::SNAPSHOT_COLUMNS, source, from, until).await?;
    Ok(rows::all(&found, "instance", rows::snapshot))
}

/// How long after its plan time a run may start and still count for the span in which it starts.
const STARTED_LATE_MAX: SignedDuration = SignedDuration::from_hours(48);

async fn in_span(
    store: &SqlStore,
    columns: &str,
    source: &SourceId,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<AnyRow>, StoreError> {
    // The index goes by the plan time; a run that started in the span may have been planned before it.
    let planned_from = from.checked_sub(STARTED_LATE_MAX).unwrap_or(Timestamp::MIN);
    let statement = format!(
        "SELECT {columns} FROM instance WHERE source = $1 AND COALESCE(plan_time, start_time) BETWEEN $4 AND $3 \
         AND (plan_time BETWEEN $2 AND $3 OR start_time BETWEEN $2 AND $3)"
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(source.as_str())
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .bind(planned_from.as_millisecond())
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))
}

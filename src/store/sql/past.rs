//! What the past says of jobs: their last runs, and which of them are planned at such a time. What a poll needs.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::{PastRuns, StoreError};
use super::{SqlStore, rows};
use crate::model::{InstanceType, SourceId};

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
        let found = sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
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
    let found = sqlx::query(
        "SELECT DISTINCT job, kind FROM instance \
         WHERE source = $1 AND (plan_time BETWEEN $2 AND $3 OR start_time BETWEEN $2 AND $3)",
    )
    .bind(source.as_str())
    .bind(from.as_millisecond())
    .bind(until.as_millisecond())
    .fetch_all(&store.readers)
    .await
    .map_err(|error| store.failed(error))?;
    let jobs = rows::all(&found, "instance", |row| Ok((rows::text(row, 0)?, rows::instance_type(row, 1)?)));
    Ok(jobs.into_iter().collect())
}

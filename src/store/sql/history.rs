//! Looking at what is remembered of instances: what the commands show. Reads only, and never what a poll needs.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::super::{InstanceFilter, JobHistory, StoreError};
use super::dialect::Dialect;
use super::items::{IdItem, to_json};
use super::{SqlStore, rows};
use crate::model::{Instance, Status};

/// When an instance stands in the course of things: where it was planned, else where it began, else where it was seen.
const WHEN: &str = "COALESCE(plan_time, start_time, changed_at)";

/// The names of all jobs that a source, or any source, has shown, in order.
pub(super) async fn job_names(store: &SqlStore, source: Option<&str>) -> Result<Vec<String>, StoreError> {
    let found = sqlx::query("SELECT DISTINCT job FROM instance WHERE $1 IS NULL OR source = $1 ORDER BY job")
        .bind(source)
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "instance", |row| rows::text(row, 0)))
}

pub(super) async fn instances(store: &SqlStore, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
    let sql = format!(
        "SELECT {} FROM instance WHERE {} ORDER BY {WHEN} DESC, source, job, id LIMIT $5",
        rows::INSTANCE_COLUMNS,
        wanted(store.dialect)
    );
    Ok(rows::all(&chosen(store, sql, filter).await?, "instance", rows::instance))
}

/// One row per job, by name. `limit` bounds the jobs, not the instances that are counted.
pub(super) async fn jobs(store: &SqlStore, filter: &InstanceFilter) -> Result<Vec<JobHistory>, StoreError> {
    // The bare columns beside MAX would be SQLite's alone; the window function says the same to every database.
    let sql = format!(
        "SELECT source, job, runs, failed, succeeded, status, plan_time, end_time, \
           (SELECT COUNT(*) FROM alert WHERE alert.source = seen.source AND alert.job = seen.job AND alert.state = 'firing') \
         FROM (SELECT source, job, status, plan_time, end_time, \
             COUNT(*) OVER (PARTITION BY source, job) AS runs, \
             SUM(CASE WHEN status IN ('fail', 'running-exception') THEN 1 ELSE 0 END) OVER (PARTITION BY source, job) AS failed, \
             SUM(CASE WHEN status IN ('success', 'forced-success') THEN 1 ELSE 0 END) OVER (PARTITION BY source, job) AS succeeded, \
             ROW_NUMBER() OVER (PARTITION BY source, job ORDER BY {WHEN} DESC, id DESC) AS place \
           FROM instance WHERE {wanted}) AS seen \
         WHERE place = 1 ORDER BY job, source LIMIT $5",
        wanted = wanted(store.dialect)
    );
    Ok(rows::all(&chosen(store, sql, filter).await?, "instance", rows::job_history))
}

/// The rows of a statement that asks for what [`wanted`] says, `$5` of them at most.
async fn chosen(store: &SqlStore, sql: String, filter: &InstanceFilter) -> Result<Vec<AnyRow>, StoreError> {
    sqlx::query(AssertSqlSafe(sql))
        .bind(filter.source.as_ref().map(|source| source.as_str()))
        .bind(filter.from.map(|from| from.as_millisecond()))
        .bind(names(filter.jobs.as_deref())?)
        .bind(names_of(&filter.statuses)?)
        .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))
}

/// Which instances the filter wants: bound as `$1` source, `$2` from, `$3` jobs, `$4` statuses; null means all.
fn wanted(dialect: Dialect) -> String {
    format!(
        "($1 IS NULL OR source = $1) AND ($2 IS NULL OR {WHEN} >= $2) \
         AND ($3 IS NULL OR job IN {}) \
         AND ($4 IS NULL OR status IN {})",
        dialect.bound_texts(3),
        dialect.bound_texts(4)
    )
}

/// A list of names as one bound text; `None` for no list.
fn names(names: Option<&[String]>) -> Result<Option<String>, StoreError> {
    let Some(names) = names else { return Ok(None) };
    let items: Vec<IdItem> = names.iter().map(|id| IdItem { id }).collect();
    to_json(&items).map(Some)
}

fn names_of(statuses: &[Status]) -> Result<Option<String>, StoreError> {
    let words: Vec<String> = statuses.iter().map(|status| status.as_str().to_string()).collect();
    if words.is_empty() { Ok(None) } else { names(Some(&words)) }
}

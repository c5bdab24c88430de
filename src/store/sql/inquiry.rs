//! What is asked of the past about one run, or one job. Reads only, and by indexes alone: the answer must come at once
//! however much is stored.
//!
//! The primary key of the instances begins with source and job, so the names of a source's jobs are found one after the
//! other, each by one step in the index, and a run by its id with one step for each job.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::lists::{alerts_sql, filled};
use super::rows;
use crate::model::{Alert, AlertId, DeliveryId, Instance, SourceId};
use crate::store::board::AlertAsk;
use crate::store::error::StoreError;
use crate::store::inquiry::Inquiry;

/// The jobs of the source bound as `$1`, those after `$2`, as the rows of `known (known_job)`; the last row is null.
const KNOWN_JOBS: &str = "WITH RECURSIVE known(known_job) AS (\
     SELECT MIN(job) FROM instance WHERE source = $1 AND job > $2 \
     UNION ALL \
     SELECT (SELECT MIN(job) FROM instance WHERE source = $1 AND job > known_job) FROM known WHERE known_job IS NOT NULL)";

/// A name that every job's stands behind.
const FIRST: &str = "";

fn jobs_sql() -> String {
    format!("{KNOWN_JOBS} SELECT known_job FROM known WHERE known_job IS NOT NULL")
}

fn run_sql() -> String {
    format!("SELECT {} FROM instance WHERE source = $1 AND job = $2 AND id = $3", rows::INSTANCE_COLUMNS)
}

fn runs_named_sql() -> String {
    format!(
        "{KNOWN_JOBS} SELECT {} FROM known CROSS JOIN instance \
         WHERE source = $1 AND job = known_job AND id = $3 ORDER BY known_job LIMIT $4",
        rows::INSTANCE_COLUMNS
    )
}

fn runs_sql() -> String {
    format!(
        "SELECT {} FROM instance WHERE source = $1 AND job = $2 \
         ORDER BY COALESCE(plan_time, start_time, changed_at) DESC, id DESC LIMIT $3",
        rows::INSTANCE_COLUMNS
    )
}

/// The alerts about a job, as the lists have them: by the job.
fn about_job(source: &SourceId, job: &str) -> AlertAsk {
    AlertAsk { source: Some(source.clone()), job: Some(job.into()), ..AlertAsk::default() }
}

/// By the run: an index has all alerts of a source in this order, too, and most of them are of others.
fn alerts_of_run_sql() -> String {
    format!(
        "SELECT {} FROM alert WHERE source = $1 AND job = $2 AND instance = $3 \
         ORDER BY created_at + 0 DESC, id DESC LIMIT $4",
        rows::ALERT_COLUMNS
    )
}

const DELIVERIES: &str = "SELECT id FROM delivery WHERE alert = $1 ORDER BY created_at, id LIMIT $2";

impl Inquiry for SqlStore {
    async fn jobs_of(&self, source: &SourceId) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(jobs_sql())).bind(source.as_str()).bind(FIRST);
        let found = query.all(self).await?;
        Ok(rows::all(&found, "instance", |row| rows::text(row, 0)))
    }

    async fn run_named(&self, source: &SourceId, job: &str, id: &str) -> Result<Option<Instance>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(run_sql())).bind(source.as_str()).bind(job).bind(id);
        let found = query.all(self).await?;
        Ok(rows::all(&found, "instance", rows::instance).pop())
    }

    async fn runs_named(
        &self,
        source: &SourceId,
        id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Instance>, StoreError> {
        let query =
            sqlx::query(AssertSqlSafe(runs_named_sql())).bind(source.as_str()).bind(after).bind(id).bind(bound(limit));
        let found = query.all(self).await?;
        Ok(rows::all(&found, "instance", rows::instance))
    }

    async fn runs_of(&self, source: &SourceId, job: &str, limit: usize) -> Result<Vec<Instance>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(runs_sql())).bind(source.as_str()).bind(job).bind(bound(limit));
        let found = query.all(self).await?;
        Ok(rows::all(&found, "instance", rows::instance))
    }

    async fn alerts_about(&self, source: &SourceId, job: &str, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let (sql, wanted) = alerts_sql(&about_job(source, job), limit);
        Ok(alerts(&filled(sql, wanted).all(self).await?))
    }

    async fn alerts_about_run(&self, run: &Instance, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let query = sqlx::query(AssertSqlSafe(alerts_of_run_sql()))
            .bind(run.source.as_str())
            .bind(run.job.name.as_str())
            .bind(run.id.as_str())
            .bind(bound(limit));
        Ok(alerts(&query.all(self).await?))
    }

    async fn deliveries_of(&self, alert: &AlertId, limit: usize) -> Result<Vec<DeliveryId>, StoreError> {
        let found = sqlx::query(DELIVERIES).bind(alert.as_str()).bind(bound(limit)).all(self).await?;
        Ok(rows::all(&found, "delivery", |row| rows::text(row, 0).map(DeliveryId::new)))
    }

    async fn looked_at(&self, source: &SourceId) -> Result<Option<(Timestamp, Vec<String>)>, StoreError> {
        let found = sqlx::query("SELECT polled_at, known_rules FROM source WHERE id = $1")
            .bind(source.as_str())
            .at_most_one(self)
            .await?;
        found.map(|row| Ok((rows::instant(rows::number(&row, 0)?)?, rows::json(&row, 1)?))).transpose()
    }
}

fn alerts(found: &[AnyRow]) -> Vec<Alert> {
    rows::all(found, "alert", rows::alert)
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::Mode;
    use super::*;

    /// A million rows are read no faster by looking at each of them.
    #[tokio::test]
    async fn every_question_is_answered_by_an_index() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("plan.db").display());
        let store = SqlStore::open(&url, Mode::Work).await.unwrap();
        let AssertSqlSafe(of_job) = alerts_sql(&about_job(&"s".into(), "job"), 5).0;
        let questions =
            [jobs_sql(), run_sql(), runs_named_sql(), runs_sql(), of_job, alerts_of_run_sql(), DELIVERIES.to_string()];
        for sql in questions {
            let places = sql.matches('$').map(|_| ()).count();
            let mut query = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            for _ in 0..places {
                query = query.bind("x");
            }
            let plan: Vec<String> =
                query.fetch_all(&store.readers).await.unwrap().iter().map(|row| row.get::<String, _>(3)).collect();
            let scans: Vec<&String> =
                plan.iter().filter(|step| step.starts_with("SCAN") && *step != "SCAN known").collect();
            assert!(scans.is_empty(), "{sql}\n{plan:#?}");
            assert!(plan.iter().any(|step| step.starts_with("SEARCH")), "{sql}\n{plan:#?}");
        }
        store.close().await;
    }
}

//! Looking at the alerts: which of them somebody wants to see. Reads only.

use sqlx::AssertSqlSafe;

use super::super::{AlertQuery, StoreError};
use super::items::{IdItem, to_json};
use super::{SqlStore, rows};
use crate::model::{Alert, AlertState, Severity};

impl SqlStore {
    /// The alerts that `query` asks for, the newest first. Rows that cannot be understood are left out, with a log line.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn find_alerts(&self, query: &AlertQuery, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM alert WHERE ($1 IS NULL OR source = $1) AND ($2 IS NULL OR job IN {jobs}) \
               AND ($3 IS NULL OR rule = $3) AND ($4 IS NULL OR {severity} IN {severities}) \
               AND ($5 IS NULL OR state = $5) AND ($6 IS NULL OR {told}) \
               AND ($7 IS NULL OR (suppressed_by IS NOT NULL) = ($7 = 1)) AND ($8 IS NULL OR created_at >= $8) \
             ORDER BY created_at DESC, id DESC LIMIT $9",
            columns = rows::ALERT_COLUMNS,
            jobs = self.dialect.bound_texts(2),
            severity = self.dialect.json_text("facts", "alert.severity"),
            severities = self.dialect.bound_texts(4),
            told = self.dialect.holds_text("receivers", 6),
        );
        let severities: Vec<&str> = query.severities.iter().copied().map(Severity::as_str).collect();
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(query.source.as_ref().map(|it| it.as_str()))
            .bind(query.jobs.as_ref().map(|jobs| list(jobs.iter().map(String::as_str))).transpose()?)
            .bind(query.rule.as_ref().map(|it| it.as_str()))
            .bind((!severities.is_empty()).then(|| list(severities.iter().copied())).transpose()?)
            .bind(query.state.map(AlertState::as_str))
            // As it stands in the JSON list; a name holds nothing that would be escaped there.
            .bind(query.receiver.as_ref().map(|it| format!("\"{it}\"")))
            .bind(query.is_suppressed.map(i64::from))
            .bind(query.since.map(|since| since.as_millisecond()))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    /// The names of all jobs that there are alerts about, in order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn alerted_jobs(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query("SELECT DISTINCT job FROM alert ORDER BY job")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "alert", |row| rows::text(row, 0)))
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, StoreError> {
    let items: Vec<IdItem<'_>> = words.map(|id| IdItem { id }).collect();
    to_json(&items)
}

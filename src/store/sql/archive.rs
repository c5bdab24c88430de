//! Looking at what is remembered of instances and alerts, and at the log of what polls saw: what the commands show, and what is
//! played again. Reads only, and never what a poll needs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Database};

use super::ask::Ask as _;
use super::database::SqlStore;
use super::dialect::Dialect;
use super::items::{IdItem, to_json};
use super::rows;
use crate::model::{
    Alert, AlertState, Instance, PollOutcome, PollRecord, ReceiverId, RuleId, Severity, SourceId, Status,
};
use crate::store::archive::{
    AlertQuery, Archive, InstanceFilter, JobHistory, MessageRecord, SourceCondition, Telling, Transition,
};
use crate::store::error::StoreError;
use crate::store::inquiry::Inquiry as _;

/// When an instance stands in the course of things: where it was planned, else where it began, else where it was seen.
const WHEN: &str = "COALESCE(plan_time, start_time, changed_at)";

/// A transition with what is remembered of its run beside, in the order in which [`rows::instance`] reads.
const TRANSITIONS: &str = "SELECT log.source, log.job, log.id, run.job_id, run.name, log.status, \
     COALESCE(log.raw_status, log.status), log.kind, log.plan_time, log.start_time, log.end_time, log.seen_at \
     FROM transition AS log LEFT JOIN instance AS run \
       ON run.source = log.source AND run.job = log.job AND run.id = log.id";

impl Archive for SqlStore {
    async fn sources(&self) -> Result<Vec<SourceCondition>, StoreError> {
        let found = sqlx::query(
            "SELECT id, read_until, polled_at, unreadable_since, unreadable_reason, incomplete FROM source ORDER BY id",
        )
        .all(self)
        .await?;
        Ok(rows::all(&found, "source", |row| {
            Ok(SourceCondition {
                id: SourceId::new(rows::text(row, 0)?),
                read_until: rows::optional_instant(row, 1)?,
                polled_at: rows::instant(rows::number(row, 2)?)?,
                unreadable: rows::optional_instant(row, 3)?.zip(rows::optional_text(row, 4)?),
                incomplete: rows::optional_text(row, 5)?,
            })
        }))
    }

    /// The names of all jobs that a source, or any source, has shown, in order.
    async fn job_names(&self, source: Option<&SourceId>) -> Result<Vec<String>, StoreError> {
        // Source by source, and from one name to the next: of each job there may be any number of runs.
        let sources = match source {
            Some(source) => vec![source.clone()],
            None => self.sources().await?.into_iter().map(|source| source.id).collect(),
        };
        let mut names = BTreeSet::new();
        for source in &sources {
            names.extend(self.jobs_of(source).await?);
        }
        Ok(names.into_iter().collect())
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
        let sql = format!(
            "SELECT {} FROM instance WHERE {} ORDER BY {WHEN} DESC, source, job, id LIMIT $5",
            rows::INSTANCE_COLUMNS,
            wanted(self.dialect)
        );
        Ok(rows::all(&chosen(self, sql, filter).await?, "instance", rows::instance))
    }

    /// One row per job, by name. `limit` bounds the jobs, not the instances that are counted.
    async fn jobs(&self, filter: &InstanceFilter) -> Result<Vec<JobHistory>, StoreError> {
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
            wanted = wanted(self.dialect)
        );
        Ok(rows::all(&chosen(self, sql, filter).await?, "instance", rows::job_history))
    }

    async fn alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let columns = rows::ALERT_COLUMNS;
        let sql =
            sqlx::AssertSqlSafe(format!("SELECT {columns} FROM alert ORDER BY created_at DESC, id DESC LIMIT $1"));
        let found = sqlx::query(sql).bind(i64::try_from(limit).unwrap_or(i64::MAX)).all(self).await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    async fn find_alerts(&self, query: &AlertQuery, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let sql = format!(
            "SELECT {} FROM alert WHERE {} ORDER BY created_at DESC, id DESC LIMIT $9",
            rows::ALERT_COLUMNS,
            wanted_alerts(self.dialect)
        );
        let found = alerts_bound(sqlx::query(AssertSqlSafe(sql)), query)?
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    async fn alerted_jobs(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query("SELECT DISTINCT job FROM alert ORDER BY job").all(self).await?;
        Ok(rows::all(&found, "alert", |row| rows::text(row, 0)))
    }

    async fn history_begins(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "SELECT MIN(first) FROM (SELECT MIN(COALESCE(plan_time, start_time, changed_at)) AS first FROM instance \
             UNION ALL SELECT MIN(created_at) FROM alert) AS known",
        )
        .one(self)
        .await?;
        rows::optional_instant(&row, 0)
    }

    async fn tellings(&self, since: Timestamp) -> Result<Vec<Telling>, StoreError> {
        let found = sqlx::query(
            "SELECT rule, source, job, instance, receivers, created_at FROM alert WHERE created_at >= $1 \
             ORDER BY created_at, id",
        )
        .bind(since.as_millisecond())
        .all(self)
        .await?;
        Ok(rows::all(&found, "alert", |row| {
            Ok(Telling {
                rule: RuleId::new(rows::text(row, 0)?),
                subject: (rows::text(row, 1)?, rows::text(row, 2)?, rows::text(row, 3)?),
                receivers: rows::json(row, 4)?,
                at: rows::instant(rows::number(row, 5)?)?,
            })
        }))
    }

    async fn messages(&self, since: Timestamp) -> Result<Vec<MessageRecord>, StoreError> {
        let found = sqlx::query(
            "SELECT DISTINCT COALESCE(whole.created_at, one.created_at) AS made_at, COALESCE(whole.id, one.id) AS message, \
               one.receiver, one.rule \
             FROM delivery AS one LEFT JOIN delivery AS whole ON whole.id = one.merged_into \
             WHERE COALESCE(whole.created_at, one.created_at) >= $1 ORDER BY 1, 2",
        )
        .bind(since.as_millisecond())
        .all(self).await?;
        let mut messages: Vec<(String, MessageRecord)> = Vec::new();
        let read = |row: &AnyRow| {
            let rule = rows::optional_text(row, 3)?.map(RuleId::new);
            let (at, receiver) = (rows::instant(rows::number(row, 0)?)?, ReceiverId::new(rows::text(row, 2)?));
            Ok((rows::text(row, 1)?, rule, MessageRecord { receiver, rules: BTreeSet::new(), at }))
        };
        for (id, rule, message) in rows::all(&found, "delivery", read) {
            if messages.last().is_none_or(|(last, _)| *last != id) {
                messages.push((id, message));
            }
            if let Some((_, message)) = messages.last_mut() {
                message.rules.extend(rule);
            }
        }
        Ok(messages.into_iter().map(|(_, message)| message).collect())
    }

    async fn transitions(&self, source: &SourceId, job: &str, id: &str) -> Result<Vec<Transition>, StoreError> {
        let sql = format!("{TRANSITIONS} WHERE log.source = $1 AND log.job = $2 AND log.id = $3 ORDER BY log.moment");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(source.as_str()).bind(job).bind(id);
        transitions(self, query).await
    }

    async fn transitions_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Transition>, StoreError> {
        let sql = format!(
            "{TRANSITIONS} WHERE log.source = $1 AND log.seen_at >= $2 AND log.seen_at <= $3 \
             ORDER BY log.moment, log.job, log.id"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(source.as_str())
            .bind(from.as_millisecond())
            .bind(until.as_millisecond());
        transitions(self, query).await
    }

    async fn states_before(&self, source: &SourceId, before: Timestamp) -> Result<Vec<Transition>, StoreError> {
        let sql = format!(
            "{TRANSITIONS} WHERE log.source = $1 AND log.seen_at < $2 AND NOT EXISTS (SELECT 1 FROM transition AS later \
               WHERE later.source = log.source AND later.job = log.job AND later.id = log.id \
                 AND later.moment > log.moment AND later.seen_at < $2) \
             ORDER BY log.job, log.id"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(source.as_str()).bind(before.as_millisecond());
        transitions(self, query).await
    }

    async fn polls_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PollRecord>, StoreError> {
        let found = sqlx::query(
            "SELECT polled_at, outcome FROM poll WHERE source = $1 AND polled_at >= $2 AND polled_at <= $3 \
             ORDER BY polled_at",
        )
        .bind(source.as_str())
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .all(self)
        .await?;
        Ok(rows::all(&found, "poll", |row| {
            let word = rows::text(row, 1)?;
            Ok(PollRecord {
                polled_at: rows::instant(rows::number(row, 0)?)?,
                outcome: PollOutcome::from_word(&word).ok_or_else(|| rows::unknown("poll outcome", &word))?,
            })
        }))
    }
}

/// The rows of a statement that asks for what [`wanted`] says, `$5` of them at most.
async fn chosen(store: &SqlStore, sql: String, filter: &InstanceFilter) -> Result<Vec<AnyRow>, StoreError> {
    instances_bound(sqlx::query(AssertSqlSafe(sql)), filter)?
        .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
        .all(store)
        .await
}

/// Which instances the filter wants: bound as `$1` source, `$2` from, `$3` jobs, `$4` statuses; null means all.
pub(super) fn wanted(dialect: Dialect) -> String {
    format!(
        "($1 IS NULL OR source = $1) AND ($2 IS NULL OR {WHEN} >= $2) \
         AND ($3 IS NULL OR job IN {}) \
         AND ($4 IS NULL OR status IN {})",
        dialect.bound_texts(3),
        dialect.bound_texts(4)
    )
}

/// What [`wanted`] binds.
pub(super) fn instances_bound<'q>(
    query: Query<'q, Any, AnyArguments>,
    filter: &InstanceFilter,
) -> Result<Query<'q, Any, AnyArguments>, StoreError> {
    Ok(query
        .bind(filter.source.as_ref().map(|source| source.as_str().to_string()))
        .bind(filter.from.map(|from| from.as_millisecond()))
        .bind(names(filter.jobs.as_deref())?)
        .bind(names_of(&filter.statuses)?))
}

/// Which alerts a query wants: its parts are bound as `$1` to `$8` in their order; null means all.
pub(super) fn wanted_alerts(dialect: Dialect) -> String {
    format!(
        "($1 IS NULL OR source = $1) AND ($2 IS NULL OR job IN {jobs}) \
         AND ($3 IS NULL OR rule = $3) AND ($4 IS NULL OR {severity} IN {severities}) \
         AND ($5 IS NULL OR state = $5) AND ($6 IS NULL OR {told}) \
         AND ($7 IS NULL OR (suppressed_by IS NOT NULL) = ($7 = 1)) AND ($8 IS NULL OR created_at >= $8)",
        jobs = dialect.bound_texts(2),
        severity = dialect.json_text("facts", "alert.severity"),
        severities = dialect.bound_texts(4),
        told = dialect.holds_text("receivers", 6),
    )
}

/// What [`wanted_alerts`] binds.
pub(super) fn alerts_bound<'q>(
    sql: Query<'q, Any, AnyArguments>,
    query: &AlertQuery,
) -> Result<Query<'q, Any, AnyArguments>, StoreError> {
    let severities: Vec<&str> = query.severities.iter().copied().map(Severity::as_str).collect();
    Ok(sql
        .bind(query.source.as_ref().map(ToString::to_string))
        .bind(query.jobs.as_ref().map(|jobs| list(jobs.iter().map(String::as_str))).transpose()?)
        .bind(query.rule.as_ref().map(ToString::to_string))
        .bind((!severities.is_empty()).then(|| list(severities.iter().copied())).transpose()?)
        .bind(query.state.map(AlertState::as_str))
        // As it stands in the JSON list; a name holds nothing that would be escaped there.
        .bind(query.receiver.as_ref().map(|it| format!("\"{it}\"")))
        .bind(query.is_suppressed.map(i64::from))
        .bind(query.since.map(|since| since.as_millisecond())))
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

fn list<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, StoreError> {
    let items: Vec<IdItem<'_>> = words.map(|id| IdItem { id }).collect();
    to_json(&items)
}

/// The transitions that a query finds.
async fn transitions(
    store: &SqlStore,
    query: Query<'_, Any, <Any as Database>::Arguments>,
) -> Result<Vec<Transition>, StoreError> {
    let found = query.all(store).await?;
    Ok(rows::all(&found, "transition", transition))
}

fn transition(row: &AnyRow) -> Result<Transition, StoreError> {
    Ok(Transition { instance: rows::instance(row)?, seen_at: rows::instant(rows::number(row, 11)?)? })
}

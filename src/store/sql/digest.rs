//! What a digest reads and writes: the rows of its period, one after the other, and the transaction that moves it on.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::connections::Connection;
use super::database::{SqlStore, Write};
use super::gap::next_sequence;
use super::items::{JobItem, SubjectItem, to_json};
use super::{insert, rows};
use crate::digest::{
    AlertRow, BeforeRow, FailedRow, GapRow, HistoryRow, OpenRow, PurgedRow, SettledRow, SourceRow, Tally,
};
use crate::limits::DIGEST_HISTORY_RUNS;
use crate::model::{AlertFacts, AlertState, GapCause, InstanceType, ReasonCode, RuleId, SourceId, Status};
use crate::store::digests::{DigestCommit, DigestCursor, Digests, Since};
use crate::store::error::StoreError;

impl Digests for SqlStore {
    async fn digest_cursor(&self, name: &str) -> Result<Option<DigestCursor>, StoreError> {
        let row = sqlx::query("SELECT moment, made_at, due_at FROM digest WHERE name = $1")
            .bind(name)
            .at_most_one(self)
            .await?;
        row.as_ref().map(cursor_of).transpose()
    }

    async fn begin_digest(&self, name: &str, now: Timestamp) -> Result<DigestCursor, StoreError> {
        self.retried(|| {
            Box::pin(async {
                if let Some(known) = self.digest_cursor(name).await? {
                    return Ok(known);
                }
                let mut write = self.write().await?;
                let sequence = next_sequence(self, &mut write, now).await?;
                sqlx::query(
            "INSERT INTO digest (name, moment, made_at, due_at) VALUES ($1, $2, $3, $3) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(sequence)
        .bind(now.as_millisecond())
        .run(self, write.on()).await?;
                self.commit(write).await?;
                // Another process may have been first.
                let begun = DigestCursor { sequence, made_at: now, due_at: now };
                Ok(self.digest_cursor(name).await?.unwrap_or(begun))
            })
        })
        .await
    }

    async fn tally(&self, since: Since, tally: &mut Tally) -> Result<i64, StoreError> {
        // One transaction, so that all answers are of the same commit.
        let mut read = self.snapshot().await?;
        let reader = &mut Reader { store: self, on: read.on(), source: None };
        let until = reader.last_sequence().await?;
        let (from, end) = match since {
            Since::Sequence(sequence) => (sequence, until),
            // Where nothing happens the sequence stands still: the span is counted from now, or from its last number after a clock was
            // set back.
            Since::Ago(span) => {
                let end = until.max(tally.now().as_millisecond());
                (end.saturating_sub(milliseconds(span)), end)
            }
        };
        reader.sources(tally).await?;
        reader.gaps(from, tally).await?;
        reader.purged(from, tally).await?;
        reader.settled(from, tally).await?;
        reader.before(from.saturating_sub(end.saturating_sub(from)), from, tally).await?;
        reader.open(tally).await?;
        reader.failed(from, tally).await?;
        reader.history(tally).await?;
        reader.alerts(from, tally).await?;
        reader.nodes(tally).await?;
        self.done(read).await?;
        Ok(until)
    }

    async fn commit_digest(&self, commit: &DigestCommit) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let moved = sqlx::query(
            "UPDATE digest SET moment = $3, made_at = $4, due_at = $5 WHERE name = $1 AND moment = $2 AND due_at = $6",
        )
        .bind(commit.name.as_str())
        .bind(commit.from.sequence)
        .bind(commit.to.sequence)
        .bind(commit.to.made_at.as_millisecond())
        .bind(commit.to.due_at.as_millisecond())
        .bind(commit.from.due_at.as_millisecond())
        .run(self, write.on()).await?;
                if moved == 0 {
                    return Err(StoreError::DigestMoved(commit.name.clone()));
                }
                // The next digest ends at a later number, and so has another name, also when nothing happens in between.
                next_sequence(self, &mut write, commit.to.made_at).await?;
                insert::add(self, &mut write, &commit.deliveries).await?;
                keep_facts(self, &mut write, commit).await?;
                self.commit(write).await
            })
        })
        .await
    }
}

/// Keeps what the digest says beside its deliveries.
async fn keep_facts(store: &SqlStore, write: &mut Write, commit: &DigestCommit) -> Result<(), StoreError> {
    let facts = to_json(&commit.facts)?;
    for delivery in &commit.deliveries {
        let kept =
            sqlx::query("INSERT INTO digest_facts (delivery, facts) VALUES ($1, $2) ON CONFLICT (delivery) DO NOTHING");
        kept.bind(delivery.id.as_str()).bind(facts.as_str()).run(store, write.on()).await?;
    }
    Ok(())
}

fn cursor_of(row: &AnyRow) -> Result<DigestCursor, StoreError> {
    Ok(DigestCursor {
        sequence: rows::number(row, 0)?,
        made_at: rows::instant(rows::number(row, 1)?)?,
        due_at: rows::instant(rows::number(row, 2)?)?,
    })
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Runs that did what they should.
const OK: &str = "status IN ('success', 'forced-success', 'ignored-failure')";

/// Reads one state of the store.
struct Reader<'a> {
    store: &'a SqlStore,
    on: &'a mut Connection,
    /// The source of the last row: neighbours mostly share it.
    source: Option<SourceId>,
}

impl Reader<'_> {
    /// Hands each row of a query on; what cannot be understood is left out, with a log line.
    async fn each(
        &mut self,
        query: sqlx::query::Query<'_, Any, <Any as sqlx::Database>::Arguments>,
        table: &str,
        mut take: impl FnMut(&AnyRow, &mut Option<SourceId>) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        tracing::trace!(table, "a digest reads");
        let mut found = query.fetch(&mut *self.on);
        while let Some(row) = found.try_next().await.map_err(|error| self.store.failed(error))? {
            if let Err(error) = take(&row, &mut self.source) {
                tracing::error!(table, %error, "left out a row of the store");
            }
        }
        Ok(())
    }

    async fn last_sequence(&mut self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT last FROM moment WHERE id = 1").one_in(self.store, self.on).await?;
        rows::number(&row, 0)
    }

    async fn sources(&mut self, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query("SELECT id, read_until, unreadable_since FROM source");
        self.each(query, "source", |row, last| {
            let (read_until, unreadable_since) = (rows::optional_instant(row, 1)?, rows::optional_instant(row, 2)?);
            tally.source(SourceRow { id: source(row, last)?, read_until, unreadable_since });
            Ok(())
        })
        .await
    }

    async fn gaps(&mut self, from: i64, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query(
            "SELECT source, cause, reason, began_at, ended_at FROM gap \
             WHERE closed_moment IS NULL OR closed_moment > $1",
        );
        self.each(query.bind(from), "gap", |row, last| {
            let cause = rows::text(row, 1)?;
            tally.gap(GapRow {
                source: source(row, last)?,
                cause: GapCause::from_word(&cause).ok_or_else(|| rows::unknown("cause", &cause))?,
                reason: rows::text(row, 2)?,
                from: rows::instant(rows::number(row, 3)?)?,
                until: rows::optional_instant(row, 4)?,
                runs: None,
                failed: None,
            });
            Ok(())
        })
        .await
    }

    async fn purged(&mut self, from: i64, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query(
            "SELECT source, job, kind, status, runs, (day + 1) * 86400000 FROM job_day WHERE settled_moment > $1",
        );
        self.each(query.bind(from), "job_day", |row, last| {
            tally.purged(&PurgedRow {
                source: source(row, last)?,
                job: rows::text(row, 1)?,
                kind: kind(row, 2)?,
                status: status(row, 3)?,
                runs: u64::try_from(rows::number(row, 4)?).unwrap_or(0),
                until: rows::instant(rows::number(row, 5)?)?,
            });
            Ok(())
        })
        .await
    }

    async fn settled(&mut self, from: i64, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query(
            "SELECT source, job, id, kind, status, start_time, end_time FROM instance WHERE settled_moment > $1",
        );
        self.each(query.bind(from), "instance", |row, last| {
            tally.settled(&SettledRow {
                source: source(row, last)?,
                job: rows::text(row, 1)?,
                id: rows::text(row, 2)?,
                kind: kind(row, 3)?,
                status: status(row, 4)?,
                start_time: rows::optional_instant(row, 5)?,
                end_time: rows::optional_instant(row, 6)?,
            });
            Ok(())
        })
        .await
    }

    async fn before(&mut self, after: i64, until: i64, tally: &mut Tally) -> Result<(), StoreError> {
        let text = format!(
            "SELECT source, job, COUNT(*), CAST(SUM(end_time - start_time) AS BIGINT) FROM instance \
             WHERE settled_moment > $1 AND settled_moment <= $2 AND {OK} AND end_time >= start_time GROUP BY source, job"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(after).bind(until);
        self.each(query, "instance", |row, last| {
            let count = |index| Ok(u64::try_from(rows::number(row, index)?).unwrap_or(0));
            let (runs, total_ms) = (count(2)?, count(3)?);
            tally.before(&BeforeRow { source: source(row, last)?, job: rows::text(row, 1)?, runs, total_ms });
            Ok(())
        })
        .await
    }

    async fn open(&mut self, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query("SELECT source, job, id, kind, status, start_time FROM instance WHERE ended = 0");
        self.each(query, "instance", |row, last| {
            tally.open(OpenRow {
                source: source(row, last)?,
                job: rows::text(row, 1)?,
                id: rows::text(row, 2)?,
                kind: kind(row, 3)?,
                status: status(row, 4)?,
                start_time: rows::optional_instant(row, 5)?,
            });
            Ok(())
        })
        .await
    }

    /// What failed in the period, and what is older and was still broken when it began. Backfill re-does old days: it neither
    /// vouches for the schedule nor is vouched for by it.
    async fn failed(&mut self, from: i64, tally: &mut Tally) -> Result<(), StoreError> {
        // SQLite goes through a cross join in the order in which it is written: job by job of those that have failed.
        // What was made again with success had its first end, and so its number, before the period: when it was seen to change
        // tells whether that success is new.
        let text = format!(
            "SELECT run.source, run.job, run.id, run.kind, run.status, {due}, run.end_time, \
               CASE WHEN run.failed_moment > $1 THEN 1 ELSE 0 END, good.at \
             FROM instance AS run LEFT JOIN (SELECT source, job, CASE kind WHEN 'backfill' THEN 1 ELSE 0 END AS past, \
               MAX(COALESCE(plan_time, start_time, end_time)) AS at, \
               MAX(CASE WHEN CASE WHEN failed_moment IS NULL THEN settled_moment ELSE changed_at END <= $1 \
                 THEN COALESCE(plan_time, start_time, end_time) END) AS earlier \
               FROM (SELECT DISTINCT source AS its_source, job AS its_job FROM instance WHERE failed_moment IS NOT NULL) \
                 AS broken CROSS JOIN instance \
               WHERE source = its_source AND job = its_job AND {OK} GROUP BY source, job, past) AS good \
             ON good.source = run.source AND good.job = run.job \
               AND good.past = CASE run.kind WHEN 'backfill' THEN 1 ELSE 0 END \
             WHERE run.failed_moment IS NOT NULL AND (run.failed_moment > $1 OR \
               ((good.earlier IS NULL OR {due} >= good.earlier) AND (run.changed_at > $1 OR \
                 run.status NOT IN ('success', 'forced-success', 'ignored-failure', 'manual-stop', 'skip', 'freeze', 'pause'))))",
            due = "COALESCE(run.plan_time, run.start_time, run.end_time)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(from);
        self.each(query, "instance", |row, last| {
            tally.failed(FailedRow {
                source: source(row, last)?,
                job: rows::text(row, 1)?,
                id: rows::text(row, 2)?,
                kind: kind(row, 3)?,
                status: status(row, 4)?,
                due: rows::optional_instant(row, 5)?,
                end_time: rows::optional_instant(row, 6)?,
                is_new: rows::number(row, 7)? != 0,
                last_success: rows::optional_instant(row, 8)?,
            });
            Ok(())
        })
        .await
    }

    async fn history(&mut self, tally: &mut Tally) -> Result<(), StoreError> {
        let wanted = tally.wanted_history();
        let items: Vec<JobItem> = wanted.iter().map(|(source, job)| JobItem { source: source.as_str(), job }).collect();
        let query = sqlx::query(self.store.statements.durations.clone())
            .bind(to_json(&items)?)
            .bind(i64::try_from(DIGEST_HISTORY_RUNS).unwrap_or(i64::MAX));
        self.each(query, "instance", |row, last| {
            let duration_ms = u64::try_from(rows::number(row, 2)?).unwrap_or(0);
            tally.history(&HistoryRow { source: source(row, last)?, job: rows::text(row, 1)?, duration_ms });
            Ok(())
        })
        .await
    }

    async fn nodes(&mut self, tally: &mut Tally) -> Result<(), StoreError> {
        let wanted = tally.wanted_nodes();
        let item = |(source, job, instance): &'_ crate::digest::FailedRun| -> Result<String, StoreError> {
            to_json(&SubjectItem { source: source.as_str(), job, instance })
        };
        let items: Vec<String> = wanted.iter().map(item).collect::<Result<_, _>>()?;
        let query = sqlx::query(self.store.statements.facts_of_runs.clone()).bind(format!("[{}]", items.join(",")));
        self.each(query, "alert", |row, _| {
            tally.told(&rows::json::<AlertFacts>(row, 0)?);
            Ok(())
        })
        .await
    }

    async fn alerts(&mut self, from: i64, tally: &mut Tally) -> Result<(), StoreError> {
        let query = sqlx::query(
            "SELECT alert.source, alert.job, alert.instance, alert.rule, alert.state, alert.suppressed_by, \
               run.kind, run.start_time, run.end_time, alert.facts, \
               CASE WHEN alert.noted_moment > $1 THEN 1 ELSE 0 END \
             FROM alert LEFT JOIN instance AS run \
               ON run.source = alert.source AND run.job = alert.job AND run.id = alert.instance \
             WHERE alert.id IN (SELECT id FROM alert WHERE noted_moment > $1 UNION SELECT id FROM alert WHERE state = 'firing')",
        );
        self.each(query.bind(from), "alert", |row, last| {
            let facts = rows::json::<AlertFacts>(row, 9)?;
            let told = facts.instance.as_ref();
            // What is stored of the run is newer than what the alert tells of it, also where a time is gone again.
            let stored = rows::optional_text(row, 6)?.and_then(|kind| InstanceType::from_word(&kind));
            let (start_time, end_time) = match stored {
                Some(_) => (rows::optional_instant(row, 7)?, rows::optional_instant(row, 8)?),
                None => (told.and_then(|run| run.start_time), told.and_then(|run| run.end_time)),
            };
            let own = facts.alert.measures.error.as_ref();
            let error = told.and_then(|run| run.error.as_ref()).or(own).cloned();
            let is_about_job = facts.alert.reason.as_ref().is_some_and(|it| it.code == ReasonCode::JobStatus);
            tally.alert(AlertRow {
                is_new: rows::number(row, 10)? != 0,
                since: facts.alert.starts_at,
                labels: facts.alert.labels.clone(),
                error,
                is_about_job,
                source: source(row, last)?,
                job: rows::text(row, 1)?,
                instance: rows::text(row, 2)?,
                rule: RuleId::new(rows::text(row, 3)?),
                severity: facts.alert.severity,
                is_firing: rows::text(row, 4)? == AlertState::Firing.as_str(),
                suppressed_by: rows::optional_text(row, 5)?,
                start_time,
                end_time,
                // An alert about a job itself has no run, and is about the schedule.
                kind: stored.or(told.map(|run| run.kind)).unwrap_or(InstanceType::Scheduled),
                duration_ms: told.and_then(|run| run.duration_ms),
                measures: facts.alert.measures,
            });
            Ok(())
        })
        .await
    }
}

/// The source of a row, in its first column.
fn source(row: &AnyRow, last: &mut Option<SourceId>) -> Result<SourceId, StoreError> {
    let text = rows::text(row, 0)?;
    match last {
        Some(known) if known.as_str() == text => Ok(known.clone()),
        _ => Ok(last.insert(SourceId::new(text)).clone()),
    }
}

fn kind(row: &AnyRow, index: usize) -> Result<InstanceType, StoreError> {
    let word = rows::text(row, index)?;
    InstanceType::from_word(&word).ok_or_else(|| rows::unknown("instance type", &word))
}

fn status(row: &AnyRow, index: usize) -> Result<Status, StoreError> {
    let word = rows::text(row, index)?;
    Status::from_word(&word).ok_or_else(|| rows::unknown("status", &word))
}

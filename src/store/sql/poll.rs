//! What a poll reads and writes: the memory of a source, and the one transaction that moves all of it.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::gap::next_sequence;
use super::items::{IdItem, alert_items, clean, instance_items, lists, to_json};
use super::{forget, gap, insert, lately, memory, rows, transition};
use crate::decide::Memory;
use crate::model::{
    Alert, AlertId, GapCause, GapPart, InstanceKey, InstanceType, Lately, Notification, PollOutcome, Snapshot, SourceId,
};
use crate::store::error::StoreError;
use crate::store::ledger::{PastRuns, PollCommit, PollLedger};

impl PollLedger for SqlStore {
    async fn load_source(&self, source: &SourceId) -> Result<Memory, StoreError> {
        memory::load(self, source).await
    }

    async fn snapshots(
        &self,
        source: &SourceId,
        keys: &[InstanceKey],
    ) -> Result<HashMap<InstanceKey, Snapshot>, StoreError> {
        memory::snapshots(self, source, keys).await
    }

    async fn known_jobs(&self, source: &SourceId, jobs: &BTreeSet<String>) -> Result<HashSet<String>, StoreError> {
        memory::known_jobs(self, source, jobs).await
    }

    async fn runs_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(InstanceKey, Snapshot)>, StoreError> {
        let found = in_span(self, rows::SNAPSHOT_COLUMNS, source, from, until).await?;
        Ok(rows::all(&found, "instance", rows::snapshot))
    }

    async fn generation(&self, source: &SourceId) -> Result<i64, StoreError> {
        let row =
            sqlx::query("SELECT generation FROM source WHERE id = $1").bind(source.as_str()).at_most_one(self).await?;
        row.map_or(Ok(0), |row| rows::number(&row, 0))
    }

    async fn known_alerts(&self, ids: &[AlertId]) -> Result<HashSet<AlertId>, StoreError> {
        let items: Vec<IdItem> = ids.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let mut known = HashSet::new();
        for text in lists(&items)? {
            let found = sqlx::query(self.statements.known_alerts.clone()).bind(text).all(self).await?;
            for row in &found {
                known.insert(AlertId::new(rows::text(row, 0)?));
            }
        }
        Ok(known)
    }

    async fn commit_rendering(
        &self,
        commit: &PollCommit<impl Borrow<Alert> + Sync>,
        rendered: &mut (impl Iterator<Item = Vec<Notification>> + Clone + Send + Sync),
    ) -> Result<(), StoreError> {
        let from = &*rendered;
        let done = self.retried(|| Box::pin(written(self, commit, from.clone()))).await?;
        *rendered = done;
        Ok(())
    }

    async fn record_unreadable(&self, source: &SourceId, now: Timestamp, reason: &str) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query(
                    "INSERT INTO source (id, generation, known_rules, polled_at, unreadable_since, unreadable_reason) \
             VALUES ($1, 0, '[]', $2, $2, $3) ON CONFLICT (id) DO UPDATE SET polled_at = excluded.polled_at, \
               unreadable_since = COALESCE(source.unreadable_since, excluded.unreadable_since), \
               unreadable_reason = excluded.unreadable_reason",
                )
                .bind(source.as_str())
                .bind(now.as_millisecond())
                .bind(clean(reason).into_owned())
                .run(self, write.on())
                .await?;
                gap::open(self, &mut write, source, GapCause::Unreadable, reason, now).await?;
                transition::log_poll(self, &mut write, source, now, PollOutcome::Unread).await?;
                self.commit(write).await
            })
        })
        .await
    }

    /// Notes a gap that is over. One of the same cause and beginning takes its end over: the process died before the poll
    /// that followed was committed.
    async fn record_gap(&self, gap: &GapPart, now: Timestamp) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let sequence = next_sequence(self, &mut write, now).await?;
                let until = gap.until.unwrap_or(now).as_millisecond();
                let longer = sqlx::query(
            "UPDATE gap SET ended_at = $4, closed_moment = $5 WHERE source = $1 AND cause = $2 AND began_at = $3 \
               AND reason = $6 AND closed_moment IS NOT NULL",
        )
        .bind(gap.source.as_str())
        .bind(gap.cause.as_str())
        .bind(gap.from.as_millisecond())
        .bind(until)
        .bind(sequence)
        .bind(clean(&gap.reason).into_owned())
        .run(self, write.on()).await?;
                if longer == 0 {
                    sqlx::query(
                        "INSERT INTO gap (source, cause, reason, began_at, ended_at, opened_moment, closed_moment) \
                 VALUES ($1, $2, $3, $4, $5, $6, $6)",
                    )
                    .bind(gap.source.as_str())
                    .bind(gap.cause.as_str())
                    .bind(clean(&gap.reason).into_owned())
                    .bind(gap.from.as_millisecond())
                    .bind(until)
                    .bind(sequence)
                    .run(self, write.on())
                    .await?;
                }
                self.commit(write).await
            })
        })
        .await
    }

    async fn counted_runs(&self, source: &SourceId, jobs: &[String], limit: usize) -> Result<PastRuns, StoreError> {
        let statement = format!(
            "SELECT {columns} FROM (SELECT {columns}, ROW_NUMBER() OVER (PARTITION BY kind \
                 ORDER BY COALESCE(plan_time, start_time) DESC NULLS LAST, id DESC) AS place \
               FROM instance WHERE source = $1 AND job = $2 AND status IN ({})) AS latest WHERE place <= $3",
            forget::counted_statuses(),
            columns = rows::SNAPSHOT_COLUMNS
        );
        runs_of(self, statement, source, jobs, limit).await
    }

    async fn past_runs(&self, source: &SourceId, jobs: &[String], limit: usize) -> Result<PastRuns, StoreError> {
        // The order is not put as the index by due times has it: SQLite would go through the whole source in that order to find
        // the runs of the one job.
        let statement = format!(
            "SELECT {} FROM instance WHERE source = $1 AND job = $2 \
             ORDER BY COALESCE(plan_time, start_time, 0) DESC, id DESC LIMIT $3",
            rows::SNAPSHOT_COLUMNS
        );
        runs_of(self, statement, source, jobs, limit).await
    }

    async fn lately(&self, alerts: &[&Alert], since: Timestamp) -> Result<HashMap<AlertId, Lately>, StoreError> {
        lately::lately(self, alerts, since).await
    }

    async fn planned_jobs(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeSet<(String, InstanceType)>, StoreError> {
        let found = in_span(self, "DISTINCT job, kind", source, from, until).await?;
        let jobs = rows::all(&found, "instance", |row| Ok((rows::text(row, 0)?, rows::instance_type(row, 1)?)));
        Ok(jobs.into_iter().collect())
    }

    async fn told_and_firing(&self, sources: &[SourceId], limit: usize) -> Result<Vec<Alert>, StoreError> {
        // One whose deadline is held back has receivers: they were warned of it.
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {} FROM alert WHERE state = 'firing' AND source IN {} AND suspended_at IS NULL AND (suppressed_by IS NULL OR receivers <> '[]') \
             ORDER BY created_at, id LIMIT $2",
            rows::ALERT_COLUMNS,
            self.dialect.bound_texts(1)
        ));
        let items: Vec<IdItem> = sources.iter().map(|source| IdItem { id: source.as_str() }).collect();
        let found = sqlx::query(statement)
            .bind(to_json(&items)?)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    async fn load_learnt(&self, source: &SourceId) -> Result<BTreeMap<String, String>, StoreError> {
        let found = sqlx::query("SELECT question, answer FROM learnt WHERE source = $1")
            .bind(source.as_str())
            .all(self)
            .await?;
        found.iter().map(|row| Ok((rows::text(row, 0)?, rows::text(row, 1)?))).collect()
    }

    async fn save_learnt(
        &self,
        source: &SourceId,
        known: &BTreeMap<String, String>,
        learnt: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        // Each row by itself, in one order: who saves another answer at once waits for no other row.
        let gone = known.keys().filter(|question| !learnt.contains_key(*question));
        let gone: Vec<IdItem> = gone.map(|question| IdItem { id: question }).collect();
        let news: Vec<_> = learnt.iter().filter(|(question, answer)| known.get(*question) != Some(answer)).collect();
        if gone.is_empty() && news.is_empty() {
            return Ok(());
        }
        let gone = to_json(&gone)?;
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let statement = AssertSqlSafe(format!(
                    "DELETE FROM learnt WHERE source = $2 AND question IN {}",
                    self.dialect.bound_texts(1)
                ));
                sqlx::query(statement).bind(gone.as_str()).bind(source.as_str()).run(self, write.on()).await?;
                for (question, answer) in &news {
                    sqlx::query(
                        "INSERT INTO learnt (source, question, answer) VALUES ($1, $2, $3) \
                 ON CONFLICT (source, question) DO UPDATE SET answer = excluded.answer",
                    )
                    .bind(source.as_str())
                    .bind(question.as_str())
                    .bind(answer.as_str())
                    .run(self, write.on())
                    .await?;
                }
                self.commit(write).await
            })
        })
        .await
    }
}

/// What a statement about one job, `$2`, finds of each of these.
async fn runs_of(
    store: &SqlStore,
    statement: String,
    source: &SourceId,
    jobs: &[String],
    limit: usize,
) -> Result<PastRuns, StoreError> {
    let mut runs = PastRuns::new();
    for job in jobs {
        let found = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(source.as_str())
            .bind(job)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(store)
            .await?;
        let of_job = rows::all(&found, "instance", rows::snapshot);
        runs.insert(job.clone(), of_job.into_iter().map(|(key, run)| (key.id, run)).collect());
    }
    Ok(runs)
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
        .all(store)
        .await
}

/// Moves the cursor and counts the generation on, if it is still the one that the decisions rest on.
async fn move_source<A>(store: &SqlStore, write: &mut Write, commit: &PollCommit<A>) -> Result<(), StoreError> {
    // The first commit may find a row that a failed poll left; a later one must find its row.
    let statement = if commit.generation == 0 {
        "INSERT INTO source (generation, id, read_until, known_rules, polled_at, incomplete, coverage) \
         VALUES ($1 + 1, $2, $3, COALESCE($4, '[]'), $5, $6, $7) ON CONFLICT (id) DO UPDATE SET generation = source.generation + 1, \
           read_until = excluded.read_until, known_rules = excluded.known_rules, polled_at = excluded.polled_at, \
           incomplete = excluded.incomplete, coverage = excluded.coverage, unreadable_since = NULL, \
           unreadable_reason = NULL \
         WHERE source.generation = 0"
    } else {
        "UPDATE source SET generation = generation + 1, read_until = COALESCE($3, read_until), \
           known_rules = COALESCE($4, known_rules), \
           polled_at = $5, incomplete = $6, coverage = $7, unreadable_since = NULL, unreadable_reason = NULL \
         WHERE id = $2 AND generation = $1"
    };
    let known_rules = commit.known_rules.as_ref().map(to_json).transpose()?;
    let done = sqlx::query(statement)
        .bind(commit.generation)
        .bind(commit.source.as_str())
        .bind(commit.covered.until.map(Timestamp::as_millisecond))
        .bind(known_rules)
        .bind(commit.now.as_millisecond())
        .bind(commit.incomplete.as_deref().map(|reason| clean(reason).into_owned()))
        .bind(to_json(&commit.covered)?)
        .run(store, write.on())
        .await?;
    if done == 0 { Err(StoreError::Conflict(commit.source.clone())) } else { Ok(()) }
}

/// Writes a poll and returns what was rendered, which has come to its end.
async fn written<A, R>(store: &SqlStore, commit: &PollCommit<A>, mut rendered: R) -> Result<R, StoreError>
where
    A: Borrow<Alert> + Sync,
    R: Iterator<Item = Vec<Notification>> + Send,
{
    let mut write = store.write().await?;
    move_source(store, &mut write, commit).await?;
    let sequence = gap::after_poll(store, &mut write, commit).await?;
    let sql = &store.statements;

    let instances = instance_items(commit, sequence);
    transition::log(store, &mut write, &instances, sequence).await?;
    transition::log_poll(store, &mut write, &commit.source, commit.now, commit.outcome).await?;
    insert::execute(store, &mut write, &sql.upsert_instances, &instances).await?;
    // Resolutions go first: an instance's old episode makes room for its new one.
    let changed = alert_items(&commit.changed, commit.now, sequence);
    insert::execute(store, &mut write, &sql.update_alerts, &changed).await?;
    let repeated = insert::insert_fired(store, &mut write, &commit.fired, commit.now, sequence).await?;
    let slices = std::iter::once(Cow::Borrowed(commit.deliveries.as_slice())).chain(rendered.by_ref().map(Cow::Owned));
    insert::insert_deliveries(store, &mut write, slices, &repeated).await?;
    store.commit(write).await?;
    Ok(rendered)
}

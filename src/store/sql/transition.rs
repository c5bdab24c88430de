//! The log of transitions: written with every poll, read by what explains the past or plays it again.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Database};

use super::database::{SqlStore, Write};
use super::items::InstanceItem;
use super::{insert, rows};
use crate::model::{PollOutcome, PollRecord, SourceId};
use crate::store::error::StoreError;
use crate::store::transition::{Transition, TransitionLog};

/// A transition with what is remembered of its run beside, in the order in which [`rows::instance`] reads.
const SELECT: &str = "SELECT log.source, log.job, log.id, run.job_id, run.name, log.status, \
     COALESCE(log.raw_status, log.status), log.kind, log.plan_time, log.start_time, log.end_time, log.seen_at \
     FROM transition AS log LEFT JOIN instance AS run \
       ON run.source = log.source AND run.job = log.job AND run.id = log.id";

/// Notes those of the instances that are new or look otherwise than they are stored. To be called before they are.
pub(super) async fn log(
    store: &SqlStore,
    write: &mut Write,
    items: &[InstanceItem<'_>],
    sequence: i64,
) -> Result<(), StoreError> {
    insert::execute_with(store, write, &store.statements.log_transitions, items, sequence).await
}

/// Notes that a source was asked.
pub(super) async fn log_poll(
    store: &SqlStore,
    write: &mut Write,
    source: &SourceId,
    now: Timestamp,
    outcome: PollOutcome,
) -> Result<(), StoreError> {
    // Of two polls in one millisecond, by a clock that was set back, the last word counts.
    sqlx::query(
        "INSERT INTO poll (source, polled_at, outcome) VALUES ($1, $2, $3) \
         ON CONFLICT (source, polled_at) DO UPDATE SET outcome = excluded.outcome",
    )
    .bind(source.as_str())
    .bind(now.as_millisecond())
    .bind(outcome.as_str())
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    Ok(())
}

impl TransitionLog for SqlStore {
    async fn transitions(&self, source: &SourceId, job: &str, id: &str) -> Result<Vec<Transition>, StoreError> {
        let sql = format!("{SELECT} WHERE log.source = $1 AND log.job = $2 AND log.id = $3 ORDER BY log.moment");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(source.as_str()).bind(job).bind(id);
        read(self, query).await
    }

    async fn transitions_between(
        &self,
        source: &SourceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Transition>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE log.source = $1 AND log.seen_at >= $2 AND log.seen_at <= $3 \
             ORDER BY log.moment, log.job, log.id"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(source.as_str())
            .bind(from.as_millisecond())
            .bind(until.as_millisecond());
        read(self, query).await
    }

    async fn states_before(&self, source: &SourceId, before: Timestamp) -> Result<Vec<Transition>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE log.source = $1 AND log.seen_at < $2 AND NOT EXISTS (SELECT 1 FROM transition AS later \
               WHERE later.source = log.source AND later.job = log.job AND later.id = log.id \
                 AND later.moment > log.moment AND later.seen_at < $2) \
             ORDER BY log.job, log.id"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(source.as_str()).bind(before.as_millisecond());
        read(self, query).await
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
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "poll", |row| {
            let word = rows::text(row, 1)?;
            Ok(PollRecord {
                polled_at: rows::instant(rows::number(row, 0)?)?,
                outcome: PollOutcome::from_word(&word).ok_or_else(|| rows::unknown("poll outcome", &word))?,
            })
        }))
    }
}

async fn read(
    store: &SqlStore,
    query: Query<'_, Any, <Any as Database>::Arguments>,
) -> Result<Vec<Transition>, StoreError> {
    let found = query.fetch_all(&store.readers).await.map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "transition", transition))
}

fn transition(row: &AnyRow) -> Result<Transition, StoreError> {
    Ok(Transition { instance: rows::instance(row)?, seen_at: rows::instant(rows::number(row, 11)?)? })
}

//! What the program needs of its store as a whole: which configuration is in force, the proof of a write, and forgetting.
//!
//! Which configuration is in force is a number that grows with each one, over restarts too. Instances are forgotten first, then alerts whose instance is gone, then deliveries whose alert is gone.
//!
//! The order is the safety: an instance that its source can still list is kept, so its alert is kept, so the same
//! failure cannot be told as a new one.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::{actions, forget, gap, rows};
use crate::limits::{DELIVERY_PATIENCE, JOB_DAYS_KEPT, STORE_PURGE_ROWS_MAX};
use crate::model::SourceId;
use crate::store::error::StoreError;
use crate::store::upkeep::{KeptRuns, Upkeep};

impl Upkeep for SqlStore {
    async fn begin_generation(&self, fingerprint: &str, is_reload: bool, now: Timestamp) -> Result<i64, StoreError> {
        if self.dialect.is_shared() {
            return self.retried(|| Box::pin(put_in_force(self, fingerprint, is_reload, now))).await;
        }
        self.retried(|| {
            Box::pin(async {
        let mut write = self.write().await?;
        let row = sqlx::query(
            "INSERT INTO generation (id, number, fingerprint, since) VALUES (1, 1, $1, $3) ON CONFLICT (id) DO UPDATE SET \
               number = generation.number + 1, fingerprint = excluded.fingerprint, since = excluded.since \
             WHERE $2 = 1 OR generation.fingerprint <> excluded.fingerprint RETURNING number",
        )
        .bind(fingerprint)
        .bind(i64::from(is_reload))
        .bind(now.as_millisecond())
        .at_most_one_in(self, write.on()).await?;
        let number = match row {
            Some(row) => rows::number(&row, 0)?,
            None => {
                let row = sqlx::query("SELECT number FROM generation WHERE id = 1").one_in(self, write.on()).await?;
                rows::number(&row, 0)?
            }
        };
        self.commit(write).await?;
        Ok(number)
            })
        })
        .await
    }

    async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                self.check_file()?;
                let mut write = self.write().await?;
                sqlx::query(
                    "INSERT INTO pulse (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                )
                .bind(now.as_millisecond())
                .run(self, write.on())
                .await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn purge(&self, before: Timestamp, kept: &KeptRuns, zone: &TimeZone) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT id, COALESCE(read_until, polled_at) FROM source ORDER BY id").all(self).await?;
        let mut removed = 0;
        for row in &found {
            let (source, last_seen) = (SourceId::new(rows::text(row, 0)?), rows::instant(rows::number(row, 1)?)?);
            removed += forget::purge_instances(self, &source, (last_seen, before), kept, zone).await?;
        }
        removed += purge_alerts(self, before).await?;
        removed += purge_deliveries(self, before).await?;
        removed += purge_silences(self, before).await?;
        removed += in_batches(self, actions::PURGE, &[before]).await?;
        removed += purge_gaps(self, before).await?;
        removed += purge_transitions(self, before).await?;
        removed += purge_polls(self, before).await?;
        removed += purge_days(self, before).await?;
        Ok(removed)
    }
}

/// Puts a configuration in force, unless it is one that another has taken the place of: then a restart does not bring it
/// back, and its old number is returned. Whoever reloads his files means what they say.
async fn put_in_force(store: &SqlStore, fingerprint: &str, is_reload: bool, now: Timestamp) -> Result<i64, StoreError> {
    let failed = |error| store.failed(error);
    // Most starts change nothing: they need not queue up behind a commit that takes long.
    let found = numbered(fingerprint).fetch_one(&store.readers).await.map_err(failed)?;
    if let Ok(number) = known_number(&found, fingerprint, is_reload)? {
        return Ok(number);
    }
    let mut write = store.write().await?;
    gap::queue_up(store, &mut write).await?;
    let found = numbered(fingerprint).fetch_one(write.on()).await.map_err(failed)?;
    let in_force = match known_number(&found, fingerprint, is_reload)? {
        Ok(number) => {
            store.commit(write).await?;
            return Ok(number);
        }
        Err(in_force) => in_force,
    };
    let number = in_force + 1;
    sqlx::query(
        "INSERT INTO generation (id, number, fingerprint, since) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE SET \
           number = excluded.number, fingerprint = excluded.fingerprint, since = excluded.since",
    )
    .bind(number)
    .bind(fingerprint)
    .bind(now.as_millisecond())
    .execute(write.on())
    .await
    .map_err(failed)?;
    sqlx::query(
        "INSERT INTO configuration (fingerprint, number) VALUES ($1, $2) \
         ON CONFLICT (fingerprint) DO UPDATE SET number = excluded.number",
    )
    .bind(fingerprint)
    .bind(number)
    .execute(write.on())
    .await
    .map_err(failed)?;
    store.commit(write).await?;
    Ok(number)
}

/// Asks for the configuration in force, and for the number under which this one was in force before.
fn numbered(fingerprint: &str) -> Query<'_, Any, AnyArguments> {
    let known = sqlx::query(
        "SELECT moment.id, generation.number, generation.fingerprint, \
           (SELECT number FROM configuration WHERE configuration.fingerprint = $1) \
         FROM moment LEFT JOIN generation ON generation.id = 1",
    );
    known.bind(fingerprint)
}

/// The number of a configuration that need not be put in force; otherwise the number of the one that is.
fn known_number(row: &AnyRow, fingerprint: &str, is_reload: bool) -> Result<Result<i64, i64>, StoreError> {
    let in_force = rows::optional_number(row, 1)?.unwrap_or(0);
    if rows::optional_text(row, 2)?.as_deref() == Some(fingerprint) {
        return Ok(Ok(in_force));
    }
    let before = rows::optional_number(row, 3)?.filter(|_| !is_reload);
    Ok(before.ok_or(in_force))
}

async fn purge_alerts(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM alert WHERE id IN (SELECT id FROM alert AS old \
           WHERE old.state = 'resolved' AND old.ended_at < $2 \
             AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.source = old.source AND instance.job = old.job \
               AND instance.id = old.instance) \
             AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.alert = old.id AND delivery.state = 'pending') \
           LIMIT $1)";
    in_batches(store, statement, &[before]).await
}

async fn purge_deliveries(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery AS old \
           WHERE old.state <> 'pending' AND old.created_at < $2 AND COALESCE(old.delivered_at, old.created_at) < $3 \
             AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.id = old.alert) \
             AND NOT EXISTS (SELECT 1 FROM delivery AS member WHERE member.merged_into = old.id) \
           LIMIT $1)";
    // A dead delivery may have lived as long as it is retried before it died.
    let made_before = before.checked_sub(DELIVERY_PATIENCE).unwrap_or(Timestamp::MIN);
    in_batches(store, statement, &[made_before, before]).await
}

/// A silence stays as long as an alert names it, and the newest one stays for ever: its number is not given again.
async fn purge_silences(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM silence WHERE id IN (SELECT id FROM silence AS old \
           WHERE COALESCE(old.expired_at, old.ends_at) < $2 AND old.id < (SELECT MAX(id) FROM silence) \
             AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.suppressed_by = 'silence:' || old.id) \
           LIMIT $1)";
    in_batches(store, statement, &[before]).await
}

async fn purge_gaps(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM gap WHERE (source, cause, opened_moment) IN \
         (SELECT source, cause, opened_moment FROM gap AS old WHERE old.ended_at < $2 LIMIT $1)";
    in_batches(store, statement, &[before]).await
}

/// How a run that is still known was at `before` stays: what comes after begins there.
async fn purge_transitions(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM transition WHERE (source, job, id, moment) IN \
         (SELECT source, job, id, moment FROM transition AS old WHERE old.seen_at < $2 \
            AND (EXISTS (SELECT 1 FROM transition AS later WHERE later.source = old.source AND later.job = old.job \
                AND later.id = old.id AND later.moment > old.moment AND later.seen_at < $2) \
              OR NOT EXISTS (SELECT 1 FROM instance WHERE instance.source = old.source AND instance.job = old.job \
                AND instance.id = old.id)) \
          LIMIT $1)";
    in_batches(store, statement, &[before]).await
}

async fn purge_polls(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM poll WHERE (source, polled_at) IN \
         (SELECT source, polled_at FROM poll AS old WHERE old.source IN (SELECT id FROM source) AND old.polled_at < $2 \
          LIMIT $1)";
    in_batches(store, statement, &[before]).await
}

/// The counts of a day stay for so long after its runs could have gone.
async fn purge_days(store: &SqlStore, before: Timestamp) -> Result<u64, StoreError> {
    let statement = "DELETE FROM job_day WHERE (source, job, day, kind, status) IN \
         (SELECT source, job, day, kind, status FROM job_day AS old WHERE old.day < $2 LIMIT $1)";
    const DAY_MS: i64 = 86_400_000;
    let kept_from = before.checked_sub(JOB_DAYS_KEPT).unwrap_or(Timestamp::MIN).as_millisecond();
    // The first day that begins then or later stays.
    in_batches_of(store, statement, &[-(-kept_from).div_euclid(DAY_MS)]).await
}

/// Repeats a deletion of at most `$1` rows, each time in its own transaction, until it finds no full batch any more.
async fn in_batches(store: &SqlStore, statement: &'static str, bounds: &[Timestamp]) -> Result<u64, StoreError> {
    let bounds: Vec<i64> = bounds.iter().map(|bound| bound.as_millisecond()).collect();
    in_batches_of(store, statement, &bounds).await
}

async fn in_batches_of(store: &SqlStore, statement: &'static str, bounds: &[i64]) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let rows = store.retried(|| Box::pin(delete(store, statement, bounds))).await?;
        removed += rows;
        if rows < STORE_PURGE_ROWS_MAX as u64 {
            return Ok(removed);
        }
    }
}

async fn delete(store: &SqlStore, statement: &'static str, bounds: &[i64]) -> Result<u64, StoreError> {
    let mut deletion = sqlx::query(statement).bind(i64::try_from(STORE_PURGE_ROWS_MAX).unwrap_or(i64::MAX));
    for bound in bounds {
        deletion = deletion.bind(*bound);
    }
    let mut write = store.write().await?;
    let rows = deletion.run(store, write.on()).await?;
    store.commit(write).await?;
    Ok(rows)
}

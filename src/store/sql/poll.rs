//! What a poll reads and writes: the memory of a source, and the one transaction that moves all of it.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::SqlStr;
use sqlx::any::AnyRow;

use super::super::{PollCommit, PollOutcome, SourceCondition, StoreError};
use super::items::{IdItem, SubjectItem, alert_items, delivery_items, instance_items, lists, to_json};
use super::own::IS_OWN;
use super::{SqlStore, Write, gap, rows, transition};
use crate::decide::Memory;
use crate::limits::LISTED_AGAIN_MAX;
use crate::model::{Alert, AlertId, Covered, Delivery, EndReason, GapCause, InstanceKey, Snapshot, SourceId};

/// What a delivery dies of when the message before it was never delivered.
pub(super) const NEVER_FIRED: &str = "the firing message was never delivered";

pub(super) async fn load_source(store: &SqlStore, source: &SourceId) -> Result<Memory, StoreError> {
    // One transaction, so that all answers are of the same commit.
    let mut read = store.readers.begin().await.map_err(|error| store.failed(error))?;
    let row = sqlx::query("SELECT generation, read_until, known_rules, polled_at, coverage FROM source WHERE id = $1")
        .bind(source.as_str())
        .fetch_optional(&mut *read)
        .await
        .map_err(|error| store.failed(error))?;
    let Some(row) = row else { return Ok(Memory::default()) };
    let (until, polled_at) = (rows::optional_instant(&row, 1)?, rows::instant(rows::number(&row, 3)?)?);
    let mut memory = Memory {
        generation: rows::number(&row, 0)?,
        polled_at: Some(polled_at),
        covered: covered(&row, 4, until)?,
        known_rules: rows::json(&row, 2)?,
        ..Memory::default()
    };
    let firing = sqlx::query(sql_firing())
        .bind(source.as_str())
        .fetch_all(&mut *read)
        .await
        .map_err(|error| store.failed(error))?;
    memory.firing = rows::all(&firing, "alert", rows::alert).into_iter().collect();
    // After a long outage the next poll reads back to the cursor, not only to the last try.
    let last_seen = until.map_or(polled_at, |until| until.min(polled_at));
    let horizon = last_seen.checked_sub(LISTED_AGAIN_MAX).unwrap_or(Timestamp::MIN);
    let mut snapshots =
        sqlx::query(sql_snapshots()).bind(source.as_str()).bind(horizon.as_millisecond()).fetch(&mut *read);
    while let Some(row) = snapshots.try_next().await.map_err(|error| store.failed(error))? {
        for (key, snapshot) in rows::all(std::slice::from_ref(&row), "instance", rows::snapshot) {
            let is_firing = memory.firing.concerns_subject(&key);
            memory.runs.enter(key, snapshot, is_firing);
        }
    }
    drop(snapshots);
    let ended =
        sqlx::query("SELECT id, end_reason FROM alert WHERE source = $1 AND state = 'resolved' AND ended_at >= $2")
            .bind(source.as_str())
            .bind(horizon.as_millisecond())
            .fetch_all(&mut *read)
            .await
            .map_err(|error| store.failed(error))?;
    for row in &ended {
        let reason = rows::optional_text(row, 1)?.and_then(|word| EndReason::from_word(&word));
        memory.ended.enter(&AlertId::new(rows::text(row, 0)?), reason);
    }
    Ok(memory)
}

/// What is covered of a source. What an older version stored says up to when, and nothing of where that began: as far back
/// as any listing can reach.
fn covered(row: &AnyRow, index: usize, until: Option<Timestamp>) -> Result<Covered, StoreError> {
    let stored: Option<Covered> = rows::optional_json(row, index)?;
    let covered = stored.unwrap_or_else(|| {
        let from = until.and_then(|until| until.checked_sub(LISTED_AGAIN_MAX).ok());
        Covered { from, ..Covered::default() }
    });
    Ok(Covered { until, ..covered })
}

pub(super) async fn snapshots(
    store: &SqlStore,
    source: &SourceId,
    keys: &[InstanceKey],
) -> Result<HashMap<InstanceKey, Snapshot>, StoreError> {
    let items: Vec<SubjectItem> =
        keys.iter().map(|key| SubjectItem { source: source.as_str(), job: &key.job, instance: &key.id }).collect();
    let mut known = HashMap::new();
    for text in lists(&items)? {
        let found = sqlx::query(store.statements.snapshots.clone())
            .bind(text)
            .fetch_all(&store.readers)
            .await
            .map_err(|error| store.failed(error))?;
        known.extend(rows::all(&found, "instance", rows::snapshot));
    }
    Ok(known)
}

fn sql_snapshots() -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "SELECT {} FROM instance WHERE source = $1 AND (ended = 0 OR COALESCE(plan_time, changed_at) >= $2 \
         OR EXISTS (SELECT 1 FROM alert WHERE alert.source = instance.source AND alert.job = instance.job \
           AND alert.instance = instance.id AND alert.state = 'firing'))",
        rows::SNAPSHOT_COLUMNS
    ))
}

fn sql_firing() -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "SELECT {} FROM alert WHERE source = $1 AND state = 'firing' AND NOT ({IS_OWN}) ORDER BY created_at, id",
        rows::ALERT_COLUMNS
    ))
}

pub(super) async fn generation(store: &SqlStore, source: &SourceId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT generation FROM source WHERE id = $1")
        .bind(source.as_str())
        .fetch_optional(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    row.map_or(Ok(0), |row| rows::number(&row, 0))
}

pub(super) async fn known_alerts(store: &SqlStore, ids: &[AlertId]) -> Result<HashSet<AlertId>, StoreError> {
    let items: Vec<IdItem> = ids.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let mut known = HashSet::new();
    for text in lists(&items)? {
        let found = sqlx::query(store.statements.known_alerts.clone())
            .bind(text)
            .fetch_all(&store.readers)
            .await
            .map_err(|error| store.failed(error))?;
        for row in &found {
            known.insert(AlertId::new(rows::text(row, 0)?));
        }
    }
    Ok(known)
}

pub(super) async fn commit(store: &SqlStore, commit: &PollCommit) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    move_source(store, &mut write, commit).await?;
    let moment = gap::after_poll(store, &mut write, commit).await?;
    let sql = &store.statements;

    let instances = instance_items(commit, moment);
    transition::log(store, &mut write, &instances, moment).await?;
    transition::log_poll(store, &mut write, &commit.source, commit.now, commit.outcome).await?;
    execute(store, &mut write, &sql.upsert_instances, &instances).await?;
    // Resolutions go first: an instance's old episode makes room for its new one.
    execute(store, &mut write, &sql.update_alerts, &alert_items(&commit.changed, commit.now, moment)?).await?;
    let repeated = insert_fired(store, &mut write, commit, moment).await?;
    insert_deliveries(store, &mut write, commit, &repeated).await?;
    store.commit(write).await
}

/// Moves the cursor and counts the generation on, if it is still the one that the decisions rest on.
async fn move_source(store: &SqlStore, write: &mut Write, commit: &PollCommit) -> Result<(), StoreError> {
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
        .bind(commit.incomplete.as_deref())
        .bind(to_json(&commit.covered)?)
        .execute(write.on())
        .await
        .map_err(|error| store.failed(error))?;
    if done.rows_affected() == 0 { Err(StoreError::Conflict(commit.source.clone())) } else { Ok(()) }
}

/// Writes the new episodes and returns the ids of those that are none: repeats of what is there already.
pub(super) async fn insert_fired<'a>(
    store: &SqlStore,
    write: &mut Write,
    commit: &'a PollCommit,
    moment: i64,
) -> Result<HashSet<&'a str>, StoreError> {
    let mut repeated: HashSet<&str> = commit.fired.iter().map(|alert| alert.id.as_str()).collect();
    for text in lists(&alert_items(&commit.fired, commit.now, moment)?)? {
        let inserted = sqlx::query(store.statements.insert_alerts.clone())
            .bind(text)
            .fetch_all(write.on())
            .await
            .map_err(|error| store.failed(error))?;
        for row in &inserted {
            repeated.remove(rows::text(row, 0)?.as_str());
        }
    }
    if !repeated.is_empty() {
        let source = commit.source.as_str();
        tracing::info!(source, alerts = repeated.len(), "left out alerts that are known already");
    }
    Ok(repeated)
}

pub(super) async fn insert_deliveries(
    store: &SqlStore,
    write: &mut Write,
    commit: &PollCommit,
    repeated: &HashSet<&str>,
) -> Result<(), StoreError> {
    let owed = commit.deliveries.iter().filter(|delivery| match &delivery.alert {
        Some(alert) => !repeated.contains(alert.as_str()),
        None => true,
    });
    store.gathering.note(commit.deliveries.iter());
    let items = delivery_items(owed)?;
    execute(store, write, &store.statements.insert_deliveries, &items).await?;

    let followers: Vec<IdItem> =
        items.iter().filter(|item| item.follows.is_some()).map(|item| IdItem { id: item.id }).collect();
    execute(store, write, &store.statements.follow_merged, &followers).await?;
    bury_late_followers(store, write, &followers).await
}

/// Of the listed deliveries, those whose predecessor is dead die.
pub(super) async fn bury_late_followers(
    store: &SqlStore,
    write: &mut Write,
    followers: &[IdItem<'_>],
) -> Result<(), StoreError> {
    for text in lists(followers)? {
        sqlx::query(store.statements.bury_late_followers.clone())
            .bind(text)
            .bind(NEVER_FIRED)
            .execute(write.on())
            .await
            .map_err(|error| store.failed(error))?;
    }
    Ok(())
}

pub(super) async fn record_unreadable(
    store: &SqlStore,
    source: &SourceId,
    now: Timestamp,
    reason: &str,
) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    sqlx::query(
        "INSERT INTO source (id, generation, known_rules, polled_at, unreadable_since, unreadable_reason) \
         VALUES ($1, 0, '[]', $2, $2, $3) ON CONFLICT (id) DO UPDATE SET polled_at = excluded.polled_at, \
           unreadable_since = COALESCE(source.unreadable_since, excluded.unreadable_since), \
           unreadable_reason = excluded.unreadable_reason",
    )
    .bind(source.as_str())
    .bind(now.as_millisecond())
    .bind(reason)
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    gap::open(store, &mut write, source, GapCause::Unreadable, reason, now).await?;
    transition::log_poll(store, &mut write, source, now, PollOutcome::Unread).await?;
    store.commit(write).await
}

pub(super) async fn alerts(store: &SqlStore, limit: usize) -> Result<Vec<Alert>, StoreError> {
    let columns = rows::ALERT_COLUMNS;
    let sql = sqlx::AssertSqlSafe(format!("SELECT {columns} FROM alert ORDER BY created_at DESC, id DESC LIMIT $1"));
    let found = sqlx::query(sql)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "alert", rows::alert))
}

pub(super) async fn sources(store: &SqlStore) -> Result<Vec<SourceCondition>, StoreError> {
    let found = sqlx::query(
        "SELECT id, read_until, polled_at, unreadable_since, unreadable_reason, incomplete FROM source ORDER BY id",
    )
    .fetch_all(&store.readers)
    .await
    .map_err(|error| store.failed(error))?;
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

/// Owes deliveries that tell of no alert.
pub(super) async fn owe(store: &SqlStore, write: &mut Write, deliveries: &[Delivery]) -> Result<(), StoreError> {
    let items = delivery_items(deliveries.iter())?;
    execute(store, write, &store.statements.insert_deliveries, &items).await
}

/// Runs a statement over a list, in pieces that bound its text's size.
pub(super) async fn execute<T: Serialize>(
    store: &SqlStore,
    write: &mut Write,
    statement: &SqlStr,
    items: &[T],
) -> Result<(), StoreError> {
    for text in lists(items)? {
        sqlx::query(statement.clone()).bind(text).execute(write.on()).await.map_err(|error| store.failed(error))?;
    }
    Ok(())
}

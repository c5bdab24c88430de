//! Silences and acknowledgements: rows that people make, beside a process that works.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::super::{NewSilence, StoreError};
use super::items::{IdItem, to_json};
use super::{SqlStore, Write, rows};
use crate::limits::{ALERTS_OF_A_PREFIX_MAX, SILENCES_ACTIVE_MAX};
use crate::model::{Ack, Alert, AlertId, Silence, SilenceId, SourceId};

const COLUMNS: &str = "id, concerns, reason, author, created_at, ends_at, expired_at, expired_by";

fn silence(row: &AnyRow) -> Result<Silence, StoreError> {
    Ok(Silence {
        id: SilenceId(rows::number(row, 0)?),
        concerns: rows::json(row, 1)?,
        reason: rows::text(row, 2)?,
        by: rows::text(row, 3)?,
        created_at: rows::instant(rows::number(row, 4)?)?,
        ends_at: rows::instant(rows::number(row, 5)?)?,
        expired: rows::optional_instant(row, 6)?.zip(rows::optional_text(row, 7)?),
    })
}

pub(super) async fn add(store: &SqlStore, new: &NewSilence, now: Timestamp) -> Result<SilenceId, StoreError> {
    let mut write = store.write().await?;
    let counted = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM silence WHERE expired_at IS NULL AND ends_at > $1), \
           (SELECT COALESCE(MAX(id), 0) FROM silence)",
    )
    .bind(now.as_millisecond())
    .fetch_one(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    let (active, last) = (rows::number(&counted, 0)?, rows::number(&counted, 1)?);
    if active >= i64::try_from(SILENCES_ACTIVE_MAX).unwrap_or(i64::MAX) {
        return Err(StoreError::Refused(format!("{active} silences hold already, which is the most; expire some")));
    }
    let id = SilenceId(last + 1);
    sqlx::query(
        "INSERT INTO silence (id, concerns, reason, author, created_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.0)
    .bind(to_json(&new.concerns)?)
    .bind(new.reason.as_str())
    .bind(new.by.as_str())
    .bind(now.as_millisecond())
    .bind(new.ends_at.as_millisecond())
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    store.commit(write).await?;
    Ok(id)
}

pub(super) async fn expire(
    store: &SqlStore,
    id: SilenceId,
    by: &str,
    now: Timestamp,
) -> Result<Option<Silence>, StoreError> {
    let mut write = store.write().await?;
    sqlx::query(
        "UPDATE silence SET expired_at = $2, expired_by = $3 WHERE id = $1 AND expired_at IS NULL AND ends_at > $2",
    )
    .bind(id.0)
    .bind(now.as_millisecond())
    .bind(by)
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    store.commit(write).await?;
    one(store, id).await
}

pub(super) async fn one(store: &SqlStore, id: SilenceId) -> Result<Option<Silence>, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM silence WHERE id = $1"));
    let row = sqlx::query(statement).bind(id.0).fetch_optional(&store.readers).await;
    row.map_err(|error| store.failed(error))?.as_ref().map(silence).transpose()
}

pub(super) async fn active(store: &SqlStore, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM silence WHERE expired_at IS NULL AND ends_at > $1 ORDER BY id"
    ));
    let found = sqlx::query(statement).bind(now.as_millisecond()).fetch_all(&store.readers).await;
    Ok(rows::all(&found.map_err(|error| store.failed(error))?, "silence", silence))
}

pub(super) async fn all(store: &SqlStore) -> Result<Vec<(Silence, u64)>, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS}, (SELECT COUNT(*) FROM alert WHERE suppressed_by = 'silence:' || silence.id) \
         FROM silence ORDER BY id DESC"
    ));
    let found = sqlx::query(statement).fetch_all(&store.readers).await;
    Ok(rows::all(&found.map_err(|error| store.failed(error))?, "silence", |row| {
        Ok((silence(row)?, u64::try_from(rows::number(row, 8)?).unwrap_or(0)))
    }))
}

pub(super) async fn alerts_named(store: &SqlStore, prefix: &str) -> Result<Vec<Alert>, StoreError> {
    // Bounds and no pattern: nothing in a prefix means anything else than itself, and the key's index serves.
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {} FROM alert WHERE id >= $1 AND substr(id, 1, $2) = $1 ORDER BY id LIMIT $3",
        rows::ALERT_COLUMNS
    ));
    let found = sqlx::query(statement)
        .bind(prefix)
        .bind(i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX))
        .bind(i64::try_from(ALERTS_OF_A_PREFIX_MAX).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "alert", rows::alert))
}

pub(super) async fn told_and_firing(
    store: &SqlStore,
    sources: &[SourceId],
    limit: usize,
) -> Result<Vec<Alert>, StoreError> {
    // One whose deadline is held back has receivers: they were warned of it.
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {} FROM alert WHERE state = 'firing' AND source IN {} AND (suppressed_by IS NULL OR receivers <> '[]') \
         ORDER BY created_at, id LIMIT $2",
        rows::ALERT_COLUMNS,
        store.dialect.bound_texts(1)
    ));
    let items: Vec<IdItem> = sources.iter().map(|source| IdItem { id: source.as_str() }).collect();
    let found = sqlx::query(statement)
        .bind(to_json(&items)?)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "alert", rows::alert))
}

pub(super) async fn ack(store: &SqlStore, alerts: &[AlertId], ack: &Ack) -> Result<HashMap<AlertId, Ack>, StoreError> {
    let mut write = store.write().await?;
    let before = remove_acks(store, &mut write, alerts).await?;
    for alert in alerts {
        sqlx::query("INSERT INTO ack (alert, author, reason, at) VALUES ($1, $2, $3, $4)")
            .bind(alert.as_str())
            .bind(ack.by.as_str())
            .bind(ack.reason.as_deref())
            .bind(ack.at.as_millisecond())
            .execute(write.on())
            .await
            .map_err(|error| store.failed(error))?;
    }
    store.commit(write).await?;
    Ok(before)
}

pub(super) async fn unack(store: &SqlStore, alerts: &[AlertId]) -> Result<HashMap<AlertId, Ack>, StoreError> {
    let mut write = store.write().await?;
    let before = remove_acks(store, &mut write, alerts).await?;
    store.commit(write).await?;
    Ok(before)
}

async fn remove_acks(
    store: &SqlStore,
    write: &mut Write,
    alerts: &[AlertId],
) -> Result<HashMap<AlertId, Ack>, StoreError> {
    let mut removed = HashMap::new();
    for alert in alerts {
        let found = sqlx::query("DELETE FROM ack WHERE alert = $1 RETURNING alert, author, reason, at")
            .bind(alert.as_str())
            .fetch_all(write.on())
            .await
            .map_err(|error| store.failed(error))?;
        removed.extend(rows::all(&found, "ack", ack_of));
    }
    Ok(removed)
}

pub(super) async fn acks(store: &SqlStore) -> Result<HashMap<AlertId, Ack>, StoreError> {
    let found = sqlx::query("SELECT alert, author, reason, at FROM ack").fetch_all(&store.readers).await;
    Ok(rows::all(&found.map_err(|error| store.failed(error))?, "ack", ack_of).into_iter().collect())
}

fn ack_of(row: &AnyRow) -> Result<(AlertId, Ack), StoreError> {
    let at = rows::instant(rows::number(row, 3)?)?;
    Ok((AlertId::new(rows::text(row, 0)?), Ack { by: rows::text(row, 1)?, reason: rows::optional_text(row, 2)?, at }))
}

pub(super) async fn told_in_group(store: &SqlStore, alert: &AlertId) -> Result<HashSet<AlertId>, StoreError> {
    let found = sqlx::query(
        "SELECT alert.id FROM alert WHERE alert.state = 'firing' AND EXISTS (SELECT 1 FROM delivery AS member \
           JOIN delivery AS one ON one.receiver = member.receiver AND one.group_key = member.group_key \
           WHERE member.alert = alert.id AND one.alert = $1)",
    )
    .bind(alert.as_str())
    .fetch_all(&store.readers)
    .await
    .map_err(|error| store.failed(error))?;
    found.iter().map(|row| Ok(AlertId::new(rows::text(row, 0)?))).collect()
}

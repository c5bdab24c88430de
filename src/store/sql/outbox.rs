//! The outbox: deliveries are claimed, attempted elsewhere, and settled.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::super::{Settled, StoreError};
use super::items::{DamagedItem, IdItem, lists, settled_items};
use super::poll::NEVER_FIRED;
use super::{SqlStore, Write, gather, own, rows};
use crate::clock::{is_due, latest_due};
use crate::limits::DELIVERY_WAIT_MAX;
use crate::model::{Delivery, DeliveryId, DeliveryState, ReceiverId, Severity};

/// What the log says of an attempt whose process died.
const INTERRUPTED: &str = "nightbell stopped before the outcome was known; it may have arrived";

pub(super) async fn reclaim(store: &SqlStore, now: Timestamp) -> Result<u64, StoreError> {
    let mut write = store.write().await?;
    sqlx::query(
        "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome, error) \
         SELECT id, attempts + 1, claimed_at, $1, 'unknown', $2 FROM delivery WHERE state = 'pending' AND claimed_at IS NOT NULL \
         ON CONFLICT (delivery, number) DO NOTHING",
    )
    .bind(now.as_millisecond())
    .bind(INTERRUPTED)
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    let taken = sqlx::query(
        "UPDATE delivery SET claimed_at = NULL, attempts = attempts + 1, last_status = NULL, last_error = $2, \
           next_attempt_at = $1 WHERE state = 'pending' AND claimed_at IS NOT NULL",
    )
    .bind(now.as_millisecond())
    .bind(INTERRUPTED)
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?
    .rows_affected();
    store.commit(write).await?;
    if taken > 0 {
        tracing::warn!(deliveries = taken, "took back deliveries that a stopped process had begun");
    }
    Ok(taken)
}

/// Which deliveries of `$1` are free: owed, not held, and with no predecessor that is still owed.
pub(super) const FREE: &str = "queued.receiver = $1 AND queued.state = 'pending' AND queued.claimed_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = queued.follows AND leader.state = 'pending')";

/// Which of them wait for no others of their group.
pub(super) const TOLD: &str = "(queued.group_key IS NULL OR queued.group_told_at IS NOT NULL)";

/// Which of them are due at `$2`. What is due later than `$3` ([`latest`]) comes from a clock that was set back.
pub(super) const DUE: &str = "(queued.next_attempt_at <= $2 OR queued.next_attempt_at > $3)";

/// The latest time at which a delivery can be due next, by a clock that is right.
pub(super) fn latest(now: Timestamp) -> i64 {
    latest_due(now, DELIVERY_WAIT_MAX).as_millisecond()
}

/// The order in which the queue is worked off.
pub(super) const ORDER: &str = "queued.urgency DESC, queued.next_attempt_at, queued.created_at, queued.id";

pub(super) async fn claim(
    store: &SqlStore,
    receiver: &ReceiverId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let mut write = store.write().await?;
    let statement = sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET claimed_at = $2 WHERE id IN (SELECT queued.id FROM delivery AS queued \
           WHERE {FREE} AND {TOLD} AND {DUE} ORDER BY {ORDER} LIMIT $4) RETURNING {}",
        rows::DELIVERY_COLUMNS
    ));
    let found = sqlx::query(statement)
        .bind(receiver.as_str())
        .bind(now.as_millisecond())
        .bind(latest(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(write.on())
        .await
        .map_err(|error| store.failed(error))?;
    let mut claimed = Vec::with_capacity(found.len());
    let mut damaged = Vec::new();
    for row in &found {
        match rows::delivery(row) {
            Ok(delivery) => claimed.push(delivery),
            Err(error) => damaged.push((rows::text(row, 0)?, error.to_string())),
        }
    }
    bury(store, &mut write, &damaged).await?;
    store.commit(write).await?;
    // RETURNING promises no order.
    claimed.sort_by(|one: &Delivery, other| {
        let place = |it: &Delivery| (Reverse(it.severity), it.next_attempt_at, it.created_at);
        place(one).cmp(&place(other)).then_with(|| one.id.cmp(&other.id))
    });
    Ok(claimed)
}

/// What cannot be read can never be sent: it dies visibly and does not come up again and again.
async fn bury(store: &SqlStore, write: &mut Write, damaged: &[(String, String)]) -> Result<(), StoreError> {
    for (id, error) in damaged {
        tracing::error!(delivery = id, %error, "gave up a delivery");
    }
    let items: Vec<DamagedItem> = damaged.iter().map(|(id, error)| DamagedItem { id, error }).collect();
    for text in lists(&items)? {
        let statement = store.statements.bury.clone();
        sqlx::query(statement).bind(text).execute(write.on()).await.map_err(|error| store.failed(error))?;
    }
    let ids: Vec<&str> = damaged.iter().map(|(id, _)| id.as_str()).collect();
    bury_followers(store, write, &ids).await
}

async fn bury_followers(store: &SqlStore, write: &mut Write, dead: &[&str]) -> Result<(), StoreError> {
    let items: Vec<IdItem> = dead.iter().map(|id| IdItem { id }).collect();
    for text in lists(&items)? {
        sqlx::query(store.statements.bury_followers.clone())
            .bind(text)
            .bind(NEVER_FIRED)
            .execute(write.on())
            .await
            .map_err(|error| store.failed(error))?;
    }
    Ok(())
}

pub(super) async fn release(store: &SqlStore, claimed: &[DeliveryId]) -> Result<(), StoreError> {
    if claimed.is_empty() {
        return Ok(());
    }
    let items: Vec<IdItem> = claimed.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let mut write = store.write().await?;
    for text in lists(&items)? {
        let statement = store.statements.release.clone();
        sqlx::query(statement).bind(text).execute(write.on()).await.map_err(|error| store.failed(error))?;
    }
    store.commit(write).await
}

pub(super) async fn settle(store: &SqlStore, settled: &[Settled]) -> Result<(), StoreError> {
    if settled.is_empty() {
        return Ok(());
    }
    let mut write = store.write().await?;
    let done = done_by_now(store, &mut write, settled).await?;
    let items = settled_items(settled, &done)?;
    for text in lists(&items)? {
        for statement in [&store.statements.log_attempts, &store.statements.settle] {
            sqlx::query(statement.clone())
                .bind(text.as_str())
                .execute(write.on())
                .await
                .map_err(|error| store.failed(error))?;
        }
    }
    own::note_outcomes(store, &mut write, settled).await?;
    let dead = settled.iter().filter(|one| one.state == DeliveryState::Dead).map(|one| one.id.as_str());
    bury_followers(store, &mut write, &dead.collect::<Vec<_>>()).await?;
    store.commit(write).await
}

/// The recipients that have a message after these attempts, for the deliveries whose attempt reached somebody new.
async fn done_by_now<'a>(
    store: &SqlStore,
    write: &mut Write,
    settled: &'a [Settled],
) -> Result<HashMap<&'a str, Vec<String>>, StoreError> {
    let mut done: HashMap<&str, Vec<String>> = settled
        .iter()
        .filter(|one| !one.attempt.done.is_empty())
        .map(|one| (one.id.as_str(), one.attempt.done.clone()))
        .collect();
    let ids: Vec<IdItem> = done.keys().map(|id| IdItem { id }).collect();
    for text in lists(&ids)? {
        let statement = store.statements.done_so_far.clone();
        let found = sqlx::query(statement).bind(text).fetch_all(write.on()).await;
        for row in &found.map_err(|error| store.failed(error))? {
            let (id, mut so_far) = (rows::text(row, 0)?, rows::json::<Vec<String>>(row, 1)?);
            if let Some(new) = done.get_mut(id.as_str()) {
                so_far.retain(|recipient| !new.contains(recipient));
                so_far.append(new);
                *new = so_far;
            }
        }
    }
    Ok(done)
}

pub(super) async fn next_due(
    store: &SqlStore,
    receiver: &ReceiverId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    // The queue's index has the instants in order within each urgency: a look at both ends of each finds the earliest, and
    // whether one lies further ahead than it can.
    let urgencies: Vec<String> = std::iter::once(0)
        .chain(Severity::ALL.map(Severity::urgency))
        .map(|urgency| format!("SELECT {urgency} AS level"))
        .collect();
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT MIN(ends.first), MAX(ends.last) FROM (SELECT \
           (SELECT queued.next_attempt_at FROM delivery AS queued WHERE {FREE} AND queued.urgency = urgency.level \
              ORDER BY queued.next_attempt_at LIMIT 1) AS first, \
           (SELECT queued.next_attempt_at FROM delivery AS queued WHERE {FREE} AND {TOLD} \
              AND queued.urgency = urgency.level ORDER BY queued.next_attempt_at DESC LIMIT 1) AS last \
         FROM ({}) AS urgency) AS ends",
        urgencies.join(" UNION ALL ")
    ));
    let row = sqlx::query(statement).bind(receiver.as_str()).fetch_optional(&store.readers).await;
    let Some(row) = row.map_err(|error| store.failed(error))? else { return Ok(None) };
    let (first, last) = (rows::optional_instant(&row, 0)?, rows::optional_instant(&row, 1)?);
    let is_overdue = last.is_some_and(|last| is_due(last, now, DELIVERY_WAIT_MAX))
        || gather::waits_too_long(store, receiver, now).await?;
    Ok(first.map(|first| if is_overdue { first.min(now) } else { first }))
}

pub(super) async fn count_queue(store: &SqlStore, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT COUNT(*) FROM delivery AS queued \
         WHERE {FREE} AND {TOLD} AND {DUE} AND queued.kind IN ('alert.firing', 'alert.resolved')"
    ));
    count(store, sqlx::query(statement).bind(receiver.as_str()).bind(now.as_millisecond()).bind(latest(now))).await
}

pub(super) async fn attempts_since(
    store: &SqlStore,
    since: Timestamp,
) -> Result<Vec<(ReceiverId, Timestamp)>, StoreError> {
    let found = sqlx::query(
        "SELECT delivery.receiver, attempt.started_at FROM attempt JOIN delivery ON delivery.id = attempt.delivery \
         WHERE attempt.started_at >= $1 ORDER BY attempt.started_at",
    )
    .bind(since.as_millisecond())
    .fetch_all(&store.readers)
    .await
    .map_err(|error| store.failed(error))?;
    found.iter().map(|row| Ok((ReceiverId::new(rows::text(row, 0)?), rows::instant(rows::number(row, 1)?)?))).collect()
}

pub(super) async fn count_due(store: &SqlStore, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT COUNT(*) FROM delivery AS queued WHERE queued.receiver = $1 AND queued.state = 'pending' AND {DUE}"
    ));
    count(store, sqlx::query(statement).bind(receiver.as_str()).bind(now.as_millisecond()).bind(latest(now))).await
}

async fn count(store: &SqlStore, query: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
    let row = query.fetch_one(&store.readers).await.map_err(|error| store.failed(error))?;
    Ok(u64::try_from(rows::number(&row, 0)?).unwrap_or(0))
}

pub(super) async fn deliveries(store: &SqlStore, limit: usize) -> Result<Vec<Delivery>, StoreError> {
    let columns = rows::DELIVERY_COLUMNS;
    let sql = sqlx::AssertSqlSafe(format!("SELECT {columns} FROM delivery ORDER BY created_at DESC, id DESC LIMIT $1"));
    let found = sqlx::query(sql)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "delivery", rows::delivery))
}

//! The outbox: deliveries are claimed, attempted elsewhere, and settled.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::database::{SqlStore, Write};
use super::insert::NEVER_FIRED;
use super::items::{DamagedItem, IdItem, lists, settled_items};
use super::{own, rows};
use crate::model::{Delivery, DeliveryId, DeliveryState, MessageKind, ReceiverId, Severity};
use crate::store::error::StoreError;
use crate::store::outbox::{Outbox, Pending, Queued, Settled};

/// What the log says of an attempt whose process died.
const INTERRUPTED: &str = "nightbell stopped before the outcome was known; it may have arrived";

impl Outbox for SqlStore {
    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome, error) \
             SELECT id, attempts + 1, claimed_at, $1, 'unknown', $2 FROM delivery WHERE state = 'pending' AND claimed_at IS NOT NULL \
             ON CONFLICT (delivery, number) DO NOTHING",
        )
        .bind(now.as_millisecond())
        .bind(INTERRUPTED)
        .execute(write.on())
        .await
        .map_err(|error| self.failed(error))?;
        let taken = sqlx::query(
            "UPDATE delivery SET claimed_at = NULL, attempts = attempts + 1, last_status = NULL, last_error = $2, \
               next_attempt_at = $1 WHERE state = 'pending' AND claimed_at IS NOT NULL",
        )
        .bind(now.as_millisecond())
        .bind(INTERRUPTED)
        .execute(write.on())
        .await
        .map_err(|error| self.failed(error))?
        .rows_affected();
        self.commit(write).await?;
        if taken > 0 {
            tracing::warn!(deliveries = taken, "took back deliveries that a stopped process had begun");
        }
        Ok(taken)
    }

    async fn claim(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let mut write = self.write().await?;
        let statement = sqlx::AssertSqlSafe(format!(
            "UPDATE delivery SET claimed_at = $2 WHERE id IN (SELECT queued.id FROM delivery AS queued \
               WHERE {FREE} AND {TOLD} AND queued.next_attempt_at <= $2 \
               ORDER BY {ORDER} LIMIT $3) RETURNING {}",
            rows::DELIVERY_COLUMNS
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(now.as_millisecond())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(write.on())
            .await
            .map_err(|error| self.failed(error))?;
        let mut claimed = Vec::with_capacity(found.len());
        let mut damaged = Vec::new();
        for row in &found {
            match rows::delivery(row) {
                Ok(delivery) => claimed.push(delivery),
                Err(error) => damaged.push((rows::text(row, 0)?, error.to_string())),
            }
        }
        bury(self, &mut write, &damaged).await?;
        self.commit(write).await?;
        // RETURNING promises no order.
        claimed.sort_by(|one: &Delivery, other| {
            let place = |it: &Delivery| (Reverse(it.severity), it.next_attempt_at, it.created_at);
            place(one).cmp(&place(other)).then_with(|| one.id.cmp(&other.id))
        });
        Ok(claimed)
    }

    async fn queue(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT queued.id, queued.kind, queued.urgency, queued.next_attempt_at FROM delivery AS queued \
             WHERE {FREE} AND {TOLD} AND queued.next_attempt_at <= $2 ORDER BY {ORDER} LIMIT $3"
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(now.as_millisecond())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(error))?;
        // What cannot be understood is buried, aloud, by whoever claims it.
        Ok(rows::all(&found, "delivery", queued))
    }

    async fn release(&self, claimed: &[DeliveryId]) -> Result<(), StoreError> {
        if claimed.is_empty() {
            return Ok(());
        }
        let items: Vec<IdItem> = claimed.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let mut write = self.write().await?;
        for text in lists(&items)? {
            let statement = self.statements.release.clone();
            sqlx::query(statement).bind(text).execute(write.on()).await.map_err(|error| self.failed(error))?;
        }
        self.commit(write).await
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        if settled.is_empty() {
            return Ok(());
        }
        let mut write = self.write().await?;
        let done = done_by_now(self, &mut write, settled).await?;
        let items = settled_items(settled, &done)?;
        for text in lists(&items)? {
            for statement in [&self.statements.log_attempts, &self.statements.settle] {
                sqlx::query(statement.clone())
                    .bind(text.as_str())
                    .execute(write.on())
                    .await
                    .map_err(|error| self.failed(error))?;
            }
        }
        own::note_outcomes(self, &mut write, settled).await?;
        let dead = settled.iter().filter(|one| one.state == DeliveryState::Dead).map(|one| one.id.as_str());
        bury_followers(self, &mut write, &dead.collect::<Vec<_>>()).await?;
        self.commit(write).await
    }

    async fn next_due(&self, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
        // The queue's index has the instants in order within each urgency: a look at the head of each finds the earliest.
        let urgencies: Vec<String> = std::iter::once(0)
            .chain(Severity::ALL.map(Severity::urgency))
            .map(|urgency| format!("SELECT {urgency} AS level"))
            .collect();
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT MIN(head.due) FROM (SELECT (SELECT queued.next_attempt_at FROM delivery AS queued \
               WHERE {FREE} AND queued.urgency = urgency.level ORDER BY queued.next_attempt_at LIMIT 1) AS due \
             FROM ({}) AS urgency) AS head",
            urgencies.join(" UNION ALL ")
        ));
        let row = sqlx::query(statement).bind(receiver.as_str()).fetch_optional(&self.readers).await;
        match row.map_err(|error| self.failed(error))? {
            Some(row) => rows::optional_instant(&row, 0),
            None => Ok(None),
        }
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let found = sqlx::query(
            "SELECT receiver, COUNT(*), MIN(next_attempt_at) FROM delivery WHERE state = 'pending' \
             GROUP BY receiver ORDER BY receiver",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "delivery", |row| {
            Ok(Pending {
                receiver: ReceiverId::new(rows::text(row, 0)?),
                count: u64::try_from(rows::number(row, 1)?).unwrap_or(0),
                next_due: rows::optional_instant(row, 2)?,
            })
        }))
    }

    async fn count_due(&self, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM delivery WHERE receiver = $1 AND state = 'pending' AND next_attempt_at <= $2",
        )
        .bind(receiver.as_str())
        .bind(now.as_millisecond())
        .fetch_one(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(u64::try_from(rows::number(&row, 0)?).unwrap_or(0))
    }

    async fn attempts_since(&self, since: Timestamp) -> Result<Vec<(ReceiverId, Timestamp)>, StoreError> {
        let found = sqlx::query(
            "SELECT delivery.receiver, attempt.started_at FROM attempt JOIN delivery ON delivery.id = attempt.delivery \
             WHERE attempt.started_at >= $1 ORDER BY attempt.started_at",
        )
        .bind(since.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        found
            .iter()
            .map(|row| Ok((ReceiverId::new(rows::text(row, 0)?), rows::instant(rows::number(row, 1)?)?)))
            .collect()
    }
}

/// Which deliveries of `$1` are free: owed, not held, and with no predecessor that is still owed.
pub(super) const FREE: &str = "queued.receiver = $1 AND queued.state = 'pending' AND queued.claimed_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = queued.follows AND leader.state = 'pending')";

/// Which of them wait for no others of their group.
pub(super) const TOLD: &str = "(queued.group_key IS NULL OR queued.group_told_at IS NOT NULL)";

/// The order in which the queue is worked off.
pub(super) const ORDER: &str = "queued.urgency DESC, queued.next_attempt_at, queued.created_at, queued.id";

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

pub(super) fn queued(row: &AnyRow) -> Result<Queued, StoreError> {
    let kind = rows::text(row, 1)?;
    Ok(Queued {
        id: DeliveryId::new(rows::text(row, 0)?),
        kind: MessageKind::from_word(&kind).ok_or_else(|| rows::unknown("kind", &kind))?,
        severity: rows::severity(row, 2)?,
        due_at: rows::instant(rows::number(row, 3)?)?,
    })
}

//! The outbox: deliveries are claimed, attempted elsewhere, and settled.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::free::{FREE, TOLD};
use super::items::{DamagedItem, IdItem, lists, settled_items, to_json};
use super::{insert, own, pause, rows};
use crate::clock::{is_due, latest_due};
use crate::limits::DELIVERY_WAIT_MAX;
use crate::model::{
    Content, Delivery, DeliveryId, DeliveryState, INTERRUPTED, MessageKind, NEVER_FIRED, Queued, ReceiverId, Severity,
};
use crate::store::error::StoreError;
use crate::store::outbox::{Hurried, Outbox, Pending, Settled};

impl Outbox for SqlStore {
    async fn reclaim(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome, error) \
             SELECT id, attempts + 1, claimed_at, $1, 'unknown', $2 FROM delivery WHERE state = 'pending' AND claimed_at IS NOT NULL \
             ON CONFLICT (delivery, number) DO NOTHING",
        )
        .bind(now.as_millisecond())
        .bind(INTERRUPTED)
        .run(self, write.on()).await?;
        let taken = sqlx::query(
            "UPDATE delivery SET claimed_at = NULL, attempts = attempts + 1, last_status = NULL, last_error = $2, \
               next_attempt_at = $1 WHERE state = 'pending' AND claimed_at IS NOT NULL",
        )
        .bind(now.as_millisecond())
        .bind(INTERRUPTED)
        .run(self, write.on()).await?;
        self.commit(write).await?;
        if taken > 0 {
            tracing::warn!(deliveries = taken, "took back deliveries that a stopped process had begun");
        }
        Ok(taken)
            })
        })
        .await
    }

    async fn inherit(&self, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
        let Some(fence) = &self.fence else { return Ok(0) };
        self.retried(|| Box::pin(inherit(self, receiver, fence.token, now))).await
    }

    async fn keep_pause(&self, receiver: &ReceiverId, until: Timestamp) -> Result<(), StoreError> {
        self.retried(|| Box::pin(pause::keep(self, receiver, until))).await
    }

    async fn paused_until(&self, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
        pause::until(self, receiver).await
    }

    async fn claim(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let statement = sqlx::AssertSqlSafe(format!(
                    "WITH chosen AS MATERIALIZED (SELECT queued.id FROM delivery AS queued \
               WHERE {FREE} AND {TOLD} AND {DUE} ORDER BY {ORDER} LIMIT $4{}) \
             UPDATE delivery SET claimed_at = $2, claim_token = $5 WHERE id IN (SELECT chosen.id FROM chosen) RETURNING {}",
                    self.dialect.skip_locked("queued"),
                    rows::DELIVERY_COLUMNS
                ));
                let found = sqlx::query(statement)
                    .bind(receiver.as_str())
                    .bind(now.as_millisecond())
                    .bind(latest(now))
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .bind(self.fence.as_ref().map(|fence| fence.token))
                    .all_in(self, write.on()).await?;
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
            })
        })
        .await
    }

    async fn queue(&self, receiver: &ReceiverId, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT queued.id, queued.kind, queued.urgency, queued.next_attempt_at FROM delivery AS queued \
             WHERE {FREE} AND {TOLD} AND {DUE} ORDER BY {ORDER} LIMIT $4"
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(now.as_millisecond())
            .bind(latest(now))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        // What cannot be understood stays in the queue: whoever claims it has it die with a log line.
        Ok(rows::all(&found, "delivery", queued))
    }

    async fn rewrite(&self, delivery: &DeliveryId, content: &Content, rendered_for: &str) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query("UPDATE delivery SET content = $2, rendered_for = $3 WHERE id = $1 AND state = 'pending'")
                    .bind(delivery.as_str())
                    .bind(to_json(content)?)
                    .bind(rendered_for)
                    .run(self, write.on())
                    .await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn reject(&self, delivery: &DeliveryId, reason: &str) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                bury(self, &mut write, &[(delivery.to_string(), reason.to_string())]).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn release(&self, claimed: &[DeliveryId]) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                if claimed.is_empty() {
                    return Ok(());
                }
                let items: Vec<IdItem> = claimed.iter().map(|id| IdItem { id: id.as_str() }).collect();
                let mut write = self.write().await?;
                insert::execute(self, &mut write, &self.statements.release, &items).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                if settled.is_empty() {
                    return Ok(());
                }
                let mut write = self.write().await?;
                let done = done_by_now(self, &mut write, settled).await?;
                let items = settled_items(settled, &done)?;
                for text in lists(&items)? {
                    for statement in [&self.statements.log_attempts, &self.statements.settle] {
                        sqlx::query(statement.clone()).bind(text.as_str()).run(self, write.on()).await?;
                    }
                }
                own::note_outcomes(self, &mut write, settled).await?;
                pause::note(self, &mut write, settled).await?;
                let dead = settled.iter().filter(|one| one.state == DeliveryState::Dead).map(|one| one.id.as_str());
                bury_followers(self, &mut write, &dead.collect::<Vec<_>>()).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn hurry(&self, receiver: &ReceiverId, which: &Hurried, now: Timestamp) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let spared = if which.spares_throttled { "AND last.outcome <> 'throttled'" } else { "" };
                let statement = sqlx::AssertSqlSafe(format!(
                    "UPDATE delivery SET next_attempt_at = $2, patience_spent = CASE \
                       WHEN patience_spent > next_attempt_at - $2 THEN patience_spent - (next_attempt_at - $2) ELSE 0 END \
                     WHERE receiver = $1 AND state = 'pending' AND claimed_at IS NULL AND attempts > 0 \
                       AND next_attempt_at > $2 AND (group_key IS NULL OR group_told_at IS NOT NULL) \
                       AND EXISTS (SELECT 1 FROM attempt AS last WHERE last.delivery = delivery.id \
                         AND last.number = delivery.attempts AND last.ended_at < $3 {spared}) \
                       AND id NOT IN {}",
                    self.dialect.bound_texts(4)
                ));
                let except: Vec<IdItem> = which.except.iter().map(|id| IdItem { id: id.as_str() }).collect();
                let mut write = self.write().await?;
                let done = sqlx::query(statement)
                    .bind(receiver.as_str())
                    .bind(now.as_millisecond())
                    .bind(which.attempted_before.as_millisecond())
                    .bind(to_json(&except)?)
                    .run(self, write.on()).await?;
                self.commit(write).await?;
                Ok(done)
            })
        })
        .await
    }

    async fn next_due(&self, receiver: &ReceiverId, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        // The queue's index has the instants in order within each urgency: a look at both ends of each finds the earliest,
        // and whether one lies further ahead than it can.
        let urgencies: Vec<String> = std::iter::once(0)
            .chain(Severity::ALL.map(Severity::urgency))
            .map(|urgency| format!("SELECT {urgency} AS level"))
            .collect();
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT MIN(ends.earliest), MAX(ends.latest) FROM (SELECT \
               (SELECT queued.next_attempt_at FROM delivery AS queued WHERE {FREE} AND queued.urgency = urgency.level \
                  ORDER BY queued.next_attempt_at LIMIT 1) AS earliest, \
               (SELECT queued.next_attempt_at FROM delivery AS queued WHERE {FREE} AND {TOLD} \
                  AND queued.urgency = urgency.level ORDER BY queued.next_attempt_at DESC LIMIT 1) AS latest \
             FROM ({}) AS urgency) AS ends",
            urgencies.join(" UNION ALL ")
        ));
        let row = sqlx::query(statement).bind(receiver.as_str()).at_most_one(self).await?;
        let Some(row) = row else { return Ok(None) };
        let (earliest, latest) = (rows::optional_instant(&row, 0)?, rows::optional_instant(&row, 1)?);
        let is_overdue = latest.is_some_and(|latest| is_due(latest, now, DELIVERY_WAIT_MAX))
            || self.gathering.waits_too_long(&self.readers, receiver, now).await.map_err(|error| self.failed(error))?;
        Ok(earliest.map(|earliest| if is_overdue { earliest.min(now) } else { earliest }))
    }

    async fn count_queue(&self, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
        let which = format!("{FREE} AND {TOLD} AND {DUE} AND queued.kind IN ('alert.firing', 'alert.resolved')");
        count(self, &which, receiver, now).await
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let found = sqlx::query(
            "SELECT receiver, COUNT(*), MIN(next_attempt_at), \
               SUM(CASE WHEN group_key LIKE 'hold/%' AND group_told_at IS NULL THEN 1 ELSE 0 END) \
             FROM delivery WHERE state = 'pending' GROUP BY receiver ORDER BY receiver",
        )
        .all(self)
        .await?;
        Ok(rows::all(&found, "delivery", |row| {
            Ok(Pending {
                receiver: ReceiverId::new(rows::text(row, 0)?),
                count: u64::try_from(rows::number(row, 1)?).unwrap_or(0),
                next_due: rows::optional_instant(row, 2)?,
                held: u64::try_from(rows::number(row, 3)?).unwrap_or(0),
            })
        }))
    }

    async fn count_due(&self, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
        count(self, &format!("queued.receiver = $1 AND queued.state = 'pending' AND {DUE}"), receiver, now).await
    }

    async fn attempts_since(&self, since: Timestamp) -> Result<Vec<(ReceiverId, Timestamp)>, StoreError> {
        let found = sqlx::query(
            "SELECT delivery.receiver, attempt.started_at FROM attempt JOIN delivery ON delivery.id = attempt.delivery \
             WHERE attempt.started_at >= $1 ORDER BY attempt.started_at",
        )
        .bind(since.as_millisecond())
        .all(self)
        .await?;
        found
            .iter()
            .map(|row| Ok((ReceiverId::new(rows::text(row, 0)?), rows::instant(rows::number(row, 1)?)?)))
            .collect()
    }
}

/// Takes back what was claimed for a receiver under another token: who had claimed it has cut its attempts by now.
async fn inherit(store: &SqlStore, receiver: &ReceiverId, token: i64, now: Timestamp) -> Result<u64, StoreError> {
    let mut write = store.write().await?;
    let old = "receiver = $3 AND state = 'pending' AND claimed_at IS NOT NULL AND COALESCE(claim_token, 0) <> $4";
    let logged = format!(
        "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome, error) \
         SELECT id, attempts + 1, claimed_at, CASE WHEN claimed_at > $1 THEN claimed_at ELSE $1 END, 'unknown', $2 \
         FROM delivery WHERE {old} ON CONFLICT (delivery, number) DO NOTHING"
    );
    let taken = format!(
        "UPDATE delivery SET claimed_at = NULL, attempts = attempts + 1, last_status = NULL, last_error = $2, \
           next_attempt_at = $1 WHERE {old}"
    );
    let mut rows = 0;
    for statement in [logged, taken] {
        rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(now.as_millisecond())
            .bind(INTERRUPTED)
            .bind(receiver.as_str())
            .bind(token)
            .run(store, write.on())
            .await?;
    }
    store.commit(write).await?;
    if rows > 0 {
        tracing::warn!(%receiver, deliveries = rows, "took back deliveries that another replica had begun");
    }
    Ok(rows)
}

async fn count(store: &SqlStore, which: &str, receiver: &ReceiverId, now: Timestamp) -> Result<u64, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM delivery AS queued WHERE {which}"));
    let row =
        sqlx::query(statement).bind(receiver.as_str()).bind(now.as_millisecond()).bind(latest(now)).one(store).await?;
    Ok(u64::try_from(rows::number(&row, 0)?).unwrap_or(0))
}

/// Which of them are due at `$2`. What is due later than `$3` ([`latest`]) comes from a clock that was set back.
const DUE: &str = "(queued.next_attempt_at <= $2 OR queued.next_attempt_at > $3)";

/// The latest time at which a delivery can be due next, by a clock that is right.
fn latest(now: Timestamp) -> i64 {
    latest_due(now, DELIVERY_WAIT_MAX).as_millisecond()
}

/// The order in which the queue is worked off.
pub(super) const ORDER: &str = "queued.urgency DESC, queued.next_attempt_at, queued.created_at, queued.id";

/// What cannot be read can never be sent: it dies visibly and does not come up again and again.
async fn bury(store: &SqlStore, write: &mut Write, damaged: &[(String, String)]) -> Result<(), StoreError> {
    for (id, error) in damaged {
        tracing::error!(delivery = id, %error, "gave up a delivery");
    }
    let items: Vec<DamagedItem> = damaged.iter().map(|(id, error)| DamagedItem { id, error }).collect();
    insert::execute(store, write, &store.statements.bury, &items).await?;
    let ids: Vec<&str> = damaged.iter().map(|(id, _)| id.as_str()).collect();
    bury_followers(store, write, &ids).await
}

async fn bury_followers(store: &SqlStore, write: &mut Write, dead: &[&str]) -> Result<(), StoreError> {
    let items: Vec<IdItem> = dead.iter().map(|id| IdItem { id }).collect();
    insert::execute_with(store, write, &store.statements.bury_followers, &items, NEVER_FIRED).await
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
        let found = sqlx::query(statement).bind(text).all_in(store, write.on()).await?;
        for row in &found {
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
        kind: MessageKind::from_word(&kind),
        severity: rows::severity(row, 2).unwrap_or_default(),
        due_at: rows::instant(rows::number(row, 3)?)?,
    })
}

//! Deliveries that do not arrive: which of them a fallback is to be told of, and the one transaction that has it told.

use std::time::Duration;

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::insert::bury_late_followers;
use super::items::IdItem;
use super::{insert, receivers, rows};
use crate::clock::latest_due;
use crate::model::{DeliveryId, DeliveryState, Notification, ReceiverId, Severity, Untold};
use crate::store::error::StoreError;
use crate::store::fallback::{FallbackDeliveries, FallbackDelivery, KnownReceiver, ToldInstead, Undelivered};

/// What a fallback may be told of: the beginnings of alerts that are bad enough and that nobody was told of in their place.
fn concerns(row: &str) -> String {
    let least = Severity::Error.urgency();
    format!(
        "{row}.kind = 'alert.firing' AND {row}.urgency >= {least} AND {row}.fallback IS NULL AND {row}.alert IS NOT NULL"
    )
}

/// Since when a delivery is pending: [`crate::model::Delivery::pending_since`].
fn pending_since(row: &str) -> String {
    pending_within(row, row)
}

/// The same for a part of a message: while it waited for others of its group it was not pending.
fn pending_within(part: &str, whole: &str) -> String {
    format!("COALESCE({part}.revived_at, {whole}.group_told_at, {part}.created_at)")
}

/// Pending since `$2` or earlier; since later than `$4` is by a clock that was set back, and nobody knows how long that is.
fn too_long(since: &str) -> String {
    format!("({since} <= $2 OR {since} > $4)")
}

/// When a delivery died: with its last attempt, or without any.
fn died_at(row: &str) -> String {
    format!(
        "COALESCE({row}.dead_at, (SELECT MAX(attempt.ended_at) FROM attempt WHERE attempt.delivery = {row}.id), {})",
        pending_since(row)
    )
}

/// The rows that are pending too long (`$2`: pending since then or earlier) or died not long ago (`$3`). What was merged fares
/// as the message that tells it, and goes to the fallback by itself: there its own lane may merge it anew. What a person
/// gave up is settled: nobody is notified in its place. Each arm is one that an index answers.
fn untold() -> String {
    /// What waits for others of its group is pending for nobody yet.
    const TOLD: &str = "(one.group_key IS NULL OR one.group_told_at IS NOT NULL)";
    let row = |part: &str, whole: &str| {
        format!(
            "SELECT {part}.id AS id, {part}.alert AS alert, {} AS since, {whole}.state AS state, \
             {whole}.attempts AS attempts, {whole}.last_error AS error",
            pending_within(part, whole)
        )
    };
    let parts = "delivery AS whole JOIN delivery AS part ON part.merged_into = whole.id AND part.state = 'merged'";
    [
        format!(
            "{} FROM delivery AS one WHERE one.receiver = $1 AND one.state = 'pending' AND {TOLD} AND {} AND {}",
            row("one", "one"),
            too_long(&pending_since("one")),
            concerns("one")
        ),
        format!(
            "{} FROM delivery AS one WHERE one.receiver = $1 AND one.state = 'dead' AND one.dropped_at IS NULL AND {} >= $3 AND {}",
            row("one", "one"),
            died_at("one"),
            concerns("one")
        ),
        format!(
            "{} FROM {parts} WHERE whole.receiver = $1 AND whole.state = 'pending' AND {} AND {}",
            row("part", "whole"),
            too_long(&pending_within("part", "whole")),
            concerns("part")
        ),
        format!(
            "{} FROM {parts} WHERE whole.receiver = $1 AND whole.state = 'dead' AND whole.dropped_at IS NULL AND {} >= $3 AND {}",
            row("part", "whole"),
            died_at("whole"),
            concerns("part")
        ),
    ]
    .join(" UNION ALL ")
}

impl FallbackDeliveries for SqlStore {
    async fn keep_receivers(
        &self,
        known: &[KnownReceiver],
        configuration: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<KnownReceiver>, StoreError> {
        self.retried(|| Box::pin(receivers::keep(self, known, configuration, now))).await
    }

    async fn undelivered(
        &self,
        receiver: &ReceiverId,
        (pending_before, died_after): (Timestamp, Timestamp),
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Undelivered>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {}, untold.id, untold.state, untold.since, untold.attempts, untold.error FROM ({}) AS untold \
             JOIN alert ON alert.id = untold.alert ORDER BY untold.since, untold.id LIMIT $5",
            rows::alert_columns(),
            untold()
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(pending_before.as_millisecond())
            .bind(died_after.as_millisecond())
            .bind(latest_due(now, Duration::ZERO).as_millisecond())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        let behind = rows::alert_width();
        Ok(rows::all(&found, "alert", |row| {
            let untold = Untold {
                given_up: rows::text(row, behind + 1)? == DeliveryState::Dead.as_str(),
                since: rows::instant(rows::number(row, behind + 2)?)?,
                attempts: u32::try_from(rows::number(row, behind + 3)?).unwrap_or(u32::MAX),
                error: rows::optional_text(row, behind + 4)?,
            };
            Ok(Undelivered { id: DeliveryId::new(rows::text(row, behind)?), alert: rows::alert(row)?, untold })
        }))
    }

    async fn oldest_undelivered(&self, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
        // Whatever is pending at all, and nothing that is dead.
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT MIN(untold.since) FROM ({}) AS untold JOIN alert ON alert.id = untold.alert",
            untold()
        ));
        let row = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(i64::MAX)
            .bind(i64::MAX)
            .bind(i64::MAX)
            .one(self)
            .await?;
        rows::optional_instant(&row, 0)
    }

    async fn add_fallbacks(&self, fallbacks: &[FallbackDelivery]) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
                if fallbacks.is_empty() {
                    return Ok(0);
                }
                let mut write = self.write().await?;
                let mut taken = 0;
                for one in fallbacks {
                    taken += u64::from(add_fallback(self, &mut write, one).await?);
                }
                self.commit(write).await?;
                Ok(taken)
            })
        })
        .await
    }

    async fn ended_since_told(&self, receiver: &ReceiverId, limit: usize) -> Result<Vec<ToldInstead>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {}, told.id, meant.receiver FROM delivery AS told \
               JOIN alert ON alert.id = told.alert JOIN delivery AS meant ON meant.id = told.stands_in_for \
             WHERE told.receiver = $1 AND told.stands_in_for IS NOT NULL AND told.kind = 'alert.firing' \
               AND told.state <> 'dead' AND alert.state = 'resolved' \
               AND NOT EXISTS (SELECT 1 FROM delivery AS answer WHERE answer.follows = told.id) \
             ORDER BY told.created_at, told.id LIMIT $2",
            rows::alert_columns()
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        let behind = rows::alert_width();
        Ok(rows::all(&found, "alert", |row| {
            Ok(ToldInstead {
                id: DeliveryId::new(rows::text(row, behind)?),
                alert: rows::alert(row)?,
                meant_for: ReceiverId::new(rows::text(row, behind + 1)?),
            })
        }))
    }

    async fn add_answers(&self, answers: &[Notification]) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                if answers.is_empty() {
                    return Ok(());
                }
                let mut write = self.write().await?;
                insert::add(self, &mut write, answers).await?;
                let ids: Vec<IdItem> = answers.iter().map(|answer| IdItem { id: answer.id.as_str() }).collect();
                bury_late_followers(self, &mut write, &ids).await?;
                self.commit(write).await
            })
        })
        .await
    }
}

/// Marks the delivery and has the fallback told, unless the delivery has arrived since, was marked before, or the
/// fallback hears of this alert anyway: then that is what the mark names.
async fn add_fallback(store: &SqlStore, write: &mut Write, one: &FallbackDelivery) -> Result<bool, StoreError> {
    let known = sqlx::query(
        "SELECT id FROM delivery WHERE alert = $1 AND receiver = $2 AND (kind = 'alert.firing' OR stands_in_for IS NOT NULL) \
         ORDER BY created_at, id LIMIT 1",
    )
    .bind(one.delivery.alert.as_ref().map(|alert| alert.as_str()))
    .bind(one.delivery.receiver.as_str())
    .at_most_one_in(store, write.on()).await?;
    let known = known.map(|row| rows::text(&row, 0)).transpose()?;
    let marked = sqlx::query(
        "UPDATE delivery SET fallback = $2 WHERE id = $1 AND fallback IS NULL AND COALESCE((SELECT whole.state \
           FROM delivery AS whole WHERE whole.id = delivery.merged_into), delivery.state) IN ('pending', 'dead')",
    )
    .bind(one.original.as_str())
    .bind(known.as_deref().unwrap_or(one.delivery.id.as_str()))
    .run(store, write.on())
    .await?;
    if marked > 0 && known.is_none() {
        insert::add(store, write, std::slice::from_ref(&one.delivery)).await?;
    }
    Ok(marked > 0)
}

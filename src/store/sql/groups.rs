//! Deliveries that wait for others of their group, and groups that are to be told again.
//!
//! A delivery waits while it has a group and no time at which that was told by it. [`super::outbox`] leaves it alone until
//! then. A store that has never held one is not asked: who groups nothing pays nothing.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::free::FREE;
use super::gathering::{AHEAD, WAITS, latest};
use super::items::{IdItem, MemberItem, delivery_items, lists};
use super::outbox::{ORDER, queued};
use super::{insert, rows};
use crate::alert::attach_escalation;
use crate::model::{AlertFacts, DeliveryId, DigestFacts, DueGroup, Mergeable, Notification, Queued, ReceiverId};
use crate::store::error::StoreError;
use crate::store::groups::{Groups, Unrepeated};

impl Groups for SqlStore {
    async fn due_groups(
        &self,
        receiver: &ReceiverId,
        by: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<DueGroup>, StoreError> {
        if !self.gathering.may_wait(&self.readers).await.map_err(|error| self.failed(error))? {
            return Ok(Vec::new());
        }
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT queued.group_key, MAX(queued.group_interval), MAX(queued.group_repeat), \
               (SELECT MAX(told.group_told_at) FROM delivery AS told WHERE told.receiver = $1 \
                  AND told.group_key = queued.group_key AND told.group_told_at <= $3), COUNT(*) \
             FROM delivery AS queued WHERE {FREE} AND {WAITS} \
             GROUP BY queued.group_key \
             HAVING MIN(queued.next_attempt_at) <= $2 OR MAX(CASE WHEN {AHEAD} THEN 1 ELSE 0 END) = 1 \
             ORDER BY MAX(queued.urgency) DESC, MIN(queued.next_attempt_at), queued.group_key"
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(by.as_millisecond())
            .bind(now.as_millisecond())
            .bind(latest(now))
            .all(self)
            .await?;
        let groups = rows::all(&found, "delivery", |row| {
            let place = rows::group_place(row, 0)?.ok_or_else(|| rows::unknown("group", "NULL"))?;
            Ok(DueGroup { place, waiting: u64::try_from(rows::number(row, 4)?).unwrap_or(0) })
        });
        Ok(groups)
    }

    async fn gathered(&self, receiver: &ReceiverId, key: &str, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT queued.id, queued.kind, queued.urgency, queued.next_attempt_at FROM delivery AS queued \
             WHERE {FREE} AND {WAITS} AND queued.group_key = $2 ORDER BY {ORDER} LIMIT $3"
        ));
        let found = sqlx::query(statement)
            .bind(receiver.as_str())
            .bind(key)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        Ok(rows::all(&found, "delivery", queued))
    }

    async fn postpone_group(&self, receiver: &ReceiverId, key: &str, until: Timestamp) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query(
            "UPDATE delivery SET next_attempt_at = $3 WHERE receiver = $1 AND group_key = $2 AND group_told_at IS NULL \
               AND state = 'pending'",
        )
        .bind(receiver.as_str())
        .bind(key)
        .bind(until.as_millisecond())
        .run(self, write.on()).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn tell_alone(&self, deliveries: &[DeliveryId], now: Timestamp) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
                let mut write = self.write().await?;
                insert::execute_with(self, &mut write, &self.statements.tell_alone, &items, now.as_millisecond())
                    .await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn facts_of(&self, delivery: &DeliveryId) -> Result<Option<AlertFacts>, StoreError> {
        let found = sqlx::query(
            "SELECT alert.facts, (SELECT note FROM escalation WHERE escalation.delivery = one.id) \
             FROM delivery AS one JOIN alert ON alert.id = one.alert WHERE one.id = $1",
        )
        .bind(delivery.as_str())
        .at_most_one(self)
        .await?;
        let facts = |row: &AnyRow| {
            let mut facts: AlertFacts = rows::json(row, 0)?;
            if let Some(note) = rows::optional_json(row, 1)? {
                attach_escalation(&mut facts, note);
            }
            Ok(facts)
        };
        Ok(rows::all(found.as_slice(), "alert", facts).pop())
    }

    async fn digest_of(&self, delivery: &DeliveryId) -> Result<Option<DigestFacts>, StoreError> {
        let found = sqlx::query("SELECT facts FROM digest_facts WHERE delivery = $1")
            .bind(delivery.as_str())
            .at_most_one(self)
            .await?;
        Ok(rows::all(found.as_slice(), "digest_facts", |row| rows::json(row, 0)).pop())
    }

    async fn told_by(&self, group: &DeliveryId) -> Result<Vec<AlertFacts>, StoreError> {
        let found = sqlx::query(
            "SELECT alert.facts FROM alert WHERE alert.id IN (SELECT member.alert FROM delivery AS member \
               WHERE member.merged_into = $1 AND member.kind = 'alert.firing' \
                 AND EXISTS (SELECT 1 FROM delivery AS whole WHERE whole.id = $1 AND whole.kind = 'alert.group')) \
             ORDER BY alert.created_at, alert.id",
        )
        .bind(group.as_str())
        .all(self)
        .await?;
        Ok(rows::all(&found, "alert", |row| rows::json(row, 0)))
    }

    async fn mergeable(&self, deliveries: &[DeliveryId]) -> Result<Vec<Mergeable>, StoreError> {
        let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let mut known = HashMap::new();
        for text in lists(&items)? {
            let statement = self.statements.mergeable.clone();
            let found = sqlx::query(statement).bind(text).all(self).await?;
            let found = rows::all(&found, "alert", with_facts);
            known.extend(found.into_iter().map(|one: Mergeable| (one.id.clone(), one)));
        }
        Ok(deliveries.iter().filter_map(|id| known.remove(id)).collect())
    }

    async fn merge(&self, group: &Notification, members: &[DeliveryId]) -> Result<bool, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let items: Vec<MemberItem> =
                    members.iter().map(|id| MemberItem { id: id.as_str(), group_id: group.id.as_str() }).collect();
                let mut merged = 0;
                for text in lists(&items)? {
                    let done = sqlx::query(self.statements.merge.clone()).bind(text).run(self, write.on()).await?;
                    merged += done;
                }
                let mut inserted = 0;
                for text in lists(&delivery_items(std::iter::once(group)))? {
                    let done =
                        sqlx::query(self.statements.insert_deliveries.clone()).bind(text).run(self, write.on()).await?;
                    inserted += done;
                }
                if merged != members.len() as u64 || inserted != 1 {
                    // Dropped without a commit, the transaction is as if it had never been.
                    return Ok(false);
                }
                for text in lists(&items)? {
                    for statement in [&self.statements.merge_members, &self.statements.follow_group] {
                        sqlx::query(statement.clone()).bind(text.as_str()).run(self, write.on()).await?;
                    }
                }
                // Of several that it is the first to tell of, nobody knew of the earliest for longest.
                sqlx::query(
                    "UPDATE delivery SET since = (SELECT MIN(member.since) FROM delivery AS member \
                       WHERE member.merged_into = $1) WHERE id = $1",
                )
                .bind(group.id.as_str())
                .run(self, write.on())
                .await?;
                self.commit(write).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn unrepeated(&self, now: Timestamp) -> Result<Vec<Unrepeated>, StoreError> {
        let last = "(SELECT MAX(told.group_told_at) FROM delivery AS told WHERE told.receiver = member.receiver \
             AND told.group_key = member.group_key AND told.group_told_at <= $1)";
        // What fires is little; each alert leads to its few deliveries. CROSS keeps SQLite from beginning with these.
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {}, member.group_key, member.group_interval, member.group_repeat, {last}, member.receiver \
             FROM alert CROSS JOIN delivery AS member WHERE member.alert = alert.id \
             AND alert.state = 'firing' AND alert.suppressed_by IS NULL AND alert.suspended_at IS NULL \
             AND member.kind = 'alert.firing' \
               AND member.group_repeat IS NOT NULL AND {last} + member.group_repeat <= $1 \
               AND NOT EXISTS (SELECT 1 FROM ack WHERE ack.alert = alert.id) \
               AND NOT EXISTS (SELECT 1 FROM delivery AS pending WHERE pending.receiver = member.receiver \
                 AND pending.group_key = member.group_key AND pending.state = 'pending') \
             ORDER BY member.receiver, member.group_key, alert.created_at, alert.id",
            rows::alert_columns()
        ));
        let found = sqlx::query(statement).bind(now.as_millisecond()).all(self).await?;
        let behind = rows::alert_width();
        let members = rows::all(&found, "alert", |row| {
            let place = rows::group_place(row, behind)?.ok_or_else(|| rows::unknown("group", "NULL"))?;
            Ok((ReceiverId::new(rows::text(row, behind + 4)?), place, rows::alert(row)?))
        });
        let mut groups: Vec<Unrepeated> = Vec::new();
        for (receiver, place, alert) in members {
            let is_of = |group: &&mut Unrepeated| group.receiver == receiver && group.place.key == place.key;
            match groups.last_mut().filter(is_of) {
                // Two of its deliveries may have told of one alert: a warning, and that its deadline has passed.
                // They stand beside each other.
                Some(group) if group.alerts.last().is_some_and(|known| known.id == alert.id) => {}
                Some(group) => group.alerts.push(alert),
                None => groups.push(Unrepeated { receiver, place, alerts: vec![alert] }),
            }
        }
        Ok(groups)
    }

    async fn tell_again(&self, deliveries: &[Notification]) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                insert::add(self, &mut write, deliveries).await?;
                self.commit(write).await
            })
        })
        .await
    }
}

fn with_facts(row: &AnyRow) -> Result<Mergeable, StoreError> {
    let mut facts: AlertFacts = rows::json(row, 1)?;
    if let Some(note) = rows::optional_json(row, 4)? {
        attach_escalation(&mut facts, note);
    }
    Ok(Mergeable {
        id: DeliveryId::new(rows::text(row, 0)?),
        facts,
        resolution: rows::optional_text(row, 2)?.map(DeliveryId::new),
        follows: rows::optional_text(row, 3)?.map(DeliveryId::new),
    })
}

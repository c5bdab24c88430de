//! Silences and acknowledgements: rows that people make, beside a process that works. And the record of what people did.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::insert::insert_deliveries;
use super::items::{IdItem, behind, clean, to_json};
use super::{actions, gap, rows};
use crate::limits::{ALERTS_OF_A_PREFIX_MAX, SILENCES_ACTIVE_MAX};
use crate::model::{
    Ack, Action, ActionKind, Alert, AlertId, DeliveryId, Notification, ReceiverId, RuleId, Silence, SilenceId,
};
use crate::store::board::Place;
use crate::store::desk::{Desk, NewSilence, Told};
use crate::store::error::StoreError;
use crate::words::Saying;

const COLUMNS: &str = "id, concerns, reason, author, created_at, ends_at, expired_at, expired_by";

/// What an action is read from.
const ACTIONS: &str = "at, kind, author, subject, alert, reason";

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

impl Desk for SqlStore {
    async fn add_silence(&self, new: &NewSilence, now: Timestamp) -> Result<SilenceId, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                // The numbers are given one after the other: whoever comes second waits here.
                gap::queue_up(self, &mut write).await?;
                let counted = sqlx::query(
                    "SELECT (SELECT COUNT(*) FROM silence WHERE expired_at IS NULL AND ends_at > $1), \
               (SELECT COALESCE(MAX(id), 0) FROM silence)",
                )
                .bind(now.as_millisecond())
                .one_in(self, write.on())
                .await?;
                let (active, last) = (rows::number(&counted, 0)?, rows::number(&counted, 1)?);
                if active >= i64::try_from(SILENCES_ACTIVE_MAX).unwrap_or(i64::MAX) {
                    let most = Saying::of("refused.silences-max").with("n", active);
                    return Err(StoreError::Refused(most));
                }
                let id = SilenceId(last + 1);
                sqlx::query(
            "INSERT INTO silence (id, concerns, reason, author, created_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.0)
        .bind(to_json(&new.concerns)?)
        .bind(clean(&new.reason).into_owned())
        .bind(clean(&new.by).into_owned())
        .bind(now.as_millisecond())
        .bind(new.ends_at.as_millisecond())
        .run(self, write.on()).await?;
                let done = Action::on_silence(ActionKind::Silence, id, &new.by, Some(&new.reason), now);
                actions::record(self, &mut write, &[done]).await?;
                self.commit(write).await?;
                Ok(id)
            })
        })
        .await
    }

    async fn expire_silence(&self, id: SilenceId, by: &str, now: Timestamp) -> Result<Option<Silence>, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let ended = sqlx::query(
            "UPDATE silence SET expired_at = $2, expired_by = $3 WHERE id = $1 AND expired_at IS NULL AND ends_at > $2",
        )
        .bind(id.0)
        .bind(now.as_millisecond())
        .bind(clean(by).into_owned())
        .run(self, write.on()).await?;
                if ended > 0 {
                    let done = Action::on_silence(ActionKind::Expire, id, by, None, now);
                    actions::record(self, &mut write, &[done]).await?;
                }
                self.commit(write).await?;
                self.silence(id).await
            })
        })
        .await
    }

    async fn silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM silence WHERE id = $1"));
        let row = sqlx::query(statement).bind(id.0).at_most_one(self).await?;
        row.as_ref().map(silence).transpose()
    }

    async fn active_silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM silence WHERE expired_at IS NULL AND ends_at > $1 ORDER BY id"
        ));
        let found = sqlx::query(statement).bind(now.as_millisecond()).all(self).await?;
        Ok(rows::all(&found, "silence", silence))
    }

    async fn silences(&self) -> Result<Vec<(Silence, u64)>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, (SELECT COUNT(*) FROM alert WHERE suppressed_by = 'silence:' || silence.id) \
             FROM silence ORDER BY id DESC"
        ));
        let found = sqlx::query(statement).all(self).await?;
        Ok(rows::all(&found, "silence", |row| Ok((silence(row)?, u64::try_from(rows::number(row, 8)?).unwrap_or(0)))))
    }

    async fn alerts_named(&self, prefix: &str) -> Result<Vec<Alert>, StoreError> {
        // Bounds and no pattern: nothing in a prefix means anything else than itself, and the key's index serves.
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {} FROM alert WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3",
            rows::ALERT_COLUMNS
        ));
        let found = sqlx::query(statement)
            .bind(prefix)
            .bind(behind(prefix))
            .bind(i64::try_from(ALERTS_OF_A_PREFIX_MAX).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    async fn ack_and_tell(
        &self,
        alerts: &[AlertId],
        ack: &Ack,
        deliveries: &[Notification],
    ) -> Result<HashMap<AlertId, Ack>, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let before = remove_acks(self, &mut write, alerts).await?;
                let is_news = |alert: &&AlertId| {
                    before.get(*alert).is_none_or(|it| (&it.by, &it.reason) != (&ack.by, &ack.reason))
                };
                let done = |alert| Action::on_alert(ActionKind::Ack, alert, &ack.by, ack.reason.as_deref(), ack.at);
                let done: Vec<Action> = alerts.iter().filter(is_news).map(done).collect();
                actions::record(self, &mut write, &done).await?;
                for alert in alerts {
                    sqlx::query(
                        "INSERT INTO ack (alert, author, reason, at) VALUES ($1, $2, $3, $4) ON CONFLICT (alert) DO UPDATE \
                         SET author = excluded.author, reason = excluded.reason, at = excluded.at",
                    )
                    .bind(alert.as_str())
                    .bind(clean(&ack.by).into_owned())
                    .bind(ack.reason.as_deref().map(|reason| clean(reason).into_owned()))
                    .bind(ack.at.as_millisecond())
                    .run(self, write.on()).await?;
                }
                insert_deliveries(self, &mut write, std::iter::once(deliveries), &HashSet::new()).await?;
                self.commit(write).await?;
                Ok(before)
            })
        })
        .await
    }

    async fn unack_and_tell(
        &self,
        alerts: &[AlertId],
        by: &str,
        now: Timestamp,
        deliveries: &[Notification],
    ) -> Result<HashMap<AlertId, Ack>, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let before = remove_acks(self, &mut write, alerts).await?;
                let removed = alerts.iter().filter(|alert| before.contains_key(*alert));
                let done: Vec<Action> =
                    removed.map(|alert| Action::on_alert(ActionKind::Unack, alert, by, None, now)).collect();
                actions::record(self, &mut write, &done).await?;
                insert_deliveries(self, &mut write, std::iter::once(deliveries), &HashSet::new()).await?;
                self.commit(write).await?;
                Ok(before)
            })
        })
        .await
    }

    async fn told(&self, alerts: &[AlertId]) -> Result<Vec<Told>, StoreError> {
        let mut told: Vec<Told> = Vec::new();
        for alert in alerts {
            let found = sqlx::query(
                "SELECT one.receiver, one.id FROM delivery AS one LEFT JOIN delivery AS whole ON whole.id = one.merged_into \
                 WHERE one.alert = $1 AND one.kind = 'alert.firing' AND COALESCE(whole.state, one.state) <> 'dead' \
                 ORDER BY one.receiver, one.created_at DESC, one.id DESC",
            )
            .bind(alert.as_str())
            .all(self).await?;
            let mut of_alert = rows::all(&found, "delivery", |row| {
                let (receiver, by) = (ReceiverId::new(rows::text(row, 0)?), DeliveryId::new(rows::text(row, 1)?));
                Ok(Told { alert: alert.clone(), receiver, by })
            });
            of_alert.dedup_by(|later, first| later.receiver == first.receiver);
            told.append(&mut of_alert);
        }
        Ok(told)
    }

    async fn acks(&self) -> Result<HashMap<AlertId, Ack>, StoreError> {
        let found = sqlx::query("SELECT alert, author, reason, at FROM ack").all(self).await?;
        Ok(rows::all(&found, "ack", acknowledgement).into_iter().collect())
    }

    async fn told_in_group(&self, alert: &AlertId) -> Result<HashSet<AlertId>, StoreError> {
        let found = sqlx::query(
            "SELECT alert.id FROM alert WHERE alert.state = 'firing' AND EXISTS (SELECT 1 FROM delivery AS member \
               JOIN delivery AS one ON one.merged_into = member.merged_into \
                 OR (one.receiver = member.receiver AND one.group_key = member.group_key) \
               WHERE member.alert = alert.id AND one.alert = $1)",
        )
        .bind(alert.as_str())
        .all(self)
        .await?;
        found.iter().map(|row| Ok(AlertId::new(rows::text(row, 0)?))).collect()
    }

    async fn record_action(&self, action: &Action) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                actions::record(self, &mut write, std::slice::from_ref(action)).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn action_page(&self, after: Option<&Place>, limit: usize) -> Result<Vec<Action>, StoreError> {
        // Without a place the list begins behind all that there can be.
        let (at, id) = after.map_or((i64::MAX, ""), |place| (place.at.as_millisecond(), place.id.as_str()));
        let statement = AssertSqlSafe(format!(
            "SELECT {ACTIONS} FROM action WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT {limit}"
        ));
        let found = sqlx::query(statement).bind(at).bind(clean(id).into_owned()).all(self).await?;
        Ok(rows::all(&found, "action", action))
    }

    async fn closed_between(&self, behind: Timestamp, until: Timestamp) -> Result<Vec<RuleId>, StoreError> {
        let found = sqlx::query(
            "SELECT alert.rule FROM action JOIN alert ON alert.id = action.alert \
             WHERE action.at > $1 AND action.at <= $2 AND action.kind = 'close'",
        )
        .bind(behind.as_millisecond())
        .bind(until.as_millisecond())
        .all(self)
        .await?;
        Ok(rows::all(&found, "action", |row| rows::text(row, 0).map(RuleId::new)))
    }

    async fn actions_on_alert(&self, alert: &AlertId) -> Result<Vec<Action>, StoreError> {
        let statement = AssertSqlSafe(format!("SELECT {ACTIONS} FROM action WHERE alert = $1 ORDER BY at, id"));
        let found = sqlx::query(statement).bind(alert.as_str()).all(self).await?;
        Ok(rows::all(&found, "action", action))
    }

    async fn actions_on_deliveries(&self, deliveries: &[DeliveryId]) -> Result<Vec<Action>, StoreError> {
        let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let statement = AssertSqlSafe(format!(
            "SELECT {ACTIONS} FROM action WHERE subject IN {} AND kind IN ('retry', 'drop') ORDER BY at, id",
            self.dialect.bound_texts(1)
        ));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        Ok(rows::all(&found, "action", action))
    }
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
            .all_in(store, write.on())
            .await?;
        removed.extend(rows::all(&found, "ack", acknowledgement));
    }
    Ok(removed)
}

fn acknowledgement(row: &AnyRow) -> Result<(AlertId, Ack), StoreError> {
    let at = rows::instant(rows::number(row, 3)?)?;
    Ok((AlertId::new(rows::text(row, 0)?), Ack { by: rows::text(row, 1)?, reason: rows::optional_text(row, 2)?, at }))
}

fn action(row: &AnyRow) -> Result<Action, StoreError> {
    let word = rows::text(row, 1)?;
    Ok(Action {
        at: rows::instant(rows::number(row, 0)?)?,
        kind: ActionKind::from_word(&word).ok_or_else(|| rows::unknown("kind of action", &word))?,
        by: rows::text(row, 2)?,
        subject: rows::text(row, 3)?,
        alert: rows::optional_text(row, 4)?.map(AlertId::new),
        reason: rows::optional_text(row, 5)?,
    })
}

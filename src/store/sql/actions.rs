//! The record of what people did.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::database::{SqlStore, Write};
use super::items::{IdItem, clean, to_json};
use super::rows;
use crate::model::{Action, ActionKind, AlertId, DeliveryId, RuleId};
use crate::store::actions::Actions;
use crate::store::board::Place;
use crate::store::error::StoreError;

const COLUMNS: &str = "at, kind, author, subject, alert, reason";

/// Records actions together with what they change.
pub(super) async fn record(store: &SqlStore, write: &mut Write, actions: &[Action]) -> Result<(), StoreError> {
    for action in actions {
        sqlx::query(
            "INSERT INTO action (at, id, kind, author, subject, alert, reason) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (at, id) DO NOTHING",
        )
        .bind(action.at.as_millisecond())
        .bind(clean(&action.key()).into_owned())
        .bind(action.kind.as_str())
        .bind(clean(&action.by).into_owned())
        .bind(clean(&action.subject).into_owned())
        .bind(action.alert.as_ref().map(ToString::to_string))
        .bind(action.reason.as_deref().map(|reason| clean(reason).into_owned()))
        .execute(write.on())
        .await
        .map_err(|error| store.failed(error))?;
    }
    Ok(())
}

/// Records what was done to deliveries, each with the alert that it tells of.
pub(super) async fn record_on_deliveries(
    store: &SqlStore,
    write: &mut Write,
    deliveries: &[DeliveryId],
    done: &Action,
) -> Result<(), StoreError> {
    let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let statement =
        AssertSqlSafe(format!("SELECT id, alert FROM delivery WHERE id IN {}", store.dialect.bound_texts(1)));
    let found = sqlx::query(statement).bind(to_json(&items)?).fetch_all(write.on()).await;
    let found = found.map_err(|error| store.failed(error))?;
    let of_row = |row: &AnyRow| {
        let alert = rows::optional_text(row, 1)?.map(AlertId::new);
        Ok(Action { subject: rows::text(row, 0)?, alert, ..done.clone() })
    };
    let actions = found.iter().map(of_row).collect::<Result<Vec<Action>, StoreError>>()?;
    record(store, write, &actions).await
}

impl Actions for SqlStore {
    async fn record_action(&self, action: &Action) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                record(self, &mut write, std::slice::from_ref(action)).await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn action_page(&self, after: Option<&Place>, limit: usize) -> Result<Vec<Action>, StoreError> {
        // Without a place the list begins behind all that there can be.
        let (at, id) = after.map_or((i64::MAX, ""), |place| (place.at.as_millisecond(), place.id.as_str()));
        let statement = AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM action WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT {limit}"
        ));
        let found = sqlx::query(statement).bind(at).bind(clean(id).into_owned()).fetch_all(&self.readers).await;
        Ok(rows::all(&found.map_err(|error| self.failed(error))?, "action", action))
    }

    async fn closed_between(&self, behind: Timestamp, until: Timestamp) -> Result<Vec<RuleId>, StoreError> {
        let found = sqlx::query(
            "SELECT alert.rule FROM action JOIN alert ON alert.id = action.alert \
             WHERE action.at > $1 AND action.at <= $2 AND action.kind = 'close'",
        )
        .bind(behind.as_millisecond())
        .bind(until.as_millisecond())
        .fetch_all(&self.readers)
        .await;
        Ok(rows::all(&found.map_err(|error| self.failed(error))?, "action", |row| rows::text(row, 0).map(RuleId::new)))
    }

    async fn actions_on_alert(&self, alert: &AlertId) -> Result<Vec<Action>, StoreError> {
        let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM action WHERE alert = $1 ORDER BY at, id"));
        let found = sqlx::query(statement).bind(alert.as_str()).fetch_all(&self.readers).await;
        Ok(rows::all(&found.map_err(|error| self.failed(error))?, "action", action))
    }

    async fn actions_on_deliveries(&self, deliveries: &[DeliveryId]) -> Result<Vec<Action>, StoreError> {
        let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let statement = AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM action WHERE subject IN {} AND kind IN ('retry', 'drop') ORDER BY at, id",
            self.dialect.bound_texts(1)
        ));
        let found = sqlx::query(statement).bind(to_json(&items)?).fetch_all(&self.readers).await;
        Ok(rows::all(&found.map_err(|error| self.failed(error))?, "action", action))
    }
}

/// Forgets what was done before.
pub(super) const PURGE: &str = "DELETE FROM action WHERE (at, id) IN (SELECT old.at, old.id FROM action AS old \
     WHERE old.at < $2 AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.id = old.alert) LIMIT $1)";

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

/// One action, as far as it is the same for several deliveries.
pub(super) fn done(kind: ActionKind, by: &str, reason: Option<&str>, at: Timestamp) -> Action {
    Action::on_delivery(kind, (&DeliveryId::new(""), None), by, reason, at)
}

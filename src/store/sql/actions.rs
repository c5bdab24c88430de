//! The record of what people did, written with what they change; `desk` reads it.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::{IdItem, clean, to_json};
use super::rows;
use crate::model::{Action, ActionKind, AlertId, DeliveryId};
use crate::store::error::StoreError;

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
        .run(store, write.on())
        .await?;
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
    let found = sqlx::query(statement).bind(to_json(&items)?).all_in(store, write.on()).await?;
    let of_row = |row: &AnyRow| {
        let alert = rows::optional_text(row, 1)?.map(AlertId::new);
        Ok(Action { subject: rows::text(row, 0)?, alert, ..done.clone() })
    };
    let actions = found.iter().map(of_row).collect::<Result<Vec<Action>, StoreError>>()?;
    record(store, write, &actions).await
}

/// Forgets what was done before.
pub(super) const PURGE: &str = "DELETE FROM action WHERE (at, id) IN (SELECT old.at, old.id FROM action AS old \
     WHERE old.at < $2 AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.id = old.alert) LIMIT $1)";

/// One action, as far as it is the same for several deliveries.
pub(super) fn done(kind: ActionKind, by: &str, reason: Option<&str>, at: Timestamp) -> Action {
    Action::on_delivery(kind, (&DeliveryId::new(""), None), by, reason, at)
}

//! Several deliveries of the outbox told as one.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::super::{Mergeable, Queued, StoreError};
use super::items::{IdItem, MemberItem, delivery_items, lists};
use super::outbox::{DUE, FREE, ORDER, TOLD, latest};
use super::{SqlStore, rows};
use crate::alert::attach_escalation;
use crate::model::{AlertFacts, Delivery, DeliveryId, MessageKind, ReceiverId};

pub(super) async fn queue(
    store: &SqlStore,
    receiver: &ReceiverId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Queued>, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT queued.id, queued.kind, queued.urgency, queued.next_attempt_at FROM delivery AS queued \
         WHERE {FREE} AND {TOLD} AND {DUE} ORDER BY {ORDER} LIMIT $4"
    ));
    let found = sqlx::query(statement)
        .bind(receiver.as_str())
        .bind(now.as_millisecond())
        .bind(latest(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    // What cannot be understood stays in the queue: whoever claims it has it die with a log line.
    Ok(rows::all(&found, "delivery", queued))
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

pub(super) async fn mergeable(store: &SqlStore, deliveries: &[DeliveryId]) -> Result<Vec<Mergeable>, StoreError> {
    let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let mut known = HashMap::new();
    for text in lists(&items)? {
        let statement = store.statements.mergeable.clone();
        let found = sqlx::query(statement).bind(text).fetch_all(&store.readers).await;
        let found = rows::all(&found.map_err(|error| store.failed(error))?, "alert", with_facts);
        known.extend(found.into_iter().map(|one: Mergeable| (one.id.clone(), one)));
    }
    Ok(deliveries.iter().filter_map(|id| known.remove(id)).collect())
}

pub(super) async fn merge(store: &SqlStore, group: &Delivery, members: &[DeliveryId]) -> Result<bool, StoreError> {
    let mut write = store.write().await?;
    let items: Vec<MemberItem> =
        members.iter().map(|id| MemberItem { id: id.as_str(), group_id: group.id.as_str() }).collect();
    let mut merged = 0;
    for text in lists(&items)? {
        let done = sqlx::query(store.statements.merge.clone()).bind(text).execute(write.on()).await;
        merged += done.map_err(|error| store.failed(error))?.rows_affected();
    }
    let mut inserted = 0;
    for text in lists(&delivery_items(std::iter::once(group))?)? {
        let done = sqlx::query(store.statements.insert_deliveries.clone()).bind(text).execute(write.on()).await;
        inserted += done.map_err(|error| store.failed(error))?.rows_affected();
    }
    if merged != members.len() as u64 || inserted != 1 {
        // Dropped without a commit, the transaction is as if it had never been.
        return Ok(false);
    }
    for text in lists(&items)? {
        for statement in [&store.statements.merge_members, &store.statements.follow_group] {
            let done = sqlx::query(statement.clone()).bind(text.as_str()).execute(write.on()).await;
            done.map_err(|error| store.failed(error))?;
        }
    }
    store.commit(write).await?;
    Ok(true)
}

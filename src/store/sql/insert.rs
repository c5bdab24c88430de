//! Writing alerts and deliveries, for whoever decided about them.

use std::borrow::Borrow;
use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Any, Encode, SqlStr, Type};

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::{IdItem, alert_items, delivery_items, pieces};
use super::rows;
use crate::model::{Alert, DeliveryId, NEVER_FIRED, Notification};
use crate::store::error::StoreError;

/// Writes the new episodes and returns the ids of those that are none: repeats of what is there already.
pub(super) async fn insert_fired<'a>(
    store: &SqlStore,
    write: &mut Write,
    fired: &'a [impl Borrow<Alert>],
    now: Timestamp,
    sequence: i64,
) -> Result<HashSet<&'a str>, StoreError> {
    let mut repeated: HashSet<&str> = fired.iter().map(|alert| alert.borrow().id.as_str()).collect();
    for text in pieces(&alert_items(fired, now, sequence)) {
        let inserted =
            sqlx::query(store.statements.insert_alerts.clone()).bind(text?).all_in(store, write.on()).await?;
        for row in &inserted {
            repeated.remove(rows::text(row, 0)?.as_str());
        }
    }
    if !repeated.is_empty() {
        let source = fired[0].borrow().source.as_str();
        tracing::info!(source, alerts = repeated.len(), "left out alerts that are known already");
    }
    Ok(repeated)
}

/// Writes deliveries, but for those of repeated alerts. They come in slices, and each is written before the next one is asked
/// for.
pub(super) async fn insert_deliveries<D: AsRef<[Notification]>>(
    store: &SqlStore,
    write: &mut Write,
    slices: impl Iterator<Item = D>,
    repeated: &HashSet<&str>,
) -> Result<(), StoreError> {
    let mut followers: Vec<DeliveryId> = Vec::new();
    for slice in slices {
        let deliveries = slice.as_ref();
        store.gathering.note(deliveries.iter());
        let is_new = |delivery: &&Notification| match &delivery.alert {
            Some(alert) => !repeated.contains(alert.as_str()),
            None => true,
        };
        let new = || deliveries.iter().filter(is_new);
        execute(store, write, &store.statements.insert_deliveries, &delivery_items(new())).await?;
        followers.extend(new().filter(|delivery| delivery.follows.is_some()).map(|delivery| delivery.id.clone()));
    }
    let followers: Vec<IdItem> = followers.iter().map(|id| IdItem { id: id.as_str() }).collect();
    execute(store, write, &store.statements.follow_merged, &followers).await?;
    execute(store, write, &store.statements.supersede_acks, &followers).await?;
    bury_late_followers(store, write, &followers).await
}

/// Of the listed deliveries, those whose predecessor is dead die.
pub(super) async fn bury_late_followers(
    store: &SqlStore,
    write: &mut Write,
    followers: &[IdItem<'_>],
) -> Result<(), StoreError> {
    execute_with(store, write, &store.statements.bury_late_followers, followers, NEVER_FIRED).await
}

/// Adds notifications that tell of no alert, once each.
pub(super) async fn add(store: &SqlStore, write: &mut Write, deliveries: &[Notification]) -> Result<(), StoreError> {
    store.gathering.note(deliveries.iter());
    let items = delivery_items(deliveries.iter());
    execute(store, write, &store.statements.insert_deliveries, &items).await
}

/// Runs a statement over a list, in pieces that bound its text's size.
pub(super) async fn execute<T: Serialize>(
    store: &SqlStore,
    write: &mut Write,
    statement: &SqlStr,
    items: &[T],
) -> Result<(), StoreError> {
    for text in pieces(items) {
        sqlx::query(statement.clone()).bind(text?).run(store, write.on()).await?;
    }
    Ok(())
}

/// The same, of a statement that takes a value beside the list, as `$2`.
pub(super) async fn execute_with<T: Serialize, V>(
    store: &SqlStore,
    write: &mut Write,
    statement: &SqlStr,
    items: &[T],
    value: V,
) -> Result<(), StoreError>
where
    V: Encode<'static, Any> + Type<Any> + Copy + Send + 'static,
{
    for text in pieces(items) {
        sqlx::query(statement.clone()).bind(text?).bind(value).run(store, write.on()).await?;
    }
    Ok(())
}

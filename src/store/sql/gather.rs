//! Deliveries that wait for others of their group, and groups that are to be told again.
//!
//! A delivery waits while it has a group and no time at which that was told by it. [`super::outbox`] leaves it alone until
//! then. A store that has never held one is not asked: who groups nothing pays nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;

use super::super::{DueGroup, Queued, StoreError, Unrepeated};
use super::items::{IdItem, lists};
use super::merge::queued;
use super::outbox::{FREE, ORDER};
use super::{SqlStore, poll, rows};
use crate::clock::latest_due;
use crate::limits::GROUP_WAIT_MAX;
use crate::model::{AlertFacts, Delivery, DeliveryId, ReceiverId};

/// Which rows wait.
const WAITS: &str = "queued.group_key IS NOT NULL AND queued.group_told_at IS NULL";

/// Which of them wait until later than `$4` and their interval allow: by a clock that was set back.
const AHEAD: &str = "queued.next_attempt_at > $4 + COALESCE(queued.group_interval, 0)";

/// The `$4` of that.
fn latest(now: Timestamp) -> i64 {
    latest_due(now, GROUP_WAIT_MAX).as_millisecond()
}

/// Whether anything waits for its group, or did since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Gathering(AtomicU8);

const UNKNOWN: u8 = 0;
const NOTHING: u8 = 1;
const SOMETHING: u8 = 2;

impl Gathering {
    /// To be called before such deliveries are written.
    pub(super) fn note<'a>(&self, mut deliveries: impl Iterator<Item = &'a Delivery>) {
        if deliveries.any(|one| one.group.is_some()) {
            self.0.store(SOMETHING, Ordering::SeqCst);
        }
    }
}

pub(super) async fn due_groups(
    store: &SqlStore,
    receiver: &ReceiverId,
    by: Timestamp,
    now: Timestamp,
) -> Result<Vec<DueGroup>, StoreError> {
    if !may_wait(store).await? {
        return Ok(Vec::new());
    }
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT queued.group_key, MAX(queued.group_interval), MAX(queued.group_repeat), \
           (SELECT MAX(told.group_told_at) FROM delivery AS told WHERE told.receiver = $1 \
              AND told.group_key = queued.group_key AND told.group_told_at <= $3), COUNT(*) \
         FROM delivery AS queued WHERE {FREE} AND {WAITS} \
         GROUP BY queued.group_key HAVING MIN(queued.next_attempt_at) <= $2 \
           OR MAX(CASE WHEN {AHEAD} THEN 1 ELSE 0 END) = 1 \
         ORDER BY MAX(queued.urgency) DESC, MIN(queued.next_attempt_at), queued.group_key"
    ));
    let found = sqlx::query(statement)
        .bind(receiver.as_str())
        .bind(by.as_millisecond())
        .bind(now.as_millisecond())
        .bind(latest(now))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    let groups = rows::all(&found, "delivery", |row| {
        let place = rows::group_place(row, 0)?.ok_or_else(|| rows::unknown("group", "NULL"))?;
        Ok(DueGroup { place, waiting: u64::try_from(rows::number(row, 4)?).unwrap_or(0) })
    });
    Ok(groups)
}

/// Whether something of `receiver` waits longer than anything may.
pub(super) async fn waits_too_long(
    store: &SqlStore,
    receiver: &ReceiverId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !may_wait(store).await? {
        return Ok(false);
    }
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT 1 FROM delivery AS queued WHERE {FREE} AND {WAITS} AND {} LIMIT 1",
        AHEAD.replace("$4", "$2")
    ));
    let found = sqlx::query(statement).bind(receiver.as_str()).bind(latest(now));
    let found = found.fetch_optional(&store.readers).await.map_err(|error| store.failed(error))?;
    Ok(found.is_some())
}

/// Whether there may be something that waits. Only the first call asks the database.
async fn may_wait(store: &SqlStore) -> Result<bool, StoreError> {
    let known = &store.gathering.0;
    if known.load(Ordering::SeqCst) == UNKNOWN {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT 1 FROM delivery AS queued WHERE queued.state = 'pending' AND {WAITS} LIMIT 1"
        ));
        let found = sqlx::query(statement).fetch_optional(&store.readers).await.map_err(|error| store.failed(error))?;
        let answer = if found.is_some() { SOMETHING } else { NOTHING };
        // What was written meanwhile has set it already, and that stays.
        let _ = known.compare_exchange(UNKNOWN, answer, Ordering::SeqCst, Ordering::SeqCst);
    }
    Ok(known.load(Ordering::SeqCst) == SOMETHING)
}

pub(super) async fn gathered(
    store: &SqlStore,
    receiver: &ReceiverId,
    key: &str,
    limit: usize,
) -> Result<Vec<Queued>, StoreError> {
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT queued.id, queued.kind, queued.urgency, queued.next_attempt_at FROM delivery AS queued \
         WHERE {FREE} AND {WAITS} AND queued.group_key = $2 ORDER BY {ORDER} LIMIT $3"
    ));
    let found = sqlx::query(statement)
        .bind(receiver.as_str())
        .bind(key)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "delivery", queued))
}

pub(super) async fn postpone(
    store: &SqlStore,
    receiver: &ReceiverId,
    key: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    sqlx::query(
        "UPDATE delivery SET next_attempt_at = $3 WHERE receiver = $1 AND group_key = $2 AND group_told_at IS NULL \
           AND state = 'pending'",
    )
    .bind(receiver.as_str())
    .bind(key)
    .bind(until.as_millisecond())
    .execute(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    store.commit(write).await
}

pub(super) async fn tell_alone(store: &SqlStore, deliveries: &[DeliveryId], now: Timestamp) -> Result<(), StoreError> {
    let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let mut write = store.write().await?;
    for text in lists(&items)? {
        sqlx::query(store.statements.tell_alone.clone())
            .bind(text)
            .bind(now.as_millisecond())
            .execute(write.on())
            .await
            .map_err(|error| store.failed(error))?;
    }
    store.commit(write).await
}

pub(super) async fn told_by(store: &SqlStore, group: &DeliveryId) -> Result<Vec<AlertFacts>, StoreError> {
    let found = sqlx::query(
        "SELECT alert.facts FROM alert WHERE alert.id IN (SELECT member.alert FROM delivery AS member \
           WHERE member.merged_into = $1 AND member.kind = 'alert.firing' \
             AND EXISTS (SELECT 1 FROM delivery AS whole WHERE whole.id = $1 AND whole.kind = 'alert.group')) \
         ORDER BY alert.created_at, alert.id",
    )
    .bind(group.as_str())
    .fetch_all(&store.readers)
    .await
    .map_err(|error| store.failed(error))?;
    Ok(rows::all(&found, "alert", |row| rows::json(row, 0)))
}

pub(super) async fn unrepeated(store: &SqlStore, now: Timestamp) -> Result<Vec<Unrepeated>, StoreError> {
    let last = "(SELECT MAX(told.group_told_at) FROM delivery AS told WHERE told.receiver = member.receiver \
         AND told.group_key = member.group_key AND told.group_told_at <= $1)";
    // What fires is little; each alert leads to its few deliveries.
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {}, member.group_key, member.group_interval, member.group_repeat, {last}, member.receiver \
         FROM alert JOIN delivery AS member ON member.alert = alert.id \
         WHERE alert.state = 'firing' AND alert.suppressed_by IS NULL AND member.kind = 'alert.firing' \
           AND member.group_repeat IS NOT NULL AND {last} + member.group_repeat <= $1 \
           AND NOT EXISTS (SELECT 1 FROM ack WHERE ack.alert = alert.id) \
           AND NOT EXISTS (SELECT 1 FROM delivery AS owed WHERE owed.receiver = member.receiver \
             AND owed.group_key = member.group_key AND owed.state = 'pending') \
         ORDER BY member.receiver, member.group_key, alert.created_at, alert.id",
        rows::alert_columns()
    ));
    let found = sqlx::query(statement)
        .bind(now.as_millisecond())
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
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
            Some(group) if group.alerts.iter().any(|known| known.id == alert.id) => {}
            Some(group) => group.alerts.push(alert),
            None => groups.push(Unrepeated { receiver, place, alerts: vec![alert] }),
        }
    }
    Ok(groups)
}

pub(super) async fn tell_again(store: &SqlStore, deliveries: &[Delivery]) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    poll::owe(store, &mut write, deliveries).await?;
    store.commit(write).await
}

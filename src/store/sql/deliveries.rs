//! What an operator asks of the outbox: which deliveries there are, all of one, and to send dead ones again.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::ask::Ask as _;
use super::candidate::CANDIDATE;
use super::database::{SqlStore, Write};
use super::items::{IdItem, behind, lists};
use super::{actions, insert, rows};
use crate::model::{ActionKind, Delivery, DeliveryId, DeliveryState, NEVER_FIRED, NotRevived, ReceiverId};
use crate::store::deliveries::{AttemptRecord, DeadLetters, Deliveries, DeliveryQuery, DeliveryRecord, Revived};
use crate::store::error::StoreError;

impl Deliveries for SqlStore {
    async fn deliveries(&self, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let columns = rows::DELIVERY_COLUMNS;
        let sql =
            sqlx::AssertSqlSafe(format!("SELECT {columns} FROM delivery ORDER BY created_at DESC, id DESC LIMIT $1"));
        let found = sqlx::query(sql).bind(i64::try_from(limit).unwrap_or(i64::MAX)).all(self).await?;
        Ok(rows::all(&found, "delivery", rows::delivery))
    }

    async fn find_deliveries(&self, query: &DeliveryQuery, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let columns = rows::DELIVERY_COLUMNS;
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM delivery WHERE {} ORDER BY created_at DESC, id DESC LIMIT $6",
            wanted_deliveries()
        ));
        let found = deliveries_bound(sqlx::query(statement), query)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        Ok(rows::all(&found, "delivery", rows::delivery))
    }

    async fn deliveries_named(&self, prefix: &str) -> Result<Vec<DeliveryId>, StoreError> {
        // Bounds and no pattern, as for alerts.
        let found: Vec<String> =
            sqlx::query_scalar("SELECT id FROM delivery WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 2")
                .bind(prefix)
                .bind(behind(prefix))
                .fetch_all(&self.readers)
                .await
                .map_err(|error| self.failed(error))?;
        Ok(found.into_iter().map(DeliveryId::new).collect())
    }

    async fn delivery_record(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        // One transaction, so that what is told is of one moment.
        let mut read = self.snapshot().await?;
        let columns = rows::DELIVERY_COLUMNS;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {columns} FROM delivery WHERE id = $1")))
            .bind(id.as_str())
            .at_most_one_in(self, read.on())
            .await?;
        let Some(row) = row else {
            self.done(read).await?;
            return Ok(None);
        };
        let delivery = rows::delivery(&row)?;
        let fallback = sqlx::query("SELECT fallback FROM delivery WHERE id = $1")
            .bind(id.as_str())
            .one_in(self, read.on())
            .await?;
        let fallback = rows::optional_text(&fallback, 0)?.map(DeliveryId::new);
        let attempts = sqlx::query(
            "SELECT number, started_at, ended_at, outcome, status, error FROM attempt WHERE delivery = $1 ORDER BY number",
        )
        .bind(id.as_str())
        .all_in(self, read.on()).await?;
        let attempts = rows::all(&attempts, "attempt", |row| {
            Ok(AttemptRecord {
                number: u32::try_from(rows::number(row, 0)?).unwrap_or(u32::MAX),
                started_at: rows::instant(rows::number(row, 1)?)?,
                ended_at: rows::instant(rows::number(row, 2)?)?,
                outcome: rows::text(row, 3)?,
                status: rows::optional_text(row, 4)?,
                error: rows::optional_text(row, 5)?,
            })
        });
        let alert = match &delivery.alert {
            Some(alert) => {
                let columns = rows::ALERT_COLUMNS;
                let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {columns} FROM alert WHERE id = $1")))
                    .bind(alert.as_str())
                    .at_most_one_in(self, read.on())
                    .await?;
                rows::all(row.as_slice(), "alert", rows::alert).pop()
            }
            None => None,
        };
        self.done(read).await?;
        Ok(Some(DeliveryRecord { delivery, alert, attempts, fallback }))
    }

    async fn revive(&self, which: &DeadLetters, by: &str, now: Timestamp) -> Result<Revived, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let candidates = candidates(self, &mut write, which, now).await?;
                let mut revived = Revived::default();
                if let DeadLetters::Named(ids) = which {
                    for id in ids.iter().filter(|id| !candidates.contains_key(id.as_str())) {
                        revived.refused.push((id.clone(), NotRevived::Unknown));
                    }
                }
                let chosen: HashSet<&str> = candidates
                    .iter()
                    .filter(|(_, candidate)| candidate.may_be_sent())
                    .map(|(id, _)| id.as_str())
                    .collect();
                for (id, candidate) in &candidates {
                    match refusal(candidate, &chosen) {
                        None => revived.revived.push(DeliveryId::new(id)),
                        Some(reason) => revived.refused.push((DeliveryId::new(id), reason)),
                    }
                }
                // Whatever died only because of one of these is pending again behind it.
                let mut followers = followers(self, &mut write, &revived.revived).await?;
                followers.retain(|id| !revived.revived.contains(id));
                revived.revived.append(&mut followers);
                revived.revived.sort();
                revived.refused.sort();
                let items: Vec<IdItem> = revived.revived.iter().map(|id| IdItem { id: id.as_str() }).collect();
                insert::execute_with(self, &mut write, &self.statements.revive, &items, now.as_millisecond()).await?;
                let done = actions::done(ActionKind::Retry, by, None, now);
                actions::record_on_deliveries(self, &mut write, &revived.revived, &done).await?;
                self.commit(write).await?;
                Ok(revived)
            })
        })
        .await
    }
}

/// Which deliveries a query wants: its parts are bound as `$1` to `$5` in their order; null means all. Of those that are dead,
/// what somebody has given up is not asked for.
pub(super) const fn wanted_deliveries() -> &'static str {
    "($1 IS NULL OR state = $1 AND (state <> 'dead' OR dropped_at IS NULL)) AND ($2 IS NULL OR receiver = $2) AND ($3 IS NULL OR rule = $3) \
     AND ($4 IS NULL OR alert = $4) AND ($5 IS NULL OR created_at >= $5)"
}

/// What [`wanted_deliveries`] binds.
pub(super) fn deliveries_bound<'q>(
    sql: Query<'q, Any, AnyArguments>,
    query: &DeliveryQuery,
) -> Query<'q, Any, AnyArguments> {
    sql.bind(query.state.map(DeliveryState::as_str))
        .bind(query.receiver.as_ref().map(ToString::to_string))
        .bind(query.rule.as_ref().map(ToString::to_string))
        .bind(query.alert.as_ref().map(ToString::to_string))
        .bind(query.since.map(Timestamp::as_millisecond))
}

struct Candidate {
    state: DeliveryState,
    leader: Option<(DeliveryId, DeliveryState)>,
    /// The receiver, where it is gone.
    gone: Option<ReceiverId>,
    /// Whether an attempt is under way.
    is_claimed: bool,
}

impl Candidate {
    fn may_be_sent(&self) -> bool {
        matches!(self.state, DeliveryState::Dead | DeliveryState::Pending) && !self.is_claimed
    }
}

/// Why a delivery cannot be sent again, if it cannot.
fn refusal(candidate: &Candidate, chosen: &HashSet<&str>) -> Option<NotRevived> {
    if !matches!(candidate.state, DeliveryState::Dead | DeliveryState::Pending) {
        return Some(NotRevived::Settled(candidate.state));
    }
    if candidate.is_claimed {
        return Some(NotRevived::UnderWay);
    }
    if let Some(receiver) = &candidate.gone {
        return Some(NotRevived::NoReceiver(receiver.clone()));
    }
    let (leader, state) = candidate.leader.as_ref()?;
    let is_pending_too = *state != DeliveryState::Dead || chosen.contains(leader.as_str());
    (!is_pending_too).then(|| NotRevived::FollowsDead(leader.clone()))
}

/// The named deliveries whatever their state, or those of a receiver that are dead or wait for another attempt; by id.
async fn candidates(
    store: &SqlStore,
    write: &mut Write,
    which: &DeadLetters,
    now: Timestamp,
) -> Result<HashMap<String, Candidate>, StoreError> {
    let mut found = Vec::new();
    match which {
        DeadLetters::Named(ids) => {
            let items: Vec<IdItem> = ids.iter().map(|id| IdItem { id: id.as_str() }).collect();
            for text in lists(&items)? {
                let statement = store.statements.named.clone();
                let some = sqlx::query(statement).bind(text).all_in(store, write.on()).await?;
                found.extend(some);
            }
        }
        DeadLetters::Of { receiver, since } => {
            let some = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT {CANDIDATE} FROM delivery AS one LEFT JOIN delivery AS leader ON leader.id = one.follows \
                 WHERE one.receiver = $1 AND one.created_at >= $2 AND (one.state = 'dead' AND one.dropped_at IS NULL OR one.state = 'pending' \
                   AND one.claimed_at IS NULL AND one.attempts > 0 AND one.next_attempt_at > $3 \
                   AND (one.group_key IS NULL OR one.group_told_at IS NOT NULL))"
            )))
            .bind(receiver.as_str())
            .bind(since.as_millisecond())
            .bind(now.as_millisecond())
            .all_in(store, write.on()).await?;
            found = some;
        }
    }
    found
        .iter()
        .map(|row| {
            let leader = match rows::optional_text(row, 2)? {
                Some(leader) => Some((DeliveryId::new(leader), state(row, 3)?)),
                None => None,
            };
            let gone = (rows::number(row, 5)? != 0).then(|| rows::text(row, 4)).transpose()?.map(ReceiverId::new);
            let is_claimed = rows::number(row, 6)? != 0;
            Ok((rows::text(row, 0)?, Candidate { state: state(row, 1)?, leader, gone, is_claimed }))
        })
        .collect()
}

async fn followers(store: &SqlStore, write: &mut Write, leaders: &[DeliveryId]) -> Result<Vec<DeliveryId>, StoreError> {
    let items: Vec<IdItem> = leaders.iter().map(|id| IdItem { id: id.as_str() }).collect();
    let mut followers = Vec::new();
    for text in lists(&items)? {
        let statement = store.statements.buried_followers.clone();
        let found = sqlx::query(statement).bind(text).bind(NEVER_FIRED).all_in(store, write.on()).await?;
        for row in &found {
            followers.push(DeliveryId::new(rows::text(row, 0)?));
        }
    }
    Ok(followers)
}

fn state(row: &AnyRow, index: usize) -> Result<DeliveryState, StoreError> {
    let word = rows::text(row, index)?;
    DeliveryState::from_word(&word).ok_or_else(|| rows::unknown("state", &word))
}

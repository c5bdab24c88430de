//! How much there is: numbers and names for a person who asks how things stand. Reads only.
//!
//! What is pending and what is dead is counted by the indexes that the lanes use. The names that rows bear are looked for in
//! every row, which is asked only where a name is not configured.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::archive::{alerts_bound, instances_bound, wanted, wanted_alerts};
use super::ask::Ask as _;
use super::database::SqlStore;
use super::deliveries::{deliveries_bound, wanted_deliveries};
use super::items::{IdItem, lists};
use super::rows;
use crate::model::{AlertId, ReceiverId, RuleId, Severity};
use crate::store::archive::{AlertQuery, InstanceFilter};
use crate::store::counts::{Backlog, Counted, Counts, FiringCount};
use crate::store::deliveries::DeliveryQuery;
use crate::store::error::StoreError;

/// By receiver; both halves are answered by an index of their own.
const BACKLOG: &str = "SELECT receiver, CAST(SUM(pending) AS BIGINT), MIN(oldest), CAST(SUM(dead) AS BIGINT), \
       CAST(SUM(held) AS BIGINT), MIN(held_until) FROM ( \
       SELECT receiver, SUM(CASE WHEN is_held = 1 THEN 0 ELSE 1 END) AS pending, \
         MIN(CASE WHEN is_held = 1 THEN NULL ELSE created_at END) AS oldest, 0 AS dead, SUM(is_held) AS held, \
         MIN(CASE WHEN is_held = 1 THEN next_attempt_at ELSE NULL END) AS held_until \
         FROM (SELECT receiver, created_at, next_attempt_at, \
           CASE WHEN group_key LIKE 'hold/%' AND group_told_at IS NULL THEN 1 ELSE 0 END AS is_held \
           FROM delivery WHERE state = 'pending') AS one GROUP BY receiver \
       UNION ALL \
       SELECT receiver, 0, NULL, COUNT(*), 0, NULL FROM delivery \
         WHERE state = 'dead' AND dropped_at IS NULL GROUP BY receiver) AS part \
     GROUP BY receiver ORDER BY receiver";

/// What fires, counted.
const FIRING: &str = "SELECT rule, urgency, COUNT(*) FROM alert WHERE state = 'firing' GROUP BY rule, urgency";

impl Counts for SqlStore {
    async fn count_alerts(&self, query: &AlertQuery) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM alert WHERE {}", wanted_alerts(self.dialect));
        let row = alerts_bound(sqlx::query(AssertSqlSafe(sql)), query)?.one(self).await?;
        counted(&row, 0)
    }

    async fn count_deliveries(&self, query: &DeliveryQuery) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM delivery WHERE {}", wanted_deliveries());
        let row = deliveries_bound(sqlx::query(AssertSqlSafe(sql)), query).one(self).await?;
        counted(&row, 0)
    }

    async fn count_instances(&self, filter: &InstanceFilter) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM instance WHERE {}", wanted(self.dialect));
        let row = instances_bound(sqlx::query(AssertSqlSafe(sql)), filter)?.one(self).await?;
        counted(&row, 0)
    }

    async fn count_jobs(&self, filter: &InstanceFilter) -> Result<u64, StoreError> {
        let wanted = wanted(self.dialect);
        let sql = format!("SELECT COUNT(*) FROM (SELECT DISTINCT source, job FROM instance WHERE {wanted}) AS known");
        let row = instances_bound(sqlx::query(AssertSqlSafe(sql)), filter)?.one(self).await?;
        counted(&row, 0)
    }

    async fn recorded_rules(&self) -> Result<Vec<RuleId>, StoreError> {
        let found = sqlx::query("SELECT DISTINCT rule FROM alert ORDER BY rule").all(self).await?;
        Ok(rows::all(&found, "alert", |row| rows::text(row, 0).map(RuleId::new)))
    }

    async fn recorded_receivers(&self) -> Result<Vec<ReceiverId>, StoreError> {
        let found = sqlx::query("SELECT DISTINCT receiver FROM delivery ORDER BY receiver").all(self).await?;
        Ok(rows::all(&found, "delivery", |row| rows::text(row, 0).map(ReceiverId::new)))
    }

    async fn jobs_of_alerts(&self, alerts: &[AlertId]) -> Result<HashMap<AlertId, String>, StoreError> {
        let ids: Vec<IdItem> = alerts.iter().map(|alert| IdItem { id: alert.as_str() }).collect();
        let sql = format!("SELECT id, job FROM alert WHERE id IN {}", self.dialect.bound_texts(1));
        let mut jobs = HashMap::new();
        for text in lists(&ids)? {
            let found = sqlx::query(AssertSqlSafe(sql.as_str())).bind(text).all(self).await?;
            jobs.extend(rows::all(&found, "alert", |row| Ok((AlertId::new(rows::text(row, 0)?), rows::text(row, 1)?))));
        }
        Ok(jobs)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let found = sqlx::query(BACKLOG).all(self).await?;
        Ok(rows::all(&found, "delivery", |row| {
            Ok(Backlog {
                receiver: ReceiverId::new(rows::text(row, 0)?),
                pending: counted(row, 1)?,
                oldest: rows::optional_instant(row, 2)?,
                dead: counted(row, 3)?,
                held: counted(row, 4)?,
                held_until: rows::optional_instant(row, 5)?,
            })
        }))
    }

    async fn gauges(&self, now: Timestamp) -> Result<Counted, StoreError> {
        let mut read = self.snapshot().await?;
        let found = sqlx::query(
            "SELECT receiver, COUNT(*), MIN(created_at) FROM delivery WHERE state = 'pending' GROUP BY receiver",
        )
        .all_in(self, read.on())
        .await?;
        let pending = rows::all(&found, "delivery", |row| {
            Ok((ReceiverId::new(rows::text(row, 0)?), counted(row, 1)?, rows::instant(rows::number(row, 2)?)?))
        });
        let found = sqlx::query(
            "SELECT receiver, COUNT(*) FROM delivery WHERE state = 'dead' AND dropped_at IS NULL GROUP BY receiver",
        )
        .all_in(self, read.on())
        .await?;
        let dead = rows::all(&found, "delivery", |row| Ok((ReceiverId::new(rows::text(row, 0)?), counted(row, 1)?)));
        let found = sqlx::query(FIRING).all_in(self, read.on()).await?;
        let firing = rows::all(&found, "alert", firing_count);
        let row = sqlx::query("SELECT COUNT(*) FROM silence WHERE expired_at IS NULL AND ends_at > $1")
            .bind(now.as_millisecond())
            .one_in(self, read.on())
            .await?;
        let silences = counted(&row, 0)?;
        self.done(read).await?;
        Ok(Counted { pending, dead, firing, silences })
    }

    async fn firing_counts(&self) -> Result<Vec<FiringCount>, StoreError> {
        let found = sqlx::query(FIRING).all(self).await?;
        Ok(rows::all(&found, "alert", firing_count))
    }

    async fn open_counts(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM alert WHERE state = 'firing'), \
               (SELECT COUNT(*) FROM delivery WHERE state = 'dead' AND dropped_at IS NULL)",
        )
        .one(self)
        .await?;
        Ok((counted(&row, 0)?, counted(&row, 1)?))
    }
}

fn firing_count(row: &AnyRow) -> Result<FiringCount, StoreError> {
    let urgency = rows::optional_number(row, 1)?.and_then(|urgency| u8::try_from(urgency).ok());
    Ok((RuleId::new(rows::text(row, 0)?), urgency.and_then(Severity::from_urgency), counted(row, 2)?))
}

/// The number in a column.
fn counted(row: &AnyRow, index: usize) -> Result<u64, StoreError> {
    Ok(u64::try_from(rows::number(row, index)?).unwrap_or(0))
}

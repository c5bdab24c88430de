//! What the page and the API show, page by page. Reads only, but for what somebody gives up.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::items::{IdItem, clean, to_json};
use super::lists::{alerts_sql, deliveries_sql, filled};
use super::{actions, rows};
use crate::model::{
    Ack, ActionKind, Alert, AlertId, Covered, Delivery, DeliveryId, Instance, ReceiverId, SourceId, Status,
};
use crate::store::board::{AlertAsk, Board, DayCount, DeliveryAsk, Place, ReadSpan, SlotCount, StepRow, ToldWhen};
use crate::store::error::StoreError;

/// Runs are counted by quarters of an hour: every zone's days begin with one.
const SLOT_MS: i64 = 900_000;

/// What is counted of a job's runs that are no longer kept.
const DAYS: &str = "SELECT day, status, CAST(SUM(runs) AS BIGINT) FROM job_day \
     WHERE source = $1 AND job = $2 AND day >= $3 GROUP BY day, status ORDER BY day";

impl Board for SqlStore {
    async fn alert_page(&self, ask: &AlertAsk, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let (sql, wanted) = alerts_sql(ask, limit);
        let found = filled(sql, wanted).all(self).await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    async fn alert(&self, id: &AlertId) -> Result<Option<Alert>, StoreError> {
        let statement = AssertSqlSafe(format!("SELECT {} FROM alert WHERE id = $1", rows::ALERT_COLUMNS));
        let row = sqlx::query(statement).bind(id.as_str()).at_most_one(self).await?;
        row.as_ref().map(rows::alert).transpose()
    }

    async fn acks_of(&self, alerts: &[AlertId]) -> Result<HashMap<AlertId, Ack>, StoreError> {
        let items: Vec<IdItem> = alerts.iter().map(|alert| IdItem { id: alert.as_str() }).collect();
        let list = self.dialect.bound_texts(1);
        let statement = AssertSqlSafe(format!("SELECT alert, author, reason, at FROM ack WHERE alert IN {list}"));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        Ok(rows::all(&found, "ack", |row| {
            let at = rows::instant(rows::number(row, 3)?)?;
            let ack = Ack { by: rows::text(row, 1)?, reason: rows::optional_text(row, 2)?, at };
            Ok((AlertId::new(rows::text(row, 0)?), ack))
        })
        .into_iter()
        .collect())
    }

    async fn steps_of(&self, alert: &AlertId) -> Result<Vec<StepRow>, StoreError> {
        let found = sqlx::query(
            "SELECT step, receiver, delivery, taken_at FROM escalation WHERE alert = $1 ORDER BY step, receiver",
        )
        .bind(alert.as_str())
        .all(self)
        .await?;
        Ok(rows::all(&found, "escalation", |row| {
            Ok(StepRow {
                step: u32::try_from(rows::number(row, 0)?).unwrap_or(u32::MAX),
                receiver: ReceiverId::new(rows::text(row, 1)?),
                delivery: DeliveryId::new(rows::text(row, 2)?),
                taken_at: rows::instant(rows::number(row, 3)?)?,
            })
        }))
    }

    async fn delivery_page(&self, ask: &DeliveryAsk, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let (sql, wanted) = deliveries_sql(ask, limit);
        let found = filled(sql, wanted).all(self).await?;
        Ok(rows::all(&found, "delivery", rows::delivery))
    }

    async fn alerts_of(&self, ids: &[AlertId]) -> Result<HashMap<AlertId, Alert>, StoreError> {
        let items: Vec<IdItem> = ids.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let (columns, list) = (rows::ALERT_COLUMNS, self.dialect.bound_texts(1));
        let statement = AssertSqlSafe(format!("SELECT {columns} FROM alert WHERE id IN {list}"));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        let found = rows::all(&found, "alert", rows::alert);
        Ok(found.into_iter().map(|alert| (alert.id.clone(), alert)).collect())
    }

    async fn alerts_told_by(&self, deliveries: &[DeliveryId]) -> Result<HashMap<DeliveryId, Vec<AlertId>>, StoreError> {
        let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let statement = AssertSqlSafe(format!(
            "SELECT merged_into, alert FROM delivery WHERE merged_into IN {} AND alert IS NOT NULL",
            self.dialect.bound_texts(1)
        ));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        let found = rows::all(&found, "delivery", |row| {
            Ok((DeliveryId::new(rows::text(row, 0)?), AlertId::new(rows::text(row, 1)?)))
        });
        let mut told: HashMap<DeliveryId, Vec<AlertId>> = HashMap::new();
        for (delivery, alert) in found {
            told.entry(delivery).or_default().push(alert);
        }
        Ok(told)
    }

    async fn told_counts(&self, deliveries: &[DeliveryId]) -> Result<HashMap<DeliveryId, u64>, StoreError> {
        let items: Vec<IdItem> = deliveries.iter().map(|id| IdItem { id: id.as_str() }).collect();
        let list = self.dialect.bound_texts(1);
        let statement = AssertSqlSafe(format!(
            "SELECT merged_into, COUNT(*) FROM delivery WHERE merged_into IN {list} GROUP BY merged_into"
        ));
        let found = sqlx::query(statement).bind(to_json(&items)?).fetch_all(&self.readers).await;
        let counted = |row: &AnyRow| {
            Ok((DeliveryId::new(rows::text(row, 0)?), u64::try_from(rows::number(row, 1)?).unwrap_or(0)))
        };
        Ok(rows::all(&found.map_err(|error| self.failed(error))?, "delivery", counted).into_iter().collect())
    }

    async fn told_when(&self, alerts: &[AlertId]) -> Result<HashMap<AlertId, ToldWhen>, StoreError> {
        let items: Vec<IdItem> = alerts.iter().map(|alert| IdItem { id: alert.as_str() }).collect();
        let waits = "state = 'pending' AND group_key IS NOT NULL AND group_told_at IS NULL";
        // By the alert alone: what is told of each row is told apart behind the index of alerts.
        let statement = AssertSqlSafe(format!(
            "SELECT alert, MIN(CASE WHEN kind = 'alert.firing' AND stands_in_for IS NULL THEN created_at END), \
               MIN(CASE WHEN {waits} AND group_key NOT LIKE 'hold/%' THEN next_attempt_at END), \
               MIN(CASE WHEN {waits} AND group_key LIKE 'hold/%' THEN next_attempt_at END) \
             FROM delivery WHERE alert IN {} GROUP BY alert",
            self.dialect.bound_texts(1)
        ));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        let row = |row: &AnyRow| {
            let told = ToldWhen {
                first_at: rows::optional_instant(row, 1)?,
                gathers_until: rows::optional_instant(row, 2)?,
                held_until: rows::optional_instant(row, 3)?,
            };
            Ok((AlertId::new(rows::text(row, 0)?), told))
        };
        Ok(rows::all(&found, "delivery", row).into_iter().collect())
    }

    async fn drop_deliveries(
        &self,
        ids: &[DeliveryId],
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let why = format!("given up by {by}: {reason}");
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let mut dropped = Vec::new();
                for id in ids {
                    // One that a lane holds may be on its way: its attempt decides. What follows it has nothing to follow any
                    // more. Of what is dead already, why it died stays known.
                    let found = sqlx::query(
                "UPDATE delivery SET state = 'dead', next_attempt_at = NULL, claimed_at = NULL, dropped_at = $3, \
                   last_error = CASE state WHEN 'dead' THEN last_error ELSE $2 END, \
                   dead_at = CASE state WHEN 'dead' THEN dead_at ELSE $3 END \
                 WHERE (id = $1 OR follows = $1) AND (state = 'pending' AND claimed_at IS NULL \
                   OR state = 'dead' AND dropped_at IS NULL) RETURNING id",
            )
            .bind(id.as_str())
            .bind(clean(&why).into_owned())
            .bind(now.as_millisecond())
            .all_in(self, write.on()).await?;
                    for row in &found {
                        dropped.push(DeliveryId::new(rows::text(row, 0)?));
                    }
                }
                let done = actions::done(ActionKind::Drop, by, Some(reason), now);
                actions::record_on_deliveries(self, &mut write, &dropped, &done).await?;
                self.commit(write).await?;
                Ok(dropped)
            })
        })
        .await
    }

    async fn job_page(&self, source: &SourceId, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        // Each name is one step in the key's index.
        let found = sqlx::query(
            "WITH RECURSIVE known(known_job, place) AS (\
               SELECT MIN(job), 1 FROM instance WHERE source = $1 AND job > $2 \
               UNION ALL \
               SELECT (SELECT MIN(job) FROM instance WHERE source = $1 AND job > known_job), place + 1 FROM known \
                 WHERE known_job IS NOT NULL AND place < $3) \
             SELECT known_job FROM known WHERE known_job IS NOT NULL",
        )
        .bind(source.as_str())
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .all(self)
        .await?;
        Ok(rows::all(&found, "instance", |row| rows::text(row, 0)))
    }

    async fn run_page(
        &self,
        source: &SourceId,
        job: &str,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, Instance)>, StoreError> {
        let when = "COALESCE(plan_time, start_time, changed_at)";
        let columns = rows::INSTANCE_COLUMNS;
        let after_place = if after.is_some() { format!("AND ({when}, id) < ($3, $4)") } else { String::new() };
        let statement = AssertSqlSafe(format!(
            "SELECT {columns}, {when} FROM instance WHERE source = $1 AND job = $2 {after_place} \
             ORDER BY {when} DESC, id DESC LIMIT {limit}"
        ));
        let mut query = sqlx::query(statement).bind(source.as_str()).bind(job);
        if let Some(place) = after {
            query = query.bind(place.at.as_millisecond()).bind(place.id.as_str());
        }
        let found = query.all(self).await?;
        let width = columns.split(", ").count();
        Ok(rows::all(&found, "instance", |row| Ok((rows::instant(rows::number(row, width)?)?, rows::instance(row)?))))
    }

    async fn open_runs(&self, limit: usize) -> Result<Vec<Instance>, StoreError> {
        let statement = AssertSqlSafe(format!(
            "SELECT {} FROM instance WHERE ended = 0 \
             ORDER BY (status = 'waiting'), COALESCE(start_time, plan_time, 0) DESC, source, job, id LIMIT {limit}",
            rows::INSTANCE_COLUMNS
        ));
        let found = sqlx::query(statement).all(self).await?;
        Ok(rows::all(&found, "instance", rows::instance))
    }

    async fn runs_between(
        &self,
        source: &SourceId,
        (from, until): (Timestamp, Timestamp),
        limit: usize,
    ) -> Result<Vec<Instance>, StoreError> {
        let statement = AssertSqlSafe(format!(
            "SELECT {} FROM instance WHERE source = $1 AND COALESCE(plan_time, start_time) >= $2 \
               AND COALESCE(plan_time, start_time) <= $3 ORDER BY COALESCE(plan_time, start_time) DESC LIMIT {limit}",
            rows::INSTANCE_COLUMNS
        ));
        let found = sqlx::query(statement)
            .bind(source.as_str())
            .bind(from.as_millisecond())
            .bind(until.as_millisecond())
            .all(self)
            .await?;
        Ok(rows::all(&found, "instance", rows::instance))
    }

    async fn counts_of(
        &self,
        source: &SourceId,
        job: &str,
        (since, day): (Timestamp, i64),
    ) -> Result<(Vec<SlotCount>, Vec<DayCount>), StoreError> {
        let slot = format!("COALESCE(plan_time, start_time) / {SLOT_MS}");
        // By the job: the index of plan times is one of all jobs.
        let kept = AssertSqlSafe(format!(
            "SELECT {slot}, status, COUNT(*) FROM instance WHERE source = $1 AND job = $2 \
               AND COALESCE(plan_time, start_time) + 0 >= $3 GROUP BY {slot}, status"
        ));
        // On one state of the store: what is removed meanwhile is not to be counted twice, nor left out.
        let mut read = self.snapshot().await?;
        let kept = sqlx::query(kept).bind(source.as_str()).bind(job).bind(since.as_millisecond());
        let kept = kept.all_in(self, read.on()).await?;
        let counted = sqlx::query(DAYS).bind(source.as_str()).bind(job).bind(day);
        let counted = counted.all_in(self, read.on()).await?;
        self.done(read).await?;
        let slots = rows::all(&kept, "instance", |row| {
            let word = rows::text(row, 1)?;
            Ok(SlotCount {
                at: rows::instant(rows::number(row, 0)? * SLOT_MS)?,
                status: Status::from_word(&word).ok_or_else(|| rows::unknown("status", &word))?,
                runs: u64::try_from(rows::number(row, 2)?).unwrap_or(0),
            })
        });
        Ok((slots, rows::all(&counted, "job_day", day_count)))
    }

    async fn read_span(&self, source: &SourceId, since: Timestamp) -> Result<ReadSpan, StoreError> {
        const GAPS_MAX: i64 = 1000;
        let covered = sqlx::query("SELECT coverage FROM source WHERE id = $1").bind(source.as_str());
        let covered = covered.at_most_one(self).await?;
        let Some(covered) = covered else { return Ok(ReadSpan::default()) };
        let covered: Covered =
            rows::optional_text(&covered, 0)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // What is covered begins anew behind what was lost; runs that are known from before say that more was read.
        let oldest = sqlx::query(
            "SELECT COALESCE(plan_time, start_time) FROM instance WHERE source = $1 \
               AND COALESCE(plan_time, start_time) > $2 ORDER BY COALESCE(plan_time, start_time) LIMIT 1",
        );
        let oldest = oldest.bind(source.as_str()).bind(0_i64).at_most_one(self).await?;
        let oldest = oldest.as_ref().map(|row| rows::instant(rows::number(row, 0)?)).transpose()?;
        let gaps = sqlx::query(
            "SELECT began_at, ended_at FROM gap WHERE (closed_moment IS NULL OR closed_moment >= $2) \
               AND source || '' = $1 AND (cause = 'lost' OR closed_moment IS NULL) ORDER BY began_at LIMIT $3",
        )
        .bind(source.as_str())
        .bind(since.as_millisecond())
        .bind(GAPS_MAX)
        .all(self)
        .await?;
        Ok(ReadSpan {
            from: covered.from.map(|from| oldest.map_or(from, |oldest| oldest.min(from))),
            until: covered.until,
            unread: rows::all(&gaps, "gap", |row| {
                Ok((rows::instant(rows::number(row, 0)?)?, rows::optional_instant(row, 1)?))
            }),
        })
    }

    async fn days_of(&self, source: &SourceId, job: &str, since: i64) -> Result<Vec<DayCount>, StoreError> {
        let found = sqlx::query(DAYS).bind(source.as_str()).bind(job).bind(since).all(self).await?;
        Ok(rows::all(&found, "job_day", day_count))
    }
}

fn day_count(row: &AnyRow) -> Result<DayCount, StoreError> {
    let word = rows::text(row, 1)?;
    Ok(DayCount {
        day: rows::number(row, 0)?,
        status: Status::from_word(&word).ok_or_else(|| rows::unknown("status", &word))?,
        runs: u64::try_from(rows::number(row, 2)?).unwrap_or(0),
    })
}

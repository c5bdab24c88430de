//! What the page and the API show, page by page. Reads only, but for what somebody gives up.
//!
//! A statement holds the conditions that are asked for and no others, so that the database sees which index answers it.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::actions;
use super::ask::Ask as _;
use super::database::SqlStore;
use super::items::{IdItem, clean, to_json};
use super::rows;
use crate::model::{
    Ack, ActionKind, Alert, AlertFacts, AlertId, AlertState, Covered, Delivery, DeliveryId, DeliveryState, Instance,
    Labels, ReceiverId, SourceId, Status,
};
use crate::store::board::{AlertAsk, Board, DayCount, DeliveryAsk, Place, ReadSpan, SlotCount, StepRow, ToldWhen};
use crate::store::error::StoreError;

/// Runs are counted by quarters of an hour: every zone's days begin with one.
const SLOT_MS: i64 = 900_000;

/// What is counted of a job's runs that are no longer kept.
const DAYS: &str = "SELECT day, status, CAST(SUM(runs) AS BIGINT) FROM job_day \
     WHERE source = $1 AND job = $2 AND day >= $3 GROUP BY day, status ORDER BY day";

/// The conditions of a statement, with what is bound for them.
#[derive(Default)]
struct Wanted {
    conditions: Vec<String>,
    bound: Vec<Bound>,
    /// By what the rows are sorted, where that is no index's plain age.
    age: Option<&'static str>,
}

enum Bound {
    Text(String),
    Number(i64),
}

impl Wanted {
    /// Asks for `condition`, in which `?` is what is bound.
    fn and(&mut self, condition: &str, value: Option<Bound>) {
        let Some(value) = value else { return };
        self.bound.push(value);
        self.conditions.push(condition.replace('?', &format!("${}", self.bound.len())));
    }

    /// Asks for what stands after a place in a list from the newest to the oldest.
    fn after(&mut self, place: Option<&Place>) {
        let Some(place) = place else { return };
        self.bound.push(Bound::Number(place.at.as_millisecond()));
        self.bound.push(text(&place.id));
        let last = self.bound.len();
        let (age, at) = (self.age(), last - 1);
        self.conditions.push(format!("({age}, id) < (${at}, ${last})"));
        if self.age.is_some() {
            // An index of an expression is entered by a bound of that alone.
            self.conditions.push(format!("{age} <= ${at}"));
        }
    }

    fn age(&self) -> &'static str {
        self.age.unwrap_or("created_at")
    }

    /// The statement that selects `columns` of so many rows of `table`, the newest first.
    fn newest(&self, columns: &str, table: &str, limit: usize) -> AssertSqlSafe<String> {
        let conditions = if self.conditions.is_empty() { "1 = 1".into() } else { self.conditions.join(" AND ") };
        let age = self.age();
        AssertSqlSafe(format!(
            "SELECT {columns} FROM {table} WHERE {conditions} ORDER BY {age} DESC, id DESC LIMIT {limit}"
        ))
    }
}

/// The statement with everything bound in its place.
fn filled(sql: AssertSqlSafe<String>, wanted: Wanted) -> Query<'static, sqlx::Any, AnyArguments> {
    wanted.bound.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Bound::Text(text) => query.bind(text),
        Bound::Number(number) => query.bind(number),
    })
}

fn text(value: impl ToString) -> Bound {
    // What somebody typed into an address may hold anything.
    Bound::Text(clean(&value.to_string()).into_owned())
}

fn at(instant: Timestamp) -> Bound {
    Bound::Number(instant.as_millisecond())
}

/// What is asked of alerts. What stands inside COALESCE is found by no index: the others leave fewer rows.
fn alerts_sql(ask: &AlertAsk, limit: usize) -> (AssertSqlSafe<String>, Wanted) {
    let mut wanted = Wanted::default();
    match ask.state {
        // What fires has indexes of its own, and a database sees that only in the text.
        Some(AlertState::Firing) => wanted.conditions.push("state = 'firing'".into()),
        // What is over is nearly all there is.
        Some(AlertState::Resolved) => wanted.conditions.push("COALESCE(state, '') = 'resolved'".into()),
        None => {}
    }
    match ask.is_suspended {
        Some(true) => wanted.conditions.push("suspended_at IS NOT NULL".into()),
        Some(false) => wanted.conditions.push("suspended_at IS NULL".into()),
        None => {}
    }
    // Each has an index of its own: what fires one of the bare column.
    let urgency = if ask.state == Some(AlertState::Firing) { "urgency = ?" } else { "COALESCE(urgency, 0) = ?" };
    wanted.and(urgency, ask.severity.map(|severity| Bound::Number(i64::from(severity.urgency()))));
    let source = if ask.job.is_some() { "COALESCE(source, '') = ?" } else { "source = ?" };
    wanted.and(source, ask.source.as_ref().map(text));
    wanted.and("job = ?", ask.job.as_ref().map(text));
    wanted.and("rule = ?", ask.rule.as_ref().map(text));
    wanted.and("created_at >= ?", ask.since.map(at));
    wanted.after(ask.after.as_ref());
    (wanted.newest(rows::ALERT_COLUMNS, "alert", limit), wanted)
}

/// What is asked of deliveries.
fn deliveries_sql(ask: &DeliveryAsk, limit: usize) -> (AssertSqlSafe<String>, Wanted) {
    let mut wanted = Wanted::default();
    if let Some(state) = ask.state {
        wanted.conditions.push(format!("state = '{}'", state.as_str()));
        // What is pending, and what was merged for all receivers, has indexes by an expression that nobody else asks for.
        let is_of_all = state == DeliveryState::Merged && ask.receiver.is_none();
        wanted.age = (state == DeliveryState::Pending || is_of_all).then_some("created_at + 0");
    }
    if ask.state == Some(DeliveryState::Dead) {
        wanted.conditions.push("dropped_at IS NULL".into());
    }
    if ask.digests {
        wanted.conditions.push("kind = 'digest'".into());
    }
    // What is pending or dead is found by its state, of which there is little: no index is of its expression. What is merged has
    // an index of its own by receiver, and the list of all that a receiver was sent has one of the last expression.
    let receiver = match ask.state {
        Some(DeliveryState::Pending | DeliveryState::Dead) => "receiver || '' = ?",
        Some(DeliveryState::Merged) => "receiver = ?",
        Some(DeliveryState::Delivered) | None => "COALESCE(receiver, '') = ?",
    };
    wanted.and(receiver, ask.receiver.as_ref().map(text));
    wanted.and("alert = ?", ask.alert.as_ref().map(text));
    if ask.alert.is_some() {
        // No index is sorted by this sum: the few rows of an alert are found by it, and sorted.
        wanted.age = Some("0 + created_at");
    }
    wanted.after(ask.after.as_ref());
    (wanted.newest(rows::DELIVERY_COLUMNS, "delivery", limit), wanted)
}

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

    async fn labels_of(&self, alerts: &[AlertId]) -> Result<HashMap<AlertId, Labels>, StoreError> {
        let items: Vec<IdItem> = alerts.iter().map(|alert| IdItem { id: alert.as_str() }).collect();
        let statement =
            AssertSqlSafe(format!("SELECT id, facts FROM alert WHERE id IN {}", self.dialect.bound_texts(1)));
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        let labels_of = |row: &AnyRow| {
            let facts: AlertFacts = rows::json(row, 1)?;
            Ok((AlertId::new(rows::text(row, 0)?), facts.alert.labels))
        };
        Ok(rows::all(&found, "alert", labels_of).into_iter().collect())
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

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::plans::lists;
    use super::*;
    use crate::store::Mode;

    /// Each way to ask for a list, and the index that must answer it, so that a page takes no longer the more is stored.
    #[tokio::test]
    async fn every_list_is_answered_by_its_index() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("plan.db").display());
        let store = SqlStore::open(&url, Mode::Work).await.unwrap();
        let alerts = lists::of_alerts().into_iter().map(|(ask, index)| (alerts_sql(&ask, 5), index));
        let deliveries = lists::of_deliveries().into_iter().map(|(ask, index)| (deliveries_sql(&ask, 5), index));
        for ((sql, wanted), index) in alerts.chain(deliveries) {
            let AssertSqlSafe(sql) = sql;
            let query = filled(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")), wanted);
            let found = query.fetch_all(&store.readers).await.unwrap();
            let plan: Vec<String> = found.iter().map(|row| row.get::<String, _>(3)).collect();
            assert!(plan[0].split([' ', '(']).any(|word| word == index), "{index} does not answer {sql}\n{plan:#?}");
        }
        store.close().await;
    }
}

//! Alerts that go further: which step is due, the one transaction that takes it, and the word of the end to whom it told.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::insert::bury_late_followers;
use super::items::{IdItem, StepItem, milliseconds, to_json};
use super::{insert, rows};
use crate::limits::UNWATCHED_AFTER;
use crate::model::{AlertId, DeliveryId, DueStep, EscalatedEnd, Notification, ReceiverId, RuleStep, StepTaken};
use crate::store::error::StoreError;
use crate::store::escalation::{AfterStep, Steps};

/// The steps that alerts have before them (`$1`: the steps of the rules), with when the alert was first told, and since when and
/// how long they wait. A telling is what is pending, whether or not it has arrived: who cannot be reached must not keep others
/// from being told. A step whose receivers are all gone since it was taken is before the alert once more, ten minutes after the
/// last of them went, for whom it names now: so it is with the first receivers of an alert. Of two that had told the same
/// receiver, as those of two rounds, it is the later one.
fn ahead(store: &SqlStore) -> String {
    let told = "FROM escalation JOIN receiver AS told ON told.id = escalation.receiver \
                WHERE escalation.alert = alert.id AND escalation.step = item.number";
    let untaken = format!(
        "SELECT alert.id AS alert, item.number AS number, item.delay AS delay, \
           (SELECT MIN(first.created_at) FROM delivery AS first WHERE first.alert = alert.id \
             AND first.kind = 'alert.firing' AND first.stands_in_for IS NULL) AS told_at, \
           (SELECT MAX(told.removed_at) {told} AND NOT EXISTS (SELECT 1 FROM escalation AS later \
             WHERE later.alert = alert.id AND later.step > item.number AND later.receiver = told.id)) AS gone_at \
         FROM {} JOIN alert ON alert.rule = item.rule \
         WHERE alert.state = 'firing' AND alert.suppressed_by IS NULL AND alert.suspended_at IS NULL \
           AND NOT EXISTS (SELECT 1 {told} AND told.removed_at IS NULL) \
           AND (item.unless_acked = 0 OR NOT EXISTS (SELECT 1 FROM ack WHERE ack.alert = alert.id))",
        store.dialect.items(StepItem::COLUMNS)
    );
    format!(
        "SELECT alert, number, told_at, COALESCE(gone_at, told_at) AS since, \
           CASE WHEN gone_at IS NULL THEN delay ELSE {} END AS wait FROM ({untaken}) AS untaken \
         WHERE gone_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM escalation \
           WHERE escalation.alert = untaken.alert AND escalation.step = untaken.number)",
        milliseconds(UNWATCHED_AFTER)
    )
}

/// When a step is due.
const DUE_AT: &str = "ahead.since + ahead.wait";
/// What a step counts from is further ahead of `$3` than it waits: the clock was set back since, and the step is due.
const COUNTS_AHEAD: &str = "ahead.since > $3 + ahead.wait";

fn bound(steps: &[RuleStep]) -> Result<String, StoreError> {
    let items: Vec<StepItem> = steps
        .iter()
        .map(|step| StepItem {
            rule: step.rule.as_str(),
            number: step.number,
            delay: i64::try_from(step.after.as_millis()).unwrap_or(i64::MAX / 2),
            unless_acked: u8::from(step.unless_acked),
        })
        .collect();
    to_json(&items)
}

/// The step that an end is said to answer which is owed to one of the first who were notified.
const FIRST_STEP: i64 = 1;

impl Steps for SqlStore {
    async fn due_steps(
        &self,
        steps: &[RuleStep],
        (from, until): (Timestamp, Timestamp),
        after: Option<&AfterStep>,
        limit: usize,
    ) -> Result<Vec<DueStep>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {}, ahead.number, ahead.told_at, {DUE_AT}, ack.author \
             FROM ({}) AS ahead JOIN alert ON alert.id = ahead.alert LEFT JOIN ack ON ack.alert = ahead.alert \
             WHERE ({DUE_AT} BETWEEN $2 AND $3 OR {COUNTS_AHEAD}) AND ({DUE_AT}, ahead.alert, ahead.number) > ($4, $5, $6) \
             ORDER BY {DUE_AT}, ahead.alert, ahead.number LIMIT $7",
            rows::alert_columns(),
            ahead(self)
        ));
        let found = sqlx::query(statement)
            .bind(bound(steps)?)
            .bind(from.as_millisecond())
            .bind(until.as_millisecond())
            .bind(after.map_or(i64::MIN, |after| after.due_at.as_millisecond()))
            .bind(after.map_or("", |after| after.alert.as_str()))
            .bind(after.map_or(0, |after| i64::from(after.number)))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(self)
            .await?;
        let mut due = rows::all(&found, "alert", due_step);
        for step in &mut due {
            step.notified = notified_before(self, &step.alert.id).await?;
        }
        Ok(due)
    }

    async fn next_step(&self, steps: &[RuleStep], after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let statement =
            sqlx::AssertSqlSafe(format!("SELECT MIN({DUE_AT}) FROM ({}) AS ahead WHERE {DUE_AT} > $2", ahead(self)));
        let row = sqlx::query(statement).bind(bound(steps)?).bind(after.as_millisecond()).one(self).await?;
        rows::optional_instant(&row, 0)
    }

    async fn take_steps(&self, taken: &[StepTaken], now: Timestamp) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
                if taken.is_empty() {
                    return Ok(0);
                }
                let mut write = self.write().await?;
                let mut pending = 0;
                for step in taken {
                    if is_still_due(self, &mut write, step).await? {
                        for delivery in &step.deliveries {
                            pending += take_one(self, &mut write, step, delivery, now).await?;
                        }
                    }
                }
                self.commit(write).await?;
                Ok(pending)
            })
        })
        .await
    }

    async fn escalated_ends(&self, limit: usize) -> Result<Vec<EscalatedEnd>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {}, escalation.step, escalation.receiver, escalation.delivery FROM escalation \
               JOIN alert ON alert.id = escalation.alert WHERE escalation.ended = 0 AND alert.state = 'resolved' \
             ORDER BY escalation.alert, escalation.step DESC, escalation.receiver LIMIT $1",
            rows::alert_columns()
        ));
        let mut found = sqlx::query(statement).bind(i64::try_from(limit).unwrap_or(i64::MAX)).all(self).await?;
        if found.is_empty() {
            let owed = sqlx::AssertSqlSafe(format!(
                "SELECT {}, CAST({FIRST_STEP} AS BIGINT), end_owed.receiver, end_owed.delivery FROM end_owed \
                   JOIN alert ON alert.id = end_owed.alert WHERE alert.state = 'resolved' \
                 ORDER BY end_owed.alert, end_owed.receiver LIMIT $1",
                rows::alert_columns()
            ));
            let owed = sqlx::query(owed).bind(i64::try_from(limit).unwrap_or(i64::MAX)).all(self).await?;
            found = owed;
        }
        Ok(rows::all(&found, "alert", |row| {
            Ok(EscalatedEnd {
                alert: rows::alert(row)?,
                number: step_number(row, rows::alert_width())?,
                receiver: ReceiverId::new(rows::text(row, rows::alert_width() + 1)?),
                told_by: DeliveryId::new(rows::text(row, rows::alert_width() + 2)?),
                answer: None,
            })
        }))
    }

    async fn owe_ends(&self, owed: &[(AlertId, ReceiverId)]) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let mut noted = 0;
                for (alert, receiver) in owed {
                    let done = sqlx::query(
                        "INSERT INTO end_owed (alert, receiver, delivery) \
                           SELECT alert, receiver, MIN(id) FROM delivery \
                           WHERE alert = $1 AND receiver = $2 AND kind = 'alert.firing' GROUP BY alert, receiver \
                         ON CONFLICT (alert, receiver) DO NOTHING",
                    )
                    .bind(alert.as_str())
                    .bind(receiver.as_str())
                    .run(self, write.on())
                    .await?;
                    noted += done;
                }
                self.commit(write).await?;
                Ok(noted)
            })
        })
        .await
    }

    async fn settle_ends(&self, ends: &[EscalatedEnd]) -> Result<u64, StoreError> {
        self.retried(|| {
            Box::pin(async {
                if ends.is_empty() {
                    return Ok(0);
                }
                let mut write = self.write().await?;
                let mut told = Vec::new();
                for end in ends {
                    settle(self, &mut write, end).await?;
                    let Some(answer) = &end.answer else { continue };
                    if !knows_of_end(self, &mut write, end).await? {
                        insert::add(self, &mut write, std::slice::from_ref(answer)).await?;
                        told.push(IdItem { id: answer.id.as_str() });
                    }
                }
                insert::execute(self, &mut write, &self.statements.follow_merged, &told).await?;
                bury_late_followers(self, &mut write, &told).await?;
                self.commit(write).await?;
                Ok(told.len() as u64)
            })
        })
        .await
    }
}

/// Notes that an end needs no further look: of a step, or of one that was owed.
async fn settle(store: &SqlStore, write: &mut Write, end: &EscalatedEnd) -> Result<(), StoreError> {
    let is_owed = i64::from(end.number) == FIRST_STEP;
    let statement = match is_owed {
        true => sqlx::query("DELETE FROM end_owed WHERE alert = $1 AND receiver = $2"),
        false => sqlx::query("UPDATE escalation SET ended = 1 WHERE alert = $1 AND receiver = $2 AND step = $3"),
    };
    let statement = statement.bind(end.alert.id.as_str()).bind(end.receiver.as_str());
    let statement = if is_owed { statement } else { statement.bind(i64::from(end.number)) };
    statement.run(store, write.on()).await.map(drop)
}

fn due_step(row: &AnyRow) -> Result<DueStep, StoreError> {
    Ok(DueStep {
        alert: rows::alert(row)?,
        number: step_number(row, rows::alert_width())?,
        told_at: rows::instant(rows::number(row, rows::alert_width() + 1)?)?,
        due_at: rows::instant(rows::number(row, rows::alert_width() + 2)?)?,
        notified: Vec::new(),
        acked_by: rows::optional_text(row, rows::alert_width() + 3)?,
    })
}

fn step_number(row: &AnyRow, index: usize) -> Result<u32, StoreError> {
    let number = rows::number(row, index)?;
    u32::try_from(number).map_err(|_| rows::unknown("step", &number.to_string()))
}

/// Who is to be notified of the beginning of the alert, and whether one of the messages has arrived; what was merged fares as the
/// message that tells it.
async fn notified_before(store: &SqlStore, alert: &AlertId) -> Result<Vec<(ReceiverId, bool)>, StoreError> {
    let found = sqlx::query(
        "SELECT one.receiver, MAX(CASE COALESCE(whole.state, one.state) WHEN 'delivered' THEN 1 ELSE 0 END) \
         FROM delivery AS one LEFT JOIN delivery AS whole ON whole.id = one.merged_into \
         WHERE one.alert = $1 AND one.kind = 'alert.firing' AND one.stands_in_for IS NULL \
         GROUP BY one.receiver ORDER BY MIN(one.created_at), one.receiver",
    )
    .bind(alert.as_str())
    .all(store)
    .await?;
    found.iter().map(|row| Ok((ReceiverId::new(rows::text(row, 0)?), rows::number(row, 1)? != 0))).collect()
}

/// Whether the alert still fires, is told, and nobody has taken it on since: what was read before may be old by now.
async fn is_still_due(store: &SqlStore, write: &mut Write, step: &StepTaken) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "SELECT 1 FROM alert WHERE id = $1 AND state = 'firing' AND suppressed_by IS NULL AND suspended_at IS NULL \
           AND ($2 = 0 OR NOT EXISTS (SELECT 1 FROM ack WHERE ack.alert = alert.id))",
    )
    .bind(step.alert.as_str())
    .bind(i64::from(step.unless_acked))
    .at_most_one_in(store, write.on())
    .await?;
    Ok(found.is_some())
}

/// Adds the message of a step for one receiver, once. Returns how many that were.
async fn take_one(
    store: &SqlStore,
    write: &mut Write,
    step: &StepTaken,
    delivery: &Notification,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "INSERT INTO escalation (alert, step, receiver, delivery, note, taken_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (alert, step, receiver) DO NOTHING",
    )
    .bind(step.alert.as_str())
    .bind(i64::from(step.number))
    .bind(delivery.receiver.as_str())
    .bind(delivery.id.as_str())
    .bind(to_json(&step.note)?)
    .bind(now.as_millisecond())
    .run(store, write.on())
    .await?;
    if done > 0 {
        insert::add(store, write, std::slice::from_ref(delivery)).await?;
    }
    Ok(done)
}

/// Whether the receiver is told of the end anyway: as one of the first who were told, or in another's place.
async fn knows_of_end(store: &SqlStore, write: &mut Write, end: &EscalatedEnd) -> Result<bool, StoreError> {
    let found =
        sqlx::query("SELECT 1 FROM delivery WHERE alert = $1 AND receiver = $2 AND kind = 'alert.resolved' LIMIT 1")
            .bind(end.alert.id.as_str())
            .bind(end.receiver.as_str())
            .at_most_one_in(store, write.on())
            .await?;
    Ok(found.is_some())
}

//! From rows to values. A row that cannot be understood is an error of that row, never a panic: its neighbours live.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::{
    Alert, AlertId, Delivery, DeliveryId, DeliveryState, GroupPlace, Instance, InstanceKey, InstanceType, JobRef,
    MessageKind, Notification, ReceiverId, Revival, RuleId, Severity, Snapshot, SourceId, Status, Suppression,
};
use crate::store::archive::JobHistory;
use crate::store::error::StoreError;

/// The columns that [`alert`] reads, in its order.
pub(super) const ALERT_COLUMNS: &str = "id, source, rule, facts, suspended_at, receivers, suppressed_by, created_at, \
     generation";

/// The columns that [`delivery`] reads, in its order.
pub(super) const DELIVERY_COLUMNS: &str = "id, alert, rule, receiver, kind, follows, state, attempts, done, \
     last_status, last_error, created_at, next_attempt_at, delivered_at, urgency, merged_into, stands_in_for, \
     reference, (SELECT COALESCE(leader.reference, whole.reference) FROM delivery AS leader \
       LEFT JOIN delivery AS whole ON whole.id = leader.merged_into \
       WHERE leader.id = COALESCE(delivery.follows, delivery.in_thread_of)), revived_at, \
     revived_attempts, content, group_key, group_interval, group_repeat, group_told_at, \
     (SELECT COALESCE(whole.kind, leader.kind) FROM delivery AS leader \
       LEFT JOIN delivery AS whole ON whole.id = leader.merged_into \
       WHERE leader.id = COALESCE(delivery.follows, delivery.in_thread_of)), patience_spent, rendered_for, in_thread_of, \
     since, dropped_at";

/// The columns that [`snapshot`] reads, in its order.
pub(super) const SNAPSHOT_COLUMNS: &str = "job, id, status, kind, plan_time, start_time, end_time";

/// The same of the table `instance` among others.
pub(super) fn snapshot_columns() -> String {
    SNAPSHOT_COLUMNS.split(", ").map(|column| format!("instance.{column}")).collect::<Vec<_>>().join(", ")
}

/// The columns that [`instance`] reads, in its order.
pub(super) const INSTANCE_COLUMNS: &str =
    "source, job, id, job_id, name, status, raw_status, kind, plan_time, start_time, end_time";

/// The same of the table `alert` among others.
pub(super) fn alert_columns() -> String {
    ALERT_COLUMNS.split(", ").map(|column| format!("alert.{column}")).collect::<Vec<_>>().join(", ")
}

/// How many columns an alert has: what a statement selects behind it begins there.
pub(super) fn alert_width() -> usize {
    ALERT_COLUMNS.split(", ").count()
}

/// Decodes each row; one that cannot be is logged and left out.
pub(super) fn all<T>(rows: &[AnyRow], table: &str, decode: impl Fn(&AnyRow) -> Result<T, StoreError>) -> Vec<T> {
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        match decode(row) {
            Ok(value) => values.push(value),
            Err(error) => tracing::error!(table, %error, "left out a row of the store"),
        }
    }
    values
}

pub(super) fn alert(row: &AnyRow) -> Result<Alert, StoreError> {
    let id = text(row, 0)?;
    let decoded = || -> Result<Alert, StoreError> {
        Ok(Alert {
            id: AlertId::new(&id),
            source: SourceId::new(text(row, 1)?),
            rule: RuleId::new(text(row, 2)?),
            facts: json(row, 3)?,
            suspended_at: optional_instant(row, 4)?,
            receivers: json(row, 5)?,
            suppressed_by: optional_text(row, 6)?
                .map(|word| Suppression::from_word(&word).ok_or_else(|| unknown("suppression", &word)))
                .transpose()?,
            created_at: instant(number(row, 7)?)?,
            generation: row.try_get(8).map_err(column)?,
        })
    };
    decoded().map_err(|error| of("alert", &id, &error))
}

pub(super) fn delivery(row: &AnyRow) -> Result<Delivery, StoreError> {
    let id = text(row, 0)?;
    let decoded = || -> Result<Delivery, StoreError> {
        let (kind, state) = (text(row, 4)?, text(row, 6)?);
        let attempts = number(row, 7)?;
        let (created_at, next_attempt_at) = (instant(number(row, 11)?)?, optional_instant(row, 12)?);
        let notification = Notification {
            id: DeliveryId::new(&id),
            alert: optional_text(row, 1)?.map(AlertId::new),
            rule: optional_text(row, 2)?.map(RuleId::new),
            severity: severity(row, 14)?,
            receiver: ReceiverId::new(text(row, 3)?),
            kind: MessageKind::from_word(&kind).ok_or_else(|| unknown("kind", &kind))?,
            follows: optional_text(row, 5)?.map(DeliveryId::new),
            in_thread_of: optional_text(row, 29)?.map(DeliveryId::new),
            fallback_for: optional_text(row, 16)?.map(DeliveryId::new),
            group: group_place(row, 22)?,
            content: json(row, 21)?,
            rendered_for: optional_text(row, 28)?,
            since: optional_instant(row, 30)?,
            created_at,
            due_at: next_attempt_at.unwrap_or(created_at),
        };
        Ok(Delivery {
            notification,
            state: DeliveryState::from_word(&state).ok_or_else(|| unknown("state", &state))?,
            merged_into: optional_text(row, 15)?.map(DeliveryId::new),
            attempts: u32::try_from(attempts).map_err(|_| unknown("number of attempts", &attempts.to_string()))?,
            patience_spent: optional_span(row, 27)?.unwrap_or_default(),
            done: json(row, 8)?,
            reference: optional_text(row, 17)?,
            in_reply_to: optional_text(row, 18)?,
            answers_group: optional_text(row, 26)?.as_deref() == Some(MessageKind::AlertGroup.as_str()),
            revived: revival(row, 19)?,
            last_status: optional_text(row, 9)?,
            last_error: optional_text(row, 10)?,
            next_attempt_at,
            delivered_at: optional_instant(row, 13)?,
            dropped_at: optional_instant(row, 31)?,
        })
    };
    decoded().map_err(|error| of("delivery", &id, &error))
}

/// An instance as far as it is remembered: its failure text is with its alerts.
pub(super) fn instance(row: &AnyRow) -> Result<Instance, StoreError> {
    let (job, id) = (text(row, 1)?, text(row, 2)?);
    let decoded = || -> Result<Instance, StoreError> {
        let (status, kind) = (text(row, 5)?, text(row, 7)?);
        Ok(Instance {
            source: SourceId::new(text(row, 0)?),
            id: id.clone(),
            job: JobRef { name: job.clone(), id: optional_text(row, 3)? },
            name: optional_text(row, 4)?,
            status: Status::from_word(&status).ok_or_else(|| unknown("status", &status))?,
            raw_status: text(row, 6)?,
            kind: InstanceType::from_word(&kind).ok_or_else(|| unknown("instance type", &kind))?,
            plan_time: optional_instant(row, 8)?,
            start_time: optional_instant(row, 9)?,
            end_time: optional_instant(row, 10)?,
            error: None,
        })
    };
    decoded().map_err(|error| of("instance", &format!("{job} {id}"), &error))
}

/// What is remembered of a job: source, job, counts, the last instance, the alerts that fire.
pub(super) fn job_history(row: &AnyRow) -> Result<JobHistory, StoreError> {
    let count = |index| Ok::<_, StoreError>(u64::try_from(number(row, index)?).unwrap_or(0));
    let status = text(row, 5)?;
    Ok(JobHistory {
        source: SourceId::new(text(row, 0)?),
        job: text(row, 1)?,
        instances: count(2)?,
        failed: count(3)?,
        succeeded: count(4)?,
        last_status: Status::from_word(&status).ok_or_else(|| unknown("status", &status))?,
        last_plan_time: optional_instant(row, 6)?,
        last_end_time: optional_instant(row, 7)?,
        firing: count(8)?,
    })
}

pub(super) fn snapshot(row: &AnyRow) -> Result<(InstanceKey, Snapshot), StoreError> {
    let key = InstanceKey { job: text(row, 0)?, id: text(row, 1)? };
    let decoded = || -> Result<Snapshot, StoreError> {
        let (status, kind) = (text(row, 2)?, text(row, 3)?);
        Ok(Snapshot {
            status: Status::from_word(&status).ok_or_else(|| unknown("status", &status))?,
            kind: InstanceType::from_word(&kind).ok_or_else(|| unknown("instance type", &kind))?,
            plan_time: optional_instant(row, 4)?,
            start_time: optional_instant(row, 5)?,
            end_time: optional_instant(row, 6)?,
        })
    };
    let snapshot = decoded().map_err(|error| of("instance", &format!("{} {}", key.job, key.id), &error))?;
    Ok((key, snapshot))
}

/// When a delivery was sent again, and after how many attempts: two columns from `index` on.
fn revival(row: &AnyRow, index: usize) -> Result<Option<Revival>, StoreError> {
    let Some(at) = optional_instant(row, index)? else { return Ok(None) };
    let attempts = number(row, index + 1)?;
    let attempts = u32::try_from(attempts).map_err(|_| unknown("number of attempts", &attempts.to_string()))?;
    Ok(Some(Revival { at, attempts }))
}

/// The group of a delivery: four columns from `index` on.
pub(super) fn group_place(row: &AnyRow, index: usize) -> Result<Option<GroupPlace>, StoreError> {
    let Some(key) = optional_text(row, index)? else { return Ok(None) };
    let interval = optional_span(row, index + 1)?.unwrap_or_default();
    Ok(Some(GroupPlace {
        key,
        interval,
        repeat: optional_span(row, index + 2)?,
        told_at: optional_instant(row, index + 3)?,
    }))
}

/// A span of milliseconds.
pub(super) fn optional_span(row: &AnyRow, index: usize) -> Result<Option<Duration>, StoreError> {
    let number = row.try_get::<Option<i64>, _>(index).map_err(column)?;
    let span = |number: i64| {
        u64::try_from(number).map(Duration::from_millis).map_err(|_| unknown("span", &number.to_string()))
    };
    number.map(span).transpose()
}

/// The urgency as a severity; 0 is that of what tells of no alert.
pub(super) fn severity(row: &AnyRow, index: usize) -> Result<Option<Severity>, StoreError> {
    let urgency = number(row, index)?;
    if urgency == 0 {
        return Ok(None);
    }
    let known = u8::try_from(urgency).ok().and_then(Severity::from_urgency);
    known.map(Some).ok_or_else(|| unknown("urgency", &urgency.to_string()))
}

pub(super) fn instance_type(row: &AnyRow, index: usize) -> Result<InstanceType, StoreError> {
    let kind = text(row, index)?;
    InstanceType::from_word(&kind).ok_or_else(|| unknown("instance type", &kind))
}

pub(super) fn text(row: &AnyRow, index: usize) -> Result<String, StoreError> {
    row.try_get(index).map_err(column)
}

pub(super) fn optional_text(row: &AnyRow, index: usize) -> Result<Option<String>, StoreError> {
    row.try_get(index).map_err(column)
}

pub(super) fn number(row: &AnyRow, index: usize) -> Result<i64, StoreError> {
    row.try_get(index).map_err(column)
}

pub(super) fn optional_number(row: &AnyRow, index: usize) -> Result<Option<i64>, StoreError> {
    row.try_get(index).map_err(column)
}

pub(super) fn optional_instant(row: &AnyRow, index: usize) -> Result<Option<Timestamp>, StoreError> {
    row.try_get::<Option<i64>, _>(index).map_err(column)?.map(instant).transpose()
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, index: usize) -> Result<T, StoreError> {
    let text: String = row.try_get(index).map_err(column)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Row(format!("column {}: {error}", index + 1)))
}

pub(super) fn optional_json<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    index: usize,
) -> Result<Option<T>, StoreError> {
    if optional_text(row, index)?.is_none() { Ok(None) } else { json(row, index).map(Some) }
}

pub(super) fn instant(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| StoreError::Row(error.to_string()))
}

fn column(error: sqlx::Error) -> StoreError {
    StoreError::Row(error.to_string())
}

pub(super) fn unknown(what: &str, word: &str) -> StoreError {
    StoreError::Row(format!("unknown {what} {word:?}"))
}

fn of(what: &str, id: &str, error: &StoreError) -> StoreError {
    match error {
        StoreError::Row(reason) => StoreError::Row(format!("{what} {id}: {reason}")),
        other => StoreError::Row(format!("{what} {id}: {other}")),
    }
}

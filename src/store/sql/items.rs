//! What bulk writes bind: values as the rows of a JSON list.
//!
//! A row is a JSON array in the order of its columns, because reading fields by name costs the database twice the time.
//! The macro keeps the order in one place: the struct's fields are the columns.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use serde::ser::{Serialize, SerializeTuple as _, Serializer};

use super::dialect::Column;
use crate::limits::{STORE_STATEMENT_BYTES_MAX, STORE_STATEMENT_ROWS_MAX};
use crate::model::{
    Alert, AlertFacts, AlertState, Content, DeliveryState, Instance, Notification, ReceiverId, Severity,
};
use crate::store::error::StoreError;
use crate::store::ledger::PollCommit;
use crate::store::outbox::Settled;

macro_rules! item {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident $type:ty,)+ }) => {
        $(#[$doc])*
        pub(super) struct $name<'a> {
            $(pub(super) $field: $type,)+
        }

        impl $name<'_> {
            /// The columns, in the order of the array.
            pub(super) const COLUMNS: &'static [Column] = &[$(Column::$kind(stringify!($field))),+];
        }

        impl Serialize for $name<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut row = serializer.serialize_tuple(Self::COLUMNS.len())?;
                $(row.serialize_element(&self.$field)?;)+
                row.end()
            }
        }
    };
}

item! {
    /// A delivery that is named and nothing else.
    IdItem {
        id: Text &'a str,
    }
}

item! {
    /// A lease that is held, and how its loop fares.
    LeaseItem {
        name: Text &'a str,
        token: BigInt i64,
        status: Text Option<&'a str>,
    }
}

item! {
    /// A delivery that is told by another one.
    MemberItem {
        id: Text &'a str,
        group_id: Text &'a str,
    }
}

item! {
    /// A delivery that cannot be understood, and why.
    DamagedItem {
        id: Text &'a str,
        error: Text &'a str,
    }
}

item! {
    /// A job that is named and nothing else.
    JobItem {
        source: Text &'a str,
        job: Text &'a str,
    }
}

item! {
    /// A run that is named and nothing else.
    SubjectItem {
        source: Text &'a str,
        job: Text &'a str,
        instance: Text &'a str,
    }
}

item! {
    /// An alert with what it is about.
    AboutItem {
        id: Text &'a str,
        source: Text &'a str,
        job: Text &'a str,
        instance: Text &'a str,
        rule: Text &'a str,
    }
}

item! {
    /// A later step of a rule.
    StepItem {
        rule: Text &'a str,
        number: BigInt u32,
        delay: BigInt i64,
        unless_acked: BigInt u8,
    }
}

item! {
    /// An instance as the table has it.
    InstanceItem {
        source: Text &'a str,
        job: Text &'a str,
        id: Text &'a str,
        job_id: Text Option<&'a str>,
        name: Text Option<&'a str>,
        status: Text &'static str,
        raw_status: Text &'a str,
        kind: Text &'static str,
        plan_time: BigInt Option<i64>,
        start_time: BigInt Option<i64>,
        end_time: BigInt Option<i64>,
        ended: BigInt i64,
        changed_at: BigInt i64,
        settled_moment: BigInt Option<i64>,
        failed_moment: BigInt Option<i64>,
    }
}

item! {
    /// An alert as the table has it.
    AlertItem {
        id: Text &'a str,
        source: Text &'a str,
        job: Text &'a str,
        instance: Text &'a str,
        rule: Text &'a str,
        state: Text &'static str,
        facts: Text Nested<'a, AlertFacts>,
        resolves_on_end: BigInt i64,
        receivers: Text Nested<'a, Vec<ReceiverId>>,
        suppressed_by: Text Option<String>,
        created_at: BigInt i64,
        ended_at: BigInt Option<i64>,
        noted_moment: BigInt i64,
        generation: BigInt Option<i64>,
        suspended_at: BigInt Option<i64>,
        end_reason: Text Option<&'static str>,
        urgency: BigInt i64,
    }
}

item! {
    /// A delivery as the table has it, pending and unclaimed.
    DeliveryItem {
        id: Text &'a str,
        alert: Text Option<&'a str>,
        rule: Text Option<&'a str>,
        receiver: Text &'a str,
        kind: Text &'static str,
        follows: Text Option<&'a str>,
        state: Text &'static str,
        attempts: BigInt u32,
        done: Text &'static str,
        created_at: BigInt i64,
        next_attempt_at: BigInt i64,
        urgency: BigInt u8,
        stands_in_for: Text Option<&'a str>,
        group_key: Text Option<&'a str>,
        group_interval: BigInt Option<i64>,
        group_repeat: BigInt Option<i64>,
        group_told_at: BigInt Option<i64>,
        rendered_for: Text Option<&'a str>,
        in_thread_of: Text Option<&'a str>,
        since: BigInt Option<i64>,
        content: Text Nested<'a, Content>,
    }
}

item! {
    /// An attempt, and what its delivery becomes by it.
    SettledItem {
        id: Text &'a str,
        number: BigInt u32,
        started_at: BigInt i64,
        ended_at: BigInt i64,
        outcome: Text &'static str,
        status: Text Option<&'a str>,
        error: Text Option<&'a str>,
        state: Text &'static str,
        last_error: Text Option<&'a str>,
        patience_spent: BigInt i64,
        // Null where the attempt reached nobody new.
        done: Text Option<String>,
        next_attempt_at: BigInt Option<i64>,
        delivered_at: BigInt Option<i64>,
        reference: Text Option<&'a str>,
    }
}

/// What stands in a column as a JSON text of its own. It is written out with the row and not before: a poll in which
/// thousands of alerts begin holds one list of them at a time.
pub(super) struct Nested<'a, T>(&'a T);

impl<T: Serialize> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&without_nul(text))
    }
}

/// The JSON lists that a statement over `items` binds, one after the other. Each is made when it is asked for, and has at
/// most [`STORE_STATEMENT_ROWS_MAX`] items and little more than [`STORE_STATEMENT_BYTES_MAX`].
pub(super) fn pieces<T: Serialize>(items: &[T]) -> impl Iterator<Item = Result<String, StoreError>> {
    let mut left = items;
    std::iter::from_fn(move || {
        let mut text = String::new();
        let mut rows = 0;
        while let Some(row) = left.get(rows) {
            if rows == STORE_STATEMENT_ROWS_MAX || text.len() >= STORE_STATEMENT_BYTES_MAX {
                break;
            }
            text.push(if rows == 0 { '[' } else { ',' });
            match to_json(row) {
                Ok(row) => text.push_str(&row),
                Err(error) => return Some(Err(error)),
            }
            rows += 1;
        }
        text.push(']');
        left = &left[rows..];
        (rows > 0).then_some(Ok(text))
    })
}

/// The JSON lists that statements bind, each of at most [`STORE_STATEMENT_ROWS_MAX`] items.
pub(super) fn lists<T: Serialize>(items: &[T]) -> Result<Vec<String>, StoreError> {
    items.chunks(STORE_STATEMENT_ROWS_MAX).map(|piece| to_json(&piece)).collect()
}

/// A value as JSON text that every database takes.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map(without_nul).map_err(|error| StoreError::Row(error.to_string()))
}

/// A text that every database takes: PostgreSQL has none with a NUL in it.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Where the ids end that begin with `prefix`: all of them stand before it, and all that stand from `prefix` to it are such.
pub(super) fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// The JSON text with U+FFFD in the place of each NUL. PostgreSQL would refuse all that is bound with one, and nobody means
/// anything by it. What sources answer has none any more; this is for whatever else may.
fn without_nul(json: String) -> String {
    const NUL: &str = "\\u0000";
    if memmem::find(json.as_bytes(), NUL.as_bytes()).is_none() {
        return json;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        // A backslash and what it escapes go together: an escaped backslash before "u0000" is no NUL.
        let (escape, written) = match rest.starts_with(NUL) {
            true => (NUL.len(), "\\ufffd"),
            false => (2, &rest[..2]),
        };
        clean.push_str(written);
        rest = &rest[escape..];
    }
    clean + rest
}

/// The instances as items, recorded with `sequence`, in key order: writers that lock rows in the same order cannot block each other for good.
pub(super) fn instance_items<A>(commit: &PollCommit<A>, sequence: i64) -> Vec<InstanceItem<'_>> {
    let mut items: Vec<InstanceItem> =
        commit.instances.iter().map(|instance| instance_item(instance, commit, sequence)).collect();
    items.sort_by(|one, other| (one.job, one.id).cmp(&(other.job, other.id)));
    items.dedup_by(|next, kept| {
        let same = (next.job, next.id) == (kept.job, kept.id);
        if same {
            // The last word on an instance counts.
            std::mem::swap(next, kept);
        }
        same
    });
    items
}

fn instance_item<'a, A>(instance: &'a Instance, commit: &'a PollCommit<A>, sequence: i64) -> InstanceItem<'a> {
    InstanceItem {
        source: commit.source.as_str(),
        job: &instance.job.name,
        id: &instance.id,
        job_id: instance.job.id.as_deref(),
        name: instance.name.as_deref(),
        status: instance.status.as_str(),
        raw_status: &instance.raw_status,
        kind: instance.kind.as_str(),
        plan_time: instance.plan_time.map(Timestamp::as_millisecond),
        start_time: instance.start_time.map(Timestamp::as_millisecond),
        end_time: instance.end_time.map(Timestamp::as_millisecond),
        ended: i64::from(instance.status.has_ended()),
        changed_at: commit.now.as_millisecond(),
        settled_moment: instance.status.has_ended().then_some(sequence),
        failed_moment: instance.status.is_failure().then_some(sequence),
    }
}

/// The alerts as items, recorded with `sequence` if they are new, in key order.
pub(super) fn alert_items(alerts: &[impl Borrow<Alert>], now: Timestamp, sequence: i64) -> Vec<AlertItem<'_>> {
    let mut items: Vec<AlertItem> = alerts.iter().map(|alert| alert_item(alert.borrow(), now, sequence)).collect();
    items.sort_by(|one, other| one.id.cmp(other.id));
    items
}

fn alert_item(alert: &Alert, now: Timestamp, sequence: i64) -> AlertItem<'_> {
    AlertItem {
        id: alert.id.as_str(),
        source: alert.source.as_str(),
        job: &alert.facts.job.name,
        instance: alert.facts.instance.as_ref().map_or("", |instance| &instance.id),
        rule: alert.rule.as_str(),
        state: alert.state().as_str(),
        facts: Nested(&alert.facts),
        // Of older versions; whether the end of the run is the end of the alert is judged from the run now.
        resolves_on_end: 0,
        receivers: Nested(&alert.receivers),
        suppressed_by: alert.suppressed_by.as_ref().map(ToString::to_string),
        created_at: alert.created_at.as_millisecond(),
        ended_at: match alert.state() {
            AlertState::Firing => None,
            AlertState::Resolved => Some(alert.facts.alert.ends_at.unwrap_or(now).as_millisecond()),
        },
        noted_moment: sequence,
        generation: alert.generation,
        suspended_at: alert.suspended_at.map(Timestamp::as_millisecond),
        end_reason: alert.facts.alert.ended.as_ref().map(|ended| ended.reason.as_str()),
        urgency: i64::from(alert.facts.alert.severity.urgency()),
    }
}

/// Deliveries as items, in key order.
pub(super) fn delivery_items<'a>(notifications: impl Iterator<Item = &'a Notification>) -> Vec<DeliveryItem<'a>> {
    let mut items: Vec<DeliveryItem> = notifications.map(delivery_item).collect();
    items.sort_by(|one, other| one.id.cmp(other.id));
    items
}

fn delivery_item(notification: &Notification) -> DeliveryItem<'_> {
    let group = notification.group.as_ref();
    DeliveryItem {
        id: notification.id.as_str(),
        alert: notification.alert.as_ref().map(|alert| alert.as_str()),
        rule: notification.rule.as_ref().map(|rule| rule.as_str()),
        receiver: notification.receiver.as_str(),
        kind: notification.kind.as_str(),
        follows: notification.follows.as_ref().map(|id| id.as_str()),
        state: DeliveryState::Pending.as_str(),
        attempts: 0,
        done: "[]",
        created_at: notification.created_at.as_millisecond(),
        next_attempt_at: notification.due_at.as_millisecond(),
        urgency: notification.severity.map_or(0, Severity::urgency),
        stands_in_for: notification.fallback_for.as_ref().map(|id| id.as_str()),
        group_key: group.map(|group| group.key.as_str()),
        group_interval: group.map(|group| milliseconds(group.interval)),
        group_repeat: group.and_then(|group| group.repeat).map(milliseconds),
        group_told_at: group.and_then(|group| group.told_at).map(Timestamp::as_millisecond),
        rendered_for: notification.rendered_for.as_deref(),
        in_thread_of: notification.in_thread_of.as_ref().map(|id| id.as_str()),
        since: notification.since.map(Timestamp::as_millisecond),
        content: Nested(&notification.content),
    }
}

pub(super) fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Settled attempts as items, in key order. `done` has the recipients by delivery, where they changed.
pub(super) fn settled_items<'a>(
    settled: &'a [Settled],
    done: &HashMap<&str, Vec<String>>,
) -> Result<Vec<SettledItem<'a>>, StoreError> {
    let mut items =
        settled.iter().map(|one| settled_item(one, done.get(one.id.as_str()))).collect::<Result<Vec<_>, _>>()?;
    items.sort_by(|one, other| (one.id, one.number).cmp(&(other.id, other.number)));
    Ok(items)
}

fn settled_item<'a>(settled: &'a Settled, done: Option<&Vec<String>>) -> Result<SettledItem<'a>, StoreError> {
    let ended_at = settled.ended_at.as_millisecond();
    Ok(SettledItem {
        id: settled.id.as_str(),
        number: settled.attempt_number,
        started_at: settled.started_at.as_millisecond(),
        ended_at,
        outcome: settled.attempt.outcome.as_str(),
        status: settled.attempt.status.as_deref(),
        error: settled.attempt.error.as_deref(),
        state: settled.state.as_str(),
        last_error: settled.last_error.as_deref(),
        patience_spent: milliseconds(settled.patience_spent),
        done: done.map(to_json).transpose()?,
        next_attempt_at: (settled.state == DeliveryState::Pending)
            .then(|| settled.next_attempt_at.map_or(ended_at, Timestamp::as_millisecond)),
        delivered_at: (settled.state == DeliveryState::Delivered).then_some(ended_at),
        reference: settled.attempt.reference.as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_not() {
        for text in ["", "a\0b", "\0", "\\u0000", "\\\0", "\\\\u0000\0\\", "引\0\"", "no nul at all", "tab\t\0\u{1}"] {
            let json = to_json(&text).unwrap();
            let read: String = serde_json::from_str(&json).unwrap();
            assert_eq!(read, text.replace('\0', "\u{fffd}"), "{json}");
            assert_eq!(read, clean(text));
        }
    }
}

//! Each way to ask for a list of the page and the API, with the index that must answer it.

use jiff::Timestamp;

use crate::model::{AlertState, DeliveryState, Severity};
use crate::store::board::{AlertAsk, DeliveryAsk, Place};

/// In the midst of a list.
fn place() -> Option<Place> {
    Some(Place { at: Timestamp::from_second(1_796_574_000).unwrap(), id: "a150000".into() })
}

/// Each way to ask for alerts.
pub(in crate::store::sql) fn of_alerts() -> Vec<(AlertAsk, &'static str)> {
    let (firing, resolved) = (Some(AlertState::Firing), Some(AlertState::Resolved));
    let critical = Some(Severity::Critical);
    let none = AlertAsk::default;
    let (source, job, rule) = (Some("warehouse".into()), Some("job7".to_string()), Some("failed".into()));
    vec![
        (none(), "alert_by_age"),
        (AlertAsk { after: place(), ..none() }, "alert_by_age"),
        (AlertAsk { state: resolved, ..none() }, "alert_by_age"),
        (AlertAsk { since: Some(Timestamp::UNIX_EPOCH), ..none() }, "alert_by_age"),
        (AlertAsk { state: firing, ..none() }, "alert_firing_by_age"),
        (AlertAsk { state: firing, after: place(), ..none() }, "alert_firing_by_age"),
        (
            AlertAsk { state: firing, is_suspended: Some(false), severity: critical, ..none() },
            "alert_firing_by_urgency",
        ),
        (AlertAsk { state: firing, severity: critical, after: place(), ..none() }, "alert_firing_by_urgency"),
        (AlertAsk { severity: critical, ..none() }, "alert_by_urgency"),
        (AlertAsk { state: resolved, severity: critical, ..none() }, "alert_by_urgency"),
        (AlertAsk { state: resolved, severity: critical, after: place(), ..none() }, "alert_by_urgency"),
        (AlertAsk { state: firing, is_suspended: Some(true), ..none() }, "alert_suspended"),
        (AlertAsk { rule, after: place(), ..none() }, "alert_by_rule"),
        (AlertAsk { source: source.clone(), ..none() }, "alert_by_source"),
        (AlertAsk { source: source.clone(), job: job.clone(), ..none() }, "alert_by_job"),
        (AlertAsk { source, job: job.clone(), after: place(), ..none() }, "alert_by_job"),
        (AlertAsk { job, ..none() }, "alert_by_job"),
    ]
}

/// Each way to ask for deliveries.
pub(in crate::store::sql) fn of_deliveries() -> Vec<(DeliveryAsk, &'static str)> {
    let all = DeliveryAsk::default;
    let of = |state| DeliveryAsk { state: Some(state), receiver: Some("hook".into()), ..all() };
    vec![
        (all(), "delivery_by_age"),
        (DeliveryAsk { after: place(), ..all() }, "delivery_by_age"),
        (DeliveryAsk { receiver: Some("hook".into()), ..all() }, "delivery_by_receiver"),
        (of(DeliveryState::Delivered), "delivery_by_receiver"),
        (of(DeliveryState::Dead), "delivery_dead_by_age"),
        (of(DeliveryState::Pending), "delivery_pending_by_age"),
        (DeliveryAsk { after: place(), ..of(DeliveryState::Pending) }, "delivery_pending_by_age"),
        (DeliveryAsk { state: Some(DeliveryState::Pending), ..all() }, "delivery_pending_by_age"),
        (DeliveryAsk { state: Some(DeliveryState::Pending), after: place(), ..all() }, "delivery_pending_by_age"),
        (DeliveryAsk { state: Some(DeliveryState::Dead), ..all() }, "delivery_dead_by_age"),
        (DeliveryAsk { state: Some(DeliveryState::Delivered), ..all() }, "delivery_by_age"),
        (of(DeliveryState::Merged), "delivery_merged_by_receiver"),
        (DeliveryAsk { after: place(), ..of(DeliveryState::Merged) }, "delivery_merged_by_receiver"),
        (DeliveryAsk { state: Some(DeliveryState::Merged), ..all() }, "delivery_merged_by_age"),
        (DeliveryAsk { state: Some(DeliveryState::Merged), after: place(), ..all() }, "delivery_merged_by_age"),
        (DeliveryAsk { alert: Some("a150000".into()), ..all() }, "delivery_by_alert"),
        (DeliveryAsk { alert: Some("a150000".into()), ..of(DeliveryState::Pending) }, "delivery_by_alert"),
        (DeliveryAsk { digests: true, after: place(), ..all() }, "delivery_digests"),
    ]
}

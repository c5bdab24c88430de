//! The message about an alert.

use jiff::Timestamp;

use super::failing::failing_nodes;
use super::summary;
use crate::model::{Ack, Alert, AlertFacts, Belonging, GroupFacts, Message, MessageData, MessageKind, NodeDetails};
use crate::words;

/// The message that tells of an alert's beginning.
pub fn firing_message(alert: &Alert, now: Timestamp) -> Message {
    message_of(alert, MessageKind::AlertFiring, now)
}

/// The message that tells of its end.
pub fn resolved_message(alert: &Alert, now: Timestamp) -> Message {
    message_of(alert, MessageKind::AlertResolved, now)
}

/// The message that tells of an alert as it is now, whatever was to be told of it before.
pub fn message_about(facts: AlertFacts, now: Timestamp) -> Message {
    Message { kind: MessageKind::about(facts.alert.state), timestamp: now, data: MessageData::Alert(Box::new(facts)) }
}

/// The message that tells of several alerts at once, `waiting` more behind it.
pub fn group_message(alerts: Vec<AlertFacts>, waiting: u64, now: Timestamp) -> Message {
    group_of(GroupFacts::of(alerts, waiting), now)
}

/// The message that tells again what was last told at `last_told_at` and still holds.
pub fn reminder_message(alerts: Vec<AlertFacts>, waiting: u64, last_told_at: Timestamp, now: Timestamp) -> Message {
    group_of(GroupFacts { last_told_at: Some(last_told_at), ..GroupFacts::of(alerts, waiting) }, now)
}

/// The same about alerts that were held back until the window `window` has opened.
pub fn bundle_message(alerts: Vec<AlertFacts>, waiting: u64, window: &str, now: Timestamp) -> Message {
    group_of(GroupFacts { held_for: Some(window.to_string()), ..GroupFacts::of(alerts, waiting) }, now)
}

fn group_of(group: GroupFacts, now: Timestamp) -> Message {
    Message { kind: MessageKind::AlertGroup, timestamp: now, data: MessageData::Group(Box::new(group)) }
}

/// The message that tells that `ack` is on an alert, or without it that nobody is any more; `before` is whose acknowledgement
/// went.
pub fn ack_message(alert: &Alert, ack: Option<&Ack>, before: Option<&Ack>, now: Timestamp) -> Message {
    let kind = if ack.is_some() { MessageKind::AlertAcknowledged } else { MessageKind::AlertUnacknowledged };
    let mut message = message_of(alert, kind, now);
    if let MessageData::Alert(facts) = &mut message.data {
        let boxed = |ack: Option<&Ack>| ack.cloned().map(Box::new);
        (facts.alert.acked, facts.alert.acked_before) = (boxed(ack), boxed(before));
    }
    message
}

/// The message that told of an alert's beginning, as it reads now that `ack` is on it, or nobody.
pub fn marked_message(alert: &Alert, ack: Option<&Ack>) -> Message {
    // Made when the first one was: how late that was is told as it was told then.
    let mut message = firing_message(alert, alert.created_at);
    if let MessageData::Alert(facts) = &mut message.data {
        facts.alert.acked = ack.cloned().map(Box::new);
        facts.alert.summary = words::stored_summary(facts);
    }
    message
}

/// Puts what is known of the nodes into the alert: the nodes to look at, or why they cannot be told.
pub fn attach_nodes(alert: &mut Alert, details: &NodeDetails) {
    match details {
        NodeDetails::Known(nodes) => {
            alert.facts.failing_nodes = failing_nodes(nodes);
            alert.facts.node_details = "ok".to_string();
        }
        NodeDetails::Unreadable(reason) => alert.facts.node_details.clone_from(reason),
    }
}

/// Puts the failure text that a look at the instance itself told into the alert; without one, what is there stays.
pub fn attach_error(alert: &mut Alert, error: Option<String>) {
    if let (Some(instance), Some(_)) = (&mut alert.facts.instance, &error) {
        instance.error = error;
    }
}

/// Puts the end of a log, which was read apart, to the failing nodes that wrote it.
pub fn attach_log_tail(alert: &mut Alert, path: &str, tail: Option<String>) {
    let nodes = alert.facts.failing_nodes.iter_mut();
    nodes.filter(|node| node.log_path.as_deref() == Some(path)).for_each(|node| node.log_tail.clone_from(&tail));
}

/// Says where people look at the alert's run, and who owns its job, where a look at the run told that.
pub fn attach_place(alert: &mut Alert, url: Option<String>, owner: Option<String>) {
    if let Some(instance) = &mut alert.facts.instance {
        instance.url = url.or(instance.url.take());
    }
    alert.facts.job.more.owner = owner.or(alert.facts.job.more.owner.take());
}

/// Names what the alert's run is a part of: the real-time job and the node that its job stands for, or the workflow's run.
pub fn attach_belonging(alert: &mut Alert, belonging: Belonging) {
    let facts = &mut alert.facts;
    match belonging {
        Belonging::Node(part_of) => {
            (facts.job.more.real_time_job, facts.job.more.node) = (Some(part_of.job), Some(part_of.node));
            if let Some(reason) = facts.alert.reason.clone() {
                summary::tell(facts, reason);
            }
        }
        Belonging::Workflow(run) => {
            if let Some(instance) = &mut facts.instance {
                (facts.job.workflow, instance.workflow_instance) = (Some(run.workflow), Some(run.instance));
            }
        }
    }
}

/// The message of that kind, a beginning or an end, about an alert.
pub fn message_of(alert: &Alert, kind: MessageKind, now: Timestamp) -> Message {
    Message { kind, timestamp: now, data: MessageData::Alert(Box::new(alert.facts.clone())) }
}

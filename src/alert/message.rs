//! The message that is owed for an alert.

use jiff::Timestamp;

use super::failing_nodes;
use crate::model::{Alert, Message, MessageData, MessageKind, NodeDetails};

/// The message that tells of an alert's beginning.
pub fn firing_message(alert: &Alert, now: Timestamp) -> Message {
    message(alert, MessageKind::AlertFiring, now)
}

/// The message that tells of its end.
pub fn resolved_message(alert: &Alert, now: Timestamp) -> Message {
    message(alert, MessageKind::AlertResolved, now)
}

/// Puts what is known of the nodes into the alert: the nodes to look at, or why they cannot be told.
pub fn attach_nodes(alert: &mut Alert, details: NodeDetails) {
    match details {
        NodeDetails::Known(nodes) => {
            alert.facts.failing_nodes = failing_nodes(&nodes);
            alert.facts.node_details = "ok".to_string();
        }
        NodeDetails::Unreadable(reason) => alert.facts.node_details = reason,
    }
}

/// Puts the failure text that a look at the instance itself told into the alert; without one, what is there stays.
pub fn attach_error(alert: &mut Alert, error: Option<String>) {
    if let (Some(instance), Some(_)) = (&mut alert.facts.instance, &error) {
        instance.error = error;
    }
}

fn message(alert: &Alert, kind: MessageKind, now: Timestamp) -> Message {
    Message { kind, timestamp: now, data: MessageData::Alert(Box::new(alert.facts.clone())) }
}

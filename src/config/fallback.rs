//! `fallback` of a receiver: who is told in its place, and that nobody is his own fallback.

use std::time::Duration;

use super::words::read_reference;
use crate::limits::DELIVERY_PATIENCE;
use crate::model::ReceiverId;
use crate::notify::{Fallback, ReceiverSettings};
use crate::yaml::{Key, Keys, Located, Section, Shape, Value};

/// `fallback` of a receiver.
pub(super) static FALLBACK: Keys = Keys::of(
    "fallback",
    "Who is notified in its place when an alert does not get through.",
    &[&[
        Key::new("to", Shape::Text, "The receiver that is notified instead.").required(),
        Key::new("after", Shape::Duration, "How long a message may wait before that.").default("15m"),
    ]],
);

/// Reads the key of one receiver: a name, or `{ to: NAME, after: DURATION }`. `names` are all receivers of the file.
pub(super) fn read(receiver: &Section<'_>, names: &[String]) -> Option<Fallback> {
    let node = receiver.node("fallback")?;
    let path = receiver.path_of("fallback");
    let findings = receiver.findings();
    if !matches!(node.value, Value::Map(_)) {
        let to = read_reference(Located { node, path: &path, findings }, "receiver", names)?;
        return Some(Fallback { to: ReceiverId::new(to), after: FALLBACK.default_of("after").unwrap_or_default() });
    }
    let section = Section::of(&FALLBACK, node, path, findings)?;
    let to = section
        .node("to")
        .and_then(|node| read_reference(Located { node, path: &section.path_of("to"), findings }, "receiver", names));
    if !section.has("to") {
        section.missing("to", Some("name the receiver that is notified instead".into()));
    }
    let after = section.or_default::<Duration>("after");
    if after > DELIVERY_PATIENCE {
        let hours = DELIVERY_PATIENCE.as_secs() / 3600;
        section.error("after", format!("a message is given up after {hours} hours, sooner than this"), None);
    }
    section.close();
    Some(Fallback { to: ReceiverId::new(to?), after })
}

/// Reports receivers that are each other's fallback in a circle, each circle once, at its first receiver in the file.
pub(super) fn check_cycles(receivers: &Section<'_>, all: &[ReceiverSettings]) {
    let next = |id: &ReceiverId| all.iter().find(|it| it.id == *id)?.fallback.as_ref().map(|fallback| &fallback.to);
    let mut reported: Vec<&ReceiverId> = Vec::new();
    for receiver in all {
        let mut way = vec![&receiver.id];
        while let Some(to) = way.last().and_then(|last| next(last)) {
            if *to == receiver.id {
                if way.iter().all(|member| !reported.contains(member)) {
                    report(receivers, &way);
                }
                reported.extend(&way);
                break;
            }
            // A circle further on is its own members' affair.
            if way.contains(&to) {
                break;
            }
            way.push(to);
        }
    }
}

fn report(receivers: &Section<'_>, way: &[&ReceiverId]) {
    let first = way[0].as_str();
    let Some(entry) = receivers.entries().iter().rev().find(|entry| entry.key == first) else { return };
    let Value::Map(keys) = &entry.node.value else { return };
    let at = keys.iter().rev().find(|key| key.key == "fallback").map_or(entry.at, |key| key.node.at);
    let path = format!("{}.fallback", receivers.path_of(first));
    let message = if way.len() == 1 {
        format!("{first:?} cannot be its own fallback")
    } else {
        let circle: Vec<&str> = way.iter().chain(&way[..1]).map(|id| id.as_str()).collect();
        format!("these receivers are each other's fallback in a circle: {}", circle.join(" -> "))
    };
    receivers.findings().error(at, path, message, Some("end the chain at a receiver without a fallback".into()));
}

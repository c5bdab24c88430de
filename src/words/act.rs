//! How people act on what a message tells of: the alert's short id, the command that acknowledges it, and who did. Pure.

use super::language::Language;
use super::summary::summary;
use crate::model::{Ack, AlertFacts, AlertState, Message, MessageData, MessageKind};

/// The short id that a message is known by: its alert's; of several the first one's that fires, or the first one's. None in a
/// digest.
pub fn short_id(message: &Message) -> Option<&str> {
    let alerts = message.data.alerts();
    let named = firing(alerts).next().or(alerts.first())?;
    Some(named.alert.id.short()).filter(|id| !id.is_empty())
}

/// The command line that acknowledges what fires of a message, where it has no address of a page to do so on. Of several alerts
/// the page acknowledges one at a time: there it is for the message to say whether each of them has its address.
pub fn command(message: &Message) -> Option<String> {
    let has_page = match &message.data {
        MessageData::Alert(facts) => facts.alert.links.url.is_some(),
        MessageData::Group(_) => false,
        MessageData::Digest(_) => return None,
    };
    let is_free =
        matches!(message.kind, MessageKind::AlertFiring | MessageKind::AlertGroup | MessageKind::AlertUnacknowledged);
    if has_page || !is_free {
        return None;
    }
    let id = short_id(message)?;
    match firing(message.data.alerts()).count() {
        0 => None,
        1 => Some(format!("nightbell ack {id}")),
        _ => Some(format!("nightbell ack --group {id}")),
    }
}

/// Who is on an alert now, in one line with what the alert is; none of a message that tells of something else.
pub fn ack_line(message: &Message, language: Language) -> Option<String> {
    let facts = message.alert().filter(|_| message.kind.is_about_ack())?;
    let name = |ack: &Option<Box<Ack>>| ack.as_ref().map(|ack| ack.by.clone()).unwrap_or_default();
    let (who, before) = (name(&facts.alert.acked), name(&facts.alert.acked_before));
    let mut bare = facts.clone();
    bare.alert.acked = None;
    let summary = summary(&bare, language);
    let key = if message.kind == MessageKind::AlertAcknowledged { "ack.taken" } else { "ack.given_up" };
    Some(language.say(key, &[("who", &who), ("before", &before), ("summary", &summary)]))
}

fn firing(alerts: &[AlertFacts]) -> impl Iterator<Item = &AlertFacts> {
    alerts.iter().filter(|facts| facts.alert.state == AlertState::Firing)
}

//! What a template sees of a message: the webhook body, cleaned for display, and what Nightbell itself says of it.
//!
//! Pure. It must never know what a template does with it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::clean::{self, display_text};
use super::form::Locale;
use super::helpers::local_time;
use crate::model::{AlertFacts, AlertState, Message, MessageData, MessageKind, Piece, Severity};
use crate::words::{self, Language, Listener};

/// The message with what Nightbell itself says in it, the summary, in a language.
fn localised(message: &Message, language: Language) -> Message {
    let mut message = message.clone();
    // English is what is stored, and stays as it was told.
    if language != Language::En {
        match &mut message.data {
            MessageData::Alert(facts) => facts.alert.summary = words::summary(facts, language),
            MessageData::Group(group) => {
                for facts in &mut group.alerts {
                    facts.alert.summary = words::summary(facts, language);
                }
            }
            MessageData::Digest(facts) => words::say_digest(facts, language),
        }
    }
    message
}

/// How bad it is in one word: `test`, `resolved` when all of it is over, or the worst severity.
pub fn level(message: &Message) -> &'static str {
    if message.digest().is_some() {
        return message.kind.as_str();
    }
    let fires = |facts: &&AlertFacts| facts.alert.state == AlertState::Firing;
    let worst = message.data.alerts().iter().filter(fires).map(|facts| facts.alert.severity).max();
    // That something was not read is over, and no recovery.
    let gap = message.alert().filter(|facts| words::is_gap(facts)).map(|facts| facts.alert.severity);
    let worst = worst.or(gap);
    match (message.kind, worst) {
        (MessageKind::Test, _) => MessageKind::Test.as_str(),
        // Who is on an alert is news for those who were told, and wakes nobody.
        (MessageKind::AlertAcknowledged | MessageKind::AlertUnacknowledged, _) => Severity::Info.as_str(),
        (_, None) => AlertState::Resolved.as_str(),
        (_, Some(severity)) => severity.as_str(),
    }
}

/// What a template sees: the webhook body, its texts cleaned for display, the receiver, and how bad it is.
pub(super) fn data(message: &Message, locale: &Locale) -> Value {
    // A message is plain data with text keys, which always has a JSON form; without one, every name is missing and the
    // caller falls back to the plain message.
    let message = &localised(message, locale.language);
    let mut value = serde_json::to_value(message).unwrap_or_default();
    clean::clean_value(&mut value);
    if let Value::Object(map) = &mut value {
        let zone = locale.timezone.iana_name().unwrap_or("local");
        let language = locale.language.as_str();
        let receiver = serde_json::json!({ "id": locale.receiver.as_str(), "timezone": zone, "language": language });
        map.insert("receiver".to_string(), receiver);
        said(map, message, locale);
    }
    value
}

/// The two times of an alert that is over, in the order in which they are told: first that it is over, for that is the news;
/// of a time that was not read, from when and then until when.
fn times(facts: &AlertFacts, message: &Message, locale: &Locale) -> Value {
    let (language, alert) = (locale.language, &facts.alert);
    let (since, over) = words::names_of_times(facts, language);
    let lasted = alert.ends_at.and_then(|end| u64::try_from(end.duration_since(alert.starts_at).as_secs()).ok());
    let lasted = lasted.filter(|seconds| *seconds > 0).map(|seconds| language.duration(Duration::from_secs(seconds)));
    let at = local_time(alert.ends_at.unwrap_or(message.timestamp), &locale.timezone);
    let values = [("at", at.as_str()), ("lasted", lasted.as_deref().unwrap_or_default())];
    let is_gap = words::is_gap(facts);
    let ended = if is_gap { language.say("gap_after", &values) } else { language.say("resolved_after", &values) };
    let began = serde_json::json!({ "name": since, "said": local_time(alert.starts_at, &locale.timezone) });
    let ended = serde_json::json!({ "name": over, "said": ended });
    let (first, second) = if is_gap { (began, ended) } else { (ended, began) };
    serde_json::json!({ "since": since, "over": over, "first": first, "second": second })
}

/// What Nightbell says of the message as a whole: how bad it is, its headline, what it is about and since when.
fn said(map: &mut Map<String, Value>, message: &Message, locale: &Locale) {
    let (level, language) = (level(message), locale.language);
    let receiver = locale.receiver.as_str();
    let of_test = (message.kind == MessageKind::Test).then(|| language.say("test_headline", &[("receiver", receiver)]));
    let headline = match &of_test {
        // What a phone shows of a test must not read like a failure.
        Some(said) => {
            let level = language.word(level).to_uppercase();
            language.say("headline", &[("level", &level), ("summary", said)])
        }
        None => words::headline(message, level, &locale.timezone, language),
    };
    let mut own = serde_json::json!({ "level": level, "headline": headline });
    if !matches!(message.data, MessageData::Digest(_)) {
        own["short_id"] = serde_json::json!(words::short_id(message));
        own["command"] = serde_json::json!(words::command(message));
    }
    if let MessageData::Alert(facts) = &message.data {
        let words::Subject { label, name, source } = words::subject(facts, language);
        own["subject"] = serde_json::json!({ "label": label, "name": name, "source": source });
        own["lately"] = serde_json::json!(words::lately(facts, message.timestamp, &locale.timezone, language));
        own["summary"] = Value::from(of_test.clone().unwrap_or_else(|| words::summary(facts, language)));
        own["times"] = times(facts, message, locale);
        let when = words::when(facts, message.timestamp, &locale.timezone, language);
        own["when"] = Value::from(if of_test.is_some() { String::new() } else { when });
    }
    if let MessageData::Group(group) = &message.data {
        let listener = Listener { language, timezone: &locale.timezone, now: message.timestamp };
        let lines = words::group_lines(group, &listener);
        // A line of several alerts leads to none of them.
        let fires = |line: &&words::GroupLine| line.level != AlertState::Resolved.as_str();
        if lines.iter().filter(fires).all(|line| line.ack_url.is_some()) {
            own["command"] = Value::Null;
        }
        own["lines"] = serde_json::json!(lines);
    }
    if let MessageData::Digest(facts) = &message.data {
        let listener = Listener { language, timezone: &locale.timezone, now: message.timestamp };
        own["lines"] = serde_json::json!(words::digest_lines(facts, &listener));
        own["late"] = serde_json::json!(words::late_lines(facts, language));
        own["troubles"] = serde_json::json!(words::troubles(facts, &listener));
    }
    clean::clean_value(&mut own);
    // What its author wrote keeps its lines.
    if let MessageData::Alert(facts) = &message.data {
        let piece = |Piece { text, is_own }: &Piece| {
            let text = if *is_own { text.clone() } else { display_text(text) };
            serde_json::json!({ "text": text, "is_own": is_own })
        };
        own["description"] = facts.alert.links.description.iter().flat_map(|prose| &prose.0).map(piece).collect();
    }
    if let Value::Object(own) = own {
        map.extend(own);
    }
}
